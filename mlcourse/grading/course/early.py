"""The first job of a worker process: its sandbox gets ready while the process itself still imports the grader.

Nothing here may import anything that takes long.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
from pathlib import Path

from mlcourse.grading.course.tasks import Done, Job, Setting
from mlcourse.grading.declarations import modules_of, uses_of
from mlcourse.grading.sandbox.parent import WarmParent

_STARTED: dict[Setting, WarmParent] = {}


def grade_early(setting: Setting, job: Job) -> Done:
    """Grade a submission in a worker process, where the grader may not have been imported yet."""
    first = not _STARTED
    if first:
        secret = [Path(path) for path in setting.secret]
        uses, modules = uses_of(setting.assignment), modules_of(setting.assignment)
        _STARTED[setting] = WarmParent(uses, modules, setting.limits, setting.isolation, secret)
    from mlcourse.grading.course.job import grade_job, grader_for

    if first:
        grader_for(setting)
        gc.collect()
        gc.freeze()  # what was imported stays: no collection has to look at it again
    return grade_job(setting, job)


def take(setting: Setting) -> WarmParent | None:
    """Return the warm parent that was started early for this setting, to the first who asks."""
    parent = _STARTED.get(setting)
    if parent is None or parent.taken:
        return None
    parent.taken = True
    return parent


def end_with_parent() -> None:
    """End this worker when the process that started it has ended, however that came: nobody reads its results."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interruption is said once, by the process that was asked to stop
    parent = multiprocessing.parent_process()
    assert parent is not None

    def wait_and_end() -> None:
        parent.join()
        os._exit(1)  # the warm parent sees its channel close, and ends what it has forked

    threading.Thread(target=wait_and_end, daemon=True).start()
