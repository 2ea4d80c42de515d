"""What `mlcourse doctor` says: what isolation needs, what is there, and whether it holds when it is tried."""

from __future__ import annotations

from dataclasses import dataclass

from tabulate import tabulate

from mlcourse.grading.sandbox.limits import Limits
from mlcourse.grading.sandbox.parent import IsolationMissingError, WarmParent
from mlcourse.grading.sandbox.requirements import Requirement, requirements
from mlcourse.grading.wire import WireError, receive, send

# Each is a cell that a submission could hold; it prints whether the sandbox keeps it in.
TRIALS = {
    "no network": (
        "import socket\ntry:\n    socket.create_connection(('127.0.0.1', 9), 1)\nexcept OSError as error:\n"
        "    print('kept in' if error.errno != 111 else 'reached')\n"
    ),
    "no home, no passwords": "import os\nprint('kept in' if not os.path.exists('/etc/passwd') else 'reached')",
    "no other processes": "import os\nprint('kept in' if not os.listdir('/proc') else 'reached')",
    "no references": (
        "try:\n    import mlcourse.linear_regression\n    print('reached')\nexcept ImportError:\n    print('kept in')"
    ),
    "no rights": (
        "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "print('kept in' if libc.unshare(0x10000000) != 0 and os.getuid() != 0 else 'reached')"
    ),
    "limit of processes": (
        "import os, time\ntry:\n    for _ in range(200):\n        if os.fork() == 0:\n            time.sleep(2)\n"
        "            os._exit(0)\n    print('reached')\nexcept OSError:\n    print('kept in')"
    ),
    "limit of memory": (
        "try:\n    bytearray(4 * 2**30)\n    print('reached')\nexcept MemoryError:\n    print('kept in')"
    ),
}


@dataclass(frozen=True)
class Examination:
    """Everything that was found."""

    requirements: list[Requirement]
    trials: dict[str, bool]
    failure: str = ""

    @property
    def sound(self) -> bool:
        """Whether submissions can be isolated here."""
        return not self.failure and all(item.present for item in self.requirements) and all(self.trials.values())

    def __str__(self) -> str:
        """Return the tables."""
        rows = [[item.name, "yes" if item.present else "NO", item.found] for item in self.requirements]
        rows += [[f"tried: {name}", "yes" if held else "NO", ""] for name, held in self.trials.items()]
        text = tabulate(rows, headers=["isolation needs", "here", "found"])
        remedies = [f"  {item.name}: {item.remedy}" for item in self.requirements if not item.present]
        if remedies:
            text += "\n\nTo get what is missing:\n" + "\n".join(remedies)
        if self.failure:
            text += f"\n\n{self.failure}"
        if self.sound:
            return text + "\n\nSubmissions can be isolated on this machine."
        return text + "\n\nSubmissions cannot be isolated on this machine: mlcourse grade will stop."


def examine() -> Examination:
    """Look for what isolation needs and, if it is all there, try it."""
    found = requirements()
    if not all(item.present for item in found):
        return Examination(found, {})
    try:
        with WarmParent(limits=Limits(cell_seconds=20)) as parent:
            return Examination(found, {name: _held(parent, cell) for name, cell in TRIALS.items()})
    except (IsolationMissingError, WireError) as error:
        return Examination(found, {}, str(error))


def _held(parent: WarmParent, cell: str) -> bool:
    """Return whether a cell, in a process of its own, says that it was kept in."""
    child = parent.spawn()
    try:
        send(child.channel, {"do": "cell", "source": cell})
        reply = receive(child.channel, 60)
        return any("kept in" in output.get("text", "") for output in reply["outputs"])
    finally:
        parent.end(child)
