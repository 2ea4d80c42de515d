"""Exercises on word vectors: vocabulary, pairs, negative sampling and its gradient, neighbors and analogies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import logsigmoid

from mlcourse import word2vec
from mlcourse.exercises.protocol import edge, exercise, random, worked

AUTOGRAD = (
    "torch.autograd.grad",
    "torch.autograd.backward",
    "torch.Tensor.backward",
    "torch.autograd.functional.jacobian",
    "torch.autograd.functional.vjp",
    "torch.func.grad",
    "torch.func.grad_and_value",
    "torch.func.vjp",
    "torch.func.jacrev",
    "torch.func.jacfwd",
)


def normal(rng, *shape):
    return torch.from_numpy(rng.standard_normal(shape))


def integers(rng, high, *shape):
    return torch.from_numpy(rng.integers(0, high, size=shape))


def tensor(rows):
    return torch.tensor(rows, dtype=torch.float64)


def ids(rows):
    return torch.tensor(rows, dtype=torch.int64)


def close(a, b):
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-6, atol=1e-9)


# What the loops below go through: the decisions that a misconception changes.
settings: dict[str, Any]
rule: Callable[..., Any]


# 1. build_vocabulary

WORDS = ("sea", "ark", "the", "dove", "and", "olive", "rain", "noah")


def text(rng, lengths):
    """Draw sentences in which some words are frequent and many counts are equal."""
    shares = [0.1, 0.1, 0.25, 0.1, 0.2, 0.1, 0.1, 0.05]
    return [[WORDS[i] for i in rng.choice(8, size=n, p=shares)] for n in lengths]


@exercise("word2vec.build_vocabulary", reference=word2vec.build_vocabulary, points=6)
def build_vocabulary(rng):
    """Find the words that occur often enough, most frequent first, and count them."""
    flood = [["sea", "the", "ark", "the"], ["the", "ark", "sea", "the"], ["dove", "dove", "olive"]]
    yield worked(sentences=flood, min_count=2)
    for lengths, min_count in [((9, 4, 7), 2), ((5, 12, 8, 6), 3), ((3, 2, 6), 1)]:
        yield random(sentences=text(rng, lengths), min_count=min_count)
    yield edge(sentences=[["sea"]], min_count=1)
    yield edge(sentences=[["b"], [], ["a"], ["c"]], min_count=1)
    yield edge(sentences=[["sea", "ark"]], min_count=2)
    yield edge(sentences=[], min_count=1)


def vocabulary(*, order=lambda word, n: (-n, word), keep=lambda n, least: n >= least, reverse=False, per="word"):
    """Build a vocabulary with one or two decisions changed."""

    def build(sentences, min_count):
        each = (set(sentence) if per == "sentence" else sentence for sentence in sentences)
        count = Counter(word for sentence in each for word in sentence)
        kept = [(word, n) for word, n in count.items() if keep(n, min_count)]
        kept.sort(key=lambda item: order(*item), reverse=reverse)
        return [word for word, _ in kept], ids([n for _, n in kept])

    return build


def by_count_alone(word, n):
    return -n


def every(n, least):
    return True


def more(n, least):
    return n > least


NOT_FILTERED = (
    "Rare words are still there: min_count does nothing. A word that occurs twice has had no chance to learn a vector, "
    "and rare words are most of a vocabulary. Keep those with n >= min_count. "
)
STRICT = "Your comparison is strict. A word that occurs exactly min_count times is kept: n >= min_count. "
TIES = (
    "Words of equal count stand in the order in which they were met, as Counter.most_common returns them. The ids then "
    "depend on the order of the text. Sort by falling count and then by the word: key (-n, word). "
)
for name, hint, settings in (
    ("not_filtered", NOT_FILTERED, {"keep": every}),
    ("strict", STRICT, {"keep": more}),
    ("ties_as_met", TIES, {"order": by_count_alone}),
    ("not_filtered_and_ties_as_met", NOT_FILTERED + TIES, {"keep": every, "order": by_count_alone}),
    ("strict_and_ties_as_met", STRICT + TIES, {"keep": more, "order": by_count_alone}),
    (
        "ties_backward",
        "Words of equal count run from z to a: you sorted pairs (n, word) in reverse, which reverses both. Sort by the "
        "key (-n, word) without reverse.",
        {"order": lambda word, n: (n, word), "reverse": True},
    ),
    (
        "rarest_first",
        "The rarest word has id 0. The most frequent comes first: sort by falling count.",
        {"order": lambda word, n: (n, word)},
    ),
    (
        "alphabetical",
        "Your words stand in alphabetical order. That decides between words of equal count alone: the most frequent "
        "word comes first.",
        {"order": lambda word, n: word},
    ),
    ("as_met", "Your words stand in the order in which they were met. Sort them.", {"order": lambda word, n: 0}),
    (
        "sentences_counted",
        "You count in how many sentences a word stands, as a search engine does. Here every occurrence counts.",
        {"per": "sentence"},
    ),
):
    build_vocabulary.misconception(hint, name=name)(vocabulary(**settings))


@build_vocabulary.misconception(
    "Where no word is kept, torch.tensor([]) makes a float32 tensor. Say the dtype: torch.tensor(counts, "
    "dtype=torch.int64)."
)
def empty_counts_are_floats(sentences, min_count):
    words, counts = vocabulary()(sentences, min_count)
    return words, torch.tensor(counts.tolist())


@build_vocabulary.misconception(
    "You return shares of the text. What is asked are counts, whole numbers: powers and thresholds come later."
)
def shares(sentences, min_count):
    words, counts = vocabulary()(sentences, min_count)
    return words, counts / sum(len(sentence) for sentence in sentences)


@build_vocabulary.misconception("The results have changed places: words first, then counts.")
def counts_first(sentences, min_count):
    return vocabulary()(sentences, min_count)[::-1]


@build_vocabulary.always("The order of the sentences changes nothing.")
def order_of_sentences(call, rng):
    sentences = text(rng, (5, 9, 7))
    words, counts = call(sentences=sentences, min_count=2)
    turned, again = call(sentences=[sentence[::-1] for sentence in sentences[::-1]], min_count=2)
    return words == turned and torch.equal(counts, again)


@build_vocabulary.always("With min_count 1 the counts add up to the length of the text.")
def counts_add_up(call, rng):
    return int(call(sentences=text(rng, (5, 9, 7)), min_count=1)[1].sum()) == 21


# 2. skipgram_pairs


def sorted_pairs(candidate, sentences, window):
    """Call, and bring the pairs into one order: any order is right."""
    pairs = candidate(sentences, window)
    if type(pairs) is torch.Tensor and pairs.ndim == 2 and pairs.shape[1] == 2:
        rows = pairs.tolist()
        order = sorted(range(len(rows)), key=rows.__getitem__)
        return pairs[order]
    return pairs


def numbers(rng, lengths, V=6):
    return [rng.integers(0, V, size=n).tolist() for n in lengths]


@exercise("word2vec.skipgram_pairs", reference=word2vec.skipgram_pairs, points=6, run=sorted_pairs)
def skipgram_pairs(rng):
    """Every word with every word near it, within its sentence."""
    yield worked(sentences=[[3, 1, 4, 1, 5], [2, 6]], window=3)
    for lengths, window in [((7, 4, 6), 2), ((5, 9), 3), ((8, 3, 1, 6), 1), ((6, 10), 4)]:
        yield random(sentences=numbers(rng, lengths), window=window)
    yield edge(sentences=[[7]], window=2)
    yield edge(sentences=[], window=1)
    yield edge(sentences=[[], [8, 9]], window=50)
    yield edge(sentences=[[4, 4, 4]], window=1)


def pairs_by(partners, *, one_text=False, finish=list):
    """Make pairs from a rule that yields the partners of position t in a sentence."""

    def make(sentences, window):
        if one_text:
            sentences = [[word for sentence in sentences for word in sentence]]
        found = [(row[t], x) for row in sentences for t in range(len(row)) for x in partners(row, t, window)]
        return torch.tensor(finish(found), dtype=torch.int64).reshape(-1, 2)

    return make


def right_partners(row, t, m):
    return row[max(0, t - m) : t] + row[t + 1 : t + m + 1]


def left(row, t, m):
    return row[max(0, t - m) : t]


def right(row, t, m):
    return row[t + 1 : t + m + 1]


def with_itself(row, t, m):
    return row[max(0, t - m) : t + m + 1]


def wrapping_left(row, t, m):
    return [row[t - o] for o in range(1, m + 1)] + row[t + 1 : t + m + 1]


def wrapping(row, t, m):
    return [row[(t + o) % len(row)] for o in range(-m, m + 1) if o]


def beyond_the_end(row, t, m):
    return [row[t + o] for o in range(-m, m + 1) if o]


LEFT = (
    "Only words to the left are contexts. That is how a language model reads; skip-gram predicts the words on both "
    "sides of the center. "
)
RIGHT = "Only words to the right are contexts. Skip-gram predicts the words on both sides of the center. "
ITSELF = (
    "The center is its own context: the position s = t is in your window. Every vector would learn to predict itself. "
)
CROSSING = (
    "Pairs reach across the border of two sentences. The last word of one and the first of the next stand side by "
    "side by accident: treat each sentence alone. "
)
NEGATIVE = (
    "Near the start of a sentence the left end of your slice is negative, and Python counts it from the right: the "
    "contexts are lost. Use max(0, t - window). "
)


def negative_slice(row, t, m):
    return row[t - m : t] + row[t + 1 : t + m + 1]


for name, hint, rule, settings in (
    ("left_only", LEFT, left, {}),
    ("right_only", RIGHT, right, {}),
    ("includes_the_center", ITSELF, with_itself, {}),
    ("crosses_sentences", CROSSING, right_partners, {"one_text": True}),
    ("left_only_across_sentences", LEFT + CROSSING, left, {"one_text": True}),
    ("right_only_across_sentences", RIGHT + CROSSING, right, {"one_text": True}),
    ("center_and_across_sentences", ITSELF + CROSSING, with_itself, {"one_text": True}),
    ("negative_slice", NEGATIVE, negative_slice, {}),
    ("negative_slice_across_sentences", NEGATIVE + CROSSING, negative_slice, {"one_text": True}),
    (
        "skips_equal_words",
        "You compare words where positions are meant: a word that is repeated nearby is a context of itself, as in "
        "'holy, holy, holy'. Leave out the position s = t alone.",
        lambda row, t, m: [x for x in right_partners(row, t, m) if x != row[t]],
        {},
    ),
    (
        "each_pair_once",
        "Every pair stands there once. A pair that occurs often must occur often: its count is what the vectors learn "
        "from. Do not remove duplicates.",
        right_partners,
        {"finish": lambda pairs: sorted(set(pairs))},
    ),
    (
        "window_of_both_sides",
        "You take the window as the width of both sides together. Here it is the reach on each side: up to `window` "
        "words on the left and as many on the right.",
        lambda row, t, m: right_partners(row, t, m // 2),
        {},
    ),
    (
        "window_too_short",
        "Your window ends one word too soon: a distance equal to `window` still counts. Look at the ends of range.",
        lambda row, t, m: right_partners(row, t, m - 1),
        {},
    ),
    (
        "right_end_too_short",
        "On the right your window ends one word too soon: a slice leaves out its end, so it must be t + window + 1.",
        lambda row, t, m: row[max(0, t - m) : t] + row[t + 1 : t + m],
        {},
    ),
    (
        "full_windows_only",
        "Words near the ends of a sentence are no centers in your code. They have fewer contexts, but they have some.",
        lambda row, t, m: right_partners(row, t, m) if m <= t < len(row) - m else [],
        {},
    ),
    (
        "wraps_around_on_the_left",
        "Near the start t - o is negative, and row[-1] is the LAST word of the sentence: no error, wrong pairs. Stop "
        "at position 0.",
        wrapping_left,
        {},
    ),
    (
        "wraps_around",
        "Your sentence is a ring: its last word is a neighbor of its first. Stop at both ends.",
        wrapping,
        {},
    ),
    (
        "runs_off_the_end",
        "Near the end of a sentence t + o reaches beyond the last word. Stop at len(sentence), and on the left at 0.",
        beyond_the_end,
        {},
    ),
    (
        "nearest_only",
        "Each word has at most one context on each side, the one at the largest or smallest distance. All words up to "
        "the distance `window` are contexts.",
        lambda row, t, m: right_partners(row, t, 1),
        {},
    ),
    (
        "farthest_only",
        "Only words at exactly the distance `window` are contexts. All words up to that distance are.",
        lambda row, t, m: [row[s] for s in (t - m, t + m) if 0 <= s < len(row)],
        {},
    ),
):
    skipgram_pairs.misconception(hint, name=name)(pairs_by(rule, **settings))


@skipgram_pairs.misconception(
    "Without any pair, torch.tensor([]) is a float32 tensor of shape (0,). Keep dtype and shape: "
    "torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)."
)
def empty_without_shape(sentences, window):
    return torch.tensor(pairs_by(right_partners)(sentences, window).tolist())


@skipgram_pairs.misconception("You return pairs in columns, (2, n). One pair is one row: (n, 2).")
def pairs_in_columns(sentences, window):
    return pairs_by(right_partners)(sentences, window).mT


@skipgram_pairs.always("A pair occurs as often as its reverse.")
def symmetric(call, rng):
    pairs = call(sentences=numbers(rng, (9, 6)), window=2).tolist()
    return Counter(map(tuple, pairs)) == Counter((b, a) for a, b in pairs)


@skipgram_pairs.always("Two texts together have the pairs of the one and the pairs of the other.")
def texts_add_up(call, rng):
    first, second = numbers(rng, (7, 5)), numbers(rng, (4,))
    together = call(sentences=first + second, window=3).tolist()
    apart = call(sentences=first, window=3).tolist() + call(sentences=second, window=3).tolist()
    return sorted(together) == sorted(apart)


# 3. sgns_loss


def drawn(rng, V, d, B, K, scale=1.0):
    return {
        "U": scale * normal(rng, V, d),
        "C": scale * normal(rng, V, d),
        "center": integers(rng, V, B),
        "context": integers(rng, V, B),
        "negatives": integers(rng, V, B, K),
    }


SMALL = {
    "U": tensor([[1, 0], [0, 2], [-1, 1], [0.5, 0], [1, 1]]),
    "C": tensor([[0, 1], [1, 1], [2, 0], [-1, 0], [0, -1]]),
    "center": ids([0, 1, 0]),
    "context": ids([2, 1, 2]),
    "negatives": ids([[1, 3, 3, 4], [0, 4, 2, 3], [0, 1, 2, 3]]),
}


@exercise("word2vec.sgns_loss", reference=word2vec.sgns_loss, points=6)
def sgns_loss(rng):
    """Compare true pairs, each with K words drawn from the noise, by their mean loss."""
    yield worked(**SMALL)
    for V, d, B, K in [(7, 3, 4, 5), (5, 2, 6, 3), (9, 4, 3, 2)]:
        yield random(**drawn(rng, V, d, B, K))
    yield edge(**drawn(rng, 3, 2, 1, 1))
    yield edge(U=torch.zeros(4, 3).double(), C=torch.zeros(4, 3).double(), **{k: SMALL[k] % 4 for k in INDICES})
    huge = {"U": tensor([[1000], [1]]), "C": tensor([[-1], [1]]), "center": ids([0])}
    yield edge(**huge, context=ids([0]), negatives=ids([[0, 0]]))
    yield edge(**huge, context=ids([1]), negatives=ids([[1, 0]]))


INDICES = ("center", "context", "negatives")


def scores(U, C, center, context, negatives):
    u = U[center]
    return (u * C[context]).sum(-1), (u[:, None] * C[negatives]).sum(-1)


def loss_from(combine, find=scores):
    def loss(U, C, center, context, negatives):
        return combine(*find(U, C, center, context, negatives))

    return loss


def right_loss(positive, negative):
    return -(logsigmoid(positive) + logsigmoid(-negative).sum(-1)).mean()


def shared_words(U, C, center, context, negatives):
    return scores(U, U, center, context, negatives)


def shared_contexts(U, C, center, context, negatives):
    return scores(C, C, center, context, negatives)


def tables_swapped(U, C, center, context, negatives):
    return scores(C, U, center, context, negatives)


def negatives_among_words(U, C, center, context, negatives):
    return scores(U, C, center, context, negatives)[0], (U[center][:, None] * U[negatives]).sum(-1)


def first_negative_row(U, C, center, context, negatives):
    return scores(U, C, center, context, negatives[:1].expand_as(negatives))


SIGN = (
    "The negatives have the sign of the positives. Their label is 0: the model should say no to them, so the loss "
    "holds log sigma(-u.c). With your sign all words are pulled together, and one long vector for all is the best. "
)
SHARED = (
    "Both vectors come from U. A word in the center and a word as context have different vectors: contexts and "
    "negatives are rows of C. With one table every word would be its own best context, which it nearly never is. "
)
SUMMED = "You sum over the pairs of the batch. The loss is their mean: divide by B. "
AVERAGED = "You average over the negatives. The loss sums over them: K negatives weigh K times as much as one. "


def signed(positive, negative):
    return -(logsigmoid(positive) + logsigmoid(negative).sum(-1)).mean()


def summed(positive, negative):
    return -(logsigmoid(positive) + logsigmoid(-negative).sum(-1)).sum()


def averaged(positive, negative):
    return -(logsigmoid(positive) + logsigmoid(-negative).mean(-1)).mean()


def naive_positive(positive, negative):
    return -(torch.sigmoid(positive).log() + logsigmoid(-negative).sum(-1)).mean()


def naive_negative(positive, negative):
    return -(logsigmoid(positive) + (1 - torch.sigmoid(negative)).log().sum(-1)).mean()


def naive_both(positive, negative):
    return -(torch.sigmoid(positive).log() + torch.sigmoid(-negative).log().sum(-1)).mean()


UNDERFLOW = (
    "At a score of -1000 sigma is 0 and its logarithm minus infinity, although log sigma(-1000) is simply -1000. Use "
    "torch.nn.functional.logsigmoid. "
)
for name, hint, combine, find in (
    ("sign_of_the_negatives", SIGN, signed, scores),
    ("one_shared_table", SHARED, right_loss, shared_words),
    ("sign_and_shared_table", SIGN + SHARED, signed, shared_words),
    (
        "contexts_for_centers",
        "Both vectors come from C. The center's vector is a row of U.",
        right_loss,
        shared_contexts,
    ),
    (
        "tables_swapped",
        "The tables have changed places: the center's vector is a row of U, contexts and negatives are rows of C.",
        right_loss,
        tables_swapped,
    ),
    (
        "negatives_among_words",
        "The negatives come from U. A negative is a word in the role of a context, so it is a row of C, as the true "
        "context is.",
        right_loss,
        negatives_among_words,
    ),
    ("summed_over_the_batch", SUMMED, summed, scores),
    (
        "sign_and_sum",
        SIGN + SUMMED,
        lambda positive, negative: -(logsigmoid(positive) + logsigmoid(negative).sum(-1)).sum(),
        scores,
    ),
    ("shared_table_and_sum", SHARED + SUMMED, summed, shared_words),
    ("negatives_averaged", AVERAGED, averaged, scores),
    (
        "averaged_and_summed",
        AVERAGED + SUMMED,
        lambda positive, negative: -(logsigmoid(positive) + logsigmoid(-negative).mean(-1)).sum(),
        scores,
    ),
    (
        "mean_over_everything",
        "You average over all B (1 + K) terms. The mean runs over the B pairs alone; the 1 + K terms of a pair are "
        "summed.",
        lambda positive, negative: right_loss(positive, negative) / (1 + negative.shape[-1]),
        scores,
    ),
    (
        "no_minus",
        "This is the log-likelihood, which is at most 0 and should grow. A loss should fall: put a minus in front.",
        lambda positive, negative: -right_loss(positive, negative),
        scores,
    ),
    (
        "no_logarithm",
        "The logarithm is missing. The loss is minus the log-probability of the right answers, not minus the "
        "probability.",
        lambda positive, negative: -(torch.sigmoid(positive) + torch.sigmoid(-negative).sum(-1)).mean(),
        scores,
    ),
    (
        "no_sigmoid",
        "You compare raw scores. Without a sigmoid there is no lower end: longer vectors always lower the loss.",
        lambda positive, negative: (-positive + negative.sum(-1)).mean(),
        scores,
    ),
    (
        "softmax_over_the_drawn",
        "You take softmax over the true context and its negatives. That is another loss (one choice among 1 + K). "
        "Negative sampling asks 1 + K separate yes-or-no questions, each with its own sigmoid.",
        lambda positive, negative: (
            torch.logsumexp(torch.cat((positive[:, None], negative), dim=1), dim=1) - positive
        ).mean(),
        scores,
    ),
    (
        "negatives_left_out",
        "The negatives are missing. With true pairs alone, making all scores huge is perfect, and nothing is learned.",
        lambda positive, negative: -logsigmoid(positive).mean(),
        scores,
    ),
    (
        "first_negatives_for_all",
        "All pairs use the negatives of the first pair. Row b of negatives belongs to pair b.",
        right_loss,
        first_negative_row,
    ),
    (
        "one_loss_per_pair",
        "You return one loss for each pair. What is asked is one number, their mean.",
        lambda positive, negative: -(logsigmoid(positive) + logsigmoid(-negative).sum(-1)),
        scores,
    ),
    ("logarithm_of_zero", UNDERFLOW, naive_positive, scores),
    ("logarithm_of_zero_for_negatives", UNDERFLOW, naive_negative, scores),
    ("logarithm_of_zero_for_both", UNDERFLOW, naive_both, scores),
):
    sgns_loss.misconception(hint, name=name)(loss_from(combine, find))


@sgns_loss.always("The order of the pairs and of the negatives within a pair changes nothing.")
def order_of_pairs(call, rng):
    given = drawn(rng, 7, 3, 4, 5)
    turned = {**given, **{k: given[k].flip(0) for k in INDICES}}
    turned["negatives"] = turned["negatives"].flip(1)
    return bool(torch.isclose(torch.as_tensor(call(**given)), torch.as_tensor(call(**turned)), rtol=1e-6))


@sgns_loss.always("With all scores 0 the loss is (1 + K) log 2.")
def at_the_start(call, rng):
    given = drawn(rng, 7, 3, 4, 5)
    given["C"] = torch.zeros_like(given["C"])
    return abs(float(call(**given)) - 6 * 0.6931471805599453) < 1e-6


# 4. sgns_gradient


@exercise("word2vec.sgns_gradient", reference=word2vec.sgns_gradient, points=6, forbidden=AUTOGRAD)
def sgns_gradient(rng):
    """Derive the loss by every row of both tables, without automatic differentiation."""
    yield worked(**SMALL)
    for V, d, B, K in [(4, 3, 6, 5), (5, 2, 7, 3), (6, 4, 3, 2)]:
        yield random(**drawn(rng, V, d, B, K))
    yield edge(**drawn(rng, 3, 2, 1, 1))
    yield edge(**{**SMALL, "context": ids([1, 0, 3]), "negatives": ids([[1, 1], [0, 4], [3, 1]])})
    yield edge(**{**SMALL, "U": 1000 * SMALL["U"]})


def gradient(
    *,
    label=(1.0, 0.0),
    sign=1.0,
    per_pair=1.0,
    negative_weight=lambda K: 1.0,
    mean=True,
    kept=("context", "negatives", "to_context", "to_negatives"),
    lost=(),
    shared=False,
):
    """Compute the gradient with one or two decisions changed."""

    def add(table, rows, values, name):
        if name in lost:
            table[rows] += values  # of rows that are named twice, one is kept
        else:
            table.index_add_(0, rows, values)

    def derivatives(U, C, center, context, negatives):
        partners = U if shared else C
        positive, negative = scores(U, partners, center, context, negatives)
        (B, K), d = negatives.shape, U.shape[1]
        scale = sign / (B if mean else 1)
        g = scale * (torch.sigmoid(positive) - label[0])
        h = scale * negative_weight(K) * (torch.sigmoid(negative) - label[1])
        to_center = torch.zeros(B, d, dtype=U.dtype)
        if "context" in kept:
            to_center += g[:, None] * partners[context]
        if "negatives" in kept:
            to_center += (h[:, :, None] * partners[negatives]).sum(1)
        grad_U, grad_C = torch.zeros_like(U), torch.zeros_like(C)
        add(grad_U, center, to_center, "U")
        if "to_context" in kept:
            add(grad_C, context, g[:, None] * U[center], "context")
        if "to_negatives" in kept:
            add(grad_C, negatives.flatten(), (h[:, :, None] * U[center][:, None]).flatten(0, 1), "negatives")
        return grad_U, grad_C

    return derivatives


LOST = (
    "Where a word occurs twice, one of its contributions is lost: table[ids] += values reads, adds and writes once for "
    "each id. Use index_add, which adds them all. "
)
NO_MEAN = "This is the gradient of the SUM over the pairs. The loss is their mean: divide by B. "
for name, hint, settings in (
    ("sum_over_the_pairs", NO_MEAN, {"mean": False}),
    ("repeated_words_lost", LOST, {"lost": ("U", "context", "negatives")}),
    ("repeated_words_lost_in_C", LOST + "U is right.", {"lost": ("context", "negatives")}),
    ("repeated_negatives_lost", LOST + "This concerns the negatives alone.", {"lost": ("negatives",)}),
    ("repeated_centers_lost", LOST + "This concerns U alone.", {"lost": ("U",)}),
    ("lost_and_not_averaged", LOST + NO_MEAN, {"lost": ("U", "context", "negatives"), "mean": False}),
    (
        "sign_reversed",
        "All signs are reversed: this is the direction in which the loss falls. The gradient points uphill: prediction "
        "minus label, sigma - 1 for the pair and sigma for a negative.",
        {"sign": -1.0},
    ),
    (
        "reversed_and_not_averaged",
        "All signs are reversed: a gradient is prediction minus label. " + NO_MEAN,
        {"sign": -1.0, "mean": False},
    ),
    (
        "negatives_labeled_one",
        "The negatives have the error sigma - 1, as if they were true pairs. Their label is 0, so their error is sigma "
        "itself.",
        {"label": (1.0, 1.0)},
    ),
    (
        "pair_labeled_zero",
        "The true pair has the error sigma. Its label is 1: the error is sigma - 1, which is negative and pulls the "
        "two vectors together.",
        {"label": (0.0, 0.0)},
    ),
    (
        "labels_swapped",
        "The labels have changed places: sigma - 1 for the true pair, sigma for the negatives.",
        {"label": (0.0, 1.0)},
    ),
    (
        "negatives_averaged",
        "The negatives are averaged. The loss sums over them, so each counts in full: no division by K.",
        {"negative_weight": lambda K: 1.0 / K},
    ),
    (
        "center_feels_no_negatives",
        "The center's vector is moved by its true context alone. It also stands in every score with a negative: add "
        "the sum of sigma times the negatives' vectors.",
        {"kept": ("context", "to_context", "to_negatives")},
    ),
    (
        "negatives_not_moved",
        "The rows of the negatives are 0 in your gradient of C. They stand in the loss, so they are moved too: by "
        "sigma times the center's vector.",
        {"kept": ("context", "negatives", "to_context")},
    ),
    (
        "contexts_not_moved",
        "The rows of the true contexts lack their part, (sigma - 1) times the center's vector.",
        {"kept": ("context", "negatives", "to_negatives")},
    ),
    (
        "one_shared_table",
        "The scores come from U alone. Contexts and negatives are rows of C.",
        {"shared": True},
    ),
):
    sgns_gradient.misconception(hint, name=name)(gradient(**settings))


@sgns_gradient.misconception("The results have changed places: first the gradient of U, then that of C.")
def results_swapped(U, C, center, context, negatives):
    return gradient()(U, C, center, context, negatives)[::-1]


@sgns_gradient.misconception(
    "The gradient by one vector of the product u.c is the OTHER vector. You multiply the error of a center by its own "
    "vector, and that of a context by its own."
)
def own_vectors(U, C, center, context, negatives):
    positive, negative = scores(U, C, center, context, negatives)
    g, h = (torch.sigmoid(positive) - 1) / len(center), torch.sigmoid(negative) / len(center)
    grad_U = torch.zeros_like(U).index_add(0, center, (g + h.sum(1))[:, None] * U[center])
    grad_C = torch.zeros_like(C).index_add(0, context, g[:, None] * C[context])
    return grad_U, grad_C.index_add(0, negatives.flatten(), (h[:, :, None] * C[negatives]).flatten(0, 1))


@sgns_gradient.misconception(
    "You return one row for each pair. The gradient has the shape of the tables, (V, d): add each row to that of its "
    "word, and leave 0 for words that no pair touches."
)
def one_row_per_pair(U, C, center, context, negatives):
    positive, negative = scores(U, C, center, context, negatives)
    g, h = (torch.sigmoid(positive) - 1) / len(center), torch.sigmoid(negative) / len(center)
    return g[:, None] * C[context] + (h[:, :, None] * C[negatives]).sum(1), g[:, None] * U[center]


@sgns_gradient.misconception(
    "The derivative of -log sigma(x) is sigma(x) - 1, without another factor. You multiply by sigma (1 - sigma), "
    "which belongs to a squared error and vanishes where the model is wrong and sure of it."
)
def slope_of_the_sigmoid(U, C, center, context, negatives):
    positive, negative = (torch.sigmoid(x) for x in scores(U, C, center, context, negatives))
    g = (positive - 1) * positive * (1 - positive) / len(center)
    h = negative * negative * (1 - negative) / len(center)
    grad_U = torch.zeros_like(U).index_add(0, center, g[:, None] * C[context] + (h[:, :, None] * C[negatives]).sum(1))
    grad_C = torch.zeros_like(C).index_add(0, context, g[:, None] * U[center])
    to_negatives = (h[:, :, None] * U[center][:, None]).flatten(0, 1)
    return grad_U, grad_C.index_add(0, negatives.flatten(), to_negatives)


@sgns_gradient.always("A small step along the gradient changes the loss as the gradient says.")
def predicts_the_change(call, rng):
    given, eps = drawn(rng, 4, 3, 6, 5), 1e-5
    grad_U, grad_C = call(**given)
    step_U, step_C = normal(rng, 4, 3), normal(rng, 4, 3)
    there, back = (
        right_loss(*scores(given["U"] + s * step_U, given["C"] + s * step_C, *(given[k] for k in INDICES)))
        for s in (eps, -eps)
    )
    told = (grad_U * step_U).sum() + (grad_C * step_C).sum()
    return abs(float((there - back) / (2 * eps) - told)) < 1e-4


@sgns_gradient.always("Words that no pair touches have a gradient of exactly 0.")
def untouched_rows(call, rng):
    given = drawn(rng, 4, 3, 6, 2)
    given["U"], given["C"] = (torch.cat((given[k], normal(rng, 2, 3))) for k in "UC")  # two words more
    grad_U, grad_C = call(**given)
    return bool((grad_U[4:] == 0).all() and (grad_C[4:] == 0).all())


# 5. noise_distribution


@exercise("word2vec.noise_distribution", reference=word2vec.noise_distribution, points=6)
def noise_distribution(rng):
    """With which probability each word is drawn as a negative."""
    yield worked(counts=ids([81, 16, 1, 0]), power=0.75)
    yield worked(counts=ids([9, 4, 1]), power=0.5)
    for V, power in [(5, 0.75), (8, 0.75), (3, 0.3), (6, 1.5)]:
        yield random(counts=torch.from_numpy(rng.integers(1, 500, size=V)), power=power)
    yield edge(counts=ids([7]), power=0.75)
    yield edge(counts=ids([5, 1, 3]), power=0.0)
    yield edge(counts=ids([5, 1, 3]), power=1.0)
    yield edge(counts=ids([10**12, 10**6, 1]), power=0.75)


NOT_NORMALIZED = "The results do not sum to 1, so they are no probabilities. Divide by their sum. "
for name, hint, rule in (
    (
        "power_one",
        "You draw words as often as they occur: the power is missing. With 3/4, rare words are drawn more often than "
        "they occur, and 'the' less.",
        lambda n, p: n / n.sum(),
    ),
    (
        "always_three_quarters",
        "Your power is 3/4 whatever is passed. Use the argument.",
        lambda n, p: n**0.75 / (n**0.75).sum(),
    ),
    ("not_normalized", NOT_NORMALIZED, lambda n, p: n**p),
    (
        "normalized_before",
        NOT_NORMALIZED + "You did so before you took the power; shares that sum to 1 no longer do after it.",
        lambda n, p: (n / n.sum()) ** p,
    ),
    (
        "divided_by_all_words",
        NOT_NORMALIZED + "You divide the powers by the sum of the counts, not by the sum of the powers.",
        lambda n, p: n**p / n.sum(),
    ),
    (
        "divided_by_the_largest",
        NOT_NORMALIZED + "You divide by the largest.",
        lambda n, p: n**p / (n**p).max(),
    ),
    (
        "softmax_of_counts",
        "You take softmax of the counts: e to the power of a count. The most frequent word then gets nearly all. The "
        "count itself is raised to the power.",
        lambda n, p: torch.softmax(n, dim=0),
    ),
    (
        "softmax_of_powers",
        "You take softmax of the powers. They are positive already: divide by their sum, without an exponential.",
        lambda n, p: torch.softmax(n**p, dim=0),
    ),
    (
        "uniform",
        "All words have the same probability. That is the power 0.",
        lambda n, p: torch.ones_like(n) / len(n),
    ),
    (
        "root_for_power",
        "You take the power 1/p. With 3/4 that is 4/3: frequent words are drawn even more often than they occur.",
        lambda n, p: n ** (1 / p) / (n ** (1 / p)).sum() if p else torch.full_like(n, torch.nan),
    ),
    (
        "multiplied_by_the_power",
        "You multiply the counts by p. That cancels when you normalize. Raise them to the power: counts ** p.",
        lambda n, p: p * n / (p * n).sum(),
    ),
    (
        "powers_of_p",
        "You raise p to the counts. Raise the counts to the power p: counts ** power.",
        lambda n, p: p**n / (p**n).sum(),
    ),
    (
        "cumulated",
        "You return the cumulated probabilities. They serve to draw; what is asked is the probability of each word.",
        lambda n, p: (n**p).cumsum(0) / (n**p).sum(),
    ),
):

    def from_rule(counts, power, rule=rule):
        return rule(counts.double(), power)

    noise_distribution.misconception(hint, name=name)(from_rule)


@noise_distribution.misconception(
    "Your result is float32: an integer tensor to the power of a float has torch's default dtype. Convert the counts "
    "to float64 first."
)
def single_precision(counts, power):
    weights = counts**power
    return (weights / weights.sum()).float()


@noise_distribution.misconception(
    NOT_NORMALIZED + "And they are float32: convert the counts to float64 before you take the power."
)
def single_precision_not_normalized(counts, power):
    return (counts**power).float()


@noise_distribution.always("The probabilities sum to 1.")
def sums_to_one(call, rng):
    result = call(counts=torch.from_numpy(rng.integers(1, 90, size=7)), power=0.75)
    return abs(float(result.sum()) - 1) < 1e-6


@noise_distribution.always("A text twice as long draws the same words.")
def length_of_the_text(call, rng):
    counts = torch.from_numpy(rng.integers(1, 90, size=7))
    return close(call(counts=2 * counts, power=0.75), call(counts=counts, power=0.75))


# 6. most_similar

ARROWS = tensor([[2, 0], [3, 4], [0, 1], [8, 15], [-1, 0.5], [12, 5]])


@exercise("word2vec.most_similar", reference=word2vec.most_similar, points=6)
def most_similar(rng):
    """Find the words whose vectors point most nearly the way of the query's."""
    yield worked(vectors=ARROWS.clone(), query=0, top=3)
    yield worked(vectors=ARROWS.clone(), query=2, top=3)
    for V, d, top in [(9, 3, 4), (7, 5, 2), (12, 2, 5)]:
        lengths = torch.from_numpy(rng.uniform(0.3, 4, size=(V, 1)))
        yield random(vectors=lengths * normal(rng, V, d), query=int(rng.integers(V)), top=top)
    yield edge(vectors=tensor([[1, 1], [-2, -2]]), query=0, top=1)
    yield edge(vectors=tensor([[0, 0], [1, 0], [-1, -1], [1, 2]]), query=1, top=3)
    yield edge(vectors=tensor([[3, 0], [1, 0], [0, 2], [1, 1]]), query=1, top=2)
    yield edge(vectors=1e-12 * tensor([[3, 0], [1, 1], [0, 2], [-1, 3]]), query=0, top=3)


