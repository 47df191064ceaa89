"""Fine-tuning on several labels a document, and on a number a document; models as in test_training."""

import copy
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics
from test_training import (  # noqa: F401  the fixtures
    WORDS,
    KilledError,
    killed_at,
    load_all_but_words,
    one_thread,
    same,
    settings,
    tiny,
)
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

from curator.errors import DataError, UsageError
from curator.training import Classifier, Examples, Served, decided, evaluate, fine_tune, main_score, scorer
from curator.training.batches import Batch
from curator.training.course import Best
from curator.training.embedding import SeenEmbedding
from curator.training.head import from_unit, to_unit
from curator.training.labels import task_labels
from curator.training.loss import losses_of
from curator.training.model import load_pretrained, tokenise
from curator.training.prediction import predict_logits
from curator.training.scale import Scale
from curator.training.sides import sides_of
from curator.training.steps import Task

NAMES = ("fine", "good", "poor")
KINDS = ("multi", "regression")
OF_VALUES = pytest.mark.parametrize("learnt", ["regression"], indirect=True)


def labels_of(kind):
    return NAMES if kind == "multi" else ()


def documents(count, seed, kind):
    """Texts of neutral words; of each label that a document has a word, of which its value is made, too."""
    rng = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count):
        words = [WORDS[index] for index in rng.integers(4, len(WORDS), size=rng.integers(2, 7))]
        own = tuple(name for name, share in zip(NAMES, (0.3, 0.5, 0.2), strict=True) if rng.random() < share)
        for name in own:
            words.insert(rng.integers(len(words)), name)
        texts.append(" ".join(words))
        labels.append(own if kind == "multi" else 1990.0 + 10 * ("good" in own) - 5 * ("poor" in own))
    return Examples(tuple(texts), tuple(labels))


def tune(model, kind, *, count=24, seed=0, selected=None, target=None, dev=None, served=None, **rest):
    own = {name: rest.pop(name) for name in ("progress", "checkpoint") if name in rest}
    if "kept" in rest:
        own["checkpoint"] = rest.pop("kept")
    return fine_tune(
        settings(model, **rest), selected=selected, target=target or documents(count, 1, kind), dev=dev,
        labels=labels_of(kind), kind=kind, seed=seed, **({"served": served} if served else {}), **own,
    )  # fmt: skip


@pytest.fixture(scope="module", params=KINDS)
def learnt(tiny, request):  # noqa: F811
    """Of each kind a model that has learnt its task."""
    kind = request.param
    course = {"steps": 250, "batch_size": 16, "learning_rate": 4e-3, "evaluate_every": 50}
    return tune(tiny, kind, count=400, dev=documents(60, 2, kind), **course)


# Losses


def test_the_loss_of_a_document_by_hand():
    logits = torch.tensor([[0.0, math.log(3)], [math.log(3), math.log(3)]])
    found = losses_of("multi", logits, torch.tensor([[1.0, 0.0], [1.0, 1.0]]))
    # σ(0) = 1/2 and σ(ln 3) = 3/4
    assert found.tolist() == pytest.approx([(math.log(2) + math.log(4)) / 2, math.log(4 / 3)])
    assert losses_of("regression", torch.tensor([[2.0], [-1.0]]), torch.tensor([[5.0], [-1.5]])).tolist() == [9, 0.25]
    classes = losses_of("single", logits, torch.tensor([1, 0]))
    assert classes.tolist() == pytest.approx([math.log(4 / 3), math.log(2)])


def make_task(tiny, kind, lambda_, target, selected):  # noqa: F811
    """A task at the untrained model, as fine_tune makes it."""
    own = settings(tiny, **{"lambda": lambda_, "max_length": 32})
    sides = sides_of(own, target, selected, None, Served(), labels_of(kind), kind)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model, tokenizer = load_pretrained(str(tiny), labels_of(kind), kind, sides.scale)
    ids, _ = tokenise(tokenizer, sides.texts, 32)
    embedding = SeenEmbedding(model.get_input_embeddings(), {token for row in ids for token in row})
    model.set_input_embeddings(embedding)
    return sides, Task(
        model=model.train(False), tokenizer=tokenizer, embedding=embedding, adapter=None, precision="fp32",
        settings=own, lambdas=sides.lambdas, ids=ids, classes=sides.classes, weights=sides.weights,
        targets=sides.targets, kind=kind,
    )  # fmt: skip


