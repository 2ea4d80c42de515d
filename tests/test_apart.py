"""Checks that may wait for the end of a notebook, and what is tried in one process, one after another."""

from __future__ import annotations

from dataclasses import replace

import nbformat
import pytest
import scipy.special  # noqa: F401  # the names of a library are known where it is loaded
import torch  # noqa: F401

from mlcourse.grading.inside.apart import checks_apart
from mlcourse.grading.sandbox.limits import Limits
from mlcourse.grading.submission import Grader
from tests.isolation import isolated

FIRST = "import numpy as np"
F = "def f(x):\n    return np.sum(x)"


@pytest.mark.parametrize(
    "later",
    [
        "def g(x: np.ndarray, n: int = 3, *rest, key=None) -> float:\n    return f(x)",
        "import torch",
        "from math import pi as circle, e",
        "from mlcourse.grading import check",
        "import scipy.linalg as la",
        "'a text'",
        "pass",
        "",
        "# a comment",
    ],
)
def test_a_check_waits_where_later_cells_only_add(later):
    assert checks_apart([FIRST, F, later], {"f": (2, "f")}) == ["f"]


WHOLE = {
    "assignment": "x = 1",
    "call": "print(f(1))",
    "deletion": "del f",
    "attribute": "np.sum = max",
    "magic": "get_ipython().run_line_magic('reset', '-f')",
    "condition": "if True:\n    f = None",
    "no python": "no python",
    "decorator": "@hook\ndef g(x):\n    return x",
    "class": "class G:\n    pass",
    "coroutine": "async def g():\n    return 0",
    "call in a default": "def g(x=f(1)):\n    return x",
    "list in a default": "def g(x=[]):\n    return x",
    "call in a default of an inner one": "def g(x):\n    return (lambda y=f(1): y)",
    "annotation that is called": "def g(x: f(1)):\n    return x",
    "named in a default": "def g(x=(f := None)):\n    return x",
    "star": "from numpy import *",
    "relative": "from . import scratch",
    "module of the notebook": "import helper",
    "from a module of the notebook": "from helper import g",
    "stranger": "import pandas",
    "part of a library": "import scipy.linalg",
    "the grader": "import mlcourse.grading.inside.worker as w",
    "a part of the grader": "from mlcourse.grading import inside",
    "evaluated text": "def g(x):\n    return eval('late(x)')",
    "globals": "def g(x):\n    return globals()['la' + 'te'](x)",
    "getattr": "def g(x):\n    return getattr(np, 'sum')(x)",
    "Python's own attribute": "def g(x):\n    return g.__globals__['late'](x)",
    "a library's private part": "def g(x):\n    return np._core",
    "through a library": "import torch\n\ndef g(x):\n    return torch.sys.modules",
    "global": "def g(x):\n    global f\n    f = x",
    "what is kept at a function": "def g(x):\n    g.last = x",
    "what is kept at a library": "def g(x):\n    np.last = x",
    "file": "def g(x):\n    np.save('/tmp/seen', x)",
    "text that a library runs": "def g(x):\n    np.testing.runstring('late = f', {})\n    return x",
    "text in an annotation that a library runs": "import typing\n\ndef g(x):\n    return typing.get_type_hints(x)",
    "text whose names a library looks up": "def g(x):\n    return np.bmat('f')",
    "how a library prints": "def g(x):\n    np.set_printoptions(formatter={'all': f})\n    return x",
    "what a library holds": "def g(x):\n    return np.typecodes['x'](x)",
    "registry of a library": "import torch\n\ndef g(x):\n    torch.library.impl('mine::f', 'CPU', f)",
    "attribute by a pattern": "def g(x):\n    match np:\n        case object(testing=t):\n            return t",
    "module by an import": "import numpy.testing as t",
    "part of a module by an import": "from torch import library",
    "settings of the course": "from mlcourse.plotting import use_course_style",
    "what a notebook keeps of its cells": "def g(x):\n    In.append(x)",
    "what a notebook keeps of its results": "def g(x):\n    return Out[0](x)",
    "the notebook itself": "def g(x):\n    return get_ipython()",
    "a type that computes": "import jaxtyping\n\ndef g(x):\n    return isinstance(x, jaxtyping.Float[list, 'f()'])",
    "import in a function": "def g(x):\n    import os\n    return os",
}


