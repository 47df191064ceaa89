"""Documents that serve without a label of the task: as text, as tasks of their own, for a teacher."""

import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from test_training import LABELS, WORDS, examples, one_thread, same, settings, tiny, weights  # noqa: F401  fixtures
from transformers import AutoModelForSequenceClassification, BertForMaskedLM

from curator.errors import DataError, UsageError
from curator.recipe import Teacher
from curator.training import Classifier, Examples, Served, fine_tune, forget, loop, planned
from curator.training.batches import Batch, draw_batches, rows_per_batch
from curator.training.loop import seeded
from curator.training.model import load_masked, load_pretrained, tokenise
from curator.training.preparation import Contrast, MaskedWords, prepared, with_body
from curator.training.sides import sides_of
from curator.training.steps import Task
from curator.training.teaching import teach

TEXTS = examples(40, 7).texts
OTHERS = Examples(TEXTS, tuple(f"kind {row % 2}" for row in range(40)))
SOURCES = ("one",) * 20 + ("two",) * 20


def tune(tiny, served=Served(), *, seed=0, selected=None, dev=None, kept=None, progress=None, **changes):  # noqa: F811, B008
    return fine_tune(
        settings(tiny, **changes), selected=selected, target=examples(12, 1), dev=dev, labels=LABELS, seed=seed,
        served=served, checkpoint=kept, progress=progress,
    )  # fmt: skip


def text_task(tiny, kind, texts=TEXTS, **changes):  # noqa: F811
    own = settings(tiny, **changes)
    with seeded(3, "cpu"):
        model, tokenizer, _ = load_masked(str(tiny))
    ids, _ = tokenise(tokenizer, texts, own.max_length)
    return kind(
        model=model.train(False), tokenizer=tokenizer, embedding=None, adapter=None, precision="fp32", settings=own,
        lambdas=(-1.0, -1.0), ids=ids, classes=torch.zeros(len(ids), dtype=torch.long),
        weights=torch.ones(len(ids), dtype=torch.float64), targets=len(ids),
    )  # fmt: skip


def total(task, batch):
    return sum(loss.item() for loss in task.losses(batch, 1))


# Masked words


def test_words_are_hidden_as_bert_hides_them(tiny):  # noqa: F811
    task = text_task(tiny, MaskedWords, text={"mask": 0.3})
    special = set(task.tokenizer.all_special_ids)
    kept = masked = other = total = 0
    with seeded(1, "cpu"):
        for _ in range(60):
            tokens = torch.nn.utils.rnn.pad_sequence([torch.tensor(row) for row in task.ids], batch_first=True)
            seen, _, hidden, truth = task._hidden((tokens, (tokens != 0).long()))
            assert torch.equal(truth, tokens[hidden])
            assert torch.equal(seen[~hidden], tokens[~hidden])
            assert not special & set(truth.tolist())  # neither [CLS] nor padding
            for row, places in zip(task.ids, hidden, strict=True):
                assert int(places.sum()) == max(1, round(0.3 * (len(row) - 2)))
            masked += int((seen[hidden] == task.tokenizer.mask_token_id).sum())
            kept += int((seen[hidden] == truth).sum())
            total += len(truth)
    other = total - masked - kept
    for found, share in ((masked, 0.8), (kept, 0.1), (other, 0.1)):  # one in 49 of the others is the same or the mask
        assert found / total == pytest.approx(share, abs=4 * math.sqrt(share / total) + 0.005)


def test_a_text_without_words_hides_none(tiny):  # noqa: F811
    task = text_task(tiny, MaskedWords, texts=("", "good w1"))
    assert math.isfinite(total(task, Batch([0, 1], [])))
    assert total(task, Batch([0], [])) == 0.0


def test_the_loss_is_that_of_transformers(tiny, monkeypatch):  # noqa: F811
    task = text_task(tiny, MaskedWords)
    given = []
    hide = MaskedWords._hidden

    def watched(self, texts):
        given.append(hide(self, texts))
        return given[-1]

    monkeypatch.setattr(MaskedWords, "_hidden", watched)
    found = total(task, Batch([3, 1, 9, 30, 22], []))
    terms = []
    for tokens, mask, hidden, truth in given:
        labels = torch.full(tokens.shape, -100)
        labels[hidden] = truth
        terms.append((task.model(input_ids=tokens, attention_mask=mask, labels=labels).loss.item(), len(truth)))
    assert found == pytest.approx(sum(loss * count for loss, count in terms) / sum(n for _, n in terms), rel=1e-5)


