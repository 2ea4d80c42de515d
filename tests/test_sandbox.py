"""The sandbox: what a submission cannot see, reach or use up, what honest notebooks may do, and what survives."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from dataclasses import replace
from pathlib import Path

import nbformat
import psutil
import pytest

from mlcourse.exercises.catalogue import chapters
from mlcourse.grading.sandbox import Limits, WarmParent
from mlcourse.grading.sandbox.limits import MIB
from mlcourse.grading.sandbox.session import Session
from mlcourse.grading.sandbox.view import python_homes
from mlcourse.grading.submission import Grader, seed_of
from mlcourse.grading.wire import WireError

pytestmark = [
    pytest.mark.isolation,
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="install bubblewrap: apt-get install bubblewrap"),
]
ROOT = Path(__file__).resolve().parent.parent
TOKEN = "a-token-of-the-grader"
LIMITS = Limits(memory=256 * MIB, file_size=4 * MIB, disk=16 * MIB, cell_seconds=20)


@pytest.fixture(scope="module")
def parent():
    """Return a warm parent whose grader has a secret in its environment."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COURSE_TOKEN", TOKEN)
        with WarmParent(limits=LIMITS) as started:
            yield started
            assert started.process.poll() is None, "the warm parent did not survive"


@pytest.fixture
def session(parent):
    """Return a fresh submission."""
    with Session(parent) as started:
        yield started


def printed(result, name="stdout"):
    """Return what a cell printed."""
    texts = [output["text"] for output in result.outputs if output.get("name") == name]
    assert result.ended == "", result.outputs
    return "".join(texts)


def answer(session, source):
    """Run a cell that sets ``found`` and return its value."""
    result = session.run(f"{source}\nimport json as _json\nprint(_json.dumps(found))")
    assert not [output for output in result.outputs if output["output_type"] == "error"], result.outputs
    return json.loads(printed(result).splitlines()[-1])


# What is not there


@pytest.mark.parametrize(
    "module",
    [
        *(f"mlcourse.{chapter}" for chapter in chapters()),
        "mlcourse.exercises",
        "mlcourse.cli",
        "mlcourse.grading.evaluate",
        "mlcourse.grading.submission",
        "mlcourse.grading.sandbox",
        "tools.release",
    ],
)
def test_no_reference_and_nothing_of_the_grader_can_be_imported(session, module):
    result = session.run(f"import {module}")
    assert [output["ename"] for output in result.outputs] == ["ModuleNotFoundError"]


def test_a_reference_that_the_assignment_declares_can_be_imported():
    with WarmParent(uses=("linear_regression",), limits=LIMITS) as started, Session(started) as session:
        assert printed(session.run("from mlcourse.linear_regression import r2_score\nprint('there')")) == "there\n"
        (failure,) = session.run("import mlcourse.attention").outputs
        assert failure["ename"] == "ModuleNotFoundError"


def test_what_a_notebook_may_use_of_the_course_is_there(session):
    found = printed(
        session.run("import mlcourse.data, mlcourse.plotting, mlcourse.device, mlcourse.validation\nprint(1)")
    )
    assert found == "1\n"


WALK = """
import os
found = []
for here, folders, files in os.walk("/"):
    for name in files:
        if name.endswith((".py", ".md", ".ipynb", ".db")) and "mlcourse" in here or "mlcourse-seed" in name:
            found.append(os.path.join(here, name))
"""


def test_no_file_of_the_course_is_there_but_the_small_package(session):
    found = answer(session, WALK)
    ours = [path for path in found if "site-packages" not in path and "/lib/" not in path]
    assert ours
    assert [path for path in ours if not path.startswith("/course/mlcourse/")] == []
    for name in (*chapters(), "exercises", "submission", "evaluate"):
        assert not [path for path in ours if Path(path).stem == name or f"/{name}/" in path]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/etc/shadow",
        "/home",
        "/var",
        "/run",
        "/etc/hostname",
        str(ROOT / "mlcourse"),
        str(ROOT / "tests"),
    ],
)
def test_no_file_of_the_machine_is_there(session, path):
    assert answer(session, f"import os\nfound = os.path.exists({path!r})") is False