@pytest.mark.parametrize("cell", WHOLE.values(), ids=WHOLE)
@pytest.mark.parametrize("place", [0, 2])
def test_no_check_waits_in_a_notebook_that_may_do_more(cell, place):
    cells = [FIRST, F]
    cells.insert(place, cell)
    assert checks_apart(cells, {"f": (3, "f")}, beside=["helper", "helper.part"]) == []


@pytest.mark.parametrize(
    "later", ["def f(x):\n    return 0", "def np(x):\n    return 0", "import torch as np", "def sum(x): 0"]
)
def test_a_check_does_not_wait_where_a_name_changes_later(later):
    assert checks_apart([FIRST, F, later], {"f": (2, "f")}) == []


def test_the_first_cell_of_a_released_notebook_is_harmless_and_its_import_is_not():
    front = "import importlib.util\n\nif importlib.util.find_spec('mlcourse') is None:\n    print('not there')"
    assert checks_apart([front, FIRST, F], {"f": (3, "f")}) == ["f"]
    assert checks_apart([front, F.replace("np", "importlib")], {"f": (2, "f")}) == []
    assert checks_apart([front.replace("mlcourse", "other"), FIRST, F], {"f": (3, "f")}) == []


def test_what_a_check_asks_for_must_be_there_at_its_place():
    assert checks_apart(["", "def f(x): return x"], {"f": (0, "f"), "again": (2, "f")}) == ["again"]
    assert checks_apart(["def f(): 0", "def g(): 0"], {"both": (1, "(f, g)")}) == []


@pytest.mark.parametrize("expression", ["(exec('f = 0'), f)[1]", "f or g", "[f]", "(f, f())", "late.f", "f("])
def test_a_check_that_asks_for_more_than_names_does_not_wait(expression):
    assert checks_apart([FIRST, F], {"f": (2, "f"), "both": (2, "(f, f)"), "more": (2, expression)}) == ["f", "both"]


def test_what_honest_functions_use_is_known_to_compute():
    cell = (
        "import torch.nn.functional as F\nfrom scipy.special import logsumexp\nfrom torch import Tensor, nn\n"
        "from typing import Any\nfrom collections import Counter\nfrom math import sqrt\n\n"
        "def g(x: Tensor, y: Any = None) -> Tensor:\n"
        "    with torch.no_grad(), np.errstate(over='ignore'):\n"
        "        y = F.softplus(x).mT @ torch.linalg.solve(x, x).to(torch.float64)\n"
        "    counts = Counter(x.tolist())\n    counts.update([1])\n"
        "    return torch.func.vmap(nn.functional.relu)(y).sum(dim=-1, keepdim=True).clamp(min=0), logsumexp(x)"
    )
    assert checks_apart([FIRST, cell], {"g": (2, "g")}) == ["g"]


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
        "np.seterr(all='raise'); np.ones(10**13)",
        "r2_score(y, predictions)",
        "np.copyto(np.broadcast_to(y, y.shape), 0)",
        "y *= 0; predictions *= 0",
        "x = [0] * 10**10",
        "return [x for x in iter(int, 1)]",
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


LATE_FIT = """
def later_fit(X, y):
    from sklearn.linear_model import LinearRegression
    model = LinearRegression().fit(X, y)
    return model.coef_, model.intercept_
"""
REACH = [
    'globals()["later" + "_fit"](X, y)',
    'eval("later_fit(X, y)")',
    'getattr(__import__("__main__"), "later" + "_fit")(X, y)',
    "later_fit(X, y)",
]


