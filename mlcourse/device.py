"""Where tensors should live when nobody says so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


def default_device() -> torch.device:
    """Return the device on which a reader's tensors should live.

    It is what the environment variable ``MLCOURSE_DEVICE`` says, otherwise CUDA, then MPS (Apple), then the CPU: the
    first that is present.

    Returns
    -------
    torch.device

    Raises
    ------
    ModuleNotFoundError
        If torch is not installed.
    ValueError
        If ``MLCOURSE_DEVICE`` names no device that torch knows, or one that is absent here.

    Examples
    --------
    >>> import os
    >>> os.environ["MLCOURSE_DEVICE"] = "cpu"
    >>> default_device()
    device(type='cpu')
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "default_device needs PyTorch, which is not installed. Install it with: pip install 'mlcourse[torch]'",
            name="torch",
        ) from error
    present = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
        "meta": True,
    }
    wanted = os.environ.get("MLCOURSE_DEVICE", "").strip()
    if not wanted:
        return torch.device(next(name for name, here in present.items() if here))
    try:
        device = torch.device(wanted)
    except RuntimeError as error:
        raise ValueError(
            f"MLCOURSE_DEVICE is {wanted!r}, which PyTorch does not know as a device. Use cpu, cuda, cuda:1 or mps."
        ) from error
    if not present.get(device.type, True):
        raise ValueError(f"MLCOURSE_DEVICE is {wanted!r}, but this machine has no such device. Unset it, or use cpu.")
    return device