def test_the_environment_of_the_grader_is_not_there(session):
    found = answer(session, "import os\nfound = dict(os.environ)")
    assert TOKEN not in found.values()
    assert found["HOME"] == "/tmp"
    assert not [name for name in found if re.search("TOKEN|KEY|SECRET|GITHUB|SSH", name)]


def test_no_process_can_be_seen(session):
    assert answer(session, "import os\nfound = os.listdir('/proc')") == []
    assert answer(session, "import os\nfound = [os.getpid() < 100, os.getppid()]") == [True, 1]


RIGHTS = """
import ctypes, os
libc = ctypes.CDLL(None)
sets = (ctypes.c_uint32 * 6)()
libc.capget((ctypes.c_uint32 * 2)(0x20080522, 0), sets)
bounds = [libc.prctl(23, n, 0, 0, 0) for n in range(30)]
found = {"users": [*os.getresuid(), *os.getresgid()], "sets": list(sets), "bounds": bounds,
         "no new": libc.prctl(39, 0, 0, 0, 0), "filter": libc.prctl(21, 0, 0, 0, 0)}
"""


def test_a_submission_is_nobody_and_may_nothing(session):
    found = answer(session, RIGHTS)
    assert 0 not in found["users"]
    assert found["sets"] == [0] * 6
    assert found["bounds"] == [0] * 30
    assert found["no new"] == 1
    assert found["filter"] == 2  # a filter of system calls


DESCRIPTORS = """
import os
found = []
for number in range(1024):
    try:
        os.fstat(number)
        found.append(number)
    except OSError:
        pass
"""


def test_no_open_file_of_the_grader_is_left(session):
    found = answer(session, DESCRIPTORS)
    assert found[:4] == [0, 1, 2, 3]  # 3 is the channel
    assert len(found) <= 6


# Of its own, each


# Where Python itself lies below the temporary folder, each submission has the folders that lead to it, of its own.
WAYS = {str(way) for home in python_homes() for way in home.parents if Path("/tmp") in way.parents}
PLACES = """
import os
found = []
for here, folders, files in os.walk("/"):
    folders[:] = [name for name in folders if not os.path.islink(os.path.join(here, name))]
    if os.access(here, os.W_OK):
        found.append(here)
"""


def test_only_its_own_folders_can_be_written(session):
    assert sorted(set(answer(session, PLACES)) - WAYS) == ["/dev/shm", "/tmp"]


def test_every_submission_has_its_own_empty_folders(parent):
    kept = sorted(way.removeprefix("/tmp/") for way in WAYS)
    look = "import os\nfound = sorted(os.listdir('/tmp')) + sorted(os.listdir('/dev/shm'))"
    look += f"\nfound = [name for name in found if name not in {kept}]"
    with Session(parent) as first, Session(parent) as second:
        assert answer(first, look) == []
        answer(first, "found = [open(p, 'w').write('x') for p in ('/tmp/left', '/dev/shm/left')]")
        assert answer(second, look) == []
        assert answer(first, look) == ["left", "left"]
    with Session(parent) as third:
        assert answer(third, look) == []


def test_a_submission_ends_none_but_itself(parent):
    everybody = "import os, signal\nfor number in [*range(2, 400), 1, os.getppid()]:\n    try:\n"
    everybody += "        if number != os.getpid(): os.kill(number, signal.SIGKILL)\n    except OSError: pass\n"
    with Session(parent) as sibling, Session(parent) as hostile:
        sibling.run("x = 5")
        hostile.run(everybody)
        hostile.run("os.kill(-1, signal.SIGKILL)")
        hostile.run("os.kill(0, signal.SIGKILL)")
        assert printed(sibling.run("print(x)")) == "5\n"
        assert len(sibling.children) == 1, "it had to be started anew"
        assert printed(hostile.run("print('here again')")) == "here again\n"
    assert parent.process.poll() is None


def test_a_submission_finds_no_socket_of_another(parent):
    bind = "import socket\ns = socket.socket(socket.AF_UNIX)\ns.bind('\\0abstract')\ns.listen()\nfound = True"
    connect = "import socket\ntry:\n    socket.socket(socket.AF_UNIX).connect('\\0abstract')\n    found = True\n"
    with Session(parent) as first, Session(parent) as second:
        assert answer(first, bind)
        assert answer(second, connect + "except OSError:\n    found = False") is False