def test_a_new_head_is_tied_to_the_word_vectors_and_a_given_one_is_kept(tiny, tmp_path):  # noqa: F811
    model, tokenizer, has_head = load_masked(str(tiny))
    assert not has_head
    assert model.cls.predictions.decoder.weight is model.bert.embeddings.word_embeddings.weight
    with torch.no_grad():
        model.cls.predictions.transform.dense.bias.fill_(0.5)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    again, _, has_head = load_masked(str(tmp_path))
    assert has_head
    assert torch.equal(again.cls.predictions.transform.dense.bias, torch.full((32,), 0.5))
    assert isinstance(again, BertForMaskedLM)


def test_pre_training_learns_and_reaches_the_classifier(tiny):  # noqa: F811
    """Each text repeats one word, so that a hidden word can be told from what is left."""
    texts = tuple(" ".join([WORDS[row % 8]] * 6) for row in range(64))
    changes = {"text": {"steps": 80, "batch_size": 16, "learning_rate": 5e-3}}
    found = prepared(settings(tiny, **changes), Served(text=texts).weighing(), seed=0, progress=None, checkpoint=None)
    told = found.uses["text"]
    assert (told["documents"], told["objective"], told["steps"], found.steps) == (64, "mlm", 80, 80)
    assert told["head"] == "new, tied to the word vectors"
    assert told["loss"] < 0.8 * math.log(len(WORDS))  # the mean over all steps; knowing nothing is log(44) or more
    task = text_task(tiny, MaskedWords, texts=texts)
    before = total(task, Batch(list(range(64)), []))
    with_body(task.model, found.body)
    model, _ = load_pretrained(str(tiny), LABELS)
    untouched = model.bert.pooler.dense.weight.clone()
    with_body(model, found.body)
    for name, value in model.base_model.state_dict().items():
        assert torch.equal(value, untouched if name == "pooler.dense.weight" else found.body.get(name, value))
    assert before > 0.8 * math.log(len(WORDS))
    own, _, _ = load_masked(str(tiny))
    assert not torch.equal(own.bert.embeddings.word_embeddings.weight, found.body["embeddings.word_embeddings.weight"])


def test_a_tokenizer_without_a_mask_token_cannot_hide_words(tiny, monkeypatch):  # noqa: F811
    def without(name):
        model, tokenizer, has_head = load_masked(name)
        tokenizer.mask_token = None
        return model, tokenizer, has_head

    monkeypatch.setattr("curator.training.preparation.load_masked", without)
    with pytest.raises(UsageError, match=r"no mask token.*simcse"):
        tune(tiny, Served(text=TEXTS))


# Contrast


def test_the_contrast_is_equation_1(tiny):  # noqa: F811
    task = text_task(tiny, Contrast, text={"objective": "simcse", "temperature": 0.2})
    rows = [3, 1, 9, 30, 22]
    found = total(task, Batch(rows, []))
    vectors = []
    for row in rows:
        with torch.no_grad():
            states = task.model.bert(input_ids=torch.tensor([task.ids[row]])).last_hidden_state[0].numpy()
        mean = states.mean(axis=0)
        vectors.append(mean / np.linalg.norm(mean))
    matrix = np.stack(vectors)
    expected = -np.mean(np.diag(log_softmax(matrix @ matrix.T / 0.2, axis=1)))  # without dropout the two are the same
    assert found == pytest.approx(expected, rel=1e-4)
    task.model.train()
    seen = []
    embed = task._vectors
    object.__setattr__(task, "_vectors", lambda ids: seen.append(embed(ids)) or seen[-1])
    sum(task.losses(Batch(rows, []), 1)).backward()
    assert not torch.allclose(seen[0], seen[1])  # two draws of dropout


