"""What an attack achieved: marks, secrets, changed files, processes, markup that a browser would run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sqlite3
import stat
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from bs4 import BeautifulSoup

from mlcourse.exercises import chapter_exercises
from mlcourse.grading.evaluate import stream

from .course import Handed

MARK, SECRET, CHANGED, LEFT, ACTIVE, STOPPED = (
    "mark gained",
    "secret seen",
    "something changed",
    "process left",
    "active HTML",
    "grader stopped",
)
# Places outside the course where an attack leaves files, if it can.
SHARED = ("/tmp", "/var/tmp", "/dev/shm", "/run", "/usr/local/bin", "/usr/bin", "/etc/cron.d", "/etc/profile.d", "/opt")
ADDRESSES = {"href", "src", "action", "formaction", "data", "xlink:href", "srcdoc", "poster", "background"}
LOADING = {"script", "iframe", "object", "embed", "base", "meta", "link", "style", "form", "frame", "applet", "portal"}
BLOCK = 2_000_000
ACTIVE_ADDRESS = re.compile(r"javascript|vbscript|data:(?!image/(png|jpe?g|gif))", re.I)


@dataclass(frozen=True)
class Finding:
    """One thing that an attack achieved."""

    kind: str
    words: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.words}"


@dataclass
class Batch:
    """A course after grading, and what was known about it before."""

    course: Path
    home: Path
    repository: Path
    tokens: dict[str, str]
    honest: dict[tuple[str, str], float]  # student, assignment -> the mark that it deserves
    prefix: str  # with which the mark of every attack begins
    results: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)  # from the JSON file
    # digits of hidden inputs: of everybody by the assignment, of one submission by its student and the assignment
    hidden: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    received: bytes = b""  # by the instructor's servers
    processes: list[str] = field(default_factory=list)
    strewn: list[str] = field(default_factory=list)  # files with the mark of an attack in their name or text
    digests: dict[str, str] = field(default_factory=dict)
    usual: dict[str, set[str]] = field(default_factory=dict)  # what a browser runs in honest feedback
    found: dict[str, list[str]] = field(default_factory=dict)  # what each attack achieved
    log: str = ""


def findings(batch: Batch, handed: Handed) -> list[Finding]:
    """Return everything that one attack achieved."""
    attack, place = handed.attack, handed.place
    found = [Finding(SECRET, kind) for kind in secrets_in(shown_to(batch, handed), batch, handed)]
    score = highest_mark(batch, place.student, attack.assignment)
    if score > attack.deserves + 1e-9:
        found.append(Finding(MARK, f"{score:g} points, it deserves {attack.deserves:g}"))
    if place.mark.encode() in batch.received:
        found.append(Finding(CHANGED, "it reached a server"))
    found += [Finding(CHANGED, f"it wrote {name}") for name in batch.strewn if place.mark in name]
    found += [Finding(LEFT, name) for name in batch.processes if place.mark in name]
    found += [Finding(ACTIVE, tag[:100]) for tag in sorted(active_markup(batch, handed))]
    return found


def harm_to_others(batch: Batch) -> list[Finding]:
    """Return which honest marks and which files of the instructor changed."""
    found = []
    for (student, assignment), mark in batch.honest.items():
        score = mark_in_gradebook(batch.course, student, assignment)
        if score is None:
            found.append(Finding(STOPPED, f"{student} was not graded"))
        elif abs(score - mark) > 1e-9:
            found.append(Finding(CHANGED, f"{student} got {score:g} instead of {mark:g}"))
    now = digests(batch.course, batch.home, [student for student, _ in batch.honest])
    different = [name for name in now.keys() | batch.digests.keys() if now.get(name) != batch.digests.get(name)]
    return found + [Finding(CHANGED, f"{name} is not what it was") for name in sorted(different)]


# Marks


def highest_mark(batch: Batch, student: str, assignment: str) -> float:
    """Return the highest mark that any result gives to a student."""
    in_file = batch.results.get((student, assignment), {})
    each = [in_file.get("score", 0.0), sum(item["score"] for item in in_file.get("exercises", []))]
    return max(*each, mark_in_gradebook(batch.course, student, assignment) or 0.0)


def mark_in_gradebook(course: Path, student: str, assignment: str) -> float | None:
    """Return a student's mark in the gradebook, or None where there is none."""
    query = """
        select sum(coalesce(grade.manual_score, grade.auto_score, 0) + coalesce(grade.extra_credit, 0)),
               count(grade.auto_score)
        from grade join submitted_notebook on grade.notebook_id = submitted_notebook.id
             join submitted_assignment on submitted_notebook.assignment_id = submitted_assignment.id
             join assignment on submitted_assignment.assignment_id = assignment.id
        where submitted_assignment.student_id = ? and assignment.name = ?"""
    try:
        book = sqlite3.connect(f"file:{course / 'gradebook.db'}?mode=ro", uri=True)
        ((score, graded),) = book.execute(query, (student, assignment)).fetchall()
        book.close()
    except sqlite3.Error:
        return None
    return float(score) if graded else None


