"""Several worker processes on this machine, each with its own warm parent."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from mlcourse.grading.course.early import end_with_parent, grade_early
from mlcourse.grading.course.job import failed, grader_failed
from mlcourse.grading.course.tasks import Done, Job, Setting
from mlcourse.grading.sandbox.parent import IsolationMissingError

TRIES = 3  # a job in whose time a worker died this often is not tried again


def grade_here(setting: Setting, jobs: Sequence[Job], workers: int) -> Iterator[Done]:
    """Yield results as they come. A worker that dies is replaced, and its job is tried once more.

    With one worker the jobs are still graded in another process, so that no error of a submission ends the batch.
    """
    ahead = iter(jobs)
    waiting: list[Job] = []  # to be tried once more
    tries: Counter[str] = Counter()
    more = True
    while more or waiting:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, mp_context=context, initializer=end_with_parent) as pool:
            running: dict[Future[Done], Job] = {}
            try:
                while True:
                    while len(running) < 2 * workers:  # one runs, one waits beside it
                        job = waiting.pop() if waiting else next(ahead, None)
                        if job is None:
                            more = False
                            break
                        running[pool.submit(grade_early, setting, job)] = job
                    if not running:
                        break
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        done = _result(setting, future, running[future])
                        del running[future]
                        yield done
            except BrokenProcessPool:
                for job in running.values():
                    tries[job.student] += 1
                    if tries[job.student] < TRIES:
                        waiting.append(job)
                    else:
                        words = "The grader's own process ended while it was graded."
                        yield failed(setting, job.student, words, ours=True)


def _result(setting: Setting, future: Future[Done], job: Job) -> Done:
    """Return what a worker found; its errors are the submission's own result and end nothing else."""
    try:
        return future.result()
    except (BrokenProcessPool, IsolationMissingError):
        raise
    except Exception as error:
        return grader_failed(setting, job.student, error)
