"""Mixed precision: which of the arithmetic is done in 16 bits, and how gradients survive it.

Weights, losses and everything that speaks of places and angles stay in 32 bits; only the extractor, which is nearly all
of the work, computes in fewer.
"""

from __future__ import annotations

from typing import Literal

import torch

from tracker.core.errors import InputError

Precision = Literal["fp32", "bf16", "fp16"]
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def check_precision(precision: Precision, device: str) -> None:
    """Raises InputError where the device cannot train in it."""
    on_gpu = device.startswith("cuda")
    if precision == "fp16" and not on_gpu:
        raise InputError("precision: fp16 needs --device cuda; on a CPU choose fp32, or bf16 where the CPU has it")
    if precision == "bf16" and on_gpu and not torch.cuda.is_bf16_supported():
        raise InputError("precision: this GPU has no bf16; choose fp16 or fp32")


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """A block whose convolutions and matrix products are done in this precision."""
    return torch.autocast(device.type, dtype=_TYPES.get(precision), enabled=precision in _TYPES)


def gradient_scaler(precision: Precision) -> torch.amp.GradScaler:
    """fp16's gradients would vanish without a scale; for the others it does nothing."""
    return torch.amp.GradScaler("cuda", enabled=precision == "fp16")
