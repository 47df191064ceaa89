"""Mixes: build · verify · diff · explain · export."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import polars as pl

from curator import origins, storage
from curator.catalogue import Catalogue, Corpus
from curator.corpora import Corpora
from curator.documents import kept_labels, texts_of
from curator.errors import UnknownNameError, UsageError, VerificationError
from curator.files import announced, read_json, sweep, write_sealed
from curator.mix.affected import affected
from curator.mix.atlas import write_atlas
from curator.mix.build import Built, Step, build, steps
from curator.mix.card import card
from curator.mix.combine import recipe_of, task_of
from curator.mix.differences import changes, with_fates
from curator.mix.earlier import earlier
from curator.mix.explain import Explanation, explanation
from curator.mix.export import write_dataset, write_file
from curator.mix.grouped import KEY, by_cluster, by_stage, by_target, compared
from curator.mix.listing import listed
from curator.mix.lock import CHANGED, digest, inputs, lock
from curator.mix.locked import CURRENT, LOCK, corpora_of, licences, lock_of, version
from curator.mix.look import look
from curator.mix.members import members
from curator.mix.rebuilding import StoredEncoder, rebuilt
from curator.mix.replay import Replayed, of_lock, replayed, with_earlier
from curator.mix.stored import FILES, seal, store
from curator.mix.strata import label_groups
from curator.mix.summary import summarise, told
from curator.mix.tags import TAGS, retag, tags_of
from curator.mix.task import EarlierTask, Task, evaluation_columns, evaluation_truth, prepare, training_file
from curator.mix.unchanged import unchanged
from curator.mix.union import StoredMix
from curator.recipe import Recipe
from curator.relation import Relation
from curator.session import Session
from curator.trials import FOLDER as TRIALS
from curator.trials import Trials
from curator.vectors import Encoder

__all__ = [
    "CHANGED", "CURRENT", "FILES", "LOCK", "TAGS", "Built", "EarlierTask", "Mix", "Replayed", "StoredEncoder",
    "StoredMix", "Task", "Verification", "Workshop", "build", "combine", "digest", "evaluation_columns",
    "evaluation_truth", "listed", "lock_of", "make", "prepare", "replayed", "seal", "steps", "summarise", "told",
    "training_file", "tried", "version",
]  # fmt: skip

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Workshop:
    """What mixes are made with: the corpora (and their encoder), a SQL session, and where relative paths start."""

    corpora: Corpora
    session: Session
    data: Path | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Where it travels to it has a session of its own, and no engine: it is with the workers of one already."""
        root, encoder = self.corpora.catalogue.root.absolute(), self.corpora.encoder
        return _workshop, (root, encoder, self.data and self.data.absolute())

    def prepare(self, recipe: Recipe, seed: int) -> Task:
        """The task of one seed."""
        task = prepare(recipe, seed, self.corpora, self.session, data=self.data)
        return with_earlier(task, self.corpora, self.session)


def _workshop(root: Path, encoder: Encoder, data: Path | None) -> Workshop:
    return Workshop(Corpora(Catalogue(root), lambda: encoder), Session(), data)


@dataclass(frozen=True)
class Verification:
    """A mix that was rebuilt to the same documents in the same order, and what has changed at its origin since."""

    name: str
    documents: int
    stale: tuple[origins.Stale, ...]

    def __str__(self) -> str:
        lines = [f"{self.name}: the same {self.documents:,} documents in the same order"]
        lines += [f"  stale: {item.path} has {'gone' if item.change == 'gone' else 'changed'}" for item in self.stale]
        return "\n".join(lines)


def make(
    recipe: Recipe, workshop: Workshop, *, seed: int = 0, task: Task | None = None, aside: Path | None = None
) -> "Mix":
    """Build a mix and store it under the recipe's name, or find it stored already from the same inputs.

    One that is only tried goes into the folder ``aside``, and the name goes on meaning what it does.
    """
    task = task or workshop.prepare(recipe, seed)
    plan = steps(task)
    name = recipe.name if seed == 0 else f"{recipe.name}-seed{seed}"
    made_from = inputs(task, plan, workshop.corpora.encoder_key())
    home = aside or workshop.corpora.catalogue.root / "mixes" / name
    directory = home / version(made_from)
    built = None
    if (directory / LOCK).exists():
        log.info("mix %s is up to date", name)
    else:
        built = tried(task, plan, workshop, certified=True)
    with announced(home / CURRENT):
        if built is not None:
            store(directory, lock(name, made_from, built), built, task, workshop.corpora)
        sweep(home)
        write_sealed(home / CURRENT, {"version": directory.name})
    storage.push(workshop.corpora.catalogue.root)
    return Mix(directory, workshop)


