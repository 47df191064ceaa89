"""From a recipe and a seed to relations: the target and its shots, dev, the test set without labels, the pool."""

import hashlib
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from curator.catalogue import Corpus
from curator.corpora import Corpora
from curator.documents import READ_AS, Columns, listed, normalise, read_labels
from curator.errors import DataError, RecipeError
from curator.mix.knowledge import TEXT_OF, checked_concepts, checked_relations
from curator.mix.labelled import by_hand, new_labels
from curator.mix.locked import MIX
from curator.mix.strata import drawn, strata
from curator.mix.union import CONFLICT, MIXES, StoredMix, union
from curator.nearest import Tools, rewrite
from curator.recipe import Kind, Pool, Recipe, Source
from curator.relation import Relation
from curator.session import Session
from curator.stages import check_kind

log = logging.getLogger(__name__)

Versions = Mapping[tuple[str, str], str]

DEV_SHARE = 0.2  # of the shots, per label
UNGROUPED = ("label", "corpus", "embedding", "n_tokens")  # no columns that test documents can be grouped by
FEWEST_SHOTS_FOR_DEV = 8  # below this a dev set would cost more than it tells


@dataclass(frozen=True)
class Used:
    """A corpus in its role: which version, and under which name the recipe speaks of it."""

    role: str  # target, test, dev, pool, concepts, relations, or earlier: of a task whose mix is replayed
    name: str
    corpus: Corpus
    documents: int  # after where and sampling


@dataclass(frozen=True)
class Task:
    """Everything a stage may look at, for one seed. ``test`` carries no labels.

    ``labels`` of documents are as ``[task] kind`` says: names, sorted lists of them, or numbers. Those of the task are
    the names that the whole target has, in order; none where labels are numbers.
    """

    recipe: Recipe
    seed: int
    labels: tuple[str, ...]
    target: Relation
    dev: Relation
    test: Relation
    pool: Relation
    used: tuple[Used, ...]
    warnings: tuple[str, ...]
    mixes: tuple[dict[str, Any], ...] = ()  # that the pool is made of: pool, mix, version, ids_sha256
    knowledge: Mapping[str, Relation] = field(default_factory=dict)  # concepts and relations, if the recipe has any
    earlier: tuple["EarlierTask", ...] = ()  # whose mixes are replayed, the latest first

    @property
    def kind(self) -> Kind:
        return self.recipe.task.kind

    @property
    def relations(self) -> dict[str, Relation]:
        """What stages see; ``test`` also has the test and dev documents of earlier tasks, to be kept out alike."""
        held_out = [self.test, *(relation for one in self.earlier for relation in one.held_out())]
        return {"target": self.target, "dev": self.dev, "test": joined(held_out), "pool": self.pool}


@dataclass(frozen=True)
class EarlierTask:
    """A task that a model was trained on before: its stored mix, and the task in the versions that are in its lock."""

    mix: StoredMix
    task: Task

    def called(self, what: str) -> str:
        """The name of one of its corpora in a later mix, which none of that mix's own pools can have."""
        return f"{self.mix.name}-{what}"

    def held_out(self) -> tuple[Relation, Relation]:
        """Its test and dev documents, ``corpus, id, text, source``, without labels."""
        test, dev = self.task.test, self.task.dev
        return self.named(test, "test"), self.named(dev.with_frame(dev.frame.drop("label")), "dev")

    def named(self, relation: Relation, what: str) -> Relation:
        """Documents under the name that they have in a later mix."""
        return relation.with_frame(relation.frame.with_columns(pl.lit(self.called(what)).alias("corpus")))


def joined(parts: Sequence[Relation]) -> Relation:
    """Several as one, of the columns of the first."""
    columns = parts[0].columns
    frame = pl.concat([part.frame.select(columns) for part in parts])
    return parts[0] if len(parts) == 1 else Relation.concat(parts, frame)


