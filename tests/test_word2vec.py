import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from devices import DEVICES, needs_cuda
from gensim.models import KeyedVectors, Word2Vec
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score
from torch.nn import functional as F

from mlcourse import word2vec
from mlcourse.data import king_james
from mlcourse.grading import evaluate
from mlcourse.trainings import word2vec as trainings
from mlcourse.trainings.word2vec import TRAININGS, king_james_ids
from mlcourse.word2vec import (
    SkipGram,
    SkipGramSettings,
    analogy,
    analogy_with_inputs,
    block_gradient,
    build_vocabulary,
    encode,
    expected_sgns_loss,
    full_softmax_loss,
    keep_probability,
    library_keep_probability,
    most_similar,
    noise_distribution,
    pair_counts,
    pmi,
    sgns_gradient,
    sgns_loss,
    sgns_optimum,
    skipgram_pairs,
    split_words,
    train_skipgram,
)

pytestmark = pytest.mark.parallel

F64 = torch.float64
TINY = SkipGramSettings(d=8, epochs=3, threshold=1.0, block=8, blocks=1, shared=6)

sentences_of_ids = st.lists(st.lists(st.integers(0, 5), max_size=9), max_size=5)
sentences_of_words = st.lists(st.lists(st.sampled_from("abcdef"), max_size=9), max_size=5)


def normal(rng, *shape):
    return torch.randn(*shape, generator=rng, dtype=F64)


def integers(rng, high, *shape):
    return torch.randint(0, high, shape, generator=rng)


def close(a, b, tolerance=1e-9):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


def tables(rng, V=7, d=3, B=5, K=4):
    return normal(rng, V, d), normal(rng, V, d), integers(rng, V, B), integers(rng, V, B), integers(rng, V, B, K)


# Text to numbers


def test_words_are_split_and_lowered():
    assert split_words("O Lord, the LORD's: 'Nay'. A.D.") == ["o", "lord", "the", "lord's", "nay", "a", "d"]
    assert split_words("the Lord\u2019s") == ["the", "lord's"]
    assert split_words("") == []


@given(sentences_of_words, st.integers(1, 4))
def test_vocabulary_equals_a_count_by_hand(sentences, min_count):
    words, counts = build_vocabulary(sentences, min_count)
    flat = [word for sentence in sentences for word in sentence]
    assert set(words) == {word for word in flat if flat.count(word) >= min_count}
    assert counts.tolist() == [flat.count(word) for word in words]
    assert counts.dtype == torch.int64
    assert counts.shape == (len(words),)
    assert [(-n, word) for n, word in zip(counts.tolist(), words, strict=True)] == sorted(
        (-n, word) for n, word in zip(counts.tolist(), words, strict=True)
    )


def test_vocabulary_equals_gensims():
    sentences = [["sea", "ark", "the", "the"], ["the", "ark", "dove"], ["dove", "sea", "olive"]]
    words, counts = build_vocabulary(sentences, 2)
    peer = Word2Vec(min_count=2)
    peer.build_vocab(sentences)
    assert set(words) == set(peer.wv.key_to_index)
    assert counts.tolist() == [peer.wv.get_vecattr(word, "count") for word in words]


@given(sentences_of_words)
def test_encoding_can_be_undone(sentences):
    words, _ = build_vocabulary(sentences)
    assert [[words[i] for i in sentence] for sentence in encode(sentences, words)] == sentences


def test_encoding_leaves_out_what_it_does_not_know():
    assert encode([["a", "x", "b"], ["x"]], ["b", "a"]) == [[1, 0], []]


@given(sentences_of_ids, st.integers(1, 12))
def test_pairs_equal_a_loop_in_the_order_that_is_promised(sentences, window):
    loop = [
        [row[t], row[s]]
        for row in sentences
        for t in range(len(row))
        for s in range(len(row))
        if 1 <= abs(s - t) <= window
    ]
    pairs = skipgram_pairs(sentences, window)
    assert pairs.tolist() == loop
    assert pairs.shape == (len(loop), 2)
    assert pairs.dtype == torch.int64


# What is drawn


@pytest.mark.parametrize("power", [0.0, 0.75, 1.0])
def test_noise_equals_numpy_and_what_gensim_draws(power):
    counts = torch.tensor([50, 20, 7, 7, 1])
    weights = np.array([50.0, 20, 7, 7, 1]) ** power
    noise = noise_distribution(counts, power)
    close(noise, torch.from_numpy(weights / weights.sum()))
    text = [[word] * n for word, n in zip("abcde", counts.tolist(), strict=True)]
    peer = Word2Vec(text, min_count=1, ns_exponent=power, epochs=1, workers=1)
    drawn = np.diff(peer.cum_table.astype(np.float64), prepend=0) / (2**31 - 1)
    close(noise, torch.from_numpy(drawn), 1e-6)


def test_the_noise_power_is_three_quarters_by_default():
    close(noise_distribution(torch.tensor([81, 16, 1, 0])), torch.tensor([27, 8, 1, 0], dtype=F64) / 36)
    assert noise_distribution(torch.tensor([2.0, 1.0])).dtype == torch.float32


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=6), st.floats(0, 2))
def test_noise_sums_to_one_and_keeps_the_order(counts, power):
    noise = noise_distribution(torch.tensor(counts), power)
    assert float(noise.sum()) == pytest.approx(1)
    order = torch.tensor(counts).argsort()
    assert bool((noise[order].diff() >= -1e-12).all())


def test_frequent_words_are_kept_with_the_root_of_threshold_over_share():
    counts = torch.tensor([900, 90, 10])
    keep = keep_probability(counts, 0.1)
    close(keep, torch.tensor([math.sqrt(0.1 / 0.9), 1, 1], dtype=F64))
    close(keep_probability(7 * counts, 0.1), keep)
    close(keep_probability(counts, 0.9), torch.ones(3, dtype=F64))
    close(keep_probability(counts, 0.01)[1:], torch.tensor([math.sqrt(1 / 9), 1], dtype=F64))
    assert keep_probability(torch.tensor([3, 0]), 0.1)[1] == 1


