"""Citations by author and year in round brackets: Vaswani et al. (2017)."""

from __future__ import annotations

from dataclasses import dataclass, field

from sphinxcontrib.bibtex.plugin import register_plugin
from sphinxcontrib.bibtex.style.referencing import BracketStyle
from sphinxcontrib.bibtex.style.referencing.author_year import AuthorYearReferenceStyle

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