def prepare(
    recipe: Recipe,
    seed: int,
    corpora: Corpora,
    session: Session,
    *,
    data: Path | None = None,
    versions: Versions | None = None,
) -> Task:
    """Read (or find) the recipe's sources and draw the task of one seed.

    Relative paths start at ``data`` if given, else at the recipe's folder. ``versions`` ((role, name) → version) fixes
    what is used instead of reading anything, to rebuild a mix. Raises RecipeError for a stage that cannot do with the
    task's kind of labels before anything is read.
    """
    for use in recipe.stage:
        check_kind(use.use, use.parameters, recipe.task.kind)
    finder = _Finder(recipe, corpora, session, data or recipe.folder, versions)
    warnings: list[str] = []
    everything, target_use = finder.labelled("target", f"{_stem(recipe)}_target", recipe.task.target)
    whole, test, test_use = _test_of(recipe, finder, everything)
    unlabelled = everything.frame["label"].null_count()
    if unlabelled:
        warnings.append(f"{unlabelled:,} target documents have no label and are not used")
        whole = whole.take(np.flatnonzero(whole.frame["label"].is_not_null().to_numpy()))
    _keep_apart(recipe, whole, test)
    labels = _labels_of(whole.frame["label"])
    shots = _draw(whole, recipe.task.shots, seed, warnings)
    if recipe.task.dev is not None:
        dev, dev_use = finder.labelled("dev", f"{_stem(recipe)}_dev", recipe.task.dev)
        given = dev.frame["label"]
        dev = dev.with_frame(dev.frame.with_columns(_of_task(given, labels)))
        known = dev.frame["label"].is_not_null().to_numpy()
        part = int((dev.frame["label"] != given).sum()) if recipe.task.kind == "multi" else 0
        if part:
            warnings.append(f"{part:,} dev documents have labels that are none of the task's, too, which do not count")
        if not known.all():
            warnings.append(f"{(~known).sum():,} dev documents have no label of the task and are not used")
        dev, target = dev.take(np.flatnonzero(known)), shots
    else:
        target, dev, dev_use = *_hold_out(shots, seed), None
    pool, pool_uses = finder.pool(labels, seed)
    knowledge, knowledge_uses = finder.knowledge()
    seen = {normalise(text) for text in test.frame["text"]}
    shared = sum(normalise(text) in seen for text in shots.frame["text"])
    if shared:
        warnings.append(f"{shared:,} target documents have the text of a test document; they train every arm")
    used = [
        target_use, *([test_use] if test_use else []), *([dev_use] if dev_use else []), *pool_uses, *knowledge_uses
    ]  # fmt: skip
    one_kind_of_vectors([use for use in used if use.role != "relations"])
    return Task(
        recipe,
        seed,
        labels,
        _unit(target),
        _unit(dev),
        _unit(test.with_frame(test.frame.drop("label"))),
        _unit(pool),
        tuple(used),
        (*warnings, *finder.warnings),
        tuple(finder.mixes),
        knowledge,
    )


def with_mix(task: Task, mix: StoredMix, corpora: Corpora) -> Task:
    """The same task with the documents of a stored mix as its pool. Its labels count where they are the task's."""
    relation, _ = union([mix], [1.0], corpora, f"mix {mix.name}")
    frame = _as_pool(relation.frame, mix.name, Pool(mix=[mix.name]), task.kind, task.labels)
    return replace(task, pool=_unit(relation.with_frame(frame)), mixes=({"pool": mix.name, **mix.told()},))


