"""Tuning a body on pairs of labelled documents: which pairs, the loss, and what becomes of the classifier."""

import json
import math
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from test_training import LABELS, WORDS, examples, one_thread, same, settings, tiny  # noqa: F401  fixtures
from transformers import AutoModelForSequenceClassification

from curator.errors import DataError, UsageError
from curator.models import fitting, pairing
from curator.models.pairing import found, pairs_of
from curator.nearest import Tools, rewrite
from curator.recipe import Recipe, Train
from curator.relation import Relation
from curator.session import Session, sql_folder
from curator.training import Classifier, Examples, Pairs, Served, fine_tune, planned
from curator.training.batches import Batch
from curator.training.contrasting import LabelPairs
from curator.training.loop import seeded
from curator.training.model import load_pretrained, tokenise
from curator.training.prediction import sentence_vectors
from curator.vectors import Vectors

CASES = json.loads((Path(__file__).parent / "sql_cases" / "pairs.json").read_text("utf8"))
FIVE = {"contrastive": {"steps": 5, "batch_size": 4, "learning_rate": 1e-3}}


# Which pairs


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_the_pairs_of_a_case(case):
    rows = [{"row": row, "words": f"w{row}", "drawn": True} | one for row, one in enumerate(case["given"])]
    schema = {"row": pl.Int64, "label": pl.String, "words": pl.String, "drawn": pl.Boolean}
    frame = pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=schema)
    vectors = np.array([row["embedding"] for row in rows], np.float32).reshape(-1, 2)
    sql = sql_folder().joinpath(*pairing.FILE).read_text("utf8")
    tools = Tools({"documents": Relation(frame, Vectors.of(vectors, unit=True))})
    query = rewrite(Session(), sql, {"neighbours": 4, "places": 5} | case.get("parameters", {}), tools)
    got = [(*row[:3], round(row[3], 4) + 0.0) for row in pl.DataFrame(query.fetch()).rows()]
    assert sorted(got) == sorted(map(tuple, case["expect"]))
    assert {join.engine for join in query.joins} == {"faiss"}