def weighed(examples):
    return replace(examples, weights=tuple(0.5 + row for row in range(len(examples))))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lambda_", [-0.75, 0.5])
@pytest.mark.filterwarnings("ignore:lambda")
def test_batch_loss_is_the_weighted_means_of_its_sides(tiny, kind, lambda_):  # noqa: F811
    """Against one text at a time, in numpy."""
    target, selected = documents(5, 1, kind), weighed(documents(9, 2, kind))
    sides, task = make_task(tiny, kind, lambda_, target, selected)
    plain = AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=3 if kind == "multi" else 1)
    load_all_but_words(plain.train(False), task.model)
    tokenizer = AutoTokenizer.from_pretrained(tiny)
    if kind == "regression":
        # As if each document were there as often as it weighs.
        values = np.repeat(target.labels + selected.labels, [2] * 5 + [1 + 2 * row for row in range(9)])
        assert (sides.scale.mean, sides.scale.spread) == pytest.approx((values.mean(), values.std()))

    def loss_of(side, row):
        with torch.no_grad():
            logits = plain(**tokenizer(side.texts[row], return_tensors="pt")).logits[0].double().numpy()
        if kind == "regression":
            return (logits[0] - (side.labels[row] - values.mean()) / values.std()) ** 2
        signs = [1 if name in side.labels[row] else -1 for name in NAMES]
        return np.mean([math.log(1 + math.exp(-sign * x)) for sign, x in zip(signs, logits, strict=True)])

    batch = Batch([0, 3], [1, 2, 8])
    on_target = np.mean([loss_of(target, row) for row in batch.target])
    on_selected = np.mean([loss_of(selected, row) * selected.weights[row] / 4.5 for row in batch.selected])
    expected = (1 + lambda_) * on_selected - lambda_ * on_target
    assert sum(task.losses(batch, 1)).item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_of_the_batch_loss_is_its_slope(tiny, kind):  # noqa: F811
    """Central differences along the gradient, at a λ where both sides count."""
    _, task = make_task(tiny, kind, -0.3, documents(5, 1, kind), weighed(documents(6, 2, kind)))
    batch = Batch([0, 1], [2, 3, 4])
    with torch.no_grad():
        task.model.classifier.weight *= 20  # as it is drawn hardly anything reaches the body
    for name, parameter in task.model.named_parameters():
        if name not in ("classifier.weight", "bert.encoder.layer.0.attention.self.value.weight"):
            continue
        task.model.zero_grad()
        sum(task.losses(batch, 1)).backward()
        slope = parameter.grad.norm().item()
        ends = []
        for step in (0.01, -0.01):
            with torch.no_grad():
                parameter += step * parameter.grad / slope
                ends.append(sum(task.losses(batch, 1)).item())
                parameter -= step * parameter.grad / slope
        assert slope > 1e-3
        assert slope == pytest.approx((ends[0] - ends[1]) / 0.02, rel=0.01), name


# Training


def test_what_can_be_learnt_is_learnt(learnt):
    kind = learnt.classifier.kind
    unseen = documents(60, 9, kind)
    scores = evaluate(unseen.labels, learnt.classifier.predict(unseen.texts), labels_of(kind), kind)
    assert scores[main_score(kind)] > (0.9 if kind == "multi" else 0.75)
    if kind == "regression":
        assert scores["rmse"] < 0.5 * np.std(unseen.labels)
        values = documents(400, 1, kind).labels
        assert learnt.classifier.scale.mean == pytest.approx(np.mean(values))
        assert learnt.classifier.scale.spread == pytest.approx(np.std(values))


def test_a_document_of_no_label_is_one_of_all_zeros(tiny):  # noqa: F811
    """Of documents without any label alone, every probability falls."""
    empty = replace(documents(20, 1, "multi"), labels=((),) * 20)
    result = tune(tiny, "multi", target=empty, steps=40, learning_rate=3e-3)
    assert result.classifier.predict(empty.texts).max() < 0.3
    assert decided(result.classifier.predict(empty.texts[:2]), "multi") == [[], []]


