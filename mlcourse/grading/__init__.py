"""The engine that compares and explains. It knows no chapter, only the protocol of an exercise."""

from mlcourse.grading.check import check
from mlcourse.grading.evaluate import evaluate, grade
from mlcourse.grading.report import Report

__all__ = ["Report", "check", "evaluate", "grade"]
