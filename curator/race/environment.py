"""What a race ran on, for its record: the machine, the libraries, the commit."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

from curator.encoder.identity import hub_commit
from curator.hardware import decide
from curator.mix.build import sum_of
from curator.mix.lock import versions


def environment() -> dict[str, Any]:
    """What the race ran on."""
    hardware = decide()
    packages = versions()
    return {
        "curator": packages.get("curator", "not installed"),
        "python": packages.pop("python"),
        "platform": platform.system(),
        "processor": _processor(),
        "cores": os.cpu_count() or 1,
        "device": hardware.device,
        "precision": hardware.precision,
        "versions": packages,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def weights(model: str) -> str:
    """What tells that a model to train is another: the checksum of a directory, or the commit of one of the hub.

    Nothing for the embedded model, of which only one is ever loaded.
    """
    if model == "embedded":
        return ""
    return sum_of(Path(model)) if Path(model).is_dir() else hub_commit(model)


def commit() -> dict[str, Any] | None:
    """The commit of curator's own source, where it runs from a checkout."""
    here = ["git", "-C", str(Path(__file__).parent)]
    try:
        sha, status = (
            subprocess.run([*here, *words], capture_output=True, text=True, check=True, timeout=10).stdout.strip()  # noqa: S603  fixed arguments
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain"])
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return {"sha": sha, "dirty": bool(status)}