# System calls

CALL = """
import ctypes, errno, os, platform, signal, socket
libc = ctypes.CDLL(None, use_errno=True)
CLONE = {"x86_64": 56, "aarch64": 220}.get(platform.machine())

def call(name, *parts):
    if getattr(libc, name)(*parts) == -1:
        raise OSError(ctypes.get_errno(), name)

def clone(flag):
    if CLONE is None:
        raise OSError(errno.EPERM, "another processor")
    process = libc.syscall(CLONE, flag | signal.SIGCHLD, 0, 0, 0, 0)
    if process == 0:
        os._exit(0)
    if process == -1:
        raise OSError(ctypes.get_errno(), "clone")
try:
    {}
    found = "allowed"
except OSError as error:
    found = errno.errorcode[error.errno]
"""
NEW = {"time": 0x80, "mount": 0x20000, "cgroup": 0x02000000, "uts": 0x04000000, "ipc": 0x08000000}
NEW |= {"user": 0x10000000, "pid": 0x20000000, "net": 0x40000000}


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("call('unshare', 0x10000000)", "EPERM"),
        ("call('mount', b'tmpfs', b'/tmp', b'tmpfs', 0, None)", "EPERM"),
        ("call('umount2', b'/proc', 2)", "EPERM"),
        ("call('ptrace', 16, 1, 0, 0)", "EPERM"),
        ("call('process_vm_readv', 1, 0, 0, 0, 0, 0)", "EPERM"),
        ("call('chroot', b'/tmp')", "EPERM"),
        ("call('setns', 3, 0)", "EPERM"),
        ("call('mlockall', 1)", "EPERM"),
        ("os.memfd_create('x')", "EPERM"),
        ("os.mkfifo('/tmp/f'); os.mknod('/tmp/d', 0o600 | 0o60000, os.makedev(8, 0))", "EPERM"),
        ("os.pidfd_open(1)", "EPERM"),
        ("os.kill(1, signal.SIGKILL); os.kill(os.getppid(), signal.SIGKILL); os.kill(2**22, 0)", "ESRCH"),
        ("os.setuid(0)", "EINVAL"),
        ("socket.socket(socket.AF_INET)", "EAFNOSUPPORT"),
        ("socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)", "EAFNOSUPPORT"),
        ("socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)", "EAFNOSUPPORT"),
        ("socket.socket(socket.AF_PACKET, socket.SOCK_RAW)", "EAFNOSUPPORT"),
        ("socket.socket(socket.AF_VSOCK)", "EAFNOSUPPORT"),
        ("socket.socketpair()", "allowed"),
        ("clone(0)", "allowed"),
        *((f"clone({flag:#x})", "EPERM") for flag in NEW.values()),
    ],
)
def test_calls_that_reach_out_are_refused(session, line, expected):
    assert answer(session, CALL.replace("{}", line, 1)) == expected


# Limits


def test_processes_are_limited_for_each_submission_alone(parent):
    spawn = "import os, time\nfound = 0\ntry:\n    for _ in range(LIMIT):\n        if os.fork() == 0:\n"
    spawn += "            time.sleep(60)\n            os._exit(0)\n        found += 1\nexcept OSError: pass"
    with Session(parent) as greedy, Session(parent) as modest:
        assert 32 <= answer(greedy, spawn.replace("LIMIT", "500")) < LIMITS.processes
        assert answer(modest, spawn.replace("LIMIT", "20")) == 20


def test_memory_of_one_process_is_limited_and_the_submission_goes_on(session):
    (failure,) = session.run("x = 1\ndata = bytearray(512 * 2**20)").outputs
    assert failure["ename"] == "MemoryError"
    assert printed(session.run("print(x)")) == "1\n"
    assert len(session.children) == 1


TOGETHER = """
import os, time
for _ in range(6):
    if os.fork() == 0:
        data = b"x" * (120 * 2**20)
        time.sleep(60)
        os._exit(0)
time.sleep(15)
"""


def test_memory_of_many_processes_together_is_limited(session):
    session.run("x = 1")
    result = session.run(TOGETHER)
    assert "256 MB of memory" in result.ended
    assert result.outputs[0]["evalue"] == result.ended
    assert printed(session.run("print(x)")) == "1\n"


