"""What the answer is made of: functions of many kinds, one's own earlier functions, odd values."""

from __future__ import annotations

from robustness.accident import ERROR, NOT_WRITTEN, WRONG, Accident, answer, extra_cell, in_r2, right_r2

OWN_GRADIENT = """\
def gradient_descent(A, y, start, step_size, steps):
    path = [np.array(start, dtype=float)]
    for _ in range(steps):
        path.append(path[-1] - step_size * mse_gradient(A, y, path[-1]))
    return np.array(path)"""
GRADIENT_OF_THE_SUM = """\
def mse_gradient(A, y, theta):
    return 2 * A.T @ (A @ theta - y)"""
UNWRITTEN_GRADIENT = """\
def mse_gradient(A, y, theta):
    raise NotImplementedError("not written yet")"""
TIMED = """\
import functools, time

def timed(function):
    @functools.wraps(function)
    def wrapper(*arguments, **keywords):
        start = time.perf_counter()
        result = function(*arguments, **keywords)
        print(f"{time.perf_counter() - start:.3f} s")
        return result
    return wrapper"""
SCORER = f"""\
class Scorer:
    def __call__(self, y, predictions):
        return share(y, predictions)

    def __repr__(self):
        raise RuntimeError("no picture of me")


{right_r2().replace("r2_score", "share")}

r2_score = Scorer()
r2_score"""
NASTY = """\
class Nasty(Exception):
    def __str__(self):
        raise RuntimeError("no words")
raise Nasty"""
NESTED = "loop = []\nloop.append(loop)\nreturn loop"


def calls_its_own(gradient: str | None, lost: dict) -> tuple:
    def change(submission) -> None:
        if gradient is not None:
            submission.answer("mse_gradient", gradient)
        submission.answer("gradient_descent", OWN_GRADIENT)

    return change, lost


def as_shares(ending: str) -> str:
    """Return a cell in which the right function has another name, and r2_score is made from it."""
    return right_r2().replace("r2_score", "share") + f"\n{ending}"


ACCIDENTS = (
    Accident("own function called, right", *calls_its_own(None, {})),
    Accident(
        "own function called, wrong",
        *calls_its_own(GRADIENT_OF_THE_SUM, {"mse_gradient": WRONG, "gradient_descent": WRONG}),
    ),
    Accident(
        "own function called, not written",
        *calls_its_own(UNWRITTEN_GRADIENT, {"mse_gradient": NOT_WRITTEN, "gradient_descent": NOT_WRITTEN}),
    ),
    answer("lambda", "r2_score", as_shares("r2_score = lambda y, p: share(y, p)")),
    answer("partial", "r2_score", as_shares("import functools\nr2_score = functools.partial(share)")),
    answer("object that is called", "r2_score", SCORER),
    answer(
        "method",
        "r2_score",
        as_shares("class Box:\n    def r2(self, y, p):\n        return share(y, p)\n\nr2_score = Box().r2"),
    ),
    answer("decorated", "r2_score", f"{TIMED}\n\n@timed\n{right_r2()}"),
    answer("further parameters", "r2_score", right_r2().replace("predictions):", "predictions, *more, eps=0.0):")),
    answer("annotations", "r2_score", right_r2().replace("predictions):", 'predictions: "Array[n]") -> float:')),
    answer("async function", "r2_score", "async " + right_r2().lstrip(), WRONG),
    answer("generator", "r2_score", right_r2().replace("return", "yield"), WRONG),
    extra_cell("repr that raises", "class A:\n    def __repr__(self):\n        1 / 0\n\nA()"),
    extra_cell("repr that ends", "class A:\n    def __repr__(self):\n        raise SystemExit\n\nA()"),
    extra_cell("picture that raises", "class A:\n    def _repr_html_(self):\n        raise BaseException\n\nA()"),
    in_r2("exception without words", NASTY, ERROR),
    in_r2("exception of half a surrogate pair", 'raise ValueError("\\udcff")', ERROR),
    in_r2("exception of control characters", 'raise ValueError("\\x00\\x1b[31m]]>&<b>")', ERROR),
    in_r2("exception of ten megabytes", 'raise ValueError("x" * 10_000_000)', ERROR),
    in_r2(
        "exceptions of a thousand causes",
        "for i in range(1000):\n    try:\n        1 / 0\n    except Exception as e:\n        f = e\nraise f",
        ERROR,
    ),
    in_r2("group of exceptions", 'raise ExceptionGroup("two", [ValueError(1), ValueError(2)])', ERROR),
    in_r2("returns half a surrogate pair", 'return "\\ud800"', WRONG),
    in_r2("returns a huge number", "return 10**5000", WRONG),
    in_r2("returns nan", 'return float("nan")', WRONG),
    in_r2("returns itself in a list", NESTED, WRONG),
    in_r2("returns a million numbers", "return [1.0] * 1_000_000", WRONG),
    in_r2("returns a huge array", "return np.zeros(60_000_000)", WRONG),
    in_r2("returns an object", "return object()", WRONG),
    in_r2("returns an array of objects", "return np.array([None, {}], dtype=object)", WRONG),
    in_r2("returns its own function", "return r2_score", WRONG),
)
