"""Adapters, on the tiny BERT of test_training: only they are trained and saved, and what was killed ends the same."""

import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file
from test_training import (  # noqa: F401  the fixtures
    COURSE,
    LABELS,
    KilledError,
    examples,
    killed_at,
    one_thread,
    settings,
    tiny,
    tune,
)
from transformers import AutoTokenizer

from curator.errors import DataError, MissingExtraError, UsageError
from curator.training import Classifier, Examples, adapters
from curator.training.adapters import Adapter
from curator.training.model import load_pretrained
from curator.training.steps import adamw

peft = pytest.importorskip("peft", reason="the extra peft is not installed")

KINDS = ("lora", "adalora", "prefix", "ia3")


def trained_of(result):
    return {name: value for name, value in result.classifier.model.named_parameters() if value.requires_grad}


def same(left, right):
    mine, others = left.classifier.model.state_dict(), right.classifier.model.state_dict()
    return all(torch.equal(value, others[name]) for name, value in mine.items())


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_adapter_and_the_head_are_trained(tiny, kind):  # noqa: F811
    result = tune(tiny, selected=examples(40, 2), adapter=kind, rank=2, steps=10, learning_rate=1e-2)
    torch.manual_seed(0)
    body = load_pretrained(str(tiny), LABELS)[0].bert.state_dict()
    model = result.classifier.model.state_dict()
    kept = {name: value for name, value in model.items() if name.endswith(tuple(body)) and "lora" not in name}
    of_body = [name for name in body if any(key.endswith(name) for key in model)]
    assert of_body  # the names that peft does not change, norms and words among them
    for name in of_body:
        (key,) = (key for key in kept if key.endswith(f"bert.{name}"))
        assert torch.equal(model[key], body[name]), name
    names = set(trained_of(result))
    early = trained_of(tune(tiny, selected=examples(40, 2), adapter=kind, rank=2, steps=10, learning_rate=5e-3))
    assert not [name for name, value in trained_of(result).items() if torch.equal(value, early[name]) and value.any()]
    assert any("classifier" in name for name in names)
    assert all(
        "classifier" in name or {"lora", "ia3", "prompt"} & set(name.replace(".", "_").split("_")) for name in names
    )