def test_the_memory_of_libraries_is_not_charged(session):
    """A copy at every check shares its pages with the others."""
    session.run("import numpy as np\ndata = np.ones(10 * 2**20)")
    branches = [session.branch() for _ in range(12)]
    time.sleep(0.5)
    assert all(branches)
    assert printed(session.run("print(data.sum())")) == "10485760.0\n"
    assert len(session.children) == 1


def test_the_size_of_a_file_is_limited(session):
    found = answer(
        session,
        "import errno\ntry:\n    open('big', 'wb').write(b'x' * 8 * 2**20)\n    found = 'written'\n"
        "except OSError as error:\n    found = errno.errorcode[error.errno]",
    )
    assert found == "EFBIG"


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_the_disk_is_limited_and_a_full_one_ends_nothing(session, folder):
    found = answer(
        session,
        "import errno, os\nfound = 0\ntry:\n    for number in range(100):\n"
        f"        open(f'{folder}/{{number}}', 'wb').write(b'x' * 2**20)\n        found += 1\n"
        "except OSError as error:\n    assert error.errno == errno.ENOSPC",
    )
    assert 8 <= found <= 16
    assert printed(session.run("print('on')")) == "on\n"
    assert session.branch() is not None


@pytest.mark.parametrize(
    "flood",
    [
        "print('x' * 3_000_000)",
        "for _ in range(100_000): print('0123456789')",
        "import os\nos.write(1, b'x' * 3_000_000)",
        "!head -c 3000000 /dev/zero | tr '\\0' x",
        "from IPython.display import display, HTML\nfor _ in range(30): display(HTML('x' * 100_000))",
        "raise ValueError('x' * 3_000_000)",
        "'x' * 3_000_000",
    ],
    ids=["one line", "many lines", "past Python", "a program", "displayed", "an exception", "a value"],
)
def test_output_is_cut_with_a_note(session, flood):
    result = session.run(flood)
    text = json.dumps(result.outputs)
    assert result.ended == ""
    assert 150_000 < len(text) < 450_000
    assert "a cell shows at most 200000 characters" in text
    assert printed(session.run("print('on')")) == "on\n"


# What survives


def test_after_a_death_everything_above_is_there_again_without_the_culprit(session):
    session.run("x = [1]\nprint('once')")
    died = session.run("x.append(2)\nimport os\nos._exit(0)")
    assert "ended the Python process" in died.ended
    assert printed(session.run("x.append(3)\nprint(x)")) == "[1, 3]\n"
    assert printed(session.run("print(x)")) == "[1, 3]\n"
    assert len(session.children) == 2


def test_a_submission_that_ends_again_and_again_comes_to_an_end(session):
    session.run("x = 1")
    results = [
        session.run("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)") for _ in range(LIMITS.restarts + 4)
    ]
    assert "too often" in results[-1].ended
    assert len(session.children) <= LIMITS.restarts + 1


def test_a_replayed_cell_that_now_ends_its_process_is_left_out(session):
    session.run("x = 1")
    session.run("y = 2\nimport os, time\nif time.time() > AGAIN: os._exit(1)".replace("AGAIN", str(time.time() + 3)))
    time.sleep(3)
    session.run("os._exit(1)")
    assert printed(session.run("print(x, 'y' in globals())")) == "1 False\n"


CHOICE = "{1: 'one', 2: 2.0}[x]"  # its type says which x it is


def kind(branch):
    """Return of which type the expression is in a copy."""
    return branch.ask(20.0, do="pick", expression=CHOICE, forbidden=[], home="mlcourse.none")["parts"]["type"]


def test_a_copy_keeps_the_state_at_its_check(session):
    session.run("x = 1")
    first = session.branch()
    session.run("x = 2\nimport builtins\nbuiltins.eval = None")
    second = session.branch()
    session.run("del x")
    assert kind(first) == "str"
    reply = second.ask(20.0, do="pick", expression=CHOICE, forbidden=[], home="mlcourse.none")
    assert "TypeError" in reply["missing"]  # no eval there: its own loss, and nobody else's


