"""A search that cannot see what code may run says so: then nothing is graded."""

from __future__ import annotations

import ast

import pytest
import sklearn.linear_model  # noqa: F401  (what the process that searches has loaded)

from mlcourse.grading.shortcuts import Check, ExhaustedError, find_shortcuts, interpreter

pytestmark = pytest.mark.parallel

FORBIDDEN, RIDGE = ("sklearn.linear_model.Ridge",), "sklearn.linear_model.Ridge"


def nested(depth):
    """Return code that runs a text, which runs a text, and so on, and calls what is forbidden in the innermost one."""
    code = "def f(X, y):\n    return Ridge().fit(X, y).coef_"
    for _ in range(depth):
        code = f"exec({code!r})"
    return f"from sklearn.linear_model import Ridge\n{code}"


def test_texts_inside_texts_are_followed_or_said_to_be_too_many():
    check = Check(1, "f", FORBIDDEN, "mlcourse.attention")
    assert find_shortcuts([nested(3)], {"toy.f": check})["toy.f"] == RIDGE
    with pytest.raises(ExhaustedError):
        find_shortcuts([nested(12)], {"toy.f": check})


def test_a_text_that_runs_and_is_too_long_to_be_read_is_said_to_be():
    cheat = "def f(X, y):\n    return Ridge().fit(X, y).coef_"
    for filler, searched in [(1_500_000, True), (2_100_000, False)]:
        cell = f"from sklearn.linear_model import Ridge\nexec({'#' + 'x' * filler + chr(10) + cheat!r})"
        check = Check(1, "f", FORBIDDEN, "mlcourse.attention")
        if searched:
            assert find_shortcuts([cell], {"toy.f": check})["toy.f"] == RIDGE
        else:
            with pytest.raises(ExhaustedError):
                find_shortcuts([cell], {"toy.f": check})


def test_a_text_that_runs_and_is_nested_too_deeply_is_said_to_be():
    cell = f"exec({'x = ' + '-' * 100_000 + '1'!r})"
    with pytest.raises(ExhaustedError):
        find_shortcuts([cell], {"toy.f": Check(1, "f", FORBIDDEN, "mlcourse.attention")})


def test_a_search_for_which_the_memory_does_not_suffice_is_said_to_have_no_end(monkeypatch):
    def no_memory(*where):
        raise MemoryError

    monkeypatch.setitem(interpreter.STATEMENTS, ast.FunctionDef, no_memory)
    with pytest.raises((ExhaustedError, MemoryError)):  # the process that searches answers both in one way
        find_shortcuts(["def f(X, y):\n    return 0"], {"toy.f": Check(1, "f", FORBIDDEN, "mlcourse.attention")})


# More to follow than the search can

TOTAL = Check(9, "total", ("numpy.sum",), "mlcourse.toy")
NAMES = "import numpy as np\ntotal = lambda x: x\n"
WORK = "def w0(x): return x\n" + "".join(
    f"def w{i}(x): return [w{i - 1}([x]), w{i - 1}((x, x)), w{i - 1}([x, 1]), w{i - 1}([2, x])]\n" for i in range(1, 9)
)
BUSY = WORK + "".join(f"w8({i})\n" for i in range(30))
SHIFT = ", ".join(f"h{i}" for i in range(40))
SHIFTED = ", ".join(f"h{i}" for i in range(1, 41))
HANDLES = "".join(f"h{i} = len\n" for i in range(40)) + "h40 = np.sum\n"


def searched(*cells: str) -> str | None:
    """Return what is found in `total` behind these cells, after the names that they use."""
    return find_shortcuts([NAMES, *cells], {"toy.total": TOTAL}).get("toy.total")


