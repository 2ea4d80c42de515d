"""Punctuation stays on the line of the formula to which it belongs.

A formula in a line of text is a box, and browsers may break a line before and after any box.
"""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

BEFORE = re.compile(r"[(\[“‘]$")
AFTER = re.compile(r"^(?:[.,:;!?)\]”’]|-\w+)+")


class KeepPunctuation(SphinxPostTransform):
    """Put a formula and the marks that touch it into a span that does not break."""

    default_priority = 700
    formats = ("html",)

    def run(self) -> None:
        """Wrap every formula that a mark touches."""
        for formula in list(self.document.findall(nodes.math)):
            siblings = formula.parent.children
            place = siblings.index(formula)
            before = self._cut(siblings[place - 1] if place else None, BEFORE)
            after = self._cut(siblings[place + 1] if place + 1 < len(siblings) else None, AFTER)
            if before or after:
                marks = [nodes.Text(mark) if mark else None for mark in (before, after)]
                parts = filter(None, [marks[0], formula.deepcopy(), marks[1]])
                formula.replace_self(nodes.inline("", "", *parts, classes=["course-unbroken"]))

    @staticmethod
    def _cut(neighbor: nodes.Node | None, pattern: re.Pattern[str]) -> str:
        """Cut the mark out of a text beside a formula and return it."""
        found = pattern.search(neighbor) if isinstance(neighbor, nodes.Text) else None
        if not found:
            return ""
        neighbor.parent.replace(neighbor, nodes.Text(neighbor[: found.start()] + neighbor[found.end() :]))
        return found[0]