class _Finder:
    """Finds a recipe's sources in the workspace, reading them from files first where they have a path."""

    def __init__(
        self, recipe: Recipe, corpora: Corpora, session: Session, base: Path, versions: Versions | None
    ) -> None:
        self.recipe = recipe
        self.corpora = corpora
        self.session = session
        self.base = base
        self.versions = versions
        self.mixes: list[dict[str, Any]] = []  # those that were found
        self.warnings: list[str] = []

    def labelled(self, role: str, name: str, source: Source) -> tuple[Relation, Used]:
        """``corpus, id, text, label, source`` of a target, dev or test source, with its labels mapped."""
        relation, corpus = self._documents(role, role, name, source)
        kind, texts = self.recipe.task.kind, relation.frame["label"]
        labels = read_labels(texts, kind, source.labels, source.separator)
        frame = relation.frame.select(pl.lit(role).alias("corpus"), "id", "text", labels, "source")
        if role == "target":
            self.warnings += _unread(role, corpus)
        self.warnings += _misread(role, texts, labels, kind)
        if role == "target" and kind == "single":
            self.warnings += new_labels(frame["label"], by_hand(relation))
        return relation.with_frame(frame), Used(role, role, corpus, len(frame))

    def pool(self, labels: tuple[str, ...], seed: int) -> tuple[Relation, list[Used]]:
        """All pool documents, keyed by (corpus, id); labels that are none of the target's become NULL."""
        parts, used = [], list[Used]()
        for name, source in self.recipe.pool.items():
            relation, corpora = self._of_mixes(name, source) if source.mix else self._of_corpus(name, source)
            if source.sample is not None and source.sample < len(relation):
                relation = relation.take(np.sort(_hash_order(relation.frame["id"], f"sample {seed}")[: source.sample]))
            frame = _as_pool(relation.frame, name, source, self.recipe.task.kind, labels)
            if not source.mix and any(pool.mix for pool in self.recipe.pool.values()):
                frame = frame.rename({MIXES: f"{MIXES}_", CONFLICT: f"{CONFLICT}_"}, strict=False)
            parts.append(relation.with_frame(frame))
            counts = dict(frame.group_by("corpus").len().iter_rows())
            used += [Used("pool", own, corpus, counts.get(own, 0)) for own, corpus in corpora.items()]
        names = [use.name for use in used]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise RecipeError(
                f"{self.recipe.name}: two pools have documents of {twice[0]!r}; leave one out, or name mixes in one "
                'pool, which takes each document once: mix = ["…", "…"]'
            )
        frame = pl.concat([part.frame for part in parts], how="diagonal_relaxed")
        if not len(frame):
            raise DataError("the pool is empty: no source has a document that its where lets through")
        return Relation.concat(parts, frame), used

    def knowledge(self) -> tuple[dict[str, Relation], list[Used]]:
        """The relations ``concepts`` and ``relations``, checked; none where the recipe has no knowledge."""
        known = self.recipe.knowledge
        if known is None:
            return {}, []
        found: dict[str, Relation] = {}
        used = []
        for role, source in (("concepts", known.concepts), ("relations", known.relations)):
            if source is None:
                continue
            as_texts = source.model_copy(update={"text": TEXT_OF[role]})
            relation, corpus = self._documents(role, role, f"{_stem(self.recipe)}_{role}", as_texts)
            found[role] = relation
            used.append(Used(role, role, corpus, len(relation)))
            self.warnings += _unread(role, corpus)
        concepts = checked_concepts(found["concepts"])
        relations = checked_relations(found.get("relations"), concepts)
        return {"concepts": _unit(concepts), "relations": relations}, used

    def _of_corpus(self, name: str, source: Pool) -> tuple[Relation, dict[str, Corpus]]:
        relation, corpus = self._documents("pool", name, name, source)
        return relation, {name: corpus}

    def _of_mixes(self, name: str, source: Pool) -> tuple[Relation, dict[str, Corpus]]:
        """The documents of stored mixes, under the names that these have for their corpora."""
        catalogue, what = self.corpora.catalogue, f"pool {name}"
        names = source.mix or []
        mixes = [
            StoredMix.open(catalogue, one, None if self.versions is None else self.versions[MIX, one]) for one in names
        ]
        relation, corpora = union(mixes, source.weights or [1.0] * len(mixes), self.corpora, what)
        self.mixes += [{"pool": name, **mix.told()} for mix in mixes]
        disagree = int(relation.frame[CONFLICT].is_not_null().sum())
        if disagree:
            self.warnings.append(f"{disagree:,} documents of {what} have other labels in other mixes and are not used")
        if source.where is not None:
            relation = relation.take(self._rows(relation, source.where, f"{what}: where"))
        return relation, corpora

    def _documents(self, role: str, name: str, stored: str, source: Source) -> tuple[Relation, Corpus]:
        corpus = self._corpus(role, name, source.corpus or stored, source)
        relation = self.corpora.relation(corpus)
        if source.where is None:
            return relation, corpus
        return relation.take(self._rows(relation, source.where, f"{role} {name}: where")), corpus

    def _corpus(self, role: str, name: str, stored: str, source: Source) -> Corpus:
        catalogue = self.corpora.catalogue
        if self.versions is not None:
            return catalogue.corpus(stored, self.versions[role, name])
        if source.path is None:
            return catalogue.corpus(stored)
        columns = Columns(id=source.id, text=source.text, label=source.label)
        return self.corpora.add(stored, source.path, columns=columns, base=self.base)

    def _rows(self, relation: Relation, where: str, what: str) -> npt.NDArray[np.int64]:
        """Positions of the documents for which a SQL predicate holds."""
        statement = self.session.parse(f"SELECT {where}")["node"]
        if len(statement["select_list"]) != 1 or statement["from_table"]["type"] != "EMPTY":
            raise RecipeError(f"{what}: {where!r} is not one SQL predicate")
        numbered = Relation(relation.frame.with_row_index("_position"))
        sql = f"SELECT _position FROM documents WHERE ({where})"  # noqa: S608  parsed above as one expression
        table = rewrite(self.session, sql, {}, Tools({"documents": numbered})).fetch()
        return np.sort(table.column(0).to_numpy()).astype(np.int64)


