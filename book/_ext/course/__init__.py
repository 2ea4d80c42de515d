"""What this book adds to Sphinx: cards and exercise tables of chapters, the timeline, citations, figure numbers."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

# The extension shares its reading of chapters and settings with the tools, which lie at the root of the repository.
ROOT = Path(__file__).resolve().parents[3]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from course.card import ChapterCard  # noqa: E402
from course.citations import letter_years, register_citation_style  # noqa: E402
from course.exercises import ChapterExercises  # noqa: E402
from course.figures import open_figures  # noqa: E402
from course.numbers import number_by_page  # noqa: E402
from course.punctuation import KeepPunctuation  # noqa: E402
from course.repository import show_repository_buttons  # noqa: E402
from course.timeline import Timeline  # noqa: E402
from tools.book_reference_style import register_reference_style  # noqa: E402


def setup(app: Sphinx) -> dict[str, Any]:
    """Register everything with Sphinx."""
    app.add_config_value("mlcourse_solutions", True, "env")
    app.add_config_value("mlcourse_published_branch", "gh-pages", "env")
    app.add_directive("chapter-card", ChapterCard)
    app.add_directive("chapter-exercises", ChapterExercises)
    app.add_directive("timeline", Timeline)
    app.add_post_transform(KeepPunctuation)
    app.connect("config-inited", show_repository_buttons)
    app.connect("builder-inited", letter_years, priority=900)  # after sphinxcontrib.bibtex has read its files
    app.connect("doctree-read", open_figures)
    app.connect("env-check-consistency", number_by_page)
    register_citation_style()
    register_reference_style()
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
