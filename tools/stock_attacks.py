"""The attacks of ``tests/attacks`` on stock nbgrader, for the table in the documentation.

Called as ``python -m tools.stock_attacks --json F.json --out book/attacks.md`` from the root of the repository. Each
attack gets a course of its own, graded by nbgrader's own ``Execute`` and the check in the notebook's kernel. Nothing of
it touches this machine: nbgrader itself runs inside bubblewrap, as an ordinary user, without a network, with its course
and a home folder as the only places to write to, with limits, and with somebody who watches the memory.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import os
import resource
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
from tabulate import tabulate
from tqdm import tqdm

from tools.release import ROOT, release

sys.path.insert(0, str(ROOT / "tests"))

from attacks import evidence
from attacks.base import Attack, Place
from attacks.catalogue import every_attack
from attacks.course import Handed, hand_in_attack, hand_in_worked
from attacks.evidence import Batch, Finding
from attacks.plants import VARIABLE, listening, new_tokens, plant

HOME = Path("/home/instructor")
COURSE = Path("/srv/course")
USER = 61234  # nobody else's, so that its processes are counted alone
SPARE = 6 * 2**30  # bytes of memory below which an attack is ended
LIMITS = {
    resource.RLIMIT_NPROC: 400,
    resource.RLIMIT_AS: 12 * 2**30,
    resource.RLIMIT_FSIZE: 2**30,
    resource.RLIMIT_NOFILE: 4096,
    resource.RLIMIT_CORE: 0,
}
# A plain course: nbgrader's own settings, and how this course marks its solutions.
CONFIG = """
c = get_config()
c.CourseDirectory.course_id = "mlcourse"
c.CourseDirectory.root = {root!r}
c.ClearSolutions.code_stub = {{"python": 'raise NotImplementedError("not written yet")'}}
c.ClearSolutions.begin_solution_delimeter = "### BEGIN SOLUTION"
c.ClearSolutions.end_solution_delimeter = "### END SOLUTION"
"""
PASSWORDS = f"root:x:0:0::/root:/bin/sh\ninstructor:x:{USER if os.geteuid() == 0 else os.getuid()}:0::{HOME}:/bin/sh\n"
PAGE = """\
# Attacks that were tried

Each line is a hostile submission, tried on this course's grader and on nbgrader as it comes (version {nbgrader}, with
its own `Execute` and the check in the notebook's kernel). In both courses lay the same secrets, and an honest
submission beside the attack. nbgrader itself ran inside a sandbox of its own, so that nothing reached the machine.

*Mark gained* means points that the submission does not deserve. *Secret seen* means that a planted word or a hidden
input stood in what the student gets back. *Something changed* means a file, a server or another submission. *Grader
stopped* means that the honest submission beside it was not graded, or that the run had to be ended. `tests/attacks`
holds the attacks; the column of this course is a test that runs with `make test`. The other column was measured once,
by `python -m tools.stock_attacks`.

