"""A new task on a model of an earlier one, whose documents are replayed: shares, the head, the draw, a whole race."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from test_training import WORDS, one_thread, same, settings, tiny  # noqa: F401  fixtures
from torch.nn import functional

from curator import Recipe, Workspace
from curator.errors import CuratorWarning, DataError, RecipeError, UnknownNameError, UsageError, WorkspaceError
from curator.mix import replayed
from curator.mix.card import facts
from curator.mix.replay import _by_label
from curator.models import fitting
from curator.race import run as running
from curator.race.evaluation import drawn
from curator.race.retention import retained
from curator.race.statistics import interval, score
from curator.training import Classifier, Examples, Rehearsal, Served, evaluate, fine_tune
from curator.training.batches import Batch, rows_per_batch
from curator.training.continued import load_continued
from curator.training.head import widen
from curator.training.loop import seeded
from curator.training.model import load_pretrained, tokenise
from curator.training.sides import sides_of
from curator.training.steps import Task

OLD, NEW = {"good": "positive", "bad": "negative"}, {"fine": "calm", "poor": "upset"}


def texts(words, count, seed):
    """Neutral words and, three times, one that gives the label away: ``count`` of each label."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        for word in words:
            chosen = [WORDS[index] for index in rng.integers(4, len(WORDS), size=6)]
            for place in rng.integers(7, size=3):
                chosen.insert(place, word)
            yield number, word, " ".join(chosen)


def examples(words, count, seed, weight=1.0):
    rows = [(text, words[word]) for _, word, text in texts(words, count, seed)]
    return Examples(tuple(text for text, _ in rows), tuple(label for _, label in rows), (weight,) * len(rows))


