"""The documents that share words with a text, ranked by BM25."""

import logging
import os
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from curator.files import read_json, sha256, write_sealed
from curator.functions._results import Hits, check_question, check_texts, ranked_table
from curator.relation import Relation

log = logging.getLogger(__name__)

K1, B = 1.5, 0.75
FORMAT = 1  # of the stored index: its files, and how a text is cut into terms
MANIFEST = "manifest.json"
BLOCK = 16_384  # texts cut into terms at once

# One character of a script written without spaces between words, or of Hangul (the list of sql/macros/quality.sql),
# with the marks on it; and a word of any other script.
_UNSPACED = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}ー&&[\p{L}\p{Nl}]]"
)
CHARACTER = rf"{_UNSPACED}\p{{M}}*"
WORD = rf"[[\p{{L}}\p{{N}}]--{_UNSPACED}][[\p{{L}}\p{{M}}\p{{N}}]--{_UNSPACED}]*"


def bm25(corpus: Relation, text: str, k: int = 10) -> pa.Table:
    """The k documents of a corpus that match the words of a text best, by BM25.

    score = Σ ln(1 + (N − n + ½) / (n + ½)) · f / (f + k₁ (1 − b + b · length / mean length)) over the terms of the
    text, one that is repeated as often as it is: the variant of Lucene, without its constant factor (Kamphuis et al.,
    ECIR 2020), with k₁ = 1.5 and b = 0.75; N documents of which n have the term, f times in this one. N, n and the
    mean length are those of the relation given: of a SELECT, what it selects.

    A term is a run of letters and digits in lower case and NFKC, so ``driver's`` is ``driver`` and ``s``. Of scripts
    written without spaces (Chinese, Japanese, Thai, …) and Hangul, each character is a term and so is each pair of
    neighbours. Nothing is stemmed and there is no list of stop words, whatever the language: words that are in most
    documents count for next to nothing.

    Returns ``corpus`` (where the relation has it), ``id``, ``score``, ``rank`` from 1, then the other columns of the
    relation, best first, the earlier document first among equal scores. Documents with none of the terms are not
    returned, so there may be fewer than k rows, and there are none for a text of punctuation.

    The index of a whole corpus is made at the first call and kept beside the corpus's other indexes.

    Raises QueryError for a text of nothing, a k below 1, or a relation without ``id`` or a ``text`` of strings.
    """
    check_question("bm25", corpus, text, k)
    return ranked_table(corpus, matching_hits("bm25", corpus, text, k).frame("score", "rank"))


def matching_hits(function: str, corpus: Relation, text: str, k: int) -> Hits:
    """The k best rows of those with a term of the text. ``function`` is named in errors."""
    texts = check_texts(function, corpus)
    index = built(texts) if corpus.home is None else _kept(corpus.home / "bm25", texts)
    if index is None or not (known := index.get_tokens_ids(terms(pl.Series([text])).to_list()[0])):
        return Hits(np.empty(0, np.int64), np.empty(0, np.float32))
    scores = index.get_scores_from_ids(known)
    rows = np.flatnonzero(scores)  # each term adds more than 0 to the documents that have it
    if len(rows) > k:
        rows = rows[scores[rows] >= np.partition(scores[rows], -k)[-k]]
    rows = rows[np.argsort(-scores[rows], kind="stable")[:k]]
    return Hits(rows.astype(np.int64), scores[rows])


def terms(texts: pl.Series) -> pl.Series:
    """The terms of each text, a list per text, in no particular order. A NULL has none."""
    texts = texts.fill_null("").str.normalize("NFKC").str.to_lowercase()
    # Matches do not overlap: the pairs from the first character of each run on, then those from the second.
    shifted = texts.str.replace_all(f"{CHARACTER}((?:{CHARACTER})*)", "$1")
    found = [
        texts.str.extract_all(WORD),
        texts.str.extract_all(CHARACTER),
        *(part.str.extract_all(CHARACTER * 2) for part in (texts, shifted)),
    ]
    return pl.select(pl.concat_list(found)).to_series()


def _library() -> Any:
    """bm25s, which takes a while to import. It sets its log to DEBUG, which any handler would then show."""
    import bm25s

    logging.getLogger("bm25s").setLevel(logging.WARNING)
    return bm25s


def built(texts: pl.Series) -> Any:
    """The index of texts, or None where they hold no term."""
    return indexed(*numbered(texts))


def numbered(texts: pl.Series) -> tuple[list[list[int]], dict[str, int]]:
    """The terms of each text by number, and the number of each term."""
    vocabulary: dict[str, int] = {}
    ids = [
        [vocabulary.setdefault(term, len(vocabulary)) for term in document]
        for start in range(0, len(texts), BLOCK)
        for document in terms(texts[start : start + BLOCK]).to_list()
    ]
    return ids, vocabulary


def indexed(ids: list[list[int]], vocabulary: dict[str, int]) -> Any:
    """The index of what ``numbered`` gives, or None where there is no term."""
    if not vocabulary:
        return None
    index = _library().BM25(k1=K1, b=B, method="lucene", backend="numpy")
    index.index(_library().tokenization.Tokenized(ids, vocabulary), create_empty_token=False, show_progress=False)
    return index


def _kept(directory: Path, texts: pl.Series) -> Any:
    """The index stored in a directory, or one built and stored there."""
    index = _opened(directory, len(texts), _stamp(directory))
    if index is None:
        index = built(texts)
        if index is not None:
            try:
                _store(index, directory, len(texts))
            except OSError as error:  # a workspace that may only be read
                log.warning("the BM25 index cannot be kept, so the next query builds it again: %s", error)
    return index


def _header(documents: int) -> dict[str, object]:
    return {"format": FORMAT, "bm25s": _library().__version__, "k1": K1, "b": B, "documents": documents}


def _store(index: Any, directory: Path, documents: int) -> None:
    """Write an index beside its place and rename it into it."""
    beside = directory.with_name(f".{directory.name}.{os.getpid()}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        index.save(beside, allow_pickle=False, show_progress=False)
        sums = {path.name: sha256(path) for path in sorted(beside.iterdir())}
        write_sealed(beside / MANIFEST, {**_header(documents), "sha256": sums})
        shutil.rmtree(directory, ignore_errors=True)  # what is damaged, or of another version
        beside.rename(directory)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _stamp(directory: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, bytes and time of change of each file; nothing where there is no index."""
    stats = [(path.name, path.stat()) for path in sorted(directory.glob("*"))]
    return tuple((name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


@lru_cache(maxsize=8)  # reading checksums and vocabulary takes longer than a query
def _opened(directory: Path, documents: int, stamp: tuple[tuple[str, int, int], ...]) -> Any:
    """The index in a directory, mapped from disk; None for one that is not whole, or not of this version.

    ``stamp`` makes sure that what is remembered is what is on the disk.
    """
    names = {name for name, *_ in stamp}
    if MANIFEST not in names:  # it is written last
        return None
    try:
        manifest = read_json(directory / MANIFEST)
        sums, _ = (
            (manifest.pop(name, None) for name in ("sha256", "seal")) if isinstance(manifest, dict) else (None, None)
        )
        if manifest != _header(documents):
            return None
        if sums == {name: sha256(directory / name) for name in names - {MANIFEST}}:
            return _library().BM25.load(directory, mmap=True, allow_pickle=False, show_progress=False)
        log.warning("the BM25 index in %s is damaged and is built again", directory)
    except (OSError, ValueError) as error:
        log.warning("the BM25 index in %s cannot be read and is built again: %s", directory, error)
    return None
