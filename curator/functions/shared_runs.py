"""Documents that hold a run of words of a held-out document."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator.errors import QueryError
from curator.functions._ngrams import tokenised
from curator.functions._results import check_texts, check_whole_number, key_of
from curator.functions.bm25 import CHARACTER, WORD
from curator.hashing import Hashes, mixed
from curator.relation import Relation

NGRAM, FEWEST = 13, 5
WORDS = rf"{CHARACTER}|{WORD}"
BLOCK = 16_384  # candidates looked at together

Rows = npt.NDArray[np.int64]


def shared_runs(
    candidates: Relation, held_out: Relation, *, ngram: int = NGRAM, min_words: int = FEWEST, every: bool = False
) -> pa.Table:  # fmt: skip
    """The candidates that hold a run of ``ngram`` words of a held-out document, and which document that is.

    The n-gram overlap by which GPT-3 was checked against its test sets (Brown et al. 2020, appendix C: 13 words),
    adapted to short texts: a held-out document of fewer words is one run, the whole of it, if it has at least
    ``min_words``. One that is shorter still is not looked for. Words are runs of letters and digits in lower case and
    NFKC; of scripts written without spaces, and Hangul, each character is a word. Every run is compared word by word.

    Returns ``corpus`` (where the relation has it), ``id``, ``partner_corpus`` (likewise), ``partner_id``, ``shared``
    (how many different runs of the partner the candidate holds), ``share`` (of the partner's runs) and ``run`` (the
    first of them), a row for each candidate that holds any, in their order. The partner is the held-out document of
    the greatest share; of equal ones the first in their relation. With ``every`` there is a row for each held-out
    document that shares a run, in this order. Time is linear in the words of both sides and in the pairs of a candidate
    and a held-out document with a run in common.

    Raises QueryError for a length below 1, or a relation without ``id`` or a ``text`` of strings.
    """
    check_whole_number("shared_runs", "ngram", ngram, least=1)
    check_whole_number("shared_runs", "min_words", min_words, least=1)
    texts, wanted = check_texts("shared_runs", candidates), check_texts("shared_runs", held_out)
    keys, partner_keys = _keys(candidates), _keys(held_out)
    runs = _Runs.of(wanted, ngram, min_words)
    starts = range(0, max(len(texts), 1), BLOCK)
    parts = [runs.found_in(texts[start : start + BLOCK], start, every=every) for start in starts]
    found = pl.concat(parts)
    partners = partner_keys[found["partner"].to_numpy()].rename(lambda name: f"partner_{name}")
    frame = [keys[found["row"].to_numpy()], partners, found.select("shared", "share", "run")]
    table: pa.Table = pl.concat(frame, how="horizontal").to_arrow(compat_level=pl.CompatLevel.newest())
    return table


def _keys(relation: Relation) -> pl.DataFrame:
    if "id" not in relation.columns:
        raise QueryError(f"shared_runs needs a column 'id'; the relation has: {', '.join(relation.columns)}")
    return relation.select(key_of(relation))


@dataclass(frozen=True)
class _Runs:
    """The runs of words that are looked for, in the order of their hashes, those of each length apart.

    ``words`` are those known, numbered from 1 in this order; ``ids`` (t,) the held-out documents as such numbers.
    ``sizes`` (n,) says how many different runs each held-out document has.
    """

    words: pl.Series
    ids: Rows
    of_length: dict[int, pl.DataFrame]  # run (its number), hash, partner, place (of its first word in ids)
    sizes: Rows

    @classmethod
    def of(cls, texts: pl.Series, ngram: int, min_words: int) -> "_Runs":
        tokens, lengths = tokenised(texts, WORDS)
        words = tokens.unique(maintain_order=True)
        ids = _numbered(tokens, words)
        size = np.where(lengths >= min(min_words, ngram), np.minimum(lengths, ngram), 0)
        owner = np.repeat(np.arange(len(lengths)), lengths)
        of_length, sizes, runs = {}, np.zeros(len(lengths), np.int64), 0
        for length, places, hashes in _growing(ids, lengths, int(size.max(initial=0))):
            mine = size[owner[places]] == length
            frame = pl.DataFrame({"hash": hashes[mine], "partner": owner[places[mine]], "place": places[mine]})
            frame = frame.unique(["hash", "partner"], keep="first", maintain_order=True).sort("hash", "partner")
            if len(frame):
                of_length[length] = frame.with_row_index("run", offset=runs)
                sizes += np.bincount(frame["partner"].to_numpy(), minlength=len(lengths))
                runs += len(frame)
        return cls(words, ids, of_length, sizes)

    def found_in(self, texts: pl.Series, first: int, *, every: bool) -> pl.DataFrame:
        """``row`` (numbered from ``first``), ``partner, shared, share, run`` of the texts that hold a run.

        The best partner of each, or ``every`` one.
        """
        tokens, lengths = tokenised(texts, WORDS)
        ids = _numbered(tokens, self.words)
        owner = np.repeat(np.arange(first, first + len(lengths)), lengths)
        parts = [
            self._hits(ids, length, places, hashes)
            for length, places, hashes in _growing(ids, lengths, max(self.of_length, default=0))
            if length in self.of_length
        ]
        if not parts:
            parts = [pl.DataFrame(schema={"run": pl.UInt32, "partner": pl.Int64, "at": pl.Int64, "length": pl.Int64})]
        hits = pl.concat(parts)
        hits = hits.with_columns(row=pl.Series(owner[hits["at"].to_numpy()], dtype=pl.Int64))
        pairs = hits.group_by("row", "partner").agg(
            pl.col("run").n_unique().alias("shared"), pl.col("at", "length").min()
        )
        sizes = pl.Series(self.sizes[pairs["partner"].to_numpy()], dtype=pl.Int64)
        best = pairs.with_columns(share=pl.col("shared") / sizes).sort("row", -pl.col("share"), "partner")
        best = best if every else best.unique("row", keep="first", maintain_order=True)
        spoken = [" ".join(tokens[at : at + n]) for at, n in best.select("at", "length").iter_rows()]
        return best.select("row", "partner", "shared", "share", pl.Series("run", spoken, pl.String))

    def _hits(self, ids: Rows, length: int, places: Rows, hashes: Hashes) -> pl.DataFrame:
        """``run, partner, at`` (where in ids it begins), ``length`` of each run that stands there word by word."""
        known = self.of_length[length]
        sorted_hashes = known["hash"].to_numpy()
        low, high = (np.searchsorted(sorted_hashes, hashes, side) for side in ("left", "right"))
        count = high - low
        at = np.repeat(places, count)
        row = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(len(at))
        steps = np.arange(length)
        same = (ids[at[:, None] + steps] == self.ids[known["place"].to_numpy()[row][:, None] + steps]).all(axis=1)
        found: pl.DataFrame = known[row[same]]
        return found.select("run", "partner", pl.Series("at", at[same]), pl.lit(length, pl.Int64).alias("length"))


def _numbered(tokens: pl.Series, words: pl.Series) -> Rows:
    """(t,) the numbers of words from 1; 0 for one that is not among them."""
    numbers = pl.Series(np.arange(1, len(words) + 1))
    found: Rows = tokens.replace_strict(words, numbers, default=0, return_dtype=pl.Int64).to_numpy()
    return found


def _growing(ids: Rows, lengths: Rows, longest: int) -> Iterator[tuple[int, Rows, Hashes]]:
    """For each length from 1: where a run of so many known words begins, within one text, and its hash."""
    left = np.repeat(lengths.cumsum(), lengths) - np.arange(len(ids))  # words of the text from this one on
    places = np.arange(len(ids))
    hashes = np.zeros(len(ids), np.uint64)
    for length in range(1, longest + 1):
        places, hashes = _those(left[places] >= length, places, hashes)
        last = ids[places + length - 1]
        places, hashes = _those(last > 0, places, hashes)
        hashes = mixed(hashes + last[last > 0].astype(np.uint64))
        yield length, places, hashes


def _those(kept: npt.NDArray[np.bool_], places: Rows, hashes: Hashes) -> tuple[Rows, Hashes]:
    return places[kept], hashes[kept]
