"""Word vectors from the company that words keep: skip-gram with negative sampling.

A word is an integer from 0 to V - 1, the most frequent first. Every word has two vectors: a row of U where it stands in
the center, and a row of C where it is the context of another word. Both tables have shape (V, d).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy, softplus
from tqdm.auto import tqdm

from mlcourse.validation import require_floating, require_shapes

__all__ = [
    "SkipGram",
    "SkipGramSettings",
    "analogy",
    "analogy_with_inputs",
    "block_gradient",
    "build_vocabulary",
    "encode",
    "expected_sgns_loss",
    "full_softmax_loss",
    "keep_probability",
    "library_keep_probability",
    "most_similar",
    "noise_distribution",
    "pair_counts",
    "pmi",
    "sgns_gradient",
    "sgns_loss",
    "sgns_optimum",
    "skipgram_pairs",
    "split_words",
    "train_skipgram",
]

Sentences = Sequence[Sequence[int]]


# Text to numbers


def split_words(line: str) -> list[str]:
    """Return the words of a line in lower case; an apostrophe inside a word belongs to it.

    Examples
    --------
    >>> split_words("And Noah's sons: Shem, and Ham.")
    ['and', "noah's", 'sons', 'shem', 'and', 'ham']
    """
    return re.findall(r"[a-z]+(?:'[a-z]+)*", line.lower().replace("\u2019", "'"))


def build_vocabulary(sentences: Sequence[Sequence[str]], min_count: int = 1) -> tuple[list[str], Int[Tensor, " V"]]:
    """Return the words that occur often enough, most frequent first, and how often each occurs.

    Parameters
    ----------
    sentences : sequence of sequences of str
    min_count : int
        The least number of occurrences, over all sentences together, with which a word is kept.

    Returns
    -------
    words : list of V str
        Sorted by falling count; words of equal count in alphabetical order. The place of a word is its id.
    counts : integer tensor of shape (V,)
        Occurrences of each, at least ``min_count``.

    Raises
    ------
    ValueError
        If ``min_count`` is smaller than 1.

    Examples
    --------
    >>> build_vocabulary([["the", "sea"], ["the", "ark", "the"]])
    (['the', 'ark', 'sea'], tensor([3, 1, 1]))
    """
    if min_count < 1:
        raise ValueError(f"min_count must be 1 or more, but it is {min_count}.")
    count = Counter(word for sentence in sentences for word in sentence)
    kept = sorted((-n, word) for word, n in count.items() if n >= min_count)
    return [word for _, word in kept], torch.tensor([-n for n, _ in kept], dtype=torch.int64)


def encode(sentences: Sequence[Sequence[str]], words: Sequence[str]) -> list[list[int]]:
    """Return each sentence as ids; words outside the vocabulary are left out, so their neighbors move together.

    Examples
    --------
    >>> encode([["the", "old", "sea"]], ["the", "sea"])
    [[0, 1]]
    """
    ids = {word: i for i, word in enumerate(words)}
    return [[ids[word] for word in sentence if word in ids] for sentence in sentences]


def skipgram_pairs(sentences: Sentences, window: int) -> Int[Tensor, "n 2"]:
    r"""Return every pair of a word and a word near it.

    .. math:: \{(w_t, w_s) : 1 \le |s - t| \le m, \; s \text{ and } t \text{ in the same sentence}\}

    Parameters
    ----------
    sentences : sequence of sequences of int
        Ids of words.
    window : int
        m, how far a context may be, on each side. Positions count, not words: a word may be its own context where it
        is repeated.

    Returns
    -------
    int64 tensor of shape (n, 2)
        Center in the first column, context in the second; in the order of sentences, then centers, then contexts.

    Raises
    ------
    ValueError
        If the window is smaller than 1.

    Notes
    -----
    About 2 m pairs for each word of the text.

    Source: Mikolov et al. (2013), Distributed Representations, equation 1.

    Examples
    --------
    >>> skipgram_pairs([[7, 8, 9]], window=1).tolist()
    [[7, 8], [8, 7], [8, 9], [9, 8]]
    """
    if window < 1:
        raise ValueError(f"window must be 1 or more, but it is {window}.")
    ids, place = _one_row(sentences)  # (T,) each: all words in one row, and the sentence of each
    T = len(ids)
    offsets = torch.cat([torch.arange(-window, 0), torch.arange(1, window + 1)])  # (2 m,)
    s = torch.arange(T)[:, None] + offsets  # (T, 1) (2 m,) -> (T, 2 m)
    inside = (s >= 0) & (s < T)
    s = s.clamp(0, max(T - 1, 0))
    near = inside & (place[s] == place[:, None])  # (T, 2 m)
    centers = ids[:, None].expand_as(s)  # (T,) -> (T, 2 m)
    return torch.stack([centers[near], ids[s][near]], dim=-1)  # (n,) (n,) -> (n, 2)


def _one_row(sentences: Sentences) -> tuple[Tensor, Tensor]:
    """Return all ids in one row, and for each the number of its sentence."""
    lengths = torch.tensor([len(sentence) for sentence in sentences], dtype=torch.int64)
    ids = torch.tensor([i for sentence in sentences for i in sentence], dtype=torch.int64)
    return ids, torch.repeat_interleave(torch.arange(len(lengths)), lengths)


# What is drawn, and how often


def noise_distribution(counts: Tensor, power: float = 0.75) -> Float[Tensor, " V"]:
    r"""Return with which probability each word is drawn as a negative.

    .. math:: P_n(j) = \frac{N_j^{\,p}}{\sum_l N_l^{\,p}}

    Parameters
    ----------
    counts : tensor of shape (V,)
        N, occurrences of each word: integers or floating-point numbers, none negative, not all 0.
    power : float
        p: 1 draws words as often as they occur, 0 all alike; the paper found 3/4 best.

    Returns
    -------
    tensor of shape (V,)
        Probabilities that sum to 1: float64 for integers, otherwise the dtype of ``counts``.

    Raises
    ------
    ValueError
        If a count is negative or none is positive.

    Source: Mikolov et al. (2013), Distributed Representations, section 2.2.

    Examples
    --------
    >>> noise_distribution(torch.tensor([81, 16, 1]))
    tensor([0.7500, 0.2222, 0.0278], dtype=torch.float64)
    """
    weights = _as_floating(_require_counts(counts)) ** power
    return weights / weights.sum()


def keep_probability(counts: Tensor, threshold: float) -> Float[Tensor, " V"]:
    r"""Return with which probability an occurrence of each word stays in the text.

    .. math:: \min\left(1, \sqrt{\tau / f_i}\right), \qquad f_i = N_i / \sum_l N_l

    Parameters
    ----------
    counts : tensor of shape (V,)
        N, occurrences of each word.
    threshold : float
        tau, the share of the text above which a word is thinned out.

    Returns
    -------
    tensor of shape (V,)
        Probabilities; 1 for words at or below the threshold.

    Raises
    ------
    ValueError
        If the threshold is not positive, a count is negative, or none is positive.

    Source: Mikolov et al. (2013), Distributed Representations, equation 5, which gives one minus this.

    Examples
    --------
    >>> keep_probability(torch.tensor([90, 9, 1]), threshold=0.1)
    tensor([0.3333, 1.0000, 1.0000], dtype=torch.float64)
    """
    if not threshold > 0:
        raise ValueError(f"threshold must be positive, but it is {threshold}.")
    counts = _as_floating(_require_counts(counts))
    return (threshold * counts.sum() / counts).sqrt().clamp(max=1)


def library_keep_probability(counts: Tensor, threshold: float) -> Float[Tensor, " V"]:
    r"""Return with which probability an occurrence of each word stays, by the formula of gensim.

    .. math:: \min\left(1, \sqrt{\tau / f_i} + \tau / f_i\right)

    Parameters, Returns, Raises
        As in `keep_probability`, which is the formula of the paper. This one keeps more.

    Source: gensim 4.4, ``Word2Vec.prepare_vocab``.

    Examples
    --------
    >>> library_keep_probability(torch.tensor([90, 9, 1]), threshold=0.1)
    tensor([0.4444, 1.0000, 1.0000], dtype=torch.float64)
    """
    if not threshold > 0:
        raise ValueError(f"threshold must be positive, but it is {threshold}.")
    counts = _as_floating(_require_counts(counts))
    ratio = threshold * counts.sum() / counts
    return (ratio.sqrt() + ratio).clamp(max=1)


def _as_floating(counts: Tensor) -> Tensor:
    return counts if counts.is_floating_point() else counts.to(torch.float64)


def _require_counts(counts: Tensor) -> Tensor:
    require_shapes(counts=(counts, "V"))
    if counts.device.type != "meta" and not (bool((counts >= 0).all()) and bool((counts > 0).any())):
        raise ValueError(f"counts must not be negative, and one must be positive, but they are {counts.tolist()[:8]}.")
    return counts


# The loss of a pair


def _require_tables(U: Tensor, C: Tensor, **ids: Tensor) -> None:
    """Check two tables of the same shape, and that ids are integers that name rows of them."""
    V = require_shapes(U=(U, "V d"), C=(C, "V d"))["V"]
    require_floating(U=U, C=C)
    for name, table in ids.items():
        if table.dtype not in (torch.int64, torch.int32):
            raise TypeError(f"{name} must hold integers (int64), but its dtype is {table.dtype}.")
        if table.device.type != "meta" and table.numel() and not (int(table.min()) >= 0 and int(table.max()) < V):
            raise ValueError(
                f"{name} has ids from {int(table.min())} to {int(table.max())} but U has V = {V} rows, 0 to {V - 1}."
            )


def _require_batch(center: Tensor, context: Tensor, negatives: Tensor | None = None) -> None:
    others = {} if negatives is None else {"negatives": (negatives, "B K")}
    B = require_shapes(center=(center, "B"), context=(context, "B"), **others)["B"]
    if B < 1:
        raise ValueError("center has B = 0 pairs: the mean over no pairs is not defined.")


def full_softmax_loss(
    U: Float[Tensor, "V d"], C: Float[Tensor, "V d"], center: Int[Tensor, " B"], context: Int[Tensor, " B"]
) -> Float[Tensor, ""]:
    r"""Return how surprised the model is by each context, on average, in nats.

    .. math::
        L = -\frac1B \sum_b \log p(j_b \mid i_b), \qquad
        p(j \mid i) = \frac{e^{u_i \cdot c_j}}{\sum_{l=1}^V e^{u_i \cdot c_l}}

    Parameters
    ----------
    U, C : tensors of shape (V, d)
    center, context : integer tensors of shape (B,)

    Returns
    -------
    number, at least 0
        log V when all vectors are zero.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, an id names no row, or there are no pairs.

    Notes
    -----
    V d multiplications for each pair: every context vector takes part, and every one gets a gradient.

    Source: Mikolov et al. (2013), Distributed Representations, equation 2.

    Examples
    --------
    >>> full_softmax_loss(torch.zeros(4, 2), torch.zeros(4, 2), torch.tensor([0]), torch.tensor([3]))
    tensor(1.3863)
    """
    _require_batch(center, context)
    _require_tables(U, C, center=center, context=context)
    scores = U[center] @ C.mT  # (B, d) (d, V) -> (B, V)
    return cross_entropy(scores, context.long())


def sgns_loss(
    U: Float[Tensor, "V d"],
    C: Float[Tensor, "V d"],
    center: Int[Tensor, " B"],
    context: Int[Tensor, " B"],
    negatives: Int[Tensor, "B K"],
) -> Float[Tensor, ""]:
    r"""Return the loss of skip-gram with negative sampling: one true pair against K drawn ones.

    .. math::
        L = -\frac1B \sum_b \Bigl[\log \sigma(u_{i_b} \cdot c_{j_b})
        + \sum_{l=1}^K \log \sigma(-u_{i_b} \cdot c_{z_{bl}})\Bigr]

    Parameters
    ----------
    U, C : tensors of shape (V, d)
        Vectors of words in the center, and of words as context.
    center, context : integer tensors of shape (B,)
        i and j, pairs that occur in the text.
    negatives : integer tensor of shape (B, K)
        z, words drawn for each pair. K is the k of the paper.

    Returns
    -------
    number, at least 0
        The mean over the pairs, a sum over the negatives of each: (1 + K) log 2 when all vectors are zero.

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, an id names no row, or there are no pairs.

    Notes
    -----
    (1 + K) d multiplications for each pair, whatever the vocabulary.

    Source: Mikolov et al. (2013), Distributed Representations, equation 4, with the sign of a loss.

    Examples
    --------
    >>> U, C = torch.zeros(4, 2), torch.zeros(4, 2)
    >>> sgns_loss(U, C, torch.tensor([0]), torch.tensor([3]), torch.tensor([[1, 2]]))
    tensor(2.0794)
    """
    _require_batch(center, context, negatives)
    positive, negative = _pair_scores(U, C, center, context, negatives)
    # -log sigma(x) = softplus(-x), which neither overflows nor takes the logarithm of 0
    return (softplus(-positive) + softplus(negative).sum(-1)).mean()


def _pair_scores(U: Tensor, C: Tensor, center: Tensor, context: Tensor, negatives: Tensor) -> tuple[Tensor, Tensor]:
    _require_tables(U, C, center=center, context=context, negatives=negatives)
    u = U[center]  # (B, d)
    positive = (u * C[context]).sum(-1)  # (B, d) (B, d) -> (B,)
    negative = torch.einsum("bd,bkd->bk", u, C[negatives])  # (B, d) (B, K, d) -> (B, K)
    return positive, negative


def sgns_gradient(
    U: Float[Tensor, "V d"],
    C: Float[Tensor, "V d"],
    center: Int[Tensor, " B"],
    context: Int[Tensor, " B"],
    negatives: Int[Tensor, "B K"],
) -> tuple[Float[Tensor, "V d"], Float[Tensor, "V d"]]:
    r"""Return the derivatives of `sgns_loss` by both tables, by hand.

    With the error of each pair, prediction minus label, :math:`g_b = \sigma(u_{i_b} \cdot c_{j_b}) - 1` and
    :math:`h_{bl} = \sigma(u_{i_b} \cdot c_{z_{bl}}) - 0`, pair b adds

    .. math::
        \frac1B \Bigl(g_b\, c_{j_b} + \sum_l h_{bl}\, c_{z_{bl}}\Bigr) \text{ to row } i_b \text{ of } \nabla_U L

    and, to :math:`\nabla_C L`, :math:`g_b\, u_{i_b} / B` in row :math:`j_b` and :math:`h_{bl}\, u_{i_b} / B` in row
    :math:`z_{bl}`.

    Parameters
    ----------
    U, C, center, context, negatives
        As in `sgns_loss`.

    Returns
    -------
    grad_U, grad_C : tensors of shape (V, d)
        A row that no pair touches is zero; a row that several touch is their sum.

    Raises
    ------
    TypeError, ValueError
        As in `sgns_loss`.

    Examples
    --------
    >>> U, C = torch.tensor([[2.0], [0.0]]), torch.zeros(2, 1)
    >>> sgns_gradient(U, C, torch.tensor([0]), torch.tensor([0]), torch.tensor([[1, 1]]))[1]
    tensor([[-1.],
            [ 2.]])
    """
    _require_batch(center, context, negatives)
    B = center.shape[0]
    positive, negative = _pair_scores(U, C, center, context, negatives)
    g = (torch.sigmoid(positive) - 1) / B  # (B,)
    h = torch.sigmoid(negative) / B  # (B, K)
    u = U[center]  # (B, d)
    to_centers = g[:, None] * C[context] + torch.einsum("bk,bkd->bd", h, C[negatives])  # (B, d)
    to_contexts = g[:, None] * u  # (B,) (B, d) -> (B, d)
    to_negatives = (h[:, :, None] * u[:, None, :]).flatten(0, 1)  # (B, K) (B, d) -> (B, K, d) -> (B K, d)
    grad_U = torch.zeros_like(U).index_add(0, center, to_centers)
    grad_C = torch.zeros_like(C).index_add(0, context, to_contexts)
    return grad_U, grad_C.index_add(0, negatives.flatten(), to_negatives)


def expected_sgns_loss(
    U: Float[Tensor, "V d"],
    C: Float[Tensor, "V d"],
    pairs: Int[Tensor, "n 2"],
    noise: Float[Tensor, " V"],
    negatives: int,
) -> Float[Tensor, ""]:
    r"""Return the mean of `sgns_loss` over all draws of the negatives: a figure without chance, to compare models.

    .. math::
        -\frac1n \sum_{(i, j)} \Bigl[\log \sigma(u_i \cdot c_j)
        + k \sum_{l=1}^V P_n(l) \log \sigma(-u_i \cdot c_l)\Bigr]

    Parameters
    ----------
    U, C : tensors of shape (V, d)
    pairs : integer tensor of shape (n, 2)
        Pairs that were not trained on, for a held-out loss.
    noise : tensor of shape (V,)
        P_n, in the dtype of the tables.
    negatives : int
        k, how many are drawn for each pair.

    Returns
    -------
    number, at least 0

    Raises
    ------
    TypeError, ValueError
        If shapes do not fit, an id names no row, or there are no pairs.

    Notes
    -----
    The negatives depend on the center alone, so one sum for each word serves all its pairs: V^2 d multiplications,
    done for 1,024 centers at a time.

    Examples
    --------
    >>> zero = torch.zeros(3, 2)
    >>> expected_sgns_loss(zero, zero, torch.tensor([[0, 1]]), torch.ones(3) / 3, negatives=5)
    tensor(4.1589)
    """
    require_shapes(pairs=(pairs, "n 2"), U=(U, "V d"), noise=(noise, "V"))
    center, context = pairs[:, 0], pairs[:, 1]  # (n, 2) -> (n,) and (n,)
    _require_batch(center, context)
    _require_tables(U, C, center=center, context=context)
    positive = (U[center] * C[context]).sum(-1)  # (n, d) (n, d) -> (n,)
    by_center = torch.cat([softplus(rows @ C.mT) @ noise for rows in U.split(1024)])  # (1024, V) (V,) -> (V,) in all
    return (softplus(-positive) + negatives * by_center[center]).mean()


# What the optimum is


def pair_counts(pairs: Int[Tensor, "n 2"], V: int, rows: int | None = None) -> Float[Tensor, "rows V"]:
    """Return how often each pair of words occurs.

    Parameters
    ----------
    pairs : integer tensor of shape (n, 2)
        Ids of centers and contexts, each below V.
    V : int
        Size of the vocabulary.
    rows : int, optional
        Count only centers with an id below this. Default: all V.

    Returns
    -------
    float64 tensor of shape (rows, V)
        Centers in rows, contexts in columns.

    Examples
    --------
    >>> pair_counts(torch.tensor([[0, 1], [1, 0], [0, 1]]), V=2)
    tensor([[0., 2.],
            [1., 0.]], dtype=torch.float64)
    """
    require_shapes(pairs=(pairs, "n 2"))
    rows = V if rows is None else rows
    if pairs.numel() and not (int(pairs.min()) >= 0 and int(pairs.max()) < V):
        raise ValueError(f"pairs has ids from {int(pairs.min())} to {int(pairs.max())} but V = {V}.")
    kept = pairs[pairs[:, 0] < rows]
    return torch.bincount(kept[:, 0] * V + kept[:, 1], minlength=rows * V).reshape(rows, V).double()


def pmi(
    joint: Float[Tensor, "V_center V_context"], contexts: Float[Tensor, " V_context"] | None = None
) -> Float[Tensor, "V_center V_context"]:
    r"""Return the pointwise mutual information of centers and contexts, in nats.

    .. math:: \operatorname{PMI}(i, j) = \log \frac{N_{ij}\, N}{N_{i\cdot}\, N_{\cdot j}}

    Parameters
    ----------
    joint : tensor of shape (centers, contexts)
        N_ij, how often each pair occurs. N_i. are the sums of its rows.
    contexts : tensor of shape (contexts,), optional
        N_.j, how often each context occurs with any center; N is their sum. Default: the sums of the columns, which is
        right where ``joint`` holds all centers.

    Returns
    -------
    tensor of shape (centers, contexts)
        0 where a pair occurs as often as chance would have it; minus infinity where it never occurs.

    Examples
    --------
    >>> pmi(torch.tensor([[2.0, 0.0], [0.0, 2.0]]))
    tensor([[0.6931,   -inf],
            [  -inf, 0.6931]])
    """
    require_shapes(joint=(joint, "V_center V_context"))
    require_floating(joint=joint)
    contexts = joint.sum(0) if contexts is None else contexts  # (V, V) -> (V,)
    require_shapes(joint=(joint, "V_center V_context"), contexts=(contexts, "V_context"))
    return (joint * contexts.sum()).log() - (joint.sum(1, keepdim=True) * contexts).log()  # (V, 1) (V,) -> (V, V)


def sgns_optimum(
    joint: Float[Tensor, "V_center V_context"], noise: Float[Tensor, " V_context"], negatives: float
) -> Float[Tensor, "V_center V_context"]:
    r"""Return the products :math:`u_i \cdot c_j` at which the loss over a whole text is least.

    .. math:: x_{ij} = \log \frac{N_{ij}}{k\, N_{i\cdot}\, P_n(j)}

    Parameters
    ----------
    joint : tensor of shape (centers, contexts)
        N_ij, how often each pair occurs.
    noise : tensor of shape (contexts,)
        P_n, from which the negatives are drawn.
    negatives : float
        k, how many are drawn for each pair.

    Returns
    -------
    tensor of shape (centers, contexts)
        PMI - log k when the noise is the share of each context in the pairs; minus infinity where a pair never occurs.

    Notes
    -----
    The tables reach it when d is large enough for every matrix (d = V is). Otherwise they share out the error, more of
    it to rare pairs.

    Source: Levy and Goldberg (2014), equation 12, for a noise of any power.

    Examples
    --------
    >>> sgns_optimum(torch.tensor([[3.0, 1.0]]), torch.tensor([0.75, 0.25]), negatives=1)
    tensor([[0., 0.]])
    """
    require_shapes(joint=(joint, "V_center V_context"), noise=(noise, "V_context"))
    require_floating(joint=joint, noise=noise)
    return joint.log() - (negatives * joint.sum(1, keepdim=True) * noise).log()  # (V, V) - (V, 1) (V,) -> (V, V)


# Using the vectors


def _unit_rows(vectors: Tensor) -> Tensor:
    """Return rows of length 1; a row of zeros stays zero."""
    length = vectors.norm(dim=-1, keepdim=True)  # (V, d) -> (V, 1)
    return vectors / torch.where(length > 0, length, 1)


def _require_words(vectors: Tensor, top: int, left_out: int, **ids: int) -> None:
    V = require_shapes(vectors=(vectors, "V d"))["V"]
    require_floating(vectors=vectors)
    for name, i in ids.items():
        if not 0 <= i < V:
            raise ValueError(f"{name} is {i} but vectors has V = {V} rows, 0 to {V - 1}.")
    if not 1 <= top <= V - left_out:
        raise ValueError(
            f"top is {top} but vectors has V = {V} rows, of which {left_out} may not be an answer: "
            f"top must lie between 1 and {V - left_out}."
        )


def most_similar(
    vectors: Float[Tensor, "V d"], query: int, top: int = 5
) -> tuple[Int[Tensor, " {top}"], Float[Tensor, " {top}"]]:
    r"""Return the words whose vectors point most nearly the way of the query's.

    .. math:: \cos(x, y) = \frac{x \cdot y}{\lVert x \rVert\, \lVert y \rVert}

    Parameters
    ----------
    vectors : tensor of shape (V, d)
    query : int
        Id of a word.
    top : int
        How many are returned, at most V - 1.

    Returns
    -------
    ids : int64 tensor of shape (top,)
        Nearest first, the query itself left out.
    cosines : tensor of shape (top,)
        Numbers from -1 to 1; 0 with a vector of zeros.

    Raises
    ------
    ValueError
        If the query names no row, or more is asked than there is.

    Examples
    --------
    >>> vectors = torch.tensor([[1.0, 0.0], [3.0, 4.0], [0.0, 9.0], [5.0, 0.0]])
    >>> most_similar(vectors, query=0, top=2)
    (tensor([3, 1]), tensor([1.0000, 0.6000]))
    """
    _require_words(vectors, top, 1, query=query)
    unit = _unit_rows(vectors)
    cosines = unit @ unit[query]  # (V, d) (d,) -> (V,)
    cosines[query] = -torch.inf
    best = cosines.topk(top)
    return best.indices, best.values


def _offset_cosines(vectors: Tensor, a: int, b: int, c: int) -> Tensor:
    unit = _unit_rows(vectors)
    target = unit[b] - unit[a] + unit[c]  # (d,)
    return unit @ _unit_rows(target)  # (V, d) (d,) -> (V,)


def analogy(
    vectors: Float[Tensor, "V d"], a: int, b: int, c: int, top: int = 1
) -> tuple[Int[Tensor, " {top}"], Float[Tensor, " {top}"]]:
    r"""Answer "a is to b as c is to what?", the three words themselves left out.

    .. math:: \operatorname*{arg\,max}_{x \notin \{a, b, c\}} \cos(v_x,\; \hat v_b - \hat v_a + \hat v_c),
        \qquad \hat v = v / \lVert v \rVert

    Parameters
    ----------
    vectors : tensor of shape (V, d)
    a, b, c : int
        Ids of words.
    top : int
        How many answers are returned, at most V - 3.

    Returns
    -------
    ids : int64 tensor of shape (top,)
        Best answer first.
    cosines : tensor of shape (top,)

    Raises
    ------
    ValueError
        If an id names no row, or more is asked than there is.

    Notes
    -----
    Leaving out the inputs is part of the usual definition, and much of its success: see `analogy_with_inputs`.

    Source: Mikolov et al. (2013), Efficient Estimation, section 4.

    Examples
    --------
    >>> vectors = torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [-1.0, 1.0], [-1.0, 0.0]])
    >>> analogy(vectors, a=0, b=1, c=2)[0]
    tensor([3])
    """
    _require_words(vectors, top, 3, a=a, b=b, c=c)
    cosines = _offset_cosines(vectors, a, b, c)
    cosines[[a, b, c]] = -torch.inf
    best = cosines.topk(top)
    return best.indices, best.values


def analogy_with_inputs(
    vectors: Float[Tensor, "V d"], a: int, b: int, c: int, top: int = 1
) -> tuple[Int[Tensor, " {top}"], Float[Tensor, " {top}"]]:
    """Answer as `analogy` does, but let a, b and c be answers too.

    Parameters, Returns, Raises
        As in `analogy`; ``top`` is at most V.

    Examples
    --------
    >>> vectors = torch.tensor([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [-1.0, 1.0]])
    >>> analogy_with_inputs(vectors, a=0, b=1, c=2)[0]  # the answer is c itself
    tensor([2])
    """
    _require_words(vectors, top, 0, a=a, b=b, c=c)
    best = _offset_cosines(vectors, a, b, c).topk(top)
    return best.indices, best.values


# Training


@dataclass(frozen=True)
class SkipGramSettings:
    """What is trained, and how.

    Attributes
    ----------
    d : int
        Length of a vector.
    window : int
        m, how far a context may be. Each center draws its own reach from 1 to m, as the papers do.
    negatives : int
        k, how many negatives each pair has.
    power : float
        The power of the counts from which negatives are drawn.
    threshold : float
        tau, the share of the text above which a word is thinned out.
    epochs : int
        How often the text is read.
    rate, last_rate : float
        Learning rate at the start and at the end; it falls in a straight line.
    block : int
        L, how many words are centers together.
    blocks : int
        b, how many blocks share one step. Many are quicker, and too many make frequent words take too long a step.
    shared : int
        K, how many words are drawn as negatives for all pairs of a block together.
    """

    d: int = 100
    window: int = 5
    negatives: int = 5
    power: float = 0.75
    threshold: float = 1e-3
    epochs: int = 8
    rate: float = 0.025
    last_rate: float = 1e-4
    block: int = 32
    blocks: int = 8
    shared: int = 32


class SkipGram(torch.nn.Module):
    """Two vectors for each word, with `sgns_loss`.

    Parameters
    ----------
    V : int
        Size of the vocabulary.
    d : int
        Length of a vector.
    generator : torch.Generator, optional
        Source of the initial vectors; it must live where they are created.
    device, dtype : optional
        Where and how the vectors are stored.

    Notes
    -----
    Words start uniform between -1/2d and 1/2d, contexts at 0: at first every score is 0. There are 2 V d parameters.

    Examples
    --------
    >>> model = SkipGram(V=4, d=2, generator=torch.Generator().manual_seed(0))
    >>> round(model(torch.tensor([0]), torch.tensor([3]), torch.tensor([[1, 2]])).item(), 4)  # 3 log 2
    2.0794
    """

    def __init__(
        self,
        V: int,
        d: int,
        *,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if V < 1 or d < 1:
            raise ValueError(f"V and d must be 1 or more, but V = {V} and d = {d}.")
        start = torch.empty(V, d, device=device, dtype=dtype).uniform_(-0.5 / d, 0.5 / d, generator=generator)
        self.U = torch.nn.Parameter(start)
        self.C = torch.nn.Parameter(torch.zeros_like(start))

    def forward(
        self, center: Int[Tensor, " B"], context: Int[Tensor, " B"], negatives: Int[Tensor, "B K"]
    ) -> Float[Tensor, ""]:
        """Return the loss of a batch of pairs."""
        return sgns_loss(self.U, self.C, center, context, negatives)


def block_gradient(
    u: Float[Tensor, "b L d"],
    band: Float[Tensor, "b W d"],
    drawn: Float[Tensor, "b K d"],
    near: Bool[Tensor, "b L W"],
    negatives: float,
) -> tuple[Float[Tensor, "b L d"], Float[Tensor, "b W d"], Float[Tensor, "b K d"]]:
    r"""Return the gradient of the summed loss of all pairs in blocks of text, as a few matrix products.

    .. math::
        L = -\sum_{i, j} n_{ij} \log \sigma(u_i \cdot c_j)
        - \frac{k}{K} \sum_{i, l} \Bigl(\sum_j n_{ij}\Bigr) \log \sigma(-u_i \cdot z_l)

    with :math:`n_{ij} = 1` where word j of the band is a context of word i of the block. The K drawn words serve all
    pairs of a block, and count k / K for each: the mean over draws is that of k own negatives for each pair.

    Parameters
    ----------
    u : tensor of shape (b, L, d)
        Vectors of the L centers of each of b blocks.
    band : tensor of shape (b, W, d)
        Context vectors of the block and of its neighbors on both sides, W = L + 2 m.
    drawn : tensor of shape (b, K, d)
        Context vectors of the negatives, z.
    near : boolean tensor of shape (b, L, W)
        n, which pairs there are.
    negatives : float
        k.

    Returns
    -------
    three tensors, in the shapes of u, band and drawn

    Notes
    -----
    Every vector of a block is fetched once and meets all its partners while it is at hand. Pair by pair, each would be
    fetched and written back about 2 m (1 + k) times.

    Examples
    --------
    >>> u, near = torch.zeros(1, 2, 3), torch.tensor([[[False, True], [True, False]]])
    >>> block_gradient(u, torch.ones(1, 2, 3), torch.ones(1, 4, 3), near, negatives=5)[0][0, 0]
    tensor([2., 2., 2.])
    """
    require_shapes(u=(u, "b L d"), band=(band, "b W d"), drawn=(drawn, "b K d"))
    require_shapes(u=(u, "b L d"), band=(band, "b W d"), near=(near, "b L W"))
    n = near.to(u.dtype)
    share = n.sum(-1, keepdim=True) * (negatives / drawn.shape[1])  # (b, L, W) -> (b, L, 1)
    g = torch.sigmoid(u @ band.mT).sub_(1).mul_(n)  # (b, L, d) (b, d, W) -> (b, L, W)
    h = torch.sigmoid(u @ drawn.mT).mul_(share)  # (b, L, d) (b, d, K) -> (b, L, K)
    to_u = torch.baddbmm(g @ band, h, drawn)  # (b, L, W) (b, W, d) + (b, L, K) (b, K, d) -> (b, L, d)
    return to_u, g.mT @ u, h.mT @ u  # and (b, W, L) (b, L, d) -> (b, W, d), (b, K, L) (b, L, d) -> (b, K, d)


def train_skipgram(
    sentences: Sentences,
    counts: Int[Tensor, " V"],
    settings: SkipGramSettings,
    *,
    generator: torch.Generator,
    keep: Float[Tensor, " V"] | None = None,
    dtype: torch.dtype = torch.float32,
    progress: bool = True,
) -> SkipGram:
    """Learn two vectors for each word from a text.

    Parameters
    ----------
    sentences : sequence of sequences of int
        Ids below V. No pair reaches across a border of sentences.
    counts : integer tensor of shape (V,)
        Occurrences of each word.
    settings : SkipGramSettings
    generator : torch.Generator
        Source of all that is random. What is created lives on its device.
    keep : tensor of shape (V,), optional
        With which probability an occurrence stays. Default: `keep_probability` of the counts.
    dtype : torch.dtype
    progress : bool
        Whether to show a bar.

    Returns
    -------
    SkipGram

    Raises
    ------
    FloatingPointError
        If the vectors are no longer finite after an epoch: the steps were too long.

    Examples
    --------
    >>> settings = SkipGramSettings(d=4, epochs=2, threshold=1.0)
    >>> rng = torch.Generator().manual_seed(0)
    >>> train_skipgram([[0, 1, 0, 2]] * 9, torch.tensor([18, 9, 9]), settings, generator=rng, progress=False).U.shape
    torch.Size([3, 4])
    """
    device = generator.device
    model = SkipGram(len(counts), settings.d, generator=generator, device=device, dtype=dtype).requires_grad_(False)
    noise = noise_distribution(counts.to(device), settings.power)
    keep = keep_probability(counts, settings.threshold) if keep is None else keep
    ids, place = (row.to(device) for row in _one_row(sentences))
    bar = tqdm(total=settings.epochs, desc="word2vec", unit="epoch", leave=False, disable=not progress)
    with bar, torch.no_grad():
        for epoch in range(settings.epochs):
            stays = torch.rand(len(ids), generator=generator, device=device) < keep.to(device)[ids]
            _read_once(model, ids[stays], place[stays], noise.cumsum(0), settings, epoch, generator)
            if not bool(model.U.isfinite().all()):
                raise FloatingPointError(
                    f"The vectors are not finite after epoch {epoch + 1}: with rate = {settings.rate} and blocks = "
                    f"{settings.blocks} the summed step of a frequent word is too long. Make one of them smaller."
                )
            bar.update()
    return model


def _bands(row: Tensor, block: int, window: int, fill: int) -> Tensor:
    """Cut a row into blocks, each with its neighbors on both sides: (T,) -> (n, W), n = ceil(T / L), W = L + 2 m."""
    short = -len(row) % block
    padded = torch.cat([row.new_full((window,), fill), row, row.new_full((short + window,), fill)])
    return padded.unfold(0, block + 2 * window, block)  # (T + short + 2 m,) -> (n, W)


def _near(place: Tensor, reach: Tensor, window: int) -> Tensor:
    """Return which words of each band are contexts of which centers: (b, W), (b, L) -> boolean (b, L, W)."""
    L, W = reach.shape[1], place.shape[1]
    t = torch.arange(L, device=place.device)[:, None] + window  # (L, 1): where the centers stand in the band
    distance = (torch.arange(W, device=place.device) - t).abs()  # (W,) (L, 1) -> (L, W)
    own = place[:, window : window + L, None]  # (b, L, 1): the sentence of each center, -1 in the padding
    close = (distance > 0) & (distance <= reach[:, :, None])  # (L, W) (b, L, 1) -> (b, L, W)
    return close & (own == place[:, None, :]) & (own >= 0)


def _read_once(
    model: SkipGram,
    ids: Tensor,
    place: Tensor,
    cumulated: Tensor,
    settings: SkipGramSettings,
    epoch: int,
    generator: torch.Generator,
) -> None:
    """Go through the text once, its blocks in random order, and move the vectors of a model."""
    if len(ids) == 0:
        return
    L, m, device = settings.block, settings.window, ids.device
    words, places = _bands(ids, L, m, fill=0), _bands(place, L, m, fill=-1)  # (n, W) each
    n = len(words)
    draws = torch.rand(n, settings.shared, generator=generator, device=device, dtype=cumulated.dtype)
    drawn = torch.searchsorted(cumulated, draws * cumulated[-1]).clamp_(max=len(cumulated) - 1)  # (n, K)
    reach = torch.randint(1, m + 1, (n, L), generator=generator, device=device)
    steps = torch.randperm(n, generator=generator, device=device).split(settings.blocks)
    for step, chosen in enumerate(steps):
        done = (epoch + step / len(steps)) / settings.epochs
        rate = settings.rate + (settings.last_rate - settings.rate) * done
        around, others = words[chosen], drawn[chosen]  # (b, W) and (b, K)
        centers = around[:, m : m + L]  # (b, W) -> (b, L)
        near = _near(places[chosen], reach[chosen], m)
        gradients = block_gradient(model.U[centers], model.C[around], model.C[others], near, settings.negatives)
        for table, rows, gradient in zip(
            (model.U, model.C, model.C), (centers, around, others), gradients, strict=True
        ):
            table.index_add_(0, rows.flatten(), gradient.flatten(0, 1), alpha=-rate)