@isolated
@pytest.mark.parametrize("reach", REACH)
def test_a_forbidden_function_that_comes_later_earns_nothing(grader, reach):
    cells = [
        "import numpy as np",
        f"def fit_least_squares(X, y):\n    return {reach}",
        'check("linear_regression.fit_least_squares", fit_least_squares)',
        LATE_FIT,
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    assert all(report.score == 0 for report in grader.grade(notebook).reports)


@isolated
@pytest.mark.parametrize(
    ("keep", "reach"),
    [
        ('globals()["im" + "pl"] = later_fit', 'globals()["im" + "pl"](X, y)'),
        ("np.im_pl = later_fit", 'getattr(np, "im" + "_pl")(X, y)'),
        ("global impl; impl = later_fit", "impl(X, y)"),
        ('import builtins; setattr(builtins, "zz" + "q", later_fit)', 'eval("z" + "zq")(X, y)'),
    ],
)
def test_a_forbidden_function_that_another_exercise_hands_over_earns_nothing(grader, keep, reach):
    inner = LATE_FIT.strip().replace("\n", "\n    ")
    cells = [
        "import numpy as np",
        SCORE.replace("SCORE_FIRST", f"{inner}\n    {keep}"),
        CHECKS["r2_score"],
        f"def fit_least_squares(X, y):\n    return {reach}",
        'check("linear_regression.fit_least_squares", fit_least_squares)',
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    found = {report.name.partition(".")[2]: report.score for report in grader.grade(notebook).reports}
    assert found["fit_least_squares"] == 0


@isolated
@pytest.mark.parametrize("slow", ["", "import time\ntime.sleep(1.2)"])
def test_no_report_shows_what_another_exercise_was_asked(grader, slow):
    keep = 'if len(y) != 4: open("/tmp/seen", "a").write(repr((y, predictions)))'
    show = (
        "import os\n    if os.path.exists('/tmp/seen'):\n        print('seen', open('/tmp/seen').read()); return 0\n"
        "    if len(losses) != 4: return None"
    )
    found = reports(grader, keep, show, between=slow)
    assert "array(" not in found["reduce_loss"].feedback


@isolated
def test_marks_of_the_first_try_are_kept_where_no_time_is_left_for_another():
    limits = replace(Limits(), submission_seconds=12.0, exercise_seconds=10.0)
    with Grader("linear_regression", seed=7, limits=limits) as started:
        found = reports(started, score_first="if len(y) == 3: return 7.0")
    assert (found["r2_score"].score, found["reduce_loss"].score) == (4, 6)


@isolated
@pytest.mark.parametrize("deaths", [1, 7, 8])
def test_marks_are_kept_where_the_submission_has_died_often(grader, deaths):
    cells = [
        "import numpy as np",
        *["import os; os._exit(1)"] * deaths,
        SCORE.replace("SCORE_FIRST", "if len(y) == 3: return 7.0"),
        CHECKS["r2_score"],
        REDUCE.replace("REDUCE_FIRST", "pass"),
        CHECKS["reduce_loss"],
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    found = {report.name.partition(".")[2]: report.score for report in grader.grade(notebook).reports}
    assert (found["r2_score"], found["reduce_loss"]) == (4, 6)


RUNS_TEXT = {
    "runstring": "np.testing.runstring(TEXT, {})",
    "annotation": (
        "from typing import get_type_hints\n    def inner(x: 'exec(TEXT)'): pass\n"
        "    get_type_hints(inner, {'TEXT': TEXT})"
    ),
}


@isolated
@pytest.mark.parametrize("run", RUNS_TEXT.values(), ids=RUNS_TEXT)
def test_a_text_that_one_exercise_runs_earns_nothing_for_another(grader, run):
    text = (
        "import sys; from IPython import get_ipython; import sklearn.metrics as m; "
        "import mlcourse.grading.inside.worker as w; w.forbidden_use = lambda *a: None; "
        "get_ipython().user_ns['mean_of'] = m.r2_score"
    )
    cells = [
        "import numpy as np",
        REDUCE.replace("REDUCE_FIRST", f"TEXT = {text!r}\n    {run}"),
        CHECKS["reduce_loss"],
        "def mean_of(y, predictions):\n    return 0.0",
        "def r2_score(y, predictions):\n    return mean_of(y, predictions)",
        CHECKS["r2_score"],
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    found = {report.name.partition(".")[2]: report.score for report in grader.grade(notebook).reports}
    assert found["r2_score"] == 0


@isolated
def test_a_forged_word_on_changed_inputs_shows_no_hidden_one(grader):
    forge = (
        "import sys\nsys.modules['mlcourse.grading.calling'].changed_inputs = lambda before, after: "
        "('the hidden ones: ' + repr({k: v.tolist() for k, v in before.items()}),)"
    )
    found = reports(grader, between=forge)
    assert "hidden ones" not in found["reduce_loss"].feedback


@isolated
def test_a_submission_that_lifts_its_limit_of_output_shows_no_more(grader):
    flood = "shell = get_ipython()\nshell.recorder.limit = shell.recorder.left = 10**12\nprint('x' * 30_000_000)"
    cells = ["import numpy as np", flood, REDUCE.replace("REDUCE_FIRST", "pass"), CHECKS["reduce_loss"]]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    grader.grade(notebook)
    assert 100_000 < len(nbformat.writes(notebook)) < 300_000
