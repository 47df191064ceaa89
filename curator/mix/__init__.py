"""Mixes: build · verify · diff · explain · export."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import polars as pl

from curator.corpora import Corpora, Stale
from curator.errors import UnknownNameError, UsageError, VerificationError, WorkspaceError
from curator.files import read_json, sweep, write_bytes, write_json
from curator.mix.build import Built, build, steps
from curator.mix.explain import Explanation, explanation
from curator.mix.lock import digest, inputs, lock, locked_recipe, locked_steps, version
from curator.mix.summary import summarise
from curator.mix.task import Task, describe, evaluation_truth, prepare
from curator.recipe import Recipe
from curator.session import Session
from curator.vectors import Encoded

__all__ = ["Built", "Mix", "Task", "Verification", "Workshop", "build", "evaluation_truth", "make", "prepare", "steps"]

log = logging.getLogger(__name__)

LOCK_SECONDS = 600.0  # how long a finished mix waits for another writer, rather than being thrown away


@dataclass(frozen=True)
class Workshop:
    """What mixes are made with: the corpora (and their encoder), a SQL session, and where relative paths start."""

    corpora: Corpora
    session: Session
    data: Path | None = None

    def prepare(self, recipe: Recipe, seed: int) -> Task:
        """The task of one seed."""
        return prepare(recipe, seed, self.corpora, self.session, data=self.data)


@dataclass(frozen=True)
class Verification:
    """A mix that was rebuilt to the same documents in the same order, and what has changed at its origin since."""

    name: str
    documents: int
    stale: tuple[Stale, ...]

    def __str__(self) -> str:
        lines = [f"{self.name}: the same {self.documents:,} documents in the same order"]
        lines += [f"  stale: {item.path} has {'gone' if item.change == 'gone' else 'changed'}" for item in self.stale]
        return "\n".join(lines)


def make(recipe: Recipe, workshop: Workshop, *, seed: int = 0, task: Task | None = None) -> "Mix":
    """Build a mix and store it under the recipe's name, or find it stored already from the same inputs."""
    task = task or workshop.prepare(recipe, seed)
    plan = steps(task)
    name = recipe.name if seed == 0 else f"{recipe.name}-seed{seed}"
    made_from = inputs(task, plan, workshop.corpora.encoder_key())
    home = workshop.corpora.catalogue.root / "mixes" / name
    directory = home / version(made_from)
    if (directory / "lock.json").exists():
        log.info("mix %s is up to date", name)
    else:
        built = build(task, plan, workshop.session)
        _store(directory, name, built, task, made_from, workshop)
    sweep(home)
    write_json(home / "current.json", {"version": directory.name})
    return Mix(directory, workshop)


def _store(directory: Path, name: str, built: Built, task: Task, made_from: dict[str, Any], workshop: Workshop) -> None:
    pool = task.pool.frame.select("corpus", "id", "text", "label", "source_label", "source")
    partners = _partner_texts(built.ledger, task)
    values = lock(name, made_from, built.frame)
    summary = {
        "name": name,
        "seed": task.seed,
        "created": values["created"],
        "digest": values["ids_sha256"],
        **summarise(built.ledger, pool, built.frame, partners, built.seconds),
        "warnings": list(task.warnings),
        "sources": _sources(task, workshop.corpora),
        "joins": list(built.joins),
    }
    texts = pl.DataFrame(
        [(*key, text) for key, text in partners.items()],
        schema={"corpus": pl.String, "id": pl.String, "text": pl.String},
        orient="row",
    )
    with workshop.corpora.catalogue.writing(wait=LOCK_SECONDS):
        sweep(directory)
        write_bytes(directory / "mix.parquet", built.frame.write_parquet)
        write_bytes(directory / "ledger.parquet", built.ledger.write_parquet)
        write_bytes(directory / "pool.parquet", pool.write_parquet)
        write_bytes(directory / "partners.parquet", texts.write_parquet)
        write_json(directory / "summary.json", summary)
        write_json(directory / "lock.json", values)  # its presence means complete