def evaluation_truth(recipe: Recipe, corpora: Corpora, task: Task, session: Session, ids: list[str]) -> list[Any]:
    """The labels of test documents: the only place where they are read. For scoring, never for choosing.

    Names, or by the task's kind sorted tuples of names or numbers.
    """
    versions = {(use.role, use.name): use.corpus.version for use in task.used}
    relation = _tested(recipe, corpora, session, versions)
    labels = relation.frame["label"].to_list()
    if task.kind == "multi":
        labels = [label if label is None else tuple(label) for label in labels]
    known = dict(zip(relation.frame["id"].to_list(), labels, strict=True))
    return [known[name] for name in ids]


def evaluation_columns(
    recipe: Recipe, corpora: Corpora, task: Task, session: Session, ids: Sequence[str], columns: Sequence[str]
) -> pl.DataFrame:
    """Columns of test documents as their file has them, a row for each of ``ids``; their labels are none of them.

    Raises RecipeError for a column that the file does not have.
    """
    role, source = ("test", recipe.task.test) if recipe.task.test else ("target", recipe.task.target)
    finder = _Finder(
        recipe, corpora, session, recipe.folder, {(use.role, use.name): use.corpus.version for use in task.used}
    )
    relation, _ = finder._documents(role, role, f"{_stem(recipe)}_{role}", source)
    known = [name for name in relation.columns if name not in UNGROUPED]
    if missing := next((name for name in columns if name not in known), None):
        raise RecipeError(
            f"[race] groups: the test set has no column {missing!r} beside its label; it has: {', '.join(known)}"
        )
    wanted = pl.DataFrame({"id": ids}, schema={"id": pl.String})
    return wanted.join(
        relation.select(dict.fromkeys(["id", *columns])), on="id", how="left", maintain_order="left"
    ).select(columns)


def training_file(recipe: Recipe, corpora: Corpora, task: Task, session: Session) -> Relation:
    """``corpus, id, text`` of every target document with a label: what the shots and dev of any seed are drawn from."""
    versions = {(use.role, use.name): use.corpus.version for use in task.used}
    finder = _Finder(recipe, corpora, session, recipe.folder, versions)
    everything, _ = finder.labelled("target", f"{_stem(recipe)}_target", recipe.task.target)
    whole = everything if recipe.task.test is not None else _test_of(recipe, finder, everything)[0]
    whole = whole.take(np.flatnonzero(whole.frame["label"].is_not_null().to_numpy()))
    return _unit(whole.with_frame(whole.frame.select("corpus", "id", "text")))


def tested_texts(recipe: Recipe, corpora: Corpora, session: Session, versions: Versions) -> set[str]:
    """The texts of the test set in fixed ``versions``."""
    return set(_tested(recipe, corpora, session, versions).frame["text"])


def known_texts(recipe: Recipe, corpora: Corpora, session: Session, versions: Versions) -> set[str]:
    """The normalised texts of target and dev in fixed ``versions``, whether or not they have a label or were drawn."""
    finder = _Finder(recipe, corpora, session, recipe.folder, versions)
    sources = {"target": recipe.task.target, "dev": recipe.task.dev}
    found = [finder.labelled(role, f"{_stem(recipe)}_{role}", source)[0] for role, source in sources.items() if source]
    return {normalise(text) for relation in found for text in relation.frame["text"]}


def _tested(recipe: Recipe, corpora: Corpora, session: Session, versions: Versions) -> Relation:
    """The test set with its labels, those without one too where it is a source of its own."""
    finder = _Finder(recipe, corpora, session, recipe.folder, versions)
    if recipe.task.test is not None:
        return finder.labelled("test", f"{_stem(recipe)}_test", recipe.task.test)[0]
    everything, _ = finder.labelled("target", f"{_stem(recipe)}_target", recipe.task.target)
    return _test_of(recipe, finder, everything)[1]


