"""What probes of many ratios said of the documents that judge them, kept so that none is trained twice.

    trials/<panel>.json     by a digest of the documents that each probe was trained on; with a checksum

A panel is a digest of the target, of those who judge, and of what a probe is. These files may be lost: they cost time.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from curator.files import is_sealed, read_json, write_sealed

FOLDER = "trials"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Judged:
    """``losses``: (judges,) nats; ``predicted``: (judges,) labels as numbers from 0."""

    losses: npt.NDArray[np.float64]
    predicted: npt.NDArray[np.int64]


class Trials:
    """Those of a folder, or without one of this process. ``fitted`` counts the probes that were not known.

    ``evidence``: what each search has to say for itself, in the order of the searches, for whoever asked for them.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.fitted = 0
        self.evidence: list[dict[str, Any]] = []
        self._folder = folder
        self._panels: dict[str, dict[str, Judged]] = {}
        self._changed: set[str] = set()

    def get(self, panel: str, key: str) -> Judged | None:
        """What is known, None where nothing is."""
        return self._of(panel).get(key)

    def put(self, panel: str, key: str, judged: Judged) -> None:
        """Keep what probes that were trained just now said."""
        self._of(panel)[key] = judged
        self._changed.add(panel)
        self.fitted += 1

    def save(self) -> None:
        """Write what is new. A folder that may only be read stays as it is."""
        for panel in sorted(self._changed if self._folder else ()):
            values = {
                key: {"losses": judged.losses.tolist(), "predicted": judged.predicted.tolist()}
                for key, judged in sorted(self._panels[panel].items())
            }
            try:
                write_sealed(self._path(panel), {"trials": values})
            except OSError as error:
                log.debug("%s: not kept: %s", self._path(panel), error)
        self._changed.clear()

    def _path(self, panel: str) -> Path:
        return (self._folder or Path()) / f"{panel}.json"

    def _of(self, panel: str) -> dict[str, Judged]:
        if panel not in self._panels:
            known = self._folder is not None and is_sealed(self._path(panel))
            self._panels[panel] = _read(read_json(self._path(panel))["trials"]) if known else {}
        return self._panels[panel]


def _read(values: Mapping[str, Any]) -> dict[str, Judged]:
    return {
        key: Judged(np.array(told["losses"], np.float64), np.array(told["predicted"], np.int64))
        for key, told in values.items()
    }