def test_dev_chooses_by_the_main_score_then_the_loss(tiny):  # noqa: F811
    """A dev set whose values fall where the training's rise: an early look is the best."""
    right = documents(40, 3, "regression")
    dev = replace(right, labels=tuple(4000 - value for value in right.labels))
    course = {"steps": 60, "evaluate_every": 5, "learning_rate": 3e-3}
    result = tune(tiny, "regression", count=80, dev=dev, **course)
    looks = [(look["dev_spearman"], -look["dev_loss"]) for look in result.history]
    best = looks.index(max(looks))
    assert result.history[best]["step"] == result.best_step < 60
    assert result.dev["spearman"] == looks[best][0] > looks[-1][0]
    again = evaluate(dev.labels, result.classifier.predict(dev.texts), (), "regression")
    assert again == pytest.approx({name: value for name, value in result.dev.items() if name != "loss"}, rel=0.01)
    scale = result.classifier.scale
    assert result.dev["loss"] == pytest.approx((result.dev["rmse"] / scale.spread) ** 2, rel=1e-4)
    assert set(result.history[0]) == {
        "step", "loss", "dev_spearman", "dev_pearson", "dev_rmse", "dev_mae", "dev_loss"
    }  # fmt: skip
    stopped = tune(tiny, "regression", count=80, dev=dev, patience=2, **course)
    assert stopped.steps < 60


def test_the_better_look_by_its_score_and_among_equals_by_the_loss():
    best = Best(1, 1, {"spearman": 0.5, "macro_f1": 0.9, "loss": 1.0}, {})
    assert best.beaten_by({"spearman": 0.6, "macro_f1": 0.1, "loss": 2.0}, "spearman")
    assert not best.beaten_by({"spearman": 0.4, "macro_f1": 1.0, "loss": 0.1}, "spearman")
    assert best.beaten_by({"spearman": 0.5, "macro_f1": 0.1, "loss": 0.9}, "spearman")
    assert not best.beaten_by({"spearman": 0.5, "macro_f1": 0.1, "loss": 1.0}, "spearman")


@pytest.mark.parametrize("kind", KINDS)
def test_killed_it_ends_in_the_same_weights(tiny, tmp_path, kind):  # noqa: F811
    kept = tmp_path / "state.safetensors"
    common = {"dev": documents(10, 3, kind), "selected": documents(20, 2, kind), "steps": 6, "evaluate_every": 2}
    common |= {"learning_rate": 3e-3, "checkpoint": 0.0}
    own = {name: value for name, value in common.items() if name != "checkpoint"}
    whole = _tuned(tiny, kind, own, None)
    for step in (2, 5):
        with pytest.raises(KilledError):
            _tuned(tiny, kind, own, kept, killed_at(step))
        again = _tuned(tiny, kind, own, kept)
        assert same(whole, again)
        assert (whole.history, whole.dev) == (again.history, again.dev)
        kept.unlink()


def _tuned(model, kind, common, kept, progress=None):
    course = {name: value for name, value in common.items() if name not in ("dev", "selected")}
    return fine_tune(
        settings(model, checkpoint=0.0, **course), target=documents(24, 1, kind), dev=common["dev"],
        selected=common["selected"], labels=labels_of(kind), kind=kind, seed=0, checkpoint=kept, progress=progress,
    )  # fmt: skip


def test_a_state_of_other_units_is_not_gone_on_with(tiny, tmp_path, caplog):  # noqa: F811
    """The same standardised values: the weights would be the same, what is said of dev would not."""
    kept, own = tmp_path / "state.safetensors", {"steps": 4, "evaluate_every": 2, "selected": None}
    _tuned(tiny, "regression", own | {"dev": documents(10, 3, "regression")}, kept)
    target = documents(24, 1, "regression")
    doubled = replace(target, labels=tuple(2 * value for value in target.labels))
    result = fine_tune(
        settings(tiny, checkpoint=0.0, steps=4, evaluate_every=2), target=doubled, selected=None,
        dev=documents(10, 3, "regression"), labels=(), kind="regression", seed=0, checkpoint=kept,
    )  # fmt: skip
    assert "is of another run" in caplog.text
    assert result.dev["rmse"] > 1000


