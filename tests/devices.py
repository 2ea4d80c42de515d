"""On which devices the references in PyTorch are tried."""

from __future__ import annotations

import pytest
import torch

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device and a CUDA build of PyTorch")
DEVICES = ["meta", pytest.param("cuda", marks=needs_cuda)]
