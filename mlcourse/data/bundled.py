"""The sets that ship inside scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from sklearn import datasets


@dataclass(frozen=True)
class Dataset:
    """Arrays for learning, and where they come from.

    Attributes
    ----------
    X : array of shape (n, p), float64
        One row per example.
    y : array of shape (n,)
        One target per example: float64 for regression, int64 for classes.
    feature_names : tuple of str
        What the p columns of ``X`` mean.
    target_name : str
        What ``y`` means.
    citation : str
        Who collected the data.
    """

    X: Float[np.ndarray, "n p"]
    y: np.ndarray
    feature_names: tuple[str, ...]
    target_name: str
    citation: str

    @property
    def n(self) -> int:
        """Number of examples."""
        return self.X.shape[0]

    @property
    def p(self) -> int:
        """Number of features."""
        return self.X.shape[1]


def diabetes(*, scaled: bool = True) -> Dataset:
    """Return the diabetes data: 442 patients, 10 measurements, disease progression after one year.

    Parameters
    ----------
    scaled : bool
        True gives scikit-learn's default: each feature has mean 0 and squared length 1. False gives the raw units
        (age in years, body mass index in kg/m^2, ...).

    Examples
    --------
    >>> data = diabetes()
    >>> data.X.shape, data.y.shape
    ((442, 10), (442,))
    """
    raw = datasets.load_diabetes(scaled=scaled)
    return Dataset(
        X=np.asarray(raw.data, dtype=np.float64),
        y=np.asarray(raw.target, dtype=np.float64),
        feature_names=tuple(raw.feature_names),
        target_name="disease progression one year after baseline",
        citation=(
            "Efron, Hastie, Johnstone and Tibshirani (2004), Least Angle Regression, The Annals of Statistics 32(2), "
            "407-499; as shipped by scikit-learn."
        ),
    )


def breast_cancer() -> Dataset:
    """Return the Wisconsin diagnostic data: 569 tumors, 30 measurements, 0 malignant and 1 benign.

    Examples
    --------
    >>> breast_cancer().X.shape
    (569, 30)
    """
    raw = datasets.load_breast_cancer()
    return Dataset(
        X=np.asarray(raw.data, dtype=np.float64),
        y=np.asarray(raw.target, dtype=np.int64),
        feature_names=tuple(str(name) for name in raw.feature_names),
        target_name="diagnosis (0 malignant, 1 benign)",
        citation=(
            "Wolberg, Mangasarian, Street and Street (1995), Breast Cancer Wisconsin (Diagnostic); UCI repository, "
            "as shipped by scikit-learn."
        ),
    )


def digits() -> Dataset:
    """Return the handwritten digits: 1797 images of 8 x 8 pixels with gray values 0 to 16, and their labels.

    Examples
    --------
    >>> data = digits()
    >>> data.X.shape, int(data.y.max())
    ((1797, 64), 9)
    """
    raw = datasets.load_digits()
    return Dataset(
        X=np.asarray(raw.data, dtype=np.float64),
        y=np.asarray(raw.target, dtype=np.int64),
        feature_names=tuple(raw.feature_names),
        target_name="digit",
        citation="Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits; UCI repository, as shipped by "
        "scikit-learn.",
    )
