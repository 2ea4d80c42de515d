"""The mark of a test that needs the sandbox."""

from __future__ import annotations

import pytest

from mlcourse.grading.sandbox.requirements import missing_isolation

MISSING = pytest.mark.skipif(bool(missing_isolation()), reason="needs bubblewrap: apt install bubblewrap")


def isolated(test):
    """Mark a test that needs the sandbox: where it is required, a test that was skipped is a failure."""
    return pytest.mark.isolation(MISSING(test))
