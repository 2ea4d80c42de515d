"""A report is written whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path


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
    if not path.parent.is_dir():
        raise ReportFileError(
            f"The report {path.name} was to be written into {path.parent}, but there is no such folder. "
            "Create it, or name a file in a folder that exists."
        )
    if path.is_dir():
        raise ReportFileError(f"The report was to be written to {path}, but that is a folder. Name a file in it.")
    try:
        # A link or a device (/dev/stdout) is written through: replacing it would destroy it.
        if path.is_symlink() or (path.exists() and not path.is_file()):
            path.write_bytes(content)
        else:
            _replace(path, content)
    except OSError as error:
        why = error.strerror or str(error)
        raise ReportFileError(f"The report {path} could not be written: {why}. Name another file.") from error


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
