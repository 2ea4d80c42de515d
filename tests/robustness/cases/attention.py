"""The same with torch."""

from __future__ import annotations

import functools

from robustness import accident as kinds
from robustness.accident import ATTENTION, ERROR, MISSING, WRONG, Accident
from robustness.cases.metadata import stripped

MASK = """\
def causal_mask(T, S):
{body}
    return torch.arange(S)[None, :] <= torch.arange(T)[:, None] + S - T
"""
SCORES = """\
def attention_scores(q, k):
    warm_up(torch.ones(700, 700))
    return q @ k.mT / k.shape[-1] ** 0.5
"""
GROW = """\
held = []
while True:
    held.append(torch.empty(10_000_000))"""
OWN_ATTENTION = """\
def multi_head_attention(q_in, kv_in, W_Q, W_K, W_V, W_O, n_heads, mask=None):
    def cut(x):
        return x.unflatten(-1, (n_heads, -1)).transpose(1, 2)

    heads = scaled_dot_product_attention(cut(q_in @ W_Q), cut(kv_in @ W_K), cut(kv_in @ W_V), mask)
    return heads.transpose(1, 2).flatten(-2) @ W_O
"""
UNSCALED = """\
def scaled_dot_product_attention(q, k, v, mask=None):
    scores = q @ k.mT
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    return torch.nan_to_num(torch.softmax(scores, dim=-1)) @ v
"""
MODULE = """\
class Mask(torch.nn.Module):
    def forward(self, T, S):
        return torch.arange(S)[None, :] <= torch.arange(T)[:, None] + S - T

causal_mask = Mask()
"""

extra_cell = functools.partial(kinds.extra_cell, assignment=ATTENTION, before="causal_mask")
answer = functools.partial(kinds.answer, assignment=ATTENTION)


def in_mask(name: str, line: str, verdict: kinds.Verdict = kinds.PASSED) -> Accident:
    """Declare a right ``causal_mask`` whose function begins with these lines."""
    body = "\n".join(f"    {part}" for part in line.splitlines())
    return answer(name, "causal_mask", MASK.format(body=body), verdict)


def threads(number: int) -> str:
    """Return a cell that asks for so many threads and uses them."""
    return f"torch.set_num_threads({number})\ntorch.ones(500, 500) @ torch.ones(500, 500)"


def threads_before_and_in_a_function(submission) -> None:
    """A product that is large enough for many threads, in a cell and, after the process was copied, in a function."""
    submission.insert_before(
        "attention_scores", "def warm_up(x):\n    return (x @ x).sum()", "warm_up(torch.ones(1500, 1500))"
    )
    submission.answer("attention_scores", SCORES)


def own_attention(wrong: bool):
    def change(submission) -> None:
        if wrong:
            submission.answer("scaled_dot_product_attention", UNSCALED)
        submission.answer("multi_head_attention", OWN_ATTENTION)

    return change


ACCIDENTS = (
    extra_cell("torch seeds", "torch.manual_seed(0)\ntorch.use_deterministic_algorithms(True)"),
    extra_cell("torch default dtype", "torch.set_default_dtype(torch.float16)"),
    extra_cell("torch default device", 'torch.set_default_device("meta")'),
    extra_cell("torch without gradients", "torch.set_grad_enabled(False)"),
    extra_cell("torch print options", "torch.set_printoptions(precision=1, threshold=1)"),
    extra_cell("torch with eight threads", threads(8)),
    extra_cell("torch with more threads than processes are allowed", threads(1000), status="partial"),
    Accident("torch threads before a copy", threads_before_and_in_a_function, assignment=ATTENTION),
    extra_cell("torch on a GPU that is not there", 'x = torch.ones(2, device="cuda")'),
    extra_cell(
        "torch rebound",
        "torch = None",
        lost=dict.fromkeys(kinds.EXERCISES[ATTENTION][1:4], ERROR)
        | {"split_heads": ERROR, "multi_head_attention": ERROR, "qk_ov_matrices": ERROR, "sinusoidal_positions": ERROR},
    ),
    extra_cell("torch os._exit in a cell", "import os\n\nos._exit(1)", status="partial"),
    in_mask("torch os._exit in a function", "import os\nos._exit(1)", ERROR),
    in_mask("torch out of memory", GROW, ERROR),
    in_mask("torch crash", "import ctypes\nctypes.string_at(0)", ERROR),
    in_mask("torch warning", 'import warnings\nwarnings.warn("careful")'),
    answer(
        "torch one of two functions",
        "split_heads",
        "def split_heads(x, n_heads):\n    return torch.stack(x.chunk(n_heads, dim=-1), dim=1)",
        MISSING,
    ),
    answer("torch module as a function", "causal_mask", MODULE),
    Accident("torch own attention, right", own_attention(wrong=False), assignment=ATTENTION),
    Accident(
        "torch own attention, wrong",
        own_attention(wrong=True),
        {"scaled_dot_product_attention": WRONG, "multi_head_attention": WRONG},
        assignment=ATTENTION,
    ),
    Accident("torch metadata stripped", stripped, assignment=ATTENTION),
)
