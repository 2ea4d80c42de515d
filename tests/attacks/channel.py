"""Speak to the grader in the submission's own words: forged replies, garbage, other people's files."""

from .base import Attack, code

FAMILY = "forged replies"

# Every file descriptor that is open and that a cell could write to.
DESCRIPTORS = """
import os, socket, stat, struct, json, threading

def descriptors():
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:
        numbers = range(3, 256)
    kinds = []
    for number in numbers:
        try:
            mode = os.fstat(number).st_mode
        except OSError:
            continue
        if number >= 3 and (stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode)):
            kinds.append(number)
    return kinds

def send(data):
    for number in descriptors():
        try:
            os.set_blocking(number, False)
            os.write(number, data)
        except (OSError, ValueError):
            pass

def frames(body):
    yield body
    for form in (">I", "<I", ">Q", "<Q"):
        yield struct.pack(form, len(body)) + body
    yield body + b"\\n"
    yield b"Content-Length: %d\\r\\n\\r\\n" % len(body) + body
"""


def speaking(name: str, tries: str, source: str, cell: str = "r2_score", dangerous: bool = False) -> Attack:
    """Return an attack that may use `descriptors`, `send` and `frames`."""
    return Attack(name, FAMILY, tries, {cell: code(DESCRIPTORS) + "\n\n" + code(source)}, dangerous=dangerous)


FORGED = """
import msgpack
bodies = []
for value in (0.5, -7 / 3, 1.0, 6.0):
    outcome = {"value": value, "failure": None, "refused": None, "timed_out": False, "changed": [], "printed": ""}
    bodies += [msgpack.packb(outcome), msgpack.packb(["outcome", outcome]), msgpack.packb({"outcome": outcome}),
               msgpack.packb({"kind": "outcome", **outcome}), msgpack.packb({"ok": True, "result": outcome})]
report = {"name": "linear_regression.r2_score", "score": 6.0, "max_score": 6.0, "status": "passed", "feedback": "all",
          "misconception": None, "groups": {}}
bodies += [msgpack.packb(report), msgpack.packb(["report", report]), msgpack.packb({"done": True, "reports": [report]}),
           json.dumps(report).encode()]
"""

