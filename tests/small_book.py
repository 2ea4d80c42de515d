"""A small book in a temporary folder, for tests that change it and build it again."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "toycourse"

HEADER = """\
---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {display_name: Python 3, language: python, name: python3}
---

"""


class SmallBook:
    """A book of its own with a package of its own, whose pages import from it.

    Parameters
    ----------
    root : Path
        An empty folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.book = root / "book"
        self.book.mkdir(parents=True)
        self.pages: list[str] = []
        self.part_of_solutions = False
        self.configure()
        self.write("requirements.txt", "nothing==1\n")
        self.write(f"{PACKAGE}/__init__.py", "")
        self.page("index", "# A small book")

    def configure(self, **course_settings: object) -> None:
        """Write the settings; those given reach the extension of the course."""
        config = {
            "title": "A small book",
            "author": "nobody",
            "copyright": "2000",
            "repository": {"url": ""},
            "execute": {"execute_notebooks": "cache", "run_in_temp": True},
            "sphinx": {
                "local_extensions": {"course": str(ROOT / "book" / "_ext")},
                "config": course_settings,
            },
        }
        self.write("_config.yml", yaml.safe_dump(config))

    def write(self, name: str, text: str) -> Path:
        """Write a file below the root."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")
        return path

    def page(self, name: str, text: str, *cells: str, listed: bool = True) -> None:
        """Write a page with this text and these code cells."""
        code = "".join(f"\n\n```{{code-cell}} python\n{textwrap.dedent(cell).strip()}\n```\n" for cell in cells)
        (self.book / f"{name}.md").write_text((HEADER if cells else "") + text + code, encoding="utf-8")
        if listed:
            self.pages.append(name)
        root, *others = self.pages
        parts = [{"caption": "Pages", "chapters": [{"file": other} for other in others]}] if others else []
        if self.part_of_solutions:
            parts.append({"caption": "Worked solutions", "chapters": [{"glob": "solutions/*"}]})
        self.write("book/_toc.yml", yaml.safe_dump({"format": "jb-book", "root": root, "parts": parts}))

    def build(self) -> subprocess.CompletedProcess[str]:
        """Build the book as a user does."""
        call = [sys.executable, "-m", "tools.book", "build", "--root", str(self.root), "--package", PACKAGE]
        return subprocess.run(call, cwd=ROOT, capture_output=True, text=True, check=False)

    def html(self, name: str) -> str:
        """Return a built page."""
        return (self.root / "_build" / "html" / f"{name}.html").read_text(encoding="utf-8")
