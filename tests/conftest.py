"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import jaxtyping
import pytest

# The tensors are small: threads of PyTorch and NumPy would mostly wait for each other, and long on a busy machine.
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

hypothesis.settings.register_profile("course", deadline=None)  # no test asserts a time
hypothesis.settings.load_profile("course")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the repository."""
    return ROOT


@pytest.fixture
def rng():
    """Return PyTorch's source of random numbers, the same for each test."""
    import torch  # some tests show that the rest works without it

    return torch.Generator().manual_seed(0)


@pytest.fixture
def own_errors():
    """Let a function's own errors through: the annotations would refuse the same inputs first."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn a skipped test into a failure where its marker is named in MLCOURSE_REQUIRE, as CI does."""
    report = yield
    required = os.environ.get("MLCOURSE_REQUIRE", "").split()
    if report.skipped and any(item.get_closest_marker(name) for name in required):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped, but it is required here: {report.longrepr}"
    return report