def test_contrast_leaves_the_texts_apart(tiny):  # noqa: F811
    served = Served(text=tuple(dict.fromkeys(TEXTS)))
    changes = {"text": {"objective": "simcse", "steps": 30, "batch_size": 16, "learning_rate": 2e-3}}
    found = prepared(settings(tiny, **changes), served.weighing(), seed=0, progress=None, checkpoint=None)
    task = text_task(tiny, Contrast, texts=served.text)
    rows = Batch(list(range(len(served.text))), [])
    before = total(task, rows)
    with_body(task.model, found.body)
    assert total(task, rows) < before
    assert "head" not in found.uses["text"]


# Other tasks


def aux_task(tiny, share, **changes):  # noqa: F811
    """Target, selected and two other tasks in one model."""
    own = settings(tiny, auxiliary={"place": "beside", "share": share}, **changes)
    served = Served(auxiliary=OTHERS, sources=SOURCES).weighing()
    sides = sides_of(own, examples(6, 1), examples(8, 2), None, served, LABELS)
    with seeded(3, "cpu"):
        model, tokenizer = load_pretrained(str(tiny), sides.labels)
    ids, _ = tokenise(tokenizer, sides.texts, own.max_length)
    task = Task(
        model=model.train(False), tokenizer=tokenizer, embedding=None, adapter=None, precision="fp32", settings=own,
        lambdas=sides.lambdas, ids=ids, classes=sides.classes, weights=sides.weights, targets=sides.targets,
        auxiliary=40, share=share, tasks=sides.tasks,
    )  # fmt: skip
    return task, sides


def test_the_loss_beside_is_its_formula(tiny):  # noqa: F811
    task, sides = aux_task(tiny, 0.3)
    assert sides.labels == (*LABELS, "one: kind 0", "one: kind 1", "two: kind 0", "two: kind 1")
    batch = Batch([0, 3], [1, 2, 5], [4, 21, 38])
    found = total(task, batch)

    def loss(text, label, columns):
        ids, _ = tokenise(task.tokenizer, [text], 16)
        with torch.no_grad():
            logits = task.model(input_ids=torch.tensor(ids)).logits[0].numpy()
        return -log_softmax(logits[columns])[label]

    own = [(examples(6, 1), row) for row in batch.target], [(examples(8, 2), row) for row in batch.selected]
    target, selected = (
        np.mean([loss(side.texts[row], LABELS.index(side.labels[row]), [0, 1]) for side, row in rows]) for rows in own
    )
    others = np.mean([loss(TEXTS[row], row % 2, [2, 3] if row < 20 else [4, 5]) for row in batch.auxiliary])
    assert found == pytest.approx(0.7 * (0.5 * selected + 0.5 * target) + 0.3 * others, rel=1e-5)


def test_a_task_leaves_the_outputs_of_the_others_alone(tiny):  # noqa: F811
    task, _ = aux_task(tiny, 0.3)
    sum(task.losses(Batch([], [], [4, 5]), 1)).backward()
    head = task.model.classifier.weight.grad
    assert head[2:4].abs().sum() > 0
    assert head[[0, 1, 4, 5]].abs().sum() == 0


@pytest.mark.parametrize(
    ("batch", "lambdas", "share", "rows"),
    [
        (16, (-0.5, -0.5), 0.5, (4, 4, 8)),
        (16, (-1, -1), 0.25, (12, 0, 4)),
        (16, (0, 0), 0.5, (0, 8, 8)),
        (16, (-0.5, -0.5), 0.0, (8, 8, 0)),
        (3, (-0.5, -0.5), 0.9, (1, 1, 1)),
        (8, (-1, -1), 0.01, (7, 0, 1)),
    ],
)
def test_rows_of_a_batch_follow_the_shares(batch, lambdas, share, rows):
    assert rows_per_batch(batch, lambdas, share) == rows


def test_a_batch_too_small_for_all_sides_is_refused():
    with pytest.raises(UsageError, match="batch_size = 2 has no room for 3 kinds"):
        rows_per_batch(2, (-0.5, -0.5), 0.5)


