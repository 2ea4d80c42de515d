"""What an accident is: what happened to a notebook that was right, and what it still deserves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from robustness.submission import Submission

LINEAR = "linear_regression"
ATTENTION = "attention"
EXERCISES = {
    LINEAR: ("fit_least_squares", "mse_gradient", "gradient_descent", "fit_ridge", "r2_score", "reduce_loss"),
    ATTENTION: (
        "attention_scores",
        "causal_mask",
        "masked_softmax",
        "scaled_dot_product_attention",
        "split_heads",
        "multi_head_attention",
        "qk_ov_matrices",
        "sinusoidal_positions",
    ),
}
POINTS = 6.0


@dataclass(frozen=True)
class Verdict:
    """The status of one exercise, and its points."""

    status: str
    score: float = 0.0


PASSED = Verdict("passed", POINTS)
WRONG, NOT_WRITTEN, ERROR = Verdict("wrong"), Verdict("not_written"), Verdict("error")
TIMEOUT, FORBIDDEN, MISSING = Verdict("timeout"), Verdict("forbidden"), Verdict("missing")


@dataclass(frozen=True)
class Accident:
    """One submission: the worked solutions, and what happened to them.

    Attributes
    ----------
    name : str
        What happened, in a few words.
    change : callable
        Does it to a `Submission` that holds the worked solutions.
    lost : mapping of str to Verdict
        The exercises that are not right any more, by their short names. All others deserve everything.
    status : str
        Of the submission: graded, partial or failed.
    says : tuple of str
        Words that its message must contain.
    assignment : str
    student : str
        The student's id; made from the name where it is empty.
    """

    name: str
    change: Callable[[Submission], Any]
    lost: Mapping[str, Verdict] = field(default_factory=dict)
    status: str = "graded"
    says: tuple[str, ...] = ()
    assignment: str = LINEAR
    student: str = ""

    @property
    def deserved(self) -> dict[str, Verdict]:
        """The verdict of every exercise of the assignment."""
        return {name: self.lost.get(name, PASSED) for name in EXERCISES[self.assignment]}


def everything(verdict: Verdict, assignment: str = LINEAR) -> dict[str, Verdict]:
    """Return the same verdict for all exercises of an assignment."""
    return dict.fromkeys(EXERCISES[assignment], verdict)


def failed(name: str, change: Callable[[Submission], Any], *says: str) -> Accident:
    """Declare a submission of which nothing can be graded."""
    return Accident(name, change, everything(MISSING), status="failed", says=says)


def extra_cell(name: str, source: str, *, before: str = "r2_score", **declared: Any) -> Accident:
    """Declare a cell that the student added before the solution of an exercise."""
    return Accident(name, lambda submission: submission.insert_before(before, source), **declared)


def answer(name: str, exercise: str, source: str, verdict: Verdict = PASSED, **declared: Any) -> Accident:
    """Declare another text of one solution cell, and the verdict that it deserves."""
    lost = {exercise: verdict, **declared.pop("lost", {})}
    return Accident(name, lambda submission: submission.answer(exercise, source), lost, **declared)


def in_r2(name: str, line: str, verdict: Verdict = PASSED, **declared: Any) -> Accident:
    """Declare a right ``r2_score`` whose function begins with this line (or lines)."""
    return answer(name, "r2_score", right_r2(line), verdict, **declared)


def right_r2(line: str = "pass", before: str = "") -> str:
    """Return a cell with a right ``r2_score``, a line at the beginning of its body, and code above it."""
    body = "\n".join(f"    {part}" for part in line.strip().splitlines())
    return f"{before}\n\n{R2.format(body=body)}".lstrip()


R2 = """\
def r2_score(y, predictions):
{body}
    if np.all(y == y[0]):
        return 1.0 if np.all(predictions == y) else 0.0
    return 1 - np.sum((y - predictions) ** 2) / np.sum((y - np.mean(y)) ** 2)
"""
WRONG_R2 = """\
def r2_score(y, predictions):
    return 0.123
"""
UNWRITTEN_R2 = """\
def r2_score(y, predictions):
    raise NotImplementedError("not written yet")
"""
