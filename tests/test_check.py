"""The check cell, and `mlcourse check` from a shell."""

from __future__ import annotations

import inspect
import warnings

import nbformat
import pytest
from click.testing import CliRunner

from mlcourse.cli import main
from mlcourse.exercises import chapter_exercises, find
from mlcourse.grading import check
from mlcourse.grading.notebook import check_notebook
from mlcourse.grading.submission import parse_check
from tools.release import release

NAME = "linear_regression.r2_score"


def shell(*arguments: str):
    """Run the command and return its result."""
    return CliRunner().invoke(main, ["check", *arguments])


def right(y, predictions):
    if (y == y[0]).all():
        return float((predictions == y).all())
    return 1 - ((y - predictions) ** 2).sum() / ((y - y.mean()) ** 2).sum()


def stub(y, predictions):
    raise NotImplementedError("not written yet")


def test_the_check_cell_returns_a_plain_float_and_prints_its_report(capsys):
    mark = check(NAME, stub)
    out, err = capsys.readouterr()
    assert (type(mark), mark) == (float, 0.0)
    assert "Not written yet" in out
    assert err == ""


def test_the_check_cell_returns_all_points_for_right_work(capsys):
    assert check(NAME, right) == find(NAME).points
    assert "all right" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:look out")
def test_the_check_cell_captures_warnings_and_prints(capsys):
    def noisy(y, predictions):
        warnings.warn("look out", stacklevel=1)
        print("here")
        raise RuntimeError("broken")

    assert check(NAME, noisy) == 0.0
    out, err = capsys.readouterr()
    assert "broken" in out
    assert err == ""


SPLIT, MERGE = find("attention.split_heads").reference


@pytest.mark.parametrize(
    ("name", "candidate"),
    [
        (NAME, find(NAME).reference),
        ("attention.split_heads", (SPLIT, MERGE)),
        ("attention.split_heads", [SPLIT, MERGE]),
        ("attention.split_heads", (SPLIT, lambda heads: heads.transpose(1, 2).flatten(-2))),
    ],
    ids=["function", "tuple", "list", "one of two"],
)
def test_the_check_cell_refuses_the_reference_itself(capsys, name, candidate):
    assert check(name, candidate) == 0.0
    assert "not allowed" in capsys.readouterr().out


def test_an_unknown_exercise_names_the_nearest():
    with pytest.raises(KeyError, match=r"Did you mean 'linear_regression\.r2_score'"):
        check("linear_regression.r2score", right)


def test_an_unknown_chapter_names_those_that_are_there():
    with pytest.raises(KeyError, match="There is no chapter 'alchemy'"):
        check("alchemy.gold", right)


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    course = tmp_path_factory.mktemp("course")
    return {path.stem: path for path in release(course)}


def write(path, *cells):
    notebook = nbformat.v4.new_notebook(cells=list(cells))
    nbformat.write(notebook, path)
    return str(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no file"),
        (b"", "is empty"),
        (b"   \n", "is empty"),
        (b"hello", "is no valid Jupyter notebook"),
        (b"{}", "is no valid Jupyter notebook"),
        (b"[1, 2]", "is no valid Jupyter notebook"),
        (b"\xff\xfe\x00", "cannot be read as text"),
        (b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}', "without cells"),
    ],
    ids=["absent", "empty", "blank", "text", "object", "list", "binary", "no cells"],
)
def test_a_file_that_is_no_notebook_gets_one_sentence_and_exit_code_2(tmp_path, content, words):
    path = tmp_path / "work.ipynb"
    if content is not None:
        path.write_bytes(content)
    done = shell(str(path))
    assert done.exit_code == 2
    assert words in done.output
    assert len(done.output.strip().splitlines()) == 1


def test_a_folder_gets_one_sentence(tmp_path):
    done = shell(str(tmp_path))
    assert (done.exit_code, "is a folder" in done.output) == (2, True)


def test_a_notebook_without_checks_is_of_another_course(tmp_path):
    path = write(tmp_path / "other.ipynb", nbformat.v4.new_code_cell("1 + 1"))
    done = shell(path)
    assert (done.exit_code, "holds no check cell of this course" in done.output) == (2, True)


def test_a_notebook_of_another_assignment_is_refused(tmp_path):
    path = write(tmp_path / "attention.ipynb", nbformat.v4.new_code_cell(f'check("{NAME}", f)'))
    done = shell(path)
    assert done.exit_code == 2
    assert "is the assignment 'linear_regression', but 'attention' was expected" in done.output


def test_the_assignment_can_be_named(tmp_path):
    path = write(tmp_path / "mine.ipynb", nbformat.v4.new_code_cell(f'check("{NAME}", f)'))
    assert "but 'attention' was expected" in shell(path, "--assignment", "attention").output


def test_checks_of_two_assignments_in_one_notebook_are_refused(tmp_path):
    cells = [nbformat.v4.new_code_cell(f'check("{name}", f)') for name in (NAME, "attention.causal_mask")]
    assert "mixes the checks of several assignments" in shell(write(tmp_path / "both.ipynb", *cells)).output


def test_an_exercise_of_another_version_is_named(tmp_path):
    cell = nbformat.v4.new_code_cell('check("linear_regression.fit_lasso", f)')
    assert "'linear_regression.fit_lasso', which this version" in shell(write(tmp_path / "new.ipynb", cell)).output