def test_a_copy_that_was_killed_is_made_again(session):
    session.run("x = 1")
    branch = session.branch()
    session.run("x = 2")
    session.run("import os, signal\nos.kill(-1, signal.SIGKILL)")  # everybody but the caller and number 1
    with pytest.raises(WireError):
        kind(branch)
    assert kind(session.again(1)) == "str"
    assert kind(session.again(2)) == "float"


RIGHT = """
import numpy as np

def r2_score(y, predictions):
    if np.all(y == y[0]):
        return 1.0 if np.all(predictions == y) else 0.0
    return 1 - np.sum((y - predictions) ** 2) / np.sum((y - np.mean(y)) ** 2)
"""
WRONG = "def r2_score(y, predictions):\n    return 0.5"
CHECK = 'check("linear_regression.r2_score", r2_score)'


@pytest.fixture(scope="module")
def grader():
    """Return a grader of one assignment."""
    with Grader("linear_regression", seed=7, limits=replace(LIMITS, cell_seconds=4)) as started:
        yield started


def score(grader, *cells):
    """Return the points for r2_score in a notebook of these cells."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    return next(report.score for report in grader.grade(notebook).reports if report.name.endswith("r2_score"))


@pytest.mark.parametrize(
    "later",
    [
        WRONG,
        "r2_score = None",
        "del r2_score",
        "r2_score.__code__ = (lambda y, p: 0).__code__",
        "np.sum = np.mean = np.all = lambda *a, **k: 0",
        "import os, signal\nos.kill(-1, signal.SIGKILL)",
        "import os\nos._exit(0)",
        "import os\nos.closerange(0, 1024)",
        "import os, signal\nfor number in range(2, 200):\n    try: os.kill(number, signal.SIGSTOP)\n"
        "    except OSError: pass",
        "data = [bytearray(2**20) for _ in range(10_000)]",
        "raise SystemExit",
    ],
)
def test_what_was_earned_at_a_check_is_kept_whatever_comes_later(grader, later):
    assert score(grader, RIGHT, CHECK, later) == 6


def test_what_comes_after_the_check_earns_nothing(grader):
    assert score(grader, WRONG, CHECK, RIGHT) == 0
    assert score(grader, CHECK, RIGHT) == 0


def test_an_honest_submission_after_all_of_them_earns_everything(grader):
    assert score(grader, RIGHT, CHECK) == 6
    assert grader.parent.process.poll() is None


# What is left


def family(process):
    """Return a process and all below it."""
    return [process, *process.children(recursive=True)]


def test_closing_leaves_no_process():
    started = WarmParent(limits=LIMITS)
    with Session(started) as session:
        session.run("import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(600)")
        session.branch()
        everything = family(psutil.Process(started.process.pid))
        assert len(everything) > 5
        started.close()
        _, alive = psutil.wait_procs(everything, timeout=20)
        assert not alive
        session.children.clear()  # there is nobody left to ask to end them


def test_the_end_of_a_submission_leaves_no_process(parent):
    def below():
        return {process.pid for process in psutil.Process(parent.process.pid).children(recursive=True)}

    parent.wait()  # before that, it is still starting processes of its own
    before = below()
    with Session(parent) as session:
        session.run(
            "import os, time\nfor _ in range(5):\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(600)"
        )
        session.branch()
        assert len(below()) > len(before) + 5
    until = time.monotonic() + 20
    while below() - before and time.monotonic() < until:
        time.sleep(0.05)
    assert not below() - before  # those of an earlier submission may have been ending still


ABANDONED = """
import os, sys, time
from mlcourse.grading.sandbox import WarmParent
from mlcourse.grading.sandbox.session import Session
session = Session(WarmParent())
session.run("import os, time\\nif os.fork() == 0:\\n    os.setsid()\\n    time.sleep(600)")
print("running", flush=True)
time.sleep(600)
"""


def test_a_grader_that_is_killed_leaves_no_process():
    with subprocess.Popen([sys.executable, "-c", ABANDONED], stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout.readline() == "running\n"
        everything = family(psutil.Process(started.pid))[1:]
        assert len(everything) > 4
        started.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(everything, timeout=20)
    assert not alive


# What honest notebooks do


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("%matplotlib inline\nprint('a')", "a"),
        ("import asyncio\nawait asyncio.sleep(0)\nprint('waited')", "waited"),
        ("%timeit -n 1 -r 1 sum(range(10))", "per loop"),
        ("%%timeit -n 1 -r 1\nsum(range(10))", "per loop"),
        ("%%time\nprint('timed')", "Wall time"),
        ("!echo from a shell", "from a shell"),
        ("files = !echo captured\nprint(files[0])", "captured"),
        ("%%bash\necho from bash", "from bash"),
        ("import os\nos.system('echo from C'); None", "from C"),
        (
            "import subprocess\nprint(subprocess.run(['echo', 'program'], capture_output=True, text=True).stdout)",
            "program",
        ),
        ("import os\nos.write(1, b'past Python\\n'); None", "past Python"),
        ("%load_ext autoreload\n%autoreload 2\nprint('loaded')", "loaded"),
        ("%config InlineBackend.figure_format = 'retina'\nprint('sharp')", "sharp"),
        ("%pwd\n%cd /tmp\nprint('moved')", "moved"),
        ("%env COLOR=red\nimport os\nprint(os.environ['COLOR'])", "red"),
        ("%%capture text\nprint('hidden')\n", ""),
        ("%whos", "empty"),
        ("open('data.csv', 'w').write('1,2')\nprint(open('data.csv').read())", "1,2"),
        ("import tempfile\nwith tempfile.TemporaryDirectory() as folder:\n    print(folder)", "/tmp/"),
        ("import threading\nt = threading.Thread(target=print, args=('thread',))\nt.start()\nt.join()", "thread"),
        (
            "import multiprocessing\nwith multiprocessing.Pool(2) as pool:\n    print(pool.map(abs, [-1, -2]))",
            "[1, 2]",
        ),
        ("from sklearn.datasets import load_iris\nprint(load_iris().data.shape)", "(150, 4)"),
        ("from tqdm.auto import tqdm\nfor _ in tqdm(range(3)): pass\nprint('done')", "done"),
        ("import warnings\nwarnings.warn('careful')\nprint('warned')", "warned"),
        ("import logging\nlogging.warning('careful')\nprint('logged')", "logged"),
        ("exit()", ""),
        ("quit", ""),
    ],
)
def test_conveniences_of_notebooks_work(session, source, expected):
    result = session.run(source)
    assert not [output for output in result.outputs if output["output_type"] == "error"], result.outputs
    assert expected in printed(result)
    assert printed(session.run("print('on')")) == "on\n"
    assert len(session.children) == 1


def shown(result, kind):
    """Return everything of one type that a cell has displayed."""
    return [output["data"][kind] for output in result.outputs if kind in output.get("data", {})]


def test_what_is_displayed_is_recorded_in_order(session):
    result = session.run(
        "from IPython.display import HTML, Markdown, Math, display\nprint('first')\n"
        "display(HTML('<b>bold</b>'), Math('x^2'))\n"
        "print('last')\nMarkdown('*text*')"
    )
    assert [output["output_type"] for output in result.outputs] == [
        *("stream", "display_data", "display_data", "stream", "execute_result")
    ]
    assert shown(result, "text/html") == ["<b>bold</b>"]
    assert shown(result, "text/markdown") == ["*text*"]
    assert shown(result, "text/latex") == ["$\\displaystyle x^2$"]


@pytest.mark.parametrize("magic", ["", "%matplotlib inline\n", "%config InlineBackend.figure_format = 'retina'\n"])
def test_figures_are_pictures(session, magic):
    result = session.run(f"{magic}import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.title('A line')\nplt.show()")
    (picture,) = shown(result, "image/png")
    assert picture.startswith("iVBORw0KGgo")
    (again,) = shown(session.run("plt.scatter([1, 2], [3, 4]);"), "image/png")
    assert again != picture


def test_the_value_of_a_cell_is_shown_with_its_number(session):
    session.run("x = 20")
    (found,) = session.run("x + 1").outputs
    assert (found["output_type"], found["data"], found["execution_count"]) == (
        "execute_result",
        {"text/plain": "21"},
        2,
    )
    assert session.run("x + 1;").outputs == []
    assert printed(session.run("print(Out[2], _)")) == "21 21\n"


def test_the_order_of_what_is_printed_is_kept(session):
    result = session.run("import sys\nprint('a')\nprint('b', file=sys.stderr)\nprint('c')\nprint('d')")
    assert [(output["name"], output["text"]) for output in result.outputs] == [
        ("stdout", "a\n"),
        ("stderr", "b\n"),
        ("stdout", "c\nd\n"),
    ]


@pytest.mark.parametrize("source", ["name = input('Your name? ')", "import getpass\ngetpass.getpass()"])
def test_a_question_is_answered_with_an_error_in_words(session, source):
    (failure,) = [output for output in session.run(source).outputs if output["output_type"] == "error"]
    assert "nobody sits at the keyboard" in failure["evalue"]


def test_an_exception_is_shown_with_its_line(session):
    (failure,) = session.run("def f(x):\n    return 1 / x\n\nf(0)").outputs
    assert failure["ename"] == "ZeroDivisionError"
    assert "return 1 / x" in "\n".join(failure["traceback"])
    (failure,) = session.run("def f(:").outputs
    assert failure["ename"] == "SyntaxError"


def test_a_long_traceback_is_shown_by_its_two_ends(session):
    deep = "def last(n):\n    return 1 / n\n"
    deep += "".join(f"def f{i}(n):\n    return f{i + 1}(n)\n" for i in range(99)) + "f99 = last\nf0(0)"
    shown = "\n".join(session.run(deep).outputs[-1]["traceback"])
    assert "in f0(n)" in shown
    assert "in f98(n)" in shown
    assert "return 1 / n" in shown
    assert "in f50(n)" not in shown
    assert "ZeroDivisionError" in shown


def test_what_a_program_prints_stands_before_what_comes_later(session):
    first = printed(session.run("!echo one"))
    second = printed(session.run("print('two')"))
    assert (first.strip(), second) == ("one", "two\n")


# As an ordinary user

ORDINARY = """
import json, os, sys
import nbformat
from mlcourse.grading.sandbox.session import Session
from mlcourse.grading.submission import Grader
right, check, places = json.loads(sys.argv[1])
cells = [nbformat.v4.new_code_cell(cell) for cell in (right, check)]
with Grader("linear_regression", seed=7) as grader:
    reports = {report.name: report.score for report in grader.grade(nbformat.v4.new_notebook(cells=cells)).reports}
    with Session(grader.parent) as session:
        outputs = session.run(places + "\\nprint(os.getuid(), *found)").outputs
    with Session(grader.parent) as session:
        plant = "import os\\nfor place in ('/', '/course', '/course/mlcourse', '/dev', '/etc', '/sys'):\\n"
        session.run(plant + "    try: open(place + '/planted.py', 'w')\\n    except OSError: pass")
    with Session(grader.parent) as session:
        tries = "try:\\n    import planted\\n    print('reached')\\nexcept ImportError: print('kept apart')"
        planted = session.run(tries).outputs