class Mix:
    """A stored mix: the documents that survived, the ledger that says why, and the lockfile that says from what.

    Building it anew from other inputs makes another version; this one stays what it is.
    """

    def __init__(self, directory: Path, workshop: Workshop) -> None:
        self._directory = directory
        self._workshop = workshop
        self.lock: dict[str, Any] = read_json(directory / "lock.json")

    @classmethod
    def open(cls, name: str, workshop: Workshop) -> "Mix":
        """The present version of a stored mix. Raises UnknownNameError."""
        home = workshop.corpora.catalogue.root / "mixes"
        if not (home / name / "current.json").exists():
            raise UnknownNameError("mix", name, [path.parent.name for path in home.glob("*/current.json")])
        return cls(home / name / read_json(home / name / "current.json")["version"], workshop)

    def __len__(self) -> int:
        return int(self.lock["documents"])

    def __repr__(self) -> str:
        stages = " → ".join(stage["name"] for stage in self.lock["stages"]) or "no stages"
        return f"Mix({self.name!r}: {len(self):,} of {self.summary()['pool']:,} documents; {stages})"

    @property
    def name(self) -> str:
        return str(self.lock["name"])

    def frame(self) -> pl.DataFrame:
        """The documents: ``corpus, id, text, label, source, weight``, in the pool's order."""
        return pl.read_parquet(self._directory / "mix.parquet")

    def ledger(self) -> pl.DataFrame:
        """One row per pool document and stage that saw it; ``deciding`` marks the one that decided."""
        return pl.read_parquet(self._directory / "ledger.parquet")

    def summary(self) -> dict[str, Any]:
        """The funnel, the composition, score distributions and examples, as plain values."""
        summary: dict[str, Any] = read_json(self._directory / "summary.json")
        return summary

    def explain(self, document: str) -> Explanation:
        """Why a document (``corpus:id``, or its id where one corpus has it) is in the mix or is not."""
        ledger = self.ledger()
        named = ledger.filter(pl.format("{}:{}", "corpus", "id") == document)
        rows = named if len(named) else ledger.filter(pl.col("id") == document)
        owners = rows["corpus"].unique().sort().to_list()
        if not owners:
            raise UnknownNameError("pool document", document, ledger["id"].unique())
        if len(owners) > 1:
            raise UsageError(f"{document!r} is in {', '.join(owners)}; say which: {owners[0]}:{document}")
        corpus, name = rows["corpus"][0], rows["id"][0]
        pool = pl.read_parquet(self._directory / "pool.parquet")
        text = pool.filter((pl.col("corpus") == corpus) & (pl.col("id") == name))["text"][0]
        partners = {(c, i): t for c, i, t in pl.read_parquet(self._directory / "partners.parquet").iter_rows()}
        return explanation(f"{corpus}:{name}", text, rows.sort("position").to_dicts(), partners)

    def verify(self, *, origin: bool = False) -> Verification:
        """Rebuild from the stored versions and vectors and compare.

        Raises VerificationError when the result differs or, with ``origin``, when a file it came from has changed.
        """
        catalogue = self._workshop.corpora.catalogue
        used = {(entry["role"], entry["name"]): entry["version"] for entry in self.lock["corpora"]}
        pairs = sorted({(entry["corpus"], entry["version"]) for entry in self.lock["corpora"]})
        stored = [catalogue.corpus(name, number) for name, number in pairs]
        damaged = [f"{corpus.name}/{name}" for corpus in stored for name in corpus.damaged()]
        if damaged:
            raise WorkspaceError(f"{self.name} cannot be verified, these files are damaged: {', '.join(damaged)}")
        encoder = _Stored(self.lock["encoder"], catalogue.root)
        corpora = Corpora(catalogue, lambda: encoder)
        session = self._workshop.session
        task = prepare(locked_recipe(self.lock), self.lock["seed"], corpora, session, versions=used)
        again = build(task, locked_steps(self.lock), session).frame
        if digest(again) != self.lock["ids_sha256"]:
            changes = len(_changes(self.frame(), again))
            raise VerificationError(
                f"{self.name} does not rebuild: {changes:,} documents differ, or else their order or weights; "
                f"it was made with {_listed(self.lock['versions'])}"
            )
        stale = tuple(corpora.stale(stored))
        if origin and stale:
            listed = "; ".join(f"{item.path} has {item.change}" for item in stale)
            raise VerificationError(f"{self.name} rebuilds, but its origin is not what it was: {listed}")
        return Verification(self.name, len(again), stale)

    def diff(self, other: "Mix") -> pl.DataFrame:
        """What differs from ``other``: ``corpus, id, source, label, change``, and the stage, rule and reason
        by which the mix that lacks a document left it out (``not in the pool`` where it never saw it).
        """
        changes = _changes(self.frame(), other.frame())
        fates = {"removed": other.ledger(), "added": self.ledger()}
        parts = []
        for change, part in changes.group_by("change", maintain_order=True):
            ledger = fates.get(str(change[0]))
            if ledger is None:
                parts.append(part.with_columns(pl.lit(None, pl.String).alias(c) for c in ("stage", "rule", "reason")))
                continue
            decided = ledger.filter("deciding").select("corpus", "id", "stage", "rule", "reason")
            joined = part.join(decided, on=["corpus", "id"], how="left", maintain_order="left")
            parts.append(joined.with_columns(pl.col("stage").fill_null("not in the pool")))
        empty = changes.clear().with_columns(pl.lit(None, pl.String).alias(c) for c in ("stage", "rule", "reason"))
        return pl.concat([empty, *parts])

    def export(self, path: str | Path) -> Path:
        """Write the documents to a .jsonl, .csv or .parquet file, with the lockfile beside it."""
        path = Path(path)
        frame = self.frame()
        writers: dict[str, Callable[[IO[bytes]], Any]] = {
            ".jsonl": frame.write_ndjson,
            ".csv": frame.write_csv,
            ".parquet": frame.write_parquet,
        }
        if path.suffix not in writers:
            raise UsageError(f"{path}: a mix is exported as {', '.join(writers)}, not {path.suffix or 'a directory'!r}")
        write_bytes(path, writers[path.suffix])
        write_json(path.with_name(path.name + ".lock.json"), self.lock)
        return path


