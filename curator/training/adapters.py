"""Adapters: a few trained weights beside a model that stays as it is. The only importer of peft."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel

from curator.errors import DataError, MissingExtraError, UsageError
from curator.recipe import Train
from curator.training.model import weights_digest

ALPHA = 2  # of LoRA's scale, in ranks
FEWEST = 10  # steps of AdaLoRA
ORTHOGONAL = 0.5  # weight of AdaLoRA's penalty, as in the paper


class Adapter:
    """What is trained of ``model``, which is wrapped: the adapter's weights and the head.

    LoRA (Hu et al. 2021) and AdaLoRA (Zhang et al. 2023) add products of two thin matrices, prefix tuning (Li and Liang
    2021) trained keys and values, IA3 (Liu et al. 2022) scales. ``settings.rank`` is the rank, on average over matrices
    for AdaLoRA, and the number of prefixed positions; IA3 has none.
    """

    def __init__(self, model: PreTrainedModel, settings: Train) -> None:
        peft = _peft(settings.adapter)
        self.base = weights_digest(model.base_model)  # without the head: an adapter is of use on these alone
        try:
            with quietly():
                self.model: Any = peft.get_peft_model(model, _configuration(peft, settings))
        except ValueError as error:
            raise UsageError(
                f"{settings.adapter} does not fit a {type(model).__name__}: {error}; give another adapter, or none"
            ) from error
        self._allocates = settings.adapter == "adalora"

    def after_step(self, step: int) -> None:
        """Between the optimiser's step and the next gradient: AdaLoRA takes ranks from where they matter least."""
        if self._allocates:
            self.model.base_model.update_and_allocate(step)

    def is_settled(self, step: int) -> bool:
        """Whether the ranks after a step are the last ones: AdaLoRA's weights of before are not what would be saved."""
        return not self._allocates or step >= self._configured.total_step - self._configured.tfinal

    def penalty(self) -> Tensor | None:
        """AdaLoRA's: how far its matrices are from orthogonal; peft adds it to a loss of its own alone."""
        if not self._allocates:
            return None
        parts = []
        for name, value in self.model.named_parameters():
            if "lora_A" in name or "lora_B" in name:
                product = value @ value.T if "lora_A" in name else value.T @ value
                parts.append(torch.linalg.norm(product - torch.eye(len(product), device=value.device)))
        return ORTHOGONAL * torch.stack(parts).mean()

    def state(self) -> dict[str, Tensor]:
        """What the next steps depend on beside the weights: AdaLoRA's smoothed importances and its ranks."""
        if not self._allocates:
            return {}
        found = {
            f"{what}/{name}": value
            for what in ("ipt", "exp_avg_ipt", "exp_avg_unc")
            for name, value in getattr(self._allocator, what).items()
        }
        ranks = self._configured.rank_pattern or {}
        return found | {f"rank/{name}": torch.tensor(kept) for name, kept in ranks.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go on from what ``state`` gave."""
        ranks = {}
        for name, value in state.items():
            what, _, of = name.partition("/")
            if what == "rank":
                ranks[of] = value.tolist()
            else:
                getattr(self._allocator, what)[of] = value.to(self.model.device)
        if ranks:
            self._configured.rank_pattern = ranks

    @property
    def _allocator(self) -> Any:
        return self.model.base_model.rankallocator

    @property
    def _configured(self) -> Any:
        return self.model.peft_config[self.model.active_adapter]


def with_adapter(model: PreTrainedModel, directory: Path, base: str, name: str) -> PreTrainedModel:
    """A model with an adapter and a head that were saved beside no model. Raises DataError if it is not ``base``."""
    if weights_digest(model.base_model) != base:
        raise DataError(
            f"{directory}: its adapter was trained on other weights than those of the model {name!r} now; bring the "
            "model back as it was, or train again"
        )
    peft = _peft("a saved adapter")
    with quietly():
        wrapped: PreTrainedModel = peft.PeftModel.from_pretrained(model, str(directory))
    return wrapped


def _configuration(peft: Any, settings: Train) -> Any:
    kind, rank = peft.TaskType.SEQ_CLS, settings.rank
    match settings.adapter:
        case "lora":
            return peft.LoraConfig(task_type=kind, r=rank, lora_alpha=ALPHA * rank)
        case "adalora":
            if settings.steps < FEWEST:
                raise UsageError(f"adalora takes {FEWEST} steps at least to choose its ranks in, not {settings.steps}")
            # Ranks fall from one half more to the rank asked for between a tenth and seven tenths of the steps.
            return peft.AdaLoraConfig(
                task_type=kind, target_r=rank, init_r=math.ceil(1.5 * rank), lora_alpha=ALPHA * rank,
                total_step=settings.steps, tinit=settings.steps // 10, tfinal=3 * settings.steps // 10,
                orth_reg_weight=ORTHOGONAL,
            )  # fmt: skip
        case "prefix":
            return peft.PrefixTuningConfig(task_type=kind, num_virtual_tokens=rank)
        case "ia3":
            return peft.IA3Config(task_type=kind)
    raise AssertionError(settings.adapter)


@contextmanager
def quietly() -> Iterator[None]:
    """Without transformers' word to peft on an old name, and what peft says of AdaLoRA's ranks as it saves and loads.

    It takes a matrix without ranks for a shard's, and looks for ranks under LoRA's names. What is loaded is right.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        warnings.filterwarnings("ignore", "The following rank_pattern keys did not match", RuntimeWarning)
        warnings.filterwarnings("ignore", r"Adapter .* LoRA tensor\(s\) have invalid shape")
        yield


def _peft(needed_for: str) -> Any:
    try:
        import peft  # an extra
    except ImportError:
        raise MissingExtraError("peft", "peft", needed_for) from None
    return peft
