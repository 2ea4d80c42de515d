"""The engine: what may come back, what is compared, what is said, and what it is worth."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from mlcourse.exercises import find
from mlcourse.exercises.protocol import Exercise, edge, exercise, random, worked
from mlcourse.grading import evaluate
from mlcourse.grading.calling import Outcome, changed_inputs
from mlcourse.grading.candidate import LocalCandidate
from mlcourse.grading.evaluate import Grading, grade, prepare
from mlcourse.grading.explain import show_inputs
from mlcourse.grading.plain import to_plain
from mlcourse.grading.shortcuts import Check, find_shortcuts


def weighted_sum(X, w):
    """Return X w."""
    return X @ w


FORBIDDEN = ("numpy.einsum", "torch.Tensor.mv", "torch.nn.functional.linear")


@exercise("toy.weighted_sum", reference=weighted_sum, points=6, forbidden=FORBIDDEN)
def toy(rng):
    """The weighted sum of each row."""
    yield worked(X=np.array([[1.0, 2.0, 3.0]]), w=np.array([1.0, 0.0, 2.0]))
    for n, p in [(3, 4), (2, 5)]:
        yield random(X=rng.standard_normal((n, p)), w=rng.standard_normal(p))
    yield edge(X=np.zeros((0, 3)), w=np.ones(3))
    yield edge(X=np.array([[np.nan, 1.0]]), w=np.array([0.0, 1.0]))


@toy.always("Twice the rows give twice the sums.")
def homogeneous(call, rng):
    X, w = rng.standard_normal((3, 2)), rng.standard_normal(2)
    return np.allclose(call(X=2 * X, w=w), 2 * call(X=X, w=w))


@toy.misconception("You add the weights. A weighted sum multiplies each entry by its weight before adding.")
def adds_the_weights(X, w):
    return (X + w).sum(1)


@toy.misconception("The product has its factors the wrong way round: the shapes do not meet.")
def reversed_factors(X, w):
    return w @ X


@toy.misconception("You write into X. The caller still needs it: work on a copy.")
def writes_into_its_input(X, w):
    X *= w
    return X.sum(1)


@toy.misconception("You leave rows with nan out. A missing value must stay visible.")
def hides_nan(X, w):
    return np.nan_to_num(X) @ w


class Liar(np.ndarray):
    """Says that it equals everything."""

    def __eq__(self, other):
        return np.ones(self.shape, bool)


def loops_forever(X, w):
    while True:
        pass


def test_the_reference_passes():
    report = evaluate(toy, weighted_sum)
    assert (report.score, report.status, report.misconception) == (6.0, "passed", None)
    assert "6 of 6 points" in report.feedback


def test_another_way_to_the_right_answer_passes():
    def by_loop(matrix, vector):
        return np.array([sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix], dtype=float)

    assert evaluate(toy, by_loop).score == 6


@pytest.mark.parametrize("mistake", toy.misconceptions, ids=lambda mistake: mistake.name)
def test_each_known_mistake_gets_its_own_hint_and_no_points(mistake):
    report = evaluate(toy, mistake.implementation)
    assert (report.score, report.misconception) == (0.0, mistake.name)
    assert mistake.hint.split(":")[0] in " ".join(report.feedback.split())


def test_a_mistake_written_in_other_words_is_recognized():
    def mine(features, weights):
        return np.array([np.sum(row) + np.sum(weights) for row in features])

    assert evaluate(toy, mine).misconception == "adds_the_weights"


def test_a_crash_of_the_same_kind_is_recognized_by_its_sizes():
    def mine(X, w):
        return np.matmul(w, X)

    assert evaluate(toy, mine).misconception == "reversed_factors"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda X, w: None, "nothing (None)"),
        (lambda X, w: (X @ w)[:, None], "expected shape (1,), got (1, 1)"),
        (lambda X, w: (X @ w).astype(np.float32), "expected dtype float64, got float32"),
        (lambda X, w: torch.tensor(X @ w), "a torch tensor of shape (1,)"),
        (lambda X, w: (X @ w).tolist(), "a list of 1"),
        (lambda X, w: np.full(len(X), np.nan), "nan or infinite"),
        (lambda X, w: 2 * (X @ w), "2 times too large"),
        (lambda X, w: -(X @ w), "the sign is reversed"),
        (lambda X, w: (X @ w).view(Liar), "a value of type Liar"),
        (lambda X, w: {1}, "a value of type set"),
        (lambda X, w: np.array(["a"]), "holds no numbers"),
        (lambda X, w: X.nothing, "your code raises AttributeError"),
        (lambda X: X, "It is called with (X, w)"),
        (lambda X, w: exit(3), "your code raises SystemExit"),
    ],
)
def test_what_is_wrong_is_said_and_earns_nothing(answer, words):
    report = evaluate(toy, answer)
    assert report.score == 0
    assert words in " ".join(report.feedback.split())


@pytest.mark.parametrize("absent", [None, 3, "weighted_sum"])
def test_what_is_no_function_is_missing(absent):
    assert evaluate(toy, absent).status == "missing"


def test_the_stub_is_not_an_error():
    def stub(X, w):
        raise NotImplementedError("not written yet")

    report = evaluate(toy, stub)
    assert (report.score, report.status) == (0.0, "not_written")
    assert "Not written yet" in report.feedback


def test_a_stub_behind_a_function_that_is_written_is_named():
    def stub(X, w):
        raise NotImplementedError("not written yet")

    report = evaluate(toy, lambda X, w: stub(X, w))
    assert report.status == "not_written"
    assert "It calls stub, which is not written yet" in report.feedback


NOTEBOOK = """
def mse_gradient(A, y, theta):
    return {sign}2 * A.T @ (A @ theta - y) / len(y)

