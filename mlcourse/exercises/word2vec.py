"""Exercises on word vectors: vocabulary, pairs, negative sampling and its gradient, neighbors and analogies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch.nn.functional import logsigmoid

from mlcourse import word2vec
from mlcourse.exercises.libraries import AUTOGRAD, ESTIMATORS
from mlcourse.exercises.protocol import edge, exercise, random, worked

LIBRARIES = (  # each answers both exercises on neighbors by itself
    "gensim.models.KeyedVectors",
    "gensim.models.Word2Vec",
    "gensim.models.keyedvectors.KeyedVectors",
    "sklearn.neighbors.NearestNeighbors",
    *ESTIMATORS,
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
    yield edge(sentences=[["Sea", "sea", "Ark"], ["Ark", "the"], ["sea", "Sea", "the", "ark"]], min_count=2)
    yield edge(sentences=[], min_count=1)
    yield edge(sentences=[["b", "A", "a", "B"]], min_count=1)


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
    "You count in each sentence by itself and keep the last count alone. Make one Counter for all sentences and add to "
    "it."
)
def last_sentence_alone(sentences, min_count):
    return vocabulary()(sentences[-1:], min_count)


@build_vocabulary.misconception(
    "You compare min_count with the counts of each sentence by itself. A word counts in all sentences TOGETHER: filter "
    "after the last one."
)
def filtered_in_each_sentence(sentences, min_count):
    often = [[w for w in sentence if sentence.count(w) >= min_count] for sentence in sentences]
    return vocabulary(keep=every)(often, min_count)


@build_vocabulary.misconception(
    "You count letters: update on a string goes through its characters. A sentence is a list already; count its words."
)
def letters_counted(sentences, min_count):
    return vocabulary()([list(word) for sentence in sentences for word in sentence], min_count)


@build_vocabulary.misconception(
    "Your comparison is the wrong way around: you keep the RARE words. Keep those with n >= min_count."
)
def rare_words_kept(sentences, min_count):
    return vocabulary(keep=lambda n, least: n <= least)(sentences, min_count)


@build_vocabulary.misconception(
    "You put all words into a set before you count, so each counts once. Count every occurrence."
)
def each_word_once(sentences, min_count):
    return vocabulary()([sorted({word for sentence in sentences for word in sentence})], min_count)


@build_vocabulary.misconception(
    "The words are filtered, the counts are not: there are more counts than words. Filter pairs (word, count), and "
    "take both from the same pairs."
)
def counts_not_filtered(sentences, min_count):
    return vocabulary()(sentences, min_count)[0], vocabulary(keep=every)(sentences, min_count)[1]


@build_vocabulary.misconception(
    "Words and counts no longer belong together: you sorted the one and not the other. counts[i] is how often words[i] "
    "occurs: sort pairs."
)
def counts_not_sorted(sentences, min_count):
    return vocabulary()(sentences, min_count)[0], vocabulary(order=lambda word, n: 0)(sentences, min_count)[1]


@build_vocabulary.misconception("You return the words alone. The counts are asked too, as a second result.")
def words_alone(sentences, min_count):
    return vocabulary()(sentences, min_count)[0]


@build_vocabulary.misconception(
    "You return pairs (word, count). Asked are two results: the list of the words, and a tensor of their counts."
)
def pairs_returned(sentences, min_count):
    words, counts = vocabulary()(sentences, min_count)
    return list(zip(words, counts.tolist(), strict=True))


@build_vocabulary.misconception(
    "You return a dict. Asked are two results: a list of words, whose order says which id each has, and a tensor of "
    "their counts."
)
def dict_returned(sentences, min_count):
    words, counts = vocabulary()(sentences, min_count)
    return dict(zip(words, counts.tolist(), strict=True))


@build_vocabulary.misconception(
    "You write all words in small letters. The strings count as they are here, and 'Ark' and 'ark' are two words: "
    "lowering is done when a text is split into words."
)
def lowered(sentences, min_count):
    return vocabulary()([[word.lower() for word in sentence] for sentence in sentences], min_count)


for name, order in (
    ("ties_without_capitals", lambda word, n: (-n, word.lower())),
    ("ties_without_capitals_at_first", lambda word, n: (-n, word.lower(), word)),
):
    build_vocabulary.misconception(
        "You compare words of equal count in small letters. The order is that of Python's sorted, in which capitals "
        "come first: A, B, a, b. Sort by the key (-n, word), with the word as it is.",
        name=name,
    )(vocabulary(order=order))


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
        "Near the start of a sentence your index is negative. row[-1] is the LAST word, which makes a wrong pair, and "
        "an index beyond the length raises IndexError. Begin the window at position 0.",
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
        "next_word_only",
        "Only the next word is a context in your code, whatever the window. That is a table of bigrams. Skip-gram "
        "pairs a word with every word up to the distance `window`, on both sides.",
        lambda row, t, m: row[t + 1 : t + 2],
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


for name, hint, rule, settings in (
    (
        "left_end_too_short",
        "On the left your window ends one word too soon: it begins at t - window, and that word still counts.",
        lambda row, t, m: row[max(0, t - m + 1) : t] + row[t + 1 : t + m + 1],
        {},
    ),
    (
        "window_too_long",
        "Your window reaches one word too far: a distance of window + 1 is too much. Look at the ends of your slices.",
        lambda row, t, m: right_partners(row, t, m + 1),
        {},
    ),
    (
        "window_ignored",
        "Every word of the sentence is a context in your code. Only those within `window` words on each side are.",
        lambda row, t, m: row[:t] + row[t + 1 :],
        {},
    ),
    (
        "last_word_left_out",
        "The last word of a sentence is never a context in your code: range leaves out its end, so it must be "
        "min(len(sentence), t + window + 1).",
        lambda row, t, m: [row[s] for s in range(max(0, t - m), min(len(row) - 1, t + m + 1)) if s != t],
        {},
    ),
    (
        "no_centers_at_the_start",
        "The first words of a sentence are no centers in your code. They have fewer contexts on the left, but they "
        "have some: begin at 0.",
        lambda row, t, m: right_partners(row, t, m) if t >= m else [],
        {},
    ),
    (
        "no_centers_at_the_end",
        "The last words of a sentence are no centers in your code. They have fewer contexts on the right, but they "
        "have some: go to the end.",
        lambda row, t, m: right_partners(row, t, m) if t < len(row) - m else [],
        {},
    ),
    (
        "contexts_in_a_set",
        "A word that stands twice in a window is counted once: you collect the contexts of a center in a set. Each "
        "position makes a pair of its own.",
        lambda row, t, m: sorted(set(right_partners(row, t, m))),
        {},
    ),
    (
        "place_of_the_first",
        "You find the position with index(), which returns the FIRST place of a word. Where it is repeated you look "
        "around the wrong one. Go through positions with range or enumerate.",
        lambda row, t, m: right_partners(row, row.index(row[t]), m),
        {},
    ),
    (
        "each_pair_twice",
        "Every pair stands there twice: once from its center and once more when you reverse it. Take both sides and "
        "reverse nothing, or take one side and reverse each pair.",
        right_partners,
        {"finish": lambda pairs: pairs + [(b, a) for a, b in pairs]},
    ),
):
    skipgram_pairs.misconception(hint, name=name)(pairs_by(rule, **settings))


@skipgram_pairs.misconception(
    "Your pairs hold positions in the sentence. Asked are the ids that stand there: sentence[t], not t."
)
def positions_for_words(sentences, window):
    return pairs_by(right_partners)([list(range(len(sentence))) for sentence in sentences], window)


@skipgram_pairs.misconception("You return a list of pairs. Asked is a tensor: torch.tensor(pairs, dtype=torch.int64).")
def list_returned(sentences, window):
    return [tuple(pair) for pair in pairs_by(right_partners)(sentences, window).tolist()]


@skipgram_pairs.misconception(
    "Where there is no pair, the tensor of an empty list has the shape (0,). Say that a row has two columns: "
    ".reshape(-1, 2)."
)
def empty_without_columns(sentences, window):
    return torch.tensor(pairs_by(right_partners)(sentences, window).tolist(), dtype=torch.int64)


@skipgram_pairs.misconception(
    "You go through full windows and pair all words in each, so that a pair which lies in several windows stands there "
    "several times. Go through centers: each pair of positions makes one pair for each of the two."
)
def windows_overlap(sentences, window):
    pairs = []
    for row in sentences:
        for start in range(len(row) - window):
            part = row[start : start + window + 1]
            pairs += [(part[i], part[j]) for i in range(len(part)) for j in range(len(part)) if i != j]
    return torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)


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


def positives_by_matrix_product(U, C, center, context, negatives):
    return U[center] @ C[context].mT, scores(U, C, center, context, negatives)[1]


def positives_not_transposed(U, C, center, context, negatives):
    return U[center] @ C[context], scores(U, C, center, context, negatives)[1]


def positives_summed_over_the_pairs(U, C, center, context, negatives):
    return (U[center] * C[context]).sum(0), scores(U, C, center, context, negatives)[1]


def negatives_summed_over_themselves(U, C, center, context, negatives):
    return scores(U, C, center, context, negatives)[0], (U[center][:, None] * C[negatives]).sum(1)


def center_without_an_axis(U, C, center, context, negatives):
    return scores(U, C, center, context, negatives)[0], (U[center] * C[negatives]).sum(-1)


SIGN = (
    "The negatives have the sign of the positives. Their label is 0: the model should say no to them, so the loss "
    "holds log sigma(-u.c). With your sign all words are pulled together, and one long vector for all is the best. "
)
SHARED = (
    "Both vectors come from U. A word in the center and a word as context have different vectors: contexts and "
    "negatives are rows of C. With one table every word would be its own best context, which it nearly never is. "
)
SUMMED = "You sum over the pairs of the batch. The loss is their mean: divide by B. "
EVERY_CENTER = (
    "U[center] @ C[context].T compares every center with every context, (B, B). True pairs are its diagonal: "
    "multiply row by row and sum over d. "
)
AXIS_0 = (
    "You sum U[center] * C[context] over axis 0, over the pairs. A dot product sums over the d entries of one pair: "
    "axis -1 leaves one score for each pair, shape (B,). "
)
AVERAGED = "You average over the negatives. The loss sums over them: K negatives weigh K times as much as one. "


def signed(positive, negative):
    return -(logsigmoid(positive) + logsigmoid(negative).sum(-1)).mean()


def summed(positive, negative):
    return -(logsigmoid(positive) + logsigmoid(-negative).sum(-1)).sum()


def averaged(positive, negative):
    return -(logsigmoid(positive) + logsigmoid(-negative).mean(-1)).mean()


def mean_of_each(positive, negative):
    return -(logsigmoid(positive).mean() + logsigmoid(-negative).sum(-1).mean())


def naive_positive(positive, negative):
    return -(torch.sigmoid(positive).log() + logsigmoid(-negative).sum(-1)).mean()


def naive_negative(positive, negative):
    return -(logsigmoid(positive) + (1 - torch.sigmoid(negative)).log().sum(-1)).mean()


def naive_both(positive, negative):
    return -(torch.sigmoid(positive).log() + torch.sigmoid(-negative).log().sum(-1)).mean()


UNDERFLOW = (
    "At a score of -1000 sigma is 0 and its logarithm minus infinity, and 1 + e^1000 overflows. But log sigma(-1000) "
    "is -1000, an ordinary number. Use torch.nn.functional.logsigmoid. "
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
        "positive_with_a_minus",
        "The sign of the true pair is reversed as well: log sigma(-u.c). Its label is 1: the loss holds log "
        "sigma(u.c). Only the negatives have the minus inside.",
        lambda positive, negative: -(logsigmoid(-positive) + logsigmoid(-negative).sum(-1)).mean(),
        scores,
    ),
    (
        "labels_exchanged",
        "The labels have changed places: the true pair has the minus inside sigma, the negatives have none. Your loss "
        "pushes true pairs apart.",
        lambda positive, negative: -(logsigmoid(-positive) + logsigmoid(negative).sum(-1)).mean(),
        scores,
    ),
    (
        "negatives_subtracted",
        "You subtract the term of the negatives. Saying no to them is a right answer too, with the probability "
        "sigma(-u.c): its logarithm is ADDED, and the minus stands in front of both.",
        lambda positive, negative: -(logsigmoid(positive) - logsigmoid(-negative).sum(-1)).mean(),
        scores,
    ),
    (
        "minus_outside_the_sigmoid",
        "You subtract log sigma(u.c) for the negatives. The minus belongs inside, log sigma(-u.c): the probability of "
        "'no' is 1 - sigma(x) = sigma(-x), and its logarithm is not -log sigma(x).",
        lambda positive, negative: -(logsigmoid(positive) - logsigmoid(negative).sum(-1)).mean(),
        scores,
    ),
    (
        "one_minus_logarithm",
        "You take 1 - log sigma for the negatives. The 1 belongs inside the logarithm, log(1 - sigma), which is log "
        "sigma(-u.c).",
        lambda positive, negative: -(logsigmoid(positive) + (1 - logsigmoid(negative)).sum(-1)).mean(),
        scores,
    ),
    (
        "scores_summed_first",
        "You add the scores of the negatives and take one sigmoid of the sum. Each negative is a question of its own: "
        "log sigma first, then the sum.",
        lambda positive, negative: -(logsigmoid(positive) + logsigmoid(-negative.sum(-1))).mean(),
        scores,
    ),
    (
        "scores_averaged_first",
        "You take one sigmoid of the mean score of the negatives. Each negative is a question of its own: log sigma "
        "first, then the sum.",
        lambda positive, negative: -(logsigmoid(positive) + logsigmoid(-negative.mean(-1))).mean(),
        scores,
    ),
    (
        "one_negative_alone",
        "You use the first negative of each pair alone. All K count: sum over the last axis.",
        lambda positive, negative: -(logsigmoid(positive) + logsigmoid(-negative[:, 0])).mean(),
        scores,
    ),
    (
        "divided_by_K",
        "Your loss is divided by K. The mean runs over the B pairs alone.",
        lambda positive, negative: right_loss(positive, negative) / negative.shape[-1],
        scores,
    ),
    (
        "multiplied_by_K",
        "The negatives count K times too much: you sum over them and multiply by K. In the paper K stands before an "
        "EXPECTATION; the sum over K drawn words has that factor already.",
        lambda positive, negative: -(logsigmoid(positive) + negative.shape[-1] * logsigmoid(-negative).sum(-1)).mean(),
        scores,
    ),
    (
        "in_bits",
        "Your logarithm has the base 2. Here it is the natural one, as everywhere in this course.",
        lambda positive, negative: right_loss(positive, negative) / 0.6931471805599453,
        scores,
    ),
    (
        "negatives_with_the_context",
        "You compare the negatives with the true CONTEXT. They take its place: each is compared with the center, "
        "u . c_z.",
        right_loss,
        lambda U, C, center, context, negatives: (
            scores(U, C, center, context, negatives)[0],
            scores(C, C, context, context, negatives)[1],
        ),
    ),
    (
        "center_and_context_exchanged",
        "Center and context have changed places: the row of U belongs to `center`, that of C to `context`.",
        right_loss,
        lambda U, C, center, context, negatives: scores(U, C, context, center, negatives),
    ),
    (
        "negatives_of_the_whole_batch",
        "Each center meets the negatives of ALL pairs: a product (B, d) (d, B K). Row b of negatives belongs to pair "
        "b: einsum('bd,bkd->bk').",
        right_loss,
        lambda U, C, center, context, negatives: (
            scores(U, C, center, context, negatives)[0],
            U[center] @ C[negatives.flatten()].mT,
        ),
    ),
    (
        "every_center_with_every_context",
        EVERY_CENTER,
        mean_of_each,
        positives_by_matrix_product,
    ),
    (
        "every_center_with_every_context_summed",
        EVERY_CENTER + "You sum over all of them.",
        lambda positive, negative: -(logsigmoid(positive).sum() + logsigmoid(-negative).sum()) / len(negative),
        positives_by_matrix_product,
    ),
    (
        "not_transposed",
        "U[center] @ C[context] multiplies two matrices of shape (B, d), which do not fit. What is asked is one dot "
        "product for each pair: multiply entry by entry and sum over d, (U[center] * C[context]).sum(-1).",
        mean_of_each,
        positives_not_transposed,
    ),
    ("summed_over_axis_0", AXIS_0, mean_of_each, positives_summed_over_the_pairs),
    (
        "summed_over_axis_0_and_added",
        AXIS_0 + "Yours has the shape (d,) and does not fit the negatives.",
        right_loss,
        positives_summed_over_the_pairs,
    ),
    (
        "negatives_summed_over_axis_1",
        "For the negatives you multiply and sum over axis 1, over the K words, which leaves (B, d). A dot product sums "
        "over the d entries: axis -1 leaves one score for each negative, (B, K).",
        right_loss,
        negatives_summed_over_themselves,
    ),
    (
        "center_without_an_axis",
        "U[center] has the shape (B, d) and C[negatives] the shape (B, K, d). A product aligns the LAST axes, so B "
        "meets K. Give the center an axis for its negatives: U[center][:, None].",
        right_loss,
        center_without_an_axis,
    ),
    (
        "cosines_for_scores",
        "You divide the vectors by their lengths. The score is the dot product as it is: here the lengths are learned.",
        right_loss,
        lambda U, C, center, context, negatives: scores(unit(U), unit(C), center, context, negatives),
    ),
    (
        "scores_scaled",
        "You divide the scores by sqrt(d), as attention does. Here the score is the dot product as it is.",
        right_loss,
        lambda U, C, center, context, negatives: tuple(
            x / U.shape[1] ** 0.5 for x in scores(U, C, center, context, negatives)
        ),
    ),
    (
        "softmax_over_the_vocabulary",
        "This is the loss of the full softmax, over all V words. It is what negative sampling avoids: 1 + K questions, "
        "each with its own sigmoid.",
        lambda every, chosen: (torch.logsumexp(every, dim=1) - chosen).mean(),
        lambda U, C, center, context, negatives: (
            U[center] @ C.mT,
            scores(U, C, center, context, negatives)[0],
        ),
    ),
    (
        "difference_of_the_scores",
        "You take the sigmoid of the DIFFERENCE between the true score and each negative. That only ranks them "
        "(another loss, BPR). Here each score is compared with 0 by a sigmoid of its own.",
        lambda positive, negative: -logsigmoid(positive[:, None] - negative).sum(-1).mean(),
        scores,
    ),
    (
        "true_pairs_left_out",
        "The true pairs are missing. With negatives alone, vectors that point apart are perfect, whatever the text "
        "says.",
        lambda positive, negative: -logsigmoid(-negative).sum(-1).mean(),
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


@sgns_loss.misconception(
    "You leave out negatives that happen to be the true context. That is done in some programs, but not in this "
    "formula: the sum runs over all K."
)
def chance_hits_left_out(U, C, center, context, negatives):
    positive, negative = scores(U, C, center, context, negatives)
    kept = negatives != context[:, None]
    return -(logsigmoid(positive) + (logsigmoid(-negative) * kept).sum(-1)).mean()


@sgns_loss.always(
    "A true pair with the score -1000 costs 1000. It costs less where there is a small number inside a logarithm, or a "
    "clamp. It costs infinity, or raises an error, where the logarithm of 0 is taken, or e^1000, which no float holds. "
    "Use logsigmoid of the score."
)
def hopeless_pair(call, rng):
    one, ids_ = torch.ones(1, 1).double(), ids([0])
    loss = call(U=1000 * one, C=-one, center=ids_, context=ids_, negatives=ids([[0, 0]]))
    return abs(float(loss) - 1000) < 1e-3


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
    replaced=(),
    shared=False,
    sigma=torch.sigmoid,
):
    """Compute the gradient with one or two decisions changed."""

    def add(table, rows, values, name):
        if name in lost:
            table[rows] += values  # of rows that are named twice, one is kept
        elif name in replaced:
            for row, value in zip(rows, values, strict=True):
                table[row] = value
        else:
            table.index_add_(0, rows, values)

    def derivatives(U, C, center, context, negatives):
        partners = U if shared else C
        positive, negative = scores(U, partners, center, context, negatives)
        (B, K), d = negatives.shape, U.shape[1]
        scale = sign / (B if mean else 1)
        g = scale * (sigma(positive) - label[0])
        h = scale * negative_weight(K) * (sigma(negative) - label[1])
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
    "Where a word occurs twice, one of its contributions is lost: table[ids] = values keeps one value for each id, and "
    "table[ids] += values reads, adds and writes once for each id. Use index_add, which adds them all. "
)
NO_MEAN = "This is the gradient of the SUM over the pairs. The loss is their mean: divide by B. "
REPLACED = (
    "You assign rows, table[i] = ..., so a word that occurs again replaces what it had. Its contributions ADD UP: +=, "
    "or index_add for many rows at once. "
)
for name, hint, settings in (
    ("sum_over_the_pairs", NO_MEAN, {"mean": False}),
    ("rows_replaced", REPLACED, {"replaced": ("U", "context", "negatives")}),
    ("rows_of_C_replaced", REPLACED + "U is right.", {"replaced": ("context", "negatives")}),
    (
        "replaced_and_not_averaged",
        REPLACED + NO_MEAN,
        {"replaced": ("U", "context", "negatives"), "mean": False},
    ),
    (
        "negatives_mirrored",
        "The negatives have the error sigma(-x), or 1 - sigma(x). The loss holds log sigma(-x), but the derivative of "
        "-log sigma(-x) is sigma(x): a negative is pushed away the harder, the surer the model is of it.",
        {"label": (1.0, 1.0), "negative_weight": lambda K: -1.0},
    ),
    ("repeated_contexts_lost", LOST + "This concerns the true contexts alone.", {"lost": ("context",)}),
    ("repeated_pairs_lost", LOST + "The negatives are right.", {"lost": ("U", "context")}),
    (
        "labeled_one_and_not_averaged",
        "The negatives have the error sigma - 1, as if they were true pairs: their error is sigma itself. " + NO_MEAN,
        {"label": (1.0, 1.0), "mean": False},
    ),
    (
        "negatives_reversed",
        "The negatives have the wrong sign, -sigma: your step would pull them closer. Their label is 0, so their error "
        "is sigma - 0.",
        {"negative_weight": lambda K: -1.0},
    ),
    (
        "negatives_times_K",
        "The negatives count K times too much. The sum over the K drawn words has that factor already.",
        {"negative_weight": lambda K: 1.0 * K},
    ),
    (
        "center_feels_no_context",
        "The center's vector is moved by the negatives alone. Its true context pulls it, too: add (sigma - 1) times "
        "the vector of the context.",
        {"kept": ("negatives", "to_context", "to_negatives")},
    ),
    (
        "no_negatives_at_all",
        "The negatives are missing altogether: neither the center nor their own rows feel them. Each adds sigma times "
        "the other vector on both sides.",
        {"kept": ("context", "to_context")},
    ),
    (
        "negatives_alone",
        "The true pairs are missing altogether. Each adds (sigma - 1) times the other vector on both sides.",
        {"kept": ("negatives", "to_negatives")},
    ),
    (
        "no_sigmoid",
        "Your errors are score - label, the errors of least squares. The prediction is sigma(score).",
        {"sigma": lambda x: x},
    ),
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


@sgns_gradient.misconception("The tables have changed places: center belongs to U, context and negatives belong to C.")
def tables_exchanged(U, C, center, context, negatives):
    return gradient()(C, U, center, context, negatives)


@sgns_gradient.misconception(
    "The error of the true pair has the wrong sign, 1 - sigma. A gradient is prediction minus label, sigma - 1: "
    "negative, so that a step against it pulls the two vectors together."
)
def pair_reversed(U, C, center, context, negatives):
    pairs = gradient(kept=("context", "to_context"))(U, C, center, context, negatives)
    return tuple(x - 2 * y for x, y in zip(gradient()(U, C, center, context, negatives), pairs, strict=True))


@sgns_gradient.misconception(
    "The true pair counts once for each negative: its term stands inside your loop over the negatives. Add it once, "
    "before the loop."
)
def pair_once_per_negative(U, C, center, context, negatives):
    pairs = gradient(kept=("context", "to_context"))(U, C, center, context, negatives)
    more = negatives.shape[1] - 1
    return tuple(x + more * y for x, y in zip(gradient()(U, C, center, context, negatives), pairs, strict=True))


@sgns_gradient.misconception(
    "You divide by B (1 + K), the number of all questions. The mean runs over the B pairs alone."
)
def mean_over_all_questions(U, C, center, context, negatives):
    return tuple(x / (1 + negatives.shape[1]) for x in gradient()(U, C, center, context, negatives))


@sgns_gradient.misconception("You divide by the number of words V. The loss is the mean over the B pairs: divide by B.")
def mean_over_the_vocabulary(U, C, center, context, negatives):
    return tuple(x / len(U) for x in gradient(mean=False)(U, C, center, context, negatives))


@sgns_gradient.misconception(
    "You divide each row by how often its word occurs. The loss is one mean over the B pairs: every contribution is "
    "divided by B."
)
def mean_for_each_word(U, C, center, context, negatives):
    grad_U, grad_C = gradient(mean=False)(U, C, center, context, negatives)
    often_U = torch.bincount(center, minlength=len(U)).clamp(min=1)
    often_C = torch.bincount(torch.cat((context, negatives.flatten())), minlength=len(C)).clamp(min=1)
    return grad_U / often_U[:, None], grad_C / often_C[:, None]


@sgns_gradient.misconception(
    "The rows of the negatives are moved by the true CONTEXT's vector. A negative was compared with the center: sigma "
    "times u."
)
def negatives_moved_by_the_context(U, C, center, context, negatives):
    h = torch.sigmoid(scores(U, C, center, context, negatives)[1]) / len(center)
    grad_U, grad_C = gradient(kept=("context", "negatives", "to_context"))(U, C, center, context, negatives)
    return grad_U, grad_C.index_add(0, negatives.flatten(), (h[:, :, None] * C[context][:, None]).flatten(0, 1))


@sgns_gradient.misconception(
    "Your errors are sigma (1 - sigma), the slope of the sigmoid. The logarithm in front of it changes that: the error "
    "is sigma - 1 for the pair, and sigma for a negative."
)
def slopes_for_errors(U, C, center, context, negatives):
    positive, negative = (torch.sigmoid(x) for x in scores(U, C, center, context, negatives))
    g, h = -positive * (1 - positive) / len(center), negative * (1 - negative) / len(center)
    grad_U = torch.zeros_like(U).index_add(0, center, g[:, None] * C[context] + (h[:, :, None] * C[negatives]).sum(1))
    grad_C = torch.zeros_like(C).index_add(0, context, g[:, None] * U[center])
    to_negatives = (h[:, :, None] * U[center][:, None]).flatten(0, 1)
    return grad_U, grad_C.index_add(0, negatives.flatten(), to_negatives)


@sgns_gradient.misconception(
    "Your loop assigns rows with = for each word, so the last negative replaces what the context and the others have "
    "brought. Contributions add up: +=."
)
def replaced_term_by_term(U, C, center, context, negatives):
    grad_U, grad_C = torch.zeros_like(U), torch.zeros_like(C)
    for i, j, drawn_words in zip(center, context, negatives, strict=True):
        for word, label in [(j, 1.0), *((z, 0.0) for z in drawn_words)]:
            error = (torch.sigmoid(U[i] @ C[word]) - label) / len(center)
            grad_U[i] = error * C[word]
            grad_C[word] = error * U[i]
    return grad_U, grad_C


@sgns_gradient.misconception(
    "Center and context have changed places: the row of U belongs to `center`, that of C to `context`."
)
def center_and_context_exchanged(U, C, center, context, negatives):
    return gradient()(U, C, context, center, negatives)


@sgns_gradient.misconception(
    "You divide by B twice, once in the errors and once more at the end. One mean over the pairs is enough."
)
def mean_taken_twice(U, C, center, context, negatives):
    return tuple(x / len(center) for x in gradient()(U, C, center, context, negatives))


@sgns_gradient.misconception("You return the gradient of C alone. That of U is asked too, as the first result.")
def gradient_of_C_alone(U, C, center, context, negatives):
    return gradient()(U, C, center, context, negatives)[1]


@sgns_gradient.misconception("You return the gradient of U alone. That of C is asked too, as a second result.")
def gradient_of_U_alone(U, C, center, context, negatives):
    return gradient()(U, C, center, context, negatives)[0]


@sgns_gradient.misconception(
    "You take the steps as well: U and C are changed. Return the gradient, and leave the vectors as they are."
)
def steps_taken(U, C, center, context, negatives):
    grad_U, grad_C = gradient()(U, C, center, context, negatives)
    U -= grad_U
    C -= grad_C
    return grad_U, grad_C


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


OWN_VECTORS = "The gradient by one vector of the product u.c is the OTHER vector. "


@sgns_gradient.misconception(
    OWN_VECTORS + "You move the rows of C by their own vectors: both the true context and a negative are moved by u, "
    "the center's vector."
)
def own_vectors_in_C(U, C, center, context, negatives):
    return gradient()(U, C, center, context, negatives)[0], own_vectors(U, C, center, context, negatives)[1]


@sgns_gradient.misconception(
    OWN_VECTORS + "You move the row of the true context by its own vector, g c. It is moved by the center's: g u."
)
def own_vector_of_the_context(U, C, center, context, negatives):
    g = (torch.sigmoid(scores(U, C, center, context, negatives)[0]) - 1) / len(center)
    grad_U, grad_C = gradient(kept=("context", "negatives", "to_negatives"))(U, C, center, context, negatives)
    return grad_U, grad_C.index_add(0, context, g[:, None] * C[context])


@sgns_gradient.misconception(
    OWN_VECTORS + "For the negatives you move the center by its own vector, h u. It is moved by theirs: h c."
)
def own_vector_of_the_center(U, C, center, context, negatives):
    h = torch.sigmoid(scores(U, C, center, context, negatives)[1]).sum(1) / len(center)
    kept = ("context", "to_context", "to_negatives")
    grad_U, grad_C = gradient(kept=kept)(U, C, center, context, negatives)
    return grad_U.index_add(0, center, h[:, None] * U[center]), grad_C


@sgns_gradient.misconception("The gradient of U is right, that of C is the one of the SUM over the pairs: divide by B.")
def mean_in_U_alone(U, C, center, context, negatives):
    grad_U, grad_C = gradient()(U, C, center, context, negatives)
    return grad_U, len(center) * grad_C


@sgns_gradient.misconception("The gradient of C is right, that of U is the one of the SUM over the pairs: divide by B.")
def mean_in_C_alone(U, C, center, context, negatives):
    grad_U, grad_C = gradient()(U, C, center, context, negatives)
    return len(center) * grad_U, grad_C


for name, last, words in (
    ("returned_after_one_pair", None, " has"),
    ("returned_after_one_negative", 1, " and its first negative have"),
):

    def first_pair_alone(U, C, center, context, negatives, last=last):
        first = gradient(mean=False)(U, C, center[:1], context[:1], negatives[:1, :last])
        return tuple(x / len(center) for x in first)

    sgns_gradient.misconception(
        f"Only the first pair{words} an effect: `return` stands inside your loop and ends it in the first round. Move "
        "it to the left, behind the loop.",
        name=name,
    )(first_pair_alone)


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


NEGATIVE_POWER = (
    "Your power is negative, so rare words are drawn most. The power damps the frequent words, but does not turn the "
    "order around: counts ** power. "
)
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
        "softmax_of_scaled_counts",
        "You take softmax of power * counts. That is e to the power of p N, and the most frequent word gets all. The "
        "count itself is raised to the power. (softmax of power * log(counts) would be right.)",
        lambda n, p: torch.softmax(p * n, dim=0),
    ),
    (
        "logarithms",
        "You take power * log(counts). That is the LOGARITHM of counts ** power: the exponential is missing.",
        lambda n, p: p * n.log() / (p * n.log()).sum(),
    ),
    (
        "negative_power",
        NEGATIVE_POWER,
        lambda n, p: n**-p / (n**-p).sum(),
    ),
    (
        "negative_power_where_positive",
        NEGATIVE_POWER,
        lambda n, p: torch.where(n > 0, n**-p, 0.0) / torch.where(n > 0, n**-p, 0.0).sum(),
    ),
    (
        "negative_power_of_at_least_one",
        NEGATIVE_POWER + "And a word that never occurs has the probability 0.",
        lambda n, p: n.clamp(min=1) ** -p / (n.clamp(min=1) ** -p).sum(),
    ),
    (
        "divided_by_the_norm",
        "You divide by the Euclidean norm. Probabilities SUM to 1: divide by the sum (p=1 in normalize).",
        lambda n, p: n**p / (n**p).norm(),
    ),
    (
        "divided_by_the_mean",
        NOT_NORMALIZED + "You divide by the mean of the powers: they sum to V.",
        lambda n, p: n**p / (n**p).mean(),
    ),
    (
        "one_added",
        "You add 1 to the counts. Nothing is smoothed here: a word that never occurs has the probability 0.",
        lambda n, p: (n + 1) ** p / ((n + 1) ** p).sum(),
    ),
    (
        "zeros_raised",
        "You lift counts of 0 to 1. A word that never occurs has the probability 0.",
        lambda n, p: n.clamp(min=1) ** p / (n.clamp(min=1) ** p).sum(),
    ),
    (
        "sorted_by_probability",
        "You sorted the result. Entry j belongs to word j, in the order of counts.",
        lambda n, p: ((n**p) / (n**p).sum()).sort(descending=True).values,
    ),
    (
        "column",
        "Your result is a column, (V, 1). One number for each word is asked: shape (V,).",
        lambda n, p: (n**p / (n**p).sum())[:, None],
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


@exercise("word2vec.most_similar", reference=word2vec.most_similar, points=6, forbidden=LIBRARIES)
def most_similar(rng):
    """Find the words whose vectors point most nearly the way of the query's."""
    yield worked(vectors=ARROWS.clone(), query=0, top=3)
    yield worked(vectors=ARROWS.clone(), query=4, top=4)
    for V, d, top in [(9, 3, 4), (7, 5, 2), (12, 2, 5)]:
        lengths = torch.from_numpy(rng.uniform(0.3, 4, size=(V, 1)))
        yield random(vectors=lengths * normal(rng, V, d), query=int(rng.integers(V)), top=top)
    yield edge(vectors=tensor([[1, 1], [-2, -2]]), query=0, top=1)
    yield edge(vectors=tensor([[0, 0], [1, 0], [-1, -1], [1, 2]]), query=1, top=3)
    yield edge(vectors=tensor([[3, 0], [1, 0], [0, 2], [1, 1]]), query=1, top=2)
    yield edge(vectors=tensor([[3, 0], [1, 0], [0, 2], [1, 1]]), query=0, top=2)
    yield edge(vectors=1e-5 * tensor([[3, 0], [1, 1], [0, 2], [-1, 3]]), query=0, top=3)


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