def unit(x, dim=-1):
    length = x.norm(dim=dim, keepdim=True)
    return x / torch.where(length > 0, length, 1)


def cosines(vectors, target):
    return unit(vectors) @ unit(target)


def ranked(similarity, *, left_out=True, descending=True, value=None):
    """Rank all words by a similarity of (vectors, target), and return the first ones with their values."""

    def rank(vectors, query, top):
        order_by = similarity(vectors, vectors[query])
        shown = (value or similarity)(vectors, vectors[query])
        order = order_by.argsort(descending=descending)
        if left_out:
            order = order[order != query]
        return order[:top], shown[order[:top]]

    return rank


def dots(vectors, target):
    return vectors @ target


def nearness(vectors, target):
    return -(vectors - target).norm(dim=-1)


QUERY_RETURNED = (
    "The first answer is the query itself, with cosine 1: every word is its own best neighbor. Leave it out. "
)
DOT = (
    "You rank by dot products. Long vectors then win whatever their direction, and frequent words tend to have long "
    "vectors. Divide by both lengths: the cosine. "
)
DISTANCE = "You rank by Euclidean distance, which mixes length and direction. The cosine compares directions alone. "
for name, hint, rule in (
    ("returns_the_query", QUERY_RETURNED, ranked(cosines, left_out=False)),
    ("dot_for_cosine", DOT, ranked(dots)),
    ("dot_and_query", DOT + QUERY_RETURNED, ranked(dots, left_out=False)),
    ("dot_for_the_order", DOT + "The values are cosines, the order is not.", ranked(dots, value=cosines)),
    ("nearest_points", DISTANCE, ranked(nearness, value=cosines)),
    (
        "distances_returned",
        DISTANCE + "You return distances.",
        ranked(nearness, value=lambda vectors, target: (vectors - target).norm(dim=-1)),
    ),
    (
        "query_not_normalized",
        "You divide by the lengths of the words but not by that of the query. The order is right, the values are no "
        "cosines: they are not between -1 and 1.",
        ranked(lambda vectors, target: unit(vectors) @ target),
    ),
    (
        "words_not_normalized",
        "You divide by the length of the query alone. That leaves the order of the dot products, in which long vectors "
        "win. Divide each row by its own length.",
        ranked(lambda vectors, target: vectors @ unit(target)),
    ),
    (
        "columns_normalized",
        "You divide by the norms of the columns. One word is one row: take norms along the last axis, with keepdim.",
        lambda vectors, query, top: ranked(dots)(unit(vectors, dim=0), query, top),
    ),
    (
        "most_different_first",
        "The order is reversed: your first answer points the other way. Sort by falling cosine.",
        ranked(cosines, descending=False),
    ),
    (
        "one_too_few",
        "You drop the query after you cut the list to `top`, so one answer is missing. Leave it out first.",
        lambda vectors, query, top: tuple(x[1:] for x in ranked(cosines, left_out=False)(vectors, query, top)),
    ),
    (
        "absolute_values",
        "You rank by the size of the cosine without its sign. A cosine of -1 is the opposite direction, not the same.",
        ranked(lambda vectors, target: cosines(vectors, target).abs()),
    ),
    (
        "squared_lengths",
        "You divide by squared lengths. A cosine is the dot product divided by the lengths: take the root.",
        ranked(lambda vectors, target: dots(vectors, target) / (vectors.square().sum(-1) * target.square().sum())),
    ),
    (
        "nan_for_a_vector_of_zeros",
        "A vector of zeros has no direction: 0/0 is nan, and nan spoils the order. Such a word has cosine 0. Divide by "
        "the length only where it is positive.",
        ranked(lambda vectors, target: (vectors / vectors.norm(dim=-1, keepdim=True)) @ unit(target)),
    ),
):
    most_similar.misconception(hint, name=name)(rule)