def test_same_seed_same_weights_and_weights_of_0_are_absence(tiny):  # noqa: F811
    for kind in KINDS:
        target = documents(20, 1, kind)
        half = replace(target, weights=(1.0,) * 10 + (0.0,) * 10)
        there = Examples(target.texts[:10], target.labels[:10])
        one = tune(tiny, kind, target=half)
        assert same(one, tune(tiny, kind, target=there))
        assert not same(one, tune(tiny, kind, target=target))
        assert not same(one, tune(tiny, kind, target=there, seed=1))


@pytest.mark.parametrize("kind", KINDS)
def test_text_and_other_tasks_go_before_every_kind(tiny, kind):  # noqa: F811
    other = Examples(("good w1", "bad w2", "good w3", "bad w4"), ("up", "down", "up", "down"))
    served = Served(text=("w1 w2 w3", "w4 w5"), auxiliary=other, sources=("other",) * 4)
    both = {"text": {"steps": 2, "batch_size": 2}, "auxiliary": {"steps": 3}}
    result = tune(tiny, kind, served=served, **both)
    assert (result.uses["text"]["steps"], result.uses["auxiliary"]["steps"]) == (2, 3)
    assert not same(result, tune(tiny, kind, **both))
    assert result.classifier.predict(["w1"]).shape == (1, len(labels_of(kind)) or 1)


# The unit of a regression


def test_the_head_is_brought_to_the_unit_and_back(tiny):  # noqa: F811
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model, tokenizer = load_pretrained(str(tiny), (), "regression")
    ids, _ = tokenise(tokenizer, documents(9, 1, "regression").texts, 16)
    plain, scale = predict_logits(model, tokenizer, ids, "fp32"), Scale(1990.0, 7.5)
    to_unit(model, scale)
    given = predict_logits(model, tokenizer, ids, "fp32")
    assert given == pytest.approx(plain * 7.5 + 1990, abs=1e-3)
    assert scale.standardised(scale.in_unit(plain).astype(float)) == pytest.approx(plain, abs=1e-4)
    from_unit(model, scale)
    assert predict_logits(model, tokenizer, ids, "fp32") == pytest.approx(plain, abs=1e-4)


@OF_VALUES
def test_bf16_leaves_the_digits_of_a_value(learnt, tiny, monkeypatch):  # noqa: F811
    """In bf16 1990 and 1995 are neighbours: the head is computed in fp32."""
    texts = documents(20, 4, "regression").texts
    exact = learnt.classifier.predict(texts)
    own = learnt.classifier.settings.model_copy(update={"precision": "bf16"})
    found = replace(learnt.classifier, settings=own).predict(texts)
    assert 0 < np.abs(found - exact).max() < 0.5
    small = tune(tiny, "regression", steps=30, learning_rate=3e-3, precision="bf16")
    assert np.abs(small.classifier.predict(texts) - 1990).max() < 40


@OF_VALUES
def test_a_model_whose_weights_are_rounded_keeps_its_head(learnt):
    """As the scorer rounds them on a processor that computes in bf16."""
    classifier, texts = learnt.classifier, documents(20, 4, "regression").texts
    rounded = copy.deepcopy(classifier.model).bfloat16()
    assert rounded.bert.pooler.dense.weight.dtype == torch.bfloat16
    ids, _ = tokenise(classifier.tokenizer, texts, 16)
    found = predict_logits(rounded, classifier.tokenizer, ids, "fp32")
    assert 0 < np.abs(found - classifier.predict(texts)).max() < 0.5


