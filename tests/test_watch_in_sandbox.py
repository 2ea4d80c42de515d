"""The watch alone, in the sandbox: what the text search says is not heard."""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
import pytest

from mlcourse.grading.sandbox.reader import Reader
from mlcourse.grading.submission import Grader
from tests.isolation import isolated

sys.path.insert(0, str(Path(__file__).parent))

from attacks import hiding

HONEST = """
import numpy as np
def r2_score(y, p):
    if np.all(y == y[0]):
        return float(np.all(y == p))
    return float(1 - np.sum((y - p) ** 2) / np.sum((y - np.mean(y)) ** 2))
"""
# They change the watch, or where it finds what is forbidden, before it looks: for them there is the search of the text.
BY_THE_TEXT_ALONE = {"the_watch_replaced", "another_module_in_its_place"}
KEPT = [attack for attack in hiding.ATTACKS if attack.cells["r2_score"].startswith(hiding.code(hiding.KEPT))]


@pytest.fixture(scope="module")
def grader():
    with Grader("linear_regression", seed=7) as started:
        yield started


@pytest.fixture(autouse=True)
def deaf(monkeypatch):
    """Let the reader of texts find nothing."""
    read = Reader.read

    def nothing(self, *given):
        found = read(self, *given)
        return found and {**found, "shortcuts": {}, "exhausted": False}

    monkeypatch.setattr(Reader, "read", nothing)


def graded(grader, *cells):
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    return {report.name: report for report in grader.grade(notebook).reports}


CHECK = 'check("linear_regression.r2_score", r2_score)'
FIRST = "from mlcourse.grading import check"


@isolated
@pytest.mark.parametrize(
    "attack", [attack for attack in KEPT if attack.name not in BY_THE_TEXT_ALONE], ids=lambda attack: attack.name
)
def test_it_needs_no_other_search(grader, attack):
    report = graded(grader, FIRST, attack.cells["r2_score"], CHECK)["linear_regression.r2_score"]
    assert (report.score, report.status) == (0.0, "forbidden")


@isolated
def test_the_others_are_tried_when_one_has_ended_its_process(grader):
    shortcut = "def reduce_loss(losses, weights): return np.mean(losses), np.max(losses), np.average(losses)"
    cells = ["import numpy as np", shortcut, HONEST]
    checks = ['check("linear_regression.reduce_loss", reduce_loss)', CHECK]
    reports = graded(grader, FIRST, *cells, *checks)
    assert reports["linear_regression.reduce_loss"].status == "forbidden"
    assert reports["linear_regression.r2_score"].status == "passed"


@isolated
def test_a_shortcut_that_comes_late_takes_all_points(grader):
    late = f"""
{hiding.KEPT}
{HONEST.replace("def r2_score", "def honest")}
calls = []
def r2_score(y, p):
    calls.append(1)
    return honest(y, p) if len(calls) < 5 else float(next(iter(kept))(y, p))
"""
    report = graded(grader, FIRST, late, CHECK)["linear_regression.r2_score"]
    assert (report.score, report.status) == (0.0, "forbidden")


@isolated
@pytest.mark.parametrize(
    "heavy", ["deeper(np.empty(10_000_000))", "deeper()"], ids=["until the memory ends", "until the stack ends"]
)
def test_a_recursion_that_fails_is_an_error_and_no_shortcut(grader, heavy):
    cell = f"""
import sys
import numpy as np
def deeper(*given):
    held = [np.empty(part.shape) for part in given]
    return deeper(*given) + len(held)
def r2_score(y, p):
    sys.setrecursionlimit({10**9 if "empty" in heavy else 1000})
    return {heavy}
"""
    report = graded(grader, FIRST, cell, CHECK)["linear_regression.r2_score"]
    assert (report.score, report.status) == (0.0, "error")


@isolated
def test_a_thread_is_watched_and_no_shortcut(grader):
    thread = (
        "    threads.append(threading.Thread(target=time.sleep, args=(60,), daemon=True))\n    threads[-1].start()\n"
    )
    begun = HONEST.replace("(y, p):\n", "(y, p):\n" + thread)
    cell = f"import threading, time\nthreads = []\n{begun}"
    report = graded(grader, FIRST, cell, CHECK)["linear_regression.r2_score"]
    assert (report.score, report.status) == (report.max_score, "passed")
    late = f"""
import threading
{hiding.KEPT}
def r2_score(y, p):
    found = []
    thread = threading.Thread(target=lambda: found.append(float(next(iter(kept))(y, p))))
    thread.start()
    thread.join()
    return found[0]
"""
    report = graded(grader, FIRST, late, CHECK)["linear_regression.r2_score"]
    assert (report.score, report.status) == (0.0, "forbidden")


@isolated
def test_who_compares_in_a_cell_loses_nothing(grader):
    compared = "import sklearn.metrics\nprint(sklearn.metrics.r2_score([1, 2], [1, 3]))"
    report = graded(grader, FIRST, HONEST, compared, CHECK)["linear_regression.r2_score"]
    assert (report.score, report.status) == (report.max_score, "passed")
