"""The documents that a model was trained on and that are nearest to a text: what it may have learnt its label from."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from curator import recipe
from curator.corpora import Corpora
from curator.encoder import RememberedEncoder, encoder_of
from curator.errors import DataError, UsageError, WorkspaceError
from curator.mix import StoredMix
from curator.mix.members import members
from curator.neighbours import nearest
from curator.training import TrainedOn
from curator.vectors import Encoder, Vectors

SHOWN = ("corpus", "id", "label", "similarity", "text")

MEMORY = Path("vectors") / "encoders.json"  # of a workspace: which settings made which vectors


@dataclass(frozen=True)
class Beside:
    """The documents of a mix that were trained on, ``corpus, id, label, text`` and a unit vector of each.

    ``encoder`` made the vectors, and makes those of the texts they are compared with.
    """

    mix: StoredMix
    frame: pl.DataFrame
    vectors: Vectors
    encoder: Encoder

    def __len__(self) -> int:
        return len(self.frame)

    def nearest(self, texts: Sequence[str], k: int) -> tuple[pl.Series, int]:
        """The min(k, len(self)) documents nearest to each text by cosine, and how many texts the encoder cut.

        ``neighbours``, one list a text: ``corpus, id, label, similarity, text``, the nearest first, among equals in
        the order of the mix.
        """
        shown = {name: pl.Float32() if name == "similarity" else self.frame.schema[name] for name in SHOWN}
        column = pl.List(pl.Struct(shown))
        if not texts:
            return pl.Series("neighbours", [], column), 0
        encoded = self.encoder.encode(texts)
        edges = nearest(Vectors.of(encoded.vectors).unit(), self.vectors, k)
        found = self.frame[edges.right].with_columns(pl.Series("similarity", edges.score), pl.Series("row", edges.left))
        lists = found.group_by("row", maintain_order=True).agg(pl.struct(list(SHOWN)).alias("neighbours"))
        return lists["neighbours"].cast(column), int(encoded.truncated.sum())

    def report(self, k: int, truncated: int) -> dict[str, Any]:
        """What was searched, for the report of a prediction."""
        return {
            **self.mix.told(), "documents": len(self), "k": k, "encoder": self.encoder.key, "truncated": truncated
        }  # fmt: skip


def beside(trained_on: TrainedOn | None, model: str, corpora: Corpora) -> Beside:
    """The documents that a model was trained on, from the mixes of a workspace; ``model`` names it in errors.

    Raises DataError for a model that does not say what it was trained on, UsageError where it was trained on no
    document of its mix or texts cannot be embedded to match, WorkspaceError where the mix is not what it was.
    """
    if trained_on is None:
        raise DataError(
            f"{model} does not say which mix it was trained on: it was saved without one, or by an earlier curator; "
            "train it again (curator train), or predict without neighbours"
        )
    if not trained_on.documents:
        raise UsageError(
            f"{model} was trained on its target alone (lambda = -1): no document of the mix {trained_on.mix!r} had a "
            "part in it; predict without neighbours"
        )
    mix = _mix(trained_on, model, corpora)
    entries = [entry for entry in mix.lock["corpora"] if entry["role"] == "pool"]
    for entry in entries:
        if corpora.catalogue.corpus(entry["corpus"], entry["version"]).has_own_vectors:
            raise UsageError(
                f"{model}: the mix {mix.name!r} has documents of {entry['name']!r}, which came with vectors of its "
                "own: curator cannot embed a text to match them"
            )
    encoder = _encoder(mix, trained_on, corpora)
    made_with = Corpora(corpora.catalogue, lambda: encoder)
    relation = members(mix.frame.filter(pl.col("weight") > 0), entries, made_with)
    return Beside(mix, relation.select(["corpus", "id", "label", "text"]), relation.vectors.unit(), encoder)


def _mix(trained_on: TrainedOn, model: str, corpora: Corpora) -> StoredMix:
    name, version = trained_on.mix, trained_on.version
    try:
        mix = StoredMix.open(corpora.catalogue, name, version)
    except WorkspaceError:
        raise WorkspaceError(
            f"{model} was trained on version {version} of the mix {name!r}, which is not in {corpora.catalogue.root}, "
            "or is damaged there; name the workspace that it was trained in (-w), or build the mix or train the model "
            "again (curator mix, curator train, with its recipe)"
        ) from None
    if mix.lock["ids_sha256"] != trained_on.ids_sha256:
        gone = mix.lock.get("forgotten", 0)
        since = f": {gone:,} documents were forgotten since" if gone else ""
        raise WorkspaceError(
            f"the mix {name!r} is not what {model} was trained on{since}; train the model again (curator train, with "
            "its recipe)"
        )
    return mix


def _encoder(mix: StoredMix, trained_on: TrainedOn, corpora: Corpora) -> Encoder:
    """The one whose vectors the mix was made of: the workspace's, or one of settings that give the same key."""
    key = mix.lock["encoder"]
    for encoder in _encoders(key, trained_on, corpora):
        if encoder.key == key:
            return encoder
    raise UsageError(
        f"the mix {mix.name!r} was made of vectors of {key}, and this workspace embeds with {corpora.encoder.key}; "
        "open it with the encoder that the mix was made with, or train the model again"
    )


def _encoders(key: str, trained_on: TrainedOn, corpora: Corpora) -> Iterator[Encoder]:
    yield corpora.encoder
    memory = corpora.catalogue.root / MEMORY
    if (remembered := encoder_of(memory, key)) is not None:
        yield remembered
    settings = recipe.Encoder.model_validate(trained_on.recipe.get("encoder", {}))
    for precision in ("auto", "bf16", "fp32"):  # a machine that computes in another may have made the mix
        yield RememberedEncoder(settings.model_copy(update={"precision": precision}), memory)