print(json.dumps([os.getuid(), reports["linear_regression.r2_score"], outputs[0]["text"], planted[0]["text"]]))
"""


@pytest.fixture(scope="module")
def as_ordinary_user():
    """Return what a grading as an ordinary user says: the user, a mark, folders that can be written, and a plant."""
    given = json.dumps([RIGHT, CHECK, PLACES])
    command = [sys.executable, "-c", ORDINARY, given]
    if os.geteuid() == 0:
        command = ["unshare", "--mount", "sh", "-c", readable_by_others() + ' && exec setpriv "$@"', "sh"]
        command += ["--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", ORDINARY, given]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", check=False, timeout=300)
    if os.geteuid() == 0 and "unshare failed" in done.stderr:
        pytest.skip("becoming an ordinary user needs a mount namespace: run the tests as an ordinary user")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def readable_by_others():
    """Return commands that let others pass to this Python and to the course, in a namespace of mounts of their own."""
    places = {ROOT, Path(sys.prefix), Path(sys.base_prefix), Path(sysconfig.get_path("stdlib"))}
    closed = {}
    for place in sorted(places):
        ways = [way for way in reversed(place.parents) if not way.stat().st_mode & 0o001]
        if ways:
            closed.setdefault(ways[0], []).append(place)
    lines = ["true"]
    for number, (way, inside) in enumerate(closed.items()):
        kept = f"/mnt/{number}"
        lines += ["mount -t tmpfs -o mode=755 tmpfs /mnt", f"mkdir {kept}", f"mount --bind '{way}' {kept}"]
        lines += [f"mount -t tmpfs -o mode=755 tmpfs '{way}'"]
        for place in inside:
            lines += [f"mkdir -p '{place}'", f"mount --bind '{kept}/{place.relative_to(way)}' '{place}'"]
    return " && ".join(lines)


def test_an_ordinary_user_can_grade(as_ordinary_user):
    user, mark, _, _ = as_ordinary_user
    assert user != 0
    assert mark == 6


def test_an_ordinary_users_submissions_can_write_only_into_their_own_folders(as_ordinary_user):
    user, *places = as_ordinary_user[2].split()
    assert user == "1000"
    assert sorted(set(places) - WAYS) == ["/dev/shm", "/tmp"]


def test_terminals_are_of_its_own(parent):
    """Two submissions share a user, so that a terminal of one could be opened by the other."""
    with Session(parent) as first, Session(parent) as second:
        first.run("import pty, os\nours, theirs = pty.openpty()\nprint(os.ttyname(theirs))")
        assert answer(first, "import os\nfound = [name for name in os.listdir('/dev/pts') if name != 'ptmx']") == ["0"]
        assert answer(second, "import os\nfound = [name for name in os.listdir('/dev/pts') if name != 'ptmx']") == []


def test_a_notebook_starts_without_a_name(session):
    (failure,) = session.run("numpy.mean([1])").outputs
    assert failure["ename"] == "NameError"


def test_an_ordinary_users_submissions_reach_no_other_submission(as_ordinary_user):
    assert as_ordinary_user[3] == "kept apart\n"


# Nothing passes from one submission to another

HOLDS = """
import ctypes, fcntl, os
libc = ctypes.CDLL(None, use_errno=True)
shared = open(os.__file__)  # a file that every submission sees
found = {}
for name, attempt in {
    "flock": lambda: fcntl.flock(shared, fcntl.LOCK_EX | fcntl.LOCK_NB),
    "getlk": lambda: fcntl.fcntl(shared, fcntl.F_GETLK, bytes(32)),
    "ofd": lambda: fcntl.fcntl(shared, 36, bytes(32)),
    "lease": lambda: fcntl.fcntl(shared, 1024, fcntl.F_RDLCK),
    "notify": lambda: fcntl.fcntl(os.open("/usr", os.O_RDONLY), 1026, 1),
    "inotify": lambda: libc.inotify_init() >= 0 or 1 / 0,
}.items():
    try:
        attempt()
        found[name] = "let through"
    except (OSError, ZeroDivisionError):
        found[name] = "refused"
