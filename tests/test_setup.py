"""The first minute of a newcomer: no Python, or one that is too old."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def machine(tmp_path):
    """Return a folder with the setup script and a PATH that has the basic commands but no Python."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "mktemp", "head", "rm", "touch"):
        (programs / name).symlink_to(shutil.which(name))
    project = tmp_path / "project"
    (project / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "setup.sh", project / "tools")
    return project, programs


def setup(machine, **environment):
    project, programs = machine
    return subprocess.run(
        [shutil.which("sh"), "tools/setup.sh"],
        cwd=project,
        env={"PATH": str(programs), "TMPDIR": os.environ.get("TMPDIR", "/tmp"), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def fake_python(programs, version):
    """Put a Python of some old version into the PATH: it fails the version check and prints what it is."""
    path = programs / "python3"
    path.write_text(f'#!/bin/sh\ncase "$2" in *version_info*) exit 1;; *) echo {version};; esac\n', encoding="utf-8")
    path.chmod(0o755)


def test_no_python_gives_one_line(machine):
    done = setup(machine)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "make: this course needs Python 3.11 or newer, but no Python was found. "
        "Install it, or name it: make PYTHON=/path/to/python3.11"
    ]


def test_an_old_python_gives_one_line_with_its_version(machine):
    fake_python(machine[1], "3.9.2")
    done = setup(machine)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "only Python 3.9.2 was found" in done.stderr
    assert not (machine[0] / ".venv").exists()


def test_a_python_that_is_named_but_absent_is_named_in_the_message(machine):
    done = setup(machine, PYTHON="/nowhere/python3.12")
    assert done.returncode == 1
    assert "no Python was found at /nowhere/python3.12" in done.stderr


def test_a_broken_environment_gives_one_line_and_is_left_alone(machine):
    project, _ = machine
    (project / ".venv" / "bin").mkdir(parents=True)
    (project / ".venv" / "bin" / "python").symlink_to("/nowhere/python3.11")
    (project / ".venv" / ".installed").touch()
    done = setup(machine)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "Delete the folder .venv" in done.stderr
    assert (project / ".venv" / "bin" / "python").is_symlink()


def test_a_path_with_a_space_is_one_path(machine):
    done = setup(machine, PYTHON="/no where/python3.12")
    assert "no Python was found at /no where/python3.12" in done.stderr


def test_nothing_is_installed_twice():
    if not (ROOT / ".venv" / ".installed").exists():
        pytest.skip("this needs the environment that make creates: run make first")
    done = subprocess.run(["make", "--question", ".venv/.installed"], cwd=ROOT, check=False)
    assert done.returncode == 0
