"""A notebook whose words show that it reaches nothing forbidden needs no search; whatever could reach it does."""

from __future__ import annotations

import numpy as np  # noqa: F401  (what the process that searches has loaded)
import pytest
import torch  # noqa: F401

from mlcourse.grading.inside.words import names_nothing_forbidden
from mlcourse.grading.shortcuts import Check
from tests.test_handed_on import WAYS

pytestmark = pytest.mark.parallel

CHECKS = {"toy.total": Check(9, "total", ("numpy.sum", "torch.softmax", "torch.Tensor.softmax"), "mlcourse.toy")}
PLAIN = "import numpy as np\nimport torch\n"
DERIVATIVES = """
class Value:
    def __init__(self, data, parents=()):
        self.data, self.grad, self._backward, self._parents = data, 0.0, lambda: None, set(parents)
    def __add__(self, other):
        out = Value(self.data + other.data, (self, other))
        def _backward():
            self.grad += out.grad
            other.grad += out.grad
        out._backward = _backward
        return out
    __radd__ = __add__
    def backward(self):
        order, seen = [], set()
        def visit(v):
            if v not in seen:
                seen.add(v)
                for parent in v._parents: visit(parent)
                order.append(v)
        visit(self)
        for v in reversed(order): v._backward()
"""
HARMLESS = {
    "a function": "def total(x):\n    s = 0\n    for y in x: s += y\n    return s",
    "derivatives": DERIVATIVES,
    "recursion": (
        "def flat(x):\n    for y in x:\n        if isinstance(y, list): yield from flat(y)\n        else: yield y"
    ),
    "libraries": "from functools import reduce\nimport itertools\ndef total(x): return reduce(lambda a, b: a + b, x)",
    "tensors": "def total(x): return torch.exp(x) / torch.exp(x).mean(-1, keepdim=True)",
    "a data class": "from dataclasses import dataclass\n@dataclass\nclass A:\n    rate: float = 0.1\na = A()\na.rate",
    "the check": "from mlcourse.grading import check",
}
REACHING = {
    "its name": "def total(x): return np.sum(x)",
    "an import": "from numpy import sum as s",
    "a star": "from numpy import *",
    "another name of the module": "from numpy.ma import sum as s",
    "a method": "def total(x): return x.softmax(0)",
    "an attribute of one's own with its name": "class A:\n    sum = 1\nnp.sum",
    "a method of one's own with its name": "class A:\n    def softmax(self, axis): return self\nA().softmax(0)",
    "compiled by torch under a name of one's own": (
        "class A:\n    jit = script = 1\n    def softmax(self, axis): return self\n"
        "@torch.jit.script\ndef total(x): return x.softmax(0)"
    ),
    "a text": "def total(x): return eval('np.su' + 'm')(x)",
    "getattr": "getattr(np, 'su' + 'm')",
    "a dict": "vars(np)",
    "a dunder": "np.__dict__",
    "the modules": "import sys",
    "frames by own names": "class A:\n    gi_frame = f_back = f_globals = 1\ng = (g.gi_frame.f_back for _ in [1])",
    "modules by own names": "import random\nclass A:\n    _os = sys = modules = 1\nrandom._os.sys.modules",
    "a module of a library": "import random\nrandom._os",
    "subclasses": "object.__subclasses__()",
    "the grader": "import mlcourse.grading.watch",
    "the grader's reference": "from mlcourse import attention",
    "another library": "import sklearn.metrics",
    "a pattern": "class A: pass\nmatch np:\n    case A(f=g): pass",
    "a shell": "get_ipython().run_line_magic('time', 'x')",
    "a metaclass": "class A(metaclass=type): pass",
    "a file": "open('x.py')",
    "an error": "def f(:",
}


@pytest.mark.parametrize("name", HARMLESS)
def test_what_reaches_nothing(name):
    assert names_nothing_forbidden([PLAIN, HARMLESS[name]], CHECKS)


@pytest.mark.parametrize("name", REACHING)
def test_what_could_reach_something(name):
    assert not names_nothing_forbidden([PLAIN, REACHING[name]], CHECKS)


def test_every_way_around_the_search_could():
    cells = {name: [PLAIN, *text.split("\n# ---\n")] for name, text in WAYS.items()}
    assert [name for name in cells if names_nothing_forbidden(cells[name], CHECKS)] == []
