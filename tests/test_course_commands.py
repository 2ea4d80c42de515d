"""What an instructor does around grading: naming students, missing isolation, feedback that is current, early ends."""

from __future__ import annotations

import base64
import csv
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner
from nbgrader.api import Gradebook
from nbgrader.plugins import CsvExportPlugin
from robustness.accident import LINEAR, WRONG_R2, Accident, answer, extra_cell
from robustness.course import Course, nbgrader_autograde

from mlcourse.cli import main
from tools.release import ROOT, open_course, succeed

pytestmark = pytest.mark.isolation
needs_bubblewrap = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="install bubblewrap: apt-get install bubblewrap"
)
MISSING_COLON = answer("colon", "r2_score", "def r2_score(y, predictions)\n    return 1")


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Course:
    return Course(tmp_path_factory.mktemp("commands") / "fresh")


@pytest.fixture
def course(fresh, tmp_path) -> Course:
    return fresh.copy_to(tmp_path / "course")


def grade(course: Course, *more: str):
    return CliRunner().invoke(main, ["grade", "--course", str(course.folder), "--assignment", LINEAR, "--quiet", *more])


@needs_bubblewrap
def test_a_student_who_is_not_there_is_an_error(course):
    course.hand_in("ada", Accident("worked", lambda submission: None))
    done = grade(course, "--student", "zoe*")
    assert done.exit_code == 2
    assert "Nobody whose name matches 'zoe*' has handed in linear_regression. Submissions: ada." in done.output