def gradient_descent(A, y, start, step_size, steps):
    path = [start]
    for _ in range(steps):
        path.append(path[-1] {step} step_size * mse_gradient(A, y, path[-1]))
    return np.array(path)
"""


@pytest.mark.parametrize(
    ("sign", "step", "hint", "cause"),
    [("", "-", None, False), ("", "+", "plus_sign", False), ("-", "-", None, True)],
    ids=["both right", "wrong here", "wrong in what it calls"],
)
def test_a_failure_that_an_earlier_function_caused_says_so(sign, step, hint, cause):
    namespace = {"np": np, "__name__": "notebook"}
    exec(NOTEBOOK.format(sign=sign, step=step), namespace)
    report = evaluate("linear_regression.gradient_descent", namespace["gradient_descent"])
    assert report.misconception == hint
    assert ("It calls mse_gradient, which fails its own check." in report.feedback) is cause


def test_a_matrix_product_of_wrong_sizes_asks_for_a_transpose():
    def forgot(X, w):
        return X.T @ w

    wide = Exercise("toy.wide", lambda X, w: X @ w, toy.cases, 6)
    report = evaluate(wide, forgot)
    assert "Is a transpose (.T, .mT) missing" in report.feedback


def test_an_endless_loop_is_tried_once():
    calls = []

    def hangs(X, w):
        calls.append(1)
        loops_forever(X, w)

    evaluate(Exercise("toy.quick", weighted_sum, toy.cases, 6, time_limit=0.2), hangs)
    assert len(calls) == 1


def test_an_error_of_a_library_is_no_stub():
    def asks_too_much(X, w):
        return torch.empty(2, device="meta").numpy()

    assert evaluate(toy, asks_too_much).status == "error"


def test_an_endless_loop_ends():
    quick = Exercise("toy.quick", weighted_sum, toy.cases, 6, time_limit=0.2)
    report = evaluate(quick, loops_forever)
    assert (report.score, report.status) == (0.0, "timeout")
    assert "0.2 s" in report.feedback


def test_right_up_to_the_edge_earns_the_groups_that_pass():
    def fails_on_nothing(X, w):
        if not len(X):
            raise ValueError("no rows")
        return X @ w

    report = evaluate(toy, fails_on_nothing)
    assert report.score == pytest.approx(5.0)  # 3 for the core, 1 each for the property and the unchanged inputs
    assert report.groups["edge"] is False
    assert "no rows" in report.feedback


def test_a_property_that_fails_is_named():
    @exercise("toy.property", reference=weighted_sum, points=6)
    def only_small(rng):
        """Only one case."""
        yield worked(X=np.ones((1, 1)), w=np.ones(1))
        yield random(X=np.ones((2, 1)), w=np.ones(1))

    only_small.always("Twice the rows give twice the sums.")(homogeneous)
    report = evaluate(only_small, lambda X, w: np.ones(len(X)))
    assert report.score == pytest.approx(4.5)
    assert "Twice the rows give twice the sums." in report.feedback


REDUCE_LOSS = """
def reduce_loss(losses, weights):
    losses.sort()
    return losses.mean(), losses[-1], losses @ weights / weights.sum()
