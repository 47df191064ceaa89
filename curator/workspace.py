"""The front door: a directory that holds corpora, vectors, mixes and races, and the verbs over them."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt
import polars as pl
import pyarrow as pa

from curator import encoder as encoders
from curator import engines, estimate, indexes, labelling, neighbours, recipe, storage, upkeep
from curator.calibration import Calibration, calibrate
from curator.calibration.pairs import ROWS
from curator.catalogue import Catalogue, Corpus
from curator.corpora import Corpora, Progress
from curator.documents import Columns, Origin, whole
from curator.errors import UnknownNameError, UsageError
from curator.files import read_json
from curator.functions import FUNCTIONS, search
from curator.mix import Mix, StoredMix, Workshop, combine, listed, make
from curator.nearest import Tools
from curator.recipe import Recipe
from curator.relation import Relation
from curator.results import Added, Compared, Race
from curator.session import Session
from curator.statements import Ran, Statements
from curator.vectors import Encoder, Texts, Vectors

if TYPE_CHECKING:
    from curator.assessment import Assessment
    from curator.training import Classifier
    from curator.tuning import Tuning


class Workspace:
    """Opens a workspace, or creates it: a directory, or the URL of a place on an object store (``s3://bucket/prefix``,
    or what else fsspec opens), of which ``root`` then is a copy on this machine.

    ``encoder`` is what embeds texts: settings (``recipe.Encoder``), the name or directory of a model, or an object
    of one's own with ``key``, ``dimension`` and ``encode``. ``engine`` is where texts are encoded and judged, vectors
    compared and models trained: ``"local"``, ``"ray"``, or settings (``recipe.Engine``), which come before those of a
    recipe. ``progress`` is called as (what, done, total), with the tokens read as fourth while texts are embedded. In a
    ``sandbox``, for SQL from someone else, no statement reads a file, reaches a network, writes, or changes a setting.
    """

    def __init__(
        self,
        root: str | Path = ".curator",
        *,
        encoder: "recipe.Encoder | Encoder | str | None" = None,
        engine: "recipe.Engine | str | None" = None,
        progress: Progress | None = None,
        sandbox: bool = False,
    ) -> None:
        self.sandbox = sandbox
        self.root = storage.opened(root)
        self.catalogue = Catalogue(self.root)
        self._encoder = recipe.Encoder(model=encoder) if isinstance(encoder, str) else encoder
        self._engine = recipe.Engine.of(engine) if isinstance(engine, str) else engine
        self._progress = progress
        self._corpora = self._corpora_with(self._encoder, None)
        self.last_report: dict[str, Any] = {}

    def __repr__(self) -> str:
        corpora = [self.catalogue.corpus(name) for name in self.catalogue.names()]
        listed = "".join(f"\n  {corpus.name}: {corpus.documents:,} documents" for corpus in corpora)
        return f"Workspace({storage.name_of(self.root)!r}, {len(corpora)} corpora, {len(self.mixes())} mixes){listed}"

    @cached_property
    def session(self) -> Session:
        return Session(sandbox=self.sandbox)

    # Corpora

    def add(
        self,
        name: str,
        origin: Origin,
        *,
        text: str | None = None,
        label: str | None = None,
        id: str | None = None,  # noqa: A002  the word of the design, and of every data frame
        vectors: str | npt.ArrayLike | None = None,
        base: Path | None = None,
        licence: str | None = None,
    ) -> Added:
        """Read files, a frame or a Hugging Face dataset into a corpus; a changed origin makes a new version.

        ``text``, ``label``, ``id`` name the columns to use. ``vectors`` brings one's own: an (n, d) array, one row
        per row of the origin, or the name of a column. What cannot be read is set aside with its place and reason.
        ``licence`` is that of the documents, such as ``CC-BY-4.0``, for the cards of datasets that have some of them;
        without one, what was said before stays.
        """
        columns = Columns(id=id, text=text, label=label)
        corpus = self._corpora.add(name, origin, columns=columns, base=base, vectors=vectors)
        if licence is not None:
            with self.catalogue.writing():
                self.catalogue.state_licence(name, licence)
        added = Added(name, corpus.version, corpus.documents, corpus.rejects, tuple(corpus.manifest["renamed"]))
        self.last_report = asdict(added)
        return added

    def embed(self, name: str) -> dict[str, Any]:
        """Embed a corpus now rather than when first needed. Returns how many texts there are and how many were cut."""
        corpus = self.catalogue.corpus(name)
        if corpus.has_own_vectors:
            raise UsageError(f"corpus {name!r} came with vectors of its own; there is nothing to embed")
        places = self._corpora.places(corpus)
        self.last_report = {
            "corpus": name,
            "documents": corpus.documents,
            "tokens": int(places.entries["n_tokens"].sum()),
            "truncated": int(places.entries["truncated"].sum()),
            "encoder": self._corpora.encoder_key(),
        }
        self.push()
        return self.last_report

    def index(
        self,
        name: str,
        *,
        recall: float | None = None,
        kind: "indexes.Wanted | None" = None,
        queries: "str | Relation | Vectors | npt.ArrayLike | None" = None,
        memory: float | None = None,
        expected: int | None = None,
        check: bool = False,
        rebuild: bool = False,
    ) -> dict[str, Any]:
        """Make the approximate index of a corpus, which joins with ``APPROX`` use where it is the faster way.

        ``recall`` is asked of it, on ``queries``: a corpus, a relation, or an (n, d) array; without them on documents
        of the corpus, each left out of its own answer. The kind is chosen by size, by ``memory`` (GiB; half of what
        is free) and by how many queries are ``expected``. What is left out is as it was asked before, else a recall
        of 0.99 of whatever kind. Where an earlier version has an index, it is taken up. With ``check`` nothing is
        made: the recall is measured again, on fresh queries. Returns what was measured. Raises UsageError where the
        recall cannot be had, with what can.
        """
        relation = self._corpora.relation(self.catalogue.corpus(name))
        asking, source = self._queries(queries)
        if check:
            drift = indexes.drift(relation, asking)
            self.last_report = {"corpus": name, "index": str(drift), **drift.json()}
            return self.last_report
        given = {"recall": recall, "kind": kind, "memory": memory, "expected": expected}
        changes: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        wish = replace(indexes.wished(relation), **changes)
        with self.catalogue.writing(f"indexes/{name}"):
            measured = indexes.build(relation, wish, queries=asking, source=source, anew=rebuild)
        told = [measured.told(k) for k in indexes.DEPTHS if measured.promise(k)] or [str(measured)]
        self.last_report = {"corpus": name, "index": "\n  ".join(told), **measured.json()}
        return self.last_report

    def calibrate(self, name: str, against: str | None = None, *, rows: int = ROWS, seed: int = 0) -> Calibration:
        """How alike random documents of a corpus are (or of one and another), and how alike nearest ones.

        Turns a false-positive rate into a cosine: ``ws.calibrate("reviews", "desk").threshold(1e-4)`` is what one
        random pair in 10,000 reaches. ``rows`` documents of each are sampled by ``seed`` and all their pairs compared;
        what was found is kept beside the corpus.
        """
        left = self._corpora.relation(self.catalogue.corpus(name))
        right = None if against is None else self._corpora.relation(self.catalogue.corpus(against))
        found = calibrate(left, right, rows=rows, seed=seed)
        self.last_report = found.report()
        self.push()
        return found

    def _queries(self, queries: Any) -> tuple[Vectors | None, str]:
        """The vectors that an index is asked with, and what they are."""
        if queries is None:
            return None, ""
        if isinstance(queries, str):
            return self._corpora.relation(self.catalogue.corpus(queries)).vectors, f"corpus {queries}"
        vectors = queries.vectors if isinstance(queries, Relation) else queries
        vectors = vectors if isinstance(vectors, Vectors) else Vectors.of(vectors)
        return vectors, f"{len(vectors):,} vectors ({hashlib.sha256(vectors.matrix().tobytes()).hexdigest()[:8]})"

    def search(self, name: str, text: str, k: int = 10) -> pl.DataFrame:
        """The k documents of a corpus nearest to a text: ``id, score, text, …``, best first (cosine)."""
        relation = self._corpora.relation(self.catalogue.corpus(name))
        frame = pl.DataFrame(search(relation, text, k))
        device, why = neighbours.device()
        self.last_report = {"corpus": name, "searched": len(relation), "exact": True, "device": device, "why": why}
        return frame.select("id", "score", "text", *[c for c in frame.columns if c not in ("id", "score", "text")])

    def rejects(self, name: str) -> pl.DataFrame:
        """What could not be read into a corpus: ``file, line, reason, excerpt``."""
        return self.catalogue.corpus(name).rejected()

    def ls(self) -> list[dict[str, Any]]:
        """The corpora: name, version, documents, rejects, whether embedded, key of the vectors, bytes on disk (without
        those), how many versions there are, files read, the licence, and when the present version became that.
        """
        return [self._row(self.catalogue.corpus(name)) for name in self.catalogue.names()]

    # SQL

    def sql(self, query: str, /, **parameters: Any) -> pl.DataFrame:
        """Run a SELECT over the corpora; NEAREST joins are executed by FAISS. ``$name`` is bound to a keyword.

        Also ``EXPLAIN`` of one, ``DESCRIBE`` and ``SUMMARIZE``. Raises QueryError for what writes or cannot run, and
        warns of what was left to DuckDB, with an estimate, and of lists that a threshold would have made longer.
        """
        return self._reported(self._statements().select(query, parameters))

    def execute(self, statement: str, /, **parameters: Any) -> pl.DataFrame:
        """Run any one statement of DuckDB's, also one that creates or writes; NEAREST works inside it too.

        ``CREATE TABLE … AS``, ``CREATE VIEW``, ``CREATE MACRO``, ``COPY (…) TO``, ``INSERT INTO … SELECT`` and the
        others. Tables, views and macros live as long as this object; corpora are read, never written. Returns what
        DuckDB does. Raises UsageError in a sandbox.
        """
        if self.sandbox:
            raise UsageError("a sandbox only reads: use ws.sql, or a workspace without sandbox")
        return self._reported(self._statements().execute(statement, parameters))

    def explain(self, query: str, /, *, analyze: bool = False, **parameters: Any) -> str:
        """What FAISS does in a query, what DuckDB does, and why, per NEAREST join; with the times expected.

        What a join needs first is run: subqueries, table functions, ``embed``; no join is searched. ``analyze`` runs
        everything, and tells the times measured.
        """
        return self._statements().explain(query, parameters, analyze=analyze)

    # Mixes and races

    def mix(self, source: "Recipe | str | Path", *, data: str | Path | None = None) -> Mix:
        """Build the mix of a recipe (a ``Recipe`` or the path of a .toml file), or open a stored one by its name."""
        if not isinstance(source, Recipe) and Path(source).suffix != ".toml":
            return Mix.open(str(source), self._workshop(None))
        recipe_ = source if isinstance(source, Recipe) else Recipe.load(source)
        return make(recipe_, self._workshop(recipe_, data))

    def combine(self, name: str, mixes: Sequence[str], weights: Sequence[float] | None = None) -> Mix:
        """Store the union of two or more mixes of one task under a name of its own.

        A document of several mixes comes once, with the largest of its weights, each times that of its mix in
        ``weights``. Where mixes give it different labels it is left out, and a warning in the summary counts such
        documents; the ledger says of each document which mixes have it. Target, dev and test set are those of the first
        mix, and what decontamination finds is left out again. Raises UsageError for mixes with other labels, or
        another test set, than the first.
        """
        return combine(name, [StoredMix.open(self.catalogue, one) for one in mixes], weights, self._workshop)

    def mixes(self) -> list[str]:
        """Names of the stored mixes."""
        return sorted(path.parent.name for path in (self.root / "mixes").glob("*/current.json"))

    def ls_mixes(self, tag: str | None = None) -> list[dict[str, Any]]:
        """The stored mixes, or those with a ``tag``, each in its present version.

        ``mix, tags``, whether it is ``locked`` (its lockfile is what was written), ``version, documents, pool`` (how
        many it was chosen from), ``target`` (a corpus), ``seed, created, stale`` (files it came from that have changed
        or gone; None where a version of a corpus is gone) and ``newer`` (corpora that have another version now).
        """
        return listed(self.catalogue, tag)

    def label(
        self, source: "Recipe | str | Path", *, documents: int = 50, by: labelling.By = "badge", seed: int = 0,
        data: str | Path | None = None, output: str | Path | None = None,
    ) -> pl.DataFrame:  # fmt: skip
        """The documents of a recipe's pool that a person should label next, in the order of their choice.

        A probe is fitted on the target. ``by`` it, ``"badge"`` takes documents whose gradients are large and unlike
        each other, ``"margin"`` those between two labels, ``"random"`` a sample to compare with. Chosen from is every
        document of the pool, whatever its label, but those that decontamination drops and those whose text the target
        or dev has, each text once. The choice depends on ``seed``, which also draws the shots, and on what the
        documents are, not on their order.

        Columns: ``id`` (corpus:id), ``text``, ``label`` (to be filled in), ``suggestion`` and ``second`` (the two
        likeliest labels), ``probability`` (of the suggestion), ``why`` and ``corpus``; the first three are called as
        the recipe's target calls them. Also written to ``output``, a .csv (made for spreadsheets), .jsonl or .parquet
        file that may not be there yet; filled in, it is a further file of the target.
        Raises UsageError for more documents than there are, DataError where there is none.
        """
        recipe_ = source if isinstance(source, Recipe) else Recipe.load(source)
        path = None if output is None else labelling.checked_path(Path(output))
        workshop = self._workshop(recipe_, data)
        frame, self.last_report = labelling.label(recipe_, workshop, documents=documents, by=by, seed=seed)
        if path is not None:
            self.last_report["warnings"] += labelling.write(frame, path)
            next_ = labelling.target_with(recipe_, path, workshop.data or recipe_.folder)
            self.last_report |= {"file": str(path), "next": next_}
        return frame

    def race(
        self, source: "Recipe | str | Path", *, data: str | Path | None = None, seeds: int | None = None,
        probe: bool = False, command: str = "",
    ) -> "Race":  # fmt: skip
        """Fine-tune on every arm of a recipe at every seed, or go on with a race that was stopped.

        ``seeds`` below the recipe's makes it a smoke test, and its report says so. With ``probe`` a softmax regression
        on the vectors takes the place of fine-tuning, in seconds, as a race of its own whose name ends in ``-probe``.
        A name opens a finished race. Where the recipe says at which shots or budgets, it is a race at each of them, and
        what comes back is their curves (``results.Curves``), with a race for each of its ``points``.
        """
        if not isinstance(source, Recipe) and Path(source).suffix != ".toml":
            return Race.opened(self.root / "races" / str(source))
        from curator.race.curves import run_curves  # transformers takes seconds to import
        from curator.race.run import run

        recipe_ = source if isinstance(source, Recipe) else Recipe.load(source)
        if probe:
            recipe_ = recipe_.by_probe()
        smoke = None
        if seeds is not None and seeds != recipe_.race.seeds:
            if seeds < recipe_.race.seeds:
                smoke = f"{seeds} seeds instead of the recipe's {recipe_.race.seeds}"
            if seeds < 2:
                raise UsageError(f"a race needs at least 2 seeds, not {seeds}")
            recipe_ = recipe_.model_copy(update={"race": recipe_.race.model_copy(update={"seeds": seeds})})
        directory = self.root / "races" / (recipe_.name + ("-probe" if recipe_.race.by == "probe" else ""))
        raced = run_curves if recipe_.points() else run
        raced(recipe_, self._workshop(recipe_, data), directory, command=command, smoke=smoke, progress=self._progress)
        return Race.opened(directory)

    def compare(self, first: str | Path, second: str | Path) -> Compared:
        """Two finished races side by side, the second minus the first: their recipes, and the arms that both have.

        Each is a name in this workspace, or the path of a ``record.json``. Raises UsageError for races that cannot be
        compared: of other kinds, metrics or labels, or without a common arm.
        """
        from curator.race.statistics import side_by_side

        return Compared(side_by_side(self._record(first), self._record(second)))

    def _record(self, race: str | Path) -> dict[str, Any]:
        path = Path(race)
        if path.suffix != ".json":
            return Race(self.root / "races" / str(race)).record
        try:
            record = read_json(path)
        except FileNotFoundError:
            raise UsageError(f"{path}: there is no such file; give the record.json of a race, or its name") from None
        if not isinstance(record, dict) or record.get("kind") != "race":
            raise UsageError(f"{path}: this is no record of a race; one is in the folder of a race, as record.json")
        return record

    def races(self) -> list[str]:
        """Names of the finished races."""
        return sorted(path.parent.name for path in (self.root / "races").glob("*/record.json"))

    def tune(
        self, source: "Recipe | str | Path", *, data: str | Path | None = None, trials: int | None = None,
        arms: Sequence[str] = ("mix",), command: str = "",
    ) -> "Tuning":  # fmt: skip
        """Search on dev for what ``[tune]`` of a recipe says, ``trials`` of them for each arm, or go on with a search.

        No label of the test set is read. More trials than before are added to those that there are.
        """
        from curator.tuning import tune  # transformers takes seconds to import

        recipe_ = source if isinstance(source, Recipe) else Recipe.load(source)
        return tune(
            recipe_, self._workshop(recipe_, data), arms=tuple(arms), trials=trials, command=command,
            progress=self._progress,
        )  # fmt: skip

    # Models

    def train(
        self, source: "Recipe | str | Path", *, data: str | Path | None = None, output: str | Path | None = None
    ) -> dict[str, Any]:
        """Fine-tune on the mix of a recipe and save the model, by default under the recipe's name."""
        from curator.race.run import train_on_mix

        recipe_ = source if isinstance(source, Recipe) else Recipe.load(source)
        directory = Path(output or self.root / "models" / recipe_.name)
        self.last_report = train_on_mix(recipe_, self._workshop(recipe_, data), directory)
        self.push()
        return self.last_report

    def predict(
        self, model: str | Path, origin: Origin, text: str | None = None, *, explain: int | None = None
    ) -> pl.DataFrame:
        """``id, label, probability, text`` for each document, by a saved model; texts that it cut are counted.

        By a model of several labels a document it is ``labels`` and ``probabilities`` instead of label and probability,
        by a regression ``value``. ``model`` is its directory or the name of its recipe: one that was trained, else one
        that was raced. With ``explain``, ``neighbours`` are as many documents of the mix that the model was trained on,
        those nearest to each: a list of structures ``corpus, id, label, similarity, text``, the nearest first. Raises
        DataError for a model that does not know its mix, WorkspaceError where the mix is gone from this workspace or
        has changed.
        """
        from curator.models import beside, predict  # transformers takes seconds to import

        if explain is not None and explain < 1:
            raise UsageError(f"explain = {explain}: how many documents to show beside each, at least 1")
        classifier = self._classifier(model)
        trained = None if explain is None else beside(classifier.trained_on, f"the model {model}", self._corpora)
        frame, self.last_report = predict(
            classifier, origin, Columns(text=text), trained=trained, k=explain or 0, progress=self._progress
        )
        return frame

    def assess(
        self,
        model: str | Path,
        origin: Origin,
        *,
        text: str | None = None,
        label: str | None = None,
        by: Sequence[str] = (),
        out_of_domain: "Origin | None" = None,
        robustness: bool = True,
        typos: float = 0.05,
        words: float = 0.2,
        seed: int = 0,
        resamples: int = 2000,
    ) -> "Assessment":
        """How good a saved model is on labelled documents, how far its probabilities can be trusted, how robust it is.

        Scores with 95 % intervals, by label and by the columns ``by``; calibration; the same documents with ``typos``
        per letter, in other cases, and without a share of their ``words``; and with a second file ``out_of_domain``
        (of the same column names; it needs no labels), whether the model is less sure there. What is drawn is drawn
        by ``seed``, intervals are of ``resamples`` draws of the documents, and the order of the documents makes no
        difference. Those without a label, or with one that the model lacks, are left out and counted.
        """
        from curator import assessment

        if resamples < 100:
            raise UsageError(f"resamples = {resamples}: at least 100 are needed for an interval")
        under = assessment.perturbations(typos, words) if robustness else ()
        classifier = self._classifier(model)
        if classifier.kind != "single":
            raise UsageError(
                f"the model {model} is of the kind {classifier.kind!r}, and an assessment is of models of a single "
                "label a document: its tables are of confusions and of the probability of one label; curator race "
                "scores others, and curator predict says what they predict"
            )
        documents, rejects = whole(origin, text=text, label=label, others=by, needs_label=True)
        other = None if out_of_domain is None else whole(out_of_domain, text=text, label=label)
        found = assessment.assess(
            classifier.logits, classifier.labels, documents, by=by, out_of_domain=other and other[0], under=under,
            seed=seed, resamples=resamples, progress=self._progress,
        )  # fmt: skip
        self.last_report = {"model": str(model), "rejects": rejects, **found.json()}
        return found

    def export_model(self, model: str | Path, directory: str | Path) -> dict[str, Any]:
        """A saved model as ``model.onnx`` with its tokenizer and labels, checked against the model by onnxruntime.

        Returns ``model``, ``bytes``, ``texts`` and the largest ``difference`` of a probability.
        """
        from curator.training import export_onnx

        self.last_report = export_onnx(self._classifier(model), directory)
        return self.last_report

    def _classifier(self, model: str | Path) -> "Classifier":
        """That of a directory, or of a recipe's name: one that was trained, else one that was raced."""
        from curator.training import Classifier  # transformers takes seconds to import

        name = str(model)
        named = (self.root / "models" / name, self.root / "races" / name / "model", Path(model))
        found = next((path for path in named if (path / "curator.json").is_file()), Path(model))
        if not found.exists():
            kept = (*self.root.glob("models/*/curator.json"), *self.root.glob("races/*/model/curator.json"))
            raise UnknownNameError("model", name, {path.relative_to(self.root).parts[1] for path in kept})
        return Classifier.load(found)

    # Upkeep

    def check(self) -> list[upkeep.Damage]:
        """The files that are not what was written, each with what mends it."""
        return upkeep.check(self.catalogue)

    def repair(self) -> upkeep.Repaired:
        """Mend what ``check`` finds: read, embed, build again; what cannot be is said, with what is lost."""
        with storage.sending(self.root):
            return upkeep.repair(self._workshop(None))

    def gc(self, *, dry_run: bool = False) -> upkeep.Collected:
        """Remove what nothing refers to: versions that are neither present nor in a mix, their vectors, leftovers."""
        collected = upkeep.gc(self.catalogue, dry_run=dry_run)
        if not dry_run:
            self._collect()
        return collected

    def forget(self, *documents: str) -> list[upkeep.Forgotten]:
        """Remove documents (``corpus:id``) from every version, mix and store; says where else they may be."""
        try:
            forgotten = upkeep.forget(self.catalogue, documents)
        finally:
            self._collect()  # also what could not be sent, or deleted, the last time
        self._corpora = self._corpora_with(self._encoder, None)  # which has rows and vectors in memory
        return forgotten

    def push(self) -> None:
        """Where the workspace is on an object store: send what was written into ``root`` and is not there yet.

        What verbs write is sent when they are done; what a person puts there is not. Raises WorkspaceError.
        """
        storage.push(self.root)

    def _collect(self) -> None:
        if storage.is_copy(self.root):
            with self.catalogue.writing():
                storage.collect(self.root)

    # Estimates

    def estimate(self, name: str) -> dict[str, Any]:
        """What embedding a corpus would take: seconds, from a timed sample, and bytes of memory and disk."""
        corpus = self.catalogue.corpus(name)
        texts: Texts = [] if corpus.has_own_vectors else corpus.texts()
        return estimate.embedding(self._corpora, texts)

    def estimate_recipe(
        self, source: "Recipe | str | Path", *, data: str | Path | None = None, race: bool = False
    ) -> dict[str, Any]:
        """What a mix, or a race, would take. Reads the sources, embeds a sample, and times a few training steps."""
        recipe_ = source if isinstance(source, Recipe) else Recipe.load(source)
        return estimate.recipe(recipe_, self._workshop(recipe_, data), race=race)

    # What the verbs share

    def _workshop(self, recipe_: Recipe | None, data: str | Path | None = None) -> Workshop:
        own = self._encoder is not None and (recipe_ is None or "encoder" not in recipe_.model_fields_set)
        is_object = not (self._encoder is None or isinstance(self._encoder, recipe.Encoder))
        corpora = self._corpora
        if recipe_ is not None and (not (own or is_object) or "engine" in recipe_.model_fields_set):
            corpora = self._corpora_with(self._encoder if own or is_object else recipe_.encoder, recipe_.engine)
        return Workshop(corpora, self.session, None if data is None else Path(data))

    def _corpora_with(self, encoder: "recipe.Encoder | Encoder | None", engine: recipe.Engine | None) -> Corpora:
        if encoder is None or isinstance(encoder, recipe.Encoder):
            encoder = encoders.RememberedEncoder(encoder or recipe.Encoder(), self.root / "vectors" / "encoders.json")
        where = self._engine or engine or recipe.Engine()
        return Corpora(self.catalogue, lambda: encoder, self._progress, engines.engine_of(where))

    def _statements(self) -> Statements:
        return Statements(
            self.session, Tools(self._relations(), (*FUNCTIONS, *self._readers()), self._corpora.embed_query)
        )

    def _reported(self, ran: Ran) -> pl.DataFrame:
        self.last_report = ran.report()
        return ran.frame

    def _relations(self) -> dict[str, Relation]:
        return {name: self._corpora.relation(self.catalogue.corpus(name)) for name in self.catalogue.names()}

    def _readers(self) -> tuple[Callable[[str], pa.Table], ...]:
        """Table functions that read what the workspace has stored."""

        def ledger(name: str) -> pa.Table:
            return Mix.open(name, self._workshop(None)).ledger().to_arrow(compat_level=pl.CompatLevel.newest())

        def mix(name: str) -> pa.Table:
            return Mix.open(name, self._workshop(None)).frame().to_arrow(compat_level=pl.CompatLevel.newest())

        def rejects(name: str) -> pa.Table:
            return self.rejects(name).to_arrow(compat_level=pl.CompatLevel.newest())

        return ledger, mix, rejects

    def _row(self, corpus: Corpus) -> dict[str, Any]:
        return {
            "corpus": corpus.name,
            "version": corpus.version,
            "documents": corpus.documents,
            "rejects": corpus.rejects,
            "embedded": self._corpora.is_embedded(corpus),
            "vectors": "its own" if corpus.has_own_vectors else self._corpora.encoder_key(),
            "bytes": corpus.size(),
            "versions": len(self.catalogue.versions(corpus.name)),
            "files": len(corpus.manifest["origin"]),
            "licence": self.catalogue.licence(corpus.name),
            "created": self.catalogue.created(corpus.name),
        }
