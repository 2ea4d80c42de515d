"""What is called shows, however a submission came by it; and nobody is accused for what a library does by itself."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import signal
import sys
import threading
import types

import numpy as np
import pytest
import sklearn.linear_model
import sklearn.metrics
import torch
from torch.nn import functional

from mlcourse.exercises.catalogue import catalogue
from mlcourse.grading import evaluate
from mlcourse.grading.calling import Clock, ShortcutUsedError, make_call
from mlcourse.grading.watch import SWITCHED_OFF, Watch, table_of
from tests.test_handed_on import HONEST, WAYS

FORBIDDEN = (
    *("sklearn.metrics.r2_score", "sklearn.linear_model.Ridge", "numpy.average", "numpy.linalg.lstsq"),
    *("torch.softmax", "torch.Tensor.softmax", "torch.nn.functional.softmax", "torch.nn.Softmax"),
)
# What happens in another process, nobody in this one is told; the other searches find it.
ELSEWHERE = {"another python with the word pip"}
# matplotlib makes a text of a label: what the cell would call is none.
CALLING_NOTHING = {"figure's label"}
X, Y = torch.tensor([0.0, 1.0, 2.0]), np.array([1.0, 2.0, 4.0])


def in_a_copy(action):
    """Return the text that an action returns in a forked process, which may do to itself what it likes."""
    reads, writes = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(30)
            os.close(reads)
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                said = action()
            os.write(writes, said.encode())
        finally:
            os._exit(0)
    os.close(writes)
    with open(reads, encoding="utf-8") as file:
        said = file.read()
    os.waitpid(child, 0)
    return said


def watched(text, folder):
    """Run cells as a notebook's main module, call `total` under the watch, and say what was found."""
    os.chdir(folder)
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    try:
        for cell in ("import numpy as np", *text.split("\n# ---\n")):
            exec(compile(cell, "<cell>", "exec"), vars(main))
        with Watch(("numpy.sum",)):
            eval("total([1, 2, 3])", vars(main))
    except ShortcutUsedError as error:
        return error.name
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "nothing"


@pytest.mark.parametrize("name", sorted(WAYS.keys() - ELSEWHERE - CALLING_NOTHING))
def test_every_way_around_the_text_search_ends_in_a_call(name, tmp_path):
    assert in_a_copy(lambda: watched(WAYS[name], tmp_path)) == "numpy.sum"


@pytest.mark.parametrize("name", sorted(HONEST))
def test_honest_cells_call_nothing_that_is_forbidden(name, tmp_path):
    assert "numpy.sum" not in in_a_copy(lambda: watched(HONEST[name], tmp_path))


def found(action, names=FORBIDDEN):
    """Return what the watch finds in a call, or None."""
    try:
        with Watch(names):
            action()
    except ShortcutUsedError as error:
        return error.name
    return None


HIDDEN = {"r2": sklearn.metrics.r2_score, "softmax": torch.softmax}.values()
CALLS = {
    "by its name": (lambda: sklearn.metrics.r2_score(Y, Y), "sklearn.metrics.r2_score"),
    "in a view": (lambda: next(iter(HIDDEN))(Y, Y), "sklearn.metrics.r2_score"),
    "by map": (lambda: list(map(next(iter(HIDDEN)), [Y], [Y])), "sklearn.metrics.r2_score"),
    "by reduce": (lambda: functools.reduce(sklearn.metrics.r2_score, [Y, Y]), "sklearn.metrics.r2_score"),
    "by partial": (lambda: functools.partial(sklearn.metrics.r2_score, Y)(Y), "sklearn.metrics.r2_score"),
    "by a library that was given it": (lambda: np.apply_along_axis(np.average, 0, Y), "numpy.average"),
    "by vectorize": (
        lambda: np.vectorize(sklearn.metrics.r2_score, signature="(n),(n)->()")(Y, Y),
        "sklearn.metrics.r2_score",
    ),
    "an array function": (lambda: np.average(Y), "numpy.average"),
    "a class": (lambda: sklearn.linear_model.Ridge().fit(Y[:, None], Y), "sklearn.linear_model.Ridge"),
    "a function in C": (lambda: torch.softmax(X, 0), "torch.softmax"),
    "a function in C by map": (lambda: list(map(torch.softmax, [X], [0])), "torch.softmax"),
    "a method in C": (lambda: X.softmax(0), "torch.Tensor.softmax"),
    "a method in C of its class": (lambda: torch.Tensor.softmax(X, 0), "torch.Tensor.softmax"),
    "a method in C by map": (lambda: list(map(X.softmax, [0])), "torch.Tensor.softmax"),
    "in vmap": (lambda: torch.vmap(lambda x: x.softmax(0))(X[None]), "torch.Tensor.softmax"),
    "in another thread": (lambda: in_thread(lambda: torch.softmax(X, 0)), "torch.softmax"),
    "an error that is swallowed": (lambda: swallowing(lambda: np.average(Y)), "numpy.average"),
}


