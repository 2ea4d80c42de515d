"""Text that a student can influence, made safe to show: nothing invisible, nothing that moves a cursor."""

from __future__ import annotations

import re

# What is escaped:
# - the control characters (C0, DEL, C1), among them the ESC of terminal sequences, but not tab and newline;
# - U+2028 and U+2029, which some programs take for the end of a line;
# - the marks that reverse the direction of the text around them, with which one name can look like another;
# - lone surrogates and non-characters, which no UTF-8 or XML file may hold.
HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)


def visible(text: str) -> str:
    r"""Return a text with everything invisible written as an escape; lines and tabs stay.

    Examples
    --------
    >>> visible("a\x1b[31mb")
    'a\\x1b[31mb'
    >>> visible("one\r\ntwo")
    'one\ntwo'
    """
    return HIDDEN.sub(_escape, text.replace("\r\n", "\n"))


def one_line(text: str) -> str:
    r"""Return a text as `visible` does, on one line.

    Examples
    --------
    >>> one_line("Ada\nLovelace")
    'Ada\\nLovelace'
    """
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
