"""The process that reads the texts of all submissions: its word is good, and no text harms the next one."""

from __future__ import annotations

import socket

import pytest

from mlcourse.grading.sandbox import reader as reading
from mlcourse.grading.sandbox.meanwhile import Meanwhile
from mlcourse.grading.sandbox.parent import WarmParent
from mlcourse.grading.sandbox.reader import Reader, Text
from mlcourse.grading.wire import WireError
from tests.isolation import isolated

CHECKS = {"toy.total": {"position": 2, "expression": "total", "forbidden": ["numpy.sum"], "home": "mlcourse.toy"}}
CHEAT = Text(["import numpy as np", "def total(x):\n    return np.sum(x)"], CHECKS, {})
HONEST = Text(["import numpy as np", "def total(x):\n    return x @ np.ones(len(x))"], CHECKS, {})
TOO_DEEP = Text(["x = 0" + " + 0" * 100_000, *HONEST.cells], CHECKS, {})


@pytest.fixture(scope="module")
def parent():
    with WarmParent() as started:
        yield started


@pytest.fixture
def reader(parent):
    return Reader(parent)


def read(reader, text):
    return reader.read(text, 30.0, Meanwhile())


@isolated
def test_one_process_reads_one_text_after_another(reader):
    found, processes = [], set()
    for text in (CHEAT, HONEST, CHEAT):
        found.append(read(reader, text)["shortcuts"])
        processes.add(reader.child.process)
    assert found == [{"toy.total": "numpy.sum"}, {}, {"toy.total": "numpy.sum"}]
    assert len(processes) == 1


@isolated
def test_a_process_that_has_ended_is_replaced(reader):
    read(reader, HONEST)
    gone = reader.child.process
    reader.child.channel.shutdown(socket.SHUT_RDWR)
    assert read(reader, CHEAT)["shortcuts"] == {"toy.total": "numpy.sum"}
    assert reader.child.process != gone


@isolated
@pytest.mark.parametrize("text", [TOO_DEEP, Text([*HONEST.cells, "#" * reading.ENOUGH], CHECKS, {})])
def test_a_process_is_not_used_again_after_a_text_that_may_have_harmed_it(reader, text):
    for _ in range(2):  # of a process of its own, and of one that has read another text
        assert bool(read(reader, text)["too_deep"]) is (text is TOO_DEEP)
        assert reader.child is None
        read(reader, HONEST)


@isolated
def test_a_process_that_has_read_enough_is_replaced(reader, monkeypatch):
    monkeypatch.setattr(reading, "ENOUGH", 2.5 * HONEST.size)
    kept = [read(reader, HONEST) and reader.child is not None for _ in range(6)]
    assert kept == [True, True, False, True, True, False]


NOT_SEARCHED = {"exhausted": True, "too_deep": [], "shortcuts": {}, "apart": []}


@isolated
@pytest.mark.parametrize(
    "word", [NOT_SEARCHED, {**NOT_SEARCHED, "exhausted": False, "too_deep": [0]}, WireError("none")]
)
def test_only_a_new_process_may_say_that_a_text_cannot_be_searched(reader, monkeypatch, word):
    def bad_word_first(*where):
        monkeypatch.setattr(reading, "receive", receive)
        if isinstance(word, WireError):
            raise word
        return word

    receive = reading.receive
    read(reader, HONEST)
    used = reader.child.process
    monkeypatch.setattr(reading, "receive", bad_word_first)
    assert read(reader, CHEAT)["shortcuts"] == {"toy.total": "numpy.sum"}
    assert reader.child.process != used


def test_work_waits_for_the_time_in_which_nothing_has_come():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        done = []
        waiting = Meanwhile(done.append(number) or (theirs.send(b"!") if number == 2 else None) for number in range(5))
        waiting.until(ours)
        assert done == [0, 1, 2]
        ours.recv(1)
        waiting.until(ours)
        waiting.until(ours)
        assert done == [0, 1, 2, 3, 4]
