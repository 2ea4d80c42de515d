"""What a student gets, and what plain nbgrader makes of what comes back."""

from __future__ import annotations

import csv
import errno
import os
import shutil
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient

from mlcourse.exercises import catalogue, chapter_exercises
from tools.release import ROOT, assignments, install_cell, open_course, release
from tools.sample import ASSIGNMENT, SAMPLES, export, fill, grade, marks

NAMES = assignments()


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """Return a course folder in which everything is released and three students have handed in."""
    folder = tmp_path_factory.mktemp("course")
    api = None
    for path in release(folder):
        name = path.stem
        hand_in(folder, "worked", name, solved(path))
        hand_in(folder, "empty", name, nbformat.read(path, as_version=4))
        if name == ASSIGNMENT:
            hand_in(folder, "sample", name, fill(path, SAMPLES / f"{name}.py"))
    api = open_course(folder)
    for name in NAMES:
        for student in ("worked", "empty", *(["sample"] if name == ASSIGNMENT else [])):
            grade(api, name, student)
    return folder


def hand_in(course, student, name, notebook):
    target = course / "submitted" / student / name / f"{name}.ipynb"
    target.parent.mkdir(parents=True)
    nbformat.write(notebook, target)


def solved(path):
    """Return the released notebook with the worked solutions written in."""
    notebook = nbformat.read(path, as_version=4)
    answers = {
        cell.metadata["nbgrader"]["grade_id"]: cell.source
        for cell in jupytext.read(ROOT / "solutions" / f"{path.stem}.md", fmt="md:myst").cells
        if cell.metadata.get("nbgrader", {}).get("solution")
    }
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        if grade_id in answers:
            cell.source = answers[grade_id]
    return notebook


@pytest.mark.parametrize("name", NAMES)
def test_a_release_holds_no_solution_no_output_and_no_seed(course, name):
    text = (course / "release" / name / f"{name}.ipynb").read_text(encoding="utf-8")
    notebook = nbformat.reads(text, as_version=4)
    nbformat.validate(notebook)
    assert "SOLUTION" not in text
    assert "seed" not in text
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    source = jupytext.read(ROOT / "solutions" / f"{name}.md", fmt="md:myst")
    for cell in source.cells:
        if not cell.metadata.get("nbgrader", {}).get("solution"):
            continue
        secret = cell.source if cell.cell_type == "markdown" else cell.source.split("### BEGIN SOLUTION")[1]
        for line in secret.split("### END SOLUTION")[0].splitlines():
            if len(line.strip()) > 30:
                assert line.strip() not in text, line


@pytest.mark.parametrize("name", NAMES)
def test_a_release_runs_from_top_to_bottom_and_says_kindly_that_nothing_is_written(course, name, tmp_path):
    notebook = nbformat.read(course / "release" / name / f"{name}.ipynb", as_version=4)
    NotebookClient(
        notebook, timeout=120, coalesce_streams=True, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    checks = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.startswith("check(")]
    assert len(checks) == len(chapter_exercises(name))
    for cell in checks:
        streams = [output for output in cell.outputs if output.output_type == "stream"]
        results = [output for output in cell.outputs if output.output_type == "execute_result"]
        assert [output.name for output in streams] == ["stdout"]
        assert "Not written yet" in streams[0].text
        assert results[0].data["text/plain"] == "0.0"


@pytest.mark.parametrize("name", NAMES)
def test_the_points_of_a_release_are_those_of_its_exercises_and_one_question_is_for_a_person(course, name):
    found = marks(course, name, "empty")
    automatic = [mark for mark in found if mark.cell.startswith("check_")]
    assert sum(mark.max_score for mark in automatic) == sum(item.points for item in chapter_exercises(name).values())
    assert len(found) == len(automatic) + 1


@pytest.mark.parametrize("name", NAMES)
def test_worked_solutions_earn_everything_and_their_question_waits_for_a_person(course, name):
    found = marks(course, name, "worked")
    assert [mark.score for mark in found if mark.cell.startswith("check_")] == [
        mark.max_score for mark in found if mark.cell.startswith("check_")
    ]
    assert [mark.score for mark in found if not mark.cell.startswith("check_")] == [None]


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_release_earns_nothing(course, name):
    assert [mark.score for mark in marks(course, name, "empty")] == [0.0] * (len(chapter_exercises(name)) + 1)


@pytest.mark.parametrize("name", NAMES)
def test_feedback_is_written(course, name):
    html = (course / "feedback" / "worked" / name / f"{name}.html").read_text(encoding="utf-8")
    assert "all right" in html


