"""Errors name both sides, for NumPy arrays and for torch tensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mlcourse.validation import require_finite, require_floating, require_shapes

pytestmark = pytest.mark.parallel

BOTH = pytest.mark.parametrize("make", [np.asarray, torch.as_tensor], ids=["numpy", "torch"])


@BOTH
def test_sizes_come_back_by_name(make):
    q, k = make(np.ones((2, 3, 4))), make(np.ones((2, 5, 4)))
    assert require_shapes(q=(q, "... T d_k"), k=(k, "... S d_k")) == {"T": 3, "S": 5, "d_k": 4}


@BOTH
def test_a_disagreement_names_both_arrays(make):
    with pytest.raises(ValueError, match=r"X has n = 5 but y has n = 4\."):
        require_shapes(X=(make(np.ones((5, 2))), "n p"), y=(make(np.ones(4)), "n"))


@BOTH
@pytest.mark.parametrize(
    ("shape", "axes", "words"),
    [
        ((5,), "n p", r"X must have 2 axes \(n, p\), but its shape is \(5,\)"),
        ((1, 5, 2), "n p", r"X must have 2 axes"),
        ((5,), "... T C", r"X must have at least 2 axes \(T, C\)"),
        ((3, 4), "d d", r"X must have d twice, but its shape is \(3, 4\)"),
    ],
)
def test_a_wrong_number_of_axes_is_explained(make, shape, axes, words):
    with pytest.raises(ValueError, match=words):
        require_shapes(X=(make(np.ones(shape)), axes))


def test_a_list_is_no_array():
    with pytest.raises(TypeError, match=r"X must be an array with axes \(n p\), but it is a list"):
        require_shapes(X=([[1.0]], "n p"))


def test_axes_may_be_empty():
    assert require_shapes(X=(np.ones((0, 3)), "n p")) == {"n": 0, "p": 3}


@BOTH
@pytest.mark.parametrize("dtype", [np.int64, np.bool_, np.complex128])
def test_what_is_not_floating_is_named(make, dtype):
    with pytest.raises(TypeError, match="X must hold floating-point numbers, but its dtype is"):
        require_floating(X=make(np.ones(2, dtype=dtype)))


@BOTH
@pytest.mark.parametrize(("bad", "words"), [([np.nan], "1 value that is"), ([np.inf, -np.inf], "2 values that are")])
def test_values_that_are_not_finite_are_counted(make, bad, words):
    with pytest.raises(ValueError, match=f"y holds {words} not finite"):
        require_finite(y=make(np.array([1.0, *bad])))


@BOTH
def test_finite_and_empty_arrays_pass(make):
    require_finite(y=make(np.array([1e300])), x=make(np.zeros((0, 2))))


def test_a_tensor_without_values_passes():
    require_finite(x=torch.ones(3, device="meta"))
