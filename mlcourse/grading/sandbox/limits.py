"""What a submission may use."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

MIB = 2**20
LEAST_SECONDS = 0.1
MOST_SECONDS = 86_400.0  # a day: clocks of the system refuse some longer times, and the code would get no time at all


def checked_seconds(name: str, seconds: float) -> float:
    """Return a time that a clock can be set to.

    Raises
    ------
    ValueError
        If it is not from a tenth of a second to a day.
    """
    if not LEAST_SECONDS <= seconds <= MOST_SECONDS:  # not a number is in no range
        raise ValueError(
            f"{name} is {seconds:g}, but must be a number of seconds from {LEAST_SECONDS:g} to {MOST_SECONDS:.0f}, "
            "which is a day."
        )
    return seconds


@dataclass(frozen=True)
class Limits:
    """Limits of one submission.

    Attributes
    ----------
    memory : int
        Bytes beyond those of the libraries: for each process, and for all processes of the submission together.
    processes : int
        Processes and threads at a time.
    file_size : int
        Bytes of one file.
    disk : int
        Bytes of its temporary folder, which lies in memory.
    output : int
        Characters that one cell may print; the rest is cut, with a note.
    cell_seconds : float
        Seconds of the processor for one cell; a cell that only waits is stopped after four times as long.
    exercise_seconds : float
        Seconds on the wall for all calls of one exercise.
    submission_seconds : float
        Seconds on the wall for one submission.
    processor_seconds : int
        Seconds of the processor for each process of a submission.
    restarts : int
        How often a submission that ends its own process is started anew.
    """

    memory: int = 2048 * MIB
    processes: int = 64
    file_size: int = 64 * MIB
    disk: int = 128 * MIB
    output: int = 200_000
    cell_seconds: float = 60.0
    exercise_seconds: float = 60.0
    submission_seconds: float = 600.0
    processor_seconds: int = 900
    restarts: int = 8

    def __post_init__(self) -> None:
        """Refuse a time that no clock can be set to."""
        for name in ("cell_seconds", "exercise_seconds", "submission_seconds", "processor_seconds"):
            checked_seconds(name, getattr(self, name))

    def as_dict(self) -> dict[str, Any]:
        """Return the limits as plain data."""
        return asdict(self)