def write(path, words, count, seed):
    rows = [
        {"id": f"{path.stem}{word}{n}", "text": text, "label": words[word]}
        for n, word, text in texts(words, count, seed)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return rows


# Rows and loss


def test_replay_has_its_share_of_the_rows():
    assert rows_per_batch(16, (-0.5, -0.5), 0.5) == (4, 4, 8)
    assert rows_per_batch(16, (-0.25, -0.25), 0.25) == (3, 9, 4)
    assert rows_per_batch(16, (-1, -1), 0.25) == (12, 0, 4)  # the target alone, and the replay
    assert rows_per_batch(16, (0, 0), 0.01) == (0, 15, 1)
    with pytest.raises(UsageError, match="no room for 3 kinds"):
        rows_per_batch(2, (-0.5, -0.5), 0.5)


def task_of(tiny, share, lambda_, **changes):  # noqa: F811
    own = settings(tiny, replay={"mix": "old", "share": share}, **{"lambda": lambda_}, **changes)
    labels = (*NEW.values(), *OLD.values())
    replay = examples(OLD, 4, 3)
    replay = replace(replay, weights=(1.0, 3.0) * 4)
    selected = examples(NEW, 3, 2, 2.0) if lambda_ > -1 else None
    sides = sides_of(own, examples(NEW, 2, 1), selected, None, Served(), labels, replayed=replay)
    with seeded(3, "cpu"):
        model, tokenizer = load_pretrained(str(tiny), labels)
    ids, _ = tokenise(tokenizer, sides.texts, own.max_length)
    task = Task(
        model=model.train(False), tokenizer=tokenizer, embedding=None, adapter=None, precision="fp32", settings=own,
        lambdas=sides.lambdas, ids=ids, classes=sides.classes, weights=sides.weights, targets=sides.targets,
        auxiliary=sides.beside, share=sides.share, tasks=sides.tasks,
    )  # fmt: skip
    return task, sides, labels


@pytest.mark.parametrize(("share", "lambda_"), [(0.5, -0.5), (0.2, -0.25), (0.3, -1.0)])
def test_the_loss_is_a_weighted_mean_of_three_over_all_labels(tiny, share, lambda_):  # noqa: F811
    task, sides, labels = task_of(tiny, share, lambda_)
    assert task.sides == (4, 6 if lambda_ > -1 else 0, 8)
    assert (task.share, task.tasks) == (share, None)
    batch = Batch([0, 3], [5, 1, 2] if lambda_ > -1 else [], [7, 0, 4, 1])
    found = sum(loss.item() for loss in task.losses(batch, 1))

    def mean(start, rows, average):
        total = 0.0
        for row in rows:
            tokens = torch.tensor([task.ids[start + row]])
            with torch.no_grad():
                logits = task.model(input_ids=tokens).logits[0]
            truth = labels.index(
                {**NEW, **OLD}[next(w for w in sides.texts[start + row].split() if w in {**NEW, **OLD})]
            )
            total += -float(functional.log_softmax(logits, dim=0)[truth]) * float(sides.weights[start + row]) / average
        return total / max(len(rows), 1)

    own = -lambda_ * mean(0, batch.target, 1.0) + (1 + lambda_) * mean(4, batch.selected, 2.0)
    expected = (1 - share) * own + share * mean(4 + task.sides[1], batch.auxiliary, 2.0)
    assert found == pytest.approx(expected, rel=1e-4)


def test_balanced_labels_weigh_alike_in_the_replay(tiny):  # noqa: F811
    own = settings(tiny, replay={"mix": "old"}, class_weights="balanced")
    uneven = Examples(("a", "b", "c", "d"), ("positive", "negative", "negative", "negative"))
    labels = (*NEW.values(), *OLD.values())
    sides = sides_of(own, examples(NEW, 1, 1), examples(NEW, 1, 2), None, Served(), labels, replayed=uneven)
    assert sides.weights[-4:].tolist() == pytest.approx([2, 2 / 3, 2 / 3, 2 / 3])
    with pytest.raises(DataError, match=r"1 of 1 replayed examples have labels such as 'odd'"):
        sides_of(own, examples(NEW, 1, 1), None, None, Served(), labels, replayed=Examples(("a",), ("odd",)))


# The head


def tuned(model, words, *, seed=0, rehearsal=None, dev=None, kept=None, progress=None, **changes):
    return fine_tune(
        settings(model, **changes), selected=examples(words, 6, 2), target=examples(words, 6, 1), dev=dev,
        labels=tuple(sorted(words.values())), seed=seed, rehearsal=rehearsal, checkpoint=kept, progress=progress,
    )  # fmt: skip


@pytest.fixture(scope="module")
def old(tiny, tmp_path_factory) -> Path:  # noqa: F811
    """A classifier of the earlier task."""
    directory = tmp_path_factory.mktemp("old")
    tuned(tiny, OLD, steps=4).classifier.save(directory)
    return directory


def test_rows_of_the_head_are_kept_by_name_and_others_are_new(old):
    before = Classifier.load(old)
    assert before.labels == ("negative", "positive")
    for labels in (("calm", "positive", "upset", "negative"), ("positive", "calm"), ("calm", "upset")):
        with seeded(1, "cpu"):
            model, _ = load_continued(str(old), labels)
        with seeded(1, "cpu"):
            again, _ = load_continued(str(old), labels)
        with seeded(2, "cpu"):
            other, _ = load_continued(str(old), labels)
        own, head = before.model.classifier, model.classifier
        assert (head.out_features, *head.weight.shape) == (len(labels), len(labels), 32)
        assert model.config.id2label == dict(enumerate(labels))
        for row, label in enumerate(labels):
            if label in before.labels:
                place = before.labels.index(label)
                assert torch.equal(head.weight[row], own.weight[place])
                assert torch.equal(head.bias[row], own.bias[place])
            else:
                assert head.bias[row] == 0  # as transformers begins a head: normal weights, no bias
                assert 0.005 < head.weight[row].std() < 0.04
                assert torch.equal(head.weight[row], again.classifier.weight[row])
                assert not torch.equal(head.weight[row], other.classifier.weight[row])
        for name, value in before.model.base_model.state_dict().items():
            assert torch.equal(value, model.base_model.state_dict()[name])


def test_another_model_gets_a_new_head(tiny):  # noqa: F811
    with seeded(4, "cpu"):
        model, _ = load_continued(str(tiny), ("a", "b", "c"))
    with seeded(4, "cpu"):
        plain, _ = load_pretrained(str(tiny), ("a", "b", "c"))
    assert torch.equal(model.classifier.weight, plain.classifier.weight)
    model.config.id2label = {0: "a"}  # a head that is not what the configuration says
    with pytest.raises(UsageError, match="not one layer of 1 outputs"):
        widen(model, ("a", "b"))


def test_an_adapter_is_no_model_to_go_on_from(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UsageError, match="holds an adapter and a head, not a whole model"):
        load_continued(str(tmp_path), ("a", "b"))


# A training


def rehearsal(dev=False):
    devs = (examples(OLD, 5, 9),) if dev else (None,)
    return Rehearsal((("negative", "positive"),), devs, examples(OLD, 6, 7))


REPLAY = {"mix": "old", "share": 0.5}


def test_a_model_of_both_tasks_is_chosen_by_both_dev_sets(old):
    given = rehearsal(dev=True)
    found = tuned(
        old, NEW, rehearsal=given, dev=examples(NEW, 5, 8), steps=6, evaluate_every=2, learning_rate=5e-3, replay=REPLAY
    )
    assert found.classifier.labels == ("calm", "upset", "negative", "positive")
    (earlier,) = found.dev["earlier"]
    own = evaluate(
        given.dev[0].labels,
        found.classifier.predict(given.dev[0].texts),
        found.classifier.labels,
        own=list(OLD.values()),
    )
    assert earlier["macro_f1"] == pytest.approx(own["macro_f1"])
    alone = tuned(old, NEW, rehearsal=Rehearsal(given.labels), dev=examples(NEW, 5, 8), steps=6, replay=REPLAY)
    assert "earlier" not in alone.dev
    assert alone.classifier.labels == found.classifier.labels


@pytest.mark.parametrize("replayed", [True, False])
def test_a_training_begins_with_the_rows_that_are_kept(old, replayed):
    given = rehearsal() if replayed else Rehearsal(rehearsal().labels)
    found = tuned(old, NEW, rehearsal=given, steps=1, learning_rate=1e-9, replay=REPLAY)
    before, after = Classifier.load(old), found.classifier
    rows = [after.labels.index(label) for label in before.labels]
    assert torch.allclose(after.model.classifier.weight[rows], before.model.classifier.weight, atol=1e-6)


def test_weights_are_chosen_by_the_mean_over_tasks():
    from curator.training.course import Best

    def dev(new, earlier, loss=1.0):
        return {"macro_f1": new, "loss": 1.0, "earlier": [{"macro_f1": earlier, "loss": loss}]}

    best = Best(1, 1, dev(0.9, 0.1), {})
    assert best.beaten_by(dev(0.6, 0.5), "macro_f1")
    assert not best.beaten_by(dev(0.95, 0.0), "macro_f1")
    assert best.beaten_by(dev(0.5, 0.5, loss=0.5), "macro_f1")  # a tie, and a lower loss
    assert not best.beaten_by(dev(0.5, 0.5, loss=1.5), "macro_f1")


def test_the_score_of_a_task_is_over_its_own_labels():
    """Of 4 documents of a and b, one of b is called c, which is another task's: F1 of a is 1, of b 2/3."""
    probabilities = np.eye(3, dtype=np.float32)[[0, 0, 1, 2]]
    found = evaluate(["a", "a", "b", "b"], probabilities, ["a", "b", "c"], own=["a", "b"])
    assert found["macro_f1"] == pytest.approx((1 + 2 / 3) / 2)
    assert evaluate(["a", "a", "b", "b"], probabilities, ["a", "b", "c"])["macro_f1"] == pytest.approx((1 + 2 / 3) / 3)
    assert score([0, 0, 1, 1], [0, 0, 1, 2], "macro_f1", [0, 1]) == pytest.approx(100 * (1 + 2 / 3) / 2)
    assert score([0, 0, 1, 1], [0, 0, 1, 2], "macro_f1") == pytest.approx(100 * (1 + 2 / 3) / 3)
    assert score([0, 0, 1, 1], [0, 0, 1, 2], "accuracy", [0, 1]) == 75.0
    assert score([2, 2], [0, 0], "macro_f1", [1, 2]) == 0.0


def test_killed_at_a_step_it_ends_in_the_same_weights(old, tmp_path):
    def killed(at, step, loss):
        if step == at:
            raise KeyboardInterrupt

    common = {"steps": 6, "evaluate_every": 2, "checkpoint": 0.0, "replay": REPLAY, "dev": examples(NEW, 3, 8)}
    whole = tuned(old, NEW, rehearsal=rehearsal(dev=True), **common)
    for at in (1, 3, 5):
        kept = tmp_path / f"state{at}"
        with pytest.raises(KeyboardInterrupt):
            tuned(old, NEW, rehearsal=rehearsal(dev=True), kept=kept, progress=partial(killed, at), **common)
        steps = list[tuple[int, float]]()
        again = tuned(
            old, NEW, rehearsal=rehearsal(dev=True), kept=kept, progress=lambda *one, to=steps: to.append(one), **common
        )
        assert [step for step, _ in steps] == list(range(at, 7))
        assert same(whole, again)
        assert again.history == whole.history


def test_what_a_replay_does_not_go_with_is_refused(old):
    served = Served(text=("some text",))
    with pytest.raises(UsageError, match="serve as text do not go with a replay"):
        fine_tune(
            settings(old, replay=REPLAY), selected=None, target=examples(NEW, 3, 1), dev=None, labels=("calm", "upset"),
            seed=0, served=served, rehearsal=rehearsal(),
        )  # fmt: skip
    with pytest.raises(UsageError, match=r"12 replayed examples, and no settings\.replay"):
        tuned(old, NEW, rehearsal=rehearsal())


# A race


def recipe_of(folder, tiny, name, words, **changes):  # noqa: F811
    for part, count, seed in (("target", 10, 11), ("test", 15, 12), ("pool", 25, 13)):
        if not (folder / f"{name}-{part}.jsonl").exists():
            write(folder / f"{name}-{part}.jsonl", words, count, seed + 10 * len(name))
    values = {
        "name": name,
        "task": {"target": f"{name}-target.jsonl", "test": f"{name}-test.jsonl", "shots": 10},
        "pool": {"pool_of_" + name: {"path": f"{name}-pool.jsonl"}},
        "stage": [{"use": "ratio", "budget": 20}],
        "train": {
            "model": str(tiny), "steps": 160, "batch_size": 16, "max_length": 16, "precision": "fp32",
            "learning_rate": 1.5e-3, "evaluate_every": 40,
        },
        "race": {"arms": ["mix", "mix-without-replay"], "seeds": 2, "evaluation": 24},
    }  # fmt: skip
    for part, own in changes.items():
        values[part] = {**values[part], **own}
    return Recipe.parse(values, folder=folder)


@pytest.fixture(scope="module")
def earlier(tiny, tmp_path_factory):  # noqa: F811
    """A workspace with a model of the earlier task, and where the files of both are."""
    from conftest import ToyEncoder

    folder = tmp_path_factory.mktemp("earlier")
    ws = Workspace(folder / "work", encoder=ToyEncoder())
    ws.train(recipe_of(folder, tiny, "earlier", OLD, race={"arms": ["mix"]}), output=folder / "model")
    return folder, ws


def later(earlier, **changes):
    folder, _ = earlier
    train = {"replay": {"mix": "earlier"}, **changes.pop("train", {})}
    return recipe_of(folder, folder / "model", "later", NEW, train=train, **changes)


@pytest.fixture(scope="module")
def raced(earlier):
    return earlier[1].race(later(earlier))


def test_without_replay_the_earlier_task_is_forgotten_and_with_it_not(raced):
    record = raced.record
    assert {run["error"] for run in record["runs"]} == {None}
    assert record["labels"] == ["calm", "upset", "negative", "positive"]
    replay = record["replay"]
    assert (replay["own"], replay["share"]) == (2, 0.5)
    (task,) = replay["tasks"]
    assert task["labels"] == [2, 3]
    rows = {(row.task, row.arm): row for row in retained(record)}
    new, kept = (rows[task, "mix"] for task in ("later", "earlier"))
    forgot = rows["earlier", "mix-without-replay"]
    assert new.mean > 80
    assert rows["later", "mix-without-replay"].mean > 80
    assert new.before == 0.0  # the earlier model knows no label of the new task
    assert kept.before == forgot.before > 80
    assert kept.mean > 80
    assert forgot.mean < 20
    worth = [one - other for one, other in zip(kept.scores, forgot.scores, strict=True)]
    assert (kept.worth, kept.worth_interval) == (pytest.approx(np.mean(worth)), interval(worth))
    assert kept.change == pytest.approx(np.mean(kept.scores) - kept.before)
    assert forgot.worth is None


def test_predictions_of_both_tasks_are_those_of_the_saved_model(raced, earlier):
    folder, _ = earlier
    known = Classifier.load(raced.directory / "model")
    run = next(run for run in raced.record["runs"] if (run["arm"], run["seed"]) == ("mix", 0))
    (task,) = raced.record["replay"]["tasks"]
    for ids, predictions, file, words in (
        (raced.record["evaluation"]["ids"], run["predictions"], "later-test.jsonl", NEW),
        (task["evaluation"]["ids"], run["earlier"][0], "earlier-test.jsonl", OLD),
    ):
        rows = {row["id"]: row for row in map(json.loads, (folder / file).read_text().splitlines())}
        assert len(ids) == 24
        expected = known.predict([rows[name]["text"] for name in ids]).argmax(axis=1)
        assert predictions == expected.tolist()
        truth = raced.record["evaluation"]["truth"] if words is NEW else task["evaluation"]["truth"]
        assert [raced.record["labels"][label] for label in truth] == [rows[name]["label"] for name in ids]
    before = Classifier.load(folder / "model")
    expected = before.predict([rows[name]["text"] for name in ids]).argmax(axis=1)
    assert [raced.record["labels"][label] for label in task["before"]] == [before.labels[label] for label in expected]


def test_record_and_reports_tell_of_the_tasks(raced, tmp_path):
    for seed, told in enumerate(raced.record["replay"]["seeds"]):
        left_out = sum(row["documents"] for row in told["left_out"])
        assert (told["seed"], told["there"]) == (seed, 16 + 20)  # examples without those held out for dev, and the mix
        assert told["documents"] == told["of"]["earlier"] == told["there"] - left_out
    rows = raced.tasks()
    assert [(row["task"], row["new"], row["arm"]) for row in rows] == [
        ("later", True, "mix"), ("later", True, "mix-without-replay"),
        ("earlier", False, "mix"), ("earlier", False, "mix-without-replay"),
    ]  # fmt: skip
    for path in (tmp_path / "report.html", tmp_path / "report.md"):
        text = raced.report(path).read_text("utf8")
        assert "earlier (earlier)" in text
        assert "later (new)" in text
        assert "documents of the mix earlier, version" in text


def test_a_finished_race_is_taken_from_its_files(raced, earlier, monkeypatch):
    _, ws = earlier
    monkeypatch.setattr(fitting, "fine_tune", lambda *_, **__: pytest.fail("trained"))
    again = ws.race(later(earlier)).record
    keys = [{(run["arm"], run["seed"]): run["inputs"] for run in record["runs"]} for record in (again, raced.record)]
    assert keys[0] == keys[1]
    assert again["replay"] == raced.record["replay"]


def test_a_run_of_another_replay_is_another(earlier):
    task, ws = prepared(earlier)
    workshop, replay = ws._workshop(task.recipe), replayed(task, ws._corpora, ws.session)
    evaluation = drawn(task, workshop, 24)

    def key(arm="mix", task=task, replay=replay, evaluation=evaluation):
        return running._inputs(arm, task, task.pool.frame, evaluation, replay, ("cpu", "fp32"), also="")

    (one,) = task.earlier
    rebuilt = replace(task, earlier=(replace(one, mix=replace(one.mix, version="0" * 12)),))
    fewer = replace(replay, frame=replay.frame[1:])
    measured = replace(evaluation, earlier=(replace(evaluation.earlier[0], ids=["other"] * 24),))
    assert len({key(), key(task=rebuilt), key(replay=fewer), key(evaluation=measured), key(replay=None)}) == 5
    without = "mix-without-replay"
    assert key(without) == key(without, replay=fewer)  # what is not replayed decides nothing
    assert key(without) != key(without, evaluation=measured)


# What is replayed, and what is kept out


def prepared(earlier, seed=0, **changes):
    _, ws = earlier
    recipe = later(earlier, **changes)
    return ws._workshop(recipe).prepare(recipe, seed), ws


def test_the_replay_is_the_target_and_the_mix_drawn_by_label_and_seed(earlier):
    task, ws = prepared(earlier)
    every = replayed(task, ws._corpora, ws.session)
    mix = ws.mix("earlier").frame()
    target = task.earlier[0].task.target.frame
    assert {*every.frame["id"], *every.left_out["id"]} == {*mix["id"], *target["id"]}
    assert len(every.frame) + len(every.left_out) == every.there == len(mix) + len(target)
    labels = dict(zip(mix["id"], mix["label"], strict=True)) | dict(zip(target["id"], target["label"], strict=True))
    assert [labels[name] for name in every.frame["id"]] == every.frame["label"].to_list()
    assert set(every.frame["corpus"]) == {"earlier-target", "earlier-pool_of_earlier"}
    target = target.filter(~pl.col("id").is_in(every.left_out["id"].to_list()))

    def few_of(seed, number):
        task, _ = prepared(earlier, seed, train={"replay": {"mix": "earlier", "documents": number}})
        return replayed(task, ws._corpora, ws.session).frame

    few = few_of(0, 6)
    assert few.equals(few_of(0, 6))
    assert dict(few.group_by("label").len().iter_rows()) == {"positive": 3, "negative": 3}
    assert set(few["corpus"]) == {"earlier-target"}  # the task's own examples first
    assert set(few["id"]) != set(few_of(1, 6)["id"])
    assert set(few["id"]) < set(few_of(0, 8)["id"])
    more = few_of(0, len(target) + 4)
    assert set(target["id"]) < set(more["id"])
    of_each = more.group_by("label").len()["len"]
    assert of_each.max() - of_each.min() <= 1
    with pytest.raises(DataError, match=r"documents = 999: ask for fewer"):
        few_of(0, 999)


def test_a_rare_label_is_drawn_as_often_as_there_are_documents():
    """40 documents of a and 3 of b, the target's the last ten of a and the last of b."""
    rows = [
        ("c", f"{label}{n}", label, n >= count - own)
        for label, count, own in (("a", 40, 10), ("b", 3, 1))
        for n in range(count)
    ]
    documents = pl.DataFrame(rows, ["corpus", "id", "label", "first"], orient="row")
    for number, of_b in ((2, 1), (6, 3), (10, 3), (43, 3)):
        drawn = _by_label(documents, number, 0)
        assert dict(drawn.group_by("label").len().iter_rows()) == {"a": number - of_b, "b": of_b}
        assert drawn["first"].sum() == min(number - of_b, 10) + 1
        places = [documents["id"].to_list().index(name) for name in drawn["id"]]
        assert places == sorted(places)
    assert set(_by_label(documents, 8, 0)["id"]) != set(_by_label(documents, 8, 1)["id"])


def test_neither_task_is_trained_on_the_others_test_set(earlier, tiny, tmp_path, toy):  # noqa: F811
    """A test document of the earlier task is in the new pool, one of the new task in the earlier mix."""
    ws = Workspace(tmp_path / "work", encoder=toy)
    old_test = write(tmp_path / "earlier-test.jsonl", OLD, 15, 100)
    new_test = write(tmp_path / "later-test.jsonl", NEW, 15, 200)
    leak = {**new_test[0], "id": "leak", "label": "positive"}
    (tmp_path / "earlier-pool.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in [*write(tmp_path / "rows.jsonl", OLD, 10, 300), leak])
    )
    copies = [{**row, "id": f"copy{n}", "label": "calm"} for n, row in enumerate(old_test[:3])]
    (tmp_path / "later-pool.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in [*write(tmp_path / "rows.jsonl", NEW, 15, 400), *copies])
    )
    loose = [{"use": "ratio", "budget": 21}]
    old = Recipe.parse(
        {**plain(recipe_of(tmp_path, tiny, "earlier", OLD, race={"arms": ["mix"]})), "stage": loose}, folder=tmp_path
    )
    assert "leak" in ws.mix(old).frame()["id"]
    values = plain(recipe_of(tmp_path, tiny, "later", NEW, race={"arms": ["mix"]}))
    without = Recipe.parse({**values, "name": "alone", "stage": []}, folder=tmp_path)
    assert {"copy0", "copy1", "copy2"} <= set(ws.mix(without).frame()["id"])
    values["train"]["replay"] = {"mix": "earlier"}
    values["stage"] = []
    recipe = Recipe.parse(values, folder=tmp_path)
    mix = ws.mix(recipe)
    assert not {"copy0", "copy1", "copy2"} & set(mix.frame()["id"])
    dropped = mix.ledger().filter(pl.col("deciding") & ~pl.col("keep"))
    assert set(dropped["id"]) == {"copy0", "copy1", "copy2"}
    assert set(dropped["rule"]) == {"same text as test"}
    assert set(dropped["partner_corpus"]) == {"earlier-test"}
    task = ws._workshop(recipe).prepare(recipe, 0)
    found = replayed(task, ws._corpora, ws.session)
    assert "leak" not in found.frame["id"]
    assert {"of": "earlier", "rule": "same text as test", "documents": 1} in found.told()["left_out"]
    assert found.there == len(found.frame) + len(found.left_out)
    # The lock names what is replayed; it verifies, and without a replay the mix is another.
    assert mix.lock["replay"] == {
        "mix": "earlier", "version": ws.mix("earlier").version, "ids_sha256": ws.mix("earlier").lock["ids_sha256"],
    }  # fmt: skip
    assert mix.lock["recipe"]["train"] == {"replay": {"mix": "earlier"}}
    told = facts(mix.lock, mix.summary(), "lock.json")
    assert f"documents of the mix earlier, version {ws.mix('earlier').version}, were kept out" in told
    assert mix.verify().documents == len(mix)
    roles = {(entry["role"], entry["name"]) for entry in mix.lock["corpora"]}
    assert {("earlier", "earlier-target"), ("earlier", "earlier-test")} <= roles
    assert "replay" not in ws.mix("alone").lock
    # Another version of the earlier mix makes another of this one.
    ws.mix(old.model_copy(update={"stage": [type(old.stage[0])(use="ratio", budget=8)]}))
    assert ws.mix(recipe).version != mix.version
    # A person asked in writing for all: nothing is left out of the replay either.
    values["task"]["decontaminate"] = False
    asked = Recipe.parse({**values, "name": "asked"}, folder=tmp_path)
    ws.mix(old)
    assert "leak" in replayed(ws._workshop(asked).prepare(asked, 0), ws._corpora, ws.session).frame["id"]


def plain(recipe):
    return recipe.model_dump(mode="json", by_alias=True, exclude_none=True)


def test_forgetting_a_document_of_an_earlier_test_set_takes_it_out_of_what_quotes_it(tiny, tmp_path, toy):  # noqa: F811
    ws = Workspace(tmp_path / "work", encoder=toy)
    ws.mix(recipe_of(tmp_path, tiny, "earlier", OLD, race={"arms": ["mix"]}))
    old_test = [json.loads(line) for line in (tmp_path / "earlier-test.jsonl").read_text().splitlines()]
    rows = [*write(tmp_path / "rows.jsonl", NEW, 15, 400), {**old_test[0], "id": "copy", "label": "calm"}]
    (tmp_path / "later-pool.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = plain(recipe_of(tmp_path, tiny, "later", NEW, race={"arms": ["mix"]}))
    values["train"]["replay"] = {"mix": "earlier"}
    mix = ws.mix(Recipe.parse(values, folder=tmp_path))
    quoted = mix.ledger().filter(partner_corpus="earlier-test", partner_id=old_test[0]["id"])
    assert len(quoted)
    assert not ws.gc(dry_run=True).versions
    ws.forget(f"earlier_test:{old_test[0]['id']}")
    assert not len(ws.mix("later").ledger().filter(partner_id=old_test[0]["id"]))
    partners = pl.read_parquet(ws.mix("later")._directory / "partners.parquet")
    assert old_test[0]["id"] not in partners.filter(corpus="earlier-test")["id"]
    assert ws.check() == []


# curator train


def test_train_keeps_what_it_replayed_and_tells_dev_of_both(earlier, tmp_path):
    folder, ws = earlier
    told = ws.train(later(earlier), output=tmp_path / "model")
    new, before = told["replay"]["tasks"]
    assert (new["task"], before["task"]) == ("later", "earlier")
    assert new["dev"] == told["dev"]
    assert before["dev"] > 0.8
    assert before["dev_before"] > 0.8
    assert new["dev_before"] == 0.0
    known = Classifier.load(tmp_path / "model")
    assert known.labels == ("calm", "upset", "negative", "positive")
    assert known.trained_on.replay["mix"] == "earlier"
    assert known.trained_on.replay["version"] == ws.mix("earlier").version
    assert known.trained_on.replay["documents"] == told["replay"]["documents"]
    card = (tmp_path / "model" / "README.md").read_text("utf8")
    assert f"{told['replay']['documents']} documents of earlier tasks were replayed, for 50%" in card
    assert f"version {ws.mix('earlier').version}" in card
    with pytest.raises(UsageError, match="is the model to go on from"):
        ws.train(later(earlier), output=folder / "model")


def test_a_third_task_replays_both_before(earlier, tmp_path):
    folder, ws = earlier
    ws.train(later(earlier, train={"steps": 2}), output=tmp_path / "second")
    words = {"w1": "one", "w2": "two"}
    changes = {"replay": {"mix": "later"}, "steps": 2}
    third = recipe_of(folder, tmp_path / "second", "third", words, train=changes, race={"arms": ["mix"]})
    task = ws._workshop(third).prepare(third, 0)
    assert [one.mix.name for one in task.earlier] == ["later", "earlier"]
    told = replayed(task, ws._corpora, ws.session).told()
    assert set(told["of"]) == {"later", "earlier"}
    told = ws.train(third, output=tmp_path / "third")
    assert [row["task"] for row in told["replay"]["tasks"]] == ["third", "later", "earlier"]
    assert Classifier.load(tmp_path / "third").labels == ("one", "two", "calm", "upset", "negative", "positive")


# Errors


def test_a_replay_of_what_is_not_there_says_so(earlier, tmp_path, toy, tiny):  # noqa: F811
    folder, ws = earlier
    wrong = later(earlier, train={"replay": {"mix": "earliest"}})
    with pytest.raises(UnknownNameError, match=r"no mix named 'earliest': did you mean 'earlier'\?"):
        ws.mix(wrong)
    other = Workspace(tmp_path / "work", encoder=toy)
    other.mix(recipe_of(folder, tiny, "earlier", OLD, race={"arms": ["mix"]}))
    corpus = other.catalogue.corpus("earlier_test")
    (corpus.directory / "manifest.json").unlink()
    with pytest.raises(WorkspaceError, match=r"the mix 'earlier' cannot be replayed, since what it was made from"):
        other.mix(later(earlier))


def test_a_model_of_another_mix_is_told_or_refused(earlier, tmp_path, tiny):  # noqa: F811
    folder, ws = earlier
    words = {"w3": "three", "w4": "four"}
    brief = {"steps": 2}
    ws.train(recipe_of(folder, tiny, "others", words, train=brief, race={"arms": ["mix"]}), output=tmp_path / "others")
    recipe = later(earlier, train={"model": str(tmp_path / "others"), **brief})
    with pytest.raises(UsageError, match="has the label 'four', which neither the task nor the mix 'earlier' has"):
        ws.train(recipe, output=tmp_path / "new")
    again = recipe_of(folder, tiny, "again", OLD, train=brief, race={"arms": ["mix"]})
    ws.train(again, output=tmp_path / "again")
    recipe = later(earlier, train={"model": str(tmp_path / "again"), **brief})
    with pytest.warns(CuratorWarning, match=r"was trained on 'again', version .*, and what is replayed is 'earlier'"):
        ws.train(recipe, output=tmp_path / "new")
    recipe = later(earlier, train={"model": str(tiny), **brief})  # any other model: there is nothing before
    told = ws.train(recipe, output=tmp_path / "new")
    assert all("dev_before" not in row for row in told["replay"]["tasks"])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train": {"replay": None}}, r"the arm 'mix-without-replay' leaves out a replay, and there is none"),
        (
            {"race": {"arms": ["mix-as-text"]}},
            r"the arm 'mix-as-text' serves = 'text' does not go with \[train.replay\]",
        ),
        ({"race": {"by": "probe"}}, r"a probe knows no \[train.replay\]"),
        ({"train": {"replay": {"mix": "earlier"}, "contrastive": {"steps": 5}}}, r"pairs are of the new task alone"),
        ({"train": {"replay": {"mix": "earlier"}, "head": "mean"}}, r"goes on doing so"),
        ({"train": {"replay": {"mix": "earlier", "share": 1.0}}}, "less than 1"),
        ({"train": {"replay": {"mix": "earlier", "documents": 0}}}, "greater than or equal to 1"),
        ({"race": {"arms": ["zero-shot-without-replay"]}}, "unknown arm 'zero-shot-without-replay'"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(earlier, changes, told):
    with pytest.raises(RecipeError, match=told):
        later(earlier, **changes)


@pytest.mark.parametrize("use", ["text", "auxiliary", "teacher"])
def test_pools_that_serve_without_labels_are_refused(earlier, use):
    values = plain(later(earlier))
    values["pool"]["pool_of_later"]["serves"] = use
    with pytest.raises(
        RecipeError, match=rf"\[pool.pool_of_later\] serves = '{use}' does not go with \[train.replay\]"
    ):
        Recipe.parse(values)


def test_a_race_by_probe_and_a_search_are_refused_before_anything_is_done(earlier):
    _, ws = earlier
    with pytest.raises(UsageError, match=r"a probe knows no \[train.replay\]"):
        ws.race(later(earlier), probe=True)
    with pytest.raises(UsageError, match=r"\[train.replay\] is for two; search without it"):
        ws.tune(later(earlier))
