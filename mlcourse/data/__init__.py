"""Data sets that ship inside pinned packages: arrays and a citation, with no network."""

from mlcourse.data.bundled import Dataset, breast_cancer, diabetes, digits

__all__ = ["Dataset", "breast_cancer", "diabetes", "digits"]
