"""The trainings of word vectors that the page shows: ours, gensim's, and two changed settings, on one text."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from mlcourse.data import king_james
from mlcourse.training import Arrays, Training
from mlcourse.word2vec import (
    SkipGramSettings,
    build_vocabulary,
    encode,
    keep_probability,
    library_keep_probability,
    split_words,
    train_skipgram,
)

__all__ = ["TRAININGS", "king_james_ids"]

KeepRule = Callable[[Tensor, float], Tensor]


def king_james_ids(min_count: int = 5, every: int = 20) -> tuple[list[str], Tensor, list[list[int]], list[list[int]]]:
    """Return vocabulary, counts and the paragraphs of the King James text as ids: to train on, and held out.

    Every twentieth paragraph is held out. Counts and vocabulary come from the others.
    """
    paragraphs = [split_words(line) for line in king_james().lines]
    train = [words for i, words in enumerate(paragraphs) if i % every]
    words, counts = build_vocabulary(train, min_count)
    return words, counts, encode(train, words), encode(paragraphs[::every], words)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let PyTorch use one thread: the products are small, and threads that share them mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train_ours(settings: SkipGramSettings, seed: int, keep_rule: KeepRule = keep_probability) -> Arrays:
    _, counts, train, _ = king_james_ids()
    keep = keep_rule(counts, settings.threshold)
    with _one_thread():
        model = train_skipgram(train, counts, settings, generator=torch.Generator().manual_seed(seed), keep=keep)
    return {"U": model.U.numpy(), "C": model.C.numpy()}


def _train_ours_subsampled_as_gensim(settings: SkipGramSettings, seed: int) -> Arrays:
    return _train_ours(settings, seed, library_keep_probability)


def _train_gensim(settings: SkipGramSettings, seed: int) -> Arrays:
    from gensim.models import Word2Vec
    from threadpoolctl import threadpool_limits

    words, _, train, _ = king_james_ids()
    text = [[words[i] for i in sentence] for sentence in train]
    with threadpool_limits(limits=1):
        model = Word2Vec(
            text,
            vector_size=settings.d,
            window=settings.window,
            sg=1,
            negative=settings.negatives,
            ns_exponent=settings.power,
            sample=settings.threshold,
            epochs=settings.epochs,
            alpha=settings.rate,
            min_alpha=settings.last_rate,
            min_count=1,
            seed=seed,
            workers=1,
        )
    order = [model.wv.key_to_index[word] for word in words]
    return {"U": model.wv.vectors[order], "C": model.syn1neg[order]}


_USUAL = SkipGramSettings()
_FULL = replace(_USUAL, epochs=30)
TRAININGS = (
    Training("word2vec.king_james", _train_ours, _USUAL, _FULL),
    Training("word2vec.gensim", _train_gensim, _USUAL, _FULL, seed=1),
    Training("word2vec.library_keep", _train_ours_subsampled_as_gensim, _USUAL, _FULL),
    Training("word2vec.power_1", _train_ours, replace(_USUAL, power=1.0), replace(_FULL, power=1.0)),
)
