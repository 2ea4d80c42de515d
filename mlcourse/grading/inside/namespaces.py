"""A child's own user, process, mount, network and message namespaces, and the loss of every privilege.

The kernel's calls are made through ctypes, because Python 3.11 has no names for them.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT, MS_BIND, MS_REC = 1, 2, 4, 8, 32, 4096, 16384
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
CAPABILITY_VERSION = 0x20080522
NOBODY = 65534
LIBC = ctypes.CDLL(None, use_errno=True)


class IsolationError(OSError):
    """A step of the isolation that the kernel refused."""


def die_with_parent() -> None:
    """Have the kernel end this process when its parent ends."""
    _check(LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "PR_SET_PDEATHSIG")


def leave_root() -> None:
    """Become nobody, where the sandbox was started by root: the limit of processes does not hold for root."""
    if os.getuid() != 0:
        return
    try:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    except OSError:
        return  # root of a namespace that has no other user
    # A process that changed its user may not write its own map of users otherwise.
    _check(LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0), "PR_SET_DUMPABLE")


def enter_namespaces() -> None:
    """Leave the sandbox's namespaces for new ones; the next process that is forked is number 1 of them."""
    user, group = os.getuid(), os.getgid()
    everything = CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUTS
    _check(LIBC.unshare(everything), "unshare")
    _write("/proc/self/setgroups", "deny")
    _write("/proc/self/uid_map", f"1000 {user} 1")
    _write("/proc/self/gid_map", f"1000 {group} 1")


def private_files(disk: int, homes: list[str]) -> None:
    """Mount an empty temporary folder, shared memory of its own, and nothing where processes could be seen.

    Those of Python's folders that lie below the temporary one are put back into it.
    """
    kept = {home: os.open(home, os.O_PATH) for home in homes}
    _mount_memory("/tmp", f"size={disk},nr_inodes=20000,mode=0700")
    for home, descriptor in kept.items():
        os.makedirs(home)
        source = f"/proc/self/fd/{descriptor}".encode()
        _check(LIBC.mount(source, home.encode(), None, MS_BIND | MS_REC, None), f"mount {home}")
        os.close(descriptor)
    _mount_memory("/dev/shm", f"size={disk},nr_inodes=1000,mode=0700")
    # Terminals of its own: those of the sandbox would be shared with the other submissions.
    options = b"newinstance,ptmxmode=0666,mode=0600,max=16"
    _check(LIBC.mount(b"devpts", b"/dev/pts", b"devpts", MS_NOSUID | MS_NOEXEC, options), "mount /dev/pts")
    _mount_memory("/proc", "size=4096,nr_inodes=2,mode=0500", read_only=True)


def _mount_memory(target: str, options: str, read_only: bool = False) -> None:
    flags = MS_NOSUID | MS_NODEV
    _check(LIBC.mount(b"tmpfs", target.encode(), b"tmpfs", flags, options.encode()), f"mount {target}")
    if read_only:
        _check(LIBC.mount(None, target.encode(), None, flags | MS_RDONLY | MS_REMOUNT, None), f"remount {target}")


def limit_resources(limits: dict[str, Any]) -> None:
    """Set what one process may use; children inherit it."""
    memory = _address_space() + limits["memory"]
    processor = limits["processor_seconds"]
    for kind, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_NPROC, limits["processes"]),
        (resource.RLIMIT_FSIZE, limits["file_size"]),
        (resource.RLIMIT_CPU, processor),
        (resource.RLIMIT_NOFILE, 256),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
    ):
        resource.setrlimit(kind, (value, value))
    # Writing beyond the limit is then an error that Python can report, and not the end of the process.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _address_space() -> int:
    """Return the bytes that the warm libraries take already; measured before /proc is hidden."""
    return _ADDRESS_SPACE[0]


_ADDRESS_SPACE = [0]


def measure_address_space() -> None:
    """Remember the size of this process, to which the memory of a submission is added."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    _ADDRESS_SPACE[0] = pages * resource.getpagesize()


def drop_privileges() -> None:
    """Give up every capability, for good."""
    _check(LIBC.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "PR_SET_NO_NEW_PRIVS")
    for capability in range(64):
        if LIBC.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            break  # beyond the last that this kernel knows
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    nothing = (ctypes.c_uint32 * 6)()
    _check(LIBC.capset(ctypes.byref(header), ctypes.byref(nothing)), "capset")


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="ascii")
    except OSError as error:
        raise IsolationError(error.errno, f"writing {path}: {error.strerror}") from error


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise IsolationError(number, f"{what}: {os.strerror(number)}")


if sys.platform != "linux":  # pragma: no cover
    raise ImportError("Namespaces are a feature of Linux.")
