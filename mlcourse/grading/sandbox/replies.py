"""What a submission's process answers, checked before anybody believes its form.

Its content may be forged: it only ever concerns the submission itself, and the answers are compared with the right
ones. Its form must not harm the grader.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from mlcourse.grading.calling import PRINTED_LIMIT, Failure, Outcome
from mlcourse.grading.inside.outputs import IMAGE_LIMIT, SHOWN_TYPES
from mlcourse.grading.plain import NotPlainError, to_plain
from mlcourse.grading.wire import WireError

BASE64 = re.compile(r"[A-Za-z0-9+/=\s]*")
NAME = 200
TEXT = 4_000
STREAMS = ("stdout", "stderr")
MAX_OUTPUTS = 500
NOTES = 10_000  # of the grader's own on what was cut
CELLS_IN_FULL = 20  # that show as much as they may


@dataclass(frozen=True)
class Picked:
    """A candidate that was found: its handle, what it is, and what its code names."""

    handle: int
    parts: dict[str, Any] | list[dict[str, Any]]
    shortcut: str | None
    called: frozenset[str]


def outcome_of(reply: Any, inputs: Collection[str]) -> Outcome:
    """Return the outcome that a reply claims for a call with inputs of these names.

    Raises
    ------
    WireError
        If it is no outcome.
    """
    fields = _fields(reply, "value", "failure", "refused", "timed_out", "changed", "printed", "shortcut")
    claimed = [_text(name, NAME) for name in _list(fields["changed"], 100)]
    changed = [name for name in inputs if name in claimed]  # no other text: it would be shown
    return Outcome(
        value=_plain(fields["value"]),
        failure=None if fields["failure"] is None else _failure(fields["failure"]),
        refused=None if fields["refused"] is None else _text(fields["refused"], TEXT),
        timed_out=fields["timed_out"] is True,
        changed=tuple(changed),
        printed=_text(fields["printed"], PRINTED_LIMIT),
        shortcut=None if fields["shortcut"] is None else _text(fields["shortcut"], NAME),
    )


def _plain(value: Any) -> Any:
    """Return the value if it keeps the limits of plain data, whose arrays the wire has read already."""
    try:
        _within_limits(value, 0)
    except NotPlainError as error:
        raise WireError(str(error)) from error
    return value


def _within_limits(value: Any, depth: int) -> None:
    if isinstance(value, list | tuple | dict):
        to_plain([None] * min(len(value), 10_001), depth)  # refuses what is too long or too deep, in its own words
        for item in value.values() if isinstance(value, dict) else value:
            _within_limits(item, depth + 1)


def _failure(value: Any) -> Failure:
    fields = _fields(value, "kind", "family", "message", "entered", "function", "line", "unwritten")
    return Failure(
        kind=_text(fields["kind"], NAME),
        family=tuple(_text(name, NAME) for name in _list(fields["family"], 100)),
        message=_text(fields["message"], TEXT),
        entered=_text(fields["entered"], NAME),
        function=_text(fields["function"], NAME),
        line=_text(fields["line"], TEXT),
        unwritten=fields["unwritten"] is True,
    )


def picked_of(reply: Any) -> Picked | str:
    """Return the candidate that a reply describes, or the name that is not defined."""
    if type(reply) is dict and "missing" in reply:
        return _text(reply["missing"], NAME)
    fields = _fields(reply, "handle", "parts", "shortcut", "called")
    if type(fields["handle"]) is not int:
        raise WireError("a handle that is no number")
    parts = fields["parts"]
    several = [_part(part) for part in parts[:20]] if type(parts) is list else _part(parts)
    shortcut = None if fields["shortcut"] is None else _text(fields["shortcut"], NAME)
    called = frozenset(_text(name, NAME) for name in _list(fields["called"], 1_000))
    return Picked(fields["handle"], several, shortcut, called)


def _part(value: Any) -> dict[str, Any]:
    fields = _fields(value, "name", "callable", "type", "none")
    return {
        "name": _text(fields["name"], NAME),
        "callable": fields["callable"] is True,
        "type": _text(fields["type"], NAME),
        "none": fields["none"] is True,
    }


class Room:
    """Characters that a notebook may still show; the submission's own count may be forged.

    Parameters
    ----------
    text : int
        Of one cell, without images; a notebook has room for `CELLS_IN_FULL` cells that use all of it.
    """

    def __init__(self, text: int) -> None:
        self.cell = {True: IMAGE_LIMIT, False: text + NOTES}
        self.notebook = {kind: CELLS_IN_FULL * longest for kind, longest in self.cell.items()}
        self.left = dict(self.cell)

    def next_cell(self) -> None:
        """Begin a new cell."""
        self.left = {kind: min(longest, self.notebook[kind]) for kind, longest in self.cell.items()}

    def fit(self, text: str, image: bool = False) -> str:
        """Return what there is room for: the beginning of a text, or an image as a whole."""
        kept = text[: self.left[image]]
        if image and len(kept) < len(text):
            return ""
        self.left[image] -= len(kept)
        self.notebook[image] -= len(kept)
        return kept


def outputs_of(reply: Any, room: Room) -> tuple[list[dict[str, Any]], bool]:
    """Return the outputs of a cell in nbformat's form, as far as there is room, and whether the cell was stopped."""
    fields = _fields(reply, "outputs", "stopped", "count")
    room.next_cell()
    outputs = [_output(item, room) for item in _list(fields["outputs"], 10**9)[:MAX_OUTPUTS]]
    return outputs, fields["stopped"] is True


