"""A batch that is interrupted goes on where it stopped."""

from __future__ import annotations

import signal
import subprocess
import time

import psutil
import pytest

from robustness.accident import LINEAR, extra_cell
from robustness.course import Course, in_gradebook

pytestmark = pytest.mark.isolation
STUDENTS = [f"student-{number:02d}" for number in range(16)]
SLOW = extra_cell("takes a while", "import time\n\ntime.sleep(0.5)")
WAIT = 120


def finished(course: Course) -> dict[str, int]:
    """Return when each graded notebook was written."""
    paths = {student: course.autograded(LINEAR, student) for student in STUDENTS}
    return {student: path.stat().st_mtime_ns for student, path in paths.items() if path.exists()}


def interrupt(course: Course, how: signal.Signals) -> tuple[int, list[psutil.Process]]:
    """Start grading, stop it after some submissions, and return its exit code and the processes that it left."""
    log = course.folder / "said.txt"
    with log.open("w") as file, subprocess.Popen(course.command(LINEAR, "--jobs", "1"), stderr=file) as run:
        until = time.monotonic() + WAIT
        while len(finished(course)) < 4 and run.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        family = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(how)
        run.wait(timeout=WAIT)
    _, left = psutil.wait_procs(family, timeout=20)
    for process in left:
        process.kill()
    assert 4 <= len(finished(course)) < len(STUDENTS), log.read_text(encoding="utf-8")[-2000:]
    return run.returncode, left


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_nothing_is_graded_twice_and_nothing_is_lost(small_course, how):
    for student in STUDENTS:
        small_course.hand_in(student, SLOW)
    code, left = interrupt(small_course, how)
    assert code != 0
    before = finished(small_course)
    batch = small_course.grade(LINEAR, jobs=1)
    after = finished(small_course)
    again = [student for student in before if after[student] != before[student]]
    # The one that was being written when the grader ended may be graded again; no other.
    assert len(again) <= 1, again
    assert sorted(after) == STUDENTS
    assert batch.exit_code == 0
    assert [result["student"] for result in batch] == STUDENTS
    for student in STUDENTS:
        assert batch.verdicts(student) == SLOW.deserved
        found = small_course.marks(LINEAR, student)
        assert found.pop("explain_step_size") is None
        assert found == in_gradebook(SLOW.deserved)
    assert left == [], "these processes went on after the grader had ended"


def test_a_second_run_grades_nothing_again(small_course):
    for student in STUDENTS[:3]:
        small_course.hand_in(student, SLOW)
    first = small_course.grade(LINEAR)
    before = finished(small_course)
    second = small_course.grade(LINEAR)
    assert finished(small_course) == before
    assert [result["exercises"] for result in second] == [result["exercises"] for result in first]
