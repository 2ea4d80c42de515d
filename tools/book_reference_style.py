"""How a reference reads, in the book's bibliography and at the end of a notebook copy."""

from __future__ import annotations

import re
from typing import Any

from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.richtext import Text
from pybtex.style.formatting import toplevel
from pybtex.style.formatting.plain import Style
from pybtex.style.formatting.unsrt import date
from pybtex.style.template import field, optional, optional_field, sentence

NAME = "course"


class ReferenceStyle(Style):
    """The plain style of BibTeX, with titles in the author's own capitals; a book may lack its publisher.

    Names such as Shannon and English stay what they are, and an old book whose publisher the sources disagree about
    can be listed without one.
    """

    def format_title(self, e: Entry, which_field: str, as_sentence: bool = True) -> Any:
        """Return the template of a title."""
        return sentence[field(which_field)] if as_sentence else field(which_field)

    def get_book_template(self, e: Entry) -> Any:
        """Return the template of a book."""
        return toplevel[
            self.format_author_or_editor(e),
            self.format_btitle(e, "title"),
            self.format_volume_and_series(e),
            sentence[optional_field("publisher"), optional_field("address"), self.format_edition(e), date],
            sentence[optional_field("note")],
            self.format_web_refs(e),
        ]

    def get_misc_template(self, e: Entry) -> Any:
        """Return the template of what is no book and no article."""
        return toplevel[
            optional[sentence[self.format_names("author")]],
            optional[self.format_title(e, "title")],
            sentence[optional[field("howpublished", apply_func=without_url_macro)], optional[date]],
            sentence[optional_field("note")],
            self.format_web_refs(e),
        ]


def without_url_macro(text: Text) -> Text:
    r"""Return a text without LaTeX's ``\url``, which pybtex keeps as letters."""
    return Text(re.sub(r"\\url\s*", "", str(text)))


def register_reference_style() -> None:
    """Make the style known to pybtex under the name that ``_config.yml`` uses."""
    register_plugin("pybtex.style.formatting", NAME, ReferenceStyle)
