"""Checks that may wait for the end of a notebook, and what is tried in one process, one after another."""

from __future__ import annotations

from dataclasses import replace

import nbformat
import pytest

from mlcourse.grading.inside.apart import checks_apart
from mlcourse.grading.sandbox.limits import Limits
from mlcourse.grading.sandbox.requirements import missing_isolation
from mlcourse.grading.submission import Grader

isolated = pytest.mark.skipif(bool(missing_isolation()), reason="needs bubblewrap: apt install bubblewrap")

FIRST = "import numpy as np"
F = "def f(x):\n    return np.sum(x)"


@pytest.mark.parametrize(
    "later",
    [
        "def g(x: np.ndarray, n: int = 3, *rest, key=None) -> float:\n    return f(x)",
        "import torch",
        "import numpy",
        "import os.path as where",
        "from math import pi as circle, e",
        "'a text'",
        "pass",
        "",
        "# a comment",
    ],
)
def test_a_check_waits_where_later_cells_only_add(later):
    assert checks_apart([FIRST, F, later], {"f": (2, "f")}) == ["f"]


@pytest.mark.parametrize(
    "later",
    [
        "def f(x):\n    return 0",
        "def np(x):\n    return 0",
        "import torch as np",
        "from scratch import *",
        "from . import scratch",
        "f.__code__ = None",
        "np.sum = max",
        "x = 1",
        "del f",
        "print(f(1))",
        "@hook\ndef g(x):\n    return x",
        "def g(x=f(1)):\n    return x",
        "def g(x: f(1)):\n    return x",
        "def g(x) -> f(1):\n    return x",
        "def g(x=(f := None)):\n    return x",
        "def g(x=[i for i in f]):\n    return x",
        "def sum(x):\n    return 0",  # a builtin, which f may use by another way
        "class G:\n    f(1)",
        "async def g():\n    return 0",
        "get_ipython().run_line_magic('reset', '-f')",
        "if True:\n    f = None",
        "import helper",
        "import helper.part as part",
        "from helper import g",
        "no python",
        "def late(x):\n    return x",
    ],
)
def test_a_check_does_not_wait_where_a_later_cell_may_do_more(later):
    cells = [FIRST, "def f(x):\n    return globals()['late'](np.sum(x))", later]
    assert checks_apart(cells, {"f": (2, "f")}, beside=["helper", "helper.part"]) == []


def test_what_a_check_asks_for_must_be_there_at_its_place():
    assert checks_apart(["", "def f(x): return x"], {"f": (0, "f"), "again": (2, "f")}) == ["again"]
    assert checks_apart(["def f(): 0", "def g(): 0"], {"both": (1, "(f, g)")}) == []


def test_a_name_that_is_added_twice_is_not_only_added():
    cells = ["def f(x): return x", "def g(x): return x", "def g(x): return 2 * x"]
    assert checks_apart(cells, {"f": (1, "f"), "g": (2, "g"), "last": (3, "g")}) == ["last"]


def test_hundreds_of_cells_and_deep_ones_are_answered():
    assert checks_apart([f"def f{i}(): return {i}" for i in range(300)], {"first": (1, "f0")}) == ["first"]
    assert checks_apart(["def f(): 0", "x = 0" + " + 0" * 100_000], {"f": (1, "f")}) == []
    assert checks_apart([], {"f": (0, "f")}) == ["f"]


REDUCE = """
def reduce_loss(losses, weights):
    REDUCE_FIRST
    losses = np.asarray(losses)
    return np.mean(losses), np.max(losses), np.sum(weights * losses) / np.sum(weights)
"""
SCORE = """
def r2_score(y, predictions):
    SCORE_FIRST
    if np.all(y == y[0]):
        return 1.0 if np.all(predictions == y) else 0.0
    return 1 - np.sum((y - predictions) ** 2) / np.sum((y - np.mean(y)) ** 2)
"""
CHECKS = {name: f'check("linear_regression.{name}", {name})' for name in ("r2_score", "reduce_loss")}


@pytest.fixture(scope="module")
def grader():
    """Return a grader with little patience."""
    limits = replace(Limits(), memory=256 * 2**20, cell_seconds=4.0, exercise_seconds=20.0)
    with Grader("linear_regression", seed=7, limits=limits) as started:
        yield started


def reports(grader, score_first="pass", reduce_first="pass", between=""):
    """Return the reports of a notebook in which one exercise is tried before the other."""
    cells = [
        "import numpy as np",
        SCORE.replace("SCORE_FIRST", score_first),
        CHECKS["r2_score"],
        between,
        REDUCE.replace("REDUCE_FIRST", reduce_first),
        CHECKS["reduce_loss"],
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    graded = grader.grade(notebook)
    return {report.name.partition(".")[2]: report for report in graded.reports}


@isolated
def test_the_toy_is_right_where_checks_wait_and_where_they_do_not(grader):
    for between in ("", "x = 1"):
        found = reports(grader, between=between)
        assert (found["r2_score"].score, found["reduce_loss"].score) == (6, 6)


@isolated
@pytest.mark.parametrize(
    "harm",
    [
        "np.asarray = None",
        "global reduce_loss; reduce_loss = None",
        "global reduce_loss; del reduce_loss",
        "reduce_loss.__code__ = (lambda losses, weights: 0.0).__code__",
        "import os; os._exit(0)",
        "import os, signal; os.kill(-1, signal.SIGKILL)",
        "import os; os.closerange(3, 1024)",
        "while True: pass",
        "import builtins; builtins.dict = None; builtins.isinstance = None",
        "import sys; sys.setrecursionlimit(60)",
        "import signal; signal.alarm(1)",
    ],
)
def test_what_one_exercise_does_when_it_is_called_harms_no_other(grader, harm):
    assert reports(grader, score_first=harm)["reduce_loss"].score == 6


@isolated
def test_memory_that_one_exercise_takes_is_not_taken_from_another(grader):
    keeps = "global kept; kept = globals().get('kept', []) + [bytearray(80 * 2**20)]"
    takes = "more = bytearray(120 * 2**20)"
    assert reports(grader, keeps, takes)["reduce_loss"].score == 6


@isolated
def test_an_exercise_that_hangs_is_tried_once_where_nothing_was_tried_before_it(grader):
    found = reports(grader, score_first="while True: pass")
    assert found["r2_score"].status == "timeout"
    assert found["r2_score"].feedback.count("Does a loop never end?") == 1


@isolated
def test_names_of_misconceptions_are_the_same_in_one_process_and_in_copies(grader):
    swapped = "y, predictions = predictions, y"
    alone, shared = (reports(grader, score_first=swapped, between=between)["r2_score"] for between in ("x = 1", ""))
    assert alone.misconception is not None
    assert (shared.misconception, shared.feedback) == (alone.misconception, alone.feedback)