"""


def test_no_lock_and_no_watch_on_a_shared_file_tells_anything(session):
    assert set(answer(session, HOLDS).values()) == {"refused"}


def test_a_database_of_ones_own_works(session):
    source = "import sqlite3\nbase = sqlite3.connect('own.db')\nbase.execute('create table t (x)')\n"
    source += (
        "base.execute('insert into t values (7)')\nbase.commit()\nprint(base.execute('select x from t').fetchone())"
    )
    assert printed(session.run(source)) == "(7,)\n"


TELLS = """
import numpy as np

def r2_score(y, predictions):
    print(float(y[0]))
    return 1 - np.sum((y - predictions) ** 2) / np.sum((y - np.mean(y)) ** 2)
"""


def hidden_of(grader, source, files=None):
    """Return the first hidden case that a submission of this source would get."""
    cells = [nbformat.v4.new_code_cell(source), nbformat.v4.new_code_cell(CHECK)]
    notebook = nbformat.v4.new_notebook(cells=cells)
    grader.grade(notebook, files)
    assert grader.own_seed == seed_of(grader.seed, notebook, files or {})  # so that it can be found again
    cases = grader.prepare(grader.exercises["linear_regression.r2_score"]).cases
    return [case.inputs["y"].tolist() for case in cases if case.group == "random"]


def test_hidden_inputs_belong_to_one_submission_alone(grader):
    first = hidden_of(grader, TELLS)
    assert hidden_of(grader, TELLS) == first
    assert hidden_of(grader, f"{TELLS}# a friend of the first") != first
    assert hidden_of(grader, TELLS, {"note.txt": b"x"}) != first
