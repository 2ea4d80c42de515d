"""A search that cannot see what code may run says so: then nothing is graded."""

from __future__ import annotations

import ast

import pytest
import sklearn.linear_model  # noqa: F401  (what the process that searches has loaded)

from mlcourse.grading.shortcuts import Check, ExhaustedError, find_shortcuts, interpreter

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
