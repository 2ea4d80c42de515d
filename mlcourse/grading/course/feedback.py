"""Markdown of a submission as HTML that does nothing: for the feedback, which a person opens in a browser."""

from __future__ import annotations

import re
import secrets
from html import escape, unescape
from typing import Any
from urllib.parse import unquote

import bleach
from jinja2 import pass_context
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbgrader.preprocessors import NbGraderPreprocessor

from mlcourse.grading.course.pictures import PREFIX, name_in, named

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


@pass_context
def markdown_of_cell(context: Any, source: str) -> str:
    """Return `safe_markdown` of a text in a page, with the pictures that are attached to its cell."""
    cell = context.get("cell") or {}
    return safe_markdown(source, cell.get("attachments"))


def safe_markdown(source: str, attachments: Any = None) -> str:
    r"""Return Markdown as HTML; raw HTML that could act or load something is shown as text.

    Parameters
    ----------
    source : str
        The Markdown.
    attachments : dict, optional
        What a notebook has attached to the cell. A picture that is certain to be one is shown, once; words stand for
        every other.

    Examples
    --------
    >>> safe_markdown("**yes** <script>alert(1)</script>")
    '<p><strong>yes</strong> &lt;script&gt;alert(1)&lt;/script&gt;</p>\n'
    >>> safe_markdown("![plot](attachment:plot.png)")
    '<p>(picture plot.png could not be kept)</p>\n'
    """
    renderer = WithPictures(attachments)
    html = MarkdownWithMath(renderer=renderer).render(str(source))
    clean = bleach.clean(html, tags=TAGS, attributes=_allowed, protocols=["http", "https", "mailto"])
    return renderer.with_pictures(str(clean))


class WithPictures(IPythonRenderer):
    """Leaves marks where attached pictures are to stand, which become pictures when everything else is clean.

    A mark is a tag whose class nobody can guess. In a clean text "<" begins nothing but a tag that was allowed, so that
    no mark is found inside an attribute.
    """

    # An HTML tag for a picture, whose address stands in quotes or without; limited, as is the time for the search.
    ADDRESS = (
        rf"""(?:"\s{{0,9}}({PREFIX}[^"<>]{{0,999}})"|'\s{{0,9}}({PREFIX}[^'<>]{{0,999}})'"""
        rf"""|({PREFIX}[^\s"'<>]{{0,999}}))"""
    )
    TAG = re.compile(rf"<img\b[^<>]{{0,999}}?\bsrc\s{{0,9}}=\s{{0,9}}{ADDRESS}[^<>]{{0,999}}>", re.IGNORECASE)
    ALT = re.compile(r"""\balt\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)')""", re.IGNORECASE)

    def __init__(self, attachments: Any) -> None:
        super().__init__(escape=False)
        self.attached = attachments
        self.found: dict[str, tuple[str, str] | None] = {}  # by name: each picture is looked at once
        self.secret = secrets.token_hex(16)
        self.pictures: list[tuple[tuple[str, str], str, str]] = []  # with a description and a name as HTML

    def image(self, text: str, url: str, title: str | None = None) -> str:
        """Return a mark or words for an attached picture."""
        name = name_in(url)
        return str(super().image(text, url, title)) if name is None else self._mark(name, re.sub("<[^<>]*>", "", text))

    def inline_html(self, html: str) -> str:
        """Return HTML inside of a paragraph."""
        return str(super().inline_html(self.TAG.sub(self._from_tag, html)))

    def block_html(self, html: str) -> str:
        """Return HTML that stands for itself."""
        return str(super().block_html(self.TAG.sub(self._from_tag, html)))

    def with_pictures(self, clean: str) -> str:
        """Return a clean text with its pictures in the places of their marks."""
        mark = re.compile(rf'<span class="{self.secret}-(\d+)">picture</span>')
        seen: set[tuple[str, str]] = set()

        def shown(match: re.Match[str]) -> str:
            picture, alt, name = self.pictures[int(match.group(1))]
            if picture in seen:  # a thousand of one would make a page that no browser opens
                return f"(picture {name} again, as above)"
            seen.add(picture)
            kind, data = picture
            return f'<img alt="{alt}" src="data:{kind};base64,{data}" style="max-width: 100%">'

        return mark.sub(shown, clean)

    def _from_tag(self, match: re.Match[str]) -> str:
        alt = self.ALT.search(match.group())
        address = next(group for group in match.groups() if group is not None)
        return self._mark(name_in(unescape(address)) or "", (alt.group(1) or alt.group(2) or "") if alt else "")

    def _mark(self, name: str, alt: str) -> str:
        words = escape(unquote(name)[:100])
        if name not in self.found:
            self.found[name] = named(self.attached, unescape(name))
        picture = self.found[name]
        if picture is None:
            return f"(picture {words} could not be kept)"
        self.pictures.append((picture, escape(unescape(alt)) or words, words))
        return f'<span class="{self.secret}-{len(self.pictures) - 1}">picture</span>'


def _allowed(tag: str, name: str, value: str) -> bool:
    """Return whether an attribute may stay: of styles only the alignment that tables in Markdown have."""
    if name == "style":
        return value in ("text-align:left", "text-align:center", "text-align:right")
    return name in ATTRIBUTES.get(tag, [])
