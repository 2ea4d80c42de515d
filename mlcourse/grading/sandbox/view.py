"""The files that a submission can see: the system's libraries, the Python environment, and a small `mlcourse`.

No reference but those that the assignment declares, no exercise, no solution, no other submission, no home.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

import mlcourse

PACKAGE = Path(mlcourse.__file__).resolve().parent
COURSE = Path("/course")  # where the small package stands inside
SYSTEM = (
    *("/usr", "/etc/ld.so.cache", "/etc/fonts", "/etc/alternatives", "/etc/localtime"),
    "/sys/kernel/mm/transparent_hugepage",  # glibc looks here before it takes large pages
)
LINKS = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
# Of the course's package, what a notebook may use, and what the process that runs it needs.
SEEN = (
    "__init__.py",
    "device.py",
    "plotting.py",
    "training.py",
    "validation.py",
    "data",
    "grading/calling.py",
    "grading/watch.py",
    "grading/forbidden.py",
    "grading/plain.py",
    "grading/wire.py",
    "grading/shortcuts",
    "grading/inside",
)


def bindings(uses: Iterable[str], secret: Iterable[Path] = ()) -> list[str]:
    """Return bubblewrap's options for the files.

    Parameters
    ----------
    uses : iterable of str
        Chapters whose reference modules the assignment may import.
    secret : iterable of Path
        Folders that must not be seen, even where they lie inside a folder that is.
    """
    options: list[str] = []
    for place in SYSTEM:
        options += ["--ro-bind-try", place, place]
    for link in LINKS:
        if os.path.islink(link):
            options += ["--symlink", os.readlink(link), link]
        else:
            options += ["--ro-bind-try", link, link]
    for folder in _hidden(secret, [Path("/usr")]):
        options += ["--tmpfs", str(folder)]
    homes = python_homes()
    for home in homes:
        options += [*_open_folders(home.parent), "--ro-bind", str(home), str(home)]
    packages = _hidden([PACKAGE], [Path("/usr"), *homes])  # the whole package, where it is installed
    for folder in packages:
        options += ["--tmpfs", str(folder)]
    options += _small_package(uses)
    for folder in [*_hidden(secret, [Path("/usr")]), *packages]:  # an empty folder that stays empty
        options += ["--remount-ro", str(folder)]
    return options


def python_homes() -> list[Path]:
    """Return the folders of the running Python and its packages that do not lie in /usr."""
    paths = {Path(sys.prefix), Path(sys.base_prefix), Path(sys.executable).resolve().parent.parent}
    paths |= {Path(sysconfig.get_path(name)) for name in ("purelib", "platlib", "stdlib")}
    outside = sorted(path for path in paths if not path.is_relative_to("/usr"))
    return [path for path in outside if not any(path != other and path.is_relative_to(other) for other in outside)]


def _open_folders(folder: Path) -> list[str]:
    """Return options that create a folder and all above it such that every user can pass, which is not the default."""
    above = [path for path in reversed([folder, *folder.parents]) if path != Path("/")]
    return [option for path in above for option in ("--perms", "0755", "--dir", str(path))]


def _hidden(folders: Iterable[Path], seen: list[Path]) -> list[Path]:
    """Return those folders that lie in one that is seen."""
    return [folder for folder in folders if folder.is_dir() and any(folder.is_relative_to(root) for root in seen)]


def _small_package(uses: Iterable[str]) -> list[str]:
    inside = COURSE / "mlcourse"
    front = PACKAGE / "grading" / "inside" / "check.py"
    options = [*_open_folders(inside / "grading"), "--ro-bind", str(front), str(inside / "grading" / "__init__.py")]
    for name in (*SEEN, *(f"{chapter}.py" for chapter in uses)):
        options += ["--ro-bind", str(PACKAGE / name), str(inside / name)]
    return options
