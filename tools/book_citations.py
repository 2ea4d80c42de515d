"""Citations as plain text, for notebooks, which have no bibliography of their own; and years that tell works apart."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from string import ascii_lowercase

from pybtex.database import BibliographyData, Entry, Person, parse_file
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
        entries = parse_file(str(self.path), bib_format="bibtex")
        tell_years_apart(entries)
        return entries

    def textual(self, keys: str) -> str:
        """Return a citation that is part of the sentence: Vaswani et al. (2017)."""
        return ", ".join(f"{people(self.entries.entries[key])} ({self._year(key)})" for key in self._split(keys))

    def parenthetical(self, keys: str) -> str:
        """Return a citation in brackets: (Vaswani et al., 2017)."""
        works = [f"{people(self.entries.entries[key])}, {self._year(key)}" for key in self._split(keys)]
        return f"({', '.join(works)})"

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

    def _year(self, key: str) -> str:
        return self.entries.entries[key].fields["year"]


def tell_years_apart(bibliography: BibliographyData) -> None:
    """Put letters behind the years of works that a citation would print alike, in the order of the list of references.

    Examples
    --------
    >>> from pybtex.database import parse_string
    >>> text = "@misc{x, author={Bell, A}, title={Y}, year=1990} @misc{y, author={Bell, B}, title={X}, year=1990}"
    >>> found = parse_string(text + "@misc{z, author={Bell, A}, title={Z}, year=1991}", "bibtex")
    >>> tell_years_apart(found)
    >>> [entry.fields["year"] for entry in found.entries.values()]
    ['1990a', '1990b', '1991']
    """
    alike: dict[tuple[str, str], list[Entry]] = {}
    for entry in bibliography.entries.values():
        alike.setdefault((people(entry), entry.fields.get("year", "")), []).append(entry)
    for (_, year), works in alike.items():
        if year and len(works) > 1:
            for place, entry in enumerate(ReferenceStyle().sort(works)):
                entry.fields["year"] = year + ascii_lowercase[place]


def people(entry: Entry) -> str:
    """Return the names by which a work is cited."""
    names = [_last_name(person) for person in entry.persons.get("author", entry.persons.get("editor", []))]
    return f"{names[0]} et al." if len(names) > 2 else " and ".join(names)


def _last_name(person: Person) -> str:
    words = " ".join([*person.prelast_names, *person.last_names])
    return str(Text.from_latex(words))
