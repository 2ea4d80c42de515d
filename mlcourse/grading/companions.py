"""What lies beside a notebook: helper modules and data that it was handed in with.

They reach the submission's process as bytes, and the search for shortcuts as the text of modules.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath

MOST_FILES = 500
MOST_BYTES = 20_000_000
NEVER = frozenset((".ipynb_checkpoints", "__pycache__", ".git", ".venv", "node_modules"))


def files_beside(folder: Path) -> tuple[dict[str, bytes], list[str]]:
    """Return the files of a submission's folder by their paths, and in words what was left out.

    No link is followed, and no notebook is among them.
    """
    return _read(folder, sorted(_walk(folder, folder)))


def files_named_in(folder: Path, text: str) -> tuple[dict[str, bytes], list[str]]:
    """Return those files beside a single notebook that its text names, by their name, stem or folder.

    A notebook may lie in any folder of somebody's work: what it does not name is none of its business.
    """
    words = set(re.findall(r"[\w.\-]+", text))
    words |= {part for word in words for part in word.split(".")}
    named = [entry for entry in _entries(folder) if entry.name in words or entry.stem in words]
    inside = [path for entry in named if entry.is_dir() for path in _walk(entry, folder)]
    return _read(folder, sorted([entry for entry in named if _is_plain(entry)] + inside))


def modules_among(files: Mapping[str, bytes]) -> dict[str, str]:
    """Return the Python modules among some files: their dotted names, and their text.

    Examples
    --------
    >>> modules_among({"helper.py": b"x = 1", "pkg/__init__.py": b"", "pkg/a.py": b"y = 2", "data.csv": b"1"})
    {'helper': 'x = 1', 'pkg': '', 'pkg.a': 'y = 2'}
    """
    found = {}
    for name, content in files.items():
        path = PurePosixPath(name)
        if path.suffix == ".py":
            parts = path.parent.parts if path.stem == "__init__" else (*path.parent.parts, path.stem)
            found[".".join(parts)] = content.decode("utf-8", "replace")
    return found


def _walk(start: Path, root: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(start):
        folders[:] = sorted(name for name in folders if name not in NEVER)
        yield from (path for name in names if _is_plain(path := Path(here) / name))
        if len(Path(here).relative_to(root).parts) >= 4:
            folders.clear()


def _entries(folder: Path) -> list[Path]:
    return [entry for entry in folder.iterdir() if entry.name not in NEVER and not entry.is_symlink()]


def _is_plain(path: Path) -> bool:
    return path.suffix != ".ipynb" and path.name != "timestamp.txt" and not path.is_symlink() and path.is_file()


def _read(folder: Path, paths: Iterable[Path]) -> tuple[dict[str, bytes], list[str]]:
    found: dict[str, bytes] = {}
    left_out, room = [], MOST_BYTES
    for path in paths:
        name = path.relative_to(folder).as_posix()
        size = path.stat().st_size
        if len(found) >= MOST_FILES or size > room:
            left_out.append(name)
            continue
        found[name] = path.read_bytes()
        room -= size
    if not left_out:
        return found, []
    shown = ", ".join(left_out[:3]) + (", and more" if len(left_out) > 3 else "")
    most = f"{MOST_FILES} files or {MOST_BYTES // 10**6} MB"
    return found, [f"beside the notebook lay more than {most}, so that these were left out: {shown}"]
