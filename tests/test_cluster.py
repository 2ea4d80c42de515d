"""One machine is not enough: submissions on two Dask workers, one of which dies."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from robustness.accident import LINEAR, WRONG_R2, Accident, answer, extra_cell
from robustness.conftest import Course
from robustness.course import in_gradebook

from mlcourse.grading.course.batch import Order, grade_course
from mlcourse.grading.course.cluster import ClusterError, pool_of
from tools.release import ROOT

distributed = pytest.importorskip("distributed", reason="install Dask: pip install '.[cluster]'")
pytestmark = [
    pytest.mark.isolation,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="install bubblewrap: apt-get install bubblewrap"),
]
SLOW = extra_cell("takes a while", "import time\n\ntime.sleep(0.3)")
WRONG = answer("wrong", "r2_score", WRONG_R2)
BROKEN = Accident("broken", lambda submission: None)
STUDENTS = [f"student-{number:02d}" for number in range(12)]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Course:
    """Return a course in which twelve students handed in: right, wrong, slow, and one damaged file."""
    course = Course(tmp_path_factory.mktemp("cluster") / "fresh")
    for number, student in enumerate(STUDENTS):
        course.hand_in(student, (SLOW, WRONG, BROKEN)[number % 3] if number else SLOW)
    damaged = course.folder / "submitted" / STUDENTS[2] / LINEAR / f"{LINEAR}.ipynb"
    damaged.write_text('{"cells": [', encoding="utf-8")
    return course


@pytest.fixture
def cluster(monkeypatch):
    """Return two worker processes on loopback, each looked after by a nanny that replaces it when it dies."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, host="127.0.0.1", dashboard_address=None, silence_logs=50
        ) as started,
    ):
        started.wait_for_workers(2, timeout=120)
        yield started


def processes_of(cluster) -> dict[str, int]:
    """Return the process of each worker."""
    with distributed.Client(cluster.scheduler_address, set_as_default=False) as client:
        return client.run(os.getpid)


def marks(course: Course) -> dict[str, dict[str, float | None] | None]:
    return {student: course.marks(LINEAR, student) for student in STUDENTS}


def as_graded_here(fresh: Course, folder) -> tuple[list[dict], dict]:
    """Return the results and the gradebook of the same submissions and seed on this machine alone."""
    local = fresh.copy_to(folder)
    result = grade_course(Order(local.folder, LINEAR, seed=7, workers=1, silent=True))
    return [_without_time(item.as_dict()) for item in result.submissions], marks(local)


def _without_time(entry: dict) -> dict:
    return json.loads(json.dumps({key: value for key, value in entry.items() if key != "seconds"}))


def test_a_worker_that_dies_is_replaced_and_nothing_is_lost_or_graded_twice(fresh, cluster, tmp_path):
    course = fresh.copy_to(tmp_path / "course")
    before = processes_of(cluster)
    victim = next(iter(before.values()))
    sandboxes = {child.pid for child in psutil.Process(victim).children(recursive=True)}
    arrived: list[str] = []

    def watched(setting, jobs, workers):
        for done in pool_of(cluster.scheduler_address)(setting, jobs, workers):
            arrived.append(done.result.student)
            if len(arrived) == 1:
                sandboxes.update(child.pid for child in psutil.Process(victim).children(recursive=True))
                os.kill(victim, signal.SIGKILL)
            yield done

    result = grade_course(Order(course.folder, LINEAR, seed=7, silent=True), watched)

    assert sorted(arrived) == STUDENTS
    assert Counter(arrived).most_common(1)[0][1] == 1
    assert [item.student for item in result.submissions] == STUDENTS
    results, gradebook = as_graded_here(fresh, tmp_path / "local")
    assert [_without_time(item.as_dict()) for item in result.submissions] == results
    assert marks(course) == gradebook
    assert gradebook[STUDENTS[0]] == {**in_gradebook(SLOW.deserved), "explain_step_size": None}
    cluster.wait_for_workers(2, timeout=120)
    after = processes_of(cluster)
    assert victim not in after.values()
    assert len(after) == 2
    left = [pid for pid in sandboxes if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]
    assert left == [], "the sandbox of the worker that died goes on"


def test_the_command_grades_on_a_cluster_and_a_second_time_has_nothing_to_do(fresh, cluster, tmp_path):
    course = fresh.copy_to(tmp_path / "course")
    first = course.grade(LINEAR, "--scheduler", cluster.scheduler_address)
    assert first.exit_code == 1  # one file is damaged
    assert [entry["student"] for entry in first] == STUDENTS
    assert Counter(entry["status"] for entry in first) == {"graded": 11, "failed": 1}
    written = {path: path.stat().st_mtime_ns for path in course.folder.glob("autograded/*/*/*.ipynb")}
    assert len(written) == 11
    second = course.grade(LINEAR, "--scheduler", cluster.scheduler_address)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert [entry["exercises"] for entry in second] == [entry["exercises"] for entry in first]


def test_a_scheduler_without_workers_is_named_once_and_grading_begins_when_one_comes(fresh, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    course = fresh.copy_to(tmp_path / "course")
    with distributed.LocalCluster(
        n_workers=0, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs=50
    ) as empty:
        address = empty.scheduler_address
        command = course.command(LINEAR, "--scheduler", address, "--student", STUDENTS[0])
        grader = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        silent = threading.Timer(60, grader.kill)
        silent.start()
        try:
            first = next((line for line in grader.stderr if "worker" in line), "nothing was said")
            silent.cancel()
            assert first.startswith(f"No worker is connected to the Dask scheduler at {address}.")
            assert "Grading waits for one." in first
            assert f"dask worker {address}" in first
            assert grader.poll() is None
            empty.scale(1)
            _, rest = grader.communicate(timeout=120)
        finally:
            silent.cancel()
            grader.kill()
            grader.wait()
    assert grader.returncode == 0, rest
    assert "No worker" not in rest


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr("mlcourse.grading.course.cluster.CONNECT_SECONDS", 1)

    async def asked():  # as in a notebook, where an event loop runs already
        pool_of("tcp://127.0.0.1:9")

    with pytest.raises(ClusterError, match=r"No Dask scheduler answers at tcp://127\.0\.0\.1:9"):
        pool_of("tcp://127.0.0.1:9")
    with ThreadPoolExecutor(1) as apart, pytest.raises(ClusterError, match="No Dask scheduler answers"):
        apart.submit(asyncio.run, asked()).result()
