"""One step of training: the batch's loss, its gradient, the optimiser."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from curator.errors import UsageError
from curator.hardware import Precision
from curator.recipe import Kind, Train
from curator.training.adapters import Adapter
from curator.training.batches import Batch
from curator.training.embedding import SeenEmbedding
from curator.training.loss import losses_of, pairing_loss
from curator.training.prediction import forward, mixed
from curator.training.unpadded import is_supported

MAX_GRADIENT_NORM = 1.0
OTHER_TASK = -1e4  # logit of a label of another task: a probability of 0, and no NaN where a teacher has it at 0


@dataclass(frozen=True, eq=False)
class Task:
    """What is trained on what. Rows are the ``targets`` target documents first, then the selected ones."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    embedding: SeenEmbedding | None  # the word vectors, where the whole model is trained
    adapter: Adapter | None  # else what is
    precision: Precision
    settings: Train
    lambdas: tuple[float, float]  # those in force at the first and the last step: −1 when there is nothing selected
    ids: list[list[int]]
    classes: Tensor  # (rows,) int64, or (rows, outputs) float32: a teacher's, or of another kind; see ``losses_of``
    weights: Tensor  # (rows,) float64, > 0
    targets: int
    auxiliary: int = 0  # rows at the end that are of other tasks, or replayed
    share: float = 0.0  # of the loss that is theirs
    sure: float = 1.0  # share of the selected side's weight that is there, where a teacher was sure of no more
    # (rows,) and (labels,) int64: the task of each; None: all are of one, so that a row may get any label
    tasks: tuple[Tensor, Tensor] | None = None
    kind: Kind = "single"

    @cached_property
    def sides(self) -> tuple[int, int, int]:
        """How many rows are of the target, selected, and of other tasks or replayed."""
        return self.targets, len(self.ids) - self.targets - self.auxiliary, self.auxiliary

    @cached_property
    def means(self) -> tuple[float, float, float]:
        """The mean weight of the target documents, of the selected and of the auxiliary ones; 1 for none."""
        sides = torch.split(self.weights, list(self.sides))
        return tuple(float(side.mean()) if len(side) else 1.0 for side in sides)  # type: ignore[return-value]

    def lambda_at(self, step: int) -> float:
        """λ of ``step`` = 1 … steps."""
        first, last = self.lambdas
        return first + (last - first) * (step - 1) / max(1, self.settings.steps - 1)

    def losses(self, batch: Batch, step: int) -> Iterator[Tensor]:
        """The loss of a batch at a step, in parts whose sum it is: (1 − share)·pairing loss + share·auxiliary loss.

        What is replayed stands where documents of other tasks do, and no label is kept from it.

        The selected side's loss counts ``sure`` in the pairing loss: documents of which a teacher was not sure count
        with a loss of 0, so that a few labels are not half of what is learned (Sohn et al. 2020, equation 4).

        Each side enters by the weighted mean of its documents' losses. A weight counts against the mean weight of its
        whole side, not of the batch: over many batches each document has its share of the side's loss, however seldom
        such weights come together. The texts of a part are of similar length: this changes the sum, and the sum of the
        gradients, in nothing but rounding and which texts share a dropout stream.
        """
        target, selected, auxiliary = batch.target, batch.selected, batch.auxiliary
        starts = (0, self.targets, len(self.ids) - self.auxiliary)
        rows = [start + row for start, side in zip(starts, (target, selected, auxiliary), strict=True) for row in side]
        ids = [self.ids[row] for row in rows]
        classes, weights = self.classes[rows], self.weights[rows]
        counts = torch.tensor([len(target), len(selected), len(auxiliary)])
        of_side = torch.arange(3).repeat_interleave(counts).to(weights.device)
        share = weights / (counts * torch.tensor(self.means, dtype=torch.float64)).to(weights.device)[of_side]
        with mixed(self.model, self.precision):  # one for all parts: it casts each weight once
            for part in parts_of(ids, self):
                logits = forward(self.model, self.tokenizer, [ids[row] for row in part])
                if self.tasks:
                    of_row, of_label = self.tasks
                    own = of_row[[rows[row] for row in part]].unsqueeze(1) == of_label
                    logits = logits.masked_fill(~own, OTHER_TASK)
                losses = losses_of(self.kind, logits, classes[part]) * share[part]
                side = of_side[part]
                of_target, of_selected, of_others = (losses[side == number].sum() for number in range(3))
                loss = pairing_loss(self.sure * of_selected, of_target, self.lambda_at(step))
                yield (1 - self.share) * loss + self.share * of_others if self.share else loss


