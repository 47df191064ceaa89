"""What a model's body learns before the target's task: from text as it is, and from other tasks."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from curator.errors import UsageError
from curator.hardware import decide, precision
from curator.recipe import Train
from curator.training.batches import Batch
from curator.training.course import phase
from curator.training.embedding import SeenEmbedding
from curator.training.examples import Served
from curator.training.labels import Label, class_ids
from curator.training.loop import Progress, after, checkpoint_of, run_steps, seeded
from curator.training.model import check_length, load_masked, load_pretrained, tokenise, word_embedding
from curator.training.prediction import mixed, padded, sentence_vectors
from curator.training.steps import Task, parts_of
from curator.training.unpadded import Layout, is_supported, run

KEPT, REPLACED = 0.1, 0.1  # of the hidden words, those that stay as they are and those that another stands for

Body = dict[str, Tensor]


@dataclass(frozen=True)
class Prepared:
    """The weights of a body, none if it is as it came; what was done to it, by use; in how many steps.

    ``seconds`` are those of processes that were killed.
    """

    body: Body | None
    uses: dict[str, Any]
    steps: int
    seconds: float = 0.0


def planned(settings: Train, served: Served) -> int:
    """How many steps ``fine_tune`` takes at most, with all that comes before the last model."""
    before = bool(len(served.auxiliary)) and settings.auxiliary.place == "before"
    models = 1 + settings.teacher.rounds * bool(served.teacher)
    first = settings.text.steps * bool(served.text) + settings.auxiliary.steps * before + settings.contrastive.steps
    return first + models * settings.steps


def prepared(
    settings: Train, served: Served, *, seed: int, progress: Progress | None, checkpoint: Path | None
) -> Prepared:
    """Train a body on text and then on other tasks, as the settings say and where documents serve for it.

    ``served`` is as its ``weighing`` gives it.

    Raises UsageError where an adapter is to be trained: what is saved of it is of no use on another body.
    """
    before = len(served.auxiliary) and settings.auxiliary.place == "before"
    if settings.adapter != "none" and (served.text or served.auxiliary):
        uses = " and ".join(name for name, there in (("text", served.text), ("auxiliary", served.auxiliary)) if there)
        raise UsageError(
            f"adapter = {settings.adapter!r} leaves the model as it is, and documents that serve as {uses} change it; "
            "train the whole model (adapter = 'none'), or let them serve as labels or teacher"
        )
    found = Prepared(None, {}, 0)
    if served.text:
        found = _pretrained(settings, served, seed, progress, checkpoint)
    if before:
        found = _after_others(settings, served, found, seed, progress, checkpoint)
    return found


def with_body(model: PreTrainedModel, body: Body | None) -> PreTrainedModel:
    """A model with the weights of a body in the place of its own; what the body lacks, such as a pooler, stays."""
    if body:
        model.base_model.load_state_dict(body, strict=False)
    return model


def _pretrained(
    settings: Train, served: Served, seed: int, progress: Progress | None, checkpoint: Path | None
) -> Prepared:
    own = settings.text
    changes = {
        "steps": own.steps,
        "batch_size": own.batch_size,
        "learning_rate": own.learning_rate,
        "patience": 0,
        "lambda_": -1.0,
    }
    phase_settings = settings.model_copy(update={**changes, "lambda_to": None, "evaluate_every": own.steps})
    with seeded(seed, decide().device):
        model, tokenizer, has_head = load_masked(settings.model)
        if own.objective == "mlm" and tokenizer.mask_token_id is None:
            raise UsageError(
                f"{settings.model}: the tokenizer has no mask token; give [train.text] objective = 'simcse'"
            )
        check_length(model, settings.max_length)
        # No more than the steps will see: which ones is drawn here, and the batches are drawn of these.
        drawn = np.sort(np.random.default_rng([seed, 3]).permutation(len(served.text))[: own.steps * own.batch_size])
        ids, cut = tokenise(tokenizer, [served.text[row] for row in drawn], settings.max_length, settings.long_texts)
        weights = torch.tensor([served.text_weights[row] for row in drawn], dtype=torch.float64)
        kind = {"mlm": MaskedWords, "simcse": Contrast}[own.objective]
        classes = torch.zeros(len(ids), dtype=torch.long)  # none
        task = kind(**fields(model, tokenizer, phase_settings, ids, classes, weights))
        place = phase(checkpoint, "text")
        course = run_steps(
            task, None, seed, progress, checkpoint_of(place, task, None, seed) if place else None, last=False
        )
    told = {
        "documents": len(served.text),
        "seen": len(ids),
        "truncated": len(cut),
        "objective": own.objective,
        "steps": course.step,
        "loss": course.history[-1]["loss"],
    }
    if own.objective == "mlm":
        told["head"] = "the model's own" if has_head else "new, tied to the word vectors"
    return Prepared(body_of(model), {"text": told}, course.step, course.seconds)


def _after_others(
    settings: Train, served: Served, so_far: Prepared, seed: int, progress: Progress | None, checkpoint: Path | None
) -> Prepared:
    own = settings.auxiliary
    changes = {
        "steps": own.steps,
        "learning_rate": own.learning_rate,
        "patience": 0,
        "lambda_": -1.0,
        "lambda_to": None,
    }
    phase_settings = settings.model_copy(update={**changes, "evaluate_every": own.steps})
    labels, classes, tasks = others(served)
    with seeded(seed, decide().device):
        model, tokenizer = load_pretrained(settings.model, labels)
        with_body(model, so_far.body)
        check_length(model, settings.max_length)
        ids, cut = tokenise(tokenizer, served.auxiliary.texts, settings.max_length, settings.long_texts)
        weights = torch.tensor(served.auxiliary.weights, dtype=torch.float64)
        embedding = SeenEmbedding(word_embedding(model), {token for row in ids for token in row})
        model.set_input_embeddings(embedding)
        task = Task(
            **fields(model, tokenizer, phase_settings, ids, torch.tensor(classes), weights, embedding),
            tasks=(tasks[classes].to(model.device), tasks.to(model.device)),
        )
        place = phase(checkpoint, "auxiliary")
        kept = checkpoint_of(place, task, None, seed) if place else None
        course = run_steps(task, None, seed, after(progress, so_far.steps), kept, last=False)
        model.set_input_embeddings(embedding.whole())
    told = {"place": "before", **described(served), "truncated": len(cut), "steps": course.step}
    told["loss"] = course.history[-1]["loss"]
    uses = {**so_far.uses, "auxiliary": told}
    return Prepared(body_of(model), uses, so_far.steps + course.step, so_far.seconds + course.seconds)


def others(served: Served) -> tuple[tuple[str, ...], list[int], Tensor]:
    """The labels of the auxiliary tasks, each with its source; the label of each document; the task of each label."""
    own = [f"{source}: {label}" for source, label in zip(served.sources, served.auxiliary.labels, strict=True)]
    of_label = dict(zip(own, served.sources, strict=True))
    labels = tuple(sorted(of_label))
    names = sorted(set(served.sources))
    return labels, class_ids(own, labels, "auxiliary"), torch.tensor([names.index(of_label[name]) for name in labels])


def described(served: Served) -> dict[str, Any]:
    """How many documents and labels each auxiliary source has."""
    labels: dict[str, list[Label]] = {}
    for source, label in zip(served.sources, served.auxiliary.labels, strict=True):
        labels.setdefault(source, []).append(label)
    sources = {name: {"documents": len(own), "labels": len(set(own))} for name, own in sorted(labels.items())}
    return {"documents": len(served.auxiliary), "sources": sources}


def fields(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, settings: Train, ids: list[list[int]], classes: Tensor,
    weights: Tensor, embedding: SeenEmbedding | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The fields of a task that has one side."""
    return {
        "model": model.train(),
        "tokenizer": tokenizer,
        "embedding": embedding,
        "adapter": None,
        "precision": precision(settings.precision),
        "settings": settings,
        "lambdas": (-1.0, -1.0),
        "ids": ids,
        "classes": classes.to(model.device),
        "weights": weights.to(model.device),
        "targets": len(ids),
    }