@most_similar.misconception("The results have changed places: ids first, then cosines.")
def cosines_first(vectors, query, top):
    return ranked(cosines)(vectors, query, top)[::-1]


@most_similar.misconception("You return ids alone. The cosines are asked too, as a second result.")
def ids_alone(vectors, query, top):
    return ranked(cosines)(vectors, query, top)[0]


@most_similar.always("Making any vector longer changes nothing.")
def lengths_do_not_matter(call, rng):
    vectors, lengths = normal(rng, 8, 3), torch.from_numpy(rng.uniform(0.2, 5, size=(8, 1)))
    before, after = call(vectors=vectors, query=2, top=4), call(vectors=lengths * vectors, query=2, top=4)
    return torch.equal(before[0], after[0]) and close(before[1], after[1])


@most_similar.always("The query is never among the answers, and the cosines fall.")
def falling(call, rng):
    found, values = call(vectors=normal(rng, 8, 3), query=5, top=7)
    return 5 not in found.tolist() and bool((values[1:] <= values[:-1] + 1e-9).all())


# 7. analogy

FAMILY = tensor([[1, 0.2], [2, 2.2], [-1, 3], [-9, 6], [-2, 1], [0.5, 8], [3, -1]])


@exercise("word2vec.analogy", reference=word2vec.analogy, points=6)
def analogy(rng):
    """Answer "a is to b as c is to what": the words nearest to b - a + c, the three left out."""
    yield worked(vectors=FAMILY.clone(), a=0, b=1, c=2, top=3)
    yield worked(vectors=FAMILY.clone(), a=1, b=5, c=0, top=2)
    for V, d, top in [(11, 3, 4), (9, 4, 2), (13, 2, 3)]:
        lengths = torch.from_numpy(rng.uniform(0.3, 4, size=(V, 1)))
        a, b, c = rng.permutation(V)[:3].tolist()
        yield random(vectors=lengths * normal(rng, V, d), a=a, b=b, c=c, top=top)
    yield edge(vectors=FAMILY[:4].clone(), a=3, b=0, c=2, top=1)
    yield edge(vectors=FAMILY.clone(), a=4, b=4, c=1, top=3)
    yield edge(vectors=torch.cat((FAMILY, torch.zeros(1, 2).double())), a=2, b=6, c=4, top=5)


