"""A GPT of characters, and how well it reads a text that it was not trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional as F

from mlcourse.data import king_james
from mlcourse.device import default_device
from mlcourse.training import Arrays, Training
from mlcourse.trainings.witten_bell import witten_bell_bits
from mlcourse.transformer import GPT, GPTConfig, random_windows, train

__all__ = ["TRAININGS", "CharacterSettings", "Characters", "character_split", "evaluate_windows", "train_characters"]


@dataclass(frozen=True)
class Characters:
    """A text as numbers: character i of ``alphabet`` is token i. The last tenth is held out."""

    alphabet: str
    train: Int[Tensor, " n"]
    heldout: Int[Tensor, " m"]

    def encode(self, text: str) -> Int[Tensor, " T"]:
        """Return the tokens of a text."""
        return torch.tensor([self.alphabet.index(character) for character in text])

    def decode(self, tokens: Int[Tensor, " T"]) -> str:
        """Return the text of tokens."""
        return "".join(self.alphabet[i] for i in tokens.tolist())


def character_split(text: str | None = None) -> Characters:
    """Return a text (the King James Bible if none is given) as tokens, its last tenth held out."""
    if text is None:
        text = king_james().text
    alphabet = "".join(sorted(set(text)))
    tokens = torch.from_numpy(np.searchsorted(np.array(list(alphabet)), np.array(list(text))))
    n = len(tokens) * 9 // 10
    return Characters(alphabet, tokens[:n], tokens[n:])


@torch.no_grad()
def evaluate_windows(
    predict: Callable[[Tensor], Tensor], tokens: Int[Tensor, " n"], T: int, batch: int = 64, every: int = 1
) -> Float[np.ndarray, "windows T"]:
    """Return the surprise in nats at each position of windows of T that lie side by side, or of each ``every``-th."""
    windows = tokens[: (len(tokens) - 1) // T * T].reshape(-1, T)  # (n,) -> (windows, T)
    targets = tokens[1 : windows.numel() + 1].reshape(-1, T)
    nats = [
        F.cross_entropy(predict(x).mT.float(), y, reduction="none")  # (B, T, V) -> (B, V, T); -> (B, T)
        for x, y in zip(windows[::every].split(batch), targets[::every].split(batch), strict=True)
    ]
    return torch.cat(nats).cpu().numpy()


@dataclass(frozen=True)
class CharacterSettings:
    """What decides the training of the character model: many small steps, the rate falling to 0 at the last one."""

    T: int = 64
    width: int = 96
    n_heads: int = 4
    n_layers: int = 3
    batch: int = 12
    steps: int = 6500
    learning_rate: float = 3e-3
    warmup: int = 100
    look_every: int = 250
    bf16: bool = False


def train_characters(settings: CharacterSettings, seed: int) -> Arrays:
    """Train a character GPT and measure it on held-out text beside n-gram models.

    Returns
    -------
    dict of arrays
        Bits are on held-out characters in the second half of a window, the same ones for all models, and a mean.
        ``gpt`` and ``ngrams`` (8,): bits of the GPT and of n-grams of order 1 to 8; ``margin`` (8,): standard errors of
        the differences. ``looked_at`` and ``looked``: steps done, and bits on one window in 16 then; ``levels`` (8,):
        bits of the n-grams on the same. ``by_position`` (T,): bits of the GPT at each position of a window. ``loss``
        (steps,) in nats. ``weights/NAME``.
    """
    data, device, T = character_split(), default_device(), settings.T
    config = GPTConfig(len(data.alphabet), T, settings.width, settings.n_heads, settings.n_layers)
    model = GPT(config, generator=torch.Generator(device).manual_seed(seed), device=device)
    heldout, looked = data.heldout.to(device), dict[int, float]()

    def bits(every: int) -> np.ndarray:
        return evaluate_windows(model, heldout, T, every=every) / np.log(2)  # (windows, T)

    def look(done: int) -> None:
        if done % settings.look_every == 0 or done == settings.steps:
            looked[done] = float(bits(16)[:, T // 2 :].mean())

    loss = train(
        model,
        model.parameters(),
        random_windows(data.train.to(device), T, settings.batch, torch.Generator().manual_seed(seed)),
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        warmup=settings.warmup,
        bf16=settings.bf16,
        after_step=look,
    )
    ours = bits(1)
    peers = witten_bell_bits(data.train.numpy(), data.heldout.numpy(), 8, len(data.alphabet))[:, 1 : ours.size + 1]
    peers = peers.reshape(8, *ours.shape)[:, :, T // 2 :]  # (8, windows T) -> (8, windows, T / 2)
    better = (peers - ours[:, T // 2 :]).mean(-1)  # (8, windows)
    return {
        "loss": loss,
        "looked_at": np.array(list(looked)),
        "looked": np.array(list(looked.values())),
        "levels": peers[:, ::16].mean((1, 2)),
        "by_position": ours.mean(0),
        "gpt": ours[:, T // 2 :].mean(),
        "ngrams": peers.mean((1, 2)),
        "margin": better.std(-1) / sqrt(len(ours)),
        **{f"weights/{name}": value.cpu().numpy() for name, value in model.state_dict().items()},
    }


TRAININGS = (
    Training("transformer.characters", train_characters, CharacterSettings(), CharacterSettings(steps=28_000)),
)
