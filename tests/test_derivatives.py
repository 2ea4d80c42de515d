"""Who is asked to derive by hand may not let torch do it, one step after another."""

from __future__ import annotations

import nbformat
import pytest

from mlcourse.exercises.libraries import AUTOGRAD
from mlcourse.grading.inside.words import names_nothing_forbidden
from mlcourse.grading.shortcuts import Check
from mlcourse.grading.submission import Grader

WALK = """
import numpy as np
import torch


class Step:
    next_functions = ()


def walk(step, above, found):
    parts = step(*above) if isinstance(above, tuple) else step(above)
    for (after, _), part in zip(step.next_functions, parts if isinstance(parts, tuple) else (parts,)):
        if after is None or part is None:
            continue
        if "Accumulate" in str(after):
            found.append(part)
        else:
            walk(after, part, found)


def cross_entropy_gradient(logits, labels):
    z = torch.tensor(np.asarray(logits), requires_grad=True)
    moved = z - z.detach().max(1, keepdim=True).values
    right = torch.eye(z.shape[1], dtype=z.dtype)[torch.as_tensor(np.asarray(labels))]
    loss = (torch.log(torch.exp(moved).sum(1)) - (moved * right).sum(1)).sum() / z.shape[0]
    found = []
    walk(loss.grad_fn, torch.ones((), dtype=z.dtype), found)
    total = sum(found).detach()
    return total.numpy() if isinstance(logits, np.ndarray) else total
"""


def test_what_derives_a_tensor_earns_nothing():
    check = 'check("logistic_regression.cross_entropy_gradient", cross_entropy_gradient)'
    cells = [nbformat.v4.new_code_cell(source) for source in ("from mlcourse.grading import check", WALK, check)]
    with Grader("logistic_regression", seed=7, isolation="none") as grader:
        reports = {report.name: report for report in grader.grade(nbformat.v4.new_notebook(cells=cells)).reports}
    report = reports["logistic_regression.cross_entropy_gradient"]
    assert (report.score, report.status) == (0.0, "forbidden")
    assert "grad_fn" in report.feedback


@pytest.mark.parametrize("name", ["grad_fn", "get_gradient_edge"])
def test_its_name_is_not_plain(name):
    check = {"toy.slope": Check(2, "slope", AUTOGRAD, "mlcourse.toy")}
    assert not names_nothing_forbidden(
        ["import torch", f"class A:\n    {name} = 1\ndef slope(x): return x.{name}"], check
    )