def _keep_apart(recipe: Recipe, target: Relation, test: Relation) -> None:
    """Raises RecipeError when target and test have documents in common, whatever their files are called."""
    shared = target.frame.join(test.frame, on=["id", "text"], how="semi", maintain_order="left")
    if len(shared):
        raise RecipeError(
            f"{recipe.name}: target and test share {len(shared):,} documents, {shared['id'][0]!r} among them; "
            "give each a where that keeps them apart, or use split"
        )


def one_kind_of_vectors(used: Sequence[Used]) -> None:
    """Raises DataError when some corpora came with vectors and others are embedded: they cannot be compared."""
    own = [use.name for use in used if use.corpus.has_own_vectors]
    embedded = [use.name for use in used if not use.corpus.has_own_vectors]
    if own and embedded:
        raise DataError(f"{own[0]!r} came with vectors of its own and {embedded[0]!r} did not: they cannot be compared")
    sizes = {use.corpus.manifest["own_vectors"]["dimension"]: use.name for use in used if own}
    if len(sizes) > 1:
        (one, first), (other, second) = sorted(sizes.items())[:2]
        raise DataError(f"the vectors of {first!r} have {one} components and those of {second!r} {other}")


def _test_of(recipe: Recipe, finder: _Finder, target: Relation) -> tuple[Relation, Relation, Used | None]:
    """What is left of the target, the test set with its labels, and where it is from unless cut from the target."""
    if recipe.task.test is not None:
        test, use = finder.labelled("test", f"{_stem(recipe)}_test", recipe.task.test)
        kept = np.flatnonzero(test.frame["label"].is_not_null().to_numpy())
        return target, test.take(kept), use
    inside = falls_to_test(recipe, (normalise(text) for text in target.frame["text"]))
    test = target.take(np.flatnonzero(inside & target.frame["label"].is_not_null().to_numpy()))
    test = test.with_frame(test.frame.with_columns(pl.lit("test").alias("corpus")))
    return target.take(np.flatnonzero(~inside)), test, None


def falls_to_test(recipe: Recipe, texts: Iterable[str]) -> npt.NDArray[np.bool_]:
    """(n,) whether the recipe's ``split`` cuts a document with this normalised text off for the test set."""
    split = recipe.task.split
    return np.array([split is not None and _unit_hash(text) < split.test for text in texts], dtype=bool)


def _labels_of(labels: pl.Series) -> tuple[str, ...]:
    """The names among the labels of the target, in order. Raises DataError where there is nothing to tell apart."""
    if labels.dtype.is_float():
        if (different := labels.n_unique()) < 2:
            raise DataError(f"the labels of the target are {different} number(s); a task needs at least two")
        return ()
    if labels.dtype.is_nested():
        found = tuple(sorted(labels.explode().drop_nulls().unique().to_list()))
        if not found:
            raise DataError("no document of the target has a label; a task needs at least one")
        return found
    found = tuple(sorted(labels.unique().to_list()))
    if len(found) < 2:
        raise DataError(f"the target has {len(found)} label(s), {list(found)!r}; a task needs at least two")
    return found


def _of_task(labels: pl.Series, names: tuple[str, ...]) -> pl.Series:
    """Labels as far as they are the task's: NULL for another name, and for a list that had some and has none left."""
    if labels.dtype.is_float():
        return labels
    own = pl.col("label")
    if labels.dtype.is_nested():
        known = own.list.filter(pl.element().is_in(list(names)))
        usable = pl.when((known.list.len() > 0) | (own.list.len() == 0)).then(known)
    else:
        usable = pl.when(own.is_in(list(names))).then(own)
    return labels.alias("label").to_frame().select(usable).to_series().alias(labels.name)


def _draw(target: Relation, shots: int | None, seed: int, warnings: list[str]) -> Relation:
    """``shots`` documents per label, the first in an order that the seed decides.

    Where documents have several labels they are drawn label by label, the rarest first and those without any at last;
    what a document was drawn for before counts for each of its labels. So each has at least that many, if there are.
    Where labels are numbers so many are drawn of each of five bins, by the quantiles of the target.
    """
    if shots is None:
        return target
    of = strata(target.frame["label"])
    warnings += [
        f"{one.name} has {len(one)} target documents, fewer than the {shots} shots" for one in of if len(one) < shots
    ]
    return target.take(drawn(of, _hash_order(target.frame["id"], f"shots {seed}"), lambda _: shots))


