"""The package ``mlcourse.grading`` as a submission sees it while it is graded.

The marks are computed elsewhere, for the check cells that were released; a check in any other cell only says so.
"""

from __future__ import annotations

from typing import Any

__all__ = ["check"]


def check(name: str, candidate: Any) -> float:
    """Say where the points of an exercise are given, and return 0.0.

    Examples
    --------
    >>> check("linear_regression.r2_score", None)
    linear_regression.r2_score: while a notebook is graded, points are given only below its own check cell.
    0.0
    """
    print(f"{name}: while a notebook is graded, points are given only below its own check cell.")
    return 0.0


def __getattr__(name: str) -> Any:
    raise AttributeError(f"mlcourse.grading.{name} is not available while a notebook is graded; only check is.")
