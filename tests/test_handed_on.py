"""Ways in which a function travels through Python and its libraries: each is followed, or refused.

The ways stand in `ways_around.txt`: in each, `total([1, 2, 3])` calls `numpy.sum`. In `honest_texts.txt` it does not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np  # noqa: F401  (what the process that searches has loaded)
import pytest
import sklearn.metrics  # noqa: F401

from mlcourse.exercises import find
from mlcourse.grading.refusal import refuse_shortcut
from mlcourse.grading.shortcuts import HANDED_ON, Check, ExhaustedError, find_shortcuts

pytestmark = pytest.mark.parallel

HERE = Path(__file__).parent


def texts_in(name):
    """Return the texts of a file by their names: each stands below a line that begins with ``###``."""
    parts = (HERE / name).read_text(encoding="utf-8").split("### ")[1:]
    return {part.partition("\n")[0]: part.partition("\n")[2].strip() for part in parts}


WAYS, HONEST = texts_in("ways_around.txt"), texts_in("honest_texts.txt")


def verdict(text):
    """Return what the search says of `total` behind these cells, and "too much" where it does not end."""
    cells = ["import numpy as np", *text.split("\n# ---\n")]
    check = Check(len(cells), "total", ("numpy.sum",), "mlcourse.toy")
    try:
        return find_shortcuts(cells, {"toy.total": check}).get("toy.total")
    except ExhaustedError:
        return "too much"


def test_there_are_many_of_both():
    assert len(WAYS) > 350
    assert len(HONEST) > 50


@pytest.mark.parametrize("name", WAYS)
def test_a_function_does_not_get_lost_on_its_way(name):
    assert verdict(WAYS[name]) is not None


@pytest.mark.parametrize("name", HONEST)
def test_honest_cells_are_left_alone(name):
    assert verdict(HONEST[name]) is None


OWN = "def total(x):\n    s = 0\n    for y in x: s = s + y\n    return s\n"
# A notebook may call the library's function, and keep it where the search can follow.
COMPARISONS = {
    "called": "print(total([1]), np.sum([1]))",
    "in a loop": "for f in (total, np.sum): print(f([1, 2]))",
    "in a dict": "ways = {'mine': total, 'theirs': np.sum}\nfor name, way in ways.items(): print(name, way([1]))",
    "looked at": "print(np.sum)\nhelp(np.sum)\nimport inspect\ninspect.signature(np.sum)\ncallable(np.sum)",
    "timed": (
        "import timeit\ntimeit.timeit(lambda: np.sum([1]), number=3)\ntimeit.timeit('np.sum([1])', globals=globals())"
    ),
    "tested": "np.testing.assert_allclose(total([1, 2]), np.sum([1, 2]))\nassert total([1]) == np.sum([1])",
    "a test case": (
        "import unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(total([1]), np.sum([1]))\n"
        "unittest.main(argv=[''], exit=False)"
    ),
    "minimized": "import scipy.optimize\nscipy.optimize.minimize(lambda w: np.sum(w**2), [1.0])",
    "in a module of torch": (
        "import torch\nclass M(torch.nn.Module):\n    def forward(self, x): return np.sum(x)\nM()(torch.ones(2))\n"
        "torch.optim.SGD(M().parameters())"
    ),
    "without gradients": "import torch\n@torch.no_grad()\ndef look(x): return np.sum(x)\nlook([1])",
    "in an error": "if total([1]) != np.sum([1]): raise ValueError(f'{np.sum([1])} is not the same')",
    "in a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass Row:\n    x: list\n"
        "    def check(self): return np.sum(self.x)\nRow([1]).check()"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", COMPARISONS)
def test_who_compares_with_the_library_is_left_alone(name):
    assert verdict(f"{OWN}\n{COMPARISONS[name]}") is None


@pytest.mark.parametrize("code", ["import queue\nqueue.Queue().put(np.sum)", "kept = dict.fromkeys(['a'], np.sum)"])
def test_handing_on_harms_nobody_whose_code_uses_nothing_of_it(code):
    assert verdict(f"{OWN}\n{code}") is None


@pytest.mark.parametrize(
    ("code", "to"),
    [
        ("import queue\nq = queue.Queue()\nq.put(np.sum)", "a value that is known only when the code runs"),
        ("kept = dict.fromkeys(['a'], np.sum)", "builtins.dict.fromkeys"),
        ("import threading\nthreading.Thread(target=lambda: np.sum([1])).start()", "threading.Thread"),
        ("raise ValueError(np.sum)", "builtins.ValueError"),
        ("class A:\n    def __del__(self): return np.sum([1])", "Python itself"),
        ("import inspect\ninspect.getmembers(np)\nkept = {1: 2}\nkept.fromkeys([1], np)", "a method fromkeys"),
    ],
)
def test_it_is_said_to_whom_a_function_was_handed_on(code, to):
    found = verdict(f"from math import nothing as lost\n{code}\ndef total(x): return lost(lambda: 0).get()(x)")
    assert found.startswith(f"numpy.sum{HANDED_ON}{to}")


def test_the_words_say_what_to_do():
    report = refuse_shortcut(find("linear_regression.r2_score"), f"sklearn.metrics.r2_score{HANDED_ON}threading.Thread")
    assert (report.score, report.status) == (0.0, "forbidden")
    words = " ".join(report.feedback.split())
    assert "hands sklearn.metrics.r2_score, or something that uses it, on to threading.Thread." in words
    assert "You may call it to compare" in words


def test_only_the_exercise_that_forbids_it_is_refused():
    cells = [
        "import numpy as np\nkept = dict.fromkeys(['a'], np.sum)\ndef f(x): return kept['a'](x)\ndef g(x): return f(x)"
    ]
    checks = {
        "toy.f": Check(1, "f", ("numpy.sum",), "mlcourse.toy"),
        "toy.g": Check(1, "g", ("numpy.mean",), "mlcourse.toy"),
    }
    assert find_shortcuts(cells, checks) == {"toy.f": f"numpy.sum{HANDED_ON}builtins.dict.fromkeys"}