def test_an_obvious_signal_is_learnt(tiny):  # noqa: F811
    """By LoRA: the others do not get far in a body of random weights, and are measured on MiniLM by a benchmark."""
    seen = []
    common = {"selected": examples(60, 2), "dev": examples(30, 3), "progress": lambda *row: seen.append(row)}
    result = tune(tiny, adapter="lora", rank=2, steps=80, learning_rate=3e-2, **common)
    assert seen[-1][1] < seen[0][1] / 2
    assert result.dev["macro_f1"] > 0.9


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")  # peft's, as the next
@pytest.mark.filterwarnings("ignore:The following rank_pattern keys:RuntimeWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_only_the_adapter_is_saved_and_loaded_it_predicts_the_same(tiny, tmp_path, kind):  # noqa: F811
    result = tune(tiny, selected=examples(40, 2), adapter=kind, rank=2, steps=10, learning_rate=1e-2)
    texts = examples(9, 5).texts
    given = result.classifier.predict(texts)
    result.classifier.save(tmp_path / "model")
    files = {path.name: path.stat().st_size for path in (tmp_path / "model").iterdir()}
    assert "adapter_model.safetensors" in files
    assert "model.safetensors" not in files
    again = Classifier.load(tmp_path / "model")
    assert torch.equal(torch.tensor(again.predict(texts)), torch.tensor(given))
    whole = peft.AutoPeftModelForSequenceClassification.from_pretrained(tmp_path / "model", num_labels=2).train(False)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    theirs = whole(**tokenizer(list(texts), padding=True, return_tensors="pt")).logits.softmax(1)
    assert torch.allclose(theirs, torch.tensor(given), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_any_step_it_ends_in_the_same_weights(tiny, tmp_path, kind):  # noqa: F811
    common = {"selected": examples(20, 2), "dev": examples(10, 3), **COURSE, "steps": 11, "adapter": kind, "rank": 2}
    whole = tune(tiny, **common)
    for step in range(1, 12):
        with pytest.raises(KilledError):
            tune(tiny, **common, checkpoint=0.0, kept=tmp_path / "state", progress=killed_at(step))
    again = tune(tiny, **common, checkpoint=0.0, kept=tmp_path / "state")
    assert same(whole, again)
    assert whole.history == again.history


def test_adaloras_penalty_is_what_peft_adds(tiny):  # noqa: F811
    torch.manual_seed(0)
    model, tokenizer = load_pretrained(str(tiny), LABELS)
    adapter = Adapter(model, settings(tiny, adapter="adalora", rank=2, steps=20))
    adapter.model.train(False)
    given = tokenizer(["good words", "bad words of w1"], padding=True, return_tensors="pt")
    labels = torch.tensor([1, 0])
    whole = adapter.model(**given, labels=labels).loss
    plain = torch.nn.functional.cross_entropy(adapter.model(**given).logits, labels)
    assert adapter.penalty().item() == pytest.approx((whole - plain).item(), rel=1e-4)
    assert adapter.penalty().item() > 0


def test_adaloras_penalty_is_trained_on(tiny, monkeypatch):  # noqa: F811
    def matrices():
        result = tune(tiny, selected=examples(20, 2), adapter="adalora", rank=2, steps=12, learning_rate=1e-2)
        return [value for name, value in trained_of(result).items() if "lora_A" in name]

    def distance(values):
        return sum(torch.linalg.norm(value @ value.T - torch.eye(len(value))).item() for value in values)

    with_it = distance(matrices())
    monkeypatch.setattr(adapters, "ORTHOGONAL", 0.0)
    assert with_it < 0.9 * distance(matrices())


def test_adalora_ends_with_the_ranks_that_were_asked_for(tiny):  # noqa: F811
    result = tune(tiny, selected=examples(40, 2), adapter="adalora", rank=2, steps=20, learning_rate=1e-2)
    model = result.classifier.model
    kept = [sum(map(bool, mask)) for mask in model.peft_config["default"].rank_pattern.values()]
    assert sum(kept) == 2 * len(kept)
    of_weights = [int((value != 0).sum()) for name, value in model.named_parameters() if "lora_E" in name]
    assert sum(of_weights) == sum(kept)
    assert {len(mask) for mask in model.peft_config["default"].rank_pattern.values()} == {3}


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
def test_what_adalora_saves_is_what_dev_measured(tiny, tmp_path):  # noqa: F811
    """With dev reversed the first look would be the best, of ranks that are not the last: it does not count."""
    right = examples(30, 3)
    dev = Examples(right.texts, tuple(LABELS[1 - LABELS.index(label)] for label in right.labels))
    common = {"adapter": "adalora", "rank": 2, "steps": 40, "learning_rate": 3e-2, "evaluate_every": 5}
    result = tune(tiny, selected=examples(60, 2), dev=dev, **common)
    assert len(result.history) == 8
    assert result.best_step >= 28
    given = result.classifier.predict(dev.texts)
    result.classifier.save(tmp_path)
    assert torch.equal(torch.tensor(Classifier.load(tmp_path).predict(dev.texts)), torch.tensor(given))


def test_an_adapter_of_other_weights_is_refused(tiny, tmp_path):  # noqa: F811
    body = shutil.copytree(tiny, tmp_path / "body")
    tune(body, adapter="lora", rank=2).classifier.save(tmp_path / "saved")
    Classifier.load(tmp_path / "saved")
    values = load_file(body / "model.safetensors")
    name = next(name for name in values if "query.weight" in name)
    save_file({**values, name: values[name] + 0.01}, body / "model.safetensors", {"format": "pt"})
    with pytest.raises(DataError, match="trained on other weights"):
        Classifier.load(tmp_path / "saved")


def test_ia3s_scales_do_not_decay(tiny):  # noqa: F811
    model = Adapter(load_pretrained(str(tiny), LABELS)[0], settings(tiny, adapter="ia3")).model
    decaying, still = adamw(model, settings(tiny)).param_groups
    scales = {id(value) for name, value in model.named_parameters() if "ia3_" in name}
    assert scales
    assert not scales & {id(value) for value in decaying["params"]}
    assert scales <= {id(value) for value in still["params"]}


def test_adalora_needs_steps_to_choose_ranks_in(tiny):  # noqa: F811
    with pytest.raises(UsageError, match=r"adalora takes 10 steps at least .* not 9"):
        tune(tiny, adapter="adalora", steps=9)


def test_a_prefix_takes_positions(tiny):  # noqa: F811
    positions = load_pretrained(str(tiny), LABELS)[0].config.max_position_embeddings
    with pytest.raises(UsageError, match=f"more than the {positions} tokens"):
        tune(tiny, adapter="prefix", rank=4, max_length=positions - 3)


def test_without_peft_the_install_line_is_told(tiny, monkeypatch):  # noqa: F811
    monkeypatch.setitem(__import__("sys").modules, "peft", None)
    with pytest.raises(MissingExtraError, match=r"lora needs the package 'peft'.*curator\[peft\]"):
        tune(tiny, adapter="lora")
