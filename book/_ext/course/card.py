"""The card at the top of a chapter: when, which paper, what for, what first, how long, and what to download."""

from __future__ import annotations

from html import escape
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from course.html import download_link, path_to_root, raw_html
from tools.book_card import card_lines
from tools.book_chapters import Chapter, written_chapters
from tools.book_config import read_settings


class ChapterCard(SphinxDirective):
    """Draws the card from the front matter of the page on which it stands."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return the card."""
        book = Path(self.env.srcdir)
        chapter = written_chapters(book).get(self.env.docname)
        if chapter is None:
            raise self.error("A chapter-card needs a page whose front matter has the key chapter.")
        card = nodes.container(classes=["chapter-card"])
        self._add_text(card, chapter)
        settings = read_settings(book.parent)
        card += raw_html(downloads(chapter.name, path_to_root(self.env.docname)))
        colab = settings.colab(f"notebooks/{chapter.name}.ipynb")
        if colab:
            card += raw_html(f'<p class="course-launch"><a href="{escape(colab)}">Open this page in Colab</a></p>')
        return [card]

    def _add_text(self, card: nodes.container, chapter: Chapter) -> None:
        """Parse what the card says, as MyST, into the card."""
        source, _ = self.get_source_info()
        self.state.nested_parse(StringList(card_lines(chapter), source), self.content_offset, card)


def downloads(name: str, root: str) -> str:
    """Return the two download links of a chapter as a list in HTML."""
    links = (
        (f"{root}notebooks/{name}-exercises.ipynb", "Exercises", "the notebook to fill in"),
        (f"{root}notebooks/{name}.ipynb", "This page", "as a notebook to run"),
    )
    items = "".join(f"<li>{download_link(*link)}</li>" for link in links)
    return f'<ul class="course-downloads">{items}</ul>'