"""
GRADIENT_DESCENT = """
def gradient_descent(A, y, start, step_size, steps):
    path = []
    for _ in range(steps + 1):
        path.append(start)
        start -= step_size * 2 / len(y) * A.T @ (A @ start - y)
    return np.array(path)
"""


@pytest.mark.parametrize(
    ("name", "text", "changed"),
    [("reduce_loss", REDUCE_LOSS, "losses"), ("gradient_descent", GRADIENT_DESCENT, "start")],
    ids=["sorted in place", "every row is the same array"],
)
@pytest.mark.parametrize("reveal", [True, False])
def test_a_changed_input_is_named_beside_the_wrong_values_that_it_gives(name, text, changed, reveal):
    namespace = {"np": np}
    exec(text, namespace)
    report = whole_report(find(f"linear_regression.{name}"), namespace[name], reveal)
    assert report.feedback.count("wrong value") == 1
    assert f"inputs           Your function changes its input {changed}. Work on a copy" in report.feedback


def writes_in_a_random_case_and_fails(X, w):
    if len(X) > 1:
        w *= 2
        raise ValueError(str(X))
    return X @ w


def writes_and_breaks_the_property(X, w):
    result = X @ w if len(X) != 3 or X.shape[1] != 2 else np.ones(3)
    X *= 0
    w *= 0
    return result


def writes_alone(X, w):
    result = X @ w
    w[:] = 7
    return result


@pytest.mark.parametrize("reveal", [True, False])
@pytest.mark.parametrize(
    ("submission", "first", "changed"),
    [
        (writes_in_a_random_case_and_fails, "random case      your code raises ValueError", "w"),
        (writes_and_breaks_the_property, "property         Twice the rows give twice the sums.", "X and w"),
        (writes_alone, "inputs           Your function changes its input", "w"),
    ],
)
def test_a_changed_input_is_named_once_whatever_failed_first(submission, first, changed, reveal):
    report = whole_report(toy, submission, reveal)
    assert first in report.feedback.splitlines()[1]
    words = " ".join(report.feedback.split())
    assert words.count("Your function changes its input") == 1
    assert f"Your function changes its input {changed}. Work on a copy, or build a new array." in words
    assert report.groups["unchanged"] is False


def test_an_unchanged_input_is_not_named():
    assert "changes its input" not in evaluate(toy, lambda X, w: 2 * (X @ w)).feedback


def whole_report(exercise, submission, reveal):
    """Return the report on a submission, as a notebook shows it or as it is where the seed is secret."""
    grading = Grading(prepare(exercise), LocalCandidate(exercise, submission), reveal=reveal)
    grading.prepared.answer_all()
    grading.try_worked()
    grading.try_rest()
    return grading.report()


def test_the_inputs_of_one_call_are_not_those_of_the_next():
    seen = []

    def keeps(X, w):
        seen.append(X)
        result = X @ w
        for old in seen[:-1]:
            old[...] = 0
        return result

    assert evaluate(toy, keeps).score == 6


SHORTCUTS = {
    "global": "def f(X, w):\n    return np.einsum('np,p->n', X, w)",
    "alias": "g = np.einsum\ndef f(X, w):\n    return g('np,p->n', X, w)",
    "module alias": "n = np\ndef f(X, w):\n    return n.einsum('np,p->n', X, w)",
    "helper": "def h(X, w):\n    return np.einsum('np,p->n', X, w)\ndef f(X, w):\n    return h(X, w)",
    "inner function": "def f(X, w):\n    def g():\n        return np.einsum('np,p->n', X, w)\n    return g()",
    "import inside": "def f(X, w):\n    import numpy\n    return numpy.einsum('np,p->n', X, w)",
    "import as": "def f(X, w):\n    import numpy as n\n    return n.einsum('np,p->n', X, w)",
    "import deep": "def f(X, w):\n    import torch.nn.functional as F\n    return F.linear(X, w)",
    "import from": "def f(X, w):\n    from numpy import array, einsum as e\n    return e('np,p->n', X, w)",
    "method": "def f(X, w):\n    import torch\n    return torch.tensor(X).mv(torch.tensor(w)).numpy()",
    "default": "def f(X, w, g=np.einsum):\n    return g('np,p->n', X, w)",
    "partial": "import functools\nf = functools.partial(np.einsum, 'np,p->n')",
    "cached": "import functools\n@functools.cache\ndef g():\n    return np.einsum\n"
    "def f(X, w):\n    return g()('np,p->n', X, w)",
    "table": "table = {'g': np.einsum}\ndef f(X, w):\n    return table['g']('np,p->n', X, w)",
    "instance": "class C:\n    def __call__(self, X, w):\n        return np.einsum('np,p->n', X, w)\nf = C()",
    "attribute": "class C:\n    def __init__(self):\n        self.g = np.einsum\n    def __call__(self, X, w):\n"
    "        return self.g('np,p->n', X, w)\nf = C()",
    "static method": "class C:\n    @staticmethod\n    def g(X, w):\n"
    "        return np.einsum('np,p->n', X, w)\nf = C.g",
    "closure": "def make(g):\n    def f(X, w):\n        return g('np,p->n', X, w)\n    return f\nf = make(np.einsum)",
    "reference": "def f(X, w):\n    return weighted_sum_of_the_course(X, w)",
    "catalogue": "from mlcourse.exercises import find\n"
    "def f(X, w):\n    return find('toy.weighted_sum').reference(X, w)",
}


@pytest.mark.parametrize("shortcut", SHORTCUTS)
def test_shortcuts_are_found_through_every_path(shortcut):
    namespace = {"np": np, "weighted_sum_of_the_course": weighted_sum, "__name__": "notebook"}
    exec(SHORTCUTS[shortcut], namespace)
    assert evaluate(toy, namespace["f"]).status == "forbidden"


def test_the_other_references_of_the_chapter_are_forbidden_too():
    text = "import mlcourse.linear_regression as lr\ndef f(A, y, theta):\n    return lr.mse_loss(A, y, theta)"
    namespace = {"__name__": "notebook"}
    exec(text, namespace)
    report = evaluate("linear_regression.mse_gradient", namespace["f"])
    assert report.status == "forbidden"
    assert "mlcourse.linear_regression" in report.feedback


def test_an_honest_function_of_the_same_name_is_no_shortcut():
    def honest(X, w):
        """Do without np.einsum."""

        def einsum(rows, weights):
            return rows @ weights  # not np.einsum

        return einsum(X, w)

    assert evaluate(toy, honest).score == 6


OWN_METHODS = {
    "class": "class Row:\n    def __init__(self, X): self.X = X\n    def mv(self, w): return self.X @ w\n"
    "def f(X, w): return Row(X).mv(w)",
    "self": "class F:\n    def mv(self, X, w): return X @ w\n"
    "    def __call__(self, X, w): return self.mv(X, w)\nf = F()",
    "namespace": "import types\ntools = types.SimpleNamespace(mv=lambda X, w: X @ w)\n"
    "def f(X, w): return tools.mv(X, w)",
    "field": "from collections import namedtuple\nPair = namedtuple('Pair', 'mv w')\n"
    "def f(X, w): return Pair(X @ w, w).mv",
    "class inside": "def f(X, w):\n    class Row:\n        def mv(self): return X @ w\n    return Row().mv()",
    "attribute set": "class Row: pass\ndef f(X, w):\n    row = Row()\n    row.mv = X @ w\n    return row.mv",
}


@pytest.mark.parametrize("kind", OWN_METHODS)
def test_an_own_method_of_the_name_of_a_forbidden_one_is_no_shortcut(kind):
    namespace = {"np": np, "__name__": "notebook"}
    exec(OWN_METHODS[kind], namespace)
    assert "torch.Tensor.mv" in toy.forbidden
    assert evaluate(toy, namespace["f"]).score == 6
    check = Check(1, "f", toy.forbidden, "mlcourse.toy")
    assert find_shortcuts([OWN_METHODS[kind]], {"toy": check}) == {}


BESIDE = {
    "dict": "ways = {'mine': mine, 'theirs': np.einsum}\ndef f(X, w): return ways['mine'](X, w)",
    "list": "ways = [mine, np.einsum]\ndef f(X, w): return ways[0](X, w)",
    "nested": "ways = {'a': [mine, np.einsum]}\ndef f(X, w): return ways['a'][0](X, w)",
    "local": "ways = {'mine': mine, 'theirs': np.einsum}\ndef f(X, w):\n    way = ways['mine']\n    return way(X, w)",
}


@pytest.mark.parametrize("kind", BESIDE)
def test_what_stands_beside_a_function_in_a_table_is_not_used(kind):
    namespace = {"np": np, "__name__": "notebook"}
    exec(f"def mine(X, w): return X @ w\n{BESIDE[kind]}", namespace)
    assert evaluate(toy, namespace["f"]).score == 6
    for text in (BESIDE[kind].replace("['mine']", "['theirs']").replace("[0]", "[1]"), f"k = 'mine'\n{BESIDE[kind]}"):
        unknown = text.replace("ways['mine']", "ways[k]").replace("[0]", "[k]")
        exec(f"def mine(X, w): return X @ w\n{unknown}", namespace)
        assert evaluate(toy, namespace["f"]).status == "forbidden", unknown


def test_an_own_method_hides_no_other_one_of_its_name_from_the_search_of_the_text():
    text = (
        "class Row:\n    def mv(self, w): return w\ndef f(X, w):\n    import torch\n"
        "    return torch.tensor(X).mv(torch.tensor(w)).numpy()"
    )
    check = Check(1, "f", toy.forbidden, "mlcourse.toy")
    assert find_shortcuts([text], {"toy": check}) == {"toy": "torch.Tensor.mv"}


def test_the_seed_decides_the_random_cases_and_the_result_is_repeatable():
    drawn = []

    def spy(X, w):
        drawn.append(X.copy())
        return X @ w

    evaluate(toy, spy, seed=1)
    first = [x.tobytes() for x in drawn]
    drawn.clear()
    evaluate(toy, spy, seed=1)
    assert [x.tobytes() for x in drawn] == first
    drawn.clear()
    evaluate(toy, spy, seed=2)
    assert [x.tobytes() for x in drawn] != first


def test_it_works_in_a_thread():
    reports = []
    worker = threading.Thread(target=lambda: reports.append(evaluate(toy, weighted_sum)))
    worker.start()
    worker.join()
    assert reports[0].score == 6


def test_what_the_submission_prints_is_shown_once_and_kept_off_the_screen(capsys):
    def talks(X, w):
        print("I am here")
        return X @ w + 1

    report = evaluate(toy, talks)
    assert "I am here" in report.feedback
    assert capsys.readouterr() == ("", "")


def test_two_functions_in_the_wrong_order_are_told_so():
    split, merge = find("attention.split_heads").reference
    report = evaluate("attention.split_heads", (merge, split))
    assert report.status == "missing"
    assert "another order: (split_heads, merge_heads)" in report.feedback


def test_a_library_that_has_not_written_something_is_an_error_of_the_submission():
    report = evaluate(toy, lambda X, w: torch.nn.Module()(w))
    assert report.status == "error"
    assert "NotImplementedError" in report.feedback


def test_two_misconceptions_of_one_name_are_refused():
    with pytest.raises(ValueError, match="two misconceptions called 'adds_the_weights'"):
        toy.misconception("Again.", name="adds_the_weights")(weighted_sum)


def test_a_property_meets_values_of_another_shape_without_an_error():
    @exercise("toy.shape", reference=weighted_sum, points=6)
    def one_row(rng):
        """Only one row in the cases, so that a wrong axis shows in the property alone."""
        yield worked(X=np.ones((1, 1)), w=np.ones(1))
        yield random(X=np.full((1, 1), rng.standard_normal()), w=np.ones(1))

    @one_row.always("One sum for each row.")
    def one_for_each(call, rng):
        return call(X=np.ones((3, 2)), w=np.ones(2)) == 2

    report = evaluate(one_row, lambda X, w: (X * w).sum(0))
    assert report.score == pytest.approx(4.5)
    assert "One sum for each row." in report.feedback


class Vanishing:
    """Answers with a constant, and ends its process, or its time, when a case of one group comes."""

    def __init__(self, last: str, answer, **end) -> None:
        self.last = last
        self.answer = answer
        self.end = end

    def call(self, inputs):
        group = "edge" if inputs["X"].shape[0] == 0 else "worked" if inputs["X"].shape == (1, 3) else "random"
        if group == self.last:
            return Outcome(**self.end)
        return Outcome(value=to_plain(self.answer(**inputs)))

    def calls(self, several):
        yield from map(self.call, several)


@pytest.mark.parametrize(
    "end", [{"timed_out": True, "ended": True}, {"ended": True, "failure": None}, {"timed_out": True}]
)
@pytest.mark.parametrize(
    ("last", "answer", "score"),
    [
        ("edge", lambda X, w: np.full(len(X), 7.0), 0),
        ("edge", lambda X, w: np.full(len(X), 7.0) if len(X) > 1 else X @ w, 0),
        ("edge", weighted_sum, 3),
        ("random", weighted_sum, 0),
        ("worked", weighted_sum, 0),
    ],
)
def test_an_early_end_hides_no_wrong_answer(last, answer, score, end):
    assert grade(toy, Vanishing(last, answer, **end)).score == score


def test_a_number_is_as_good_as_an_array_without_dimensions_in_properties_too():
    def loss(logits, targets):
        chosen = torch.log_softmax(logits, -1).gather(-1, targets[..., None])
        return float(-chosen.mean())

    report = evaluate("transformer.language_model_loss", loss)
    assert (report.score, report.status) == (6, "passed")


def test_inputs_that_look_like_whole_numbers_are_shown_in_full():
    shown = show_inputs({"x": np.array([1e-12, 0.5]), "u": np.array([1 - 1e-9])})
    assert "1.e-12" in shown
    assert "0.999999999" in shown


def test_inputs_in_dicts_and_long_lists_are_shown_by_their_shape():
    block = {"gain": torch.ones(3, dtype=torch.float64), "n": 2}
    shown = show_inputs({"block": block, "words": [["sea", "ark"]] * 50, "text": "x" * 500})
    assert shown.startswith("block = {gain: (float64 array of shape (3,)), n: 2}, words = (list of 50), text = 'xxx")
    assert "PlainArray" not in shown
    assert len(shown) < 300


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        (np.array([1.0, np.nan]), np.array([1.0, np.nan]), True),
        (np.array([0.0]), np.array([-0.0]), True),
        (np.array([1, 2]), np.array([1, 3]), False),
        (np.array([1, 2]), np.array([[1, 2]]), False),
        (np.array([1, 2], dtype="int32"), np.array([1, 2], dtype="int64"), False),
        (np.zeros(0), np.zeros(0), True),
        (np.arange(6).reshape(2, 3).T, np.arange(6).reshape(2, 3).T.copy(), True),
        (np.array([1.0]), [1.0], False),
        (torch.tensor([1.0, torch.nan]), torch.tensor([1.0, torch.nan]), True),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]), False),
        (torch.tensor([True, False]), torch.tensor([True, True]), False),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.0]).requires_grad_(), True),
        (torch.tensor([1.0 + 2.0j]), torch.tensor([1.0 - 2.0j]).conj(), True),
        (torch.tensor([1.0 + 2.0j]), torch.tensor([1.0 + 2.0j]).conj(), False),
        (torch.tensor([1.0, 2.0]), torch.tensor([1.0]), False),
        (torch.tensor([1.0]), np.array([1.0], dtype="float32"), False),
    ],
)
def test_an_input_has_changed_where_its_values_shape_or_type_have(before, after, same):
    assert changed_inputs({"x": before}, {"x": after}) == (() if same else ("x",))