def ranked_with_query_at(value):
    """Rank all words after the query's own cosine was replaced."""

    def rank(vectors, query, top):
        similarity = cosines(vectors, vectors[query])
        similarity[query] = value
        order = similarity.argsort(descending=True, stable=True)[:top]
        return order, similarity[order]

    return rank


def ranked_without_row(vectors, query, top):
    similarity = cosines(torch.cat((vectors[:query], vectors[query + 1 :])), vectors[query])
    order = similarity.argsort(descending=True)[:top]
    return order, similarity[order]


def drop_first(vectors, query, top):
    similarity = cosines(vectors, vectors[query])
    order = similarity.argsort(descending=True, stable=True)[1 : top + 1]
    return order, similarity[order]


def by_id(found, values):
    order = found.argsort()
    return found[order], values[order]


def dots(vectors, target):
    return vectors @ target


def nearness(vectors, target):
    return -(vectors - target).norm(dim=-1)


def unit_nearness(vectors, target):
    return nearness(unit(vectors), unit(target))


QUERY_RETURNED = (
    "The first answer is the query itself, with cosine 1: every word is its own best neighbor. Leave it out. "
)
DOT = (
    "You rank by dot products. Long vectors then win whatever their direction, and frequent words tend to have long "
    "vectors. Divide by both lengths: the cosine. "
)
UNIT_DISTANCE = (
    "You rank by the distance between UNIT vectors. That is the order of the cosines, except for a vector of zeros, "
    "which is no unit vector. "
)
COLUMNS = "You divide by the norms of the columns. One word is one row: take norms along the last axis, with keepdim. "
KEEPDIM = (
    "A table (V, d) and one norm for each row, (V,), do not fit: the last axes would meet. Keep the axis, "
    "vectors.norm(dim=-1, keepdim=True), which has the shape (V, 1). "
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
        COLUMNS,
        lambda vectors, query, top: ranked(dots)(unit(vectors, dim=0), query, top),
    ),
    (
        "columns_normalized_and_query_not",
        COLUMNS + "The query is not divided at all.",
        ranked(lambda vectors, target: unit(vectors, dim=0) @ target),
    ),
    (
        "columns_normalized_and_query_right",
        COLUMNS + "Only the query is divided by its own length.",
        ranked(lambda vectors, target: unit(vectors, dim=0) @ unit(target)),
    ),
    (
        "norm_for_each_column",
        "vectors.norm(dim=0) is one norm for each of the d columns, and does not fit V dot products. One word is one "
        "row: norm(dim=-1) gives V lengths.",
        ranked(lambda vectors, target: vectors @ target / (vectors.norm(dim=0) * target.norm())),
    ),
    (
        "keepdim_missing",
        KEEPDIM,
        ranked(lambda vectors, target: (vectors / vectors.norm(dim=-1)) @ unit(target)),
    ),
    (
        "distances_of_units",
        UNIT_DISTANCE + "And what you return are distances: asked are the cosines.",
        ranked(unit_nearness, value=lambda vectors, target: -unit_nearness(vectors, target)),
    ),
    (
        "distances_of_units_with_a_minus",
        UNIT_DISTANCE + "And what you return are distances with a minus: asked are the cosines.",
        ranked(unit_nearness),
    ),
    ("distances_order_zeros", UNIT_DISTANCE + "Its cosine is 0.", ranked(unit_nearness, value=cosines)),
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


