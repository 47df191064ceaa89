"""When two texts are the same text."""

import sys
import unicodedata
from functools import cache


def normalise(text: str) -> str:
    """The text in lower case and NFKC, without punctuation (Unicode P*), white space collapsed to single spaces.

    This is what "the same text" means for hashing and splitting. A text of nothing but punctuation keeps it:
    ``:)`` and ``?!`` are not the same text. Idempotent.
    """
    lowered = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())
    # Marks that a removed character kept apart may compose once it is gone, hence the third pass.
    bare = " ".join(unicodedata.normalize("NFKC", lowered.translate(_punctuation())).split())
    return bare or " ".join(lowered.split())


@cache
def _punctuation() -> dict[int, None]:
    return {code: None for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code))[0] == "P"}
