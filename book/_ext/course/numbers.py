"""Figures and equations are numbered from 1 on each page, as in the notebook copy of the page."""

from __future__ import annotations

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment


def number_by_page(app: Sphinx, env: BuildEnvironment) -> None:
    """Count figures and equations anew on each page; Sphinx counts through the book where chapters have no number."""
    for kinds in env.toc_fignumbers.values():
        for kind, numbers in kinds.items():
            kinds[kind] = {name: (position,) for position, name in enumerate(numbers, start=1)}
