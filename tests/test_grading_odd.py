"""Odd submissions: what they return, raise, print, close and change must not stop or mislead the grader."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest
import torch

from mlcourse.exercises.protocol import Exercise, exercise, random, worked
from mlcourse.grading import check, evaluate
from mlcourse.grading.calling import PRINTED_LIMIT, describe


def double(x, *, times=2.0):
    """Return x times a number."""
    return x * times


@exercise("toy.double", reference=double, points=6, forbidden=("numpy.multiply",))
def toy(rng):
    """Twice the numbers."""
    yield worked(x=np.array([1.0, 2.0]))
    yield random(x=rng.standard_normal(3))
    yield random(x=rng.standard_normal(4), times=3.0)


@toy.always("Zero stays zero.")
def zero(call, rng):
    return call(x=np.zeros(2)).tolist() == [0, 0]


def quick(seconds=0.2):
    """Return the exercise with a short time limit."""
    return Exercise("toy.quick", double, toy.cases, 6, time_limit=seconds)


def test_keyword_only_inputs_arrive_by_name():
    assert evaluate(toy, lambda numbers, *, times=2.0: numbers * times).score == 6
    assert evaluate(toy, lambda numbers, *, times=2.0: numbers * 2.0).score == 0


def test_a_loop_that_swallows_exceptions_ends():
    def stubborn(x, *, times=2.0):
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                while time.monotonic() < until:
                    pass
            except Exception:
                continue

    start = time.monotonic()
    assert evaluate(quick(), stubborn).status == "timeout"
    assert time.monotonic() - start < 15


def test_an_answer_that_comes_after_the_time_is_up_does_not_count():
    def late(x, *, times=2.0):
        try:
            time.sleep(5)
        except BaseException:
            return x * times

    assert evaluate(quick(), late).status == "timeout"


def test_the_time_is_measured_in_a_thread_too():
    def slow(x, *, times=2.0):
        time.sleep(0.3)
        return x * times

    reports = []
    worker = threading.Thread(target=lambda: reports.append(evaluate(quick(), slow)))
    worker.start()
    worker.join()
    assert reports[0].status == "timeout"


def test_the_person_at_the_keyboard_can_stop_it():
    def interrupted(x, *, times=2.0):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(toy, interrupted)


def test_what_is_written_to_stderr_is_captured(capsys):
    def complains(x, *, times=2.0):
        sys.stderr.write("oh")
        return x * times

    assert evaluate(toy, complains).score == 6
    assert capsys.readouterr() == ("", "")


def test_a_flood_of_output_is_cut():
    def floods(x, *, times=2.0):
        print("x" * 1_000_000)
        return x

    assert len(evaluate(toy, floods).feedback) < PRINTED_LIMIT * 3


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_closing_the_output_stops_nothing(stream):
    def closes(x, *, times=2.0):
        getattr(sys, stream).close()
        return x * times

    assert evaluate(toy, closes).score == 6


class Nasty(Exception):
    def __str__(self):
        raise SystemExit


class Endless(Exception):
    def __str__(self):
        while True:
            pass


@pytest.mark.parametrize("kind", [Nasty, Endless])
def test_an_exception_with_a_hostile_text_is_an_error_like_any_other(kind):
    def raises(x, *, times=2.0):
        raise kind

    assert evaluate(toy, raises).status == "error"


@pytest.mark.parametrize("value", [10**30, 10**400, -(10**400), complex(2.0), [10**400]])
def test_numbers_of_another_size_or_kind_are_wrong_and_nothing_more(value):
    @exercise("toy.number", reference=lambda: 2.0, points=6)
    def number(rng):
        """Two."""
        yield worked()
        yield random()

    report = evaluate(number, lambda: value)
    assert (report.score, report.status) == (0.0, "wrong")


def test_the_forbidden_function_itself_is_found():
    assert evaluate(toy, np.multiply).status == "forbidden"


def test_the_search_does_not_run_the_imports_of_a_submission(tmp_path, monkeypatch):
    (tmp_path / "explosive_module.py").write_text("raise RuntimeError('imported')", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))

    def careful(x, *, times=2.0):
        try:
            import explosive_module
        except Exception:
            explosive_module = None
        return x * times if explosive_module is None else None

    assert evaluate(toy, careful).score == 6


@pytest.mark.parametrize(
    "line",
    [
        "import xml.sax.saxutils as m; m.escape",
        "import xml.sax.saxutils; xml.sax.saxutils.escape",
        "from xml.sax.saxutils import escape; escape",
        "from xml.sax import saxutils; saxutils.escape",
    ],
)
def test_a_forbidden_function_of_a_module_that_is_not_loaded_is_found(line, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("xml.sax")]:
        monkeypatch.delitem(sys.modules, name)
    namespace = {"__name__": "notebook"}
    exec(f"def f(x, *, times=2.0):\n    {line}\n    return x * times", namespace)
    strict = Exercise("toy.strict", double, toy.cases, 6, forbidden=("xml.sax.saxutils.escape",))
    assert evaluate(strict, namespace["f"]).status == "forbidden"
    assert "xml.sax.saxutils" not in sys.modules


class Evasive:
    def __call__(self, x, *, times=2.0):
        return x * times

    def __getattr__(self, name):
        raise ValueError(name)


def test_an_object_that_will_not_be_looked_at_is_still_called():
    assert evaluate(toy, Evasive()).score == 6


def test_another_default_device_changes_neither_the_question_nor_the_answer():
    def sly(T, S):
        torch.set_default_device("meta")

    try:
        assert evaluate("attention.causal_mask", sly).score == 0
        torch.set_default_device("meta")
        assert evaluate("attention.causal_mask", lambda T, S: torch.ones(T, S).tril(S - T).bool()).score == 6
    finally:
        torch.set_default_device(None)


def test_a_broken_reference_is_no_fault_of_the_submission(capsys):
    def fails(x, *, times=2.0):
        raise ValueError("inside")

    broken = Exercise("toy.broken", fails, toy.cases, 6)
    with pytest.raises(RuntimeError, match=r"The reference of toy\.broken gave no value \(inside\)"):
        evaluate(broken, double)


def test_the_check_cell_never_raises(monkeypatch, capsys):
    monkeypatch.setattr(sys.modules["mlcourse.grading.check"], "evaluate", lambda *_: 1 / 0)
    assert check("linear_regression.r2_score", double) == 0.0
    assert "The check itself failed (ZeroDivisionError)" in capsys.readouterr().out


def test_a_stub_in_one_branch_is_a_failure_not_an_unwritten_exercise():
    def half(x, *, times=2.0):
        if len(x) > 2:
            raise NotImplementedError
        return x * times

    report = evaluate(toy, half)
    assert report.status == "error"
    assert "not written" in report.feedback


def test_properties_are_not_tried_on_wrong_values():
    tried = []

    def wrong(x, *, times=2.0):
        tried.append(x)
        return x

    evaluate(toy, wrong)
    assert len(tried) == 3  # the cases alone


def test_of_two_mistakes_that_explain_equally_well_the_first_is_meant():
    @exercise("toy.twins", reference=double, points=6)
    def twins(rng):
        """Twice the numbers."""
        yield worked(x=np.array([1.0, 2.0]))
        yield random(x=rng.standard_normal(3))

    @twins.misconception("You return the input.")
    def first(x, *, times=2.0):
        return x

    @twins.misconception("You return the input, too.")
    def second(x, *, times=2.0):
        return x + 0

    assert evaluate(twins, lambda x, *, times=2.0: x * 1.0).misconception == "first"


def test_an_input_that_became_something_else_is_changed():
    @exercise("toy.tensor", reference=lambda q: q * 2, points=6)
    def tensors(rng):
        """Twice a tensor."""
        yield worked(q=torch.ones(2, dtype=torch.float64))
        yield random(q=torch.from_numpy(rng.standard_normal(3)))

    def converts(q):
        result = q * 2
        q.data = q.data.bfloat16()
        return result

    assert evaluate(tensors, converts).groups["unchanged"] is False


def test_an_error_of_code_without_lines_is_described():
    def divides():
        return 1 / 0

    width = len(divides.__code__.co_code) // 2
    nowhere = b"".join(bytes([0x80 | 15 << 3 | min(8, left) - 1]) for left in range(width, 0, -8))  # PEP 626's format
    divides.__code__ = divides.__code__.replace(co_linetable=nowhere)
    with pytest.raises(ZeroDivisionError) as caught:
        divides()
    failure = describe(caught.value)
    assert (failure.kind, failure.function, failure.line) == ("ZeroDivisionError", "divides", "")
