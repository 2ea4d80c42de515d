"""Every exercise by its full name. Chapters are found, never listed."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import warnings
from pathlib import Path

from mlcourse.exercises.protocol import Exercise

INFRASTRUCTURE = {"protocol", "catalogue", "libraries"}

EXTRAS = {"torch": "[torch]", "tqdm": "[torch]", "gensim": "[text]"}  # the other packages come with the course itself


def chapters() -> list[str]:
    """Return the names of the chapters that have exercises."""
    modules = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in modules if module.name not in INFRASTRUCTURE)


def chapter_exercises(chapter: str) -> dict[str, Exercise]:
    """Return the exercises of one chapter by full name, in the order of their declaration.

    Raises
    ------
    KeyError
        If there is no such chapter.
    ModuleNotFoundError
        If the chapter needs a package that is not installed.
    """
    if chapter not in chapters():
        raise KeyError(f"There is no chapter {chapter!r} with exercises. There are: {', '.join(chapters())}.")
    try:
        module = importlib.import_module(f"mlcourse.exercises.{chapter}")
    except ModuleNotFoundError as error:
        if error.name and not error.name.startswith("mlcourse"):
            raise ModuleNotFoundError(
                f"The chapter {chapter!r} needs the package {error.name!r}, which is not installed. "
                f"Install it with: pip install 'mlcourse{EXTRAS.get(error.name, '')}'",
                name=error.name,
            ) from error
        raise
    found = [value for value in vars(module).values() if isinstance(value, Exercise)]
    return {exercise.name: exercise for exercise in found}


def find(name: str) -> Exercise:
    """Return the exercise of that full name, importing only its chapter.

    Examples
    --------
    >>> find("linear_regression.r2_score").points > 0
    True

    Raises
    ------
    KeyError
        If there is no such exercise; the message names the nearest one.
    """
    chapter, _, _ = name.partition(".")
    exercises = chapter_exercises(chapter)
    if name not in exercises:
        near = difflib.get_close_matches(name, exercises, n=1, cutoff=0.0)
        raise KeyError(f"There is no exercise {name!r}. Did you mean {near[0]!r}?")
    return exercises[name]


def catalogue() -> dict[str, Exercise]:
    """Return every exercise of the course by its full name.

    A chapter whose optional package is not installed is left out, with a warning that says which.
    """
    every: dict[str, Exercise] = {}
    for chapter in chapters():
        try:
            every.update(chapter_exercises(chapter))
        except ModuleNotFoundError as error:
            warnings.warn(str(error), stacklevel=2)
    return every
