"""Every attack: those of each module of this folder that has a list of them."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from .base import Attack

OTHERS = ("base", "catalogue", "course", "evidence", "plants")


def every_attack() -> list[Attack]:
    """Return all attacks, family by family, in the order of their declaration."""
    names = sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]))
    modules = [name for name in names if name not in OTHERS and not name.startswith("test_")]
    found = [attack for name in modules for attack in importlib.import_module(f".{name}", __package__).ATTACKS]
    names = [attack.name for attack in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"Two attacks have the same name: {', '.join(twice)}.")
    return found