@pytest.mark.parametrize("threshold", [1e-3, 0.05, 0.5])
def test_the_library_keeps_what_gensim_stores(threshold):
    counts = torch.tensor([900, 90, 9, 1])
    peer = Word2Vec(min_count=1, sample=threshold)
    peer.build_vocab([[word] * n for word, n in zip("abcd", counts.tolist(), strict=True)])
    stored = torch.tensor([peer.wv.get_vecattr(word, "sample_int") / 2**32 for word in "abcd"], dtype=F64)
    close(library_keep_probability(counts, threshold), stored, 1e-6)


# The losses


def test_full_softmax_equals_a_loop(rng):
    U, C, center, context, _ = tables(rng)
    loop = torch.stack(
        [-(torch.exp(U[i] @ C[j]) / torch.exp(C @ U[i]).sum()).log() for i, j in zip(center, context, strict=True)]
    )
    close(full_softmax_loss(U, C, center, context), loop.mean())
    close(full_softmax_loss(U, C, center.int(), context.int()), loop.mean())


def test_the_loss_equals_binary_cross_entropy(rng):
    U, C, center, context, negatives = tables(rng)
    every = torch.cat((context[:, None], negatives), 1)  # (B, 1 + K)
    scores = (U[center][:, None] * C[every]).sum(-1)
    labels = torch.zeros_like(scores)
    labels[:, 0] = 1
    peer = F.binary_cross_entropy_with_logits(scores, labels, reduction="none").sum(1).mean()
    close(sgns_loss(U, C, center, context, negatives), peer)


def test_the_loss_at_the_start_is_known(rng):
    U, C, center, context, negatives = tables(rng)
    close(sgns_loss(U, 0 * C, center, context, negatives), torch.tensor(5 * math.log(2), dtype=F64))
    close(full_softmax_loss(U, 0 * C, center, context), torch.tensor(math.log(7), dtype=F64))
    noise = torch.full((7,), 1 / 7, dtype=F64)
    pairs = torch.stack((center, context), 1)
    close(expected_sgns_loss(U, 0 * C, pairs, noise, 4), torch.tensor(5 * math.log(2), dtype=F64))


@pytest.mark.parametrize("size", [1e3, 1e4])
def test_huge_scores_do_not_overflow(size):
    U, C = torch.tensor([[size]], dtype=F64), torch.tensor([[-1.0], [1.0]], dtype=F64)
    U = torch.cat((U, U))
    one = torch.tensor([0])
    close(sgns_loss(U, C, one, torch.tensor([0]), torch.tensor([[0, 1]])), torch.tensor(2 * size, dtype=F64))
    grad_U, grad_C = sgns_gradient(U, C, one, torch.tensor([0]), torch.tensor([[0, 1]]))
    assert bool(grad_U.isfinite().all() and grad_C.isfinite().all())


@given(st.integers(0, 2**20), st.integers(1, 6), st.integers(1, 4), st.integers(1, 9), st.integers(0, 4))
@settings(max_examples=30, deadline=None)
def test_the_gradient_equals_autograd(seed, V, d, B, K):
    U, C, center, context, negatives = tables(torch.Generator().manual_seed(seed), V, d, B, K)
    leaves = U.clone().requires_grad_(), C.clone().requires_grad_()
    by_autograd = torch.autograd.grad(sgns_loss(*leaves, center, context, negatives), leaves)
    for ours, theirs in zip(sgns_gradient(U, C, center, context, negatives), by_autograd, strict=True):
        close(ours, theirs)


def test_the_expected_loss_is_the_mean_over_all_draws(rng):
    U, C, center, context, _ = tables(rng, V=4, B=3)
    noise = torch.tensor([0.4, 0.3, 0.2, 0.1], dtype=F64)
    mean = torch.zeros((), dtype=F64)
    for a in range(4):
        for b in range(4):
            drawn = torch.tensor([[a, b]] * 3)
            mean = mean + noise[a] * noise[b] * sgns_loss(U, C, center, context, drawn)
    close(expected_sgns_loss(U, C, torch.stack((center, context), 1), noise, 2), mean)


def test_the_expected_loss_is_the_same_for_more_words_than_one_slice_holds(rng):
    V = 1500
    U, C = normal(rng, V, 2), normal(rng, V, 2)
    pairs = torch.tensor([[3, 1], [1400, 7]])
    noise = torch.full((V,), 1 / V, dtype=F64)
    negative = F.softplus(U[[3, 1400]] @ C.mT) @ noise
    positive = F.softplus(-(U[[3, 1400]] * C[[1, 7]]).sum(1))
    close(expected_sgns_loss(U, C, pairs, noise, 5), (positive + 5 * negative).mean())


# The optimum


def test_pairs_are_counted():
    pairs = torch.tensor([[0, 2], [2, 0], [0, 2], [1, 1]])
    table = Counter(map(tuple, pairs.tolist()))
    counted = pair_counts(pairs, 4)
    assert counted.tolist() == [[table[i, j] for j in range(4)] for i in range(4)]
    assert torch.equal(pair_counts(pairs, 4, rows=2), counted[:2])
    assert counted.dtype == F64


def test_pmi_averages_to_the_mutual_information_of_scikit_learn(rng):
    pairs = integers(rng, 3, 400, 2)
    joint = pair_counts(pairs, 3)
    mean = (joint / joint.sum() * pmi(joint)).sum()
    assert float(mean) == pytest.approx(mutual_info_score(pairs[:, 0].numpy(), pairs[:, 1].numpy()))


