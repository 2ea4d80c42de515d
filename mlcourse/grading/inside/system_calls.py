"""The kernel's calls that a submission may not make, as a filter of libseccomp.

Everything that honest numerical code does is allowed. Refused is what reaches out of a sandbox, into another process,
or past a limit.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

import pyseccomp as seccomp

# Into another process; other views of the files; the kernel itself; memory that no limit counts.
# fmt: off
REFUSED = (
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd", "pidfd_open",
    "perf_event_open", "mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsconfig",
    "fsmount", "fspick", "mount_setattr", "setns", "unshare", "name_to_handle_at", "open_by_handle_at", "quotactl",
    "quotactl_fd", "swapon", "swapoff", "mknod", "mknodat", "fanotify_init", "bpf", "userfaultfd", "io_uring_setup",
    "io_uring_enter", "io_uring_register", "init_module", "finit_module", "delete_module", "kexec_load",
    "kexec_file_load", "reboot", "syslog", "acct", "add_key", "request_key", "keyctl", "iopl", "ioperm", "modify_ldt",
    "personality", "vhangup", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname",
    "setdomainname", "lookup_dcookie", "nfsservctl", "memfd_create", "memfd_secret", "shmget", "shmat", "mq_open",
    "msgget", "semget", "mlock", "mlock2", "mlockall", "sched_setscheduler", "sched_setattr",
)
# fmt: on
# Locks and watches on files that all submissions see would let one tell another what it was asked.
TELLING = ("flock", "inotify_init", "inotify_init1", "inotify_add_watch")
NEW_NAMESPACES = 0x7E020080  # every CLONE_NEW flag of clone
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
F_GETLK, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_SETLEASE, F_NOTIFY = 5, 36, 37, 38, 1024, 1026


def prepare_filter() -> Any:
    """Return the filter; its ``load()`` sets it for the calling process and all that it starts."""
    rules = seccomp.SyscallFilter(seccomp.ALLOW)
    refuse = seccomp.ERRNO(errno.EPERM)
    for name in (*REFUSED, *TELLING):
        try:
            number = seccomp.resolve_syscall(seccomp.Arch.NATIVE, name)
        except ValueError:
            continue
        if number >= 0:  # a negative number: this processor has no such call
            rules.add_rule(refuse, name)
    # glibc falls back to clone, whose flags a filter can read.
    rules.add_rule(seccomp.ERRNO(errno.ENOSYS), "clone3")
    for bit in range(32):
        if NEW_NAMESPACES & (1 << bit):
            rules.add_rule(refuse, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, 1 << bit, 1 << bit))
    # Sockets between its own processes only: some families (vsock) belong to no network namespace.
    rules.add_rule(seccomp.ERRNO(errno.EAFNOSUPPORT), "socket", seccomp.Arg(0, seccomp.NE, int(socket.AF_UNIX)))
    for command in (F_GETLK, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_SETLEASE, F_NOTIFY):
        rules.add_rule(refuse, "fcntl", seccomp.Arg(1, seccomp.EQ, command))
    for request in (TIOCSTI, TIOCLINUX):
        rules.add_rule(refuse, "ioctl", seccomp.Arg(1, seccomp.MASKED_EQ, 0xFFFFFFFF, request))
    return rules
