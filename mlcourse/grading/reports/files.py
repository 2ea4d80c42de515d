"""A report is written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

OWN_STREAMS = ("/dev/stdout", "/dev/stderr", "/dev/fd/", "/proc/self/fd/")  # pipes that whoever called has opened


class ReportFileError(Exception):
    """A report that could not be written; the text says why and what to do."""


def write_whole(path: Path | str, content: bytes) -> None:
    """Write a file so that a reader finds the old content or the new one, never a part.

    Raises
    ------
    ReportFileError
        If the folder does not exist, or the file cannot be written.
    """
    path = Path(path)
    check_place(path)
    try:
        # A link or a device (/dev/stdout) is written through: replacing it would destroy it.
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.write_bytes(content)
        else:
            _replace(path, content)
    except OSError as error:
        why = error.strerror or str(error)
        raise ReportFileError(f"The report {path} could not be written: {why}. Name another file.") from error


def check_place(path: Path) -> None:
    """Refuse a path to which no report can be written, or where writing could wait for ever.

    Raises
    ------
    ReportFileError
        If its folder does not exist, or it is a folder, a pipe, a socket or a disk, or nobody may look.
    """
    try:
        problem = _problem(path)
    except OSError as error:
        problem = f"The report {path} cannot be written: {error.strerror or error}. Name another file."
    if problem:
        raise ReportFileError(problem)


def _problem(path: Path) -> str | None:
    if not path.parent.is_dir():
        return (
            f"The report {path.name} was to be written into {path.parent}, but there is no such folder. "
            "Create it, or name a file in a folder that exists."
        )
    if path.is_dir():
        return f"The report was to be written to {path}, but that is a folder. Name a file in it."
    waits = path.exists() and not (path.is_file() or path.is_char_device())
    if waits and not str(path).startswith(OWN_STREAMS):
        return f"The report was to be written to {path}, but that is no regular file. Name a file, or /dev/stdout."
    return None


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