def adamw(model: nn.Module, settings: Train) -> torch.optim.AdamW:
    """AdamW without decay on biases and norms, which are the parameters of one dimension, and on IA3's scales."""
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    vectors = [parameter for name, parameter in trained.items() if parameter.ndim < 2 or "ia3_" in name]
    matrices = [parameter for name, parameter in trained.items() if not (parameter.ndim < 2 or "ia3_" in name)]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=True)


def rate(step: int, settings: Train) -> float:
    """Learning rate of ``step`` = 1 … steps: linear up to the full rate at the end of the warm-up, linear down after.

    No step has a rate of 0, which would be a step not taken.
    """
    warm = round(settings.warmup * settings.steps)
    if step <= warm:
        return settings.learning_rate * step / warm
    return settings.learning_rate * (settings.steps - step + 1) / (settings.steps - warm)


def take_step(task: Task, optimizer: torch.optim.AdamW, step: int, batch: Batch) -> float:
    """One optimiser step on a batch; returns its loss. Raises UsageError if that is not a finite number."""
    value = 0.0
    for loss in _passes(task, batch, step):
        value += loss.item()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    if task.adapter and (penalty := task.adapter.penalty()) is not None:
        penalty.backward()  # type: ignore[no-untyped-call]
    if not math.isfinite(value):
        raise UsageError(
            f"the loss is {value} at step {step} of {task.settings.steps} with learning_rate = "
            f"{task.settings.learning_rate:g}; lower the learning rate, for instance to "
            f"{min(task.settings.learning_rate / 10, 5e-5):g}, or set precision to fp32"
        )
    gradients = [parameter.grad for parameter in task.model.parameters() if parameter.grad is not None]
    norm = nn.utils.get_total_norm(gradients)
    # The optimiser divides by this: gradients are clipped in the same pass. torch does not declare it.
    optimizer.grad_scale = (norm / MAX_GRADIENT_NORM).clamp(min=1)  # type: ignore[attr-defined]
    for group in optimizer.param_groups:
        group["lr"] = rate(step, task.settings)
    optimizer.step()
    if task.adapter:
        task.adapter.after_step(step)
    optimizer.zero_grad()
    if task.embedding:
        task.embedding.decayed(1 - rate(step, task.settings) * task.settings.weight_decay)
    return value


def _passes(task: Task, batch: Batch, step: int) -> Iterator[Tensor]:
    """What gradients are taken of, one after the other: a batch as a whole, unless it is to be taken in parts.

    Of its parts' sum, as each gradient of a weight is then cast and added to the others' once and not for each part.
    """
    if task.settings.accumulate > 1:
        yield from task.losses(batch, step)
    else:
        yield torch.stack(list(task.losses(batch, step))).sum()


def parts_of(ids: Sequence[Sequence[int]], task: Task) -> list[list[int]]:
    """The rows of a batch as they pass through the model, part by part: two at least where that saves padding."""
    pads = task.model.device.type == "cpu" and not is_supported(task.model)
    return by_length(ids, max(task.settings.accumulate, 2 if pads else 1))


def by_length(ids: Sequence[Sequence[int]], parts: int) -> list[list[int]]:
    """Row numbers sorted by length and cut into at most ``parts`` of equal size."""
    order = sorted(range(len(ids)), key=lambda row: len(ids[row]))
    return [part.tolist() for part in np.array_split(np.array(order), min(parts, len(order)))]