# Secrets


def shown_to(batch: Batch, handed: Handed) -> bytes:
    """Return everything that the student gets back: the graded notebook, the feedback, the entry in the JSON file."""
    student, assignment = handed.place.student, handed.attack.assignment
    parts = [json.dumps(batch.results.get((student, assignment), {}), ensure_ascii=False).encode("utf-8", "replace")]
    for room in ("autograded", "feedback"):
        for path in files_below(batch.course / room / student / assignment):
            if room == "feedback" or not path.is_symlink():
                parts.append(start_of(path))
    return b"\n".join(parts)


def secrets_in(data: bytes, batch: Batch, handed: Handed) -> Iterator[str]:
    """Yield which planted secrets and hidden inputs stand in what a student gets back."""
    yield from (kind for kind, token in batch.tokens.items() if token and token.encode() in data)
    for kind in ("solution", "shadow"):  # words that the attack itself puts together when it finds something
        if f"PLANTED-{kind}-{handed.place.mark}".encode() in data:
            yield kind
    numbers = set(re.findall(rb"\d+\.\d{8,}", data))
    name = handed.attack.assignment
    known = batch.hidden.get(name, set()) | batch.hidden.get(f"{handed.place.student}/{name}", set())
    leaked = sorted(number.decode()[:9] for number in numbers if number.decode()[:9] in known)
    if leaked:
        yield f"hidden inputs such as {leaked[0]}"


def hidden_digits(assignment: str, seed: int) -> set[str]:
    """Return the first digits of every random number among the inputs that a seed gives."""
    return {
        digits[:9]
        for exercise in chapter_exercises(assignment).values()
        for case in exercise.cases(stream(seed, exercise.name))
        if case.group != "worked"
        for value in case.inputs.values()
        for digits in _digits_of(value)
        if len(digits) > 10  # a number such as 0.25 may stand anywhere; those of r2_score have a few digits more
    }


def _digits_of(value: Any) -> Iterator[str]:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list | tuple):
        for item in value:
            yield from _digits_of(item)
    elif isinstance(value, float) and abs(value) > 0.1:
        yield repr(abs(value))


# Files


def files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder; links are yielded and not followed."""
    for here, _, names in os.walk(folder):
        yield from (Path(here) / name for name in names)


def start_of(path: Path, limit: int = 20_000_000) -> bytes:
    """Return the first bytes of a regular file, nothing of anything else."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return b""
        with path.open("rb") as file:
            return file.read(limit)
    except OSError:
        return b""


def digests(course: Path, home: Path, students: list[str]) -> dict[str, str]:
    """Return a digest of each file that belongs to the instructor or to an honest student."""
    kept = [course / "release", course / "source", home, *(course / "submitted" / name for name in set(students))]
    paths = [path for folder in kept for path in files_below(folder)]
    paths += [course / "exam-questions.txt", course / "nbgrader_config.py"]
    own = {".cache", ".local", ".jupyter", ".ipython", ".config", ".nv"}  # what programs keep for themselves
    wanted = [path for path in paths if not own & set(path.relative_to(course.parent).parts) and not path.is_socket()]
    return {str(path.relative_to(course.parent)): hashlib.sha256(start_of(path)).hexdigest() for path in wanted}


