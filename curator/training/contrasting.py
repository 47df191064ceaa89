"""Tuning a body on pairs of labelled documents, before its classifier is trained."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from curator.errors import DataError, UsageError
from curator.hardware import decide
from curator.recipe import Train
from curator.training.batches import Batch
from curator.training.course import phase
from curator.training.embedding import SeenEmbedding
from curator.training.examples import Examples
from curator.training.loop import Progress, after, checkpoint_of, run_steps, seeded
from curator.training.loss import pairing_loss
from curator.training.model import check_length, load_pretrained, tokenise, word_embedding
from curator.training.prediction import mixed, sentence_vectors
from curator.training.preparation import Prepared, body_of, fields, with_body
from curator.training.sides import taking_part
from curator.training.steps import Task, parts_of

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pairs:
    """``rows``: (n, 2) int64, an anchor and its partner; ``same``: (n,) bool, whether they have one label.

    Rows count the target's documents first, then the selected ones, without those whose weight is 0 and those of a
    side that λ leaves out. A pair is of its anchor's side and has its anchor's weight.
    """

    rows: Rows
    same: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.rows.shape != (len(self.same), 2):
            raise DataError(f"pairs have rows of shape {self.rows.shape} and {len(self.same)} labels; give (n, 2)")

    def __len__(self) -> int:
        return len(self.same)

    def digest(self) -> str:
        """Of all that is in them."""
        return hashlib.sha256(self.rows.tobytes() + self.same.tobytes()).hexdigest()

    def checked(self, labels: Sequence[str]) -> "Pairs":
        """The same, if they are pairs of documents with these labels. Raises DataError where nothing can be learned."""
        if len(self) and not 0 <= self.rows.min() <= self.rows.max() < len(labels):
            raise DataError(f"pairs name rows {self.rows.min()} to {self.rows.max()} of {len(labels)} documents")
        _, codes = np.unique(np.array(labels), return_inverse=True)
        wrong = np.flatnonzero((codes[self.rows[:, 0]] == codes[self.rows[:, 1]]) != self.same)
        if len(wrong):
            one, other = (labels[row] for row in self.rows[wrong[0]])
            told = "one label" if self.same[wrong[0]] else "two labels"
            raise DataError(f"pair {wrong[0]} is said to have {told}, and its documents have {one!r} and {other!r}")
        for kind, there in (("the same label", self.same.any()), ("different labels", not self.same.all())):
            if not there:
                raise DataError(
                    f"no two documents with texts of their own have {kind}, and contrastive tuning needs pairs of "
                    "either kind; give more labelled documents, or leave [train.contrastive] out"
                )
        return self


def refuse_adapter(settings: Train) -> None:
    """Raise UsageError where an adapter is to be trained: what is saved of it is of no use on another body."""
    if settings.contrastive.steps and settings.adapter != "none":
        raise UsageError(
            f"adapter = {settings.adapter!r} leaves the model as it is, and [train.contrastive] changes it; train the "
            "whole model (adapter = 'none'), or leave [train.contrastive] out"
        )


def contrasted(
    settings: Train, target: Examples, selected: Examples | None, pairs: Pairs | None, so_far: Prepared,
    labels: tuple[str, ...], *, seed: int, progress: Progress | None, checkpoint: Path | None,
) -> Prepared:  # fmt: skip
    """What is prepared ``so_far``, and after it the body tuned on ``pairs``, if the settings say so.

    Each side's weighted mean loss enters as λ says, with λ of the first to the last of these steps. Raises UsageError
    without pairs, DataError for pairs of which there is nothing to learn.
    """
    own = settings.contrastive
    if not own.steps:
        return so_far
    if pairs is None:
        raise UsageError(
            f"[train.contrastive] steps = {own.steps} needs pairs of documents; pass pairs=Pairs(…), or train with a "
            "recipe, where they are found"
        )
    lambdas, target, selected = taking_part(settings, target, selected)
    pairs = pairs.checked([str(label) for label in target.labels + selected.labels])
    changes = {
        "steps": own.steps,
        "batch_size": own.batch_size,
        "learning_rate": own.learning_rate,
        "patience": 0,
        "evaluate_every": own.steps,
    }
    anchors = torch.tensor(pairs.rows[:, 0])
    order = torch.argsort((anchors >= len(target)).to(torch.int8), stable=True)  # pairs of the target first
    used, found = np.unique(pairs.rows[order.numpy()], return_inverse=True)
    texts = target.texts + selected.texts
    weights = torch.tensor(target.weights + selected.weights, dtype=torch.float64)
    places = torch.tensor(found.reshape(-1, 2))
    with seeded(seed, decide().device):
        model, tokenizer = load_pretrained(settings.model, labels)
        with_body(model, so_far.body)
        check_length(model, settings.max_length)
        ids, cut = tokenise(tokenizer, [texts[row] for row in used], settings.max_length, settings.long_texts)
        embedding = SeenEmbedding(word_embedding(model), {token for row in ids for token in row})
        model.set_input_embeddings(embedding)
        given = torch.cat([places, torch.tensor(pairs.same)[order].long().unsqueeze(1)], dim=1)
        common = fields(
            model, tokenizer, settings.model_copy(update=changes), ids, given, weights[anchors][order], embedding
        )
        task = LabelPairs(**{**common, "lambdas": lambdas, "targets": int((anchors < len(target)).sum())})
        place = phase(checkpoint, "contrastive")
        kept = checkpoint_of(place, task, None, seed) if place else None
        course = run_steps(task, None, seed, after(progress, so_far.steps), kept, last=False)
        model.set_input_embeddings(embedding.whole())
    told = {
        "documents": len(used),
        "pairs": len(pairs),
        "same": int(pairs.same.sum()),
        "truncated": len(cut),
        "steps": course.step,
        "loss": course.history[-1]["loss"],
    }
    uses = {**so_far.uses, "contrastive": told}
    return Prepared(body_of(model), uses, so_far.steps + course.step, so_far.seconds + course.seconds)


@dataclass(frozen=True, eq=False)
class LabelPairs(Task):
    """Sentence vectors of one label together, of two at right angles: (cos(a, b) − same)² (Tunstall et al. 2022).

    Rows are pairs: ``classes`` is (pairs, 3) int64, two positions in ``ids`` and whether they have one label, and
    ``targets`` counts those whose anchor is the target's. As in a classifier's loss each side enters by its mean,
    weighted against the mean weight of the whole side.
    """

    @cached_property
    def sides(self) -> tuple[int, int, int]:
        """How many pairs have an anchor of the target, and selected."""
        return self.targets, len(self.classes) - self.targets, 0

    def losses(self, batch: Batch, step: int) -> Iterator[Tensor]:
        """The pairing loss of a batch of pairs, in parts whose sum it is; both texts of a pair are in one."""
        rows = batch.target + [self.targets + row for row in batch.selected]
        pairs, weights = self.classes[rows], self.weights[rows]
        of_target = torch.arange(len(rows), device=weights.device) < len(batch.target)
        counts = torch.where(of_target, len(batch.target) * self.means[0], len(batch.selected) * self.means[1])
        shares = weights / counts
        texts = pairs[:, :2].tolist()
        with mixed(self.model, self.precision):
            for part in parts_of([self.ids[one] + self.ids[other] for one, other in texts], self):
                seen, places = torch.unique(pairs[part, :2], return_inverse=True)
                vectors = sentence_vectors(self.model, self.tokenizer, [self.ids[row] for row in seen.tolist()])
                cosines = (vectors[places[:, 0]] * vectors[places[:, 1]]).sum(dim=1)
                losses = (cosines - pairs[part, 2]).square() * shares[part]
                yield pairing_loss(losses[~of_target[part]].sum(), losses[of_target[part]].sum(), self.lambda_at(step))
