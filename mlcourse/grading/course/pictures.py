"""Pictures that a student pasted into a text: kept where they are certain to be pictures, and nothing else."""

from __future__ import annotations

import base64
import binascii
from typing import Any
from urllib.parse import unquote

import nbformat

PREFIX = "attachment:"
TYPES = ("image/png", "image/jpeg", "image/jpg", "image/gif")
# What is drawn by a program of its own, such as SVG, can hold a script: it is no picture here.
FIRST_BYTES = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"GIF87a": "image/gif",
    b"GIF89a": "image/gif",
}
MOST_BYTES = 4 * 2**20  # of one picture
MOST_BYTES_IN_ALL = 16 * 2**20  # of one notebook
LONGEST_NAME = 255


def keep_pictures(notebook: Any) -> None:
    """Leave of everything attached to cells only the pictures of texts, in place."""
    left = MOST_BYTES_IN_ALL
    for cell in notebook["cells"]:
        attached = cell.pop("attachments", None)
        if cell["cell_type"] != "markdown" or not isinstance(attached, dict):
            continue
        kept = {}
        for name, attachment in attached.items():
            picture = picture_in(attachment)
            size = len(picture[1]) * 3 // 4 if picture else 0
            if picture and size <= left and len(name) <= LONGEST_NAME:
                kept[name] = dict([picture])
                left -= size
        if kept:
            cell["attachments"] = nbformat.from_dict(kept)


def picture_in(attachment: Any) -> tuple[str, str] | None:
    """Return the type and the data in base64 of an attached picture, and None where it is none that is harmless.

    The type is what the first bytes say, and the data are written anew: nothing of what was handed in is copied.
    """
    if not isinstance(attachment, dict):
        return None
    for kind in TYPES:
        data = attachment.get(kind)
        text = "".join(map(str, data)) if isinstance(data, list) else data
        if not isinstance(text, str) or len(text) > 2 * MOST_BYTES:
            continue
        try:
            content = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError):
            continue
        found = next((each for start, each in FIRST_BYTES.items() if content.startswith(start)), None)
        if found and len(content) <= MOST_BYTES:
            return found, base64.b64encode(content).decode("ascii")
    return None


def name_in(address: str) -> str | None:
    """Return the name of the attachment that an address means, and None if it means none.

    Examples
    --------
    >>> name_in("attachment:image.png"), name_in("https://example.org/attachment:image.png")
    ('image.png', None)
    """
    address = address.strip()
    return address[len(PREFIX) :] if address.lower().startswith(PREFIX) else None


def named(attachments: Any, name: str) -> tuple[str, str] | None:
    """Return the picture of this name, which an address may spell with percent signs."""
    if not isinstance(attachments, dict):
        return None
    return picture_in(attachments.get(name, attachments.get(unquote(name))))