def test_pmi_of_some_rows_needs_the_contexts_of_all(rng):
    joint = normal(rng, 5, 4).exp()
    close(pmi(joint[:2], joint.sum(0)), pmi(joint)[:2])
    close(pmi(joint[:, :1] * joint[:1]), torch.zeros(5, 4, dtype=F64), 1e-9)
    assert pmi(torch.tensor([[1.0, 0.0], [1.0, 1.0]]))[0, 1] == -torch.inf


def test_the_optimum_is_pmi_shifted_by_log_k(rng):
    joint = normal(rng, 5, 4).exp()
    share = joint.sum(0) / joint.sum()
    close(sgns_optimum(joint, share, 7), pmi(joint) - math.log(7))


@given(st.integers(0, 2**20), st.floats(0.5, 20))
@settings(max_examples=30, deadline=None)
def test_no_score_is_better_than_the_optimum(seed, k):
    rng = torch.Generator().manual_seed(seed)
    joint, noise = normal(rng, 3, 4).exp(), torch.softmax(normal(rng, 4), 0)
    best = sgns_optimum(joint, noise, k)

    def loss(x):
        return (joint * F.softplus(-x) + k * joint.sum(1, keepdim=True) * noise * F.softplus(x)).sum()

    assert loss(best) <= loss(best + 0.01 * normal(rng, 3, 4))


# Neighbors and analogies


def keyed(vectors):
    peer = KeyedVectors(vectors.shape[1])
    peer.add_vectors([str(i) for i in range(len(vectors))], vectors.numpy())
    return peer


def test_neighbors_equal_gensims(rng):
    vectors = normal(rng, 30, 5) * torch.linspace(0.1, 4, 30, dtype=F64)[:, None]
    found, cosines = most_similar(vectors, 7, top=6)
    peer = keyed(vectors).most_similar("7", topn=6)
    assert found.tolist() == [int(word) for word, _ in peer]
    close(cosines, torch.tensor([value for _, value in peer], dtype=F64), 1e-6)
    assert most_similar(vectors, 7)[0].tolist() == found[:5].tolist()
    assert found.dtype == torch.int64


def test_analogies_equal_gensims(rng):
    vectors = normal(rng, 30, 5) * torch.linspace(0.1, 4, 30, dtype=F64)[:, None]
    found, cosines = analogy(vectors, 3, 11, 20, top=5)
    peer = keyed(vectors).most_similar(positive=["11", "20"], negative=["3"], topn=5)
    assert found.tolist() == [int(word) for word, _ in peer]
    close(cosines, torch.tensor([value for _, value in peer], dtype=F64), 1e-6)
    assert analogy(vectors, 3, 11, 20)[0].tolist() == found[:1].tolist()


@given(st.integers(0, 2**20))
@settings(max_examples=30, deadline=None)
def test_leaving_out_the_inputs_is_the_only_difference_between_the_two(seed):
    vectors = normal(torch.Generator().manual_seed(seed), 8, 3)
    every, cosines = analogy_with_inputs(vectors, 1, 2, 5, top=8)
    kept = [i for i, word in enumerate(every.tolist()) if word not in (1, 2, 5)]
    found, values = analogy(vectors, 1, 2, 5, top=5)
    assert found.tolist() == every[kept].tolist()
    close(values, cosines[kept])
    assert analogy_with_inputs(vectors, 1, 2, 5)[0].tolist() == every[:1].tolist()


def test_zeros_and_tiny_vectors():
    vectors = torch.tensor([[1, 0], [0, 0], [-1, 0.5], [1e-30, 1e-30]], dtype=F64)
    found, cosines = most_similar(vectors, 0, top=3)
    assert found.tolist() == [3, 1, 2]
    assert cosines.tolist() == pytest.approx([math.sqrt(0.5), 0, -1 / math.sqrt(1.25)])


# Training


def pairs_near(place, reach, window):
    """Say with a loop which words of a band are contexts of which centers."""
    L, W = reach.shape[1], place.shape[1]
    return [
        [
            [
                0 < abs(s - t - window) <= int(reach[n, t])
                and int(place[n, s]) == int(place[n, t + window])
                and int(place[n, t + window]) >= 0
                for s in range(W)
            ]
            for t in range(L)
        ]
        for n in range(len(place))
    ]


def test_blocks_and_masks_give_exactly_the_pairs_of_the_text(rng):
    sentences = [[0, 1, 2, 3, 4], [5], [6, 7, 8, 9, 1, 2, 3]]
    L, m = 4, 2
    ids, place = word2vec._one_row(sentences)
    words, places = word2vec._bands(ids, L, m, 0), word2vec._bands(place, L, m, -1)
    assert words.shape == (4, L + 2 * m)
    near = word2vec._near(places, torch.full((4, L), m), m)
    found = [(int(words[n, t + m]), int(words[n, s])) for n, t, s in near.nonzero().tolist()]
    assert Counter(found) == Counter(map(tuple, skipgram_pairs(sentences, m).tolist()))
    reach = torch.randint(1, m + 1, (4, L), generator=rng)
    assert word2vec._near(places, reach, m).tolist() == pairs_near(places, reach, m)


def test_the_block_gradient_equals_autograd_of_its_loss(rng):
    u, band, drawn = normal(rng, 2, 3, 5), normal(rng, 2, 7, 5), normal(rng, 2, 4, 5)
    near = torch.rand(2, 3, 7, generator=rng) < 0.4
    leaves = [x.clone().requires_grad_() for x in (u, band, drawn)]
    n = near.double()
    x, z = leaves[0] @ leaves[1].mT, leaves[0] @ leaves[2].mT
    loss = (n * F.softplus(-x)).sum() + (3 / 4 * n.sum(-1, keepdim=True) * F.softplus(z)).sum()
    for ours, theirs in zip(block_gradient(u, band, drawn, near, 3), torch.autograd.grad(loss, leaves), strict=True):
        close(ours, theirs)


