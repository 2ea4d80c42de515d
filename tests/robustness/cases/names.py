"""The folder: names of files, of students, and what else lies there."""

from __future__ import annotations

from robustness.accident import Accident, extra_cell, failed
from robustness.submission import Submission, as_bytes


def renamed(name: str):
    def change(submission: Submission) -> None:
        submission.file_name = name

    return change


def other_name(name: str, file_name: str) -> Accident:
    """Declare a notebook under another name: everything counts, and the results say which file it was."""
    return Accident(name, renamed(file_name), says=(file_name,))


def beside(name: str, content: bytes | None = None):
    """Return a change that puts a file beside the notebook; by default the empty notebook."""

    def change(submission: Submission) -> None:
        submission.others[name] = as_bytes(submission.empty) if content is None else content

    return change


def nothing(submission: Submission) -> None:
    submission.keep = False


def only_a_report(submission: Submission) -> None:
    submission.keep = False
    submission.others["report.txt"] = b"I could not open the notebook, sorry."


def a_folder_of_that_name(submission: Submission) -> None:
    submission.keep = False
    submission.others[f"{submission.assignment}.ipynb/readme.txt"] = b"?"


def many_files(submission: Submission) -> None:
    submission.others |= {
        ".DS_Store": b"\x00\x00\x00\x01Bud1",
        "__pycache__/a.cpython-311.pyc": b"\x00",
        "figures/plot.png": b"\x89PNG\r\n",
        "Übung 1 (final).pdf": b"%PDF-1.4",
        ".git/HEAD": b"ref: refs/heads/main\n",
    }


def helper_module(submission: Submission) -> None:
    """What is handed in with the notebook lies beside it, as it does for the student and for nbgrader."""
    submission.others["my_helper.py"] = b"def total(x):\n    return x.sum()\n"
    source = "import my_helper\n\ndef fit(x):\n    return my_helper.total(x)\n\nassert fit(np.ones(3)) == 3"
    submission.insert_before("reduce_loss", source)
    submission.answer("reduce_loss", REDUCE.format(total="my_helper.total"))


def data_file(submission: Submission) -> None:
    submission.others["data/two.csv"] = b"1.0,1.0\n"
    submission.insert_before("reduce_loss", 'ones = np.loadtxt("data/two.csv", delimiter=",")')
    submission.answer("reduce_loss", REDUCE.format(total="ones[0] * np.sum"))


REDUCE = """\
def reduce_loss(losses, weights):
    return losses.mean(), losses.max(), ({total}(losses * weights)) / weights.sum()
"""


def student(name: str) -> Accident:
    """Return a submission in which nothing but the student's id is odd."""
    return Accident(f"student called {name}", lambda submission: None, student=name)


NO_TIME = ("timestamp.txt could not be read",)
ACCIDENTS = (
    failed("empty folder", nothing, "notebook"),
    failed("no notebook in the folder", only_a_report, "notebook"),
    failed("a folder with the name of the notebook", a_folder_of_that_name),
    other_name("renamed", "Linear Regression - Ada (final v2).ipynb"),
    other_name("downloaded twice", "linear_regression (1).ipynb"),
    other_name("other case", "Linear_Regression.ipynb"),
    Accident("another notebook beside it", beside("Untitled.ipynb", b'{"cells": [], "metadata": {}, "nbformat": 4}')),
    Accident("an older copy beside it", beside("linear_regression-Copy1.ipynb")),
    Accident("a broken copy beside it", beside("linear_regression (1).ipynb", b"{")),
    Accident("a checkpoint beside it", beside(".ipynb_checkpoints/linear_regression-checkpoint.ipynb")),
    Accident("many other files", many_files),
    Accident("a module beside it", helper_module),
    Accident("a file of data beside it", data_file),
    extra_cell("reads a file that was not handed in", 'mine = np.loadtxt("C:/Users/me/data.csv")'),
    Accident("timestamp", beside("timestamp.txt", b"2026-03-01 12:00:00 UTC")),
    Accident("timestamp in words", beside("timestamp.txt", b"yesterday evening"), says=NO_TIME),
    Accident("timestamp of odd bytes", beside("timestamp.txt", b"\xff\xfe\x00"), says=NO_TIME),
    Accident("timestamp of a day alone", beside("timestamp.txt", b"12"), says=NO_TIME),
    Accident("empty timestamp", beside("timestamp.txt", b""), says=NO_TIME),
    student("Ada Lovelace"),
    student('o\'brien "bob"'),
    student("José Müller 学生"),
    student("-force"),
    student("--help"),
    student("group [1-3]"),
    student("what*"),
    student("percent%20 {brace} $HOME ;ls"),
    student("ada@example.org"),
)
