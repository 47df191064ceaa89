"""What the tests share: an encoder whose vectors can be computed by hand, and small relations."""

import hashlib

import numpy as np
import pytest

from curator.vectors import Encoded


class ToyEncoder:
    """One component per word of a fixed vocabulary, counted and brought to length one; the last is for all others."""

    vocabulary = ("good", "bad", "card", "room", "food", "train", "late", "thanks")
    key = "toy"
    dimension = len(vocabulary) + 1
    max_words = 50

    def __init__(self) -> None:
        self.seen: list[str] = []

    def encode(self, texts, *, query=False, progress=None):
        self.seen += texts
        words = [text.lower().split() for text in texts]
        counts = np.zeros((len(texts), self.dimension), np.float32)
        for row, of_text in enumerate(words):
            for word in of_text[: self.max_words]:
                word = word.strip(".,!?")
                counts[row, self.vocabulary.index(word) if word in self.vocabulary else -1] += 1
            # A little of the text itself, so that no two texts have the same vector.
            digest = hashlib.blake2b(texts[row].encode(), digest_size=self.dimension).digest()
            counts[row] += np.frombuffer(digest, np.uint8) / 2550
        vectors = counts / np.linalg.norm(counts, axis=1, keepdims=True)
        lengths = np.array([len(of_text) for of_text in words], np.int32)
        if progress:
            progress(len(texts))
        return Encoded(vectors.astype(np.float32), lengths, lengths > self.max_words)


@pytest.fixture
def toy():
    return ToyEncoder()