def unread_of(reply: Any) -> str:
    """Return what a reply says of a text that nobody has read."""
    return _text(_fields(reply, "unread")["unread"], NAME)


def _output(item: Any, room: Room) -> dict[str, Any]:
    kind = item.get("output_type") if type(item) is dict else None
    if kind == "stream" and item.get("name") in STREAMS:
        return {"output_type": "stream", "name": item["name"], "text": room.fit(_text(item.get("text")))}
    if kind == "error":
        fields = _fields(item, "ename", "evalue", "traceback")
        lines = [room.fit(_text(line)) for line in _list(fields["traceback"], 10_000)]
        return {
            "output_type": "error",
            "ename": _text(fields["ename"], NAME),
            "evalue": _text(fields["evalue"], TEXT),
            "traceback": lines,
        }
    if kind in ("display_data", "execute_result"):
        data = item.get("data")
        if type(data) is not dict:
            raise WireError("an output without data")
        forms = {name: _shown(name, data[name], room) for name in SHOWN_TYPES if name in data}
        shown = {"output_type": kind, "data": {name: text for name, text in forms.items() if text}}
        count = item.get("execution_count")
        more = (
            {"execution_count": count if type(count) is int and 0 <= count < 10**6 else None}
            if kind == "execute_result"
            else {}
        )
        return {**shown, "metadata": {}, **more}
    raise WireError("an output of no known kind")


def _shown(name: str, value: Any, room: Room) -> str:
    """Return what an output shows in one form; an image must be one in base64, since it becomes part of a page."""
    text = _text(value)
    image = name.startswith("image/")
    if image and not BASE64.fullmatch(text):
        raise WireError("an image that is none")
    return room.fit(text, image)


def _fields(value: Any, *names: str) -> dict[str, Any]:
    if type(value) is not dict or any(name not in value for name in names):
        raise WireError("a reply that lacks a part")
    return value


def _list(value: Any, longest: int) -> list[Any]:
    if type(value) not in (list, tuple) or len(value) > longest:
        raise WireError("a reply with a part that is no list, or too long")
    return list(value)


def _text(value: Any, longest: int | None = None) -> str:
    if type(value) is not str:
        raise WireError("a reply with a part that is no text")
    # What no file can hold, such as half of a pair of surrogates, is replaced.
    return value[:longest].encode("utf-8", "replace").decode("utf-8")
