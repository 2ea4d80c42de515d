"""What must hold for every exercise, generated from its declaration."""

from __future__ import annotations

import ast
import importlib
import itertools
from collections import Counter
from functools import cache, lru_cache
from pathlib import Path

import jupytext
import numpy as np
import pytest

from mlcourse.exercises import catalogue
from mlcourse.exercises.catalogue import chapters
from mlcourse.exercises.protocol import GROUPS
from mlcourse.grading import evaluate
from mlcourse.grading.candidate import LocalCandidate
from mlcourse.grading.diagnosis import same_outcome
from mlcourse.grading.evaluate import PUBLIC_SEED, prepare, stream
from mlcourse.grading.plain import from_plain, identical, to_plain

pytestmark = pytest.mark.parallel

grading = importlib.import_module("mlcourse.grading.evaluate")  # the package has a function of this name
ROOT = Path(__file__).resolve().parent.parent
EXERCISES = catalogue()
SEEDS = (PUBLIC_SEED, 0, 1, 2, 3)
MISTAKES = [(name, mistake.name) for name, exercise in EXERCISES.items() for mistake in exercise.misconceptions]

every_exercise = pytest.mark.parametrize("name", EXERCISES)
every_mistake = pytest.mark.parametrize(("name", "mistake"), MISTAKES, ids=["/".join(pair) for pair in MISTAKES])


def test_the_catalogue_holds_the_exercises_of_every_chapter():
    counted = Counter(name.partition(".")[0] for name in EXERCISES)
    assert set(counted) == set(chapters())
    assert counted["linear_regression"] == 6
    assert counted["attention"] == 8


@every_exercise
def test_the_declaration_is_complete(name):
    exercise = EXERCISES[name]
    assert exercise.summary.endswith(".")
    assert exercise.points > 0
    assert len(exercise.misconceptions) >= 3
    groups = {case.group for case in exercise.cases(stream(0, name))}
    assert {"worked", "random"} <= groups <= set(GROUPS)
    for mistake in exercise.misconceptions:
        assert len(mistake.hint) > 40, f"the hint of {mistake.name} says too little"


@every_exercise
def test_the_worked_case_is_the_same_for_every_seed(name):
    first, second = (
        [to_plain(case.inputs) for case in EXERCISES[name].cases(stream(seed, name)) if case.group == "worked"]
        for seed in (PUBLIC_SEED, 20_261_126)
    )
    assert identical(first, second)


@every_exercise
@pytest.mark.parametrize("seed", SEEDS)
def test_the_reference_gets_full_points(name, seed):
    exercise = EXERCISES[name]
    report = evaluate(exercise, exercise.reference, seed)
    assert (report.score, report.status) == (exercise.points, "passed"), report.feedback


@lru_cache(maxsize=2 * len(SEEDS))
def kept_cases(name, seed):
    """Return the cases of an exercise, with all that is found out about them: thousands of tests ask the same."""
    return prepare(EXERCISES[name], seed)


@every_mistake
@pytest.mark.parametrize("seed", SEEDS)
def test_a_misconception_fails_and_gets_its_own_hint(name, mistake, seed, monkeypatch):
    monkeypatch.setattr(grading, "prepare", lambda exercise, seed: kept_cases(exercise.name, seed))
    exercise = EXERCISES[name]
    known = next(item for item in exercise.misconceptions if item.name == mistake)
    report = evaluate(exercise, known.implementation, seed)
    assert report.score == 0
    assert report.misconception == mistake, report.feedback
    assert " ".join(known.hint.split()) in " ".join(report.feedback.split())


@every_exercise
def test_the_inputs_tell_every_pair_of_misconceptions_apart(name):
    exercise = EXERCISES[name]
    cases = list(exercise.cases(stream(PUBLIC_SEED, name)))
    outcomes = {
        mistake.name: [LocalCandidate(exercise, mistake.implementation).call(case.inputs) for case in cases]
        for mistake in exercise.misconceptions
    }
    for (a, left), (b, right) in itertools.combinations(outcomes.items(), 2):
        same = [same_outcome(x, y, exercise.rtol, exercise.atol) for x, y in zip(left, right, strict=True)]
        assert not all(same), f"{a} and {b} give the same outcome on every case"


@every_exercise
def test_random_cases_depend_on_the_seed_and_the_worked_case_does_not(name):
    exercise = EXERCISES[name]

    def drawn(seed, group):
        return [repr(case.inputs) for case in exercise.cases(stream(seed, name)) if case.group == group]

    assert drawn(1, "worked") == drawn(2, "worked")
    assert drawn(1, "random") == drawn(1, "random")
    assert drawn(1, "random") != drawn(2, "random")


@every_exercise
def test_a_constant_earns_nothing(name):
    exercise = EXERCISES[name]
    first = next(iter(exercise.cases(stream(PUBLIC_SEED, name))))
    worked = LocalCandidate(exercise, exercise.reference).call(first.inputs)
    assert worked.returned
    width = len(exercise.reference) if isinstance(exercise.reference, tuple) else 0
    for value in (from_plain(worked.value), 0.0, np.zeros(1), None, True):

        def answer(*_args, value=value, **_kwargs):
            return value

        assert evaluate(exercise, (answer,) * width if width else answer).score == 0


@cache
def solution(chapter: str) -> dict[str, object]:
    """Run the cells of worked solutions in one namespace, checks left out, and return the candidates by exercise."""
    namespace: dict[str, object] = {}
    candidates: dict[str, object] = {}
    for cell in jupytext.read(ROOT / "solutions" / f"{chapter}.md", fmt="md:myst").cells:
        if cell.cell_type != "code":
            continue
        if cell.source.startswith("check("):
            call = ast.parse(cell.source).body[0].value
            candidates[call.args[0].value] = eval(compile(ast.Expression(call.args[1]), "check", "eval"), namespace)
        else:
            exec(compile(cell.source, f"<solutions/{chapter}.md>", "exec"), namespace)
    return candidates


@every_exercise
@pytest.mark.parametrize("seed", SEEDS)
def test_the_worked_solution_gets_full_points(name, seed):
    exercise = EXERCISES[name]
    candidate = solution(exercise.chapter)[name]
    assert candidate is not exercise.reference
    report = evaluate(exercise, candidate, seed)
    assert (report.score, report.status) == (exercise.points, "passed"), report.feedback


@every_exercise
def test_the_notebook_promises_the_points_of_the_exercise(name):
    exercise = EXERCISES[name]
    cells = jupytext.read(ROOT / "solutions" / f"{exercise.chapter}.md", fmt="md:myst").cells
    promised = [cell.metadata["nbgrader"]["points"] for cell in cells if cell.source.startswith(f'check("{name}"')]
    assert promised == [exercise.points]
