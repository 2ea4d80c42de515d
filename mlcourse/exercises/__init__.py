"""One module per chapter: what is asked, on which inputs, and which mistakes are known."""

from mlcourse.exercises.catalogue import catalogue, chapter_exercises, find

__all__ = ["catalogue", "chapter_exercises", "find"]