HIDDEN = {
    "calls before": (
        "g = len\ndef s():\n    global total\n    total = g\ns()",
        BUSY,
        "g = np.sum\ns()",
    ),
    "texts before": ("g = len\nT = 'total = g'\nexec(T)", BUSY, "g = np.sum\nexec(T)"),
    "calls around": (
        WORK,
        "def total(x):\n    global g\n    g = len\n    [w8(1), w8(2), w8(3), w8(4), w8(5)]\n    s(np)\n    return g(x)",
        "def s(h):\n    global g\n    g = h.sum",
    ),
    "a chain of calls": (
        "def a0():\n    global total\n    total = np.sum\n"
        + "".join(f"def a{i}(): a{i - 1}()\n" for i in range(1, 25)),
        "a24()",
    ),
    "a longer chain of calls": (
        "def a0():\n    global total\n    total = np.sum\n"
        + "".join(f"def a{i}(): a{i - 1}()\n" for i in range(1, 80)),
        "a79()",
    ),
    "arguments one after the other": (
        "def r(h, *more):\n    global total\n    total = h\n    if more: r(*more)\nr(" + "len, " * 30 + "np.sum)",
    ),
    "a shift in a recursion": (
        f"{HANDLES}def r(n):\n    global {SHIFT}\n    {SHIFT} = {SHIFTED}\n    if n: r(n - 1)\nr(40)\ntotal = h0",
    ),
    "a shift in a loop": (f"{HANDLES}for _ in range(40): {SHIFT} = {SHIFTED}\ntotal = h0",),
    "a shift of modules in a loop": (
        f"{HANDLES}h40 = np\nfor _ in range(40): {SHIFT} = {SHIFTED}\ndef total(x): return h0.sum(x)",
    ),
    "a shift in a loop of a function": (
        f"def make():\n    {SHIFT} = [len] * 40\n    h40 = np.sum\n"
        f"    while True: {SHIFT} = {SHIFTED}\n    return h0\ntotal = make()",
    ),
    "a crowd": (
        "".join(f"def c{i}(x): return {i}\n" for i in range(600)) + "def z(x): return np.sum(x)",
        "crowd = [" + ", ".join(f"c{i}" for i in range(600)) + ", z]\ntotal = crowd[600]",
    ),
}


REFUSED = {"calls before", "texts before", "a crowd"}  # there is more of them than can be followed


@pytest.mark.parametrize("kind", HIDDEN)
def test_too_much_to_follow_hides_nothing(kind):
    if kind in REFUSED:
        with pytest.raises(ExhaustedError):
            searched(*HIDDEN[kind])
    else:
        assert searched(*HIDDEN[kind]) == "numpy.sum"


def test_what_is_found_is_told_though_there_is_too_much_to_follow():
    assert searched(BUSY, "total = np.sum") == "numpy.sum"


def test_where_too_much_is_left_out_nothing_is_said_to_be_clean():
    with pytest.raises(ExhaustedError):
        searched(BUSY, "def total(x): return x")


HONEST = {
    "a deep recursion": "def total(n): return n * total(n - 1) if n else 1\ntotal(500)",
    "a recursion that counts": "calls = 0\ndef total(n):\n    global calls\n    calls += 1\n"
    "    return n and total(n - 1)\ntotal(99)",
    "a recursion over lists": "def total(x): return sorted(total(x[1:]) + [x[0]]) if x else []\ntotal([3, 1, 2] * 9)",
    "a tree": (
        "class Node:\n    def __init__(self, depth): self.parts = [Node(depth - 1), Node(depth - 1)] if depth else []\n"
        "    def total(self): return 1 + sum(part.total() for part in self.parts)\n"
        "def total(x): return Node(40).total()\ntotal(1)"
    ),
    "functions that make functions": (
        "def compose(f, *more): return (lambda x: compose(*more)(f(x))) if more else f\n"
        "total = compose(*[abs] * 20)\ntotal(1)"
    ),
    "nested loops": (
        "def total(x):\n    s = 0\n"
        + "".join(f"{'    ' * (i + 1)}for i{i} in range(3):\n" for i in range(9))
        + "    " * 10 + "s = s + i0 * i8\n    return s\ntotal(1)"
    ),
    "a training": (
        "layers = [lambda x: x, np.tanh, lambda x: x]\nhistory = []\ndef step(w, x):\n"
        "    for layer in layers: x = layer(x)\n"
        "    return w - x, x\ndef total(x):\n    w = x\n    for epoch in range(10):\n        for batch in range(10):\n"
        "            w, loss = step(w, x)\n            history.append(lambda: loss)\n    return w\ntotal(1)\ntotal(2)"
    ),
    "a library that is passed on": "".join(
        f"def f{i}(xp, x): return f{i - 1}(xp, x)\n" if i else "def f0(xp, x): return x.mean()\n" for i in range(12)
    )
    + "total = lambda x: f11(np, x)\ntotal(np.ones(3))",
}  # fmt: skip


@pytest.mark.parametrize("kind", HONEST)
def test_honest_code_that_goes_deep_is_searched_to_its_end(kind):
    assert searched(HONEST[kind]) is None
