"""Citations by author and year in round brackets: Vaswani et al. (2017), Mikolov et al. (2013a)."""

from __future__ import annotations

from dataclasses import dataclass, field

from sphinx.application import Sphinx
from sphinxcontrib.bibtex.plugin import register_plugin
from sphinxcontrib.bibtex.style.referencing import BracketStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

from tools.book_citations import tell_years_apart

NAME = "author_year_round"


def round_brackets() -> BracketStyle:
    """Return brackets that are round; the default ones are square."""
    return BracketStyle(left="(", right=")")


@dataclass
class RoundAuthorYear(AuthorYearReferenceStyle):
    """Author and year, in round brackets."""

    bracket_parenthetical: BracketStyle = field(default_factory=round_brackets)
    bracket_textual: BracketStyle = field(default_factory=round_brackets)


def register_citation_style() -> None:
    """Make the style known under the name that ``_config.yml`` uses."""
    register_plugin("sphinxcontrib.bibtex.style.referencing", NAME, RoundAuthorYear)


def letter_years(app: Sphinx) -> None:
    """Tell works of the same people and year apart; called when the bibliography has been read."""
    if app.registry.has_domain("cite"):
        tell_years_apart(app.env.get_domain("cite").data["bibdata"].data)
