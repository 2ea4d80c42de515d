"""Plain data: what can be read, what is refused, and when two of them agree."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np
import pytest
import torch

from mlcourse.grading.compare import difference
from mlcourse.grading.plain import (
    MAX_ARRAY_ELEMENTS,
    MAX_ITEMS,
    NotPlainError,
    PlainArray,
    from_plain,
    identical,
    to_plain,
)


class Fit(NamedTuple):
    weights: float
    intercept: float


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        2,
        1.5,
        "text",
        [1, (2.0, None)],
        {"a": np.arange(3)},
        torch.ones(2, 3),
        torch.nn.Parameter(torch.ones(2)),
        np.zeros((0, 2)),
        np.float32(1.5),
        torch.tensor([True]),
    ],
)
def test_plain_data_survives_the_round_trip(value):
    plain = to_plain(value)
    assert identical(plain, to_plain(from_plain(plain)))


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1: 2},
        {1, 2},
        b"bytes",
        range(3),
        lambda: 0,
        np.ma.array([1.0]),
        np.array([object()]),
        np.array(["a"]),
        torch.ones(2, device="meta"),
        torch.ones(2, dtype=torch.bfloat16),
        torch.eye(2).to_sparse(),
        [[[[[[[[[[1]]]]]]]]]],
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_not_plain_is_refused(value):
    with pytest.raises(NotPlainError):
        to_plain(value)


@pytest.mark.parametrize(
    ("tensor", "values"),
    [
        (torch.tensor([1.0, 2.0]), [1.0, 2.0]),
        (torch.tensor([1.0, 2.0]).requires_grad_(), [1.0, 2.0]),
        (torch.nn.Parameter(torch.tensor([1.0, 2.0])), [1.0, 2.0]),
        (torch.tensor([1.0 + 2.0j]).conj(), [1.0 - 2.0j]),
        (torch.tensor([1.0 + 2.0j]).conj().imag, [-2.0]),
        (torch.tensor([[1.0, 2.0], [3.0, 4.0]]).T, [[1.0, 3.0], [2.0, 4.0]]),
        (torch.tensor(5.0).expand(2), [5.0, 5.0]),
        (torch.tensor(5), 5),
        (torch.zeros(0, 3), np.zeros((0, 3))),
    ],
)
def test_a_tensor_is_read_whatever_it_keeps_beside_its_values(tensor, values):
    plain = to_plain(tensor)
    assert plain.library == "torch"
    assert plain.data.shape == np.shape(values)
    assert np.array_equal(plain.data, values)


def test_plain_data_stay_when_the_tensor_changes():
    tensor = torch.tensor([1.0, 2.0])
    plain = to_plain(tensor)
    tensor += 1
    assert plain.data.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("elements", [10**12, 2**61])  # NumPy has no array of so many bytes as the second takes
@pytest.mark.parametrize("learns", [False, True])
def test_a_view_that_claims_more_than_there_is_memory_is_refused(learns, elements):
    with pytest.raises(NotPlainError, match="elements, more than"):
        to_plain(torch.zeros(1, requires_grad=learns).expand(elements))


def numbers(*values):
    return PlainArray("numpy", np.array(values))


@pytest.mark.parametrize(
    ("got", "expected", "agree"),
    [
        (1.0, 1, True),
        (1, 1.0, True),
        (1.0, True, False),
        (True, 1, False),
        (1.0, numbers(1.0), False),
        (PlainArray("torch", np.array(2.0)), 2.0, True),
        (numbers(1.0, np.nan), numbers(1.0, np.nan), True),
        (numbers(0.0, -np.inf), numbers(-0.0, -np.inf), True),
        (numbers(1.0, np.inf), numbers(1.0, np.inf), True),
        (numbers(1.0, np.inf), numbers(1.0, -np.inf), False),
        (numbers(1.0), numbers(1.0, 1.0), False),
        (numbers(True), numbers(1.0), False),
        ([1.0, 2.0], (1.0, 2.0), True),
        ([1.0], (1.0, 2.0), False),
        ({"a": 1}, {"a": 1}, True),
        ({"b": 1}, {"a": 1}, False),
        ("a", "a", True),
        ("b", "a", False),
        (None, None, True),
        (float("nan"), 1.0, False),
        (2.5, 2, False),
    ],
)
def test_what_agrees(got, expected, agree):
    assert (difference(got, expected, 1e-6, 1e-9) is None) is agree


def test_digits_that_differ_are_shown():
    found = difference(1.000004, 1.0, 1e-6, 1e-9)
    assert found.detail == "you return 1.000004, expected 1 (close, but outside the tolerance)"


def test_a_factor_is_named_only_where_all_wrong_values_share_it():
    shared = difference(numbers(2.0, 4.0), numbers(1.0, 2.0), 1e-6, 1e-9)
    assert "2 times too large" in shared.detail
    mixed = difference(numbers(2.0, 1.0), numbers(1.0, 2.0), 1e-6, 1e-9)
    assert "times" not in mixed.detail


def test_an_index_has_no_factor():
    found = difference(PlainArray("numpy", np.array([6, 2])), PlainArray("numpy", np.array([3, 1])), 1e-6, 1e-9)
    assert found.detail == "at [0] you return 6, expected 3"


def test_an_array_with_a_dimension_is_no_number_but_its_shape_is_at_fault():
    found = difference(numbers(1.0), 1.0, 1e-6, 1e-9)
    assert found.headline == "wrong shape"
    assert found.detail == "you return a NumPy array of shape (1,) and dtype float64, expected one number"


def test_a_named_tuple_is_a_tuple():
    assert difference(to_plain(Fit(1.0, 2.0)), (1.0, 2.0), 1e-6, 1e-9) is None


def test_the_first_wrong_entry_is_named_with_both_values():
    found = difference(numbers(1.0, 5.0, 3.0), numbers(1.0, 2.0, 3.0), 1e-6, 1e-9)
    assert found.detail == "at [1] you return 5, expected 2: 2.5 times too large; 1 of 3 values are wrong"


def quantized():
    """Return a tensor of a kind that torch is about to drop."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch._empty_affine_quantized([2], scale=0.1, zero_point=0, dtype=torch.qint8)


@pytest.mark.parametrize(
    "value",
    [
        [0] * (MAX_ITEMS + 1),
        np.broadcast_to(0.0, (MAX_ARRAY_ELEMENTS + 1,)),
        torch.zeros(1).expand(MAX_ARRAY_ELEMENTS + 1),
        quantized(),
    ],
    ids=["long list", "large array", "large tensor", "quantized"],
)
def test_what_is_too_large_or_too_strange_is_refused(value):
    with pytest.raises(NotPlainError):
        to_plain(value)
