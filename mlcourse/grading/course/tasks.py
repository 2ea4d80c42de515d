"""What goes to the process that grades a submission, and what comes back: plain data, which is imported quickly."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from mlcourse.grading.results import SubmissionResult
from mlcourse.grading.sandbox.limits import Limits


@dataclass(frozen=True)
class ReleasedCell:
    """A cell with a grade id, as it was released."""

    name: str
    kind: str  # "code" or "markdown"
    source: str
    locked: bool
    grade: bool
    solution: bool
    task: bool
    points: float
    checksum: str

    @property
    def metadata(self) -> dict[str, Any]:
        """Its nbgrader metadata."""
        found = {
            "schema_version": 3,
            "grade_id": self.name,
            "grade": self.grade,
            "solution": self.solution,
            "task": self.task,
            "locked": self.locked,
            "cell_type": self.kind,
            "checksum": self.checksum,
        }
        return found | ({"points": self.points} if self.grade or self.task else {})


@dataclass(frozen=True)
class Setting:
    """What all submissions of a batch have in common."""

    assignment: str
    seed: int | None
    released: tuple[ReleasedCell, ...] = ()
    limits: Limits = field(default_factory=Limits)
    isolation: str = "auto"
    secret: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """One notebook to grade."""

    student: str
    name: str  # of the file
    content: bytes
    note: str = ""
    files: tuple[tuple[str, bytes], ...] = ()  # those beside it, by their paths


@dataclass(frozen=True)
class Done:
    """The result of a job, and the notebook with its outputs; empty where nothing could be graded."""

    result: SubmissionResult
    notebook: str = ""
    ours: bool = False  # the grader or the machine failed, not the submission: what was written before stays
