"""MathJax as files of the book, so that mathematics is set without a network."""

from __future__ import annotations

import hashlib
import shutil
from importlib import metadata
from pathlib import Path

DISTRIBUTION = "sphinx-mathjax-offline"  # carries MathJax 3.2.2; its Sphinx extension is not used
FOLDER = "sphinx-mathjax-offline/static/mathjax"
MAIN = "tex-mml-chtml.js"
SHA256 = "300480069078b5892d2363a2b65e2dfbbf30fe5c80f83edbfecf4610fd093862"

# The main file, what it may load later: fonts, rare TeX macros, and what a screen reader needs.
NEEDED = (
    MAIN,
    "output/chtml/fonts/woff-v2/*.woff",
    "input/tex/extensions/*.js",
    "a11y/*.js",
    "sre/mathmaps/base.json",
    "sre/mathmaps/en.json",
    "sre/mathmaps/nemeth.json",
)


def find_mathjax() -> Path:
    """Return the folder of the installed MathJax.

    Raises
    ------
    FileNotFoundError
        If it is not installed.
    """
    try:
        folder = Path(str(metadata.distribution(DISTRIBUTION).locate_file(FOLDER)))
    except metadata.PackageNotFoundError:
        folder = Path()
    if not (folder / MAIN).exists():
        raise FileNotFoundError(
            "MathJax is not installed, so the book would show no mathematics. "
            f"Install it with: pip install {DISTRIBUTION}"
        )
    return folder


def copy_mathjax(target: Path, source: Path | None = None) -> None:
    """Copy what the book needs of MathJax into ``target``.

    Raises
    ------
    ValueError
        If the main file is not the one that this book was tested with.
    """
    source = source or find_mathjax()
    found = hashlib.sha256((source / MAIN).read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(
            f"{source / MAIN} is not the MathJax 3.2.2 that this book was tested with: "
            f"its SHA-256 is {found}, expected {SHA256}. Install the pinned {DISTRIBUTION} of requirements.txt."
        )
    for pattern in NEEDED:
        for path in source.glob(pattern):
            copy = target / path.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