def test_a_seed_that_cannot_be_written_is_said_in_one_sentence_and_leaves_nothing(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("a full disk is tried with /dev/full, which Linux has")
    code = (
        "import os, sys\n"
        "from mlcourse.cli import main\n"
        "os.fdopen = lambda number, *how, **more: (os.close(number), open('/dev/full', *how, **more))[1]\n"
        "main(sys.argv[1:])\n"
    )
    command = [sys.executable, "-c", code, "grade", "--course", str(tmp_path), "--assignment", LINEAR]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    seed = tmp_path / ".mlcourse-seed"
    assert f"The seed file {seed} cannot be written: No space left on device." in " ".join(done.stderr.split())
    assert list(tmp_path.iterdir()) == []


@needs_bubblewrap
@pytest.mark.parametrize("how", ["notebook", "course"])
def test_the_points_that_a_person_gives_are_named_below_the_table(course, how, tmp_path):
    folder = course.hand_in("ada", Accident("worked", lambda submission: None))
    summary = tmp_path / "summary.md"
    if how == "course":
        done = grade(course, "--markdown", str(summary))
    else:
        done = CliRunner().invoke(main, ["grade", str(folder / f"{LINEAR}.ipynb"), "--markdown", str(summary)])
    assert done.exit_code == 0, done.output
    sentence = "6 more points are for the question that a person grades."
    assert sentence in done.output.splitlines()
    assert f"\n\n{sentence}\n\n" in summary.read_text(encoding="utf-8")


@needs_bubblewrap
@pytest.mark.parametrize(("assignment", "there"), [(LINEAR, False), ("shapes", True)])
def test_what_is_not_released_names_the_command_of_the_readme(course, assignment, there, tmp_path):
    folder = course.folder if there else tmp_path / "empty"
    (folder / "submitted").mkdir(parents=True, exist_ok=True)
    done = CliRunner().invoke(main, ["grade", "--course", str(folder), "--assignment", assignment, "--quiet"])
    assert done.exit_code == 2
    assert f"The gradebook of {folder}" in done.output if there else f"There is no gradebook in {folder}" in done.output
    assert done.output.strip().endswith("Release the assignments first: make release.")
    assert "`make release`" in (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("how", ["notebook", "course"])
def test_missing_isolation_stops_in_one_sentence(course, how, tmp_path, monkeypatch):
    folder = course.hand_in("ada", Accident("worked", lambda submission: None))
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    command = ["--course", str(course.folder), "--assignment", LINEAR]
    if how == "notebook":
        command = [str(folder / f"{LINEAR}.ipynb")]
    done = CliRunner().invoke(main, ["grade", *command])
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit)
    assert "Submissions cannot be isolated on this machine. Missing: bubblewrap" in done.output
    assert "apt-get install bubblewrap" in done.output
    assert not (course.folder / "autograded").exists()


@needs_bubblewrap
def test_feedback_is_written_anew_and_lines_break(course):
    course.hand_in("ada", Accident("worked", lambda submission: None))
    page = course.folder / "feedback" / "ada" / LINEAR / f"{LINEAR}.html"
    shown = []
    for source in (None, WRONG_R2):
        if source:
            shutil.rmtree(course.folder / "submitted" / "ada")
            course.hand_in("ada", answer("wrong", "r2_score", source))
        course.grade(LINEAR)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(course.folder)
            succeed(open_course(course.folder).generate_feedback(LINEAR), "The feedback")
        shown.append(BeautifulSoup(page.read_text(encoding="utf-8"), "html.parser"))
    first, second = ("0 of 6 points" in soup.get_text() for soup in shown)
    assert (first, second) == (False, True)
    assert sorted(path.name for path in page.parent.iterdir()) == [page.name]
    assert any("pre-wrap" in style.get_text() and "output_subarea" in style.get_text() for style in shown[1]("style"))


@needs_bubblewrap
def test_the_report_names_the_error_of_the_cell_above(course):
    course.hand_in("ada", MISSING_COLON)
    (report,) = [item for item in course.grade(LINEAR).of("ada")["exercises"] if item["name"].endswith("r2_score")]
    assert report["status"] == "missing"
    text = " ".join(report["feedback"].split())
    assert "the cell above its check fails: SyntaxError: expected ':'" in text


@needs_bubblewrap
def test_a_file_that_is_no_notebook_says_so_in_every_report(course):
    folder = course.hand_in("ada", Accident("worked", lambda submission: None))
    (folder / f"{LINEAR}.ipynb").write_text('{"cells"', encoding="utf-8")
    batch = course.grade(LINEAR)
    assert batch.exit_code == 1
    for report in batch.of("ada")["exercises"]:
        assert "is no notebook: its JSON is damaged" in " ".join(report["feedback"].split())


@needs_bubblewrap
def test_a_check_that_was_put_back_leaves_everything_graded(course):
    def without_check(submission):
        del submission.notebook.cells[submission.index("check_r2_score")]

    course.hand_in("ada", Accident("deleted", without_check))
    batch = course.grade(LINEAR)
    assert batch.exit_code == 0
    assert batch.of("ada")["score"] == 36
    assert "was put back" in batch.of("ada")["message"]


@needs_bubblewrap
def test_an_interruption_is_said_in_one_sentence(course):
    slow = extra_cell("slow", "import time\n\ntime.sleep(1)")
    for number in range(8):
        course.hand_in(f"student-{number}", slow)
    command = course.command(LINEAR, "--jobs", "2", "--quiet")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        until = time.monotonic() + 120
        while not list(course.folder.glob("autograded/*/*/*.ipynb")) and time.monotonic() < until:
            time.sleep(0.05)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does: everybody in the foreground is asked to stop
        said = run.communicate(timeout=120)[1]
    assert run.returncode == 130
    assert said.strip().splitlines() == [
        "mlcourse grade: interrupted. What was graded is saved; the same command goes on."
    ]


SHOWS = """\
import os
for name in ("seed.txt", "other.json", "note.txt"):
    print(name, open(name).read()[:40] if os.path.exists(name) else "is not there")
"""


@needs_bubblewrap
def test_nbgrader_autograde_follows_no_link(course):
    secret = course.folder / "secret.txt"
    secret.write_text("PLANTED", encoding="utf-8")
    folder = course.hand_in("eve", extra_cell("shows", SHOWS))
    (folder / "seed.txt").symlink_to(secret)
    (folder / "other.json").symlink_to(course.folder / "gradebook.db")
    (folder / "note.txt").write_text("my own", encoding="utf-8")
    (folder / "proof.html").write_text("<script>alert(1)</script>", encoding="utf-8")
    done = nbgrader_autograde(course, LINEAR, "eve")
    assert done.returncode == 0, done.stderr[-2_000:]
    graded = course.autograded(LINEAR, "eve")
    text = graded.read_text(encoding="utf-8")
    assert "seed.txt is not there" in text
    assert "other.json is not there" in text
    assert "note.txt my own" in text
    assert sorted(path.name for path in graded.parent.iterdir()) == [graded.name, "note.txt"]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(course.folder)
        succeed(open_course(course.folder).generate_feedback(LINEAR), "The feedback")
    page = course.folder / "feedback" / "eve" / LINEAR
    assert sorted(path.name for path in page.iterdir()) == [f"{LINEAR}.html", "note.txt"]
    assert "PLANTED" not in (page / f"{LINEAR}.html").read_text(encoding="utf-8")


@needs_bubblewrap
@pytest.mark.parametrize("how", ["mlcourse", "nbgrader"])
def test_only_harmless_files_reach_what_a_browser_shows_and_grading_sees_all(course, how):
    names = ["figure.html", f"{LINEAR}.HTML", "f.xht", "f.shtml", "s.Svg", "f.svgz", "p.mht", "figs/a.html", "unknown"]
    shows = extra_cell("shows", f"import os\nprint(sum(os.path.exists(name) for name in {names}), 'are there')")
    folder = course.hand_in("eve", shows)
    for name in (*names, "helper.py", "figs/a.PNG"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("<script>alert(1)</script>", encoding="utf-8")
    if how == "mlcourse":
        course.grade(LINEAR)
    else:
        done = nbgrader_autograde(course, LINEAR, "eve")
        assert done.returncode == 0, done.stderr[-2_000:]
    graded = course.autograded(LINEAR, "eve")
    assert f"{len(names)} are there" in graded.read_text(encoding="utf-8")
    assert files_in(graded.parent) - {".mlcourse-result.json"} == {graded.name, "helper.py", "figs/a.PNG"}
    for name in names:  # as an earlier version copied them
        (graded.parent / name).write_text("<script>alert(1)</script>", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(course.folder)
        succeed(open_course(course.folder).generate_feedback(LINEAR), "The feedback")
    feedback = course.folder / "feedback" / "eve" / LINEAR
    assert files_in(feedback) == {f"{LINEAR}.html", "helper.py", "figs/a.PNG"}
    assert set(names) < files_in(folder)


def files_in(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@needs_bubblewrap
def test_nbgrader_autograde_refuses_a_notebook_that_is_a_link(course):
    course.hand_in("ada", Accident("worked", lambda submission: None))
    folder = course.hand_in("eve", Accident("worked", lambda submission: None))
    path = folder / f"{LINEAR}.ipynb"
    path.unlink()
    path.symlink_to(course.folder / "submitted" / "ada" / LINEAR / path.name)
    done = nbgrader_autograde(course, LINEAR, "eve")
    assert done.returncode != 0
    assert "is a link, and links are not followed" in done.stderr
    marks = course.marks(LINEAR, "eve")
    assert not marks or not any(marks.values())


def test_nbgrader_export_writes_no_formula(course):
    with Gradebook(f"sqlite:///{course.folder / 'gradebook.db'}") as gradebook:
        gradebook.add_student("=cmd|calc", last_name="+1", first_name='Ada, "A"', email="a;=b")
        gradebook.add_student("eve")
    shutil.copy(ROOT / "nbgrader_config.py", course.folder)
    program = Path(sys.executable).parent / "nbgrader"
    command = [str(program), "export", "--to", "marks.csv", "--assignment", f"['{LINEAR}']"]
    done = subprocess.run(
        command, cwd=course.folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    text = (course.folder / "marks.csv").read_text(encoding="utf-8")
    by_name = {row["student_id"]: row for row in csv.DictReader(text.splitlines())}
    first, second = by_name["'=cmd|calc"], by_name["eve"]
    own = CsvExportPlugin()
    own.to = str(course.folder / "own.csv")
    with Gradebook(f"sqlite:///{course.folder / 'gradebook.db'}") as gradebook:
        own.export(gradebook)
    assert list(first) == Path(own.to).read_text(encoding="utf-8").splitlines()[0].split(",")
    assert first["last_name"] == "'+1"
    assert (first["first_name"], first["email"]) == ('Ada, "A"', "a;=b")
    assert (float(second["score"]), float(second["max_score"])) == (0, 42)


@needs_bubblewrap
def test_a_huge_file_beside_a_notebook_is_not_copied(course):
    folder = course.hand_in("ada", Accident("worked", lambda submission: None))
    with (folder / "model.bin").open("wb") as file:
        file.truncate(3_000_000_000)
    batch = course.grade(LINEAR)
    assert batch.of("ada")["score"] == 36
    assert "model.bin" in batch.of("ada")["message"]
    assert not (course.autograded(LINEAR, "ada").parent / "model.bin").exists()


@needs_bubblewrap
def test_nbgrader_autograde_keeps_of_what_is_attached_only_pictures(course):
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n").decode("ascii")

    def paste(submission):
        cell = submission.cell("explain_step_size")
        cell.source += "\n\n![plot](attachment:plot.png) ![drawing](attachment:drawing.svg)"
        cell["attachments"] = {"plot.png": {"image/png": png}, "drawing.svg": {"image/svg+xml": png}}

    course.hand_in("ada", Accident("pasted", paste))
    done = nbgrader_autograde(course, LINEAR, "ada")
    assert done.returncode == 0, done.stderr
    graded = nbformat.read(course.folder / "autograded" / "ada" / LINEAR / f"{LINEAR}.ipynb", as_version=4)
    assert [cell.attachments for cell in graded.cells if "attachments" in cell] == [{"plot.png": {"image/png": png}}]