@pytest.mark.parametrize("seed", range(3))
def test_the_pairs_are_those_of_brute_force(seed):
    rng = np.random.default_rng(seed)
    count, neighbours = 120, 3
    vectors = rng.normal(size=(count, 8)).astype(np.float32)
    labels = [f"l{code}" for code in rng.integers(0, 6, count)] + ["single"]
    texts = [f"t{number}" for number in rng.integers(0, 100, count)] + ["Alone!"]  # some twice, under one label or two
    vectors = np.vstack([vectors, rng.normal(size=(1, 8)).astype(np.float32)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    drawn = rng.random(count + 1) < 0.7
    drawn[-1] = True
    frame = pl.DataFrame({"label": labels, "text": texts, "drawn": drawn})
    got = found(Relation(frame, Vectors.of(vectors, unit=True)), neighbours)
    cosines = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    contested = {text for text in texts if len({labels[row] for row in range(count + 1) if texts[row] == text}) > 1}
    firsts = [row for row in range(count + 1) if texts[row] not in contested and texts.index(texts[row]) == row]
    wanted = set()
    for row in np.flatnonzero(drawn):
        if texts[row] in contested:
            continue
        alike = [one for one in firsts if labels[one] == labels[row] and texts[one] != texts[row]]
        unlike = [one for one in firsts if labels[one] != labels[row]]
        wanted |= {(row, one, True) for one in sorted(alike, key=lambda one: cosines[row, one])[:neighbours]}
        wanted |= {(row, one, False) for one in sorted(unlike, key=lambda one: -cosines[row, one])[:neighbours]}
    assert {(*pair, same) for pair, same in zip(got.rows.tolist(), got.same.tolist(), strict=True)} == wanted
    assert contested
    assert len(got) == len(wanted)
    assert [pair for pair in wanted if pair[0] == count and pair[2]] == []
    assert len([pair for pair in wanted if pair[0] == count]) == neighbours


def documents(count, name, seed=0):
    """Texts of two labels with vectors, as a target or a pool has them."""
    rng = np.random.default_rng(seed)
    labels = [LABELS[row % 2] for row in range(count)]
    frame = pl.DataFrame(
        {
            "corpus": [name] * count,
            "id": [f"{name}{row}" for row in range(count)],
            "text": [f"{name} text {row}" for row in range(count)],
            "label": labels,
        }
    )
    vectors = rng.normal(size=(count, 8)).astype(np.float32)
    return Relation(frame, Vectors.of(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), unit=True))


def task_of(seed=0):
    return SimpleNamespace(target=documents(6, "target"), pool=documents(20, "shop", 1), seed=seed)


def chosen(rows, weights=None):
    frame = documents(20, "shop", 1).frame[rows]
    return frame.with_columns(pl.Series("weight", weights or [1.0] * len(rows), pl.Float64))


@pytest.mark.parametrize(
    ("lambda_", "given", "rows"),
    [(-0.5, 12, 17), (-1.0, 12, 6), (0.0, 12, 11), (-0.5, 0, 6), (0.0, 0, 6)],
)
def test_rows_count_those_that_take_part(lambda_, given, rows):
    """The target first, then what weighs of the selection: as ``fine_tune`` counts them."""
    task, frame = task_of(), chosen([19 - row for row in range(given)], [0.0] + [2.0] * (given - 1) if given else [])
    own = Train.model_validate({"lambda": lambda_, "contrastive": {"steps": 50, "neighbours": 2}})
    pairs = pairs_of(own, task, frame)
    assert pairs.rows.max() == rows - 1
    assert set(pairs.rows[:, 0]) == set(range(rows))
    targets = [] if lambda_ == 0 and given else task.target.frame.rows()
    others = [row[:4] for row in frame.rows() if row[4] > 0] if lambda_ > -1 else []
    took_part = [*targets, *others]
    assert len(took_part) == rows
    assert [took_part[a][3] == took_part[b][3] for a, b in pairs.rows] == pairs.same.tolist()
    pool = {row[1]: vector for row, vector in zip(task.pool.frame.rows(), task.pool.vectors.matrix(), strict=True)}
    pool |= {row[1]: vector for row, vector in zip(task.target.frame.rows(), task.target.vectors.matrix(), strict=True)}
    ids = [row[1] for row in took_part]
    for anchor in range(rows):
        of_anchor = {int(one) for one in pairs.rows[(pairs.rows[:, 0] == anchor) & ~pairs.same, 1]}
        unlike = [row for row in range(rows) if took_part[row][3] != took_part[anchor][3]]
        assert of_anchor == set(sorted(unlike, key=lambda row: -float(pool[ids[row]] @ pool[ids[anchor]]))[:2])


def test_no_more_anchors_than_places_are_drawn_by_the_seed():
    own = Train.model_validate({"contrastive": {"steps": 1, "batch_size": 3}})
    drawn = [set(pairs_of(own, task_of(seed), chosen(list(range(20)))).rows[:, 0].tolist()) for seed in (0, 0, 1)]
    assert [(len([row for row in one if row < 6]), len(one)) for one in drawn] == [(3, 6)] * 3
    assert drawn[0] == drawn[1] != drawn[2]
    assert pairs_of(Train.model_validate({}), task_of(), chosen([])) is None


def test_documents_that_serve_without_a_label_are_in_no_pair():
    own = Train.model_validate({"contrastive": {"steps": 50}})
    frame = chosen(list(range(8))).with_columns(pl.Series("serves", ["labels", "text"] * 4))
    assert fitting.wanted_pairs(own, task_of(), frame).rows.max() == 6 + 4 - 1


# The loss


def pair_task(tiny, rows, same, weights=None, targets=None, lambdas=(-1.0, -1.0), **changes):  # noqa: F811
    own = settings(tiny, **changes)
    with seeded(3, "cpu"):
        model, tokenizer = load_pretrained(str(tiny), LABELS)
    ids, _ = tokenise(tokenizer, examples(40, 7).texts, own.max_length)
    classes = torch.tensor([[*pair, int(one)] for pair, one in zip(rows, same, strict=True)])
    weights = torch.tensor(weights or [1.0] * len(rows), dtype=torch.float64)
    return LabelPairs(
        model=model.train(False), tokenizer=tokenizer, embedding=None, adapter=None, precision="fp32", settings=own,
        lambdas=lambdas, ids=ids, classes=classes, weights=weights,
        targets=len(rows) if targets is None else targets,
    )  # fmt: skip


ROWS = [(0, 1), (0, 2), (5, 9), (9, 30), (7, 7), (22, 3)]
SAME = [True, False, True, False, True, False]


def test_loss_and_gradient_are_those_of_sentence_transformers(tiny):  # noqa: F811
    from sentence_transformers.sentence_transformer.losses import CosineSimilarityLoss

    task = pair_task(tiny, ROWS, SAME)
    loss = sum(task.losses(Batch(list(range(6)), []), 1))
    loss.backward()
    transformer = Transformer(str(tiny), max_seq_length=16)
    encoder = SentenceTransformer(modules=[transformer, Pooling(32, pooling_mode="mean")], device="cpu").eval()
    texts = examples(40, 7).texts
    features = [
        dict(task.tokenizer([texts[pair[side]] for pair in ROWS], padding=True, return_tensors="pt")) for side in (0, 1)
    ]
    theirs = CosineSimilarityLoss(encoder)(features, torch.tensor(SAME).float())
    theirs.backward()
    assert loss.item() == pytest.approx(theirs.item(), rel=1e-5)
    ours = dict(task.model.base_model.named_parameters())
    compared = 0
    for name, value in encoder[0].named_parameters():
        own = ours[name.partition("model.")[2] if "model." in name else name]
        if value.grad is not None and value.grad.abs().max() > 1e-6:
            assert torch.allclose(own.grad, value.grad, rtol=1e-3, atol=1e-6), name
            compared += 1
    assert compared > 20


def test_the_gradient_is_the_slope(tiny):  # noqa: F811
    task = pair_task(tiny, ROWS, SAME, weights=[1.0, 2, 3, 1, 5, 2], targets=2, lambdas=(-0.3, -0.3))
    batch = Batch([1, 0], [0, 3, 2])
    sum(task.losses(batch, 1)).backward()
    weight = task.model.base_model.encoder.layer[0].attention.self.value.weight
    slope = weight.grad.clone()
    with torch.no_grad():
        values = []
        for sign in (1, -1):
            weight += sign * 0.02 * slope / slope.norm()
            values.append(sum(task.losses(batch, 1)).item())
            weight -= sign * 0.02 * slope / slope.norm()
    assert (values[0] - values[1]) / 0.04 == pytest.approx(slope.norm().item(), rel=0.02)


@pytest.mark.parametrize("accumulate", [1, 2, 3])
def test_each_side_enters_by_its_weighted_mean_and_lambda(tiny, accumulate):  # noqa: F811
    given = [1.0, 2, 3, 1, 5, 2]
    changes = {"accumulate": accumulate, "steps": 5}
    task = pair_task(tiny, ROWS, SAME, weights=given, targets=2, lambdas=(-0.2, -0.6), **changes)
    vectors = sentence_vectors(task.model, task.tokenizer, task.ids).detach().numpy().astype(np.float64)
    losses = [(vectors[one] @ vectors[other] - same) ** 2 for (one, other), same in zip(ROWS, SAME, strict=True)]
    target = np.mean([losses[row] * given[row] for row in (1, 0)]) / np.mean(given[:2])
    selected = np.mean([losses[row] * given[row] for row in (2, 5, 4)]) / np.mean(given[2:])
    for step, lambda_ in ((1, -0.2), (5, -0.6)):
        parts = [part.item() for part in task.losses(Batch([1, 0], [0, 3, 2]), step)]
        assert sum(parts) == pytest.approx((1 + lambda_) * selected - lambda_ * target, rel=1e-5)
        assert len(parts) == accumulate
    assert task.sides == (2, 4, 0)


# The training


def some_pairs(count, neighbours=3):
    """Of ``examples``, whose labels alternate."""
    rows = [(row, (row + 2 * step) % count) for row in range(count) for step in range(1, neighbours + 1)]
    rows += [(row, (row + 2 * step + 1) % count) for row in range(count) for step in range(neighbours)]
    return Pairs(np.array(rows), np.array([True] * (count * neighbours) + [False] * (count * neighbours)))


def tune(tiny, *, pairs="some", target=None, selected=None, kept=None, progress=None, seed=0, **changes):  # noqa: F811
    target = examples(12, 1) if target is None else target
    pairs = some_pairs(len(target) + len(selected or ())) if pairs == "some" else pairs
    return fine_tune(
        settings(tiny, **{**FIVE, **changes}), selected=selected, target=target, dev=None, labels=LABELS, seed=seed,
        pairs=pairs, checkpoint=kept, progress=progress,
    )  # fmt: skip


def cosines_of(classifier, texts, labels):
    ids, _ = tokenise(classifier.tokenizer, texts, 16)
    with torch.inference_mode():
        vectors = sentence_vectors(classifier.model, classifier.tokenizer, ids).numpy()
    cosines = vectors @ vectors.T
    alike = np.array(labels)[:, None] == np.array(labels)
    return cosines[alike & ~np.eye(len(texts), dtype=bool)].mean(), cosines[~alike].mean()


def test_afterwards_texts_of_a_label_are_closer_than_others(tiny):  # noqa: F811
    """On texts that it has not seen, where the untouched body tells nothing, and with a classifier of one step."""
    held_out = examples(60, 9)
    own = {"contrastive": {"steps": 120, "batch_size": 16, "learning_rate": 3e-3}}
    changes = {"steps": 1, "learning_rate": 1e-6}
    before = tune(tiny, target=examples(40, 1), contrastive={"steps": 0}, **changes).classifier
    after = tune(tiny, target=examples(40, 1), **own, **changes)
    alike, unlike = cosines_of(before, held_out.texts, held_out.labels)
    assert alike - unlike < 0.1
    alike, unlike = cosines_of(after.classifier, held_out.texts, held_out.labels)
    assert alike - unlike > 0.4
    told = after.uses["contrastive"]
    assert (told["documents"], told["pairs"], told["same"], told["steps"]) == (40, 240, 120, 120)
    assert told["loss"] < 0.25


def test_the_classifier_is_saved_as_any_other(tiny, tmp_path):  # noqa: F811
    tuned = tune(tiny)
    tuned.classifier.save(tmp_path)
    texts = list(examples(8, 4).texts)
    loaded = Classifier.load(tmp_path)
    assert np.array_equal(loaded.logits(texts), tuned.classifier.logits(texts))
    assert loaded.settings.contrastive.steps == 5
    plain = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        logits = plain(**tuned.classifier.tokenizer(texts, padding=True, return_tensors="pt")).logits
    assert np.allclose(logits.numpy(), tuned.classifier.logits(texts), atol=1e-5)


def test_pairs_change_the_model_and_their_steps_are_counted(tiny):  # noqa: F811
    seen = []
    tuned = tune(tiny, progress=lambda step, loss: seen.append((step, loss)))
    own = settings(tiny, **FIVE)
    assert [step for step, _ in seen] == list(range(1, 12))
    assert planned(own, Served()) == 11
    assert tuned.steps == 6
    without = tune(tiny, contrastive={"steps": 0}, pairs=None)
    assert not same(tuned, without)
    assert without.uses == {}
    assert same(without, tune(tiny, contrastive={"steps": 0}))  # pairs that nobody asked for
    other = Pairs(some_pairs(12).rows[::-1].copy(), some_pairs(12).same[::-1].copy())
    assert not same(tuned, tune(tiny, pairs=other))


def test_the_same_whatever_ran_before(tiny):  # noqa: F811
    first = tune(tiny)
    torch.manual_seed(99)
    tune(tiny, seed=4, precision="bf16")
    torch.rand(7)
    np.random.seed(1)  # noqa: NPY002
    state = torch.get_rng_state()
    assert same(tune(tiny), first)
    assert torch.equal(torch.get_rng_state(), state)


def test_killed_at_any_step_it_ends_in_the_same_weights(tiny, tmp_path):  # noqa: F811
    whole = tune(tiny, checkpoint=0.0)
    kept = tmp_path / "run.safetensors"

    def killed(at, step, loss):
        if step == at:
            raise KeyboardInterrupt

    for at in range(1, 12):
        with pytest.raises(KeyboardInterrupt):
            tune(tiny, kept=kept, progress=partial(killed, at), checkpoint=0.0)
    seen = []
    again = tune(tiny, kept=kept, progress=lambda step, loss: seen.append(step), checkpoint=0.0)
    assert seen == [11]
    assert same(again, whole)
    assert again.uses == whole.uses
    assert (tmp_path / "run.contrastive.safetensors").exists()


def test_other_pairs_are_another_run(tiny, tmp_path):  # noqa: F811
    kept = tmp_path / "run.safetensors"
    tune(tiny, kept=kept)
    fewer = some_pairs(12, 2)
    assert same(tune(tiny, pairs=fewer, kept=kept), tune(tiny, pairs=fewer))


@pytest.mark.parametrize("lambda_", [-1.0, -0.5, 0.0])
def test_pairs_go_by_lambda(tiny, lambda_):  # noqa: F811
    """At −1 the selection, at 0 the target has no part in it, and nothing of it reaches the weights."""
    target, selected, other = examples(12, 1), examples(10, 2), examples(10, 5)
    rows = {-1.0: 12, -0.5: 22, 0.0: 10}[lambda_]
    run = partial(tune, tiny, pairs=some_pairs(rows), **{"lambda": lambda_, "learning_rate": 1e-5})
    both = run(target=target, selected=selected)
    assert both.uses["contrastive"]["documents"] == rows
    assert same(both, run(target=target, selected=other)) == (lambda_ == -1)
    assert same(both, run(target=examples(12, 8), selected=selected)) == (lambda_ == 0)


def test_pairs_are_of_their_anchors_side_and_weigh_as_it_does(tiny, monkeypatch):  # noqa: F811
    from curator.training import contrasting

    given, run = [], contrasting.run_steps
    monkeypatch.setattr(
        contrasting, "run_steps", lambda task, *rest, **more: given.append(task) or run(task, *rest, **more)
    )
    target, selected = (
        replace(examples(6, seed), weights=weights) for seed, weights in ((1, (2.0,) * 6), (2, (7.0,) * 6))
    )
    pairs = some_pairs(12)
    tune(tiny, target=target, selected=selected, pairs=pairs, **{"lambda": -0.25})
    (task,) = given
    assert (task.lambdas, task.sides) == ((-0.25, -0.25), (36, 36, 0))
    assert task.weights.tolist() == [2.0] * 36 + [7.0] * 36
    ids, _ = tokenise(task.tokenizer, target.texts + selected.texts, 16)
    wanted = [(ids[one], ids[other], int(alike)) for (one, other), alike in zip(pairs.rows, pairs.same, strict=True)]
    wanted = [wanted[row] for side in (0, 1) for row in range(72) if (pairs.rows[row, 0] >= 6) == side]
    assert [(task.ids[one], task.ids[other], alike) for one, other, alike in task.classes.tolist()] == wanted


def test_it_goes_on_from_what_the_body_learnt_from_text(tiny):  # noqa: F811
    own = {"text": {"steps": 4, "batch_size": 8, "learning_rate": 1e-3}}
    target = examples(12, 1)
    run = partial(
        fine_tune, target=target, selected=None, dev=None, labels=LABELS, seed=0, served=Served(text=target.texts)
    )
    both = run(settings(tiny, **own, **FIVE), pairs=some_pairs(12))
    assert list(both.uses) == ["text", "contrastive"]
    assert both.uses["contrastive"]["loss"] != tune(tiny).uses["contrastive"]["loss"]
    assert planned(settings(tiny, **own, **FIVE), Served(text=target.texts)) == 4 + 5 + 6


def test_weights_count_and_a_weight_of_nothing_takes_no_part(tiny):  # noqa: F811
    texts = examples(14, 1)
    plain = tune(tiny)
    none = replace(texts, weights=(0.0, 0.0, *[1.0] * 12))
    kept = Examples(texts.texts[2:], texts.labels[2:])
    assert same(tune(tiny, target=none, pairs=some_pairs(12)), tune(tiny, target=kept))
    weighed = replace(examples(12, 1), weights=(9.0, *[1.0] * 11))
    once = tune(tiny, target=weighed, learning_rate=1e-7)
    assert once.uses["contrastive"]["loss"] != plain.uses["contrastive"]["loss"]


def test_long_texts_are_cut_as_the_settings_say(tiny):  # noqa: F811
    long = Examples(tuple(f"{text} {' w1' * 30} {text}" for text in examples(12, 1).texts), examples(12, 1).labels)
    head, tail = (tune(tiny, target=long, long_texts=kept) for kept in ("head", "head-tail"))
    assert head.uses["contrastive"]["truncated"] == 12
    assert head.uses["contrastive"]["loss"] != tail.uses["contrastive"]["loss"]


def test_in_bf16_it_learns_about_the_same(tiny):  # noqa: F811
    own = {"contrastive": {"steps": 40, "batch_size": 16, "learning_rate": 3e-3}}
    losses = [tune(tiny, precision=kind, **own).uses["contrastive"]["loss"] for kind in ("fp32", "bf16")]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
    assert losses[0] != losses[1]


@pytest.mark.parametrize("adapter", ["lora", "ia3"])
def test_an_adapter_is_refused(tiny, adapter):  # noqa: F811
    with pytest.raises(UsageError, match=f"adapter = '{adapter}' leaves the model as it is"):
        tune(tiny, adapter=adapter)


def test_what_cannot_be_learned_is_refused(tiny):  # noqa: F811
    with pytest.raises(UsageError, match="needs pairs of documents"):
        tune(tiny, pairs=None)
    some = some_pairs(12)
    for kind, told in ((True, "different labels"), (False, "the same label")):
        with pytest.raises(DataError, match=f"no two documents with texts of their own have {told}"):
            tune(tiny, pairs=Pairs(some.rows[some.same == kind], some.same[some.same == kind]))
    with pytest.raises(DataError, match="pair 0 is said to have two labels"):
        tune(tiny, pairs=Pairs(some.rows, ~some.same))
    with pytest.raises(DataError, match="rows 0 to 11 of 10 documents"):
        tune(tiny, pairs=some, target=examples(10, 1))
    with pytest.raises(DataError, match="rows of shape"):
        Pairs(some.rows, some.same[1:])


def test_all_documents_of_one_label_have_no_pair_to_part():
    frame = pl.DataFrame({"label": ["a"] * 4, "text": list("wxyz"), "drawn": [True] * 4})
    pairs = found(Relation(frame, Vectors.of(np.eye(4, dtype=np.float32), unit=True)), 2)
    assert pairs.same.all()
    assert len(pairs) == 8
    with pytest.raises(DataError, match="different labels"):
        pairs.checked(["a"] * 4)


def test_off_it_is_left_out_of_what_is_written_down():
    assert "contrastive" not in Train.model_validate({}).model_dump()
    on = Train.model_validate({"contrastive": {"steps": 3}})
    assert Train.model_validate(json.loads(on.model_dump_json(by_alias=True))) == on


# In a race


@pytest.fixture
def recipe(tmp_path, tiny):  # noqa: F811
    rng = np.random.default_rng(0)

    def write(name, count):
        rows = [
            {
                "id": f"{name}{row}",
                "text": f"{' '.join(rng.choice(WORDS[4:], 4))} {['bad', 'good'][row % 2]}",
                "label": LABELS[row % 2],
            }
            for row in range(count)
        ]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    for name, count in (("target", 12), ("test", 30), ("shop", 40)):
        write(name, count)
    return Recipe.parse(
        {
            "name": "race",
            "task": {"target": "target.jsonl", "test": "test.jsonl", "shots": 4},
            "pool": {"shop": {"path": "shop.jsonl"}},
            "stage": [{"use": "ratio", "budget": 8}],
            "train": {
                "model": str(tiny), "steps": 2, "batch_size": 4, "max_length": 16, "precision": "fp32",
                "contrastive": {"steps": 3, "batch_size": 4, "neighbours": 2},
            },
            "race": {"seeds": 2, "evaluation": 20, "arms": ["target-only", "mix"]},
        },
        folder=tmp_path,
    )  # fmt: skip


def test_a_race_tells_of_pairs_and_they_are_part_of_a_runs_key(tmp_path, toy, recipe, monkeypatch):
    from curator import Workspace
    from curator.race import run as race_run

    ws = Workspace(tmp_path / "work", encoder=toy)
    race = ws.race(recipe)
    told = {(run["arm"], run["seed"]): run["uses"]["contrastive"] for run in race.record["runs"]}
    assert {run["error"] for run in race.record["runs"]} == {None}
    assert [told[arm, 0]["steps"] for arm in ("target-only", "mix")] == [3, 3]
    assert told["target-only", 0]["documents"] <= 8 < told["mix", 0]["documents"] <= 16
    race.report(tmp_path / "race.md")
    assert "pairs of labelled documents, 3 steps before" in (tmp_path / "race.md").read_text("utf8")
    trained = []
    monkeypatch.setattr(fitting, "fine_tune", lambda *_, **rest: trained.append(rest["seed"]) or fine_tune(*_, **rest))
    ws.race(recipe)
    assert trained == []
    find = race_run.wanted_pairs

    def fewer(settings_, task, frame):  # as another encoder, or other SQL, would
        pairs = find(settings_, task, frame)
        return Pairs(pairs.rows[:-1], pairs.same[:-1])

    monkeypatch.setattr(race_run, "wanted_pairs", fewer)
    ws.race(recipe)
    assert trained == [0, 0, 1, 1]
    assert math.isfinite(told["mix", 1]["loss"])