"""
BESIDE = "honest-worked"
NOTHING = "nothing"
ORDER = (evidence.MARK, evidence.SECRET, evidence.CHANGED, evidence.LEFT, evidence.ACTIVE, evidence.STOPPED)


def base_course(folder: Path) -> Path:
    """Return a course in which both assignments are released, with the settings of a plain one."""
    course = folder / "course"
    release(course, names=sorted({attack.assignment for attack in every_attack()}))
    (course / "nbgrader_config.py").write_text(CONFIG.format(root=str(COURSE)), encoding="utf-8")
    return course


def attempt(attack: Attack, base: Path, folder: Path, wall: float) -> list[Finding]:
    """Return what an attack achieves on stock nbgrader, in a course of its own."""
    course, home, result = folder / "course", folder / "instructor", folder / "result"
    result.mkdir(parents=True)
    shutil.copytree(base, course)
    tokens = new_tokens()
    plant(course, home, attack.assignment, tokens)
    honest = {(BESIDE, attack.assignment): hand_in_worked(course, BESIDE, attack.assignment, tokens["other"])}
    prefix = f"at{secrets.token_hex(2)}"
    student = attack.student or "attacker"
    # The port is a fixed one: there is nobody else in that network.
    place = Place(COURSE, HOME, ROOT, student, prefix + "n000", 0, "")
    batch = Batch(course, home, ROOT, tokens, honest, prefix)
    (folder / "attack.json").write_text(
        json.dumps({"name": attack.name, "student": student, "mark": place.mark, "tokens": tokens, "wall": wall}),
        encoding="utf-8",
    )
    (folder / "attack.json").chmod(0o600)
    (folder / "passwd").write_text(PASSWORDS, encoding="utf-8")
    batch.digests = evidence.digests(course, home, [BESIDE])
    give_away(folder)
    ended = run_inside(folder, attack, wall)
    said = read_result(result / "inside.json")
    batch.received = said.get("received", "").encode()
    batch.processes = said.get("processes", [])
    batch.strewn = said.get("strewn", [])
    found = evidence.findings(batch, Handed(attack, place)) + evidence.harm_to_others(batch)
    ended = ended or (said.get("stopped", "") if said else "nothing was left to say what happened")
    if ended:
        found.append(Finding(evidence.STOPPED, ended))
    return found


def read_result(path: Path) -> dict[str, Any]:
    """Return what was seen from inside, empty where nothing could be said."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def give_away(folder: Path) -> None:
    """Let an ordinary user own the instructor's folders, where this is the administrator."""
    if os.geteuid() == 0:
        for room in ("instructor", "course"):
            for here, folders, files in os.walk(folder / room):
                for name in (".", *folders, *files):
                    os.chown(Path(here) / name, USER, USER, follow_symlinks=False)


def sandbox(folder: Path) -> list[str]:
    """Return the command that starts a program inside bubblewrap."""
    command = ["bwrap", "--die-with-parent", "--new-session", "--unshare-pid", "--unshare-net", "--unshare-ipc"]
    command += ["--unshare-uts", "--clearenv", "--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc"]
    for name in ("/bin", "/sbin", "/lib", "/lib64"):
        if Path(name).is_symlink():
            command += ["--symlink", os.readlink(name), name]
        elif Path(name).exists():
            command += ["--ro-bind", name, name]
    # bubblewrap makes the folders on the way to a place for its owner alone.
    ways = {way for place in (Path(sys.base_prefix), ROOT, HOME, COURSE) for way in place.parents} - {Path("/")}
    for way in sorted(ways - {Path("/usr"), Path("/etc")}):
        command += ["--perms", "0755", "--dir", str(way)] if not way.is_relative_to("/usr") else []
    command += ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--size", str(2**30), "--tmpfs", "/tmp"]
    command += ["--perms", "1777", "--size", str(2**30), "--tmpfs", "/dev/shm"]
    command += ["--ro-bind", sys.base_prefix, sys.base_prefix, "--ro-bind", str(ROOT), str(ROOT)]
    command += [
        "--bind",
        str(folder / "instructor"),
        str(HOME),
        "--bind",
        str(folder / "course"),
        str(COURSE),
        "--bind",
        str(folder / "result"),
        "/result",
    ]
    command += ["--ro-bind", str(folder / "attack.json"), "/attack.json"]
    command += ["--ro-bind", str(folder / "passwd"), "/etc/passwd"]
    command += ["--setenv", "HOME", str(HOME), "--setenv", "PATH", f"{Path(sys.executable).parent}:/usr/bin:/bin"]
    command += ["--setenv", "PYTHONDONTWRITEBYTECODE", "1", "--setenv", "OMP_NUM_THREADS", "1", "--chdir", str(ROOT)]
    if os.geteuid() == 0:  # the one who watches stays administrator; nbgrader becomes an ordinary user
        command += ["--cap-drop", "ALL"]
        for name in ("CAP_SETUID", "CAP_SETGID", "CAP_KILL", "CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"):
            command += ["--cap-add", name]
    return command