def test_a_step_of_training_is_a_step_against_the_gradient_of_the_loss():
    sentences, counts = [[0, 1, 2, 1]], torch.tensor([1, 2, 1])
    one = replace(TINY, epochs=1, window=1, rate=0.3, last_rate=0.3, shared=5, negatives=5)
    start = SkipGram(3, 8, generator=torch.Generator().manual_seed(4), dtype=F64).requires_grad_(False)
    model = train_skipgram(
        sentences, counts, one, generator=torch.Generator().manual_seed(4), dtype=F64, progress=False
    )
    # at the start C is 0: every score is 0 and every sigma one half, whatever was drawn
    pairs = skipgram_pairs(sentences, 1)
    moved = model.C - start.C
    pulled = torch.zeros_like(moved).index_add(0, pairs[:, 1], 0.3 * 0.5 * start.U[pairs[:, 0]])
    pushed = moved - pulled  # only drawn words: a multiple of the sum of all centers, 5 for each pair in all
    close(pushed.sum(0), -0.3 * 0.5 * 5 * start.U[pairs[:, 0]].sum(0))
    close(model.U, start.U)  # nothing pulls at U while C is 0


def test_training_is_repeatable_and_leaves_its_inputs_alone():
    sentences, counts = [[0, 1, 2, 0, 3]] * 12, torch.tensor([24, 12, 12, 12])
    before = [list(row) for row in sentences], counts.clone()
    first, second, third = (
        train_skipgram(sentences, counts, TINY, generator=torch.Generator().manual_seed(seed), progress=False)
        for seed in (1, 1, 2)
    )
    assert torch.equal(first.U, second.U)
    assert not torch.equal(first.U, third.U)
    assert sentences == before[0]
    assert torch.equal(counts, before[1])
    assert first.U.dtype == torch.float32


def test_blocks_come_in_random_order_each_once_a_round(monkeypatch):
    seen = []

    def recorder(u, band, drawn, near, negatives):
        seen.append(u[0].clone())
        return torch.zeros_like(u), torch.zeros_like(band), torch.zeros_like(drawn)

    monkeypatch.setattr(word2vec, "block_gradient", recorder)
    model = train_skipgram(
        [list(range(64))],
        torch.ones(64, dtype=torch.int64),
        replace(TINY, epochs=2),
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )
    order = [next(i for i in range(8) if torch.equal(u, model.U[8 * i : 8 * i + 8])) for u in seen]  # blocks of 8 words
    first, second = order[:8], order[8:]
    assert sorted(first) == sorted(second) == list(range(8))
    assert first != second  # a chance of 1 in 40,320, and the seed is fixed


def test_training_draws_with_the_power_that_is_set():
    sentences, counts, keep = [[0, 1]] * 60, torch.tensor([100, 90, 1]), torch.ones(3)  # the text never shows word 2
    moved = [
        train_skipgram(
            sentences,
            counts,
            replace(TINY, power=power, epochs=1),
            generator=torch.Generator().manual_seed(0),
            keep=keep,
            progress=False,
        )
        .C.abs()
        .sum(-1)
        for power in (0.0, 30.0)
    ]
    assert float(moved[0][2]) > 0
    assert float(moved[1][2]) == 0  # drawn once in 10^60


def two_topics():
    """Return a text whose words 0 to 4 keep each other's company, and 5 to 9 theirs."""
    rng = np.random.default_rng(0)
    sentences = [(5 * (n % 2) + rng.integers(0, 5, 12)).tolist() for n in range(300)]
    return sentences, torch.bincount(torch.tensor(sentences).flatten(), minlength=10)


