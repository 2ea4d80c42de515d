"""Puts released files in their places, and keeps whatever somebody else has written there."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from collections.abc import Mapping
from pathlib import Path


def place_release(draft: Path, folder: Path, known: Mapping[str, str], kept: Path) -> dict[str, str]:
    """Move the files of a new release into its folder, and return their digests by their paths.

    Everything else in the folder stays: it is somebody's work. What was written into a file of an earlier release,
    whose digests are ``known``, goes to the folder ``kept``.
    """
    digests = {}
    for new in sorted(path for path in draft.rglob("*") if path.is_file()):
        name = new.relative_to(draft)
        target = folder / name
        digests[name.as_posix()] = digest(new)
        # A plain file where the release needs a folder is in the way, too.
        for place in [*(folder / part for part in [*name.parents][-2::-1]), target]:
            if _is_in_the_way(place, None if place != target else digest(new), known.get(name.as_posix())):
                _keep(place, name.as_posix() in known and place == target, folder.name, kept)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(new, target)
    return digests


def digest(path: Path) -> str:
    """Return the digest of a file's content; of what is no plain file, one that no file has."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "no file"


def _is_in_the_way(place: Path, new: str | None, known: str | None) -> bool:
    """Return whether somebody's own work lies where a release wants a file with a new digest, or None: a folder."""
    if not os.path.lexists(place):
        return False
    return not place.is_dir() if new is None else digest(place) not in (new, known)


def _keep(place: Path, recorded: bool, assignment: str, kept: Path) -> None:
    """Move to ``kept`` what lies at a place, and say so."""
    kept.mkdir(parents=True, exist_ok=True)
    goal = _free(kept, assignment, place)
    shutil.move(place, goal)
    why = "had been changed since its release" if recorded else "is not known to be as it was released"
    print(f"{place} {why}. It is kept as {goal}.")


def _free(kept: Path, assignment: str, place: Path) -> Path:
    """Return a path in ``kept`` that is not taken, named after the assignment and the file."""
    stem = assignment if place.stem == assignment else f"{assignment}-{place.stem}"
    paths = (kept / f"{stem}-{number}{place.suffix}" for number in itertools.count(1))
    return next(path for path in paths if not os.path.lexists(path))