def strewn(course: Path, home: Path, repository: Path, prefix: str) -> list[str]:
    """Return files outside an attack's own folders with the mark of an attack in their name or text."""
    shared = [Path(name) for name in (*SHARED, *sys.path, str(Path(sys.executable).parent), sys.base_prefix) if name]
    names = [path for folder in shared if folder.is_dir() for path in _listing(folder)]
    names += [path for folder in (course, home) for path in files_below(folder)]
    names += [path for folder in (course, course / "submitted") if folder.is_dir() for path in _listing(folder)]
    found = [str(path) for path in names if prefix in path.name and not _own(path, course)]
    texts = [*_listing(course), *files_below(home), *(repository / "mlcourse").rglob("*.py")]
    texts.append(repository / "nbgrader_config.py")
    for path in texts:
        data = start_of(path, BLOCK) if path.suffix != ".db" else b""
        found += [f"{path}, text {word.decode()}" for word in set(re.findall(prefix.encode() + rb"n\d+", data))]
    return found


def _listing(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _own(path: Path, course: Path) -> bool:
    """Return whether a file lies in the folder of the attack that wrote it, where it may write."""
    if not path.is_relative_to(course):
        return False
    parts = path.relative_to(course).parts
    return len(parts) > 2 and parts[0] in ("submitted", "autograded", "feedback") and not parts[1].count("honest")


def processes(prefix: str) -> list[str]:
    """Return the processes whose name or command holds the mark of an attack."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        words = " ".join([process.info["name"] or "", *(process.info["cmdline"] or [])])
        found += [f"{process.pid} {word}" for word in set(re.findall(prefix + r"n\d+", words))]
    return found


# Feedback


def active_markup(batch: Batch, handed: Handed) -> set[str]:
    """Return what a browser would run in a student's feedback and does not find in an honest student's."""
    assignment = handed.attack.assignment
    if assignment not in batch.usual:
        pages = [page(batch.course, student, assignment) for student in {student for student, _ in batch.honest}]
        batch.usual[assignment] = set().union(*(active_in(start_of(path)) for path in pages))
    honest = batch.usual[assignment]
    found = active_in(start_of(page(batch.course, handed.place.student, assignment)))
    return found - honest if honest else {tag for tag in found if handed.place.mark in tag}


def page(course: Path, student: str, assignment: str) -> Path:
    """Return a student's feedback page."""
    return course / "feedback" / student / assignment / f"{assignment}.html"


def active_in(html: bytes) -> set[str]:
    """Return every element and attribute of a page by which a browser runs or loads something.

    Examples
    --------
    >>> sorted(active_in(b'<b onclick="x()">a</b> <a href="java\\nscript:x()">b</a> <p class="on">c</p>'))
    ['a href=javascript:x()', 'b onclick=x()']
    """
    found = set()
    soup = BeautifulSoup(html.decode("utf-8", "replace"), "html.parser")
    for tag in soup.find_all(True):
        if tag.name in LOADING:
            found.add(str(tag))
        for name, value in tag.attrs.items():
            text = " ".join(value) if isinstance(value, list) else str(value)
            address = re.sub(r"[\x00-\x20]", "", text)
            if name.lower().startswith("on"):
                found.add(f"{tag.name} {name}={text}")
            elif name.lower() in ADDRESSES and ACTIVE_ADDRESS.match(address) and not is_picture(tag.name, address):
                found.add(f"{tag.name} {name}={address}")
    return found | active_mathematics(soup)


def is_picture(tag: str, address: str) -> bool:
    """Return whether an address is shown as a picture, in which nothing runs, whatever it holds."""
    return tag == "img" and address.lower().startswith("data:image/")


def active_mathematics(soup: BeautifulSoup) -> set[str]:
    """Return links to code in the formulas of a page whose MathJax has no safe mode."""
    if any("Safe" in str(script) for script in soup.find_all("script")):
        return set()
    texts = soup.find_all(string=re.compile(r"\\href\s*\{\s*javascript:", re.I))
    shown = [text for text in texts if not text.find_parents(["pre", "code", "script", "style", "textarea"])]
    return {f"formula {text.strip()[:80]}" for text in shown}