for name, hint, rule in (
    (
        "query_set_to_zero",
        "You give the query the cosine 0, and it comes before all words with a negative cosine. Give it minus "
        "infinity, or take it out.",
        ranked_with_query_at(0.0),
    ),
    (
        "minus_one_for_a_vector_of_zeros",
        "You give a vector of zeros the cosine -1. It has no direction, not the opposite one: its cosine is 0, before "
        "all that are negative.",
        ranked(lambda vectors, target: torch.where(vectors.norm(dim=-1) > 0, cosines(vectors, target), -1.0)),
    ),
    (
        "parallel_words_dropped",
        "You drop every word with the cosine 1. That is the query, but also any other word that points the same way. "
        "Leave out the query by its ID.",
        ranked(
            lambda vectors, target: torch.where(
                cosines(vectors, target) > 1 - 1e-9, -torch.inf, cosines(vectors, target)
            ),
            left_out=False,
        ),
    ),
    (
        "cosine_distances",
        "You return 1 - cosine, a distance. The order is right; asked are the cosines themselves.",
        ranked(cosines, value=lambda vectors, target: 1 - cosines(vectors, target)),
    ),
    (
        "angles",
        "You return angles. The order is right; asked are their cosines.",
        ranked(cosines, value=lambda vectors, target: cosines(vectors, target).clamp(-1, 1).arccos()),
    ),
    (
        "absolute_order",
        "You rank by the size of the cosine without its sign. A cosine of -1 is the opposite direction: it comes last.",
        ranked(lambda vectors, target: cosines(vectors, target).abs(), value=cosines),
    ),
    (
        "squares",
        "Your values are squared cosines. The sign is lost: the opposite direction counts as the same.",
        ranked(lambda vectors, target: cosines(vectors, target) ** 2),
    ),
    (
        "centered",
        "You subtract the mean of all vectors first. It changes every cosine; here the vectors are used as they are.",
        ranked(lambda vectors, target: cosines(vectors - vectors.mean(0), target - vectors.mean(0))),
    ),
    (
        "correlations",
        "You subtract from each vector the mean of its entries: that is a correlation. A cosine subtracts nothing.",
        ranked(lambda vectors, target: cosines(vectors - vectors.mean(1, keepdim=True), target - target.mean())),
    ),
    (
        "lengths_by_absolute_values",
        "You divide by sums of absolute values. The length of a vector is the root of the sum of its squares.",
        ranked(lambda vectors, target: dots(vectors, target) / (vectors.abs().sum(-1) * target.abs().sum())),
    ),
    (
        "one_norm_for_all",
        "vectors.norm() without dim is one number for the whole table. Take the length of each row: norm(dim=-1, "
        "keepdim=True).",
        ranked(lambda vectors, target: dots(vectors, target) / (vectors.norm() * target.norm())),
    ),
    (
        "nearest_points_with_distances",
        DISTANCE + "You return minus the distances.",
        ranked(nearness),
    ),
    (
        "all_returned",
        "You return all words. Asked are the first `top` of them.",
        lambda vectors, query, top: ranked(cosines)(vectors, query, len(vectors)),
    ),
    (
        "best_last",
        "Your answers are right, but the best one comes last: argsort()[-top:] counts upward. Turn it around, or sort "
        "with descending=True.",
        lambda vectors, query, top: tuple(x.flip(0) for x in ranked(cosines)(vectors, query, top)),
    ),
    (
        "ids_in_order",
        "You sorted the answers by id. The largest cosine comes first.",
        lambda vectors, query, top: by_id(*ranked(cosines)(vectors, query, top)),
    ),
    (
        "ids_of_the_shorter_table",
        "You took the query's row out and rank the rest, but then every id behind it is one too small. Keep the ids of "
        "the whole table: add 1 to those from the query on, or give the query minus infinity.",
        lambda vectors, query, top: ranked_without_row(vectors, query, top),
    ),
    (
        "vectors_returned",
        "You return the vectors of the neighbors. Asked are their ids.",
        lambda vectors, query, top: (lambda found, values: (vectors[found], values))(
            *ranked(cosines)(vectors, query, top)
        ),
    ),
    (
        "cosines_alone",
        "You return the cosines alone. The ids are asked too, as the first of two results.",
        lambda vectors, query, top: ranked(cosines)(vectors, query, top)[1],
    ),
    (
        "pairs_returned",
        "You return pairs (id, cosine). Asked are two tensors: all ids, and all cosines.",
        lambda vectors, query, top: list(zip(*(x.tolist() for x in ranked(cosines)(vectors, query, top)), strict=True)),
    ),
    (
        "first_dropped",
        "You drop the first of the sorted words, whoever it is. That need not be the query: another word may point the "
        "same way. Leave out the query by its ID.",
        drop_first,
    ),
):
    most_similar.misconception(hint, name=name)(rule)


