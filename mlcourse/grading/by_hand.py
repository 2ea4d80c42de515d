"""The questions of an assignment that a person grades, and their points: no check knows them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mlcourse.grading.report import points


@dataclass(frozen=True)
class ByHand:
    """What a person grades.

    Attributes
    ----------
    questions : int
    points : float
        Of all these questions together.
    """

    questions: int = 0
    points: float = 0.0

    @property
    def sentence(self) -> str:
        """What stands below a table of the other points; empty where there are no such questions.

        Examples
        --------
        >>> ByHand(1, 6.0).sentence
        '6 more points are for the question that a person grades.'
        >>> ByHand(2, 4.5).sentence
        '4.5 more points are for the 2 questions that a person grades.'
        """
        if not self.questions:
            return ""
        more = "1 more point is" if self.points == 1 else f"{points(self.points)} more points are"
        which = "the question" if self.questions == 1 else f"the {self.questions} questions"
        return f"{more} for {which} that a person grades."


def graded_by_hand(metadata: Iterable[Any]) -> ByHand:
    """Return what a person grades, from the nbgrader metadata of the cells of a notebook.

    A person grades cells that hold an answer and have points, and tasks. Metadata of another form, which students or
    editors may leave behind, is passed over. A cell that stands there twice counts once.

    Examples
    --------
    >>> explain = {"grade_id": "explain", "grade": True, "solution": True, "points": 6}
    >>> checked = {"grade_id": "check", "grade": True, "solution": False, "points": 4}
    >>> graded_by_hand([explain, checked, explain, None])
    ByHand(questions=1, points=6.0)
    """
    found: dict[str, float] = {}
    for about in metadata:
        if not isinstance(about, dict) or not (about.get("task") or (about.get("grade") and about.get("solution"))):
            continue
        worth = about.get("points")
        if isinstance(worth, int | float) and not isinstance(worth, bool) and math.isfinite(worth) and worth > 0:
            found[str(about.get("grade_id"))] = float(worth)
    return ByHand(len(found), sum(found.values()))
