"""What a model gives for texts one behind the other is what it gives for them padded."""

import warnings
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from test_training import one_thread  # noqa: F401  a fixture
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from curator.errors import UsageError
from curator.training.dropout import LeanDropout, drop_leanly, dropout
from curator.training.model import check_length
from curator.training.unpadded import Layout, is_supported, run

SMALL = {
    "vocab_size": 50, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64,
    "max_position_embeddings": 40, "num_labels": 3, "pad_token_id": 0,
}  # fmt: skip
KINDS = {
    "bert": (BertForSequenceClassification, BertConfig(**SMALL)),
    "roberta": (RobertaForSequenceClassification, RobertaConfig(**SMALL)),
    "electra": (ElectraForSequenceClassification, ElectraConfig(**SMALL, embedding_size=32)),
}


def made(kind, attention="eager"):
    cls, config = KINDS[kind]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = cls(config)
    model.set_attn_implementation(attention)
    return model.train(False)


def texts():
    """Of very different lengths, one of a single token, in no order."""
    generator = torch.Generator().manual_seed(2)
    return [torch.randint(3, 50, (length,), generator=generator).tolist() for length in (9, 3, 30, 1, 5, 5, 17)]


def padded_run(model, ids, **rest):
    width = max(map(len, ids))
    tokens = torch.tensor([[*row, *[0] * (width - len(row))] for row in ids])
    return model(input_ids=tokens, attention_mask=(tokens != 0).long(), **rest)


def flat_logits(model, ids):
    layout = Layout.of(ids, model.device)
    return run(model, ids, layout, 0, first=True).logits[layout.given]


def gradients(model, values):
    """Of every weight, from a loss that weighs the values differently."""
    model.zero_grad()
    (values * torch.arange(1.0, values.numel() + 1).view(values.shape).sin()).sum().backward()
    return {name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None}


def close(one, other):
    assert one.keys() == other.keys()
    for name, value in other.items():
        assert torch.allclose(one[name], value, atol=1e-4, rtol=1e-3), name


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rows", [7, 2, 1])
def test_logits_and_gradients_are_those_of_padded_texts(kind, attention, rows):
    model, ids = made(kind, attention), texts()[:rows]
    expected = padded_run(model, ids).logits
    found = flat_logits(model, ids)
    assert torch.allclose(found, expected, atol=1e-5)
    close(gradients(model, found), gradients(model, expected))


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_of_the_body_is_as_padded(kind):
    model, ids = made(kind).base_model, texts()
    layout = Layout.of(ids, model.device)
    assert layout.filler == 26  # up to 96
    found = run(model, ids, layout, 0, first=False).last_hidden_state
    assert found.shape == (1, 96, 32)
    expected = padded_run(model, ids).last_hidden_state
    start = 0
    for row in layout.order:
        assert torch.allclose(found[0, start : start + len(ids[row])], expected[row, : len(ids[row])], atol=1e-5)
        start += len(ids[row])
    kept = found[0, :start]
    own = torch.cat([expected[row, : len(ids[row])] for row in layout.order])
    close(gradients(model, kept), gradients(model, own))


def test_neither_neighbours_nor_filler_are_seen():
    """A text's logits are the same to the last bits whatever lies beside it."""
    model, ids = made("bert"), texts()
    alone = torch.cat([flat_logits(model, [row]) for row in ids])
    assert torch.allclose(flat_logits(model, ids), alone, atol=1e-6)
    layout = Layout.of(ids, model.device)
    other = run(model, ids, layout, 7, first=True).logits[layout.given]
    assert torch.equal(other, flat_logits(model, ids))


def test_threads_do_not_see_each_others_texts():
    model, ids = made("bert"), texts()
    alone = [flat_logits(model, ids[: 1 + number % 7]).detach() for number in range(28)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda number: flat_logits(model, ids[: 1 + number % 7]).detach(), range(28)))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_layer_works_on_first_tokens(kind):
    model, shapes = made(kind), []
    for layer in model.base_model.encoder.layer:
        layer.output.register_forward_hook(lambda module, given, output: shapes.append(tuple(output.shape)))
    flat_logits(model, texts())
    assert shapes == [(96, 32), (7, 32)]
    padded_run(model, texts())  # and afterwards the model is what it was
    assert shapes[2:] == [(7, 30, 32)] * 2
    assert "forward" not in vars(model.base_model.encoder)