@most_similar.misconception("The results have changed places: ids first, then cosines.")
def cosines_first(vectors, query, top):
    return ranked(cosines)(vectors, query, top)[::-1]


@most_similar.misconception(
    "You divide the vectors by their lengths in place (/= or div_), and so change the table that was given. Write "
    "vectors / lengths, which builds a new one."
)
def table_normalized_in_place(vectors, query, top):
    length = vectors.norm(dim=-1, keepdim=True)
    vectors /= torch.where(length > 0, length, 1)
    return ranked(cosines)(vectors, query, top)


@most_similar.misconception("You return ids alone. The cosines are asked too, as a second result.")
def ids_alone(vectors, query, top):
    return ranked(cosines)(vectors, query, top)[0]


@most_similar.always(
    "Vectors that are 1e-5 long have the cosines of long ones. A small number in the denominator is not small beside "
    "the product of two such lengths: divide by the lengths alone, and treat a vector of zeros by itself."
)
def short_vectors(call, rng):
    vectors = unit(normal(rng, 8, 3))
    before, after = (call(vectors=f * vectors, query=2, top=4) for f in (1, 1e-5))
    return torch.equal(before[0], after[0]) and close(before[1], after[1])


@most_similar.always(
    "Where another word points exactly the way of the query, that word is an answer and the query is not. Its cosine "
    "is 1 as well, so it may stand before the query or behind it when you sort: leave out the query by its ID."
)
def parallel_words(call, rng):
    vectors = tensor([[3, 0], [1, 0], [0, 2], [1, 1], [2, 0]])
    found = [call(vectors=vectors.clone(), query=query, top=2)[0].tolist() for query in (0, 1, 4)]
    return [set(ids_) for ids_ in found] == [{1, 4}, {0, 4}, {0, 1}]