def test_what_was_beside_is_gone_from_the_model_that_is_saved(tiny, tmp_path):  # noqa: F811
    served = Served(auxiliary=OTHERS, sources=SOURCES)
    tuned = tune(tiny, served, auxiliary={"place": "beside"}, dev=examples(8, 3), evaluate_every=2)
    assert tuned.uses["auxiliary"] == {
        "place": "beside",
        "documents": 40,
        "sources": {"one": {"documents": 20, "labels": 2}, "two": {"documents": 20, "labels": 2}},
    }
    texts = examples(6, 4).texts
    probabilities = tuned.classifier.predict(texts)
    assert probabilities.shape == (6, 2)
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(6), abs=1e-6)
    tuned.classifier.save(tmp_path)
    assert np.array_equal(Classifier.load(tmp_path).predict(texts), probabilities)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert model.config.id2label == {0: "negative", 1: "positive"}
    assert model.classifier.weight.shape == (2, 32)


@pytest.mark.parametrize("place", ["before", "beside"])
def test_a_task_that_says_the_same_helps(tiny, place):  # noqa: F811
    """Other names for the same two labels, on many more documents than the target's twelve."""
    rows = examples(400, 5)
    same_thing = Examples(rows.texts, tuple({"negative": "b", "positive": "a"}[label] for label in rows.labels))
    served = Served(auxiliary=same_thing, sources=("other",) * 400)
    changes = {
        "steps": 150,
        "batch_size": 16,
        "auxiliary": {"place": place, "steps": 150, "learning_rate": 2e-3},
        "learning_rate": 2e-3,
    }
    test = examples(200, 6)
    scores = []
    for own in (Served(), served):
        tuned = tune(tiny, own, **changes)
        predicted = tuned.classifier.predict(test.texts).argmax(axis=1)
        scores.append(np.mean([LABELS[best] == label for best, label in zip(predicted, test.labels, strict=True)]))
    assert scores[1] > scores[0] + 0.1
    assert scores[1] > 0.9


def test_sources_with_a_single_label_teach_nothing(tiny):  # noqa: F811
    mixed = Served(auxiliary=Examples(("a", "b", "c"), ("x", "x", "y")), sources=("one", "two", "two"))
    assert mixed.alone == ("one",)
    kept = mixed.weighing()
    assert (kept.auxiliary, kept.sources) == (Examples(("b", "c"), ("x", "y"), (1.0, 1.0)), ("two", "two"))
    assert tune(tiny, mixed, auxiliary={"steps": 1}).uses["auxiliary"]["single_label"] == ["one"]
    lone = Served(auxiliary=Examples(("a", "b"), ("x", "y")), sources=("one", "two"))
    with pytest.raises(DataError, match="single label, from which nothing can be learned: one, two"):
        lone.weighing()
    with pytest.raises(DataError, match="2 auxiliary documents but 1 sources"):
        Served(auxiliary=Examples(("a", "b"), ("x", "y")), sources=("one",))


def test_a_weight_of_nothing_serves_nobody():
    rows = Examples(("a", "b", "c", "d"), ("x", "y", "x", "y"), (1.0, 2.0, 0.0, 1.0))
    kept = Served(("s", "t"), rows, ("o",) * 4, ("u", "v"), (0.0, 3.0), (2.0, 0.0)).weighing()
    assert (kept.text, kept.text_weights, kept.teacher, kept.teacher_weights) == (("t",), (3.0,), ("u",), (2.0,))
    assert kept.auxiliary == Examples(("a", "b", "d"), ("x", "y", "y"), (1.0, 2.0, 1.0))


@pytest.mark.parametrize("kind", [MaskedWords, Contrast])
def test_a_text_counts_by_its_weight(tiny, kind, monkeypatch):  # noqa: F811
    """A mean of losses whose weights are 0.5 and 1.5 of their mean."""
    task = text_task(tiny, kind)
    hide = MaskedWords._hidden
    monkeypatch.setattr(MaskedWords, "_hidden", lambda self, given: seeded_hide(hide, self, given))

    def seeded_hide(hide, self, given):
        with seeded(5, "cpu"):
            return hide(self, given)

    batch = Batch([0, 1, 2], [])
    found = {}
    for place, pair in enumerate(((1.0, 1.0, 1.0), (1.0, 2.0, 3.0), (3.0, 2.0, 1.0))):
        heavy = replace(task, weights=torch.tensor([*pair, *[2.0 if place else 1.0] * 37], dtype=torch.float64))
        found[place] = total(heavy, batch)
    assert found[1] != pytest.approx(found[0], rel=1e-6)
    assert found[1] + found[2] == pytest.approx(2 * found[0], rel=1e-5)


