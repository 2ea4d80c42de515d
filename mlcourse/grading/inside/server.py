"""The warm parent: imports the libraries once, then forks one isolated process for each submission.

Started by `mlcourse.grading.sandbox.parent` as ``python -m mlcourse.grading.inside.server``. It reads one line of JSON
a request from the control channel (descriptor 3 says which), and never runs a line of a submission itself.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

WATCH = 0.1  # seconds between two looks at the memory of the submissions
TOGETHER = 1.25  # a single process meets its own limit first, and is told by a MemoryError


def main() -> None:
    """Warm up, say so, and serve until the control channel is closed."""
    control = socket.socket(fileno=int(sys.argv[1]))
    settings = json.loads(control.recv(2**16))
    server = Server(control, settings)
    control.send(json.dumps({"ready": True}).encode())
    server.serve()


class Server:
    """Forks submissions, watches their memory, and ends them when it is told to."""

    def __init__(self, control: socket.socket, settings: dict[str, Any]) -> None:
        self.control = control
        self.isolated: bool = settings["isolated"]
        self.limits: dict[str, Any] = settings["limits"]
        self.homes: list[str] = settings["homes"]
        self.children: dict[int, str] = {}  # process -> why it was ended, empty while it runs
        self.next_look = 0.0  # at the memory
        self.shell = warm_up(settings["modules"])
        self.filter = None
        if self.isolated:
            from mlcourse.grading.inside.namespaces import measure_address_space
            from mlcourse.grading.inside.system_calls import prepare_filter

            measure_address_space()
            self.filter = prepare_filter()
        gc.freeze()  # what is here now is never collected, so that its pages stay shared
        with contextlib.suppress(OSError):  # if memory ends, a submission ends first
            Path("/proc/self/oom_score_adj").write_text("900", encoding="ascii")

    def serve(self) -> None:
        """Answer requests and watch."""
        while True:
            running = any(not why for why in self.children.values())
            readable, _, _ = select.select([self.control], [], [], WATCH if running else None)
            if readable and not self.answer():
                break
            self.watch()
        for child in list(self.children):
            self.end(child, "closed")

    def answer(self) -> bool:
        """Answer one request; False when the grader is gone."""
        data, descriptors, _, _ = socket.recv_fds(self.control, 2**16, 2)
        if not data:
            return False
        request = json.loads(data)
        if request["do"] == "spawn":
            reply = self.spawn(*descriptors)
        elif request["do"] == "watch":
            from mlcourse.grading.inside.leading import forbid
            from mlcourse.grading.watch import table_of

            for names in request["forbidden"]:
                table_of(tuple(names))  # kept for all submissions
                forbid(names)
            reply = {}
        else:
            child = request["process"]
            self.forget_ended()
            reply = {"why": self.children.get(child, "")}
        self.control.send(json.dumps(reply).encode())
        if request["do"] == "end":  # nobody has to wait for it
            self.end(request["process"], "asked")
            self.children.pop(request["process"], None)
        return True

    def spawn(self, channel: int, status: int) -> dict[str, Any]:
        """Fork a submission's process; it says on its own channel when it is ready."""
        child = os.fork()
        if child == 0:
            code = 1
            try:
                self.control.close()
                keep(self.shell, self.filter, self.homes if self.isolated else None, self.limits, channel, status)
                code = 0
            finally:
                os._exit(code)
        os.close(channel)
        os.close(status)
        self.children[child] = ""
        return {"process": child}

    def watch(self) -> None:
        """End a submission whose processes together use more memory than they may."""
        self.forget_ended()
        if not self.isolated or time.monotonic() < self.next_look:
            return
        self.next_look = time.monotonic() + WATCH
        most = TOGETHER * self.limits["memory"]
        for child, why in list(self.children.items()):
            if not why and uses_more_memory(child, most):
                self.end(child, "memory")

    def forget_ended(self) -> None:
        """Write down which submissions have ended."""
        for child, why in list(self.children.items()):
            with contextlib.suppress(ChildProcessError):
                if not why and os.waitpid(child, os.WNOHANG)[0]:
                    self.children[child] = "ended"

    def end(self, child: int, why: str) -> None:
        """End the keeper of a submission; the kernel ends everything in its namespace with it."""
        if self.children.get(child) != "":
            return
        self.children[child] = why
        with contextlib.suppress(ProcessLookupError):
            if not self.isolated:
                os.killpg(child, signal.SIGKILL)
            os.kill(child, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(child, 0)


def warm_up(modules: list[str]) -> Any:
    """Import what submissions use, and return the shell that they start with."""
    import matplotlib.pyplot  # noqa: F401
    import numpy  # noqa: F401

    from mlcourse.grading.inside.names import computing
    from mlcourse.grading.inside.shell import warm_shell

    for name in modules:
        importlib.import_module(name)
    computing()  # kept for all submissions
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.set_num_threads(1)
        torch.ones(2, 2, dtype=torch.float64) @ torch.ones(2, 2, dtype=torch.float64)
        torch.get_default_device()  # it imports something, and is asked at every call
    importlib.import_module("mlcourse.grading.inside.worker")
    shell = warm_shell()
    shell.run_cell("pass", store_history=False, silent=True)  # no name is left: a notebook starts with none
    importlib.import_module("IPython.core.logger")  # a shell imports it with its first cell that is kept
    return shell


def keep(shell: Any, rules: Any, homes: list[str] | None, limits: dict[str, Any], channel: int, status: int) -> None:
    """Be the keeper of one submission: isolate it, start it, and end when its last process has ended.

    ``homes`` are Python's folders below the temporary one; None where nothing is isolated.
    """
    if homes is None:
        os.setpgid(0, 0)
        first = os.fork()
        if first == 0:
            os.close(status)
            live(shell, None, limits, channel)
        os.close(channel)
        reap(status)
        return
    from mlcourse.grading.inside import namespaces

    namespaces.die_with_parent()
    namespaces.leave_root()
    namespaces.die_with_parent()  # a change of user forgets it
    namespaces.enter_namespaces()
    first = os.fork()  # number 1 of the new process namespace
    if first:
        os.close(channel)
        os.close(status)
        os.waitpid(first, 0)
        return
    namespaces.die_with_parent()
    namespaces.private_files(limits["disk"], homes)
    if os.fork() == 0:
        os.close(status)
        live(shell, rules, limits, channel)
    os.close(channel)
    reap(status)


def reap(status: int) -> None:
    """Wait for every process of the submission and write down how each ended."""
    while True:
        try:
            process, how = os.wait()
        except ChildProcessError:
            return
        with contextlib.suppress(OSError):
            os.set_blocking(status, False)
            os.write(status, f"{process} {how}\n".encode())


def live(shell: Any, rules: Any, limits: dict[str, Any], channel: int) -> None:
    """Be the submission; never returns."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        if channel != 3:
            os.dup2(channel, 3)
        os.set_inheritable(3, False)
        os.closerange(4, 1024)
        os.chdir("/tmp" if rules is not None else os.getcwd())
        if rules is not None:
            from mlcourse.grading.inside import namespaces

            namespaces.limit_resources(limits)
            namespaces.drop_privileges()
            rules.load()
        from mlcourse.grading.inside.shell import Notebook
        from mlcourse.grading.inside.worker import Worker
        from mlcourse.grading.watch import guard_the_switch

        sys.path.insert(0, "")  # a notebook imports the modules beside it
        guard_the_switch()
        worker = Worker(socket.socket(fileno=3), Notebook(shell, limits))
        worker.rehearse()
        worker.serve()
        code = 0
    finally:
        os._exit(code)


def uses_more_memory(child: int, most: float) -> bool:
    """Return whether all processes below a keeper hold more bytes than that.

    Pages that are shared count once, where the kernel tells; they are told apart only where it could matter, because
    the kernel takes long for it.
    """
    family = descendants(child)
    return sum(_from_status(process) for process in family) > most < sum(_own_pages(process) for process in family)


def descendants(child: int) -> list[int]:
    """Return the processes below one."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                text = Path(f"/proc/{name}/stat").read_text(encoding="latin-1")
                parents[int(name)] = int(text.rpartition(")")[2].split()[1])
    found, grown = {child}, True
    while grown:
        below = {process for process, parent in parents.items() if parent in found} - found
        found |= below
        grown = bool(below)
    return sorted(found - {child})


def _from_status(process: int) -> int:
    return sum(_kilobytes(f"/proc/{process}/status", ("RssAnon:", "RssShmem:"))) * 1024


def _own_pages(process: int) -> int:
    pages = _kilobytes(f"/proc/{process}/smaps_rollup", ("Pss_Anon:", "Pss_Shmem:"))
    return sum(pages) * 1024 if pages else _from_status(process)


def _kilobytes(path: str, names: tuple[str, ...]) -> list[int]:
    with contextlib.suppress(OSError, ValueError):
        lines = Path(path).read_text(encoding="latin-1").splitlines()
        return [int(line.split()[1]) for line in lines if line.startswith(names)]
    return []


if __name__ == "__main__":
    main()
