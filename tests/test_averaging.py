"""A classifier that reads the mean of a text's vectors, in a directory of transformers' own."""

from functools import partial

import numpy as np
import pytest
import torch
from test_training import LABELS, examples, one_thread, same, settings, tiny, tune, weights  # noqa: F401  fixtures
from transformers import AutoModelForSequenceClassification, ElectraConfig, ElectraForSequenceClassification

from curator.errors import UsageError
from curator.recipe import Train
from curator.training import Classifier
from curator.training.averaging import LOUD, SCALE, read_the_mean
from curator.training.model import load_pretrained, tokenise
from curator.training.prediction import forward, padded, sentence_vectors

MEAN = {"head": "mean"}


def test_the_head_reads_the_mean_of_the_last_layer(tiny):  # noqa: F811
    model, tokenizer = load_pretrained(str(tiny), LABELS)
    ids, _ = tokenise(tokenizer, examples(20, 3).texts, 16)
    tokens, mask = padded(tokenizer, ids)
    model.train(False)
    with torch.inference_mode():
        states = model.bert(input_ids=tokens, attention_mask=mask).last_hidden_state.double()
    means = torch.stack([own[kept.bool()].mean(dim=0) for own, kept in zip(states, mask, strict=True)])
    normed = (means - means.mean(dim=1, keepdim=True)) / means.std(dim=1, correction=0, keepdim=True)
    read_the_mean(model)
    with torch.inference_mode():
        read = model.bert(input_ids=tokens, attention_mask=mask).pooler_output
    assert np.allclose(read, torch.tanh(SCALE * normed), atol=0.02)
    first = (states[:, 0] - states[:, 0].mean(dim=1, keepdim=True)) / states[:, 0].std(
        dim=1, correction=0, keepdim=True
    )
    assert not np.allclose(read, torch.tanh(SCALE * first), atol=0.3)
    alike = torch.nn.functional.cosine_similarity(torch.atanh(read.double()), normed)
    assert alike.min() > 1 - 20 / LOUD


def test_with_and_without_padding_it_is_the_same(tiny):  # noqa: F811
    model, tokenizer = load_pretrained(str(tiny), LABELS)
    read_the_mean(model)
    ids, _ = tokenise(tokenizer, examples(20, 3).texts, 16)
    tokens, mask = padded(tokenizer, ids)
    model.train(False)
    with torch.inference_mode():
        assert torch.allclose(
            forward(model, tokenizer, ids), model(input_ids=tokens, attention_mask=mask).logits, atol=1e-6
        )


def test_what_is_saved_is_loaded_by_transformers_as_it_is(tiny, tmp_path):  # noqa: F811
    tuned = tune(tiny, **MEAN)
    tuned.classifier.save(tmp_path)
    texts = list(examples(12, 4).texts)
    logits = tuned.classifier.logits(texts)
    loaded = Classifier.load(tmp_path)
    assert np.array_equal(loaded.logits(texts), logits)
    assert loaded.settings.head == "mean"
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        theirs = plain(**loaded.tokenizer(texts, padding=True, return_tensors="pt")).logits
    assert np.allclose(theirs.numpy(), logits, atol=1e-5)
    assert plain.config.num_hidden_layers == 3


def test_the_layer_stays_and_the_rest_is_trained(tiny):  # noqa: F811
    model, _ = load_pretrained(str(tiny), LABELS)
    read_the_mean(model)
    tuned = tune(tiny, **MEAN).classifier.model
    for name, value in model.bert.encoder.layer[2].state_dict().items():
        assert torch.equal(tuned.bert.encoder.layer[2].state_dict()[name], value), name
    assert not torch.equal(
        tuned.bert.encoder.layer[1].output.dense.weight, model.bert.encoder.layer[1].output.dense.weight
    )
    assert not torch.equal(tuned.bert.pooler.dense.weight, model.bert.pooler.dense.weight)


def test_a_model_that_reads_the_mean_is_given_no_second_layer(tiny, tmp_path):  # noqa: F811
    first = tune(tiny, **MEAN)
    first.classifier.save(tmp_path)
    again = tune(tmp_path, steps=2, **MEAN).classifier.model
    assert again.config.num_hidden_layers == len(again.bert.encoder.layer) == 3
    for name, value in first.classifier.model.bert.encoder.layer[2].state_dict().items():
        assert torch.equal(again.bert.encoder.layer[2].state_dict()[name], value), name
    assert not torch.equal(again.bert.pooler.dense.weight, first.classifier.model.bert.pooler.dense.weight)


def test_it_learns_and_ends_in_the_same_weights_after_a_kill(tiny, tmp_path):  # noqa: F811
    run = partial(tune, tiny, target=examples(40, 1), steps=30, checkpoint=0.0, **MEAN)
    whole = run()
    held_out = examples(60, 9)
    predicted = whole.classifier.predict(list(held_out.texts)).argmax(axis=1)
    assert np.mean([LABELS[code] == label for code, label in zip(predicted, held_out.labels, strict=True)]) > 0.6

    def killed(step, loss):
        if step == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(progress=killed, kept=tmp_path / "run.safetensors")
    assert same(run(kept=tmp_path / "run.safetensors"), whole)
    assert not same(whole, tune(tiny, target=examples(40, 1), steps=30))


def test_it_is_for_whole_models_of_some_families(tiny):  # noqa: F811
    with pytest.raises(UsageError, match="adapter = 'lora' saves nothing but the adapter"):
        tune(tiny, adapter="lora", **MEAN)
    config = ElectraConfig(vocab_size=9, embedding_size=8, hidden_size=8, num_hidden_layers=1, num_attention_heads=1)
    with pytest.raises(UsageError, match="this is a ElectraForSequenceClassification"):
        read_the_mean(ElectraForSequenceClassification(config))
    assert "head" not in Train.model_validate({}).model_dump()


def test_sentence_vectors_are_the_body_s_own(tiny):  # noqa: F811
    """What is tuned on pairs is the mean that the head reads later."""
    model, tokenizer = load_pretrained(str(tiny), LABELS)
    ids, _ = tokenise(tokenizer, examples(6, 3).texts, 16)
    model.train(False)
    vectors = sentence_vectors(model, tokenizer, ids).detach()
    read_the_mean(model)
    with torch.inference_mode():
        tokens, mask = padded(tokenizer, ids)
        read = model.bert(input_ids=tokens, attention_mask=mask).last_hidden_state[:, 0]
    centred = vectors - vectors.mean(dim=1, keepdim=True)
    assert torch.nn.functional.cosine_similarity(read, centred).min() > 1 - 20 / LOUD
