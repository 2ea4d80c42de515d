"""What a student reads after a check."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field
from typing import Any

STATUSES = ("passed", "wrong", "not_written", "error", "timeout", "forbidden", "missing")
LABEL_WIDTH = 17
WIDTH = 100


@dataclass(frozen=True)
class Report:
    """The result of grading one exercise.

    Attributes
    ----------
    name : str
        Full name of the exercise.
    score, max_score : float
        Points, 0 <= score <= max_score.
    status : str
        passed, wrong, not_written, error, timeout, forbidden or missing.
    misconception : str or None
        Name of the known mistake that gives the same outcome.
    feedback : str
        Text that a student reads.
    groups : dict of str to bool
        Which groups of checks passed.
    """

    name: str
    score: float
    max_score: float
    status: str
    feedback: str
    misconception: str | None = None
    groups: dict[str, bool] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the feedback."""
        return self.feedback

    def as_dict(self) -> dict[str, Any]:
        """Return the part of the report that goes into files."""
        return {
            "name": self.name,
            "score": self.score,
            "max_score": self.max_score,
            "status": self.status,
            "misconception": self.misconception,
            "feedback": self.feedback,
        }


def write_report(
    name: str,
    score: float,
    max_score: float,
    status: str,
    lines: list[tuple[str, str]],
    *,
    misconception: str | None = None,
    groups: dict[str, bool] | None = None,
) -> Report:
    """Lay out labelled lines under a headline with the points and return the `Report`."""
    short = name.partition(".")[2] or name
    head = f"{short:<{LABEL_WIDTH + 1}} {points(score)} of {points(max_score)} points"
    feedback = "\n".join([head, *(line for label, text in lines for line in _labelled(label, text))])
    return Report(name, score, max_score, status, feedback, misconception, groups or {})


def points(value: float) -> str:
    """Return points without a needless decimal.

    Examples
    --------
    >>> points(3.0), points(4.5)
    ('3', '4.5')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".")


def _labelled(label: str, text: str) -> list[str]:
    indent = " " * (LABEL_WIDTH + 2)
    lines: list[str] = []
    for paragraph in text.split("\n"):
        lines += textwrap.wrap(paragraph, WIDTH - len(indent), break_on_hyphens=False) or [""]
    first = f"  {label:<{LABEL_WIDTH}}{lines[0]}" if len(label) < LABEL_WIDTH else f"  {label} {lines[0]}"
    return [first, *(indent + line for line in lines[1:])]
