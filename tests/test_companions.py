"""What lies beside a notebook: what is taken along, and what is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mlcourse.grading.companions import MOST_TEXT, files_beside, files_named_in, modules_among
from mlcourse.grading.course.layout import submissions


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_plain_files_are_taken_and_links_notebooks_and_tools_are_not(tmp_path):
    secret = write(tmp_path / "elsewhere", {"seed": "12345"}) / "seed"
    folder = write(
        tmp_path / "handed",
        {
            "helper.py": "x = 1",
            "data/a/b/c/d/e/deep.csv": "1",
            "timestamp.txt": "now",
            "other.ipynb": "{}",
            "odd.ipynb/inside.txt": "x",
            ".hidden": "x",
            ".git/config": "x",
            "helper.pyc": "x",
            "env/pyvenv.cfg": "",
            "env/lib/site.py": "x",
            "lib/site-packages/p.py": "x",
            "mlcourse/linear_regression.py": "x",
        },
    )
    (folder / "link.txt").symlink_to(secret)
    (folder / "room").symlink_to(secret.parent)
    os.mkfifo(folder / "pipe")
    files, left_out = files_beside(folder)
    assert files == {"helper.py": b"x = 1", "data/a/b/c/d/e/deep.csv": b"1"}
    assert left_out == []


def test_what_is_too_large_is_named(tmp_path):
    write(tmp_path, {"big.py": "#" * (MOST_TEXT + 1), "small.py": "x = 1"})
    with (tmp_path / "sparse.bin").open("wb") as file:
        file.truncate(2_000_000_000)
    files, (words,) = files_beside(tmp_path)
    assert list(files) == ["small.py"]
    assert "big.py, sparse.bin" in words


def test_a_single_notebook_takes_what_it_names_and_no_more(tmp_path):
    write(tmp_path, {"helper.py": "1", "data.csv": "2", "tables/t.csv": "3", "private.txt": "4", ".ssh/id": "5"})
    files, _ = files_named_in(tmp_path, "import helper\nopen('data.csv')\nopen('tables/t.csv')  # .ssh id private")
    assert sorted(files) == ["data.csv", "helper.py", "private.txt", "tables/t.csv"]
    files, _ = files_named_in(tmp_path, "x = 1")
    assert files == {}


@pytest.mark.parametrize("mark", ["gradebook.db", "nbgrader_config.py"])
def test_in_the_folder_of_a_course_nothing_is_taken(tmp_path, mark):
    write(tmp_path, {mark: "", "helper.py": "1", "solutions/attention.md": "2", "mlcourse/attention.py": "3"})
    assert files_named_in(tmp_path, f"helper solutions mlcourse {mark}") == ({}, [])


def test_modules_have_every_name_by_which_they_can_be_imported():
    files = {"a.py": b"1", "a/__init__.py": b"2", "lib/b.py": b"3", "b.py": b"4", "notes.txt": b"5"}
    assert modules_among(files) == {"a": "2", "b": "4", "lib.b": "3"}


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to root: run the tests as an ordinary user")
def test_closed_files_and_folders_cost_their_own_submission_only(tmp_path):
    for student in ("ann", "bob", "eve"):
        write(tmp_path / "submitted" / student / "attention", {"attention.ipynb": "{}", "note.txt": "x"})
    (tmp_path / "submitted" / "bob" / "attention" / "note.txt").chmod(0)
    (tmp_path / "submitted" / "eve" / "attention").chmod(0)
    ann, bob, eve = submissions(tmp_path, "attention")
    assert (ann.problem, bob.problem) == ("", "")
    assert "cannot be read: Permission denied" in eve.problem
    assert "note.txt" in bob.files()[1][0]


def test_a_folder_that_refuses_is_a_problem_of_its_own(tmp_path, monkeypatch):
    for student in ("ann", "eve"):
        write(tmp_path / "submitted" / student / "attention", {"attention.ipynb": "{}"})
    listed = os.listdir

    def refusing(place):
        if "eve" in str(place):
            raise PermissionError(13, "Permission denied")
        return listed(place)

    monkeypatch.setattr(os, "listdir", refusing)
    ann, eve = submissions(tmp_path, "attention")
    assert ann.problem == ""
    assert "cannot be read: Permission denied" in eve.problem
