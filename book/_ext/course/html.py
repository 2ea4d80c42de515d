"""Small pieces of HTML that the directives share."""

from __future__ import annotations

from html import escape

from docutils import nodes


def raw_html(text: str) -> nodes.raw:
    """Return a node that becomes this HTML."""
    return nodes.raw("", text, format="html")


def path_to_root(docname: str) -> str:
    """Return the prefix that leads from a page to the root of the book, so that links work without a server.

    Examples
    --------
    >>> path_to_root("attention"), path_to_root("solutions/attention")
    ('', '../')
    """
    return "../" * docname.count("/")


def download_link(target: str, text: str, note: str) -> str:
    """Return a link that downloads a file, with a note behind it."""
    return (
        f'<a class="course-download" href="{escape(target)}" download>'
        f'<i class="fa-solid fa-download" aria-hidden="true"></i> {escape(text)}</a>'
        f'<span class="course-note">{escape(note)}</span>'
    )
