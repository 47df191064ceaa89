"""Model directories in the hub's format, small enough to be made by a test."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizerFast

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def write_body(directory: Path, words: list[str]) -> Path:
    """A random BERT of 2 layers and width 32 over WordPiece tokens, without a head."""
    config = _with_tokenizer(directory, words)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        BertModel(config).save_pretrained(directory)
    return directory


def write_classifier(directory: Path, words: list[str], labels: list[str], *, biases=None, problem_type=None) -> Path:
    """The same with a head; with ``biases`` one that says the same of every text: these logits."""
    config = _with_tokenizer(directory, words)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    config.problem_type = problem_type
    config.initializer_range = 0.5  # so that texts differ
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        model = BertForSequenceClassification(config)
    with torch.no_grad():
        if biases:
            model.classifier.weight.zero_()
            model.classifier.bias.copy_(torch.tensor(biases))
    model.save_pretrained(directory)
    return directory


def _with_tokenizer(directory: Path, words: list[str]) -> BertConfig:
    vocabulary = {token: index for index, token in enumerate(SPECIAL + words)}
    raw = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer()
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    BertTokenizerFast(tokenizer_object=raw, model_max_length=64).save_pretrained(directory)
    return BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
