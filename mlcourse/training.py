"""Trainings that take minutes: run once, kept with all that decided their result.

A chapter declares its trainings in ``mlcourse/trainings``. ``make`` runs those whose result is not there yet, and the
page of the chapter reads it. A result is kept under a digest of its settings, its seed and its code, so that it is made
anew when one of them changes, and never otherwise.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib.util
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

BUDGET = "MLCOURSE_BUDGET"  # "full" trains longer, for the published site
FOLDER = "MLCOURSE_TRAINED"  # where results are kept

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Training:
    """One training, declared and not yet run.

    Attributes
    ----------
    name : str
        Chapter and name: ``"transformer.characters"``.
    run : callable
        ``run(settings, seed)`` trains and returns arrays by name. It shows its own progress.
    settings : frozen dataclass of plain values
        What is trained in the usual build.
    full : frozen dataclass of plain values
        What is trained where the environment variable ``MLCOURSE_BUDGET`` says ``full``.
    seed : int
    """

    name: str
    run: Callable[[Any, int], Arrays]
    settings: Any
    full: Any
    seed: int = 0

    @property
    def chosen(self) -> Any:
        """The settings that the environment asks for.

        Raises
        ------
        ValueError
            If ``MLCOURSE_BUDGET`` has another value than ``full``, ``usual`` or nothing.
        """
        budget = os.environ.get(BUDGET, "").strip() or "usual"
        if budget not in ("usual", "full"):
            raise ValueError(f"{BUDGET} is {budget!r}; it must be 'usual' or 'full'.")
        return self.full if budget == "full" else self.settings

    @property
    def digest(self) -> str:
        """A digest of all that decides the result."""
        about = {"name": self.name, "settings": dataclasses.asdict(self.chosen), "seed": self.seed}
        total = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
        total.update(code_digest(self.run.__module__).encode())
        return total.hexdigest()[:16]


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes
    ----------
    arrays : dict of str to array
        What was trained and measured.
    record : dict
        ``settings``, ``seed``, ``code`` (a digest), ``seconds`` that it took, and the ``versions`` that ran it.
    """

    arrays: Arrays
    record: dict[str, Any]


def trained(training: Training, folder: Path | None = None) -> Trained:
    """Return the result of a training, run now if it is not kept yet.

    Parameters
    ----------
    training : Training
    folder : Path, optional
        Where results are kept. Default: what the environment variable ``MLCOURSE_TRAINED`` says, or a folder of the
        user's cache.

    Examples
    --------
    >>> @dataclass(frozen=True)
    ... class Settings:
    ...     size: int = 3
    >>> toy = Training("toy.zeros", lambda settings, seed: {"x": np.zeros(settings.size)}, Settings(), Settings(9))
    >>> with tempfile.TemporaryDirectory() as name:
    ...     trained(toy, Path(name)).arrays["x"].shape
    (3,)
    """
    home = folder or _home()
    target = home / f"{training.name}-{training.digest}"
    if not (target / "record.json").exists():
        _run(training, target)
    with np.load(target / "arrays.npz", allow_pickle=False) as kept:
        arrays = {name: kept[name] for name in kept.files}
    return Trained(arrays, json.loads((target / "record.json").read_text(encoding="utf-8")))


def _run(training: Training, target: Path) -> None:
    """Train and write the result; the record comes last, so that a result without one is no result."""
    start = time.perf_counter()
    arrays = training.run(training.chosen, training.seed)
    seconds = time.perf_counter() - start
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as draft:
        place = Path(draft) / "result"
        place.mkdir()
        np.savez_compressed(place / "arrays.npz", **arrays)  # type: ignore[arg-type]
        record = {
            "name": training.name,
            "settings": dataclasses.asdict(training.chosen),
            "seed": training.seed,
            "code": code_digest(training.run.__module__),
            "seconds": round(seconds, 1),
            "versions": _versions(),
        }
        (place / "record.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
        if not target.exists():  # somebody else may have been faster
            place.rename(target)


def code_digest(module: str) -> str:
    """Return a digest of a module's source and of the modules of this package that it imports.

    A module that is not of this package is taken by its name alone.
    """
    package = __name__.partition(".")[0]
    waiting, seen = [module], dict[str, str]()
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        source = _source(name) if name.partition(".")[0] == package else ""
        seen[name] = hashlib.sha256(source.encode()).hexdigest()
        waiting += [found for found in _imports(source) if found.startswith(f"{package}.") and _source(found)]
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()


def _imports(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def _source(name: str) -> str:
    """Return the source of a module; empty where there is no such module."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return ""
    return Path(spec.origin).read_text(encoding="utf-8") if spec and spec.origin else ""


def _home() -> Path:
    named = os.environ.get(FOLDER, "").strip()
    return Path(named) if named else Path.home() / ".cache" / "mlcourse" / "trained"


def _versions() -> dict[str, str]:
    loaded = {name: sys.modules[name].__version__ for name in ("numpy", "torch") if name in sys.modules}
    return {"python": platform.python_version(), **{name: str(version) for name, version in loaded.items()}}