@OF_VALUES
def test_a_model_of_values_is_trained_on_from_where_it_is(learnt, tmp_path):
    """Its head speaks in the unit of its labels, and training in standardised values."""
    learnt.classifier.save(tmp_path)
    texts = documents(12, 4, "regression").texts
    further = fine_tune(
        settings(tmp_path, steps=1, learning_rate=1e-12), target=documents(30, 6, "regression"), selected=None,
        dev=None, labels=(), kind="regression", seed=0,
    )  # fmt: skip
    assert further.classifier.scale != learnt.classifier.scale
    assert further.classifier.predict(texts) == pytest.approx(learnt.classifier.predict(texts), abs=1e-2)


# Saved models


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("adapter", ["none", "lora", "adalora", "ia3", "prefix"])
def test_saved_and_loaded_it_predicts_the_same(tiny, tmp_path, kind, adapter):  # noqa: F811
    if adapter != "none":
        pytest.importorskip("peft", reason="the extra peft is not installed")
    changes = {} if adapter == "none" else {"adapter": adapter, "rank": 2, "steps": 12, "learning_rate": 1e-2}
    classifier = tune(tiny, kind, selected=documents(20, 2, kind), **changes).classifier
    texts = documents(12, 4, kind).texts
    before = classifier.predict(texts)
    if kind == "regression":
        assert np.abs(before - 1993).max() < 30  # of an adapter, too, the head that was trained is the one in the unit
    classifier.save(tmp_path)
    loaded = Classifier.load(tmp_path)
    assert np.array_equal(loaded.predict(texts), before)
    assert (loaded.kind, loaded.labels, loaded.scale) == (kind, labels_of(kind), classifier.scale)


def test_transformers_loads_what_is_saved(learnt, tmp_path):
    classifier = learnt.classifier
    classifier.save(tmp_path)
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path).train(False)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    multi = classifier.kind == "multi"
    assert model.config.problem_type == ("multi_label_classification" if multi else "regression")
    assert model.config.id2label == dict(enumerate(NAMES if multi else ("value",)))
    texts = list(documents(6, 4, classifier.kind).texts)
    with torch.no_grad():
        theirs = model(**tokenizer(texts, padding=True, return_tensors="pt")).logits.numpy()
    assert classifier.logits(texts) == pytest.approx(theirs, rel=1e-6, abs=1e-5)
    answers = pipeline("text-classification", model=model, tokenizer=tokenizer, device="cpu", top_k=None)(texts)
    given = [[{one["label"]: one["score"] for one in own}[name] for name in model.config.label2id] for own in answers]
    assert classifier.predict(texts) == pytest.approx(np.array(given), rel=1e-6, abs=1e-5)
    if multi:
        assert classifier.predict(texts) == pytest.approx(1 / (1 + np.exp(-theirs)), abs=1e-6)


def test_the_record_of_single_labels_is_what_it_was_and_of_others_says_so(tiny, tmp_path):  # noqa: F811
    target = Examples(("good", "bad"), ("up", "down"))
    single = fine_tune(
        settings(tiny, steps=1), target=target, selected=None, dev=None, labels=("up", "down"), seed=0
    ).classifier  # fmt: skip
    single.save(tmp_path / "single")
    text = (tmp_path / "single" / "curator.json").read_text("utf8")
    record = json.loads(text)
    assert list(record) == ["format", "labels", "max_length", "settings", "seed", "versions"]
    assert (record["format"], record["labels"], record["max_length"]) == (1, ["up", "down"], 16)
    for kind in KINDS:
        tune(tiny, kind, steps=1).classifier.save(tmp_path / kind)
        told = json.loads((tmp_path / kind / "curator.json").read_text("utf8"))
        assert (told["format"], told["kind"], told["labels"]) == (2, kind, list(labels_of(kind)))
        config = tmp_path / kind / "config.json"
        config.write_text(config.read_text("utf8").replace('"problem_type": "', '"problem_type": "no_'), "utf8")
        with pytest.raises((DataError, UsageError), match=r"problem_type|could not be loaded"):
            Classifier.load(tmp_path / kind)
    del told["scale"]
    (tmp_path / "regression" / "curator.json").write_text(json.dumps(told), "utf8")
    with pytest.raises(DataError, match=r"curator\.json is damaged"):
        Classifier.load(tmp_path / "regression")
    (tmp_path / "multi" / "curator.json").write_text(text.replace('"format": 1', '"format": 1, "kind": "several"'))
    with pytest.raises(DataError, match=r"curator.json is damaged.*several"):
        Classifier.load(tmp_path / "multi")


