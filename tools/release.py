"""Student notebooks: ``solutions/NAME.md`` to nbgrader's ``source/`` to ``release/``.

Called as ``python -m tools.release`` from the root of the repository; ``make release`` does it.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbgrader.apps import NbGraderAPI
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from tools.book_config import read_settings
from tools.kept import digest, place_release

ROOT = Path(__file__).resolve().parent.parent
RECORD = ".written.json"


class ReleaseError(Exception):
    """An assignment that could not be released; the text says which and why."""


def assignments(root: Path = ROOT) -> list[str]:
    """Return the names of the assignments: every chapter with worked solutions."""
    return sorted(path.stem for path in (root / "solutions").glob("*.md"))


def install_cell(address: str) -> str:
    """Return the code of the cell that makes ``mlcourse`` importable in a student's notebook.

    It does nothing where mlcourse is there. It takes mlcourse from the course's own repository, never by its bare name
    from a package index, where a stranger could register that name.

    Examples
    --------
    >>> "git+https://example.org/course" in install_cell("https://example.org/course")
    True
    >>> "pip install" in install_cell("")
    False
    """
    lines = [
        "# Makes the course's package available. Does nothing where it is installed already.",
        "import importlib.util",
        "",
        'if importlib.util.find_spec("mlcourse") is None:',
    ]
    if address:
        lines += [
            "    import subprocess",
            "    import sys",
            "",
            f'    package = "mlcourse[torch] @ git+{address}"',
            '    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", package], check=True)',
        ]
    else:
        lines += [
            '    print("The package mlcourse is not installed in this kernel.")',
            '    print("In the folder of the course run make once, then start .venv/bin/jupyter lab there.")',
        ]
    return "\n".join(lines)


def write_source(name: str, course: Path, root: Path = ROOT) -> Path:
    """Write the instructor's version of an assignment where nbgrader looks for it, and return its path."""
    notebook = jupytext.read(root / "solutions" / f"{name}.md", fmt="md:myst")
    notebook.metadata.pop("jupytext", None)
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    first = nbformat.v4.new_code_cell(install_cell(read_settings(root).address))
    first.metadata["nbgrader"] = {
        "schema_version": 3,
        "grade_id": "install",
        "grade": False,
        "locked": True,
        "solution": False,
        "task": False,
    }
    notebook.cells.insert(1, first)
    for position, cell in enumerate(notebook.cells):
        # Stable ids, so that a release changes only when its text does.
        cell["id"] = cell.metadata.get("nbgrader", {}).get("grade_id", f"cell-{position}")
    return _place_source(notebook, name, course)


def _place_source(notebook: Any, name: str, course: Path) -> Path:
    """Write a source notebook, and keep the one that is there if an instructor has changed it."""
    folder = course / "source"
    folder.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=folder))
    try:
        nbformat.write(notebook, draft / f"{name}.ipynb", version=4)
        known = _remembered(folder)
        before = {f"{name}.ipynb": known[name]} if name in known else {}
        digests = place_release(draft, folder / name, before, course / "kept" / "source")
        _remember(name, digests, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return folder / name / f"{name}.ipynb"


def open_course(course: Path, root: Path = ROOT, isolation: str = "auto") -> NbGraderAPI:
    """Return nbgrader's interface for a course folder, with the settings of this repository."""
    # nbgrader calls alembic by name, which lies beside this Python.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    config: Config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.CourseDirectory.root = str(course)
    config.IsolatedExecute.isolation = isolation
    return NbGraderAPI(config=config)


def succeed(result: dict[str, Any], what: str) -> None:
    """Raise `ReleaseError` with nbgrader's own words when a step of it failed."""
    if not result["success"]:
        words = result.get("error") or result.get("log") or "nbgrader gave no reason"
        raise ReleaseError(f"{what} failed: {words.strip()}")


def release(course: Path = ROOT, root: Path = ROOT, names: list[str] | None = None) -> list[Path]:
    """Write ``source/`` and ``release/`` of assignments (default: all) and return the student notebooks."""
    course.mkdir(parents=True, exist_ok=True)
    api = open_course(course, root)
    released = []
    for name in assignments(root) if names is None else names:
        target = course / "release" / name / f"{name}.ipynb"
        if not _is_current(name, course, root, target):
            write_source(name, course, root)
            _generate(api, name, course)
        released.append(target)
    return released


def _generate(api: NbGraderAPI, name: str, course: Path) -> None:
    """Let nbgrader write a release, and put it in its place.

    nbgrader deletes the whole folder into which it writes. So it gets one of its own, not the one in which people
    work.
    """
    (course / "release").mkdir(exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".draft-", dir=course / "release"))
    api.coursedir.release_directory = str(draft.relative_to(course))
    try:
        succeed(api.generate_assignment(name, force=True, create=True), f"The release of {name}")
        known = _remembered(course / "release")
        before = {path.removeprefix(f"{name}/"): mark for path, mark in known.items()}
        before |= {f"{name}.ipynb": known[name]} if name in known else {}
        digests = place_release(draft / name, course / "release" / name, before, course / "kept")
        _remember(name, digests, course / "release")
    finally:
        api.coursedir.release_directory = "release"
        shutil.rmtree(draft, ignore_errors=True)


def _remembered(folder: Path) -> dict[str, str]:
    """Return the digest of each file as it was when it was released; none where the record cannot be read."""
    try:
        found = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(name: str, digests: dict[str, str], folder: Path) -> None:
    """Write down the digest of the notebook by its assignment's name, and those of other files by their paths."""
    found = {name if path == f"{name}.ipynb" else f"{name}/{path}": mark for path, mark in digests.items()}
    record = folder / RECORD
    draft = record.with_name(f"{RECORD}.{os.getpid()}")  # whole or not at all, also where the disk is full
    try:
        draft.write_text(json.dumps(_remembered(folder) | found, indent=1), encoding="utf-8")
        os.replace(draft, record)
    finally:
        draft.unlink(missing_ok=True)


def _is_current(name: str, course: Path, root: Path, target: Path) -> bool:
    """Return whether a release is as it was written, newer than all that it is made of, and in the gradebook."""
    if not target.exists() or not (course / "gradebook.db").exists():
        return False
    if digest(target) != _remembered(course / "release").get(name):
        return False
    parts = [root / "solutions" / f"{name}.md", root / "_config.yml", root / "nbgrader_config.py", Path(__file__)]
    return target.stat().st_mtime > max(part.stat().st_mtime for part in parts)


def main() -> None:
    """Release every assignment into the repository's own course folder."""
    if sys.argv[1:]:
        sys.exit("release: it takes no arguments. It writes the student notebooks of all chapters into release/.")
    try:
        for path in release():
            print(f"student notebook  {path.relative_to(ROOT)}")
    except ReleaseError as error:
        sys.exit(f"release: {error}")
    except OSError as error:
        sys.exit(f"release: {error.filename or 'A file'} could not be read or written: {error.strerror or error}.")


if __name__ == "__main__":
    main()
