"""What an exercise is: data, declared once, used by the notebook, the grader, the tests and the pages.

A chapter declares its exercises like this::

    @exercise("chapter.name", reference=chapter.name, points=5)
    def name(rng):
        '''One line that says what is asked.'''
        yield worked(x=np.array([1.0, 2.0]))
        for n in (3, 5):
            yield random(x=rng.standard_normal(n))
        yield edge(x=np.zeros(0))


    @name.misconception("The hint that a good tutor would give.")
    def what_went_wrong(x):
        return wrong


    @name.always("The result does not depend on the order of x.")
    def order(call, rng):
        x = rng.standard_normal(6)
        return np.allclose(call(x=x), call(x=x[::-1]))
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

GROUPS = ("worked", "random", "edge")


@dataclass(frozen=True)
class Case:
    """One set of inputs and the group to which it belongs."""

    group: str
    inputs: dict[str, Any]


def worked(**inputs: Any) -> Case:
    """Return the small case that a student can follow by hand; the same on every seed."""
    return Case("worked", inputs)


def random(**inputs: Any) -> Case:
    """Return a case drawn from the generator, of unequal sizes so that a missing transpose shows."""
    return Case("random", inputs)


def edge(**inputs: Any) -> Case:
    """Return a case at the border of what is allowed: empty, one element, ties, huge values."""
    return Case("edge", inputs)


@dataclass(frozen=True)
class Misconception:
    """A wrong implementation that learners really write, and what a tutor says to it."""

    name: str
    implementation: Any
    hint: str


@dataclass(frozen=True)
class Property:
    """Something that must hold whatever the numbers.

    ``holds(call, rng)`` asks the candidate by ``call(**inputs)`` and returns whether ``claim`` is true.
    """

    name: str
    claim: str
    holds: Callable[..., bool]


def call_candidate(candidate: Any, **inputs: Any) -> Any:
    """Exercise a submission in the default way: call it."""
    return candidate(**inputs)


@dataclass
class Exercise:
    """One exercise: what is asked, on which inputs, and which mistakes are known.

    Attributes
    ----------
    name : str
        Full name, ``chapter.function``.
    reference : callable, class, or tuple of them
        The right answer, in ``mlcourse.chapter``. An exercise of two functions has a tuple, and so has its candidate.
    cases : callable
        ``cases(rng)`` yields `Case` objects.
    points : float
    rtol, atol : float
        Two numbers a (theirs) and b (ours) agree when abs(a - b) <= atol + rtol * abs(b).
    run : callable
        ``run(candidate, **inputs)`` exercises a submission and returns plain data. Default: call it. A class is built
        and its methods are called here.
    misconceptions : list of Misconception
    properties : list of Property
    forbidden : tuple of str
        Names that would make the exercise empty, such as ``torch.softmax``.
    time_limit : float
        Seconds that one call may take.
    """

    name: str
    reference: Any
    cases: Callable[[np.random.Generator], Iterator[Case]]
    points: float
    rtol: float = 1e-6
    atol: float = 1e-9
    run: Callable[..., Any] = call_candidate
    forbidden: tuple[str, ...] = ()
    time_limit: float = 5.0
    misconceptions: list[Misconception] = field(default_factory=list)
    properties: list[Property] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """What is asked, in one line."""
        return (inspect.getdoc(self.cases) or "").split("\n")[0]

    @property
    def chapter(self) -> str:
        """The chapter to which the exercise belongs."""
        return self.name.partition(".")[0]

    @property
    def short_name(self) -> str:
        """The name without the chapter."""
        return self.name.partition(".")[2]

    def misconception(self, hint: str, name: str | None = None) -> Callable[[Any], Any]:
        """Declare the decorated function, class (or, called directly, tuple) as a known mistake with its hint."""

        def declare(implementation: Any) -> Any:
            label = name or implementation.__name__
            if any(known.name == label for known in self.misconceptions):
                raise ValueError(f"{self.name} has two misconceptions called {label!r}: rename one.")
            self.misconceptions.append(Misconception(label, implementation, hint))
            return implementation

        return declare

    def always(self, claim: str) -> Callable[[Callable[..., bool]], Callable[..., bool]]:
        """Declare the decorated ``holds(call, rng) -> bool`` as something that must hold whatever the numbers."""

        def declare(holds: Callable[..., bool]) -> Callable[..., bool]:
            self.properties.append(Property(holds.__name__, claim, holds))
            return holds

        return declare


def exercise(
    name: str, *, reference: Any, points: float, **settings: Any
) -> Callable[[Callable[[np.random.Generator], Iterator[Case]]], Exercise]:
    """Turn the decorated function, which yields cases from a generator, into an `Exercise`."""

    def declare(cases: Callable[[np.random.Generator], Iterator[Case]]) -> Exercise:
        return Exercise(name=name, reference=reference, cases=cases, points=points, **settings)

    return declare