@OF_VALUES
def test_onnxruntime_gives_the_same(learnt, tmp_path):
    """Values, whose last layer is our own; what multi adds is in the record alone."""
    runtime = pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
    from curator.training import export_onnx

    classifier = learnt.classifier
    told = export_onnx(classifier, tmp_path, documents(7, 4, classifier.kind).texts)
    assert told["difference"] < 1e-4
    labels = json.loads((tmp_path / "labels.json").read_text())
    assert labels == {"labels": list(classifier.labels), "max_length": 16, "kind": classifier.kind}
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    texts = list(documents(5, 6, classifier.kind).texts)
    rows = AutoTokenizer.from_pretrained(tmp_path)(texts, padding=True, return_tensors="np")
    logits = session.run(["logits"], {name: rows[name] for name in ("input_ids", "attention_mask")})[0]
    assert logits == pytest.approx(classifier.logits(texts), rel=1e-6, abs=1e-4)


def test_a_saved_model_scores_documents_in_sql(learnt, tmp_path):
    """The scorer, which computes in what is fast here, keeps the digits of a value."""
    classifier = learnt.classifier
    classifier.save(tmp_path)
    texts = documents(8, 4, classifier.kind).texts
    found = scorer(str(tmp_path))
    assert found.labels == (NAMES if classifier.kind == "multi" else ("value",))
    assert found.score(texts) == pytest.approx(classifier.predict(texts), abs=0.05 if classifier.kind == "multi" else 1)


# What outputs are worth


def test_scores_of_several_labels_are_scikit_learns():
    rng = np.random.default_rng(4)
    names = ("a", "b", "c", "never")
    known = rng.random((60, 4)) < np.array([0.5, 0.2, 0.7, 0])
    given = np.clip(known * 0.3 + rng.random((60, 4)) * 0.7, 0, 1).astype(np.float32)
    given[:, 3] = 0.1  # neither there nor predicted
    given[0, 0] = 0.5  # the bound itself counts
    truth = [tuple(np.array(names)[row]) for row in known]
    found, said = evaluate(truth, given, names, "multi"), given >= 0.5
    assert said[0, 0]
    for average in ("macro", "micro"):
        expected = metrics.f1_score(known, said, average=average, zero_division=0)
        assert found[f"{average}_f1"] == pytest.approx(expected)
    assert found["accuracy"] == pytest.approx(metrics.accuracy_score(known, said))
    rows = metrics.precision_recall_fscore_support(known, said, zero_division=0)
    for number, name in enumerate(names):
        own = found["per_label"][name]
        assert [own[key] for key in ("precision", "recall", "f1", "support")] == pytest.approx(
            [row[number] for row in rows]
        )
    areas = [metrics.roc_auc_score(known[:, column], given[:, column]) for column in range(3)]
    assert (found["roc_auc"], found["n"]) == (pytest.approx(np.mean(areas)), 60)
    assert "confusion" not in found


def test_scores_of_several_labels_at_the_ends():
    found = evaluate([(), ("a",)], np.array([[0.4], [0.6]], np.float32), ("a",), "multi")
    assert (found["accuracy"], found["macro_f1"], found["roc_auc"]) == (1, 1, 1)
    none = evaluate([(), ()], np.array([[0.4], [0.2]], np.float32), ("a",), "multi")
    assert (none["accuracy"], none["macro_f1"], none["micro_f1"], none["roc_auc"]) == (1, 0, 0, None)


def test_scores_of_values_are_scipys():
    rng = np.random.default_rng(5)
    truth = rng.integers(1, 6, 50).astype(float)  # ties, as stars have them
    given = (truth + rng.normal(0, 1.5, 50)).round(1).astype(np.float32)
    found = evaluate(list(truth), given[:, None], (), "regression")
    assert found["spearman"] == pytest.approx(stats.spearmanr(truth, given).statistic)
    assert found["pearson"] == pytest.approx(stats.pearsonr(truth, given).statistic)
    assert found["rmse"] == pytest.approx(metrics.root_mean_squared_error(truth, given))
    assert (found["mae"], found["n"]) == (pytest.approx(metrics.mean_absolute_error(truth, given)), 50)
    assert set(found) == {"spearman", "pearson", "rmse", "mae", "n"}