def offset(rule=lambda a, b, c: b - a + c, *, inputs=unit, candidates=unit, target=unit, left_out="abc"):
    """Answer an analogy with one or two decisions changed."""

    def answer(vectors, a, b, c, top):
        x = inputs(vectors)
        similarity = candidates(vectors) @ target(rule(x[a], x[b], x[c]))
        for i in (i for name, i in (("a", a), ("b", b), ("c", c)) if name in left_out):
            similarity[i] = -torch.inf
        best = similarity.topk(top)
        return best.indices, best.values

    return answer


def as_they_are(x):
    return x


NOT_LEFT_OUT = (
    "The words of the question are among your answers. b - a + c lies close to b and c, which win most of the time: "
    "leave a, b and c out, as the definition says. (How much this rule helps is worth knowing: the chapter counts it.) "
)
REVERSED = "You go the other way: a - b + c. 'a is to b as c is to x' means x - c = b - a, so x = b - a + c. "
NOT_UNIT = (
    "You add and subtract the vectors at their own lengths. Here each is first divided by its length, so that a "
    "frequent word with a long vector does not decide alone. "
)
for name, hint, settings in (
    ("inputs_not_left_out", NOT_LEFT_OUT, {"left_out": ""}),
    ("c_alone_left_out", NOT_LEFT_OUT + "You leave out c alone.", {"left_out": "c"}),
    ("b_and_c_left_out", "You leave out b and c, but not a. Leave out all three.", {"left_out": "bc"}),
    ("a_and_b_left_out", "You leave out a and b, but not c. Leave out all three.", {"left_out": "ab"}),
    ("reversed", REVERSED, {"rule": lambda a, b, c: a - b + c}),
    ("reversed_and_inputs", REVERSED + NOT_LEFT_OUT, {"rule": lambda a, b, c: a - b + c, "left_out": ""}),
    (
        "a_and_c_swapped",
        "You compute b - c + a. 'a is to b as c is to x' means x - c = b - a, so x = b - a + c.",
        {"rule": lambda a, b, c: b - c + a},
    ),
    (
        "sum_of_all",
        "You add all three. The step from a to b is b - a: a is subtracted.",
        {"rule": lambda a, b, c: a + b + c},
    ),
    ("c_missing", "You look near b - a. That is the step; take it from c: b - a + c.", {"rule": lambda a, b, c: b - a}),
    ("lengths_kept", NOT_UNIT, {"inputs": as_they_are}),
    ("lengths_kept_and_inputs", NOT_UNIT + NOT_LEFT_OUT, {"inputs": as_they_are, "left_out": ""}),
    (
        "dot_for_cosine",
        "The candidates keep their lengths, so long vectors win. Rank by the cosine: divide each row by its length.",
        {"candidates": as_they_are},
    ),
    (
        "raw_dot_products",
        "You use dot products of the vectors as they are, everywhere. Divide the three inputs by their lengths, then "
        "the candidates and the sum: cosines.",
        {"inputs": as_they_are, "candidates": as_they_are, "target": as_they_are},
    ),
    (
        "target_not_normalized",
        "The order is right, the values are no cosines: divide b - a + c by its length too.",
        {"target": as_they_are},
    ),
    (
        "nan_for_a_vector_of_zeros",
        "A vector of zeros has no direction: 0/0 is nan, which topk takes for the largest. Such a word has cosine 0.",
        {"candidates": lambda x: x / x.norm(dim=-1, keepdim=True)},
    ),
):
    analogy.misconception(hint, name=name)(offset(**settings))


