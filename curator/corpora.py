"""Corpora: files become documents on disk, and documents become relations whose vectors are made when asked for."""

import logging
import time
import warnings
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl

from curator import origins, storage
from curator.brought import ColumnOfVectors, MatrixOfVectors, Own
from curator.catalogue import Catalogue, Corpus
from curator.catalogue.corpus import checksums, texts_of
from curator.documents import READER, Batch, Columns, Origin, asked, read
from curator.encoder import RememberedEncoder
from curator.engines import HERE, Engine
from curator.errors import CuratorWarning, UsageError
from curator.files import sweep
from curator.reading import Reading
from curator.relation import Documents, Relation
from curator.vectors import Encoder, Encoding, Places, Rows, Step, Vectors, VectorStore, Window

log = logging.getLogger(__name__)

ALL_BY_NAME = Columns()  # the columns called id, text and label, where there are some


class Progress(Protocol):
    """Is told how much of what is done: of a ``total``, 0 where that is not known, and how many tokens were read."""

    def __call__(self, what: str, done: int, total: int, tokens: int = 0, /) -> None: ...


class Corpora:
    """The corpora of a workspace, with the encoder that makes their vectors."""

    def __init__(
        self, catalogue: Catalogue, encoder: Callable[[], Encoder], progress: Progress | None = None,
        engine: Engine = HERE,
    ) -> None:  # fmt: skip
        self.catalogue = catalogue
        self.engine = engine  # where texts are encoded and read, and vectors compared
        self._encoder = encoder
        self._progress = progress
        self._loaded: dict[tuple[str, str, str], Relation] = {}
        self._places: dict[tuple[str, str, str], Places] = {}
        self._queries: dict[tuple[str, str], npt.NDArray[np.float32]] = {}

    @property
    def encoder(self) -> Encoder:
        return self._encoder()

    def add(
        self,
        name: str,
        origin: Origin,
        *,
        columns: Columns = ALL_BY_NAME,
        base: Path | None = None,
        vectors: str | npt.ArrayLike | None = None,
    ) -> Corpus:
        """Read documents into a corpus. Files that have not changed since are not read again.

        ``vectors``: an (n, d) array with one row per row of the origin, or the name of a column that holds them.
        """
        paths = origins.paths(origin, base)
        settings = {
            "columns": vars(columns),
            "vectors": vectors if isinstance(vectors, str) else vectors is not None,
            "reader": READER,
        }
        own: Own | None = None
        if isinstance(vectors, str):
            own = ColumnOfVectors(vectors)
        elif vectors is not None:
            own = MatrixOfVectors(np.asarray(vectors, dtype=np.float32))
        known = self.catalogue.known(name) if paths else []
        same = [
            one for one in known if one.manifest["settings"] == settings and origins.are_unchanged(one, paths or [])
        ]
        if same and not isinstance(own, MatrixOfVectors):
            log.info("corpus %s is up to date", name)
            return self._present(same[0])
        with self.catalogue.writing():
            if paths and not isinstance(own, MatrixOfVectors):
                self._read_ahead(name, Reading(name, origin, columns, base, settings, own))
            read_again = partial(read, origin, corpus=name, columns=columns, base=base)
            return self.catalogue.add(
                name,
                lambda earlier: self._watched(name, read_again(earlier=earlier), own),
                origin=origins.fingerprints(paths or [], known),
                settings=settings,
                apart=None if own is None else own.apart,
                asked=None if paths is None else asked(origin, base),
            )

    def _read_ahead(self, name: str, work: Reading) -> None:
        """Have workers read what is new of an origin, where it is more than a worker would read at a time."""
        if self.engine is HERE or storage.is_copy(self.catalogue.root):
            return
        parts, done = work.unread(self.catalogue), 0
        for documents in self.engine.map(work, parts) if len(parts) > 1 else ():
            done += documents
            if self._progress:
                self._progress(f"reading {name}", done, 0)

    def _present(self, corpus: Corpus) -> Corpus:
        """Let the name of a version mean it."""
        if not self.catalogue.is_settled(corpus.name, corpus.version):
            with self.catalogue.writing():
                self.catalogue.make_present(corpus.name, corpus.version)
        return corpus

    def relation(self, corpus: Corpus) -> Relation:
        """A corpus as a relation. Its vectors are embedded when first asked for, or are those it came with."""
        # A person's own encoder may change its key; that of settings stays, and is found out when it is needed.
        fixed = corpus.has_own_vectors or isinstance(self.encoder, RememberedEncoder)
        key = (corpus.name, corpus.version, "" if fixed else self.encoder_key())
        if key not in self._loaded:
            self._loaded[key] = self._relation(corpus, self._home(corpus))
        return self._loaded[key]

    def _relation(self, corpus: Corpus, home: Path) -> Relation:
        scan = cache(corpus.scan)
        documents = Documents(corpus.schema(), corpus.documents, lambda columns: scan().select(columns).collect())

        def embed_query(text: str) -> npt.NDArray[np.float32]:
            if corpus.has_own_vectors:
                raise UsageError(
                    f"corpus {corpus.name!r} came with vectors of its own: curator cannot embed a text to match them"
                )
            return self.embed_query(text)

        if corpus.has_own_vectors:
            return Relation(
                documents, corpus.own_vectors(self.engine), embed_query=embed_query, home=home, vectors_key="own",
                engine=self.engine,
            )  # fmt: skip
        return Relation(
            documents,
            load=partial(self._vectors, corpus),
            count_tokens=partial(self._tokens, corpus),
            embed_query=embed_query,
            home=home,
            vectors_key=self.encoder_key,
            engine=self.engine,
        )

    def embed_query(self, text: str) -> npt.NDArray[np.float32]:
        """The vector of a query, (d,), by the encoder in use; embedded once per session."""
        known = self._queries.get((self.encoder_key(), text))
        if known is None:
            known = np.asarray(self.encoder.encode([text], query=True).vectors[0], np.float32)
            self._queries[self.encoder_key(), text] = known
        return known

    def encoder_key(self) -> str:
        """The key of the vectors in use."""
        return self.encoder.key

    def places(self, corpus: Corpus, rows: Rows | None = None) -> Places:
        """Where the vectors of a corpus's documents are, or of some; those that there are not yet are made.

        Where all are is kept beside the corpus's indexes, so that no text is read again. Texts are read window by
        window, and what a window lacks is encoded, so that memory grows by some 80 bytes a document and no more.
        """
        known = self._known_places(corpus)
        if known is not None:
            return known if rows is None else known.take(rows)
        wanted = np.arange(corpus.documents) if rows is None else np.sort(rows)
        earlier = self._earlier_places(corpus) if rows is None else {}
        store, index = self.store(), self.store().index()
        lacking = list(store.lacking(_windows(corpus, wanted, but=earlier), index))
        missing = sum(len(part.rows) for part in lacking)
        if lacking:
            with self._encoding(corpus.name, missing) as progress:
                planned_for, index = index.shards, store.index()
                if index.shards != planned_for:  # others have written meanwhile
                    lacking = list(store.lacking(_windows(corpus, wanted, but=earlier), index))
                started, before = time.perf_counter(), index.tokens
                work = Encoding(self.encoder, store.directory.absolute(), texts_of, progress)
                engine = self.engine if len(lacking) > 1 else HERE  # a shard alone is not worth a journey
                for keys in engine.map(work, lacking):
                    store.written(keys, index)
                    if engine.workers:
                        progress(len(keys), int(keys["n_tokens"].sum()))
                    storage.push(self.catalogue.root, pause=storage.OFTEN)
                _log_rates(missing, index.tokens - before, time.perf_counter() - started)
        new = (store.places(texts, own, index) for _, texts, own in _windows(corpus, wanted, but=earlier))
        parts = [earlier[start] if start in earlier else next(new) for start in _starts(corpus, wanted)]
        places = Places.concat(parts)
        if missing and (cut := int(places.entries["truncated"].sum())):
            warnings.warn(
                f"{cut:,} of {len(wanted):,} texts of {corpus.name!r} are longer than the encoder reads and were cut; "
                "long_texts = 'mean' in a recipe's [encoder] reads them whole",
                CuratorWarning,
                stacklevel=2,
            )
        if rows is not None:
            return places.take(np.searchsorted(wanted, rows))
        self._keep_places(corpus, places)
        return places

    def missing(self, corpus: Corpus) -> int:
        """How many distinct texts of a corpus have no vector yet; none of one that came with its own."""
        if corpus.has_own_vectors or self._known_places(corpus) is not None:
            return 0
        return self.store().missing(_windows(corpus, np.arange(corpus.documents)), self.store().index())

    def is_embedded(self, corpus: Corpus) -> bool:
        """Whether every text of a corpus has a vector."""
        if corpus.has_own_vectors or self._known_places(corpus) is not None:
            return True
        return any(self.store().directory.glob("*.json")) and self.missing(corpus) == 0

    def truncated(self, corpus: Corpus) -> int:
        """How many documents of a corpus have a vector of a part of their text; none of one that came with its own."""
        if corpus.has_own_vectors:
            return 0
        known = self._known_places(corpus)
        if known is not None:
            return int(known.entries["truncated"].sum())
        windows = _windows(corpus, np.arange(corpus.documents))
        return self.store().truncated(((texts, rows) for _, texts, rows in windows), self.store().index())

    @contextmanager
    def _encoding(self, what: str, new: int) -> Iterator[Step]:
        """Hold the lock of the workspace while texts are encoded; yields what to call after each batch."""
        done = read = 0

        def step(texts: int, tokens: int = 0) -> None:
            nonlocal done, read
            done, read = done + texts, read + tokens
            if self._progress:
                self._progress(f"embedding {what}", done, new, read)

        log.info("embedding %s: %s texts are new", what, f"{new:,}")
        with self.catalogue.writing():
            sweep(self.store().directory)
            yield step

    def _vectors(self, corpus: Corpus, rows: Rows) -> Vectors:
        """Vectors of some documents of a corpus."""
        if not len(rows):
            return Vectors.of(np.empty((0, self.encoder.dimension), np.float32), unit=True)
        return self.store().vectors(self._places_of(corpus, rows), self.engine)

    def _tokens(self, corpus: Corpus, rows: Rows) -> npt.NDArray[np.int32]:
        """Tokens of the whole texts of some documents of a corpus, as the encoder counted them."""
        if not len(rows):
            return np.empty(0, np.int32)
        return np.ascontiguousarray(self._places_of(corpus, rows).entries["n_tokens"])

    def _places_of(self, corpus: Corpus, rows: Rows) -> Places:
        every = np.array_equal(rows, np.arange(corpus.documents))
        return self.places(corpus, None if every else rows)

    def _known_places(self, corpus: Corpus) -> Places | None:
        """Where all vectors of a corpus are, if that was kept and they still are there."""
        key = (corpus.name, corpus.version, self.encoder_key())
        known = self._places.get(key)
        if known is not None and self.store().holds(known):
            return known
        kept = Places.load(self._places_file(corpus))
        if kept is None or not self.store().holds(kept):
            return None
        self._places[key] = kept
        return kept

    def _earlier_places(self, corpus: Corpus) -> dict[int, Places]:
        """The places of windows whose shards an earlier version has, too, by their first row: no text is read."""
        shards: dict[str, tuple[Places, Rows]] = {}  # by checksum: the places of a version, and which are the shard's
        for other in self.catalogue.known(corpus.name):
            if other.version == corpus.version or other.has_own_vectors:
                continue
            places = self._known_places(other)
            if places is not None:
                for checksum, rows in other.rows_by_checksum().items():
                    shards.setdefault(checksum, (places, rows))
        own = checksums(corpus.manifest)
        found = {}
        for start, _, names in corpus.windows():
            parts = [shards.get(own[name]) for name in names]
            if parts and all(parts):
                found[start] = Places.concat([places.take(rows) for places, rows in filter(None, parts)]).used()
        return found

    def _keep_places(self, corpus: Corpus, places: Places) -> None:
        self._places[corpus.name, corpus.version, self.encoder_key()] = places
        try:
            sweep(self._home(corpus))
            places.save(self._places_file(corpus))
        except OSError as error:  # a workspace that may only be read
            log.debug("%s: not kept: %s", self._places_file(corpus), error)

    def _home(self, corpus: Corpus) -> Path:
        """What is derived from a version of a corpus, and can be made again."""
        return self.catalogue.root / "indexes" / corpus.name / corpus.version

    def _places_file(self, corpus: Corpus) -> Path:
        return self._home(corpus) / f"places-{self.encoder_key()}.parquet"

    def store(self) -> VectorStore:
        """Where the vectors of the encoder in use are."""
        return VectorStore(self.catalogue.root / "vectors" / self.encoder.key)

    def _watched(self, name: str, batches: Iterator[Batch], own: Own | None) -> Iterator[Batch]:
        done = rows = 0
        for batch in batches:
            done += batch.documents
            rows += batch.rows
            if self._progress:
                self._progress(f"reading {name}", done, 0)
            yield batch
        if own is not None:
            own.check(rows)


def _log_rates(texts: int, tokens: int, seconds: float) -> None:
    """What was embedded and how fast, reading and writing included."""
    rates = f"{texts / seconds:,.1f} texts/s, {tokens / seconds:,.0f} tokens/s"
    log.info("embedded %s texts of %s tokens in %.1f s: %s", f"{texts:,}", f"{tokens:,}", seconds, rates)


def _windows(corpus: Corpus, wanted: Rows, but: Container[int] = ()) -> Iterator[tuple[Window, pl.Series, Rows]]:
    """Texts of a corpus, window by window, with which of them are among the rows wanted, which are in order.

    ``but``: first rows of windows that are left out.
    """
    for start, stop, shards in corpus.windows():
        rows = wanted[np.searchsorted(wanted, start) : np.searchsorted(wanted, stop)] - start
        if len(rows) and start not in but:
            window = tuple(str((corpus.directory / name).absolute()) for name in shards)
            yield window, texts_of(window), rows


def _starts(corpus: Corpus, wanted: Rows) -> list[int]:
    """The first rows of the windows that have a row wanted."""
    return [
        start for start, stop, _ in corpus.windows() if np.searchsorted(wanted, stop) > np.searchsorted(wanted, start)
    ]