@most_similar.always(
    "Where a word points exactly the other way, its cosine is -1, and it is an answer if as many are asked. A query "
    "that was given the cosine -1 is no worse than that word: give it minus infinity, or take it out."
)
def opposite_words(call, rng):
    three = tensor([[1, 0], [-1, 0], [0, 1]])
    for order in ([0, 1, 2], [1, 0, 2], [2, 1, 0], [2, 0, 1], [0, 2, 1], [1, 2, 0]):
        query, opposite, across = (order.index(word) for word in range(3))
        if call(vectors=three[order], query=query, top=2)[0].tolist() != [across, opposite]:
            return False
    return True


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


@exercise("word2vec.analogy", reference=word2vec.analogy, points=6, forbidden=LIBRARIES)
def analogy(rng):
    """Answer "a is to b as c is to what": the words nearest to b - a + c, the three left out."""
    yield worked(vectors=FAMILY.clone(), a=0, b=1, c=2, top=4)
    yield worked(vectors=FAMILY.clone(), a=1, b=5, c=0, top=2)
    for V, d, top in [(11, 3, 4), (9, 4, 2), (13, 2, 3)]:
        lengths = torch.from_numpy(rng.uniform(0.3, 4, size=(V, 1)))
        a, b, c = rng.permutation(V)[:3].tolist()
        yield random(vectors=lengths * normal(rng, V, d), a=a, b=b, c=c, top=top)
    yield edge(vectors=FAMILY[:4].clone(), a=3, b=0, c=2, top=1)
    yield edge(vectors=FAMILY.clone(), a=4, b=4, c=1, top=3)
    yield edge(vectors=torch.cat((FAMILY, torch.zeros(1, 2).double())), a=2, b=6, c=4, top=5)


