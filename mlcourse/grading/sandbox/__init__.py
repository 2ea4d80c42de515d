"""The trusted side of the isolation: starts the sandbox, limits it, and asks it."""

from mlcourse.grading.sandbox.limits import Limits
from mlcourse.grading.sandbox.parent import IsolationMissingError, WarmParent
from mlcourse.grading.sandbox.requirements import missing_isolation

__all__ = ["IsolationMissingError", "Limits", "WarmParent", "missing_isolation"]
