"""Citations as plain text, for notebooks, which have no bibliography of their own."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from pybtex.database import BibliographyData, Person, parse_file
from pybtex.plugin import find_plugin
from pybtex.richtext import Text

from tools.book_reference_style import ReferenceStyle


class Bibliography:
    """The entries of a BibTeX file, and which of them have been cited.

    Parameters
    ----------
    path : Path
        The BibTeX file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cited: list[str] = []

    @cached_property
    def entries(self) -> BibliographyData:
        """What the file holds."""
        return parse_file(str(self.path), bib_format="bibtex")

    def textual(self, keys: str) -> str:
        """Return a citation that is part of the sentence: Vaswani et al. (2017)."""
        return ", ".join(f"{self._people(key)} ({self._year(key)})" for key in self._split(keys))

    def parenthetical(self, keys: str) -> str:
        """Return a citation in brackets: (Vaswani et al., 2017)."""
        return "(" + ", ".join(f"{self._people(key)}, {self._year(key)}" for key in self._split(keys)) + ")"

    def references(self) -> list[str]:
        """Return what has been cited, as a Markdown list sorted by author and year."""
        if not self.cited:
            return []
        backend = find_plugin("pybtex.backends", "markdown")()
        formatted = ReferenceStyle().format_bibliography(self.entries, self.cited)
        return [f"- {' '.join(entry.text.render(backend).split())}" for entry in formatted]

    def _split(self, keys: str) -> list[str]:
        found = [key.strip() for key in keys.split(",")]
        for key in found:
            if key not in self.entries.entries:
                raise KeyError(f"{self.path.name} has no entry {key!r}.")
            if key not in self.cited:
                self.cited.append(key)
        return found

    def _people(self, key: str) -> str:
        names = [_last_name(person) for person in self.entries.entries[key].persons["author"]]
        return f"{names[0]} et al." if len(names) > 2 else " and ".join(names)

    def _year(self, key: str) -> str:
        return self.entries.entries[key].fields["year"]


def _last_name(person: Person) -> str:
    words = " ".join([*person.prelast_names, *person.last_names])
    return str(Text.from_latex(words))