def _hold_out(target: Relation, seed: int) -> tuple[Relation, Relation]:
    """Target and dev: a fifth of each label's documents, at least one; none when a label has too few to spare.

    Drawn as shots are.
    """
    order = _hash_order(target.frame["id"], f"dev {seed}")
    of = strata(target.frame["label"])
    spare = min(len(one) for one in of if one.is_label) >= FEWEST_SHOTS_FOR_DEV
    held = drawn(of, order, lambda n: max(1, round(DEV_SHARE * n))) if spare else np.empty(0, np.int64)
    inside = np.zeros(len(target), bool)
    inside[held] = True
    dev = target.take(held)
    dev = dev.with_frame(dev.frame.with_columns(pl.lit("dev").alias("corpus")))
    return target.take(np.flatnonzero(~inside)), dev


def _hash_order(ids: pl.Series, salt: str) -> npt.NDArray[np.int64]:
    """Positions in an order that depends on the ids and the salt alone, so that a new document moves no other."""
    keys = [hashlib.blake2b(f"{salt}:{name}".encode("utf8", "surrogatepass"), digest_size=8).digest() for name in ids]
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)


def _unit_hash(text: str) -> float:
    digest = hashlib.blake2b(text.encode("utf8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _as_pool(
    frame: pl.DataFrame, name: str, source: Pool, kind: Kind, labels: tuple[str, ...]
) -> pl.DataFrame:  # fmt: skip
    """Documents with the columns of a pool; those of mixes have their corpora and weights already.

    ``source_label`` is the label as the corpus has it, of a source that is auxiliary after its label map; a set of
    labels counts with those that are the target's.
    """
    own = [pl.lit(name).alias("corpus"), pl.lit(1.0).alias("weight")] if source.mix is None else []
    known = _of_task(read_labels(frame["label"], kind, source.labels, source.separator), labels)
    usable = known if source.serves == "labels" else known.clear(len(known))
    if source.serves == "auxiliary":
        frame = frame.with_columns(_mapped(source))
    frame = frame.rename({"label": "source_label"})
    frame = frame.with_columns(*own, usable.alias("label"), pl.lit(source.serves).alias("serves"))
    first = ["corpus", "id", "text", "label", "source_label", "source", "serves", "weight"]
    return frame.select(*first, *[c for c in frame.columns if c not in (*first, "split")])


def _mapped(source: Source) -> pl.Expr:
    """The label after the source's label map; one it does not name stays as it is."""
    return pl.col("label").replace(source.labels) if source.labels else pl.col("label")


def _unit(relation: Relation) -> Relation:
    """The same documents with vectors of length one: in a recipe the inner product is the cosine."""
    return relation.of_its_corpus(
        Relation(relation.frame, load=lambda rows: relation.vectors_of(rows).unit(), count_tokens=relation.count_tokens)
    )


def _unread(role: str, corpus: Corpus) -> list[str]:
    """What there is to say of rows of a source that could not be read."""
    if not corpus.rejects:
        return []
    first = corpus.rejected().row(0, named=True)
    what = "rows of the target" if role == "target" else role
    return [
        f"{corpus.rejects:,} {what} could not be read, the first at {Path(first['file']).name}:{first['line']}: "
        f"{first['reason']}; rejects('{corpus.name}') has all"
    ]


def _misread(role: str, texts: pl.Series, labels: pl.Series, kind: Kind) -> list[str]:
    """What there is to say of labels that are not what the task's kind takes, with an example."""
    if kind == "single":
        lists = [text for text in texts.drop_nulls().unique().sort() if listed(text) is not None]
        if not lists or role != "target":
            return []
        return [
            f"the target has labels such as {lists[0]}, each of which is one label here; kind = 'multi' reads lists"
        ]
    bad = texts.filter(texts.is_not_null() & labels.is_null())
    if not len(bad):
        return []
    return [
        f"{len(bad):,} labels of the {role}, such as {bad[0]!r}, cannot be read as {READ_AS[kind]} and count as none"
    ]


def _stem(recipe: Recipe) -> str:
    return recipe.name.replace("-", "_")


def describe(used: tuple[Used, ...]) -> list[dict[str, Any]]:
    """The sources of a task as plain values."""
    return [
        {
            "role": use.role,
            "name": use.name,
            "corpus": use.corpus.name,
            "version": use.corpus.version,
            "documents": use.documents,
            "rejects": use.corpus.rejects,
            "origin": [Path(entry["path"]).name for entry in use.corpus.manifest["origin"]],
        }
        for use in used
    ]