def test_the_sample_earns_exactly_what_it_deserves(course):
    assert {mark.cell: mark.score for mark in marks(course, ASSIGNMENT, "sample")} == {
        "check_fit_least_squares": 6,
        "check_mse_gradient": 0,  # the gradient of the sum, a known misconception
        "check_gradient_descent": 6,
        "check_fit_ridge": 0,  # not written
        "check_r2_score": 5,  # all but one property: targets that are all equal
        "check_reduce_loss": 6,
        "explain_step_size": None,  # waits for a person
    }
    html = (course / "feedback" / "sample" / ASSIGNMENT / f"{ASSIGNMENT}.html").read_text(encoding="utf-8")
    assert "This is the gradient of the SUM of the squares" in " ".join(html.split())


def test_marks_are_exported(course):
    with export(course).open(encoding="utf-8") as file:
        rows = {(row["assignment"], row["student_id"]): float(row["score"]) for row in csv.DictReader(file)}
    for name in NAMES:
        assert rows[name, "empty"] == 0
        assert rows[name, "worked"] == sum(item.points for item in chapter_exercises(name).values())


def test_every_assignment_has_exercises_and_every_chapter_an_assignment():
    assert {name.partition(".")[0] for name in catalogue()} == set(NAMES)


def test_the_install_cell_does_nothing_where_mlcourse_is(capsys):
    for address in ("", "https://example.org/course"):
        exec(install_cell(address), {})
    assert capsys.readouterr().out == ""


def test_the_install_cell_never_asks_an_index_for_the_bare_name(monkeypatch, capsys):
    calls = []
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.setattr("subprocess.run", lambda command, check: calls.append(command))
    exec(install_cell("https://example.org/course"), {})
    assert calls[0][-1] == "mlcourse[torch] @ git+https://example.org/course"
    exec(install_cell(""), {})
    assert len(calls) == 1
    assert "run make once" in capsys.readouterr().out


def test_a_release_that_somebody_wrote_into_is_kept(tmp_path, capsys):
    (path,) = release(tmp_path, names=[ASSIGNMENT])
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[3].source = "# the work of a week"
    nbformat.write(notebook, path)
    (again,) = release(tmp_path, names=[ASSIGNMENT])
    assert "the work of a week" not in again.read_text(encoding="utf-8")
    assert "the work of a week" in (tmp_path / "kept" / f"{ASSIGNMENT}-1.ipynb").read_text(encoding="utf-8")
    assert "It is kept as" in capsys.readouterr().out


def test_a_source_that_an_instructor_wrote_into_is_kept(tmp_path, capsys):
    (path,) = release(tmp_path, names=[ASSIGNMENT])
    source = tmp_path / "source" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    first = source.read_bytes()
    os.utime(path, (0, 0))
    release(tmp_path, names=[ASSIGNMENT])
    assert source.read_bytes() == first
    assert "kept" not in capsys.readouterr().out, "the release's own file was taken for somebody's work"
    for number, word in ((1, "twelve points"), (2, "a hint")):
        notebook = nbformat.read(source, as_version=4)
        notebook.cells[3].source = f"# {word}"
        nbformat.write(notebook, source)
        os.utime(path, (0, 0))
        release(tmp_path, names=[ASSIGNMENT])
        assert source.read_bytes() == first
        goal = tmp_path / "kept" / "source" / f"{ASSIGNMENT}-{number}.ipynb"
        assert word in goal.read_text(encoding="utf-8")
        assert f"{source} had been changed since its release. It is kept as {goal}." in capsys.readouterr().out
    assert sorted(item.name for item in (tmp_path / "source").iterdir()) == [".written.json", ASSIGNMENT]


def test_a_new_release_leaves_everything_else_beside_the_notebook(tmp_path, capsys):
    (path,) = release(tmp_path, names=[ASSIGNMENT])
    mine = {"my_helper.py": "x = 1", "my_notes.ipynb": "{}", "figs/a.png": "picture", ".hidden": "secret"}
    for name, text in mine.items():
        (path.parent / name).parent.mkdir(exist_ok=True)
        (path.parent / name).write_text(text, encoding="utf-8")
    (path.parent / ".hidden").chmod(0o600)
    os.utime(path, (0, 0))  # older than its worked solutions
    release(tmp_path, names=[ASSIGNMENT])
    assert path.stat().st_mtime > 0, "it was not released anew"
    assert {name: (path.parent / name).read_text(encoding="utf-8") for name in mine} == mine
    assert (path.parent / ".hidden").stat().st_mode & 0o777 == 0o600
    assert sorted(item.name for item in (tmp_path / "release").iterdir()) == [".written.json", ASSIGNMENT]
    assert not (tmp_path / "kept").exists()
    assert "kept" not in capsys.readouterr().out


