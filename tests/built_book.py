"""The built book, for the tests that read it: the one that is there if it is newer than its sources, else a new one."""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

from tools.book import stamp
from tools.book_chapters import written_chapters

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
SOURCES = ("_config.yml", "requirements.txt", "book/**/*", "solutions/*.md", "mlcourse/**/*.py", "tools/*.py")
CHAPTERS = sorted(written_chapters(BOOK))


def is_current() -> bool:
    """Return whether the book was built, without a fault, after the last change of a source."""
    if not stamp(ROOT / "_build").exists():
        return False
    built = stamp(ROOT / "_build").stat().st_mtime
    files = (path for pattern in SOURCES for path in ROOT.glob(pattern) if path.is_file())
    own = (path for path in files if BOOK / "solutions" not in path.parents and path.suffix != ".pyc")
    return all(path.stat().st_mtime <= built for path in own)


@functools.cache
def built_html() -> Path:
    """Return the folder of the built book, after building it where it is missing or old."""
    if not is_current():
        for tool in (["tools.release"], ["tools.train"], ["tools.book", "build"]):
            done = subprocess.run([sys.executable, "-m", *tool], cwd=ROOT, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{' '.join(tool)} failed:\n{done.stdout}\n{done.stderr}"
    return ROOT / "_build" / "html"
