"""Where tensors live when nobody says so."""

from __future__ import annotations

import pytest
import torch

import mlcourse


def test_the_environment_decides(monkeypatch):
    monkeypatch.setenv("MLCOURSE_DEVICE", "meta")
    assert mlcourse.default_device() == torch.device("meta")


def test_without_a_word_it_is_the_best_that_is_present(monkeypatch):
    monkeypatch.delenv("MLCOURSE_DEVICE", raising=False)
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert mlcourse.default_device().type == expected


def test_an_unknown_device_is_explained(monkeypatch):
    monkeypatch.setenv("MLCOURSE_DEVICE", "toaster")
    with pytest.raises(ValueError, match="MLCOURSE_DEVICE is 'toaster'"):
        mlcourse.default_device()


def test_an_absent_device_is_explained(monkeypatch):
    monkeypatch.setenv("MLCOURSE_DEVICE", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="no such device"):
        mlcourse.default_device()