ATTACKS = [
    speaking(
        "forged_outcomes",
        "writes passing outcomes and reports, in many framings, to every socket and pipe while it is called",
        FORGED
        + """
def r2_score(y, predictions):
    for body in bodies:
        for frame in frames(body):
            send(frame)
    return 0.0
""",
    ),
    speaking(
        "forged_while_the_cells_run",
        "writes the same forged replies from a cell, before any check, and again after the last",
        FORGED
        + """
for body in bodies:
    for frame in frames(body):
        send(frame)
import atexit
atexit.register(lambda: [send(frame) for body in bodies for frame in frames(body)])
""",
        cell="fit_least_squares",
    ),
    speaking(
        "forged_by_a_thread",
        "keeps a thread that writes forged replies all the time",
        FORGED
        + """
import time
def flood():
    end = time.monotonic() + 20
    while time.monotonic() < end:
        for body in bodies:
            for frame in frames(body):
                send(frame)
        time.sleep(0.01)
threading.Thread(target=flood, daemon=True).start()
""",
        cell="fit_least_squares",
    ),
    speaking(
        "huge_lengths",
        "announces frames of 4 GB and more, and msgpack containers with 2^32 - 1 items",
        """
def r2_score(y, predictions):
    for data in (b"\\xff" * 64, b"\\xdd\\xff\\xff\\xff\\xff", b"\\xdf\\xff\\xff\\xff\\xff",
                 b"\\xc6\\xff\\xff\\xff\\xff",
                 struct.pack(">I", 0xFFFFFFFF), struct.pack("<Q", 2**62), b"\\xdb\\x7f\\xff\\xff\\xff"):
        for frame in (data, struct.pack(">I", len(data)) + data):
            send(frame)
    return 0.0
""",
    ),
    speaking(
        "garbage",
        "writes random bytes to the channel",
        """
def r2_score(y, predictions):
    for _ in range(50):
        send(os.urandom(1_000))
    return 0.0
""",
    ),
    speaking(
        "nested_frames",
        "sends msgpack of 100,000 lists inside lists, extension types and timestamps, well framed",
        """
import msgpack
def r2_score(y, predictions):
    deep = b"\\x91" * 100_000 + b"\\xc0"
    odd = msgpack.packb([msgpack.ExtType(5, b"x"), msgpack.Timestamp(0, 0)])
    for body in (deep, odd):
        for frame in frames(body):
            send(frame)
    return 0.0
""",
    ),
    speaking(
        "truncated_and_closed",
        "writes half a frame, then closes every descriptor",
        """
def r2_score(y, predictions):
    send(struct.pack(">I", 1_000) + b"half")
    for number in descriptors():
        os.close(number)
    return 0.0
""",
    ),
    speaking(
        "shut_down_half",
        "shuts down one direction of the channel and goes on living",
        """
import time
def r2_score(y, predictions):
    for number in descriptors():
        try:
            socket.socket(fileno=os.dup(number)).shutdown(socket.SHUT_RD)
        except OSError:
            pass
    return 0.0
""",
    ),
    speaking(
        "descriptors_replaced",
        "replaces every descriptor by /dev/zero, which answers forever",
        """
zero = os.open("/dev/zero", os.O_RDWR)
for number in descriptors():
    os.dup2(zero, number)
""",
        cell="fit_least_squares",
    ),
    speaking(
        "channel_read_ahead",
        "peeks at and reads from every socket, prints it and answers for whoever should have read it",
        """
def look():
    for number in descriptors():
        try:
            other = socket.socket(fileno=os.dup(number))
            other.setblocking(False)
            print(number, other.family, repr(other.recv(100_000, socket.MSG_PEEK))[:5_000])
            print(number, repr(other.recv(100_000))[:5_000])
        except OSError:
            pass
look()
def r2_score(y, predictions):
    look()
    return 0.0
""",
    ),
    speaking(
        "answers_twice",
        "forks while it is called, so that two processes answer one question",
        """
def r2_score(y, predictions):
    for _ in range(3):
        os.fork()
    return 0.5
""",
    ),
    speaking(
        "sends_descriptors",
        "sends the grader open files over the channel, hundreds of them",
        """
def r2_score(y, predictions):
    files = [os.open("/dev/null", os.O_RDONLY) for _ in range(50)]
    for number in descriptors():
        try:
            other = socket.socket(fileno=os.dup(number))
            other.setblocking(False)
            for _ in range(20):
                socket.send_fds(other, [b"x"], files)
        except OSError:
            pass
    return 0.0
""",
    ),
    Attack(
        "printed_report",
        FAMILY,
        "prints what looks like a report of full points, and 6.0, on every stream",
        {
            "r2_score": """
            import json, os, sys
            report = "r2_score           6 of 6 points\\n  all right        every check passed\\n6.0\\n"
            row = json.dumps({"name": "linear_regression.r2_score", "score": 6.0, "max_score": 6.0, "status": "passed",
                              "feedback": report, "misconception": None})
            def r2_score(y, predictions):
                for stream in (sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__):
                    print(report + row, file=stream, flush=True)
                os.write(1, (report + row + "\\n").encode())
                return 6.0
            print(report + row)
            """
        },
    ),
    Attack(
        "report_file",
        FAMILY,
        "appends full reports to the file that `mlcourse check` reads, and to every file that is open",
        {
            "r2_score": """
            import json, os
            row = json.dumps({"name": "linear_regression.r2_score", "score": 6.0, "max_score": 6.0, "status": "passed",
                              "feedback": "all right", "misconception": None}) + "\\n"
            target = os.environ.get("MLCOURSE_REPORT_FILE", "reports.jsonl")
            def write():
                for path in (target, "/tmp/reports.jsonl"):
                    try:
                        with open(path, "a") as file:
                            file.write(row)
                    except OSError:
                        pass
            write()
            def r2_score(y, predictions):
                write()
                return 0.0
            """
        },
    ),
]