@analogy.misconception(
    "You rank by the distance to the point b - a + c. The cosine compares directions alone: use it for the order too."
)
def nearest_point(vectors, a, b, c, top):
    x = unit(vectors)
    target = x[b] - x[a] + x[c]
    distance = (vectors - target).norm(dim=-1)
    distance[[a, b, c]] = torch.inf
    found = distance.topk(top, largest=False).indices
    return found, cosines(vectors, target)[found]


@analogy.misconception("The results have changed places: ids first, then cosines.")
def cosines_returned_first(vectors, a, b, c, top):
    return offset()(vectors, a, b, c, top)[::-1]


@analogy.always("b and c may change places.")
def symmetric_in_b_and_c(call, rng):
    vectors = normal(rng, 10, 4)
    one, other = call(vectors=vectors, a=1, b=4, c=7, top=3), call(vectors=vectors, a=1, b=7, c=4, top=3)
    return torch.equal(one[0], other[0]) and close(one[1], other[1])


@analogy.always("Making any vector longer changes nothing.")
def lengths_do_not_matter_here(call, rng):
    vectors, lengths = normal(rng, 10, 4), torch.from_numpy(rng.uniform(0.2, 5, size=(10, 1)))
    before = call(vectors=vectors, a=0, b=3, c=5, top=4)
    after = call(vectors=lengths * vectors, a=0, b=3, c=5, top=4)
    return torch.equal(before[0], after[0]) and close(before[1], after[1])
