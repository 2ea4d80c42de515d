"""The shapes in the annotations of the references, checked at run time on the inputs of the exercises."""

from __future__ import annotations

import importlib
import sys

import pytest
from jaxtyping import TypeCheckError, install_import_hook

from mlcourse.exercises import catalogue
from mlcourse.grading.candidate import LocalCandidate
from mlcourse.grading.evaluate import stream

pytestmark = pytest.mark.parallel

EXERCISES = catalogue()


def checked_module(name: str):
    """Import a second copy of a module in which every call is checked against its annotations."""
    original = sys.modules.pop(name)
    try:
        with install_import_hook(name, "beartype.beartype"):
            return importlib.import_module(name)
    finally:
        sys.modules[name] = original
        setattr(sys.modules[name.rpartition(".")[0]], name.rpartition(".")[2], original)  # an import sets this too


@pytest.fixture(scope="module")
def checked():
    chapters = {exercise.chapter for exercise in EXERCISES.values()}
    return {chapter: checked_module(f"mlcourse.{chapter}") for chapter in chapters}


@pytest.mark.parametrize("name", EXERCISES)
def test_inputs_and_results_have_the_shapes_that_the_annotations_state(name, checked):
    exercise = EXERCISES[name]
    module = checked[exercise.chapter]
    parts = exercise.reference if isinstance(exercise.reference, tuple) else (exercise.reference,)
    copies = tuple(getattr(module, part.__name__) for part in parts)
    candidate = LocalCandidate(exercise, copies if isinstance(exercise.reference, tuple) else copies[0])
    for case in exercise.cases(stream(0, name)):
        outcome = candidate.call(case.inputs)
        assert outcome.failure is None or outcome.failure.kind != TypeCheckError.__name__, outcome.failure


def test_a_wrong_shape_is_found(checked):
    import numpy as np

    with pytest.raises(TypeCheckError):
        checked["linear_regression"].r2_score(np.ones(3), np.ones((3, 1)))