def in_thread(action):
    thread = threading.Thread(target=lambda: swallowing(action))
    thread.start()
    thread.join()


def swallowing(action):
    with contextlib.suppress(BaseException):
        action()


@pytest.mark.parametrize("name", CALLS)
def test_a_call_is_found(name):
    action, expected = CALLS[name]
    assert found(action) == expected


def derived(w, x):
    torch.sigmoid(x @ w).sum().backward()


def derived_by_map(w, x):
    list(map(torch.Tensor.backward, [torch.sigmoid(x @ w).sum()]))


def derived_as_a_function(w, x):
    torch.autograd.grad([torch.sigmoid(x @ w).sum()], [w])


DERIVING = ("torch.Tensor.backward", "torch.autograd.backward", "torch.autograd.grad")


@pytest.mark.parametrize("how", [derived, derived_by_map, derived_as_a_function])
def test_derivatives_by_torch_are_found(how):
    w, x = torch.ones(3, requires_grad=True), torch.ones(2, 3)
    assert found(lambda: how(w, x), DERIVING) in DERIVING


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_what_torch_has_compiled_is_not_seen_so_that_words_have_to_forbid_it():
    """Why a name that is forbidden stays so where a notebook has a method of that name."""
    w, x = torch.ones(3, requires_grad=True), torch.ones(2, 3)
    compiled = torch.jit.script(derived)
    assert found(lambda: compiled(w, x), DERIVING) is None
    assert w.grad is not None


def test_an_object_that_was_made_before_is_found():
    module, ridge = torch.nn.Softmax(0), sklearn.linear_model.Ridge().fit(Y[:, None], Y)
    assert found(lambda: module(X)) == "torch.nn.Softmax"
    assert found(lambda: ridge.predict(Y[:, None])) == "sklearn.linear_model.Ridge"
    assert found(lambda: ridge.fit(Y[:, None], Y)) == "sklearn.linear_model.Ridge"


LEFT_ALONE = {
    "a library for its own ends": lambda: np.polyfit(Y, Y, 1),
    "softmax inside a loss": lambda: functional.cross_entropy(X, torch.tensor(1)),
    "another class with the same decorator": lambda: sklearn.linear_model.LinearRegression().fit(Y[:, None], Y),
    "own code of the same name": lambda: own_softmax(X),
    "vmap": lambda: torch.vmap(torch.exp)(X),
    "a jacobian": lambda: torch.func.jacrev(torch.exp)(X),
    "a layer": lambda: torch.nn.Linear(3, 2)(X).tolist(),
    "a recursion": lambda: factorial(50),
    "an error": lambda: swallowing(lambda: [][0]),
}


def own_softmax(x):
    def softmax(x):
        return torch.exp(x) / torch.exp(x).sum()

    return softmax(x)


def factorial(n):
    return 1 if n == 0 else n * factorial(n - 1)


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_is_no_shortcut_is_left_alone(name):
    assert found(LEFT_ALONE[name]) is None


def test_a_text_that_claims_a_file_of_a_library_is_the_submissions_own():
    names = {"torch": torch, "X": X}
    code = compile("torch.softmax(X, 0)", functional.__file__, "eval")
    assert found(lambda: eval(code, names)) == "torch.softmax"
    assert found(lambda: eval(code, {**names, "__name__": functional.__name__})) == "torch.softmax"


