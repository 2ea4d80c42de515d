"""Data sets that ship inside pinned packages: arrays or text, and a citation, with no network."""

from mlcourse.data.bundled import Dataset, breast_cancer, diabetes, digits
from mlcourse.data.text import Corpus, king_james, lee

__all__ = ["Corpus", "Dataset", "breast_cancer", "diabetes", "digits", "king_james", "lee"]
