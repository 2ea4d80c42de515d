"""The same submission and seed give the same marks, in any order and with any number of workers."""

from __future__ import annotations

import pytest

from robustness.conftest import ALL

pytestmark = pytest.mark.isolation


def test_one_worker_and_the_reverse_order_give_the_same(graded, graded_backwards):
    for assignment, key, _ in ALL:
        one = graded.batches[assignment].of(graded.students[assignment, key])
        other = graded_backwards.batches[assignment].of(graded_backwards.students[assignment, key])
        for name in ("status", "score", "max_score"):
            assert other[name] == one[name], (key, name)
        for mine, yours in zip(one["exercises"], other["exercises"], strict=True):
            for name in ("name", "score", "max_score", "status", "misconception"):
                assert yours[name] == mine[name], (key, mine["name"], name)


def test_the_gradebooks_agree(graded, graded_backwards):
    for assignment, key, _ in ALL:
        one = graded.course.marks(assignment, graded.students[assignment, key])
        other = graded_backwards.course.marks(assignment, graded_backwards.students[assignment, key])
        assert other == one, key
