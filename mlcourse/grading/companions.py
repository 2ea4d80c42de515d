"""What lies beside a notebook: helper modules and data that it was handed in with.

They reach the submission's process as bytes, and the search for shortcuts as the text of modules.
"""

from __future__ import annotations

import importlib.util
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

MOST_FILES = 500
MOST_BYTES = 20_000_000
MOST_TEXT = 500_000  # bytes of one module: the search for shortcuts reads all of it
MOST_SEEN = 20_000  # entries of a folder that are looked at
MOST_DEEP = 50  # folders within folders: far below what a path may have, and what Python can walk
# Folders that belong to a tool or to a course, and compiled modules, whose text nobody can search.
NEVER = frozenset(("__pycache__", "node_modules", "site-packages", "mlcourse"))
COMPILED = frozenset((".pyc", ".pyo", ".pyd", ".so", ".pth"))
OF_A_COURSE = ("gradebook.db", "nbgrader_config.py")


def files_beside(folder: Path) -> tuple[dict[str, bytes], list[str]]:
    """Return the files of a submission's folder by their paths, and in words what was left out.

    No link is followed, and no notebook is among them.
    """
    return _read(folder, sorted(_walk(folder)))


def files_named_in(folder: Path, text: str) -> tuple[dict[str, bytes], list[str]]:
    """Return those files beside a single notebook that its text names, by their name, stem or folder.

    A notebook may lie in any folder of somebody's work: what it does not name is none of its business. In the folder of
    a course, which holds marks and solutions, nothing is taken.
    """
    if any((folder / name).exists() for name in OF_A_COURSE):
        return {}, []
    words = set(re.findall(r"[\w.\-]+", text))
    words |= {part for word in words for part in word.split(".")}
    try:
        named = [entry for entry in folder.iterdir() if entry.name in words or entry.stem in words]
    except OSError:
        return {}, []
    inside = [path for entry in named if _is_room(entry) for path in _walk(entry)]
    return _read(folder, sorted([entry for entry in named if _is_plain(entry)] + inside))


def modules_among(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the Python modules among some files: the dotted names by which they can be imported, and their text.

    A module in a folder has a name for each folder from which an import may begin. A package comes before a module of
    the same name, as it does for Python.

    Examples
    --------
    >>> modules_among({"helper.py": b"x = 1", "pkg/__init__.py": b"", "pkg/a.py": b"y = 2", "data.csv": b"1"})
    {'pkg': '', 'helper': 'x = 1', 'pkg.a': 'y = 2', 'a': 'y = 2'}
    """
    paths = [PurePosixPath(name) for name in files if name.endswith(".py")]
    found: dict[str, str] = {}
    for path in sorted(paths, key=lambda path: (path.stem != "__init__", len(path.parts))):
        parts = path.parent.parts if path.stem == "__init__" else (*path.parent.parts, path.stem)
        for start in range(len(parts)):
            found.setdefault(".".join(parts[start:]), _text(files[str(path)]))
    return found


def _text(content: bytes) -> str:
    """Return a module's text as Python reads it: by its byte order mark and by the coding that it declares."""
    try:
        return importlib.util.decode_source(content)
    except (SyntaxError, UnicodeDecodeError, LookupError):  # Python refuses it too
        return ""


def _walk(start: Path) -> Iterator[Path]:
    """Yield the files below a folder, and each folder that cannot be looked into, so that it is named."""
    seen = 0
    closed: list[Path] = []
    refused: list[OSError] = []
    for here, folders, names in os.walk(start, onerror=refused.append):
        seen += len(names) + len(folders)
        inner = sorted(path for name in folders if _is_room(path := Path(here) / name))
        if len(Path(here).relative_to(start).parts) >= MOST_DEEP:
            closed += inner
            inner = []
        folders[:] = [path.name for path in inner]
        yield from (path for name in names if _is_plain(path := Path(here) / name))
        if seen > MOST_SEEN:
            break
    yield from closed
    yield from (Path(error.filename) for error in refused)


def _is_room(folder: Path) -> bool:
    """Return whether a folder may hold what belongs to a submission."""
    if folder.name in NEVER or folder.name.startswith(".") or folder.suffix == ".ipynb":
        return False
    try:
        return not folder.is_symlink() and folder.is_dir() and not (folder / "pyvenv.cfg").exists()
    except OSError:  # it is closed, or its path is too long: who walks into it is told so
        return True


def _is_plain(path: Path) -> bool:
    if path.suffix == ".ipynb" or path.suffix in COMPILED or path.name == "timestamp.txt" or path.name.startswith("."):
        return False
    try:
        return not path.is_symlink() and path.is_file()
    except OSError:  # it lies in a closed folder: who opens it is told so
        return True


def _read(folder: Path, paths: Iterable[Path]) -> tuple[dict[str, bytes], list[str]]:
    found: dict[str, bytes] = {}
    left_out, room = [], MOST_BYTES
    for path in paths:
        name = path.relative_to(folder).as_posix()
        most = min(room, MOST_TEXT) if path.suffix == ".py" else room
        content = _content(path, most) if len(found) < MOST_FILES else None
        if content is None:
            left_out.append(name)
            continue
        found[name] = content
        room -= len(content)
    if not left_out:
        return found, []
    shown = ", ".join(left_out[:3]) + (", and more" if len(left_out) > 3 else "")
    most_words = f"{MOST_FILES} files, {MOST_BYTES // 10**6} MB, {MOST_TEXT // 1000} kB for a module"
    why = f"at most {most_words}, and only what can be read"
    return found, [f"of what lay beside the notebook these were left out: {_short(shown)} ({why})"]


def _short(names: str) -> str:
    """Return names of files, the middle left out where they are as long as a path can be."""
    return names if len(names) <= 300 else f"{names[:200]} ... {names[-60:]}"


def _content(path: Path, most: int) -> bytes | None:
    """Return the bytes of a file, or None where it is too large or cannot be read; a link is not followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    about = os.fstat(descriptor)
    if not stat.S_ISREG(about.st_mode) or about.st_size > most:
        os.close(descriptor)
        return None
    with os.fdopen(descriptor, "rb") as file:
        try:
            return file.read(most + 1)[:most]
        except OSError:
            return None
