"""A figure that a page computed leads to its picture alone, where a reader on a phone can enlarge it."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx


def open_figures(_app: Sphinx, document: nodes.document) -> None:
    """Give the pictures among the outputs of cells a width: Sphinx links pictures that have one to their files."""
    for output in document.findall(lambda node: isinstance(node, nodes.container) and "cell_output" in node["classes"]):
        for image in output.findall(nodes.image):
            image.setdefault("width", "100%")
