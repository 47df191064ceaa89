"""What the first token alone gives is what the whole last layer gives."""

import warnings

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

from curator.training.first_token import first_token_alone, last_layer

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


def batch(padding="right"):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        tokens = torch.randint(1, 50, (4, 9))
    mask = torch.ones_like(tokens)
    for row, length in enumerate((9, 3, 5, 1)):
        away = slice(length, None) if padding == "right" else slice(9 - length)
        tokens[row, away], mask[row, away] = 0, 0
    return tokens, mask


def run(model, padding="right"):
    """Logits, and the gradient of every weight from a loss that weighs them differently."""
    tokens, mask = batch(padding)
    logits = model(input_ids=tokens, attention_mask=mask).logits
    model.zero_grad()
    (logits * torch.arange(12.0).view(4, 3)).sum().backward()
    return logits.detach(), {
        name: value.grad.clone() for name, value in model.named_parameters() if value.grad is not None
    }


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_gradients_are_the_same(kind, attention):
    model = made(kind, attention)
    for padding in ("right", "left"):
        logits, gradients = run(model, padding)
        with first_token_alone(model):
            fast, fast_gradients = run(model, padding)
        assert torch.allclose(fast, logits, atol=1e-5)
        assert fast_gradients.keys() == gradients.keys()
        for name, value in gradients.items():
            assert torch.allclose(fast_gradients[name], value, atol=2e-4, rtol=1e-4), name


@pytest.mark.parametrize("kind", KINDS)
def test_the_last_layer_works_on_one_token(kind):
    model = made(kind)
    layer = last_layer(model)
    widths = []
    layer.output.register_forward_hook(lambda module, given, output: widths.append(output.shape[1]))
    run(model)
    with first_token_alone(model):
        run(model)
    run(model)
    assert widths == [9, 1, 9]  # and afterwards the model is what it was
    assert "forward" not in vars(layer)


def test_dropout_is_that_of_the_model():
    model = made("bert").train()
    own = last_layer(model).attention.self
    own.dropout.p = 1.0  # nothing is attended to
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout) and module is not own.dropout:
            module.p = 0.0
    with first_token_alone(model):
        blind, _ = run(model)
    with torch.no_grad():
        own.value.weight.zero_(), own.value.bias.zero_()
    own.dropout.p = 0.0
    with first_token_alone(model):
        nothing_to_see, _ = run(model)
    assert torch.allclose(blind, nothing_to_see, atol=1e-6)


def test_another_model_stays_as_it_is():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        other = DistilBertForSequenceClassification(
            DistilBertConfig(vocab_size=50, dim=32, n_layers=2, n_heads=2, hidden_dim=64, num_labels=3)
        ).train(False)
    assert last_layer(other) is None
    logits, _ = run(other)
    with first_token_alone(other):
        assert torch.equal(run(other)[0], logits)
    body = BertModel(BertConfig(**SMALL))
    assert last_layer(body) is None  # whoever asks for a body wants all of its tokens


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
        logits, gradients = run(wrapped)
        with first_token_alone(wrapped):
            fast, fast_gradients = run(wrapped)
    assert torch.allclose(fast, logits, atol=1e-5)
    for name, value in gradients.items():
        assert torch.allclose(fast_gradients[name], value, atol=2e-4, rtol=1e-4), name
