"""Submissions on the workers of a Dask cluster: the same job, graded on other machines.

Every Dask worker starts a warm parent of its own when its first submission comes. The results come back to the one
process that writes the gradebook.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tqdm import tqdm

from mlcourse.grading.course.job import failed, grade_job
from mlcourse.grading.course.tasks import Done, Job, Setting

CONNECT_SECONDS = 30
PATIENCE_SECONDS = 10  # after which it is said that there is no worker
RETRIES = 3  # how many workers may die while they grade one submission


class ClusterError(Exception):
    """A cluster that cannot be used; the text says why."""


def pool_of(address: str) -> Callable[[Setting, Sequence[Job], int], Iterator[Done]]:
    """Return what grades jobs on the cluster with this scheduler.

    Raises
    ------
    ClusterError
        If Dask is not installed, or nobody answers at the address.
    """
    try:
        import distributed
    except ModuleNotFoundError as error:
        raise ClusterError("--scheduler needs Dask: pip install 'mlcourse[cluster]'.") from error
    try:
        with ThreadPoolExecutor(1) as apart:  # here an event loop may run already, as in a notebook
            apart.submit(asyncio.run, _call(address)).result()
        client = distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, TypeError, ValueError) as error:  # of a type: tls:// without its keys
        raise ClusterError(f"No Dask scheduler answers at {address}: {error}.") from error

    def grade_there(setting: Setting, jobs: Sequence[Job], workers: int) -> Iterator[Done]:
        """Yield results as they come; the scheduler gives the job of a worker that died to another one."""
        with client:
            _say_when_nobody_works(client, address)
            # A grader keeps one warm parent and one clock for a submission: one job at a time in each process.
            everything = list(jobs)
            futures = client.map(
                _grade_alone, everything, setting=setting, pure=False, retries=RETRIES, resources=None, priority=0
            )
            students = {future.key: job.student for future, job in zip(futures, everything, strict=True)}
            with client.as_current():  # it looks for the client of this thread, and finds it only while it is made
                finished = distributed.as_completed(futures)
            for future in finished:
                try:
                    yield future.result()
                except Exception as error:  # the workers died, or lack what grading needs: said for each submission
                    words = f"It could not be graded on the cluster: {error}"
                    yield failed(setting, students[future.key], words, ours=True)

    return grade_there


async def _call(address: str) -> None:
    """Connect once and hang up. A client with a loop of its own that met nobody keeps Python from ending."""
    import distributed

    client = distributed.Client(address, asynchronous=True, timeout=CONNECT_SECONDS, set_as_default=False)
    try:
        await client
    finally:
        await client.close()


def _say_when_nobody_works(client: Any, address: str) -> None:
    """Wait a little for a first worker, and say on stderr when there is none: grading begins when one comes."""
    try:
        client.wait_for_workers(1, timeout=PATIENCE_SECONDS)
    except TimeoutError:
        tqdm.write(
            f"No worker is connected to the Dask scheduler at {address}. Grading waits for one. "
            f"Start it in another shell: dask worker {address} --nworkers auto --nthreads 1",
            file=sys.stderr,
        )


def _grade_alone(job: Job, setting: Setting) -> Done:
    from distributed.worker import get_worker

    with _lock(get_worker()):
        return grade_job(setting, job)


def _lock(worker: object) -> threading.Lock:
    """Return the lock of a Dask worker's process, whose threads share one warm parent."""
    lock: threading.Lock = vars(worker).setdefault("mlcourse_lock", threading.Lock())
    return lock
