"""The data sets: shapes, types, and that nobody else's copy is changed."""

from __future__ import annotations

import numpy as np
import pytest

from mlcourse import data

SETS = {
    "diabetes": (data.diabetes, (442, 10), np.float64),
    "breast_cancer": (data.breast_cancer, (569, 30), np.int64),
    "digits": (data.digits, (1797, 64), np.int64),
}


@pytest.mark.parametrize("name", SETS)
def test_a_set_has_its_shape_its_types_and_its_source(name):
    load, shape, target = SETS[name]
    found = load()
    assert found.X.shape == shape
    assert (found.n, found.p) == shape
    assert found.y.shape == shape[:1]
    assert (found.X.dtype, found.y.dtype) == (np.float64, target)
    assert len(found.feature_names) == found.p
    assert np.isfinite(found.X).all()
    assert "scikit-learn" in found.citation


@pytest.mark.parametrize("name", SETS)
def test_who_changes_a_copy_does_not_change_the_next(name):
    load = SETS[name][0]
    before = load().X.copy()
    load().X[:] = 0
    assert np.array_equal(load().X, before)


def test_scaled_diabetes_features_have_mean_zero_and_length_one():
    X = data.diabetes().X
    assert np.allclose(X.mean(0), 0)
    assert np.allclose((X**2).sum(0), 1)


def test_raw_diabetes_features_are_in_their_own_units():
    X = data.diabetes(scaled=False).X
    assert X[:, 0].min() >= 18  # ages in years
