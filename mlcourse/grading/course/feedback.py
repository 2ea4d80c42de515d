"""Markdown of a submission as HTML that does nothing: for the feedback, which a person opens in a browser."""

from __future__ import annotations

from typing import Any

import bleach
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbgrader.preprocessors import NbGraderPreprocessor

# fmt: off
TAGS = frozenset((
    "a", "abbr", "b", "blockquote", "br", "code", "dd", "del", "details", "div", "dl", "dt", "em", "h1", "h2", "h3",
    "h4", "h5", "h6", "hr", "i", "li", "ol", "p", "pre", "s", "span", "strong", "sub", "summary", "sup", "table",
    "tbody", "td", "th", "thead", "tr", "ul",
))
# fmt: on
ATTRIBUTES = {"a": ["href", "title"], "span": ["class"], "div": ["class"], "td": ["style"], "th": ["style"]}


class ReadableReports(NbGraderPreprocessor):
    """Breaks long lines of reports on the page, so that no hint is cut on a narrow screen."""

    STYLE = "div.output_subarea pre { white-space: pre-wrap; overflow-wrap: anywhere; }"

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Add the style to those of the page."""
        resources["inlining"]["css"].append(self.STYLE)
        return nb, resources


def safe_markdown(source: str) -> str:
    r"""Return Markdown as HTML; raw HTML that could act or load something is shown as text.

    Examples
    --------
    >>> safe_markdown("**yes** <script>alert(1)</script>")
    '<p><strong>yes</strong> &lt;script&gt;alert(1)&lt;/script&gt;</p>\n'
    """
    html = MarkdownWithMath(renderer=IPythonRenderer(escape=False)).render(str(source))
    return str(bleach.clean(html, tags=TAGS, attributes=_allowed, protocols=["http", "https", "mailto"]))


def _allowed(tag: str, name: str, value: str) -> bool:
    """Return whether an attribute may stay: of styles only the alignment that tables in Markdown have."""
    if name == "style":
        return value in ("text-align:left", "text-align:center", "text-align:right")
    return name in ATTRIBUTES.get(tag, [])