class _Stored:
    """Stands for the encoder of a lockfile: its vectors are in the store, and nothing is encoded again."""

    def __init__(self, key: str, root: Path) -> None:
        self.key = key
        self.dimension = 0
        self._root = root

    def encode(self, texts: Sequence[str], **_: Any) -> Encoded:
        raise WorkspaceError(
            f"{len(texts):,} vectors of {self.key} are not in {self._root} any more; build the mix again"
        )


def _changes(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """Rows ``corpus, id, source, label, change`` from ``one`` to ``other``."""
    key = ["corpus", "id"]
    shown = [*key, "source", "label"]
    removed = one.join(other, on=key, how="anti", maintain_order="left").select(shown)
    added = other.join(one, on=key, how="anti", maintain_order="left").select(shown)
    both = one.join(other, on=key, how="inner", suffix="_other", maintain_order="left")
    relabelled = both.filter(pl.col("label").ne_missing(pl.col("label_other"))).select(shown)
    parts = [("removed", removed), ("added", added), ("label", relabelled)]
    return pl.concat([part.with_columns(pl.lit(change).alias("change")) for change, part in parts])


def _partner_texts(ledger: pl.DataFrame, task: Task) -> dict[tuple[str, str], str]:
    """Texts of the documents that verdicts name, so that an explanation can show them."""
    wanted = (
        ledger.select(pl.col("partner_corpus").alias("corpus"), pl.col("partner_id").alias("id")).drop_nulls().unique()
    )
    everything = pl.concat([r.frame.select("corpus", "id", "text") for r in task.relations.values()])
    found = everything.join(wanted, on=["corpus", "id"], how="semi")
    return {(corpus, name): text for corpus, name, text in found.iter_rows()}


def _sources(task: Task, corpora: Corpora) -> list[dict[str, Any]]:
    """The sources with how many of their texts the encoder cut short."""
    rows = []
    for use, row in zip(task.used, describe(task.used), strict=True):
        rows.append({**row, "truncated": corpora.truncated(use.corpus), "origin": ", ".join(row["origin"])})
    return rows


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
