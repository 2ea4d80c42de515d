"""The table of a chapter's exercises, with the links to the notebook and to the worked solutions."""

from __future__ import annotations

from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

from course.html import download_link, path_to_root, raw_html
from mlcourse.exercises.catalogue import chapter_exercises
from tools.book_exercises import table_lines


class ChapterExercises(SphinxDirective):
    """Lists the exercises of the chapter on whose page it stands."""

    has_content = False

    def run(self) -> list[nodes.Node]:
        """Return a table of exercises and the links."""
        name = self.env.docname
        exercises = list(chapter_exercises(name).values())
        block = nodes.container(classes=["chapter-exercises"])
        source, _ = self.get_source_info()
        questions = Path(self.env.srcdir).parent / "solutions" / f"{name}.md"
        lines = [*table_lines(exercises, questions), "", *self._solutions(name)]
        self.state.nested_parse(StringList(lines, source), self.content_offset, block)
        target = f"{path_to_root(name)}notebooks/{name}-exercises.ipynb"
        block += raw_html(f"<p>{download_link(target, 'Download the exercises', 'a notebook to fill in')}</p>")
        return [block]

    def _solutions(self, name: str) -> list[str]:
        """Return the sentence that leads to the worked solutions, if the book has them."""
        page = Path(self.env.srcdir, "solutions", f"{name}.md")
        if not self.config.mlcourse_solutions or not page.exists():
            return []
        return [f"Tried them all? Compare with the {{doc}}`worked solutions </solutions/{name}>`."]
