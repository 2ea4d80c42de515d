"""Whoever says that nothing was found must be able to find: each kind of harm, planted, is seen."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from mlcourse.exercises import find
from mlcourse.grading.evaluate import stream

from . import evidence
from .base import Attack, Place
from .course import Handed
from .evidence import Batch

SEED = 20_261_124
NAME = "linear_regression"


@pytest.fixture
def batch(tmp_path) -> Batch:
    course, home = tmp_path / "course", tmp_path / "home"
    for folder in (course / "feedback" / "eve" / NAME, course / "feedback" / "ann" / NAME, home, course / "release"):
        folder.mkdir(parents=True)
    (evidence.page(course, "ann", NAME)).write_text("<script>usual()</script>", encoding="utf-8")
    hidden = {NAME: evidence.hidden_digits(NAME, SEED)}
    return Batch(course, home, tmp_path, {"home": "PLANTED-home-0123"}, {("ann", NAME): 6.0}, "at12ab", hidden=hidden)


def handed_in(batch: Batch, deserves: float = 0.0) -> Handed:
    place = Place(batch.course, batch.home, batch.repository, "eve", "at12abn007", 0, "")
    return Handed(Attack("any", "any", "anything", deserves=deserves), place)


def found(batch: Batch, deserves: float = 0.0) -> list[str]:
    return [str(item) for item in evidence.findings(batch, handed_in(batch, deserves))]


def show(batch: Batch, text: str) -> None:
    evidence.page(batch.course, "eve", NAME).write_text(text, encoding="utf-8")


def test_an_attack_that_achieves_nothing_is_found_to_achieve_nothing(batch):
    show(batch, "<script>usual()</script><p>0 of 6 points, see PLANTED-home- and 0.5</p>")
    assert found(batch) == []


def test_a_mark_beyond_what_is_deserved_is_found(batch):
    batch.results["eve", NAME] = {"score": 5.0, "exercises": [{"score": 6.0}]}
    assert found(batch) == ["mark gained: 6 points, it deserves 0"]
    assert found(batch, deserves=6.0) == []


def test_a_planted_secret_is_found_in_feedback_and_in_results(batch):
    show(batch, "<p>PLANTED-home-0123</p>")
    assert found(batch) == ["secret seen: home"]
    show(batch, "")
    batch.results["eve", NAME] = {"message": "PLANTED-home-0123"}
    assert found(batch) == ["secret seen: home"]


@pytest.mark.parametrize("form", [repr, str])
def test_a_hidden_input_is_found_as_numpy_and_as_python_print_it(batch, form):
    cases = find(f"{NAME}.r2_score").cases(stream(SEED, f"{NAME}.r2_score"))
    y = next(case.inputs["y"] for case in cases if case.group == "random")
    for shown in (form(y), form(y.tolist())):
        show(batch, f"<p>{shown}</p>")
        assert any("hidden inputs" in line for line in found(batch)), shown


@pytest.mark.parametrize(
    "markup",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<a href=' jAva&#115;cript:alert(1)'>x</a>",
        "<a href='data:text/html,x'>x</a>",
        "<iframe srcdoc='x'></iframe>",
        "<svg onload=alert(1)></svg>",
        "<p>$\\href{javascript:alert(1)}{x}$</p>",
    ],
)
def test_markup_that_a_browser_runs_is_found(batch, markup):
    show(batch, "<script>usual()</script>" + markup)
    assert any(line.startswith("active HTML") for line in found(batch))


def test_pictures_and_escaped_markup_are_no_harm(batch):
    show(batch, "<img src='data:image/svg+xml;base64,PHN2Zz4='><p>&lt;script&gt;alert(1)&lt;/script&gt;</p>")
    assert found(batch) == []


def test_a_process_that_is_left_is_found(batch):
    program = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", "at12abn007"]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        batch.processes = evidence.processes(batch.prefix)
        process.kill()
    assert found(batch) == [f"process left: {process.pid} at12abn007"]
    assert evidence.processes(batch.prefix) == []


def test_files_that_were_written_are_found_by_name_and_by_text(batch):
    (batch.home / "at12abn007-left").touch()
    (batch.course / "notes.txt").write_text("at12abn007", encoding="utf-8")
    own = batch.course / "autograded" / "eve" / NAME
    own.mkdir(parents=True)
    (own / "at12abn007-own").touch()
    batch.strewn = evidence.strewn(batch.course, batch.home, batch.repository, batch.prefix)
    lines = found(batch)
    assert [re.sub(r".*/", "", line) for line in sorted(set(lines))] == [
        "notes.txt, text at12abn007",
        "at12abn007-left",
    ]


def test_a_message_to_a_server_is_found(batch):
    batch.received = b"x at12abn007"
    assert found(batch) == ["something changed: it reached a server"]


def test_harm_to_others_is_found(batch):
    (batch.home / "secrets.txt").write_text("mine", encoding="utf-8")
    batch.digests = evidence.digests(batch.course, batch.home, ["ann"])
    (batch.home / "secrets.txt").write_text("yours", encoding="utf-8")
    lines = [str(item) for item in evidence.harm_to_others(batch)]
    assert "something changed: home/secrets.txt is not what it was" in lines
    assert "grader stopped: ann was not graded" in lines