def run_inside(folder: Path, attack: Attack, wall: float) -> str:
    """Grade one course inside the sandbox; return why it was ended, empty where it ended by itself."""
    command = [*sandbox(folder), sys.executable, "-m", "tools.stock_attacks", "--inside"]
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            return watch(process, wall + 60)
        finally:
            process.kill()  # bubblewrap's end is the end of everything inside
            process.wait()


def watch(process: subprocess.Popen[bytes], wall: float) -> str:
    """Wait for a process; return why it must be ended before it ends by itself."""
    end = time.monotonic() + wall
    while process.poll() is None:
        if time.monotonic() > end:
            return f"it was ended after {wall:g} seconds"
        if psutil.virtual_memory().available < SPARE:
            return "it was ended because the memory of the machine ran out"
        time.sleep(0.05)
    return ""


# Inside the sandbox


def inside() -> None:
    """Grade the course with stock nbgrader and write down what only somebody inside can see."""
    given = json.loads(Path("/attack.json").read_text(encoding="utf-8"))
    attack = next(attack for attack in every_attack() if attack.name == given["name"])
    tokens, mark = given["tokens"], given["mark"]
    with listening(HOME, tokens) as servers:
        place = Place(COURSE, HOME, ROOT, given["student"], mark, servers.port, servers.socket)
        hand_in_attack(COURSE, attack, place)
        give_away_inside(COURSE / "submitted")
        stopped = ""
        for step in ("autograde", "generate_feedback"):
            stopped = stopped or nbgrader(step, attack.assignment, tokens["environment"], given["wall"])
    found = {
        "received": b"\n".join(servers.received).decode(errors="replace"),
        "processes": evidence.processes(mark[:6]),
        "strewn": evidence.strewn(COURSE, HOME, ROOT, mark[:6]),
        "stopped": stopped,
    }
    Path("/result/inside.json").write_text(json.dumps(found), encoding="utf-8")


def give_away_inside(folder: Path) -> None:
    """Let the ordinary user own what was handed in."""
    if os.geteuid() == 0:
        for here, folders, files in os.walk(folder):
            for name in (".", *folders, *files):
                with contextlib.suppress(OSError):
                    (Path(here) / name).chmod(0o777) if not (Path(here) / name).is_symlink() else None


def nbgrader(step: str, assignment: str, token: str, wall: float) -> str:
    """Run one step of nbgrader as an ordinary user, with limits; return why it was ended."""
    user = [f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    start = ["setpriv", *user] if os.geteuid() == 0 else []
    process = subprocess.Popen(
        [*start, str(Path(sys.executable).parent / "nbgrader"), step, assignment],
        cwd=COURSE,
        env=os.environ | {VARIABLE: token},
        stdin=subprocess.DEVNULL,
        preexec_fn=limit,
        start_new_session=True,
    )
    try:
        process.wait(wall)
    except subprocess.TimeoutExpired:
        process.kill()
        return f"{step} was ended after {wall:g} seconds"
    return ""


def limit() -> None:
    """Set the limits of nbgrader and of all that it starts."""
    for kind, most in LIMITS.items():
        resource.setrlimit(kind, (most, most))


# The table


Save = Callable[[dict[str, list[str]]], None]


def attempt_all(attacks: list[Attack], wall: float, jobs: int, keep: Path | None, save: Save) -> dict[str, list[str]]:
    """Return what each attack achieves on stock nbgrader; those that use up the machine run last and alone."""
    found: dict[str, list[str]] = {}
    lock = threading.Lock()
    with tempfile.TemporaryDirectory(prefix="stock-") as name, tqdm(total=len(attacks), unit="attack") as bar:
        base = base_course(Path(name) / "base")

        def one(attack: Attack) -> None:
            folder = Path(name) / attack.name
            folder.mkdir()
            try:
                result = [str(finding) for finding in attempt(attack, base, folder, wall)]
            except Exception as error:  # the table must not be lost for one attack
                result = [f"not measured: {type(error).__name__}: {error}"]
            if keep:
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / "log.txt", keep / f"{attack.name}.txt")
            shutil.rmtree(folder, ignore_errors=True)
            with lock:
                found[attack.name] = result
                save(found)
                bar.update()

        calm = [attack for attack in attacks if not attack.dangerous]
        with ThreadPoolExecutor(jobs) as pool:
            list(pool.map(one, calm))
        for attack in attacks:
            if attack.dangerous:
                one(attack)
    return found


