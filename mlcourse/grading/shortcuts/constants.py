"""Strings that are put together from strings in the text."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable, Iterable
from typing import Any

from mlcourse.grading.shortcuts.meanings import (
    DATA,
    NOTHING,
    REST,
    Arguments,
    Constant,
    Container,
    Instance,
    Meanings,
    bag,
    join,
    one,
    texts,
)

LONGEST = 2_000
MOST = 16
LONGEST_LIST = 200
PLAIN_METHODS = ("lower", "upper", "strip", "lstrip", "rstrip", "swapcase", "capitalize", "casefold", "title")
EVALUATED = (
    *("partition", "rpartition", "format_map", "center", "ljust", "rjust", "zfill", "expandtabs", "translate"),
    *("__add__", "__mul__", "__rmul__", "__mod__", "__getitem__", "__format__"),
)
WIDE = re.compile(r"\d{4}")  # a width that would fill the memory
PLAIN_ENCODINGS = ("utf-8", "utf8", "utf_8", "ascii", "latin-1", "latin1", "strict", "ignore", "replace")
METHODS_WITH_TEXTS = ("replace", "removeprefix", "removesuffix", "strip", "lstrip", "rstrip")


def glue(parts: Iterable[Meanings]) -> Meanings:
    """Return all strings that these parts give one after another, and `DATA` where there may be others."""
    whole, others = [""], False
    for part in parts:
        ends = texts(part)
        others = others or not part
        longer = [a + b for a, b in itertools.islice(itertools.product(whole, ends), MOST)]
        others = others or len(ends) < len(part) or len(longer) < len(whole) * len(ends)
        whole = [text for text in longer if len(text) <= LONGEST]
        others = others or len(whole) < len(longer)
    return join(frozenset(Constant(text) for text in whole), DATA if others else NOTHING)


def combine(operator: ast.operator, left: Meanings, right: Meanings) -> Meanings:
    """Return what two things give with an operator between them."""
    if isinstance(operator, ast.Add) and texts(left) and texts(right):
        return glue((left, right))
    if isinstance(operator, ast.Mult):
        repeated = join(*(evaluated(str.__mul__, text, Arguments((right,))) for text in texts(left)))
        repeated = join(repeated, *(evaluated(str.__mul__, text, Arguments((left,))) for text in texts(right)))
        if repeated:
            return repeated
    if isinstance(operator, ast.Mod) and texts(left):
        whole = join(*(evaluated(str.__mod__, text, Arguments((right,))) for text in texts(left)))
        return whole or format_text(left, right) or DATA
    containers = [item for item in (*left, *right) if isinstance(item, Container)]
    if containers:
        return one(_merged(containers))
    return NOTHING if any(isinstance(item, Instance) for item in (*left, *right)) else DATA


def _merged(containers: list[Container]) -> Container:
    """Return the containers together, in their order where they have one."""
    ordered = [container.in_order() for container in containers]
    if all(part is not None for part in ordered) and len(ordered) < 3 and not any(item.keyed for item in containers):
        return Container(dict(enumerate(itertools.chain.from_iterable(part or [] for part in ordered))))
    items: dict[Any, Meanings] = {}
    for container in containers:
        for key, value in container.items.items():
            items[key if isinstance(key, str) else REST] = join(value, items.get(key, NOTHING))
    return Container(items, keyed=True)


def format_text(templates: Meanings, values: Meanings) -> Meanings:
    """Return ``"%smax" % "soft"`` for the plainest of templates."""
    given = [value for item in values if isinstance(item, Container) for value in item.in_order() or []] or [values]
    return join(*(_filled(template.split("%s"), given) for template in texts(templates)))


def _filled(pieces: list[str], values: list[Meanings]) -> Meanings:
    if len(pieces) != len(values) + 1:
        return NOTHING
    fixed = [one(Constant(piece)) for piece in pieces]
    return glue([fixed[0], *itertools.chain.from_iterable(zip(values, fixed[1:], strict=True))])


def sliced(text: Any, lower: Meanings, upper: Meanings, step: Meanings) -> Meanings:
    """Return a slice of a string, or of a list in its order, with constant bounds."""
    bounds = [_bound(part) for part in (lower, upper, step)]
    if None in bounds or bounds[2] == [0]:
        return NOTHING
    chosen = slice(*(bound[0] if bound else None for bound in bounds if bound is not None))
    if isinstance(text, Constant) and isinstance(text.value, str):
        return _whole(text.value[chosen])
    ordered = text.in_order() if isinstance(text, Container) else None
    return one(Container(dict(enumerate(ordered[chosen])))) if ordered is not None else NOTHING


def _bound(part: Meanings) -> list[int] | None:
    """Return a list of at most one number, or None where the bound is not known."""
    numbers = [item.value for item in part if isinstance(item, Constant) and isinstance(item.value, int)]
    return None if len(numbers) != len(part) or len(part) > 1 else numbers


def text_method(text: str, name: str, arguments: Arguments) -> Meanings:
    """Return what a method of a string gives, where that is again a string to be known."""
    if name == "join":
        return _joined(text, arguments.at(0))
    if name == "format":
        return evaluated(str.format, text, arguments) or _filled(text.split("{}"), list(arguments.positional))
    if name in ("split", "rsplit", "splitlines"):
        return _split(text, texts(arguments.at(0)))
    if name in ("encode", "decode", "__str__"):  # bytes are read as text
        return one(Constant(text)) if text.isascii() and is_plain_encoding(arguments) else DATA
    if len(text) > LONGEST:
        return DATA
    if name in EVALUATED:
        return evaluated(getattr(str, name), text, arguments)
    if not arguments.positional and name in PLAIN_METHODS:
        return _whole(getattr(str, name)(text))
    if name in METHODS_WITH_TEXTS:
        return _with_texts(getattr(str, name), text, arguments.positional)
    return DATA


def is_plain_encoding(arguments: Arguments) -> bool:
    """Return whether a text in this encoding reads as it stands, as far as it has only the usual letters."""
    given = join(NOTHING, *arguments.positional, *(value for _, value in arguments.keywords), arguments.rest)
    return all(name.lower() in PLAIN_ENCODINGS for name in texts(given)) and len(texts(given)) == len(given)


def evaluated(method: Callable[..., Any], text: Any, arguments: Arguments) -> Meanings:
    """Return what a method of constants gives, by calling it; nothing where an argument is not known."""
    try:
        positional = [_value(part) for part in arguments.positional]
        keywords = {name: _value(part) for name, part in arguments.keywords}
        given = [text, *positional, *keywords.values()]
        if arguments.rest or any(WIDE.search(repr(part)) or len(repr(part)) > LONGEST for part in given):
            return NOTHING
        found = method(text, *positional, **keywords)
    except Exception:  # an unknown argument, or a wrong one: the line fails, and says nothing
        return NOTHING
    parts = found if isinstance(found, tuple) else (found,)
    known = [one(Constant(part)) for part in parts if isinstance(part, str) and len(part) <= LONGEST]
    return one(Container(dict(enumerate(known)))) if isinstance(found, tuple) else join(*known)


def _value(meanings: Meanings) -> Any:
    """Return the one value that is meant: a constant, or a tuple or dict of constants."""
    (meaning,) = meanings
    if isinstance(meaning, Constant):
        return meaning.value
    if not isinstance(meaning, Container) or REST in meaning.items:
        raise ValueError("this is no constant")
    ordered = None if meaning.keyed else meaning.in_order()
    if ordered is not None:
        return tuple(_value(part) for part in ordered)
    return {key: _value(part) for key, part in meaning.items.items()}


def _whole(text: str) -> Meanings:
    """Return a string that is short enough to be kept, and of another one only that there is some."""
    return one(Constant(text)) if len(text) <= LONGEST else DATA


def _with_texts(method: Callable[..., str], text: str, arguments: tuple[Meanings, ...]) -> Meanings:
    words = [texts(part) for part in arguments[:2]]
    unclear = len(arguments) > len(words) or any(len(part) != 1 for part in arguments)
    if unclear or not all(words) or any(len(word[0]) > LONGEST for word in words):
        return DATA
    try:
        return _whole(method(text, *(word[0] for word in words)))
    except TypeError:  # the wrong number of arguments
        return NOTHING


def _joined(separator: str, parts: Meanings) -> Meanings:
    found = NOTHING
    for part in parts:
        if isinstance(part, Constant) and isinstance(part.value, str):
            found = join(found, _whole(separator.join(part.value[: LONGEST + 1])))
        elif isinstance(part, Container) and part.items and all(isinstance(key, str) for key in part.items):
            found = join(found, _whole(separator.join(map(str, part.items))))  # the keys of a dict
        elif isinstance(part, Container) and part.in_order():
            pieces = [piece for value in part.in_order() or [] for piece in (one(Constant(separator)), value)]
            found = join(found, glue(pieces[1:]))
    return found


def _split(text: str, separators: list[str]) -> Meanings:
    words = text.split(separators[0]) if separators and separators[0] else text.split()
    known = [one(Constant(word)) for word in words[:LONGEST_LIST]]
    return bag(*known, DATA) if len(words) > len(known) else one(Container(dict(enumerate(known))))