def test_few_texts_are_not_told_from_themselves(tiny):  # noqa: F811
    task = text_task(tiny, Contrast, texts=("good w1", "bad w2 w3"), text={"temperature": 0.2})
    once = total(task, Batch([0, 1], []))
    twice = total(task, Batch([0, 1, 0, 1], []))
    vectors = task._vectors([task.ids[0], task.ids[1]]).detach()
    apart = float(vectors[0] @ vectors[1]) / 0.2
    assert once == pytest.approx(math.log(1 + math.exp(apart - 5)), rel=1e-4)
    assert twice == pytest.approx(math.log(1 + 2 * math.exp(apart - 5)), rel=1e-4)


@pytest.mark.parametrize("served", [Served(text=("good " * 90,)), Served(auxiliary=OTHERS, sources=SOURCES)])
def test_longer_than_the_model_is_said_before_anything_is_trained(tiny, served):  # noqa: F811
    with pytest.raises(UsageError, match="max_length = 100 is more than the 64 tokens"):
        tune(tiny, served, max_length=100, progress=lambda step, loss: pytest.fail("trained"))


def test_no_more_is_read_than_the_steps_see(tiny):  # noqa: F811
    told = tune(tiny, Served(text=TEXTS), text={"steps": 2, "batch_size": 4}).uses["text"]
    assert (told["documents"], told["seen"]) == (40, 8)


# A teacher


def test_rows_of_a_batch_go_to_taught_documents_by_their_weight_in_the_loss(tiny, monkeypatch):  # noqa: F811
    seen = []

    def recorded(*sides, per_batch, seed):
        seen.append(per_batch)
        return draw_batches(*sides, per_batch=per_batch, seed=seed)

    monkeypatch.setattr(loop, "draw_batches", recorded)
    changes = {"steps": 2, "batch_size": 8}
    highest = np.sort(tune(tiny, **changes).classifier.predict(TEXTS).max(axis=1))
    own = {"confidence": float(highest[-8])}
    (told,) = tune(tiny, Served(teacher=TEXTS), teacher=own, **changes).uses["teacher"]
    assert told["taught"] == 8
    assert seen == [(8, 0, 0), (8, 0, 0), (7, 1, 0)]  # 8 of 40 weigh 0.1 beside the target's 0.5


def test_a_student_of_hard_labels_is_one_of_selected_documents(tiny):  # noqa: F811
    changes = {"steps": 30, "learning_rate": 3e-3}
    teacher = tune(tiny, **changes)
    given = teacher.classifier.predict(TEXTS)
    bar = float(np.median(given.max(axis=1)))
    sure = np.flatnonzero(given.max(axis=1) >= bar)
    assert 0 < len(sure) < len(TEXTS)
    own = {"confidence": bar, "labels": "hard"}
    student = tune(tiny, Served(teacher=TEXTS), teacher=own, **changes)
    (told,) = student.uses["teacher"]
    assert (told["round"], told["documents"], told["taught"], told["dev"]) == (1, 40, len(sure), None)
    selected = Examples(tuple(TEXTS[row] for row in sure), tuple(LABELS[given[row].argmax()] for row in sure))
    expected = tune(tiny, selected=selected, **changes)  # the same but for those the teacher is not sure of
    assert not all(
        torch.allclose(value, weights(student)[name], atol=1e-5) for name, value in weights(expected).items()
    )
    everyone = {**own, "confidence": 0.0}
    student = tune(tiny, Served(teacher=TEXTS), teacher=everyone, **changes)
    selected = Examples(TEXTS, tuple(LABELS[row.argmax()] for row in given))
    expected = tune(tiny, selected=selected, **changes)
    for name, value in weights(expected).items():
        assert torch.allclose(value, weights(student)[name], atol=1e-5), name
    assert not same(student, teacher)