@pytest.mark.parametrize(("truth", "given"), [([1.0, 2, 4], [0.1] * 3), ([0.1] * 3, [1.0, 2, 4]), ([1.0], [1.0])])
def test_a_constant_side_has_no_correlation(truth, given):
    found = evaluate(truth, np.array(given, np.float32)[:, None], (), "regression")
    assert (found["spearman"], found["pearson"]) == (0, 0)


def test_what_outputs_decide():
    given = np.array([[0.5, 0.2, 0.9], [0.4, 0.1, 0.3]], np.float32)
    assert decided(given, "single") == [2, 0]
    assert decided(given, "multi") == [[0, 2], []]
    assert decided(np.array([[1.5], [-2]], np.float32), "regression") == [1.5, -2]
    assert [main_score(kind) for kind in ("single", *KINDS)] == ["macro_f1", "macro_f1", "spearman"]


# What does not fit


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e39, "7", None, True, (1.0,)])
def test_what_is_no_value_is_named(tiny, value):  # noqa: F811
    target = documents(8, 1, "regression")
    wrong = replace(target, labels=(*target.labels[:5], value, *target.labels[6:]))
    for changes in ({"target": wrong}, {"selected": wrong}, {"dev": wrong}):
        side = next(iter(changes))
        with pytest.raises(DataError, match=rf"of {side} example 5 is not a finite number") as told:
            tune(tiny, "regression", **changes)
        assert repr(value) in str(told.value)


def test_values_that_are_all_equal_are_named(tiny):  # noqa: F811
    target = documents(8, 1, "regression")
    for values in ((3.5,) * 8, (1e9,) * 7 + (1e9 + 1,)):  # the second are the same in float32
        with pytest.raises(DataError, match=r"all 8 training examples have the value"):
            tune(tiny, "regression", target=replace(target, labels=values))
    both = tune(tiny, "regression", target=replace(target, labels=(3.5,) * 8), selected=documents(8, 2, "regression"))
    assert both.classifier.scale.spread > 0


def test_labels_that_do_not_fit_are_named(tiny):  # noqa: F811
    target = documents(8, 1, "multi")
    with pytest.raises(DataError, match=r"1 of \d+ target examples have labels such as 'god': did you mean 'good'"):
        tune(tiny, "multi", target=replace(target, labels=(*target.labels[:7], ("fine", "god"))))
    for label in ("good", 3.0, None):
        with pytest.raises(DataError, match=rf"the label {label!r}: documents of a multi-label task have a list"):
            tune(tiny, "multi", target=replace(target, labels=(*target.labels[:7], label)))
    with pytest.raises(DataError, match=r"labels such as \('a', 'b'\)"):
        fine_tune(
            settings(tiny), target=Examples(("x",), (("a", "b"),)), selected=None, dev=None, labels=("a", "b"), seed=0
        )
    with pytest.raises(DataError, match="a regression predicts a number and has no labels"):
        task_labels(("a", "b"), "regression")
    with pytest.raises(DataError, match="needs at least one label"):
        task_labels((), "multi")
    assert task_labels(("a",), "multi") == ("a",)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("served", "changes", "told"),
    [
        (Served(teacher=("w1",)), {}, "documents that serve as teacher"),
        (None, {"class_weights": "balanced"}, "class_weights = 'balanced'"),
        (
            Served(auxiliary=Examples(("w1", "w2"), ("x", "y")), sources=("s", "s")),
            {"auxiliary": {"place": "beside"}},
            r"place = 'beside'",
        ),
    ],
)
def test_what_is_for_single_labels_alone_is_refused(tiny, kind, served, changes, told):  # noqa: F811
    with pytest.raises(UsageError, match=rf"{told}: .*kind is '{kind}'"):
        tune(tiny, kind, served=served, **changes)