def test_words_that_keep_the_same_company_get_similar_vectors():
    sentences, counts = two_topics()
    model = train_skipgram(
        sentences,
        counts,
        replace(TINY, rate=0.05, epochs=8),
        generator=torch.Generator().manual_seed(0),
        progress=False,
    )
    assert all(int(most_similar(model.U, i, top=1)[0]) // 5 == i // 5 for i in range(10))
    scores = model.U @ model.C.mT
    assert float(scores[:5, :5].mean()) > float(scores[:5, 5:].mean()) + 1


def test_training_approaches_the_optimum():
    sentences, counts = two_topics()
    long = replace(TINY, d=10, rate=0.05, epochs=40, window=2, shared=24)
    model = train_skipgram(sentences, counts, long, generator=torch.Generator().manual_seed(0), progress=False)
    joint = sum(pair_counts(skipgram_pairs(sentences, reach), 10) for reach in (1, 2))
    best = sgns_optimum(joint, noise_distribution(counts), 5)
    scores = (model.U @ model.C.mT).double()
    seen = joint > 0
    assert float((scores - best)[seen].abs().mean()) < 0.15


def test_our_loss_is_no_worse_than_gensims_on_words_held_out():
    sentences, counts = two_topics()
    train, held_out = sentences[:240], sentences[240:]
    common = SkipGramSettings(d=10, epochs=20, threshold=1.0, block=8, blocks=1)
    model = train_skipgram(train, counts, common, generator=torch.Generator().manual_seed(0), progress=False)
    peer = Word2Vec(
        [[str(i) for i in row] for row in train],
        vector_size=10,
        window=5,
        sg=1,
        negative=5,
        sample=0,
        epochs=20,
        min_count=1,
        seed=1,
        workers=1,
    )
    order = [peer.wv.key_to_index[str(i)] for i in range(10)]
    pairs, noise = skipgram_pairs(held_out, 5), noise_distribution(counts).float()
    theirs = torch.from_numpy(peer.wv.vectors[order]), torch.from_numpy(peer.syn1neg[order])
    ours = expected_sgns_loss(model.U, model.C, pairs, noise, 5)
    assert float(ours) < float(expected_sgns_loss(*theirs, pairs, noise, 5)) + 0.02
    assert float(ours) < 6 * math.log(2) - 0.2


@pytest.mark.parametrize("threshold", [1.0, 1e-4])
def test_subsampling_and_given_probabilities_decide_what_is_read(monkeypatch, threshold):
    read = []
    monkeypatch.setattr(word2vec, "_read_once", lambda model, ids, *rest: read.append(ids))
    sentences, counts = [[0] * 9000 + [1] * 1000], torch.tensor([9000, 1000])
    common = replace(TINY, threshold=threshold, epochs=1)
    train_skipgram(sentences, counts, common, generator=torch.Generator().manual_seed(0), progress=False)
    expected = (keep_probability(counts, threshold) * counts).sum()
    assert len(read[0]) == pytest.approx(float(expected), abs=4 * float(expected) ** 0.5)
    train_skipgram(
        sentences,
        counts,
        common,
        generator=torch.Generator().manual_seed(0),
        keep=torch.tensor([0.0, 1.0]),
        progress=False,
    )
    assert read[1].tolist() == [1] * 1000


def test_the_rate_falls_in_a_straight_line_and_every_block_is_read(monkeypatch):
    steps = []

    class Table(torch.Tensor):
        def index_add_(self, dim, rows, values, *, alpha):
            steps.append((-alpha, len(rows)))
            return self

    model = SkipGram(3, 8)
    model.U, model.C = (torch.nn.Parameter(torch.zeros(3, 8).as_subclass(Table), requires_grad=False) for _ in "UC")
    common = replace(TINY, blocks=2, epochs=2, rate=1.0, last_rate=0.0)
    ids, place = torch.zeros(8 * 8, dtype=torch.int64), torch.zeros(8 * 8, dtype=torch.int64)
    cumulated = torch.tensor([0.5, 0.75, 1.0], dtype=F64)
    for epoch in range(2):
        word2vec._read_once(model, ids, place, cumulated, common, epoch, torch.Generator().manual_seed(0))
    rates = [rate for rate, _ in steps[::3]]
    assert rates == pytest.approx([1 - n / 8 for n in range(8)])  # 4 steps in each of 2 epochs
    assert [rows for _, rows in steps[:3]] == [2 * 8, 2 * 18, 2 * 6]


def test_negatives_are_drawn_from_the_noise(monkeypatch):
    drawn = []

    def spy(u, band, others, near, negatives):
        drawn.append(others[..., 0].flatten())
        return torch.zeros_like(u), torch.zeros_like(band), torch.zeros_like(others)

    monkeypatch.setattr(word2vec, "block_gradient", spy)
    model = SkipGram(3, 1).requires_grad_(False)
    model.C.copy_(torch.tensor([[0.0], [1.0], [2.0]]))
    noise = torch.tensor([0.6, 0.3, 0.1], dtype=F64)
    row = torch.zeros(8000, dtype=torch.int64)
    word2vec._read_once(model, row, row, noise.cumsum(0), TINY, 0, torch.Generator().manual_seed(0))
    found = torch.bincount(torch.cat(drawn).long(), minlength=3) / 6000
    assert found.tolist() == pytest.approx(noise.tolist(), abs=0.03)


def test_vectors_that_explode_are_noticed():
    sentences, counts = two_topics()
    wild = replace(TINY, rate=1e4, last_rate=1e4, blocks=500, epochs=40)
    with pytest.raises(FloatingPointError, match=r"rate = 10000.0 and blocks = 500"):
        train_skipgram(sentences, counts, wild, generator=torch.Generator().manual_seed(0), progress=False)


def test_a_text_of_nothing_trains_nothing():
    model = train_skipgram([], torch.tensor([1, 1]), TINY, generator=torch.Generator().manual_seed(0), progress=False)
    assert bool((model.C == 0).all())


def test_a_model_starts_small_and_repeatable():
    first, second = (SkipGram(50, 4, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(first.U, second.U)
    assert float(first.U.detach().abs().max()) <= 1 / 8
    assert float(first.U.detach().abs().max()) > 0.11
    assert float(first.U.detach().min()) < -0.11
    assert bool((first.C == 0).all())
    assert [p.shape for p in first.parameters()] == [(50, 4), (50, 4)]


def test_the_king_james_text_is_cut_as_said():
    words, counts, train, held_out = king_james_ids()
    assert (len(train) + len(held_out)) // 20 <= len(held_out) <= len(train) // 19 + 1
    assert int(counts.min()) == 5
    assert int(counts.sum()) == sum(map(len, train))
    assert words[:2] == ["the", "and"]
    first = [words[i] for i in held_out[0]]
    assert first[:5] == ["in", "the", "beginning", "god", "created"]
    paragraphs = [split_words(line) for line in king_james().lines]
    assert train == encode([text for i, text in enumerate(paragraphs) if i % 20 != 0], words)  # no word of the held out
    assert held_out == encode([text for i, text in enumerate(paragraphs) if i % 20 == 0], words)


def replaced_text(monkeypatch):
    """Let the trainings read a text of two topics; return its words and their counts."""
    sentences, _ = two_topics()
    words, counts = build_vocabulary([[f"w{i}" for i in row] for row in sentences])
    ids = encode([[f"w{i}" for i in row] for row in sentences], words)
    monkeypatch.setattr(trainings, "king_james_ids", lambda: (words, counts, ids, ids[:3]))
    return words, counts


def test_the_declared_trainings_are_ours_the_peer_and_two_variants(monkeypatch):
    assert [training.name for training in TRAININGS] == [
        f"word2vec.{name}" for name in ("king_james", "gensim", "library_keep", "power_1")
    ]
    assert [training.settings.power for training in TRAININGS] == [0.75, 0.75, 0.75, 1.0]
    assert all(training.full.epochs > training.settings.epochs for training in TRAININGS)
    words = replaced_text(monkeypatch)[0]
    quick = replace(TRAININGS[0].settings, d=6, epochs=20, threshold=1.0, block=8, blocks=1)
    for training in TRAININGS[:3]:
        arrays = training.run(quick, training.seed)
        assert arrays["U"].shape == arrays["C"].shape == (10, 6)
        topics = {word: int(word[1:]) // 5 for word in words}
        vectors = torch.from_numpy(arrays["U"])
        alike = [topics[words[int(most_similar(vectors, i, top=1)[0])]] == topics[words[i]] for i in range(10)]
        assert sum(alike) >= 9  # and so the rows belong to the words


def test_the_peer_gets_the_settings_and_returns_both_tables(monkeypatch):
    words, _ = replaced_text(monkeypatch)
    made, given = [], {}

    def recorder(text, **arguments):
        given.update(arguments)
        made.append(Word2Vec(text, **arguments))
        return made[0]

    monkeypatch.setattr("gensim.models.Word2Vec", recorder)
    odd = SkipGramSettings(d=6, window=3, negatives=4, power=0.5, threshold=0.2, epochs=2, rate=0.03, last_rate=0.01)
    arrays = TRAININGS[1].run(odd, 7)
    names = "vector_size window negative ns_exponent sample epochs alpha min_alpha seed sg workers"
    assert [given[name] for name in names.split()] == [6, 3, 4, 0.5, 0.2, 2, 0.03, 0.01, 7, 1, 1]
    order = [made[0].wv.key_to_index[word] for word in words]
    np.testing.assert_array_equal(arrays["U"], made[0].wv.vectors[order])
    np.testing.assert_array_equal(arrays["C"], made[0].syn1neg[order])


def test_our_trainings_differ_in_the_words_they_keep_and_use_one_thread(monkeypatch):
    _, counts = replaced_text(monkeypatch)
    seen = []

    def recorder(sentences, counts, settings, *, generator, keep):
        seen.append((torch.get_num_threads(), generator.initial_seed(), keep))
        return SkipGram(len(counts), settings.d).requires_grad_(False)

    monkeypatch.setattr(trainings, "train_skipgram", recorder)
    settings = replace(TINY, threshold=0.01)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        TRAININGS[0].run(settings, 5)
        TRAININGS[2].run(settings, 5)
        assert torch.get_num_threads() == 2  # as before
    finally:
        torch.set_num_threads(threads)
    assert [row[:2] for row in seen] == [(1, 5), (1, 5)]
    close(seen[0][2], keep_probability(counts, 0.01))
    close(seen[1][2], library_keep_probability(counts, 0.01))
    assert [t.settings.power for t in TRAININGS if t.settings != TRAININGS[0].settings] == [1.0]


# What users meet


def test_inputs_are_not_changed(rng):
    U, C, center, context, _ = given_ones = tables(rng)
    before = [x.clone() for x in given_ones]
    sgns_loss(*given_ones)
    sgns_gradient(*given_ones)
    full_softmax_loss(U, C, center, context)
    most_similar(U, 1, top=2)
    analogy(U, 0, 1, 2)
    pmi(U.exp())
    near = torch.ones(1, 7, 7, dtype=torch.bool)
    block_gradient(U[None], C[None], C[None], near, 5)
    assert all(torch.equal(a, b) for a, b in zip(before, given_ones, strict=True))


@pytest.mark.usefixtures("own_errors")
class TestErrors:
    def raises(self, error, words, function, *arguments, **settings):
        with pytest.raises(error) as caught:
            function(*arguments, **settings)
        assert all(word in str(caught.value) for word in words), str(caught.value)

    def test_numbers_out_of_range(self):
        self.raises(ValueError, ["min_count", "0"], build_vocabulary, [["a"]], 0)
        self.raises(ValueError, ["window", "0"], skipgram_pairs, [[1, 2]], 0)
        self.raises(ValueError, ["threshold", "0"], keep_probability, torch.tensor([1]), 0)
        self.raises(ValueError, ["threshold", "-1"], library_keep_probability, torch.tensor([1]), -1)
        self.raises(ValueError, ["V = 0", "d = 3"], SkipGram, 0, 3)
        self.raises(ValueError, ["V = 3", "d = 0"], SkipGram, 3, 0)

    @pytest.mark.parametrize("counts", [[-1, 2], [0, 0], []])
    @pytest.mark.parametrize(
        "function",
        [
            noise_distribution,
            lambda counts: keep_probability(counts, 0.1),
            lambda counts: library_keep_probability(counts, 0.1),
        ],
    )
    def test_counts(self, function, counts):
        self.raises(ValueError, ["counts must not be negative"], function, torch.tensor(counts))

    def test_shapes(self):
        U, one = torch.ones(3, 2), torch.tensor([0])
        self.raises(ValueError, ["U has d = 2", "C has d = 4"], sgns_loss, U, torch.ones(3, 4), one, one, one[None])
        self.raises(
            ValueError, ["center has B = 1", "context has B = 2"], sgns_loss, U, U, one, torch.tensor([0, 1]), one[None]
        )
        self.raises(
            ValueError,
            ["center has B = 1", "negatives has B = 2"],
            sgns_gradient,
            U,
            U,
            one,
            one,
            torch.zeros(2, 4, dtype=torch.int64),
        )
        self.raises(
            ValueError, ["joint has V_context = 2", "noise has V_context = 3"], sgns_optimum, U, torch.ones(3), 1
        )
        self.raises(ValueError, ["joint has V_context = 2", "contexts has V_context = 3"], pmi, U, torch.ones(3))
        self.raises(
            ValueError,
            ["U has V = 3", "noise has V = 2"],
            expected_sgns_loss,
            U,
            U,
            torch.zeros(1, 2).long(),
            torch.ones(2),
            5,
        )
        u, near = torch.ones(1, 2, 3), torch.ones(1, 2, 5).bool()
        self.raises(
            ValueError, ["band has W = 4", "near has W = 5"], block_gradient, u, torch.ones(1, 4, 3), u, near, 5
        )
        self.raises(
            ValueError,
            ["u has d = 3", "drawn has d = 4"],
            block_gradient,
            u,
            torch.ones(1, 5, 3),
            torch.ones(1, 2, 4),
            near,
            5,
        )

    def test_ids(self):
        U, one = torch.ones(3, 2), torch.tensor([0])
        self.raises(TypeError, ["context", "float32"], full_softmax_loss, U, U, one, torch.tensor([0.0]))
        for bad in (3, -1):
            words = ["negatives has ids", str(bad), "V = 3", "0 to 2"]
            self.raises(ValueError, words, sgns_loss, U, U, one, one, torch.tensor([[bad]]))
        self.raises(ValueError, ["pairs", "-1", "V = 3"], pair_counts, torch.tensor([[0, -1]]), 3)
        self.raises(ValueError, ["pairs", "3", "V = 3"], pair_counts, torch.tensor([[0, 3]]), 3)
        self.raises(TypeError, ["U must hold floating"], sgns_loss, U.long(), U.long(), one, one, one[None])

    def test_no_pairs(self):
        U, none = torch.ones(3, 2), torch.zeros(0, dtype=torch.int64)
        self.raises(ValueError, ["B = 0"], sgns_loss, U, U, none, none, none[:, None])
        self.raises(ValueError, ["B = 0"], full_softmax_loss, U, U, none, none)
        self.raises(ValueError, ["B = 0"], expected_sgns_loss, U, U, none.reshape(0, 2), torch.ones(3), 5)

    def test_words_and_answers_that_are_not_there(self):
        U = torch.ones(5, 2)
        for query in (5, -1):
            self.raises(ValueError, ["query", str(query), "V = 5"], most_similar, U, query, 1)
        for top in (0, 5):
            self.raises(ValueError, [f"top is {top}", "between 1 and 4"], most_similar, U, 0, top)
        for top in (0, 3):
            self.raises(ValueError, [f"top is {top}", "between 1 and 2"], analogy, U, 0, 1, 2, top)
        for top in (0, 6):
            self.raises(ValueError, [f"top is {top}", "between 1 and 5"], analogy_with_inputs, U, 0, 1, 2, top)
        for name, words in (("a", (9, 1, 2)), ("b", (1, 9, 2)), ("c", (1, 2, 9))):
            self.raises(ValueError, [f"{name} is 9", "V = 5"], analogy, U, *words)


# No hidden CPU tensor


def functions_on(device):
    """Every function, on tensors of a device, by name."""
    U, C = (torch.ones(7, 3, device=device, requires_grad=True) for _ in "UC")
    ids = torch.zeros(4, dtype=torch.int64, device=device)
    negatives = torch.zeros(4, 5, dtype=torch.int64, device=device)
    noise, near = torch.ones(7, device=device), torch.ones(1, 7, 7, dtype=torch.bool, device=device)
    pairs = torch.zeros(4, 2, dtype=torch.int64, device=device)
    x = torch.ones(1, 7, 3, device=device)
    return {
        "noise_distribution": lambda: noise_distribution(U[:, 0]),
        "keep_probability": lambda: keep_probability(U[:, 0], 0.1),
        "library_keep_probability": lambda: library_keep_probability(U[:, 0], 0.1),
        "full_softmax_loss": lambda: full_softmax_loss(U, C, ids, ids),
        "sgns_loss": lambda: sgns_loss(U, C, ids, ids, negatives),
        "sgns_gradient": lambda: sum(sgns_gradient(U, C, ids, ids, negatives)),
        "expected_sgns_loss": lambda: expected_sgns_loss(U, C, pairs, noise, 5),
        "pmi": lambda: pmi(U),
        "sgns_optimum": lambda: sgns_optimum(U, C[0], 5),
        "most_similar": lambda: most_similar(U, 1)[1],
        "analogy": lambda: analogy(U, 0, 1, 2)[1],
        "analogy_with_inputs": lambda: analogy_with_inputs(U, 0, 1, 2)[1],
        "block_gradient": lambda: sum(block_gradient(x, x, x, near, 5)).requires_grad_(),
    }


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("name", functions_on("cpu"))
def test_functions_stay_on_their_device(name, device):
    out = functions_on(device)[name]()
    assert out.device.type == device
    out.sum().backward()


@pytest.mark.parametrize("device", DEVICES)
def test_a_training_step_stays_on_the_device(device):
    generator = torch.Generator(device="cpu" if device == "meta" else device).manual_seed(0)
    model = SkipGram(7, 3, generator=generator, device=device, dtype=torch.float32)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids = torch.zeros(4, dtype=torch.int64, device=device)
    loss = model(ids, ids, torch.zeros(4, 5, dtype=torch.int64, device=device))
    loss.backward()
    optimizer.step()
    assert all(p.device.type == device and p.grad.device.type == device for p in model.parameters())


@needs_cuda
def test_training_lives_where_its_generator_lives():
    sentences, counts = two_topics()
    model = train_skipgram(sentences, counts, TINY, generator=torch.Generator("cuda").manual_seed(0), progress=False)
    assert model.U.device.type == "cuda"


# The exercises: right answers in unusual ways, and mistakes whose constants differ


def pairs_by_distances(sentences, window):
    found = [torch.zeros(0, 2, dtype=torch.int64)]
    for sentence in sentences:
        words, place = torch.tensor(sentence, dtype=torch.int64), torch.arange(len(sentence))
        distance = (place[:, None] - place).abs()
        t, s = torch.where((distance > 0) & (distance <= window))
        found.append(torch.stack((words[t], words[s]), dim=1))
    return torch.cat(found)


def loss_with_labels(U, C, center, context, negatives):
    words = torch.cat((context[:, None], negatives), dim=1)
    scores = torch.einsum("bd,bkd->bk", U[center], C[words])
    labels = torch.zeros_like(scores)
    labels[:, 0] = 1
    return F.binary_cross_entropy_with_logits(scores, labels, reduction="none").sum(1).mean()


def gradient_of_a_table_of_counts(U, C, center, context, negatives):
    V, B = len(U), len(center)
    centers, contexts = F.one_hot(center, V).double(), F.one_hot(context, V).double()
    sigma = torch.sigmoid(centers @ U @ C.mT)  # (B, V)
    error = contexts * (sigma - 1) + F.one_hot(negatives, V).double().sum(1) * sigma
    return [centers.mT @ error @ C / B, error.mT @ centers @ U / B]


def noise_by_softmax(counts, power):
    return torch.softmax(power * counts.double().log(), dim=0)


def similar_by_library(vectors, query, top):
    cosines = F.cosine_similarity(vectors, vectors[query][None])
    cosines[query] = -2
    return torch.argsort(cosines, descending=True)[:top], cosines.sort(descending=True).values[:top]


def analogy_by_three_cosines(vectors, a, b, c, top):
    unit = F.normalize(vectors, dim=1)
    cosines = unit @ unit[[a, b, c]].mT @ torch.tensor([-1.0, 1.0, 1.0], dtype=F64)
    cosines = cosines / (unit[b] - unit[a] + unit[c]).norm()
    kept = [word for word in range(len(vectors)) if word not in (a, b, c)]
    best = cosines[kept].topk(top)
    return torch.tensor(kept)[best.indices], best.values


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("skipgram_pairs", pairs_by_distances),
        ("sgns_loss", loss_with_labels),
        ("sgns_gradient", gradient_of_a_table_of_counts),
        ("noise_distribution", noise_by_softmax),
        ("most_similar", similar_by_library),
        ("analogy", analogy_by_three_cosines),
    ],
)
def test_an_unusual_right_answer_gets_full_points(name, answer, seed):
    report = evaluate(f"word2vec.{name}", answer, seed)
    assert report.score == report.max_score, report.feedback


@pytest.mark.parametrize("eps", [1e-12, 1e-10, 1e-8])
def test_a_small_number_in_a_cosine_is_explained(eps):
    def answer(vectors, query, top):
        cosines = vectors @ vectors[query] / (vectors.norm(dim=1) * vectors[query].norm() + eps)
        cosines[query] = -2
        best = cosines.topk(top)
        return best.indices, best.values

    report = evaluate("word2vec.most_similar", answer)
    assert report.score < report.max_score
    assert "small number in the denominator" in " ".join(report.feedback.split())


@pytest.mark.parametrize("eps", [1e-15, 1e-12, 1e-10])
def test_a_small_number_in_a_logarithm_is_explained(eps):
    def answer(U, C, center, context, negatives):
        positive = torch.sigmoid((U[center] * C[context]).sum(1))
        negative = torch.sigmoid(-torch.einsum("bd,bkd->bk", U[center], C[negatives]))
        return -((positive + eps).log() + (negative + eps).log().sum(1)).mean()

    report = evaluate("word2vec.sgns_loss", answer)
    assert report.score < report.max_score
    assert "small number inside a logarithm" in " ".join(report.feedback.split())


def first_of(similarity, top, how):
    """Return the first words in one of the ways in which ties may be ordered."""
    if how == "topk":
        best = similarity.topk(top)
        return best.indices, best.values
    order = similarity.argsort(descending=True, stable=True) if how == "first" else similarity.argsort().flip(0)
    return order[:top], similarity[order[:top]]


def similar_hidden_by(value, how):
    def answer(vectors, query, top):
        unit = F.normalize(vectors, dim=1)
        cosines = unit @ unit[query]
        cosines[query] = value
        return first_of(cosines, top, how)

    return answer


def analogy_hidden_by(value, how):
    def answer(vectors, a, b, c, top):
        unit = F.normalize(vectors, dim=1)
        cosines = unit @ F.normalize(unit[b] - unit[a] + unit[c], dim=0)
        cosines[[a, b, c]] = value
        return first_of(cosines, top, how)

    return answer


@pytest.mark.parametrize("how", ["topk", "first", "last"])
@pytest.mark.parametrize(("name", "hidden_by"), [("most_similar", similar_hidden_by), ("analogy", analogy_hidden_by)])
def test_a_cosine_of_minus_one_hides_no_word(name, hidden_by, how):
    exercise = f"word2vec.{name}"
    assert evaluate(exercise, hidden_by(-torch.inf, how)).status == "passed"
    assert evaluate(exercise, hidden_by(-2.0, how)).status == "passed"
    report = evaluate(exercise, hidden_by(-1.0, how))
    assert report.score < report.max_score
    assert "minus infinity" in " ".join(report.feedback.split())


@pytest.mark.parametrize("key", [lambda w: w.lower(), lambda w: w.casefold(), lambda w: (w.lower(), w)])
def test_ties_that_ignore_capitals_are_explained(key):
    def answer(sentences, min_count):
        count = Counter(word for sentence in sentences for word in sentence)
        words = sorted((w for w in count if count[w] >= min_count), key=lambda w: (-count[w], key(w)))
        return words, torch.tensor([count[word] for word in words], dtype=torch.int64)

    assert "small letters" in evaluate("word2vec.build_vocabulary", answer).feedback


def test_an_index_before_the_start_and_beyond_the_length_is_explained():
    def answer(sentences, window):
        pairs = []
        for row in sentences:
            for t in range(len(row)):
                for o in range(-window, window + 1):
                    if o != 0 and t + o < len(row):
                        pairs.append((row[t], row[t + o]))
        return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)

    feedback = " ".join(evaluate("word2vec.skipgram_pairs", answer).feedback.split())
    assert "index is negative" in feedback
    assert "raises IndexError" in feedback
