"""What ends, fills or outlives the process. Six of these can end only by a limit of time."""

from __future__ import annotations

from robustness.accident import ERROR, MISSING, TIMEOUT, Accident, answer, extra_cell, in_r2, right_r2
from robustness.submission import Submission

STUBBORN = """\
while True:
    try:
        while True:
            pass
    except BaseException:
        continue"""
RECURSION = """\
def forever(n):
    return 1 + forever(n + 1)
forever(0)"""
# Memory ends these two long before their time is over, on a slow machine too: it is asked for and not filled, because
# to fill two gigabytes takes seconds. Below 32 MB an array may come from the heap, whose large pages are filled by one
# byte each; so the deep recursion holds little until it is deep, and then arrays of 40 MB.
HEAVY = """\
def forever(n):
    held = np.empty(1 if n < 5_000 else 5_000_000)
    return held[0] + forever(n + 1)
forever(0)"""
GROW = """\
def grow():
    held = []
    while True:
        held.append(np.empty(10_000_000))
grow()"""
KILL = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"
CRASH = "import ctypes\nctypes.string_at(0)"
LEAVE = "import os\nos._exit(0)"
THREAD = """\
import threading, time

waiting = threading.Thread(target=time.sleep, args=(100_000,))
waiting.start()"""
LEFT_RUNNING = """\
import os, time
if os.fork() == 0:
    time.sleep(100_000)
    os._exit(0)"""
LOOP = """\
import asyncio

async def forever():
    while True:
        await asyncio.sleep(0.01)

task = asyncio.create_task(forever())"""
POOL = """\
import multiprocessing

def square(x):
    return x * x

with multiprocessing.Pool(2) as pool:
    squares = pool.map(square, range(4))"""


SLEEPERS = ("mse_gradient", "gradient_descent", "fit_ridge")


def three_sleepers(submission: Submission) -> None:
    """The time that these take is theirs: it is not taken from the other exercises."""
    for name in SLEEPERS:
        submission.answer(name, f"def {name}(*inputs):\n    import time\n    time.sleep(1_000_000)")


def dies_in_a_cell(name: str, source: str, *says: str) -> Accident:
    """Declare a cell that ends its process: it alone is lost, and a person is told."""
    return extra_cell(name, source, status="partial", says=says)


def dies_twice(submission: Submission) -> None:
    submission.insert_before("mse_gradient", LEAVE)
    submission.insert_before("r2_score", KILL)


ACCIDENTS = (
    # the six
    dies_in_a_cell("endless loop in a cell that swallows everything", STUBBORN),
    dies_in_a_cell("sleep without end in a cell", "import time\n\ntime.sleep(1_000_000)"),
    answer(
        "endless loop in a solution, below the function",  # the function is there, and right
        "r2_score",
        right_r2() + "\n\nwhile True:\n    pass",
        status="partial",
    ),
    in_r2("endless loop in a function", "while True:\n    pass", TIMEOUT),
    in_r2("endless loop in a function that swallows everything", STUBBORN, TIMEOUT),
    Accident("sleep without end in three functions", three_sleepers, dict.fromkeys(SLEEPERS, TIMEOUT)),
    # the others end by themselves
    in_r2("recursion without end", RECURSION, ERROR),
    extra_cell("recursion without end in a cell", RECURSION),
    in_r2("recursion without end and without limit", f"import sys\nsys.setrecursionlimit(10**9)\n{HEAVY}", ERROR),
    in_r2("out of memory in a function", GROW, ERROR),
    in_r2("one huge array in a function", "np.ones((10**6, 10**6))", ERROR),
    extra_cell("out of memory in a cell", GROW),
    extra_cell(
        "a file without end", "with open('big', 'wb') as file:\n    file.truncate(10**13)\n    file.write(b'1')"
    ),
    in_r2("os._exit in a function", LEAVE, ERROR),
    dies_in_a_cell("os._exit in a cell", LEAVE),
    in_r2("SIGKILL in a function", KILL, ERROR),
    dies_in_a_cell("SIGKILL in a cell", KILL),
    in_r2("SIGSEGV in a function", CRASH, ERROR),
    dies_in_a_cell("SIGSEGV in a cell", CRASH),
    in_r2("os.abort in a function", "import os\nos.abort()", ERROR),
    Accident("two cells that end the process", dies_twice, status="partial"),
    answer(
        "os._exit below a right function",
        "r2_score",
        right_r2() + "\nimport os\nos._exit(0)",
        MISSING,
        status="partial",
    ),
    in_r2("sys.exit in a function", "import sys\nsys.exit()", ERROR),
    in_r2("exit() in a function", "exit()"),  # as in Jupyter, where it only asks the kernel to end later
    in_r2("SystemExit in a function", "raise SystemExit(0)", ERROR),
    in_r2("KeyboardInterrupt in a function", "raise KeyboardInterrupt", ERROR),
    in_r2("GeneratorExit in a function", "raise GeneratorExit", ERROR),
    extra_cell("sys.exit in a cell", "import sys\n\nsys.exit(1)"),
    extra_cell("exit() in a cell", "exit()"),
    extra_cell("quit() in a cell", "quit()"),
    extra_cell("quit without parentheses", "quit"),
    extra_cell("KeyboardInterrupt in a cell", "raise KeyboardInterrupt"),
    extra_cell("os.fork in a cell", "import os\n\nif os.fork() == 0:\n    os._exit(0)"),
    extra_cell("threads left running", THREAD),
    extra_cell("asyncio left running", LOOP),
    extra_cell("a pool of processes", POOL),
    extra_cell("a process left running", "import subprocess\n\nrunning = subprocess.Popen(['sleep', '100000'])"),
    in_r2("a process left running by a function", LEFT_RUNNING),
    in_r2("a thread left running by a function", THREAD),
)
FORKS = (
    in_r2("fork bomb in a function", "import os\nwhile True:\n    os.fork()", ERROR),
    # The limit of processes ends it with an error, and its copies do not answer for it.
    extra_cell("fork bomb in a cell", "import os\n\nwhile True:\n    os.fork()"),
)
ACCIDENTS += FORKS
