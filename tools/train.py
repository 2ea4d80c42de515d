"""The trainings that the pages show: ``python -m tools.train`` runs those whose results are not kept yet.

``make`` does it before it builds the book. With ``MLCOURSE_BUDGET=full`` (``make full``) they train longer.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from mlcourse.exercises.catalogue import chapters
from mlcourse.training import FOLDER, Training, trained

ROOT = Path(__file__).resolve().parent.parent
THREADS = 2  # nothing else runs beside a training


def trainings() -> Iterator[Training]:
    """Yield the trainings that the chapters declare, in the order of the chapters' names."""
    for name in chapters():
        module = f"mlcourse.trainings.{name}"
        if importlib.util.find_spec(module):
            yield from importlib.import_module(module).TRAININGS


def results(root: Path = ROOT) -> Path:
    """Return the folder in which the results of this repository are kept."""
    return Path(os.environ.get(FOLDER, "").strip() or root / "_build" / "trained")


def main() -> None:
    """Run what is missing, one after another, and say how long each took."""
    torch.set_num_threads(min(THREADS, os.cpu_count() or 1))
    declared = list(trainings())
    if declared:
        print(
            f"Training what the pages show ({len(declared)} in all; those that are kept are not repeated):", flush=True
        )
    for training in declared:
        kept = (results() / f"{training.name}-{training.digest}").exists()
        seconds = trained(training, results()).record["seconds"]
        print(f"  {'kept   ' if kept else 'trained'} {seconds:6.1f} s    {training.name}", flush=True)


if __name__ == "__main__":
    main()