def tried(task: Task, plan: Sequence[Step], workshop: Workshop, *, certified: bool = False) -> Built:
    """What these stages choose of a task, in memory alone; verdicts that a stored mix has are taken from there."""
    root = workshop.corpora.catalogue.root
    made_from = inputs(task, plan, workshop.corpora.encoder_key())
    alone = len(list(takewhile(lambda step: step.stage.alone, plan)))
    same = partial(unchanged, task=task, corpora=workshop.corpora, session=workshop.session)
    known = earlier(root / "mixes", made_from, alone, same)
    if known is not None:
        of = "" if known.same is None else f" for {len(known.same):,} documents"
        log.info("the first %d stages are those of %s%s", known.stages, known, of)
    trials = Trials(root / TRIALS)
    return build(task, plan, workshop.session, certified=certified, known=known, trials=trials)


def combine(
    name: str, mixes: Sequence[StoredMix], weights: Sequence[float] | None, workshop: Callable[[Recipe], Workshop]
) -> "Mix":
    """Build and store the union of mixes; see ``Workspace.combine``."""
    recipe = recipe_of(name, mixes, weights)
    made_in = workshop(recipe)
    return make(recipe, made_in, task=task_of(recipe, mixes, made_in.corpora, made_in.session))


class Mix:
    """A stored mix: the documents that survived, the ledger that says why, and the lockfile that says from what.

    Building it anew from other inputs makes another version; this one stays what it is.
    """

    def __init__(self, directory: Path, workshop: Workshop) -> None:
        self._directory = directory
        self._workshop = workshop
        self.lock: dict[str, Any] = read_json(directory / LOCK)

    @classmethod
    def open(cls, name: str, workshop: Workshop) -> "Mix":
        """The present version of a stored mix. Raises UnknownNameError."""
        home = workshop.corpora.catalogue.root / "mixes"
        if not (home / name / CURRENT).exists():
            raise UnknownNameError("mix", name, [path.parent.name for path in home.glob(f"*/{CURRENT}")])
        return cls(home / name / read_json(home / name / CURRENT)["version"], workshop)

    def __len__(self) -> int:
        return int(self.lock["documents"])

    def __repr__(self) -> str:
        stages = " → ".join(stage["name"] for stage in self.lock["stages"]) or "no stages"
        return f"Mix({self.name!r}: {len(self):,} of {self.summary()['pool']:,} documents; {stages})"

    @property
    def name(self) -> str:
        return str(self.lock["name"])

    @property
    def version(self) -> str:
        return self._directory.name

    @property
    def tags(self) -> tuple[str, ...]:
        """What its name is tagged with, in order; every version of it has these."""
        return tags_of(self._directory.parent)

    def tag(self, *words: str) -> tuple[str, ...]:
        """Put tags on its name (letters, digits, ``_ . -``). Returns all it has then. Raises UsageError for others."""
        return self._retag(add=words)

    def untag(self, *words: str) -> tuple[str, ...]:
        """Take tags off its name. Returns those left. Raises UnknownNameError for one that it does not have."""
        return self._retag(remove=words)

    def _retag(self, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> tuple[str, ...]:
        home = self._directory.parent
        with self._workshop.corpora.catalogue.writing(f"mixes/{home.name}"):
            return retag(home, add, remove)

    def frame(self) -> pl.DataFrame:
        """The documents: ``corpus, id, text, label, source, weight``, in the pool's order.

        Where some serve without a label of the task, as text, for a teacher or as a task of their own, ``serves`` and
        ``source_label`` come after these.
        """
        return pl.read_parquet(self._directory / "mix.parquet")

    def ledger(self) -> pl.DataFrame:
        """One row per pool document and stage that saw it; ``deciding`` marks the one that decided."""
        return pl.read_parquet(self._directory / "ledger.parquet")

    def summary(self) -> dict[str, Any]:
        """The funnel, the composition, score distributions and examples, as plain values."""
        summary: dict[str, Any] = read_json(self._directory / "summary.json")
        return summary

    def look(self, task: Task) -> dict[str, Any]:
        """What a report shows of its documents, and of those of its ``task``: see ``curator.mix.look``."""
        return look(self._directory, self.lock, task)

    def atlas(self, path: str | Path) -> str:
        """Write its pool and target for embedding-atlas, as Parquet; see ``curator.mix.atlas``. Returns what it says.

        Raises UsageError for another ending than .parquet, WorkspaceError when vectors it was made with are gone.
        """
        path = Path(path)
        if path.suffix != ".parquet":
            raise UsageError(f"{path}: embedding-atlas is written .parquet")
        corpora = self._workshop.corpora  # the target may not have been embedded yet, if no stage looked at it
        if corpora.encoder_key() != self.lock["encoder"]:
            stored = StoredEncoder(self.lock["encoder"], corpora.catalogue.root)
            corpora = Corpora(corpora.catalogue, lambda: stored)
        task = of_lock(self.lock, corpora, self._workshop.session)
        return write_atlas(path, self._directory, self.lock, task)

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
        parameters = {stage["name"]: stage["parameters"] for stage in self.lock["stages"]}
        return explanation(f"{corpus}:{name}", text, rows.sort("position").to_dicts(), partners, parameters)

    def as_changed(self, documents: pl.DataFrame) -> pl.DataFrame:
        """Documents of the pool with the texts that stages gave them, such as those without personal data."""
        if CHANGED not in self.lock:
            return documents
        texts = pl.read_parquet(self._directory / "pool.parquet").select("corpus", "id", "text")
        return documents.update(texts, on=["corpus", "id"], maintain_order="left")

    def affected(self, by: str = "source") -> pl.DataFrame:
        """Whom each stage dropped, by a column of the pool's documents: ``stage, position, group, seen, dropped, share,
        low, high, others, apart``, a row for each stage and value of the column, the most affected of each stage first.

        ``share`` is what was dropped of those that the stage saw, ``low`` to ``high`` its 95 % interval, ``others`` the
        share of everything else that it dropped, and ``apart`` whether the two differ by more than chance explains,
        corrected for the number of groups. Raises UnknownNameError for a column that no document has.
        """
        return affected(self.ledger(), self._groups(by))

    def _groups(self, by: str) -> pl.DataFrame:
        """``corpus, id, group`` of the pool's documents; NULL where their corpus has no such column."""
        pool = pl.read_parquet(self._directory / "pool.parquet")
        key = ["corpus", "id"]
        if by == "label":  # of those without one of the task's, their own
            return pool.select(*key, pl.coalesce(label_groups(pool["label"]), "source_label").alias("group"))
        if by in pool.columns and by != "text":
            return pool.select(*key, pl.col(by).alias("group"))
        parts, known = [], set(pool.columns)
        for entry in self.lock["corpora"]:
            documents = self._workshop.corpora.catalogue.corpus(entry["corpus"], entry["version"]).scan()
            columns = documents.collect_schema().names() if entry["role"] == "pool" else []
            known |= set(columns)
            if by in columns and by != "text":
                own = documents.select(pl.lit(entry["name"]).alias("corpus"), "id", pl.col(by).alias("group")).collect()
                parts.append(own.with_columns(texts_of(own["group"])))
        if not parts:
            raise UnknownNameError("column", by, known - {"text"})
        return pool.select(key).join(pl.concat(parts), on=key, how="left", maintain_order="left")

    def verify(self, *, origin: bool = False) -> Verification:
        """Rebuild from the stored versions and vectors and compare.

        Raises VerificationError when the result differs or, with ``origin``, when a file it came from has changed.
        """
        built, _ = self.rebuild()
        stale = tuple(origins.stale(self._corpora()))
        if origin and stale:
            listed = "; ".join(f"{item.path} has {item.change}" for item in stale)
            raise VerificationError(f"{self.name} rebuilds, but its origin is not what it was: {listed}")
        return Verification(self.name, len(built.frame), stale)

    def rebuild(self, encoder: Encoder | None = None) -> tuple[Built, Task]:
        """The mix built anew in memory. Without an ``encoder``, of the stored vectors alone.

        Raises VerificationError when it is not what the lockfile says, WorkspaceError when what it needs is damaged.
        """
        catalogue = self._workshop.corpora.catalogue
        made_with = encoder or StoredEncoder(self.lock["encoder"], catalogue.root)
        return rebuilt(self.lock, Corpora(catalogue, lambda: made_with), self._workshop.session, self.frame)

    def restore(self) -> None:
        """Write its files again, from the stored versions and vectors. Raises as ``rebuild`` does."""
        built, task = self.rebuild()
        catalogue = self._workshop.corpora.catalogue
        encoder = StoredEncoder(self.lock["encoder"], catalogue.root)
        store(self._directory, self.lock, built, task, Corpora(catalogue, lambda: encoder))

    def _corpora(self) -> list[Corpus]:
        """The versions of corpora that it was made from."""
        return corpora_of(self.lock, self._workshop.corpora.catalogue)

    def diff(self, other: "Mix", by: str | None = None, *, k: int | None = None, seed: int = 0) -> pl.DataFrame:
        """What differs from ``other``: ``corpus, id, source, label, change`` (removed, added, label or text), and the
        stage, rule and reason by which the mix that lacks a document left it out (``not in the pool`` where it never
        saw it).

        ``by`` counts instead, a row a ``group``: ``source``, ``label``, any column of the pool's documents, ``target``
        (the target document it was paired with), ``stage`` (of every document that the mixes chose from: the stage that
        left it out, or ``in the mix``, so that ``moved_out`` and ``moved_in`` say whose fate changed) or ``cluster``
        (of the vectors of both mixes' documents: ``k`` of them, by default the square root of their number, drawn by
        ``seed``). ``both, only_here, only_there,
        moved_out, moved_in, share_here, share_there`` are as in ``grouped.compared``; ``text`` is the target document,
        or the one nearest to the middle of its cluster. Raises UnknownNameError for a column that neither has.
        """
        if k is not None and by != "cluster":
            raise UsageError(f"k = {k} says how many clusters; say by = 'cluster', not {by!r}")
        if by is not None:
            return self._diff_by(other, by, k, seed)
        return with_fates(changes(self.frame(), other.frame()), self.ledger(), other.ledger())

    def _diff_by(self, other: "Mix", by: str, k: int | None, seed: int) -> pl.DataFrame:
        if by == "cluster":
            one, two = self._members(), other._members()
            if self.lock["encoder"] != other.lock["encoder"]:
                raise UsageError(
                    f"{self.name} has vectors of {self.lock['encoder']} and {other.name} of {other.lock['encoder']}, "
                    "which cannot be compared; build one of them again with the other's encoder"
                )
            return compared(*by_cluster(one, two, k, seed))
        if by == "stage":
            return compared(by_stage(self.ledger()), by_stage(other.ledger()))
        if by == "target":
            here, there = (by_target(mix.frame(), mix.ledger()) for mix in (self, other))
            partners = pl.concat(pl.read_parquet(mix._directory / "partners.parquet") for mix in (self, other))
            return compared(here, there, partners.select(pl.format("{}:{}", *KEY).alias("group"), "text"))
        if by == "label":
            return compared(*_by_label(self.frame(), other.frame()))
        grouped = [mix._own_groups(by) for mix in (self, other)]
        if not any("group" in frame.columns for frame in grouped):
            self._groups(by)  # raises
        null = pl.lit(None, pl.String).alias("group")
        return compared(*(frame if "group" in frame.columns else frame.with_columns(null) for frame in grouped))

    def _own_groups(self, by: str) -> pl.DataFrame:
        """``corpus, id, group`` of its documents by a column; without ``group`` where its pool has no such column."""
        frame = self.frame()
        if by == "source":
            return frame.select(*KEY, pl.col(by).alias("group"))
        try:
            groups = self._groups(by)
        except UnknownNameError:
            return frame.select(KEY)
        return frame.select(KEY).join(groups, on=KEY, how="left", maintain_order="left")

    def _members(self) -> Relation:
        """Its documents with the vectors that it was made with."""
        catalogue = self._workshop.corpora.catalogue
        stored = StoredEncoder(self.lock["encoder"], catalogue.root)
        return members(self.frame(), self.lock["corpora"], Corpora(catalogue, lambda: stored))

    def licences(self) -> dict[str, str | None]:
        """The licence of each source in the pool: what the recipe says, else what the corpus was added with."""
        return licences(self.lock, self._workshop.corpora.catalogue)

    def target_licence(self) -> str | None:
        """What the corpus of the task's examples was added with."""
        entry = next(entry for entry in self.lock["corpora"] if entry["role"] == "target")
        return self._workshop.corpora.catalogue.licence(entry["corpus"])

    def export(self, path: str | Path) -> Path:
        """Write the documents to a .jsonl, .csv or .parquet file, with the lockfile beside it; any other path is a
        directory, which may not be there yet, for a saved Hugging Face dataset.

        ``datasets.load_from_disk`` reads that. It has the lockfile and a card, ``README.md``, that says what the
        sources are, under which licences, and how the mix was made. Raises UsageError for another ending, or a
        directory that is not empty; MissingExtraError without the library.
        """
        path = Path(path)
        if not path.suffix:
            text = card(self.lock, self.summary(), self.frame(), self.licences(), self.tags)
            return write_dataset(path, self.frame(), self.lock, text)
        return write_file(path, self.frame(), self.lock)


def _by_label(*frames: pl.DataFrame) -> list[pl.DataFrame]:
    """``corpus, id, group`` of documents by label: of numbers the bins are those of all frames together."""
    labels = [frame["label"] for frame in frames]
    if len({label.dtype for label in labels}) > 1:
        labels = [kept_labels(label) for label in labels]
    groups = [label_groups(label, among=pl.concat(labels)) for label in labels]
    return [frame.select(*KEY, group.alias("group")) for frame, group in zip(frames, groups, strict=True)]
