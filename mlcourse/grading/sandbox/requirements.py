"""What isolation needs of a machine, and what is missing."""

from __future__ import annotations

import ctypes.util
import importlib.util
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

OLDEST_KERNEL = (5, 14)  # the first that counts processes for each user namespace
APPARMOR = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
USER_NAMESPACES = Path("/proc/sys/user/max_user_namespaces")
DEBIAN_SWITCH = Path("/proc/sys/kernel/unprivileged_userns_clone")


@dataclass(frozen=True)
class Requirement:
    """One thing that isolation needs: whether it is there, and if not, how to get it."""

    name: str
    present: bool
    found: str
    remedy: str


def requirements() -> list[Requirement]:
    """Return everything that isolation needs, each with what was found."""
    return [_linux(), _bubblewrap(), _libseccomp(), _pyseccomp(), _user_namespaces(), _apparmor()]


def missing_isolation() -> list[Requirement]:
    """Return what is missing; empty when submissions can be isolated here."""
    return [requirement for requirement in requirements() if not requirement.present]


def _linux() -> Requirement:
    release = platform.release()
    version = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdigit())
    right = sys.platform == "linux" and version >= OLDEST_KERNEL
    return Requirement("Linux 5.14 or newer", right, f"{platform.system()} {release}", "grade on a newer Linux")


def _bubblewrap() -> Requirement:
    place = shutil.which("bwrap")
    found = "no bwrap on the PATH"
    if place:
        done = subprocess.run([place, "--version"], capture_output=True, text=True, check=False)
        found = done.stdout.strip() or place
    return Requirement(
        "bubblewrap", place is not None, found, "apt-get install bubblewrap (or: dnf install bubblewrap)"
    )


def _libseccomp() -> Requirement:
    place = ctypes.util.find_library("seccomp")
    return Requirement("libseccomp", place is not None, place or "not found", "apt-get install libseccomp2")


def _pyseccomp() -> Requirement:
    there = importlib.util.find_spec("pyseccomp") is not None
    found = "installed" if there else "not installed"
    return Requirement("pyseccomp", there, found, "pip install 'mlcourse[grading]'")


def _user_namespaces() -> Requirement:
    most = _number(USER_NAMESPACES, 1)
    switch = _number(DEBIAN_SWITCH, 1)
    allowed = most > 0 and switch > 0
    found = f"max_user_namespaces = {most}" if allowed else "switched off"
    remedy = "sysctl -w user.max_user_namespaces=15000"
    if switch == 0:
        remedy = "sysctl -w kernel.unprivileged_userns_clone=1"
    return Requirement("user namespaces", allowed, found, remedy)


def _apparmor() -> Requirement:
    """Ubuntu 23.10 and later let only programs with an AppArmor profile use user namespaces."""
    restricted = _number(APPARMOR, 0) == 1
    found = "kernel.apparmor_restrict_unprivileged_userns = 1" if restricted else "no restriction"
    remedy = "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0 (Ubuntu 24.04 sets it to 1)"
    return Requirement("AppArmor lets namespaces be", not restricted, found, remedy)


def _number(path: Path, otherwise: int) -> int:
    try:
        return int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return otherwise
