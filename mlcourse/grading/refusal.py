"""What a student reads whose code uses, hands on or hides what an exercise asks to write."""

from __future__ import annotations

from mlcourse.exercises.protocol import Exercise
from mlcourse.grading.report import Report, write_report
from mlcourse.grading.shortcuts import CHANGES, HANDED_ON
from mlcourse.grading.shortcuts.names import is_door


def refuse_shortcut(exercise: Exercise, name: str) -> Report:
    """Return the report of a submission that calls what it was asked to write, or hands it on.

    ``name`` is what `find_shortcuts` returns for an exercise.
    """
    name, handed, to = name.partition(HANDED_ON)
    if name.startswith(CHANGES):
        words = f"{name}. What it does then, nobody can see, so that nothing of it is graded. Leave that out."
    elif handed:
        words = (
            f"Your notebook hands {name}, or something that uses it, on to {to.removeprefix('builtins.')}. Nobody can "
            "see where it goes from there, and this exercise asks you to write what it does. You may call it to "
            "compare: call it by its name, in a cell of its own, and hand on what it returns. Or let this exercise's "
            "code use its arguments alone."
        )
    elif is_door(name):
        words = f"Your code uses {name}. It leads to any function: nobody can see what it calls. Do without it."
    else:
        words = f"Your code uses {name}. This exercise asks you to write what it does: build it from simpler parts."
    return write_report(exercise.name, 0.0, exercise.points, "forbidden", [("not allowed", words)])
