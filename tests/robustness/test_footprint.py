"""A course of two hundred, in parallel: the memory of the grader does not grow with the number of submissions."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from robustness.accident import ATTENTION, everything
from robustness.accident import NOT_WRITTEN as EMPTY
from robustness.course import HONEST, Batch, Course

pytestmark = pytest.mark.isolation
STUDENTS = [f"student-{number:03d}" for number in range(200)]
WAIT = 1_200
GROWTH = 1.10  # the last quarter may use a tenth more than the second one


def proportional(process: int) -> int:
    """Return the bytes of a process, what it shares with others divided among them; 0 where it cannot be read."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{process}/smaps_rollup").read_text(encoding="ascii").splitlines()
        return int(next(line for line in lines if line.startswith("Pss:")).split()[1]) * 1024
    return 0


def watched(command: list[str]) -> list[tuple[float, int]]:
    """Run a command and return the memory of it and all that it started, at times from 0 to 1."""
    start, seen = time.monotonic(), []
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as run:
        while run.poll() is None and time.monotonic() - start < WAIT:
            with contextlib.suppress(psutil.NoSuchProcess):
                family = [run.pid, *(child.pid for child in psutil.Process(run.pid).children(recursive=True))]
                seen.append((time.monotonic() - start, sum(map(proportional, family))))
            time.sleep(0.2)
        run.kill()
        said = run.stderr.read() if run.stderr else ""
    assert run.returncode == 0, said[-4_000:]
    return [(moment / seen[-1][0], used) for moment, used in seen]


def test_two_hundred_submissions_in_parallel_use_no_more_memory_than_fifty(small_course: Course, capsys):
    kinds = HONEST[ATTENTION]
    for number, student in enumerate(STUDENTS):
        small_course.hand_in(student, kinds[number % len(kinds)])
    start = time.monotonic()
    seen = watched(small_course.command(ATTENTION, "--jobs", "2", "--quiet"))
    seconds = time.monotonic() - start
    quarters = [
        statistics.median(used for moment, used in seen if quarter / 4 < moment <= (quarter + 1) / 4)
        for quarter in range(4)
    ]
    batch = Batch.read(small_course.results_file(ATTENTION))
    for number, student in enumerate(STUDENTS):
        assert batch.verdicts(student) == kinds[number % len(kinds)].deserved
    assert kinds[1].deserved == everything(EMPTY, ATTENTION)
    with capsys.disabled():
        text = ", ".join(f"{used / 2**20:.0f}" for used in quarters)
        peak = max(used for _, used in seen) / 2**20
        print(
            f"\n{len(STUDENTS)} submissions of {ATTENTION} with two workers: {len(STUDENTS) / seconds:.1f} a second; "
            f"memory of all processes in MiB, median of each quarter: {text}; peak {peak:.0f}"
        )
    assert quarters[3] < GROWTH * quarters[1], f"memory grew: {text}"