def body_of(model: PreTrainedModel) -> Body:
    """A copy of the weights of a model's body."""
    return {name: value.detach().clone() for name, value in model.base_model.state_dict().items()}


@dataclass(frozen=True, eq=False)
class MaskedWords(Task):
    """Telling hidden words from what stands around them: the mean cross-entropy over the hidden words of a batch.

    Of each text the share that the settings say is hidden, one word at least, anew each time: four fifths behind the
    mask token, a tenth behind another word, and a tenth stays as it is (Devlin et al. 2019).
    """

    def losses(self, batch: Batch, step: int) -> Iterator[Tensor]:  # noqa: ARG002  # of the class
        ids, weights = [self.ids[row] for row in batch.target], self.weights[batch.target] / self.means[0]
        parts = parts_of(ids, self)
        hidden = [self._hidden(padded(self.tokenizer, [ids[row] for row in part])) for part in parts]
        total = sum(len(truth) for *_, truth in hidden)
        with mixed(self.model, self.precision):
            for part, (tokens, mask, places, truth) in zip(parts, hidden, strict=True):
                logits = _logits_at(self.model, tokens, mask, places, int(self.tokenizer.pad_token_id))
                losses = functional.cross_entropy(logits.float(), truth, reduction="none")
                yield (losses * weights[part].repeat_interleave(places.sum(dim=1))).sum() / max(total, 1)

    def _hidden(self, texts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Tokens with some hidden, the mask, where they are hidden, and what they were."""
        tokens, mask = texts
        special = torch.isin(tokens, torch.tensor(self.tokenizer.all_special_ids)) | (mask == 0)
        lots = torch.rand(tokens.shape).masked_fill(special, 2.0)  # above every other
        words = (~special).sum(dim=1)
        wanted = torch.minimum((words * self.settings.text.mask).round().clamp(min=1), words)
        hidden = lots.argsort(dim=1).argsort(dim=1) < wanted.unsqueeze(1)
        truth, lot = tokens[hidden], torch.rand(int(hidden.sum()))
        given = torch.where(lot < 1 - KEPT - REPLACED, int(self.tokenizer.mask_token_id), truth)
        another = torch.randint(len(self.tokenizer), lot.shape)
        tokens = tokens.masked_scatter(hidden, torch.where(lot >= 1 - REPLACED, another, given))
        device = self.model.device
        return tokens.to(device), mask.to(device), hidden.to(device), truth.to(device)


def _logits_at(model: PreTrainedModel, tokens: Tensor, mask: Tensor, places: Tensor, filler: int) -> Tensor:
    """Logits (places, vocabulary) at some places alone: of a small model the head is more than half of the work.

    Rows come from the shortest to the longest.
    """
    at = places

    def chosen(_: torch.nn.Module, __: Any, output: Any) -> Any:
        output["last_hidden_state"] = output["last_hidden_state"][at].unsqueeze(0)
        return output

    handle = model.base_model.register_forward_hook(chosen)
    try:
        if is_supported(model):
            ids = [row[own].tolist() for row, own in zip(tokens, mask.bool(), strict=True)]
            layout = Layout.of(ids, model.device)
            at = functional.pad(places[mask.bool()], (0, layout.filler)).unsqueeze(0)
            logits: Tensor = run(model, ids, layout, filler, first=False).logits[0]
        else:
            logits = model(input_ids=tokens, attention_mask=mask).logits[0]
    finally:
        handle.remove()
    return logits


@dataclass(frozen=True, eq=False)
class Contrast(Task):
    """Telling each text from the others of its batch, seen twice under different dropout (unsupervised SimCSE).

    Equation 1 of Gao et al. 2021 on the means of the last layer's vectors, which is how the vectors of an encoder of
    sentences are made.
    """

    def losses(self, batch: Batch, step: int) -> Iterator[Tensor]:  # noqa: ARG002  # of the class
        ids = [self.ids[row] for row in batch.target]
        rows, weights = torch.tensor(batch.target), self.weights[batch.target] / self.means[0]
        parts = parts_of(ids, self)
        order = [row for part in parts for row in part]
        with mixed(self.model, self.precision):
            once, again = (torch.cat([self._vectors([ids[row] for row in part]) for part in parts]) for _ in range(2))
        cosines = once @ again.T / self.settings.text.temperature
        # Where there are fewer texts than a batch has places, one is not to be told from itself.
        same = (rows[order].unsqueeze(1) == rows[order]).fill_diagonal_(fill_value=False).to(cosines.device)
        truth = torch.arange(len(ids), device=cosines.device)
        losses = functional.cross_entropy(cosines.masked_fill(same, float("-inf")), truth, reduction="none")
        yield (losses * weights[order]).mean()

    def _vectors(self, ids: list[list[int]]) -> Tensor:
        return sentence_vectors(self.model, self.tokenizer, ids)
