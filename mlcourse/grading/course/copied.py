"""Which files of a submission are copied to where a browser shows them.

Formgrader serves ``autograded/`` from the origin of Jupyter, and students open ``feedback/``. A page or a picture that
holds a script would run there with the rights of whoever opens it. So only kinds that are known to be harmless are
copied. ``submitted/`` keeps everything, and grading uses everything.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from nbgrader.preprocessors import NbGraderPreprocessor

# fmt: off
HARMLESS = frozenset((
    ".bmp", ".csv", ".dat", ".gif", ".jpeg", ".jpg", ".json", ".md", ".npy", ".npz", ".pdf", ".png", ".py", ".toml",
    ".tsv", ".txt", ".webp", ".yaml", ".yml",
))
# fmt: on


def is_harmless(name: str) -> bool:
    """Return whether a browser that is given this file runs nothing of it.

    Examples
    --------
    >>> [is_harmless(name) for name in ("helper.py", "figs/A.PNG", "figure.HTML", "s.svg", "page.txt.xht", "Makefile")]
    [True, True, False, False, False, False]
    """
    return PurePosixPath(name).suffix.lower() in HARMLESS


def remove_others(folder: Path, written: Callable[[Path], bool]) -> list[str]:
    """Remove from a folder of copies what is not harmless, and return what was removed.

    What the grader has written itself, as ``written`` tells, stays.
    """
    removed = []
    for here, _, names in os.walk(folder):
        for path in (Path(here) / name for name in sorted(names)):
            if not is_harmless(path.name) and not written(path):
                path.unlink()
                removed.append(path.relative_to(folder).as_posix())
    return removed


class HarmlessFeedback(NbGraderPreprocessor):
    """Removes from a feedback folder what nbgrader has copied there and a browser could run."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Look at the folder, into which nbgrader has copied by now."""
        about = resources["nbgrader"]
        converter = self.parent.parent  # the exporter's own parent knows where it writes
        folder = Path(converter._format_dest(about["assignment"], about["student"]))
        pages = {path.with_suffix(".html").name for path in Path(resources["metadata"]["path"]).glob("*.ipynb")}
        # nbgrader ignores every *.html that was handed in: such a page is one that it wrote before this one.
        removed = remove_others(folder, lambda path: path.parent == folder and path.name in pages)
        if removed:
            self.log.info("%s: not copied to the feedback: %s", about["student"], ", ".join(removed))
        return nb, resources