def test_a_changed_file_that_the_release_has_too_is_kept(tmp_path, capsys):
    data, room = tmp_path / "source" / ASSIGNMENT / "data.csv", tmp_path / "source" / ASSIGNMENT / "room"
    room.mkdir(parents=True)
    data.write_text("1", encoding="utf-8")
    (room / "table.csv").write_text("1", encoding="utf-8")
    (path,) = release(tmp_path, names=[ASSIGNMENT])
    data.write_text("2", encoding="utf-8")
    os.utime(path, (0, 0))
    release(tmp_path, names=[ASSIGNMENT])
    assert (path.parent / "data.csv").read_text(encoding="utf-8") == "2"
    assert not (tmp_path / "kept").exists(), "the release's own file was taken for somebody's work"
    (path.parent / "data.csv").write_text("mine", encoding="utf-8")
    shutil.rmtree(path.parent / "room")
    (path.parent / "room").write_text("mine, too", encoding="utf-8")
    os.utime(path, (0, 0))
    release(tmp_path, names=[ASSIGNMENT])
    assert (path.parent / "data.csv").read_text(encoding="utf-8") == "2"
    assert (path.parent / "room" / "table.csv").read_text(encoding="utf-8") == "1"
    kept = {item.name: item.read_text(encoding="utf-8") for item in (tmp_path / "kept").iterdir()}
    assert kept == {f"{ASSIGNMENT}-data-1.csv": "mine", f"{ASSIGNMENT}-room-1": "mine, too"}
    assert capsys.readouterr().out.count("It is kept as") == 2


@pytest.mark.parametrize("content", ["", '{"linear_reg', "[1]", "\\udcff"], ids=["empty", "cut", "a list", "no text"])
def test_a_broken_record_is_none_and_what_it_does_not_know_is_kept(tmp_path, capsys, content):
    (path,) = release(tmp_path, names=[ASSIGNMENT])
    record = tmp_path / "release" / ".written.json"
    whole = record.read_bytes()
    record.write_text(content, encoding="utf-8", errors="surrogateescape")
    release(tmp_path, names=[ASSIGNMENT])
    assert record.read_bytes() == whole
    assert not (tmp_path / "kept").exists(), "it is what the new release is"
    record.write_text(content, encoding="utf-8", errors="surrogateescape")
    path.write_text("mine", encoding="utf-8")
    release(tmp_path, names=[ASSIGNMENT])
    assert (tmp_path / "kept" / f"{ASSIGNMENT}-1.ipynb").read_text(encoding="utf-8") == "mine"
    assert f"{path} is not known to be as it was released. It is kept as" in capsys.readouterr().out


def test_the_record_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    (path,) = release(tmp_path, names=[ASSIGNMENT])
    record = tmp_path / "release" / ".written.json"
    whole = record.read_bytes()
    os.utime(path, (0, 0))
    write = Path.write_text

    def full(self, text, **how):
        if self.name.startswith(record.name):
            write(self, text[:5], **how)
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, text, **how)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        release(tmp_path, names=[ASSIGNMENT])
    assert record.read_bytes() == whole
    assert sorted(item.name for item in record.parent.iterdir()) == [record.name, ASSIGNMENT]


def test_an_unchanged_release_is_left_alone(tmp_path):
    (path,) = release(tmp_path, names=[ASSIGNMENT])
    before = path.stat().st_mtime_ns
    release(tmp_path, names=[ASSIGNMENT])
    assert path.stat().st_mtime_ns == before
    assert not (tmp_path / "kept").exists()


def test_cleaning_spares_what_belongs_to_people():
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").split("\nclean:")[1]
    removed = recipe.split("rm -rf")[1].split("\n")[0].split()
    for mine in ("source", "release", "work", "kept", "submitted", "autograded", "feedback", "gradebook.db", ".venv"):
        assert mine not in removed


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("def check(*anything):\n    print('ok')", 0.0),
        ("get_ipython().ast_node_interactivity = 'none'", 0.0),
        ("import logging\nlogging.basicConfig(level=logging.INFO)", 6.0),
    ],
    ids=["own check", "no results shown", "logs to stderr"],
)
def test_a_check_without_a_mark_earns_nothing_and_noise_costs_nothing(tmp_path, cell, expected):
    (path,) = release(tmp_path, names=[ASSIGNMENT])
    notebook = nbformat.read(path, as_version=4)
    for item in notebook.cells:
        if item.metadata.get("nbgrader", {}).get("grade_id") == "r2_score":
            item.source = f"{cell}\n{RIGHT}" if expected else cell
    hand_in(tmp_path, "someone", ASSIGNMENT, notebook)
    grade(open_course(tmp_path), ASSIGNMENT, "someone")
    found = {mark.cell: mark.score for mark in marks(tmp_path, ASSIGNMENT, "someone")}
    assert found["check_r2_score"] == expected
    assert found["check_reduce_loss"] == 0


RIGHT = """
def r2_score(y, predictions):
    logging.info("here")
    if (y == y[0]).all():
        return float((predictions == y).all())
    return 1 - ((y - predictions) ** 2).sum() / ((y - y.mean()) ** 2).sum()
"""
