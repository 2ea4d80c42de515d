"""The file: broken, of another format, of another encoding, or something else altogether."""

from __future__ import annotations

import gzip
import json
import warnings

import nbformat

from robustness.accident import Accident, failed
from robustness.submission import Submission, as_bytes


def content(make):
    """Return a change that replaces the bytes of the file by what ``make`` makes of them."""

    def change(submission: Submission) -> None:
        submission.content = make(submission.bytes())

    return change


def fixed(data: bytes):
    return content(lambda _: data)


def in_format_3(submission: Submission) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        submission.content = json.dumps(nbformat.convert(submission.notebook, 3)).encode()


def without_cell_ids(submission: Submission) -> None:
    for cell in submission.notebook.cells:
        del cell["id"]
    submission.notebook.nbformat_minor = 0


def ids_in_format_4_0(submission: Submission) -> None:
    submission.notebook.nbformat_minor = 0


def no_ids_in_format_4_5(submission: Submission) -> None:
    for cell in submission.notebook.cells:
        del cell["id"]


def repeated_cell_ids(submission: Submission) -> None:
    for cell in submission.notebook.cells:
        cell["id"] = "the-same"


def no_outputs_at_all(submission: Submission) -> None:
    """Some converters leave out what a code cell must have."""
    for cell in submission.notebook.cells:
        cell.pop("outputs", None)
        cell.pop("execution_count", None)


def sources_as_lists(submission: Submission) -> None:
    for cell in submission.notebook.cells:
        cell["source"] = cell["source"].splitlines(keepends=True)


def no_metadata_of_the_notebook(submission: Submission) -> None:
    submission.notebook.metadata = {}


def another_kernel(submission: Submission) -> None:
    submission.notebook.metadata["kernelspec"] = {"name": "my-env", "display_name": "My env", "language": "python"}


def latin_1(submission: Submission) -> None:
    submission.insert_before("r2_score", "# Bestimmtheitsmaß")
    submission.content = submission.bytes().decode().encode("latin-1", "replace")


def no_cells(submission: Submission) -> None:
    submission.notebook.cells = []


def merge_conflict(text: bytes) -> bytes:
    lines = text.splitlines(keepends=True)
    half = len(lines) // 2
    return b"".join([*lines[:half], b"<<<<<<< HEAD\n", lines[half], b"=======\n", lines[half], b">>>>>>> 1f2e3d4\n"])


def of_another_assignment(submission: Submission) -> None:
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell("def causal_mask(T, S):\n    return None"),
        nbformat.v4.new_code_cell('check("attention.causal_mask", causal_mask)'),
    ]
    submission.content = as_bytes(notebook)


LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in to download.</body></html>"

ACCIDENTS = (
    failed("corrupt JSON", content(lambda text: text.replace(b'"cells": [', b'"cells": [,', 1)), "notebook"),
    failed("truncated file", content(lambda text: text[: len(text) // 2])),
    failed("empty file", fixed(b""), "empty"),
    failed("a file of blanks", fixed(b" \n\n")),
    failed("a file of zero bytes", fixed(bytes(5000))),
    failed("JSON that is a list", fixed(b"[1, 2, 3]")),
    failed("JSON that is an object", fixed(b'{"name": "linear_regression"}')),
    failed("JSON that is null", fixed(b"null")),
    failed("JSON ten thousand deep", fixed(b"[" * 10_000 + b"]" * 10_000)),
    failed("a login page", fixed(LOGIN_PAGE)),
    failed("merge conflict", content(merge_conflict)),
    failed("compressed", content(gzip.compress)),
    failed("no cells", no_cells),
    failed("another assignment", of_another_assignment),
    failed("bytes that are no UTF-8", latin_1),
    Accident("nbformat 3", in_format_3),
    Accident("nbformat 4.0 without ids", without_cell_ids),
    Accident("nbformat 4.0 with ids", ids_in_format_4_0),
    Accident("nbformat 4.5 without ids", no_ids_in_format_4_5),
    Accident("repeated cell ids", repeated_cell_ids),
    Accident("code cells without outputs", no_outputs_at_all),
    Accident("sources as lists", sources_as_lists),
    Accident("notebook without metadata", no_metadata_of_the_notebook),
    Accident("another kernel", another_kernel),
    Accident("byte order mark", content(lambda text: b"\xef\xbb\xbf" + text)),
    Accident("CRLF", content(lambda text: text.replace(b"\n", b"\r\n"))),
)
