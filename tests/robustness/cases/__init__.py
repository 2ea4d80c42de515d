"""The accidents, by family."""

from __future__ import annotations

from robustness.accident import ATTENTION, LINEAR, Accident
from robustness.cases import attention, cells, files, metadata, names, objects, output, processes, shell, state

FAMILIES = (files, names, cells, metadata, shell, processes, state, objects, output, attention)
ACCIDENTS: tuple[Accident, ...] = tuple(accident for family in FAMILIES for accident in family.ACCIDENTS)
ASSIGNMENTS = (LINEAR, ATTENTION)