def test_soft_labels_are_the_teachers_probabilities(tiny):  # noqa: F811
    classifier = tune(tiny).classifier
    taught, told = teach(classifier, TEXTS, [1.0] * 40, Teacher(confidence=0.0), dev=None)
    assert np.array_equal(taught.probabilities, classifier.predict(TEXTS))
    own = {"documents": 40, "taught": 40, "labels": len(set(taught.examples.labels)), "dev": None}
    assert told == {**own, "highest": float(taught.probabilities.max())}
    selected = Examples(("good", "bad"), ("positive", "negative"), (0.0, 2.0))
    sides = sides_of(settings(tiny), examples(4, 1), selected, taught, Served(), LABELS)
    assert sides.texts == (*examples(4, 1).texts, "bad", *TEXTS)
    assert torch.equal(sides.classes[5:], torch.from_numpy(taught.probabilities))
    one_hot = [[float(label == name) for name in LABELS] for label in (*examples(4, 1).labels, "negative")]
    assert sides.classes[:5].tolist() == one_hot
    assert sides.weights.tolist() == [1.0] * 4 + [2.0] + [1.0] * 40
    assert sides.sure == 1.0
    few = replace(taught, unsure=18.0)
    assert sides_of(settings(tiny), examples(4, 1), selected, few, Served(), LABELS).sure == pytest.approx(42 / 60)


def test_the_loss_of_a_soft_label_is_its_cross_entropy(tiny):  # noqa: F811
    classifier = tune(tiny).classifier
    taught, _ = teach(classifier, TEXTS, [1.0] * 40, Teacher(confidence=0.0), dev=None)
    own = settings(tiny, **{"lambda": 0.0})
    sides = sides_of(own, examples(4, 1), None, taught, Served(), LABELS)
    ids, _ = tokenise(classifier.tokenizer, sides.texts, 16)
    task = Task(
        model=classifier.model, tokenizer=classifier.tokenizer, embedding=None, adapter=None, precision="fp32",
        settings=own, lambdas=sides.lambdas, ids=ids, classes=sides.classes, weights=sides.weights,
        targets=sides.targets,
    )  # fmt: skip
    assert sides.targets == 0
    half = replace(task, lambdas=(-0.25, -0.25), sure=0.4)
    whole = replace(half, sure=1.0)
    assert total(half, Batch([], [2, 7])) == pytest.approx(0.4 * total(whole, Batch([], [2, 7])), rel=1e-5)
    found = total(task, Batch([], [2, 7]))
    entropy = -(taught.probabilities * np.log(taught.probabilities)).sum(axis=1)  # its own labels: no divergence
    assert found == pytest.approx(entropy[[2, 7]].mean(), rel=1e-4)


def test_the_error_of_taught_labels_is_that_on_dev_where_the_teacher_is_as_sure(tiny):  # noqa: F811
    classifier = tune(tiny, steps=20, learning_rate=3e-3).classifier
    dev = examples(30, 8)
    given = classifier.predict(dev.texts)
    bar = float(np.quantile(given.max(axis=1), 0.3))
    _, told = teach(classifier, TEXTS, [1.0] * 40, Teacher(confidence=bar), dev=dev)
    sure = [row for row in range(30) if given[row].max() >= bar]
    wrong = sum(LABELS[given[row].argmax()] != dev.labels[row] for row in sure)
    n, z, p = len(sure), 1.959964, wrong / len(sure)
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    assert (told["dev"]["documents"], told["dev"]["sure"], told["dev"]["wrong"]) == (30, n, wrong)
    assert told["dev"]["low"] == pytest.approx((middle - half) / (1 + z * z / n), abs=1e-6)
    assert told["dev"]["high"] == pytest.approx((middle + half) / (1 + z * z / n), abs=1e-6)


def test_a_teacher_sure_of_nothing_leaves_the_target_alone(tiny, caplog):  # noqa: F811
    student = tune(tiny, Served(teacher=TEXTS), teacher={"confidence": 1.0})
    assert "sure of none of 40 documents: its probability reaches 0." in caplog.text
    assert student.uses["teacher"][0]["taught"] == 0
    assert same(student, tune(tiny))


