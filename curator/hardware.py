"""Where it runs and in which precision, decided once, with the reason.

Everything that could run on a GPU asks ``decide()``. ``CURATOR_DEVICE=cpu|cuda`` overrides the choice.
"""

import hashlib
import json
import os
import platform
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from curator.errors import UsageError

Device = Literal["cpu", "cuda"]
Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Hardware:
    """The device and precision in use, each with why."""

    device: Device
    device_reason: str
    precision: Precision
    precision_reason: str

    def __str__(self) -> str:
        return f"{self.device} ({self.device_reason}), {self.precision} ({self.precision_reason})"


@cache
def decide() -> Hardware:
    """The device for torch models, and the precision that is fast on it. Raises UsageError for a bad override."""
    import torch  # it takes a second, and reading documents needs none

    device, device_reason = _device(os.environ.get("CURATOR_DEVICE", ""))
    if device == "cuda":
        fast = torch.cuda.is_bf16_supported(including_emulation=False)
        kind = "the GPU"
    else:
        fast = torch.ops.mkldnn._is_mkldnn_bf16_supported() and bool(
            torch.cpu.get_capabilities().get("avx512_bf16") or torch.cpu.get_capabilities().get("amx_bf16")
        )
        kind = "the processor"
    if fast:
        return Hardware(device, device_reason, "bf16", f"{kind} multiplies bf16 natively")
    return Hardware(device, device_reason, "fp32", f"{kind} has no native bf16")


def precision(asked: Literal["auto", "fp32", "bf16"]) -> Precision:
    """The precision to use for what a setting asks."""
    return decide().precision if asked == "auto" else asked


def fingerprint() -> str:
    """Digest of all that ``decide`` looks at, without torch: while it is the same, so is the decision."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text("utf8", "replace").splitlines() if cpuinfo.exists() else []
    processor = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
    variables = [os.environ.get(name) for name in ("CURATOR_DEVICE", "CUDA_VISIBLE_DEVICES", "ONEDNN_MAX_CPU_ISA")]
    gpus = sorted(path.name for path in Path("/dev").glob("nvidia*"))
    told = [version("torch"), platform.platform(), processor or platform.processor(), variables, gpus]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _device(override: str) -> tuple[Device, str]:
    import torch

    available = torch.cuda.is_available()
    if override == "cpu":
        return "cpu", "CURATOR_DEVICE=cpu"
    if override == "cuda":
        if not available:
            raise UsageError("CURATOR_DEVICE=cuda, but torch sees no CUDA device; unset it or set it to cpu")
        return "cuda", "CURATOR_DEVICE=cuda"
    if override:
        raise UsageError(f"CURATOR_DEVICE={override!r} is neither 'cpu' nor 'cuda'")
    return ("cuda", torch.cuda.get_device_name()) if available else ("cpu", "torch sees no CUDA device")
