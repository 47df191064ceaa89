"""Which documents a person should label next, and why: candidates · choosing · the file (the order of reading)."""

from curator.labelling.choosing import Choice, Guesses, at_random, badge, guesses, margin
from curator.labelling.file import checked_path, write
from curator.labelling.label import WAYS, By, label, probe_of, target_with

__all__ = [
    "WAYS", "By", "Choice", "Guesses", "at_random", "badge", "checked_path", "guesses", "label", "margin",
    "probe_of", "target_with", "write",
]  # fmt: skip