def test_each_round_is_taught_by_the_one_before(tiny):  # noqa: F811
    own = {"confidence": 0.0, "rounds": 2}
    student = tune(tiny, Served(teacher=TEXTS), teacher=own, steps=20)
    assert [told["round"] for told in student.uses["teacher"]] == [1, 2]
    once = tune(tiny, Served(teacher=TEXTS), teacher={"confidence": 0.0}, steps=20)
    taught, _ = teach(once.classifier, TEXTS, [1.0] * 40, Teacher(confidence=0.0), dev=None)
    again = tune(tiny, selected=taught.examples, steps=20)  # the labels alone: only to see that it is another model
    assert not same(student, once)
    assert not same(student, again)


def test_a_teacher_is_of_no_use_to_the_target_alone(tiny):  # noqa: F811
    with pytest.raises(UsageError, match="lambda = -1 trains on the target alone, and what a teacher labels"):
        tune(tiny, Served(teacher=TEXTS), **{"lambda": -1.0})


def test_an_adapter_needs_the_body_that_it_came_with(tiny):  # noqa: F811
    for served in (Served(text=TEXTS), Served(auxiliary=OTHERS, sources=SOURCES)):
        with pytest.raises(UsageError, match="adapter = 'lora' leaves the model as it is"):
            tune(tiny, served, adapter="lora")


# All of it


ALL = Served(TEXTS[:16], OTHERS, SOURCES, TEXTS[16:])
BRIEF = {
    "steps": 3, "checkpoint": 0.0, "text": {"steps": 2, "batch_size": 4}, "auxiliary": {"steps": 2},
    "teacher": {"confidence": 0.0, "rounds": 2},
}  # fmt: skip


def test_steps_are_counted_through_all_parts(tiny):  # noqa: F811
    seen = []
    tune(tiny, ALL, progress=lambda step, loss: seen.append(step), **BRIEF)
    assert seen == list(range(1, 14))
    assert planned(settings(tiny, **BRIEF), ALL) == 13
    beside = {**BRIEF, "auxiliary": {"place": "beside"}}
    assert planned(settings(tiny, **beside), ALL) == 11
    assert planned(settings(tiny, **BRIEF), Served()) == 3


@pytest.mark.parametrize("changes", [{}, {"auxiliary": {"place": "beside"}}, {"text": {"objective": "simcse"}}])
def test_killed_at_any_step_it_ends_in_the_same_weights(tiny, tmp_path, changes):  # noqa: F811
    changes = {**BRIEF, **{name: {**BRIEF[name], **value} for name, value in changes.items()}}
    dev = examples(6, 3)
    whole = tune(tiny, ALL, dev=dev, **changes)
    kept = tmp_path / "run.safetensors"

    def killed(at, step, loss):
        if step == at:
            raise KeyboardInterrupt

    for at in range(1, planned(settings(tiny, **changes), ALL) + 1):
        with pytest.raises(KeyboardInterrupt):
            tune(tiny, ALL, dev=dev, kept=kept, progress=partial(killed, at), **changes)
    again = tune(tiny, ALL, dev=dev, kept=kept, **changes)
    assert same(again, whole)
    timeless = [replace(one, seconds=0, classifier=None) for one in (again, whole)]
    assert timeless[0] == timeless[1]
    (tmp_path / "run-other.safetensors").touch()
    assert len(list(tmp_path.iterdir())) > 3
    forget(kept)
    assert [path.name for path in tmp_path.iterdir()] == ["run-other.safetensors"]


def test_what_is_done_again_does_not_start_over(tiny, tmp_path):  # noqa: F811
    """After a kill in the last part, the parts before it take no step."""
    kept = tmp_path / "run.safetensors"

    def killed(step, loss):
        if step == 12:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(tiny, ALL, kept=kept, progress=killed, **BRIEF)
    seen = []
    tune(tiny, ALL, kept=kept, progress=lambda step, loss: seen.append(step), **BRIEF)
    assert seen == [12, 13]


def test_other_documents_are_another_run(tiny, tmp_path):  # noqa: F811
    kept = tmp_path / "run.safetensors"
    changes = {**BRIEF, "text": {"steps": 2, "batch_size": 8}}  # all of the texts
    first = tune(tiny, ALL, kept=kept, **changes)
    other = replace(ALL, text=(*ALL.text[:-1], "w3 w4"))
    plain = tune(tiny, other, **changes)
    assert same(tune(tiny, other, kept=kept, **changes), plain)
    assert not same(first, plain)
