"""Results as Markdown, for the summary of a CI run."""

from __future__ import annotations

import re
from pathlib import Path

from tabulate import tabulate

from mlcourse.grading.report import Report, points
from mlcourse.grading.reports.files import write_whole
from mlcourse.grading.reports.visible import one_line, visible
from mlcourse.grading.results import CourseResult, SubmissionResult

PROVISIONAL = (
    "> **Provisional.** These results were calculated with inputs drawn for this run alone. "
    "The marks that count are those that the instructor calculates."
)
# GitHub shows no summary at all when a step writes more than 1 MiB.
MOST_BYTES = 900_000
# Everything but letters, digits and a few signs that mean nothing in Markdown, HTML and tables; an underscore means
# nothing inside a word.
SPECIAL = re.compile(r"[^\w .,;'’%/()-]|(?<![^\W_])_|_(?![^\W_])")
HEAD = ["student", "status", "points", "of", "seconds"]


def write_markdown(result: CourseResult, path: Path | str) -> None:
    """Write a table of all submissions, and below it the feedback for every exercise, folded."""
    parts = [f"# {inline(result.assignment)}", *([PROVISIONAL] if result.provisional else []), _table(result)]
    if result.submissions and result.by_hand.sentence:
        parts.append(result.by_hand.sentence)
    size = sum(len(part.encode("utf-8")) + 2 for part in parts)
    left_out = 0
    for submission in result.submissions:
        part = _details(submission)
        if size + len(part.encode("utf-8")) + 2 > MOST_BYTES:
            left_out += 1
        else:
            parts.append(part)
            size += len(part.encode("utf-8")) + 2
    if left_out:
        parts.append(f"The details of {left_out} more would make this page too long; the JSON report has them.")
    write_whole(path, ("\n\n".join(parts) + "\n").encode("utf-8"))


def inline(text: str) -> str:
    """Return a text that stands in a line, a table cell or HTML as it is, whatever signs it has.

    A sign that is written as a character reference never has a meaning of its own in Markdown.

    Examples
    --------
    >>> inline("*a|b* fit_line _c_")
    '&#42;a&#124;b&#42; fit_line &#95;c&#95;'
    """
    return SPECIAL.sub(lambda match: f"&#{ord(match.group())};", one_line(text))


def fenced(text: str) -> str:
    """Return a text as a block of code that it cannot end: its fence is longer than any in the text.

    Examples
    --------
    >>> fenced("a").splitlines()
    ['```text', 'a', '```']
    >>> fenced("````").splitlines()
    ['`````text', '````', '`````']
    """
    text = visible(text)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}text\n{text}\n{fence}"


def _code(text: str) -> str:
    # Inside <code> no name is taken for a mention, a reference or a link.
    return f"<code>{inline(text)}</code>"


def _table(result: CourseResult) -> str:
    if not result.submissions:
        return "There are no submissions."
    rows = [
        [_code(each.student), each.status, points(each.score), points(each.max_score), f"{each.seconds:.1f}"]
        for each in result.submissions
    ]
    aligned = ("left", "left", "right", "right", "right")
    return tabulate(rows, headers=HEAD, tablefmt="github", disable_numparse=True, colalign=aligned)


def _details(submission: SubmissionResult) -> str:
    parts = [f"## {_code(submission.student)}"]
    if submission.message:
        parts.append(f"Status of this submission: {submission.status}.\n\n{fenced(submission.message)}")
    parts += [_exercise(report) for report in submission.exercises]
    return "\n\n".join(parts)


def _exercise(report: Report) -> str:
    sign = "✅" if report.status == "passed" else "❌"
    marks = f"{points(report.score)} of {points(report.max_score)} points"
    words = [report.status.replace("_", " ")]
    if report.misconception:
        words.append(f"known mistake {_code(report.misconception)}")
    summary = f"{sign} {_code(report.name)}: {marks}, {', '.join(words)}"
    return f"<details><summary>{summary}</summary>\n\n{fenced(report.feedback)}\n\n</details>"