def test_a_fresh_release_is_not_written_yet_everywhere(released):
    for name, path in released.items():
        result = check_notebook(path)
        assert result.assignment == name
        assert [report.name for report in result.reports] == list(chapter_exercises(name))
        assert {report.status for report in result.reports} == {"not_written"}
        assert result.score == 0


def test_the_points_that_a_person_gives_are_named_below_the_table(released):
    for name, path in released.items():
        result = check_notebook(path)
        promised = [cell.metadata.get("nbgrader", {}).get("points", 0) for cell in nbformat.read(path, 4).cells]
        assert result.max_score + result.by_hand.points == sum(promised)
        assert result.by_hand.questions == 1, name
    lines = shell(str(released["linear_regression"])).output.splitlines()
    assert lines[-3].split() == ["total", "0", "36"]
    assert lines[-1] == "6 more points are for the question that a person grades."


def test_half_done_work_is_reported_exercise_by_exercise(released, tmp_path):
    notebook = nbformat.read(released["linear_regression"], as_version=4)
    for cell in notebook.cells:
        role = cell.metadata.get("nbgrader", {}).get("grade_id")
        if role == "r2_score":
            cell.source = inspect.getsource(right).replace("def right", "def r2_score")
        if role == "mse_gradient":
            cell.source = "def mse_gradient(:"
        if role == "check_fit_ridge":
            cell.source = "pass"
    path = tmp_path / "linear_regression.ipynb"
    nbformat.write(notebook, path)
    before = path.read_bytes()
    done = shell(str(path))
    assert done.exit_code == 1, done.output
    assert path.read_bytes() == before
    lines = {line.split()[0]: line.split()[1] for line in done.output.splitlines() if line.startswith("linear_reg")}
    assert lines["linear_regression.r2_score"] == "passed"
    assert lines["linear_regression.mse_gradient"] == "missing"
    assert lines["linear_regression.fit_ridge"] == "missing"
    assert lines["linear_regression.fit_least_squares"] == "not_written"
    words = " ".join(done.output.split())
    assert "The cell above its check fails: SyntaxError" in words
    assert "Its check cell is gone" in words


def test_the_notebook_runs_in_its_own_folder_and_the_last_check_counts(tmp_path):
    (tmp_path / "answer.txt").write_text("1.0", encoding="utf-8")
    cells = [
        "from mlcourse.grading import check",
        f"check({NAME!r}, lambda y, predictions: 2.0)",
        inspect.getsource(right).replace("def right", "def mine") + "\nfloat(open('answer.txt').read())",
        f"check({NAME!r}, mine)",
    ]
    path = tmp_path / "work.ipynb"
    write(path, *[nbformat.v4.new_code_cell(cell) for cell in cells])
    result = check_notebook(path)
    report = next(item for item in result.reports if item.name == NAME)
    assert report.status == "passed"
    assert result.score == report.max_score
    assert result.max_score == sum(item.points for item in chapter_exercises("linear_regression").values())


FROM_ITS_TEXT = {
    "calls it where no search of the objects looks": (
        "import sklearn.metrics as m\ndef mine(y, predictions):\n    way = (len, m.r2_score)[1]\n"
        "    return getattr(m, 'r2_' + 'score')(y, predictions)",
        "forbidden",
        "sklearn.metrics.r2_score",
    ),
    "a module beside it": (
        "from helper import mine",
        "forbidden",
        "sklearn.metrics.r2_score",
    ),
    "a text that nobody can read before it runs": (
        inspect.getsource(right).replace("def right", "def mine") + "\nexec(open('lines.txt').read())",
        "error",
        "could not be searched",
    ),
}


@pytest.mark.parametrize("kind", FROM_ITS_TEXT)
def test_the_text_is_searched_as_it_is_when_it_is_graded(kind, tmp_path):
    code, status, words = FROM_ITS_TEXT[kind]
    (tmp_path / "lines.txt").write_text("x = 1", encoding="utf-8")
    (tmp_path / "helper.py").write_text(
        "import sklearn.metrics as m\ndef mine(y, predictions): return m.r2_score(y, predictions)\n", encoding="utf-8"
    )
    cells = ["from mlcourse.grading import check", "%matplotlib inline", code, f"check({NAME!r}, mine)"]
    path = tmp_path / "work.ipynb"
    write(path, *[nbformat.v4.new_code_cell(cell) for cell in cells])
    report = next(item for item in check_notebook(path).reports if item.name == NAME)
    assert (report.status, report.score) == (status, 0)
    assert words in " ".join(report.feedback.split())


def test_what_is_no_ordinary_file_gets_one_sentence(tmp_path):
    import os

    os.mkfifo(tmp_path / "pipe.ipynb")
    done = shell(str(tmp_path / "pipe.ipynb"))
    assert (done.exit_code, "is no ordinary file" in done.output) == (2, True)


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ('check("a.f", f)', ("a.f", "f")),
        ('\uff43heck("a.f", f)', ("a.f", "f")),  # to Python a wide letter is the same name
        ('che\\\nck("a.f", f)', None),
        ('check("a.f", f); check("a.g", g)', None),
        ('# check\nx = "check"', None),
        ("f(x)", None),
        ("", None),
    ],
)
def test_a_cell_that_is_nothing_but_a_check(cell, expected):
    assert parse_check(cell) == expected