def kinds(found: list[str]) -> str:
    """Return the kinds of findings in a few words.

    Examples
    --------
    >>> kinds(["secret seen: home", "mark gained: 6 points, it deserves 0", "secret seen: other"])
    'mark gained, secret seen'
    >>> kinds([])
    'nothing'
    """
    present = {line.partition(":")[0] for line in found}
    return ", ".join([kind for kind in ORDER if kind in present] + sorted(present - set(ORDER))) or NOTHING


def table(attacks: list[Attack], stock: dict[str, list[str]], engine: dict[str, list[str]]) -> str:
    """Return the Markdown table, with the totals above it."""
    rows = [
        [
            attack.family,
            attack.name.replace("_", " "),
            attack.tries.replace("|", "\\|").replace("<", "&lt;").replace("_", "\\_").replace("*", "\\*"),
            kinds(stock[attack.name]) if attack.name in stock else "not run",
            kinds(engine[attack.name]) if attack.name in engine else "not run",
        ]
        for attack in attacks
    ]
    headers = ["family", "attack", "what it tries", "stock nbgrader", "this course"]
    return f"{totals(rows)}\n\n{tabulate(rows, headers=headers, tablefmt='github')}\n"


def nbgrader_version() -> str:
    """Return the version of nbgrader that was measured."""
    return importlib.metadata.version("nbgrader")


def totals(rows: list[list[str]]) -> str:
    """Return how many attacks achieved what, as a small table."""
    lines = [
        [kind, *(sum(kind in row[column].split(", ") for row in rows) for column in (3, 4))]
        for kind in (*ORDER, NOTHING, "not measured", "not run")
    ]
    lines = [line for line in lines if line[1] or line[2] or line[0] in ORDER]
    headers = [f"of {len(rows)} attacks", "stock nbgrader", "this course"]
    return tabulate(lines, headers=headers, tablefmt="github")


def main() -> None:
    """Read the command line, run the attacks, write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", type=Path, help="the Markdown file to write")
    parser.add_argument(
        "--json", type=Path, help="keep what stock nbgrader let through, and go on from there next time"
    )
    parser.add_argument(
        "--engine", type=Path, default=ROOT / "_build" / "attacks.json", help="results of tests/attacks"
    )
    parser.add_argument("--only", nargs="*", default=[], help="names of attacks; default: all")
    parser.add_argument("--wall", type=float, default=240.0, help="seconds for a step of nbgrader")
    parser.add_argument("--jobs", type=int, default=2, help="attacks at the same time")
    parser.add_argument("--logs", type=Path, help="a folder in which to keep what nbgrader said")
    parser.add_argument("--known", action="store_true", help="run nothing: the table of what --json holds")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        inside()
        return
    if shutil.which("bwrap") is None:
        sys.exit(
            "stock_attacks: bubblewrap is missing, and without it the attacks reach this machine. Install it first."
        )
    known = read_result(given.json) if given.json else {}
    attacks = [attack for attack in every_attack() if not given.only or attack.name in given.only]
    missing = [attack for attack in attacks if attack.name not in known and not given.known]

    def save(found: dict[str, list[str]]) -> None:
        if given.json:
            given.json.write_text(json.dumps(known | found, indent=1), encoding="utf-8")

    known |= attempt_all(missing, given.wall, given.jobs, given.logs, save) if missing else {}
    text = table(attacks, known, read_result(given.engine))
    if given.out:
        given.out.write_text(PAGE.format(nbgrader=nbgrader_version()) + text, encoding="utf-8")
    print(text.split("\n\n")[0])


if __name__ == "__main__":
    main()