def test_attention_drops_what_the_model_drops():
    model = made("bert").train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    for layer in model.base_model.encoder.layer:
        layer.attention.self.dropout.p = 1.0  # nothing is attended to
    blind = flat_logits(model, texts())
    with torch.no_grad():
        for layer in model.base_model.encoder.layer:
            layer.attention.self.value.weight.zero_()
            layer.attention.self.value.bias.zero_()
            layer.attention.self.dropout.p = 0.0
    assert torch.allclose(blind, flat_logits(model, texts()), atol=1e-6)


def test_positions_of_padding_are_none_of_a_texts():
    check_length(made("bert"), 40)
    check_length(made("roberta"), 39)  # positions of 40 tokens begin behind that of padding, which is 0 here
    with pytest.raises(UsageError, match="max_length = 40 is more than the 39 tokens the model takes"):
        check_length(made("roberta"), 40)


def test_another_family_is_not_supported():
    config = DistilBertConfig(vocab_size=50, dim=32, n_layers=2, n_heads=2, hidden_dim=64, num_labels=3)
    assert not is_supported(DistilBertForSequenceClassification(config))
    assert is_supported(made("bert"))
    assert not is_supported(BertModel(BertConfig(**SMALL, is_decoder=True)))


@pytest.mark.parametrize("kind", ["lora", "adalora", "ia3", "prefix"])
def test_with_an_adapter_too(kind):
    peft = pytest.importorskip("peft")
    given = {"task_type": peft.TaskType.SEQ_CLS}
    configuration = {
        "lora": lambda: peft.LoraConfig(**given, r=2),
        "adalora": lambda: peft.AdaLoraConfig(**given, target_r=2, init_r=3, total_step=10),
        "ia3": lambda: peft.IA3Config(**given),
        "prefix": lambda: peft.PrefixTuningConfig(**given, num_virtual_tokens=2),
    }[kind]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        wrapped = peft.get_peft_model(made("bert"), configuration).train(False)
        with torch.no_grad():
            for name, value in wrapped.named_parameters():
                if "lora_" in name or "ia3" in name:
                    value.add_(0.3 * torch.randn(value.shape, generator=torch.Generator().manual_seed(3)))
        assert is_supported(wrapped) == (kind != "prefix")
        if kind == "prefix":
            return
        expected = padded_run(wrapped, texts()).logits
        found = flat_logits(wrapped, texts())
    assert torch.allclose(found, expected, atol=1e-5)
    close(gradients(wrapped, found), gradients(wrapped, expected))


# Dropout


def test_dropout_drops_the_share_and_keeps_the_mean():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        found = dropout(torch.ones(4, 100_001), 0.1)
    kept = found != 0
    assert found[kept].unique().tolist() == pytest.approx([1 / 0.9], rel=1e-4)
    bound = 4 * (0.1 * 0.9 / 100_000) ** 0.5
    for places in (*kept, *(kept.flatten()[start::4] for start in range(4))):  # rows, and each place in a number
        assert 1 - places.float().mean().item() == pytest.approx(0.1, abs=bound)
    neighbours = kept.flatten().float()
    for apart in (1, 2, 3, 4, 8):
        both = ((1 - neighbours[apart:]) * (1 - neighbours[:-apart])).mean().item()
        assert both == pytest.approx(0.01, abs=4 * (0.01 * 0.99 / 400_000) ** 0.5)


def test_the_gradient_has_the_mask_of_the_value():
    x = torch.ones(1000, requires_grad=True)
    found = dropout(x, 0.4)
    found.sum().backward()
    assert torch.equal(x.grad, found.detach())


@pytest.mark.parametrize(("p", "expected"), [(0.0, 1.0), (1.0, 0.0), (0.5, None)])
def test_dropout_at_its_ends(p, expected):
    found = dropout(torch.ones(64, dtype=torch.bfloat16), p)
    assert found.dtype == torch.bfloat16
    assert set(found.tolist()) == ({expected} if expected is not None else {0.0, 2.0})


def test_layers_are_lean_and_drop_nothing_unless_training():
    model = made("bert")
    drop_leanly(model)
    layers = [module for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert {type(layer) for layer in layers} == {LeanDropout}
    assert len(layers) == 2 + 3 * 2
    assert {layer.p for layer in layers} == {0.1}
    x = torch.ones(1000)
    assert torch.equal(layers[0].train(False)(x), x)
    dropped = [layers[0].train()(x) for _ in range(2)]
    assert 0 < (dropped[0] == 0).sum() < 200
    assert not torch.equal(*dropped)