def offset(
    rule=lambda a, b, c: b - a + c,
    *,
    inputs=unit,
    candidates=unit,
    target=unit,
    left_out="abc",
    left_out_value=-torch.inf,
):
    """Answer an analogy with one or two decisions changed."""

    def answer(vectors, a, b, c, top):
        x = inputs(vectors)
        similarity = candidates(vectors) @ target(rule(x[a], x[b], x[c]))
        for i in (i for name, i in (("a", a), ("b", b), ("c", c)) if name in left_out):
            similarity[i] = left_out_value
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
        "The order is right, the values are no cosines: divide b - a + c by its length too. (Three cosines added and "
        "subtracted are the same thing.)",
        {"target": as_they_are},
    ),
    (
        "nan_for_a_vector_of_zeros",
        "A vector of zeros has no direction: 0/0 is nan, which topk takes for the largest. Such a word has cosine 0.",
        {"candidates": lambda x: x / x.norm(dim=-1, keepdim=True)},
    ),
    ("a_and_c_left_out", "You leave out a and c, but not b. Leave out all three.", {"left_out": "ac"}),
    ("b_alone_left_out", NOT_LEFT_OUT + "You leave out b alone.", {"left_out": "b"}),
    (
        "c_subtracted",
        "You compute b - a - c. The step b - a is taken FROM c, so c is added: b - a + c.",
        {"rule": lambda a, b, c: b - a - c},
    ),
    (
        "lengths_kept_and_target",
        NOT_UNIT + "And b - a + c is not divided by its length in the end, so your values are no cosines.",
        {"inputs": as_they_are, "target": as_they_are},
    ),
    (
        "dot_products_of_units",
        "Only the three inputs are divided by their lengths. Divide the candidates and b - a + c by theirs, too: "
        "cosines.",
        {"candidates": as_they_are, "target": as_they_are},
    ),
    (
        "columns_normalized",
        "You divide by the norms of the columns. One word is one row: take norms along the last axis, with keepdim.",
        {"inputs": lambda x: unit(x, dim=0), "candidates": lambda x: unit(x, dim=0)},
    ),
    (
        "keepdim_missing",
        KEEPDIM,
        {"inputs": lambda x: x / x.norm(dim=-1), "candidates": lambda x: x / x.norm(dim=-1)},
    ),
    (
        "step_normalized",
        "You divide the step b - a by its length before you add c. Only the three vectors are divided by theirs: the "
        "step is as long as b and a are apart.",
        {"rule": lambda a, b, c: unit(b - a) + c},
    ),
    (
        "step_of_whole_vectors_normalized",
        "You take the step b - a between vectors of any length and divide it by its own. Divide the three vectors by "
        "THEIR lengths first: the step is as long as those are apart.",
        {"inputs": as_they_are, "rule": lambda a, b, c: unit(b - a) + unit(c)},
    ),
    (
        "candidates_by_columns",
        COLUMNS + "Your point b - a + c is right.",
        {"candidates": lambda x: unit(x, dim=0)},
    ),
    (
        "zero_for_the_question",
        "You give a, b and c the cosine 0, and they come before all words with a negative cosine. Give them minus "
        "infinity, or take them out.",
        {"left_out_value": 0.0},
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


for name, sign in (("distances_to_the_point", 1), ("distances_with_a_minus", -1)):

    def distances_to_the_point(vectors, a, b, c, top, sign=sign):
        found, _ = nearest_point(vectors, a, b, c, top)
        x = unit(vectors)
        return found, sign * (vectors[found] - (x[b] - x[a] + x[c])).norm(dim=-1)

    analogy.misconception(
        "You rank by the Euclidean distance to the point b - a + c, which mixes length and direction. The cosine "
        f"compares directions alone. You return distances{' with a minus' if sign < 0 else ''}.",
        name=name,
    )(distances_to_the_point)


@analogy.misconception(
    "You rank unit vectors by their distance to b - a + c, which is nearly the order of the cosines, and return "
    "distances with a minus. Asked are the cosines, for the order and as values."
)
def distances_of_units_with_a_minus(vectors, a, b, c, top):
    found, _ = distances_order_zeros(vectors, a, b, c, top)
    x = unit(vectors)
    return found, -(x[found] - (x[b] - x[a] + x[c])).norm(dim=-1)


@analogy.misconception(
    "The distance between UNIT vectors gives the order of the cosines, but what you return are distances. Asked are "
    "the cosines."
)
def distances_of_units(vectors, a, b, c, top):
    found, _ = offset()(vectors, a, b, c, top)
    x = unit(vectors)
    return found, (x[found] - (x[b] - x[a] + x[c])).norm(dim=-1)


@analogy.misconception(
    "You rank unit vectors by their distance to b - a + c. That is the order of the cosines, except for a vector of "
    "zeros: it is no unit vector. Its cosine is 0; rank by the cosines themselves."
)
def distances_order_zeros(vectors, a, b, c, top):
    x = unit(vectors)
    target = x[b] - x[a] + x[c]
    distance = (x - target).norm(dim=-1)
    distance[[a, b, c]] = torch.inf
    found = distance.topk(top, largest=False).indices
    return found, (x @ unit(target))[found]


@analogy.misconception(
    "You compare steps: the direction from c to each word with the direction from a to b. That is another rule "
    "(PairDirection). Here words are compared with the POINT b - a + c."
)
def directions_compared(vectors, a, b, c, top):
    x = unit(vectors)
    similarity = unit(x - x[c]) @ unit(x[b] - x[a])
    similarity[[a, b, c]] = -torch.inf
    best = similarity.topk(top)
    return best.indices, best.values


@analogy.misconception(
    "You multiply and divide the three cosines (3CosMul of Levy and Goldberg). Here they are added: the cosine with "
    "the point b - a + c."
)
def cosines_multiplied(vectors, a, b, c, top):
    x = unit(vectors)
    shares = (x @ x[[a, b, c]].mT + 1) / 2
    similarity = shares[:, 1] * shares[:, 2] / (shares[:, 0] + 1e-3)
    similarity[[a, b, c]] = -torch.inf
    best = similarity.topk(top)
    return best.indices, best.values


@analogy.misconception(
    "Your answers are right, but the best one comes last: argsort()[-top:] counts upward. Turn it around, or sort with "
    "descending=True."
)
def best_at_the_end(vectors, a, b, c, top):
    return tuple(x.flip(0) for x in offset()(vectors, a, b, c, top))


@analogy.misconception("The order is reversed: your first answer is the farthest. Sort by falling cosine.")
def farthest_first(vectors, a, b, c, top):
    x = unit(vectors)
    similarity = x @ unit(x[b] - x[a] + x[c])
    similarity[[a, b, c]] = torch.inf
    best = similarity.topk(top, largest=False)
    return best.indices, best.values


@analogy.misconception(
    "You drop the first three of the sorted words, whoever they are. The words of the question need not be the first: "
    "leave out a, b and c by their IDS."
)
def first_three_dropped(vectors, a, b, c, top):
    found, values = offset(left_out="")(vectors, a, b, c, min(top + 3, len(vectors)))
    return found[3:], values[3:]


@analogy.misconception(
    "You cut the list to `top` first and leave out a, b and c afterwards, so answers are missing. Leave them out first."
)
def too_few_left(vectors, a, b, c, top):
    found, values = offset(left_out="")(vectors, a, b, c, top)
    kept = torch.tensor([word not in (a, b, c) for word in found.tolist()])
    return found[kept], values[kept]


@analogy.misconception(
    "You took the rows of a, b and c out and rank the rest, but then later ids are too small. Keep the ids of the "
    "whole table: translate them back, or give the three minus infinity."
)
def ids_of_the_shorter_table(vectors, a, b, c, top):
    kept = [word for word in range(len(vectors)) if word not in (a, b, c)]
    x = unit(vectors)
    best = (x[kept] @ unit(x[b] - x[a] + x[c])).topk(top)
    return best.indices, best.values


@analogy.misconception("You return ids alone. The cosines are asked too, as a second result.")
def ids_without_cosines(vectors, a, b, c, top):
    return offset()(vectors, a, b, c, top)[0]


@analogy.misconception(
    "You divide the vectors by their lengths in place, and so change the table that was given. Build a new one."
)
def normalized_in_place(vectors, a, b, c, top):
    length = vectors.norm(dim=-1, keepdim=True)
    vectors /= torch.where(length > 0, length, 1)
    return offset()(vectors, a, b, c, top)


@analogy.misconception("The results have changed places: ids first, then cosines.")
def cosines_returned_first(vectors, a, b, c, top):
    return offset()(vectors, a, b, c, top)[::-1]


@analogy.always(
    "Where a word points exactly away from b - a + c, its cosine is -1, and it is an answer if as many are asked. "
    "Words of the question that were given the cosine -1 are no worse than that word: give them minus infinity, or "
    "take them out."
)
def opposite_of_the_point(call, rng):
    rows = tensor([[0, 1], [0, 2], [1, 0], [0, -2], [-3, 0]])  # b - a = 0: the point is the third
    for order in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [0, 4, 1, 2, 3], [1, 2, 4, 0, 3], [2, 0, 3, 4, 1]):
        a, b, c, across, opposite = (order.index(word) for word in range(5))
        if call(vectors=rows[order], a=a, b=b, c=c, top=2)[0].tolist() != [across, opposite]:
            return False
    return True


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
