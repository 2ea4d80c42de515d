"""The trainings of the toy model that the page shows: the phase diagram, and dimensionality by density."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from mlcourse.superposition import Recipe, held_out_loss, train_instances
from mlcourse.training import Arrays, Training

__all__ = ["TRAININGS", "PhaseSettings", "PlateauSettings", "run_phase", "run_plateaus"]


@dataclass(frozen=True)
class PhaseSettings:
    """Two features in one dimension, on a grid of densities and importances."""

    grid: int = 20
    seeds: int = 4
    recipe: Recipe = field(default_factory=lambda: Recipe(steps=1_500, batch=256, rate=0.02))


@dataclass(frozen=True)
class PlateauSettings:
    """Many features of equal importance, from dense to sparse."""

    features: int = 80
    hidden: int = 20
    densities: int = 16
    recipe: Recipe = field(default_factory=lambda: Recipe(steps=3_000, batch=512, rate=0.01))


def run_phase(settings: PhaseSettings, seed: int) -> Arrays:
    """Train every cell of the phase diagram from several starts and keep the lowest loss of each."""
    generator = torch.Generator().manual_seed(seed)
    density = torch.logspace(-2, 0, settings.grid)
    ratio = torch.logspace(-1, 1, settings.grid)
    cells = torch.cartesian_prod(1 - density, ratio)  # (grid^2, 2)
    sparsity, second = cells.repeat_interleave(settings.seeds, dim=0).unbind(dim=1)  # two times (grid^2 seeds,)
    importance = torch.stack((torch.ones_like(second), second), dim=1)  # (grid^2 seeds, 2)
    W, b = train_instances(sparsity, importance, 1, generator=generator, recipe=settings.recipe)
    losses = held_out_loss(W, b, sparsity, importance, generator=generator)
    losses = losses.view(-1, settings.seeds)  # (grid^2 seeds,) -> (grid^2, seeds)
    best = losses.argmin(dim=1) + torch.arange(len(losses)) * settings.seeds  # (grid^2,)
    square = (settings.grid, settings.grid, 2)
    return {
        "density": density.numpy(),
        "ratio": ratio.numpy(),
        "W": W[best].reshape(square).numpy(),
        "b": b[best].reshape(square).numpy(),
    }


def run_plateaus(settings: PlateauSettings, seed: int) -> Arrays:
    """Train one model for each density, all features equally important."""
    generator = torch.Generator().manual_seed(seed)
    examples_per_feature = torch.logspace(0.06, 0.85, settings.densities)  # 1 / density, from 1.15 to 7.1
    sparsity = 1 - 1 / examples_per_feature
    importance = torch.ones(settings.densities, settings.features)
    W, b = train_instances(sparsity, importance, settings.hidden, generator=generator, recipe=settings.recipe)
    return {"density": (1 / examples_per_feature).numpy(), "W": W.numpy(), "b": b.numpy()}


TRAININGS = (
    Training(
        "superposition.phase",
        run_phase,
        PhaseSettings(),
        PhaseSettings(seeds=16, recipe=Recipe(steps=4_000, batch=512, rate=0.02)),
    ),
    Training(
        "superposition.plateaus",
        run_plateaus,
        PlateauSettings(),
        PlateauSettings(densities=24, recipe=Recipe(steps=8_000, batch=1_024, rate=0.01)),
    ),
)
