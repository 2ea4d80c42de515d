"""Time two callables side by side, so that both meet the same machine in the same state."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from statistics import median
from timeit import Timer
from typing import Any, NamedTuple


class Comparison(NamedTuple):
    """Median times of one call, in milliseconds, and ours divided by the peer's."""

    ours_ms: float
    peer_ms: float
    ratio: float


def compare(
    ours: Callable[[], Any], peer: Callable[[], Any], *, repeats: int = 15, sample_seconds: float = 0.03
) -> Comparison:
    r"""Measure two callables alternately and return the median time of each and their ratio.

    .. math:: \text{ratio} = \operatorname{median}(t_{\text{ours}}) / \operatorname{median}(t_{\text{peer}})

    Parameters
    ----------
    ours, peer : callables without arguments
        The two sides. They must do the same work; the caller checks that.
    repeats : int
        How many times each side is measured. The side that goes first changes from one repeat to the next.
    sample_seconds : float
        The least time that one measurement should last. A quick callable is called many times in it.

    Returns
    -------
    Comparison
        Two medians in milliseconds for one call, and the ratio. A ratio below 1 means that ours is faster.

    Raises
    ------
    ValueError
        If repeats is smaller than 1.

    Notes
    -----
    Each side is first called twice without counting: once to warm up, once to learn how many calls a measurement
    needs. `timeit` switches the garbage collector off while it measures.

    Examples
    --------
    >>> compare(lambda: sum(range(20_000)), lambda: sum(range(100)), repeats=3, sample_seconds=0.001).ratio > 1
    True
    """
    if repeats < 1:
        raise ValueError(f"repeats must be 1 or more, but it is {repeats}.")
    timers = [Timer(ours), Timer(peer)]
    for timer in timers:
        timer.timeit(1)
    calls = [ceil(sample_seconds / max(timer.timeit(1), 1e-7)) for timer in timers]
    seconds: list[list[float]] = [[], []]
    for repeat in range(repeats):
        for side in (0, 1) if repeat % 2 == 0 else (1, 0):
            seconds[side].append(timers[side].timeit(calls[side]) / calls[side])
    ours_ms, peer_ms = (1000 * median(times) for times in seconds)
    return Comparison(ours_ms, peer_ms, ours_ms / peer_ms)
