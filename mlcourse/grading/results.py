"""The results of a batch: one submission, and one course."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mlcourse.grading.by_hand import ByHand
from mlcourse.grading.report import Report

SUBMISSION_STATUSES = ("graded", "partial", "failed")


@dataclass(frozen=True)
class SubmissionResult:
    """What came out of grading one submission.

    Attributes
    ----------
    student : str
    status : str
        graded: every exercise has its verdict. partial: something in the notebook was missing, or ended its process, so
        that a part of it could not be run. failed: there is nothing that could be graded.
    seconds : float
        Wall time that it took.
    message : str
        Why a submission is partial or failed; empty otherwise.
    exercises : list of Report
    """

    student: str
    status: str
    seconds: float = 0.0
    message: str = ""
    exercises: list[Report] = field(default_factory=list)

    @property
    def score(self) -> float:
        """Points in all."""
        return sum(report.score for report in self.exercises)

    @property
    def max_score(self) -> float:
        """Points that could be had."""
        return sum(report.max_score for report in self.exercises)

    @property
    def complete(self) -> bool:
        """Whether every exercise has a verdict; a cell that was stopped or put back takes none away."""
        if self.status == "partial":
            return all(report.status != "missing" for report in self.exercises)
        return self.status == "graded"

    def as_dict(self) -> dict[str, Any]:
        """Return the entry for the JSON file."""
        return {
            "student": self.student,
            "status": self.status,
            "score": self.score,
            "max_score": self.max_score,
            "seconds": round(self.seconds, 4),
            "message": self.message,
            "exercises": [report.as_dict() for report in self.exercises],
        }


@dataclass(frozen=True)
class CourseResult:
    """All submissions of one assignment, in the order of the students' names."""

    assignment: str
    submissions: list[SubmissionResult]
    provisional: bool = False  # graded with a seed drawn for this run alone
    by_hand: ByHand = field(default_factory=ByHand)  # not among the points of the submissions

    @property
    def complete(self) -> bool:
        """Whether every exercise of every submission has a verdict, whatever the marks."""
        return all(submission.complete for submission in self.submissions)

    def as_dict(self) -> dict[str, Any]:
        """Return the content of the JSON file."""
        return {
            "assignment": self.assignment,
            "provisional": self.provisional,
            "submissions": [submission.as_dict() for submission in self.submissions],
        }
