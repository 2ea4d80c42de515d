"""Skip-gram with negative sampling against gensim: ``python -m benchmarks.word2vec``.

Both sides read the same text with the same settings: 100 dimensions, window 5, 5 negatives, the same learning rates
and the same probabilities of keeping a word. Ours runs on one thread of PyTorch, gensim with one worker. The time is
that of the processor, so that other work on the machine changes it little; a second column has the time on the wall.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from gensim.models import Word2Vec
from tabulate import tabulate
from threadpoolctl import threadpool_limits
from torch import Tensor

from mlcourse.trainings.word2vec import king_james_ids
from mlcourse.word2vec import (
    SkipGramSettings,
    expected_sgns_loss,
    library_keep_probability,
    noise_distribution,
    skipgram_pairs,
    train_skipgram,
)

REPEATS = 3


@dataclass(frozen=True)
class Side:
    """What one training took and gave."""

    cpu: float
    wall: float
    U: Tensor
    C: Tensor


def timed(train: Callable[[], Any], tables: Callable[[Any], tuple[Tensor, Tensor]]) -> Side:
    """Train once and return processor time, wall time and the two tables."""
    wall, cpu = time.perf_counter(), time.process_time()
    model = train()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Side(cpu, wall, *tables(model))


def gensim_side(text: list[list[str]], words: list[str], settings: SkipGramSettings, seed: int) -> Side:
    """Train gensim. Its vocabulary is built before the clock starts, as ours is."""
    model = Word2Vec(
        vector_size=settings.d,
        window=settings.window,
        sg=1,
        negative=settings.negatives,
        sample=settings.threshold,
        alpha=settings.rate,
        min_alpha=settings.last_rate,
        min_count=1,
        seed=seed,
        workers=1,
    )
    model.build_vocab(text)

    def train() -> Word2Vec:
        model.train(text, total_examples=model.corpus_count, epochs=settings.epochs)
        return model

    def tables(model: Word2Vec) -> tuple[Tensor, Tensor]:
        order = [model.wv.key_to_index[word] for word in words]
        return torch.from_numpy(model.wv.vectors[order]), torch.from_numpy(model.syn1neg[order])

    return timed(train, tables)


def main() -> None:
    """Train both sides in turn, compare their held-out losses, and print one table."""
    torch.set_num_threads(1)
    words, counts, train, held_out = king_james_ids()
    text = [[words[i] for i in sentence] for sentence in train]
    noise = noise_distribution(counts).float()
    rows = []
    with threadpool_limits(limits=1):
        for epochs in (1, 5):
            settings = replace(SkipGramSettings(), epochs=epochs)
            keep = library_keep_probability(counts, settings.threshold)
            pairs = held_out_pairs(held_out, keep)
            sides: list[tuple[Side, Side]] = []
            for seed in range(REPEATS):

                def ours(seed: int = seed, settings: SkipGramSettings = settings, keep: Tensor = keep) -> Side:
                    rng = torch.Generator().manual_seed(seed)
                    return timed(
                        lambda: train_skipgram(train, counts, settings, generator=rng, keep=keep, progress=False),
                        lambda model: (model.U, model.C),
                    )

                def peer(seed: int = seed, settings: SkipGramSettings = settings) -> Side:
                    return gensim_side(text, words, settings, seed + 1)

                if seed % 2:
                    theirs = peer()
                    sides.append((ours(), theirs))
                else:
                    first = ours()
                    sides.append((first, peer()))
            losses = np.array(
                [[float(expected_sgns_loss(side.U, side.C, pairs, noise, 5)) for side in both] for both in sides]
            )
            mean_ours, mean_theirs = losses.mean(0)
            if mean_ours > mean_theirs + 0.01:
                raise AssertionError(f"Held-out loss {mean_ours:.4f} is worse than gensim's {mean_theirs:.4f}.")
            read = epochs * sum(map(len, train)) / 1000
            cpu = np.median([[side.cpu for side in both] for both in sides], axis=0)
            wall = np.median([[side.wall for side in both] for both in sides], axis=0)
            rows.append((epochs, *(read / cpu), cpu[0] / cpu[1], wall[0] / wall[1], mean_ours, mean_theirs))
    heads = [
        "epochs",
        "ours, 1000 words/s",
        "gensim, 1000 words/s",
        "ratio of time",
        "on the wall",
        "our loss",
        "its loss",
    ]
    print(tabulate(rows, heads, floatfmt=("", ".0f", ".0f", ".2f", ".2f", ".4f", ".4f")))


def held_out_pairs(sentences: list[list[int]], keep: Tensor) -> Tensor:
    """Return pairs of a text that is thinned as in training, with reaches from 1 to 5."""
    stays, chance = keep.tolist(), np.random.default_rng(0)
    thin = [[i for i in sentence if chance.random() < stays[i]] for sentence in sentences]
    return torch.cat([skipgram_pairs(thin, window) for window in range(1, 6)])


if __name__ == "__main__":
    main()