def test_a_module_that_is_loaded_in_the_call(tmp_path, monkeypatch):
    (tmp_path / "loaded_late.py").write_text("def total(x):\n    return sum(x)\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert found(lambda: __import__("loaded_late").total([1]), ("loaded_late.total",)) == "loaded_late.total"
    sys.modules.pop("loaded_late")


def test_what_was_found_stays_forbidden_when_its_module_is_replaced(monkeypatch):
    names = ("sklearn.metrics.r2_score", "sklearn.metrics.d2_tweedie_score")
    score = sklearn.metrics.r2_score
    table_of(names)
    monkeypatch.setitem(sys.modules, "sklearn.metrics", types.ModuleType("sklearn.metrics"))
    assert found(lambda: score(Y, Y), names) == "sklearn.metrics.r2_score"


def caught_recursion():
    def deeper():
        return deeper()

    with contextlib.suppress(RecursionError):
        deeper()
    return np.average(Y)


def switched_off():
    sys.setprofile(None)
    return np.average(Y)


def switched_off_by_map():
    list(map(sys.setprofile, [None]))
    return np.average(Y)


def switched_off_for_threads():
    threading.setprofile(None)
    return in_thread(lambda: np.average(Y))


def profiled():
    import cProfile

    return cProfile.Profile().runcall(np.average, Y)


def mode_taken_away():
    from torch.overrides import _pop_mode

    _pop_mode()


@pytest.mark.parametrize(
    "action",
    [switched_off_for_threads, caught_recursion, switched_off, switched_off_by_map, profiled, mode_taken_away],
    ids=lambda f: f.__name__,
)
def test_whoever_switches_the_watch_off_gets_nothing(action):
    assert found(action) == SWITCHED_OFF


def test_afterwards_everything_is_as_before():
    def own(*event):
        return None

    before = sys.getprofile()
    try:
        sys.setprofile(own)
        found(lambda: torch.softmax(X, 0))
        found(lambda: torch.exp(X))
        assert sys.getprofile() is own
    finally:
        sys.setprofile(before)
    assert torch.overrides._get_current_function_mode() is None


def test_it_is_told_before_the_function_runs_and_cannot_be_stopped():
    told, ran = [], []
    names = ("numpy.average",)
    with contextlib.suppress(ShortcutUsedError), Watch(names, told.append):
        swallowing(lambda: ran.append(np.average(Y)))
    assert told[0] == "numpy.average"
    assert ran == []


def test_an_outcome_says_which_function():
    outcome = make_call(lambda given: np.average(given["y"]), {"y": Y}, Clock(5.0), Watch(FORBIDDEN))
    assert outcome.shortcut == "numpy.average"
    assert outcome.is_final
    assert not outcome.returned


def test_a_check_of_ones_own_work_says_it_too():
    views = {}
    values = views.values()
    views["r2"] = sklearn.metrics.r2_score
    report = evaluate("linear_regression.r2_score", lambda y, predictions: float(next(iter(values))(y, predictions)))
    assert (report.status, report.score) == ("forbidden", 0.0)
    assert "sklearn.metrics.r2_score" in report.feedback


def test_a_shortcut_that_is_taken_late_takes_all_points():
    values, calls = {"r2": sklearn.metrics.r2_score}.values(), []

    def late(y, predictions):
        calls.append(y)
        if len(calls) > 4:
            return float(next(iter(values))(y, predictions))
        return float(1 - ((y - predictions) ** 2).sum() / ((y - y.mean()) ** 2).sum())

    report = evaluate("linear_regression.r2_score", late)
    assert (report.status, report.score) == ("forbidden", 0.0)


def test_a_profiler_of_ones_own_is_left_to_its_work():
    import cProfile

    profiler = cProfile.Profile()
    report = profiler.runcall(evaluate, "linear_regression.r2_score", lambda y, predictions: 0.0)
    assert report.status == "wrong"
    assert any("evaluate" in str(entry.code) for entry in profiler.getstats())


@pytest.mark.parametrize("name", [name for name, exercise in catalogue().items() if exercise.forbidden])
def test_references_pass_where_their_own_calls_are_watched(name):
    exercise = catalogue()[name]
    with Watch(exercise.forbidden):
        report = evaluate(exercise, exercise.reference)
    assert report.status == "passed"
