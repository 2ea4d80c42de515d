"""The warm parent: a process in a bubblewrap sandbox that has imported the libraries and forks for each submission."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import weakref
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from mlcourse.grading.sandbox.limits import Limits
from mlcourse.grading.sandbox.requirements import missing_isolation
from mlcourse.grading.sandbox.view import COURSE, PACKAGE, bindings, python_homes

START_SECONDS = 120.0
ANSWER_SECONDS = 30.0
CAPABILITIES = ("SYS_ADMIN", "SETUID", "SETGID", "KILL", "SYS_PTRACE", "DAC_READ_SEARCH")


class IsolationMissingError(Exception):
    """Submissions cannot be isolated on this machine; the text says what to do."""


@dataclass
class Child:
    """One process of a submission: its keeper's number, its channel, and where its ends are written down."""

    process: int
    channel: socket.socket
    status: socket.socket


class WarmParent:
    """Starts the sandbox, which then gets ready by itself; `spawn` gives a fresh process for a submission.

    Parameters
    ----------
    uses : iterable of str
        Chapters whose reference modules the assignment may import.
    modules : iterable of str
        Libraries to import beforehand, such as ``"torch"``.
    isolation : str
        ``"auto"`` isolates, or stops with what is missing. ``"none"`` does not isolate: for one's own work only.
    secret : iterable of Path
        Folders that no submission may see.
    """

    def __init__(
        self,
        uses: Iterable[str] = (),
        modules: Iterable[str] = (),
        limits: Limits | None = None,
        isolation: str = "auto",
        secret: Iterable[Path] = (),
    ) -> None:
        self.limits = limits or Limits()
        self.isolated = require_isolation(isolation)
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        inside = ["-P", "-s", "-m", "mlcourse.grading.inside.server", str(theirs.fileno())]
        command = [sys.executable, *inside]
        environment = {**ENVIRONMENT, "PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/tmp"}
        if self.isolated:
            command = [*bubblewrap(bindings(uses, secret)), "--", *command]
        else:
            environment["PYTHONPATH"] = str(PACKAGE.parent)
        with theirs:
            self.process = subprocess.Popen(
                command,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=environment,
                cwd="/tmp",
            )
        self._finalizer = weakref.finalize(self, _end, self.process, self.control)
        settings = {
            "isolated": self.isolated,
            "limits": self.limits.as_dict(),
            "modules": list(modules),
            "homes": [str(home) for home in python_homes() if home.is_relative_to("/tmp")],
        }
        self._send(settings)
        self.ready = self.taken = False
        self.spare: Child | None = None
        self.awaited: tuple[socket.socket, socket.socket] | None = None  # a spare one that was asked for

    def wait(self) -> None:
        """Wait until the sandbox has imported the libraries."""
        if not self.ready:
            self._receive(START_SECONDS)
            self.ready = True

    def watch(self, forbidden: Iterable[Sequence[str]]) -> None:
        """Look up what exercises forbid, by their names, before any submission could put something in its place."""
        self._ask({"do": "watch", "forbidden": [list(names) for names in forbidden]})

    def spawn(self) -> Child:
        """Return a fresh process that has run nothing of a submission: the spare one, where there is one."""
        self.keep_spare()
        self._settle()
        assert self.spare is not None
        child, self.spare = self.spare, None
        return child

    def keep_spare(self) -> None:
        """Have the next process made now, so that it gets ready while another one is busy."""
        if self.spare or self.awaited:
            return
        self.wait()
        channel, theirs = socket.socketpair()
        status, written = socket.socketpair()
        with theirs, written:
            self._send({"do": "spawn"}, [theirs.fileno(), written.fileno()])
        self.awaited = channel, status

    def _settle(self) -> None:
        """Take the answer that comes before all others."""
        if self.awaited:
            self.spare = Child(self._receive(ANSWER_SECONDS)["process"], *self.awaited)
            self.awaited = None

    def why(self, child: Child) -> str:
        """Return why a submission's processes were ended: "memory", "ended" by themselves, or "" while they run."""
        return str(self._ask({"do": "why", "process": child.process})["why"])

    def end(self, child: Child) -> str:
        """End a submission's processes, all of them, and return why they had ended before, if they had."""
        child.channel.close()
        child.status.close()
        return str(self._ask({"do": "end", "process": child.process})["why"])

    def close(self) -> None:
        """End the sandbox and everything in it."""
        self._finalizer()

    def __enter__(self) -> WarmParent:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        self.wait()
        self._settle()
        self._send(request)
        return self._receive(ANSWER_SECONDS)

    def _send(self, request: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        self.control.settimeout(ANSWER_SECONDS)
        try:
            socket.send_fds(self.control, [json.dumps(request).encode()], descriptors)
        except OSError as error:
            raise IsolationMissingError(self._why_it_ended()) from error

    def _receive(self, seconds: float) -> dict[str, Any]:
        self.control.settimeout(seconds)
        try:
            reply = self.control.recv(2**16)
        except OSError as error:
            raise IsolationMissingError(self._why_it_ended()) from error
        if not reply:
            raise IsolationMissingError(self._why_it_ended())
        return dict(json.loads(reply))

    def _why_it_ended(self) -> str:
        self.process.kill()
        _, text = self.process.communicate()
        words = text.decode("utf-8", "replace").strip().splitlines()
        last = words[-1] if words else "it said nothing"
        return f"The sandbox for submissions could not be used: {last}. `mlcourse doctor` says what this machine lacks."


# One thread for each library: submissions run side by side, and many threads on busy cores are slower than one.
ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "IPYTHONDIR": "/tmp/ipython",
    "TMPDIR": "/tmp",
    "USER": "student",
    "PYTHONHASHSEED": "0",
    # All memory from glibc, in large pages where the kernel has them: a fork then copies far smaller tables.
    "PYTHONMALLOC": "malloc",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    "PYTHONDONTWRITEBYTECODE": "1",
}


def require_isolation(isolation: str) -> bool:
    """Return whether to isolate.

    Raises
    ------
    IsolationMissingError
        If isolation is wanted and something for it is missing.
    """
    if isolation == "none":
        return False
    lacking = missing_isolation()
    if lacking:
        needs = "; ".join(f"{item.name} ({item.found}): {item.remedy}" for item in lacking)
        raise IsolationMissingError(
            f"Submissions cannot be isolated on this machine. Missing: {needs}. "
            "For your own work only, --isolation=none runs it without protection."
        )
    return True


def bubblewrap(files: list[str]) -> list[str]:
    """Return the command that starts a program in a sandbox with these files."""
    command = [str(shutil.which("bwrap")), "--die-with-parent", "--new-session", "--clearenv", "--unshare-pid"]
    command += ["--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try", "--hostname", "grading"]
    if os.getuid() == 0:
        for capability in CAPABILITIES:  # to become nobody, and to look after nobody's processes
            command += ["--cap-add", f"CAP_{capability}"]
    else:
        command += ["--unshare-user"]
    for name, value in {**ENVIRONMENT, "PATH": "/usr/bin:/bin", "HOME": "/tmp", "PYTHONPATH": str(COURSE)}.items():
        command += ["--setenv", name, value]
    # The temporary folder first: Python itself may lie below it.
    command += ["--tmpfs", "/tmp", *files, "--proc", "/proc", "--dev", "/dev"]
    # What bubblewrap made to hold all this belongs to the user who grades: nobody may leave anything in it.
    return [*command, "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/tmp"]


def _end(process: subprocess.Popen[bytes], control: socket.socket) -> None:
    with contextlib.suppress(OSError):
        control.close()
    process.kill()
    if process.stderr:
        process.stderr.close()
    process.wait()
