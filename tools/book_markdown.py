"""MyST turned into the Markdown that Jupyter and Colab show: no directive and no role remains."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import yaml

from tools.book_citations import Bibliography

FENCE = re.compile(r"^(?P<indent>\s*)(?P<fence>`{3,}|~{3,}|:{3,})(?P<rest>.*)$")
DIRECTIVE = re.compile(r"^\{(?P<name>[\w:-]+)\}\s*(?P<argument>.*)$")
TARGET = re.compile(r"^\((?P<name>[^()\s]+)\)=\s*$")
BLOCK_ATTRIBUTES = re.compile(r"^\{(#(?P<name>[\w-]+))?[^{}`]*\}\s*$")
LABELED_MATH = re.compile(r"\$\$(?P<math>(?:[^$]|\$(?!\$))+?)\$\$[ \t]*\((?P<label>[\w:-]+)\)", re.DOTALL)
ROLE_OR_CODE = re.compile(
    r"\{(?P<role>[a-zA-Z][\w:-]*)\}(?P<ticks>`+)(?P<text>.+?)(?P=ticks)(?!`)|(?P<code>(?P<run>`+)(?!`).+?(?<!`)(?P=run)(?!`))",
    re.DOTALL,
)
EXPLICIT = re.compile(r"^(?P<text>.*?)\s*<(?P<target>[^<>]+)>$", re.DOTALL)
LINK = re.compile(r"(?<!!)\[(?P<text>[^\[\]]*)\]\((?P<page>[\w/-]+)\.md(?P<anchor>#[\w-]+)?\)")
FOOTNOTE = re.compile(r"\[\^(?P<name>[\w-]+)\](?P<colon>:?)")

ADMONITIONS = ("note", "tip", "important", "warning", "hint", "caution", "attention", "danger", "error", "seealso")
TITLED = ("admonition", "margin", "sidebar", "topic")
AS_CODE = ("code", "python", "func", "class", "meth", "mod", "attr", "py:func", "py:class", "py:mod", "kbd", "file")


class UnknownMyst(ValueError):
    """A page uses a directive or a role that a notebook cannot show yet. The message names it."""


@dataclass
class Context:
    """What the text of one page refers to.

    Attributes
    ----------
    page : str
        The name of the page, for messages.
    bibliography : Bibliography
    directives : dict
        For the directives of this course, the MyST lines that stand for them.
    titles : dict
        The title of each page of the book, by name.
    notebooks : set of str
        The pages that have a notebook copy beside this one.
    labels : dict
        What a reference to a label reads: ``(3)`` for an equation, ``Figure 2`` for a figure, a heading's text.
    """

    page: str
    bibliography: Bibliography
    directives: dict[str, list[str]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    notebooks: set[str] = field(default_factory=set)
    labels: dict[str, str] = field(default_factory=dict)


def collect_labels(text: str, context: Context) -> None:
    """Give the labeled equations of a text their numbers and remember the headings that have a target."""
    numbered = sum(words.startswith("(") for words in context.labels.values())
    labels = [match["label"] for match in LABELED_MATH.finditer(text)] + re.findall(r"^:label:\s*(\S+)", text, re.M)
    for number, label in enumerate(labels, start=numbered + 1):
        context.labels[label] = f"({number})"
    for target, heading in re.findall(r"^\(([^()\s]+)\)=\s*\n+#+ (.+)$", text, re.M):
        context.labels[target] = heading


def to_markdown(text: str, context: Context) -> str:
    """Return the text as plain Markdown.

    Raises
    ------
    UnknownMyst
        If it uses a directive or role for which there is no rule.
    """
    lines, plain, out = text.split("\n"), [], []
    position = 0
    while position < len(lines):
        opening = FENCE.match(lines[position])
        if not opening:
            plain.append(lines[position])
            position += 1
            continue
        end = _end_of_fence(lines, position, opening)
        out += [*_plain_text(plain, context), *_fenced(lines[position : end + 1], opening, context)]
        plain = []
        position = end + 1
    return "\n".join([*out, *_plain_text(plain, context)])


def _end_of_fence(lines: list[str], start: int, opening: re.Match[str]) -> int:
    """Return the index of the line that closes the fence, or of the last line."""
    closing = re.compile(rf"^\s*{re.escape(opening['fence'])}{re.escape(opening['fence'][0])}*\s*$")
    return next((i for i in range(start + 1, len(lines)) if closing.match(lines[i])), len(lines) - 1)


def _fenced(block: list[str], opening: re.Match[str], context: Context) -> list[str]:
    """Return a fenced block: code as it is, a directive as Markdown, with the indentation it had."""
    directive = DIRECTIVE.match(opening["rest"].strip())
    if not directive:
        return block
    inner = [line.removeprefix(opening["indent"]) for line in block[1:-1]]
    options, body = _split_options(inner)
    name, argument = directive["name"], directive["argument"]
    if name in context.directives:
        lines = to_markdown("\n".join(context.directives[name]), context).split("\n")
    elif name in ADMONITIONS + TITLED:
        lines = _quote(name, argument, body, context)
    elif name in RULES:
        lines = RULES[name](argument, options, body, context)
    else:
        raise UnknownMyst(f"{context.page} uses the directive {name!r}, for which tools/book_markdown.py has no rule.")
    return [opening["indent"] + line if line else line for line in lines]


def _split_options(lines: list[str]) -> tuple[dict[str, str], list[str]]:
    """Split the inside of a directive into its options and its body."""
    if lines and lines[0].strip() == "---":
        end = next((i for i in range(1, len(lines)) if lines[i].strip() == "---"), 0)
        return yaml.safe_load("\n".join(lines[1:end])) or {}, lines[end + 1 :]
    count = 0
    while count < len(lines) and re.match(r"^:[\w-]+:( |$)", lines[count]):
        count += 1
    pairs = (line[1:].partition(":") for line in lines[:count])
    return {key: value.strip() for key, _, value in pairs}, lines[count:]


def _quote(name: str, title: str, body: list[str], context: Context) -> list[str]:
    """Return an admonition as a quotation with its title in bold."""
    if name not in TITLED:
        body = [title, *body] if title else body
        title = {"seealso": "See also"}.get(name, name.capitalize())
    text = to_markdown("\n".join(body).strip("\n"), context)
    head = [f"**{_inline(title, context)}**", ""] if title else []
    return [f"> {line}".rstrip() for line in [*head, *text.split("\n")]]


def _dropdown(argument: str, options: dict[str, str], body: list[str], context: Context) -> list[str]:
    text = to_markdown("\n".join(body).strip("\n"), context)
    return ["<details>", f"<summary>{_inline(argument or 'More', context)}</summary>", "", text, "", "</details>"]


def _math(argument: str, options: dict[str, str], body: list[str], context: Context) -> list[str]:
    label = options.get("label")
    tag = [rf"\tag{{{context.labels[label].strip('()')}}}"] if label else []
    return ["$$", *filter(None, [argument]), *(line for line in body if line.strip()), *tag, "$$"]


def _table(argument: str, options: dict[str, str], body: list[str], context: Context) -> list[str]:
    text = to_markdown("\n".join(body).strip("\n"), context)
    caption = [f"**{_inline(argument, context)}**", ""] if argument else []
    return [*_anchor(options.get("name")), *caption, *text.split("\n")]


def _list_table(argument: str, options: dict[str, str], body: list[str], context: Context) -> list[str]:
    rows: list[list[str]] = []
    for line in body:
        item = re.match(r"^(?P<row>[*-]\s+|\s+)[*-](\s+(?P<cell>.*))?$", line)
        if item:
            if item["row"].strip():
                rows.append([])
            rows[-1].append(item["cell"] or "")
        elif line.strip():
            rows[-1][-1] += " " + line.strip()
    cells = [[_inline(cell, context).replace("|", r"\|") for cell in row] for row in rows]
    cells.insert(1, ["---"] * len(cells[0]))
    return _table(argument, options, ["| " + " | ".join(row) + " |" for row in cells], _quiet(context))


def _code_block(argument: str, options: dict[str, str], body: list[str], context: Context) -> list[str]:
    return [f"```{argument}", *body, "```"]


def _nothing(argument: str, options: dict[str, str], body: list[str], context: Context) -> list[str]:
    return []


def _quiet(context: Context) -> Context:
    """Return a context for text whose roles have been replaced already."""
    return Context(context.page, context.bibliography, labels=context.labels)


RULES: dict[str, Callable[[str, dict[str, str], list[str], Context], list[str]]] = {
    "dropdown": _dropdown,
    "math": _math,
    "table": _table,
    "list-table": _list_table,
    "code-block": _code_block,
    "code": _code_block,
    "bibliography": _nothing,  # the references stand at the end of the notebook
    "contents": _nothing,
}


def _plain_text(lines: Iterable[str], context: Context) -> list[str]:
    """Return lines outside of fences, with targets, labels, roles and links turned into Markdown."""
    kept = []
    for line in lines:
        target = TARGET.match(line) or BLOCK_ATTRIBUTES.match(line)
        if target:
            kept += _anchor(target["name"])
        elif not line.startswith("% ") and line.strip() != "%":
            kept.append(line)
    if not kept:
        return []
    text = LABELED_MATH.sub(lambda match: _tagged(match, context), "\n".join(kept))
    return _inline(text, context).split("\n")


def _anchor(name: str | None) -> list[str]:
    return [f'<a id="{name}"></a>', ""] if name else []


def _tagged(match: re.Match[str], context: Context) -> str:
    number = context.labels[match["label"]].strip("()")
    return f"$${match['math'].rstrip()} \\tag{{{number}}}$$"


def _inline(text: str, context: Context) -> str:
    """Return a text with its roles, links between pages and footnotes as Markdown; code stays as it is."""
    pieces, end = [], 0
    for match in ROLE_OR_CODE.finditer(text):
        pieces.append(_links(text[end : match.start()], context))
        pieces.append(match["code"] or _role(match["role"], match["text"], context))
        end = match.end()
    return "".join([*pieces, _links(text[end:], context)])


def _links(text: str, context: Context) -> str:
    text = FOOTNOTE.sub(lambda match: f"<sup>{match['name']}</sup>", text)
    return LINK.sub(lambda match: _page_link(match["text"], match["page"], context), text)


def _page_link(text: str, page: str, context: Context) -> str:
    """Return a link to the copy of a page; where it has none, only its name."""
    name = page.lstrip("/")
    text = text or context.titles.get(name, name)
    return f"[{text}]({name}.ipynb)" if name in context.notebooks else text


def _role(name: str, content: str, context: Context) -> str:
    """Return a role as Markdown."""
    explicit = EXPLICIT.match(content)
    text, target = (explicit["text"], explicit["target"]) if explicit else ("", content)
    if name == "cite:t":
        return context.bibliography.textual(content)
    if name in ("cite", "cite:p"):
        return context.bibliography.parenthetical(content)
    if name == "doc":
        return _page_link(text, target, context)
    if name in ("eq", "ref", "numref"):
        label = context.labels.get(target)
        if label is None:
            raise UnknownMyst(f"{context.page} refers to {target!r}, which is no label of this page.")
        text = label.split()[-1].join(text.split("%s")) if "%s" in text else text
        return f"[{text or label}](#{target})" if name != "eq" else label
    if name == "math":
        return f"${content}$"
    if name in ("sub", "sup"):
        return f"<{name}>{content}</{name}>"
    if name in ("abbr", "term"):
        return text or target
    if name in AS_CODE:
        return f"`{content}`"
    raise UnknownMyst(f"{context.page} uses the role {name!r}, for which tools/book_markdown.py has no rule.")
