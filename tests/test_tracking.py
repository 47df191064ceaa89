"""Trackers are told the history as it is, in runs that can be told apart, and change nothing of what comes out."""

import json
import struct
import sys
import time

import pytest
from test_race import recipe  # noqa: F401  a fixture
from test_training import KilledError, examples, killed_at, one_thread, same, settings, tiny, tune  # noqa: F401

from curator import Workspace
from curator.errors import MissingExtraError, RecipeError, UsageError
from curator.models import fitting
from curator.recipe import Recipe, Train
from curator.training import Run, fine_tune, tracked
from curator.training.tracking import tracked as plainly

NAMES = {
    "loss": "train/loss",
    "dev_macro_f1": "dev/macro_f1",
    "dev_accuracy": "dev/accuracy",
    "dev_loss": "dev/loss",
}
COURSE = {"steps": 6, "evaluate_every": 2, "learning_rate": 3e-3}


def trained(tiny, on_look=None, **changes):  # noqa: F811
    return fine_tune(
        settings(tiny, **COURSE, **changes), selected=examples(20, 2), target=examples(12, 1), dev=examples(10, 3),
        labels=("negative", "positive"), seed=0, on_look=on_look,
    )  # fmt: skip


def scalars(folder):
    """What TensorBoard itself reads: values by tag and step."""
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    texts = [events.Tensors(tag)[0].tensor_proto.string_val[0].decode() for tag in events.Tags()["tensors"]]
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}, texts


def wanted(history):
    return {name: [(look["step"], pytest.approx(look[key])) for look in history] for key, name in NAMES.items()}


def test_on_look_is_told_the_history_after_each_look(tiny):  # noqa: F811
    seen = []
    whole = trained(tiny, seen.append)
    assert [len(history) for history in seen] == [1, 2, 3]
    assert seen[-1] == whole.history
    assert [history[-1]["step"] for history in seen] == [2, 4, 6]

    def stop(history):
        raise KilledError(len(history))

    with pytest.raises(KilledError, match="1"):
        trained(tiny, stop)


def test_a_run_that_goes_on_tells_its_whole_history(tiny, tmp_path):  # noqa: F811
    common = {"selected": examples(20, 2), "target": examples(12, 1), "dev": examples(10, 3)}
    common |= {"labels": ("negative", "positive"), "seed": 0, "checkpoint": tmp_path / "state"}
    own = settings(tiny, **COURSE, checkpoint=0.0)
    with pytest.raises(KilledError):
        fine_tune(own, **common, progress=killed_at(4))
    seen = []
    tuned = fine_tune(own, **common, on_look=seen.append)
    assert [len(history) for history in seen] == [1, 2, 3]
    assert seen[-1] == tuned.history
    seen.clear()
    fine_tune(own, **common, on_look=seen.append)  # it was over
    assert seen == [tuned.history]


def test_tensorboard_reads_the_history_back(tiny, tmp_path):  # noqa: F811
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    own = settings(tiny, **COURSE, track=["tensorboard", "tensorboard"])
    run = Run(tmp_path / "tracking", "desk", "mix-seed0", {"arm": "mix", "seed": 0})
    for _ in range(2):  # what an earlier run of the name left makes way
        with tracked(own, run) as on_look:
            tuned = trained(tiny, on_look)
    found, texts = scalars(tmp_path / "tracking" / "mix-seed0")
    assert len(tuned.history) == 3
    assert found == wanted(tuned.history)
    assert "| arm | mix |" in texts[0]
    assert "| learning_rate | 0.003 |" in texts[0]
    assert same(tuned, trained(tiny))


def test_without_dev_only_the_loss_is_told(tiny, tmp_path):  # noqa: F811
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    own = settings(tiny, track=["tensorboard"])
    with tracked(own, Run(tmp_path, "desk", "one", {})) as on_look:
        on_look([{"step": 3, "loss": 1.5, "dev_macro_f1": None, "dev_accuracy": None, "dev_loss": None}])
    assert scalars(tmp_path / "one")[0] == {"train/loss": [(3, 1.5)]}


def records(path):
    """Of an offline run: a header of 7 bytes, then chunks in blocks of 32 KiB, as in LevelDB's log."""
    from wandb.proto import wandb_internal_pb2

    data, place, held = path.read_bytes(), 7, b""
    while place + 7 <= len(data):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        held += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(held)
            yield record
            held = b""


def whole(path):
    """The records of a run that is over: W&B's service may still be writing them when the run has ended."""
    until = time.monotonic() + 30
    while not (found := list(records(path))) or found[-1].WhichOneof("record_type") != "exit":
        assert time.monotonic() < until, f"{path} has {len(found)} records and no end"
        time.sleep(0.05)
    return found


def test_wandb_has_the_history_in_an_offline_run(tiny, tmp_path, monkeypatch):  # noqa: F811
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    own = settings(tiny, **COURSE, track=["wandb"])
    histories = []
    for seed in (0, 1):
        run = Run(tmp_path / "tracking", "desk", f"mix-seed{seed}", {"arm": "mix", "seed": seed})
        with tracked(own, run) as on_look:
            histories.append(trained(tiny, on_look).history)
    runs = {}
    for path in (tmp_path / "tracking" / "wandb").glob("offline-run-*/run-*.wandb"):
        told = {name: [] for name in NAMES.values()}
        for record in whole(path):
            if record.WhichOneof("record_type") == "run" and record.run.display_name:
                name, group = record.run.display_name, record.run.run_group
                config = {item.key: json.loads(item.value_json) for item in record.run.config.update}
            elif record.WhichOneof("record_type") == "history":
                values = {item.key or item.nested_key[0]: item.value_json for item in record.history.item}
                for key in told:
                    told[key].append((int(values["_step"]), float(values[key])))
        runs[name] = (group, config["arm"], config["seed"], config["learning_rate"], told)
    assert set(runs) == {"mix-seed0", "mix-seed1"}
    for seed in (0, 1):
        assert runs[f"mix-seed{seed}"] == ("desk", "mix", seed, 3e-3, wanted(histories[seed]))


def test_an_unknown_tracker_is_refused():
    with pytest.raises(RecipeError, match=r"train\.track.*'tensorboard' or 'wandb' \(got 'mlflow'\)"):
        Recipe.parse(
            {"name": "r", "task": {"target": "t", "test": "u"}, "pool": {"p": {}}, "train": {"track": ["mlflow"]}}
        )


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_without_the_extra_the_error_says_which(name, tmp_path, monkeypatch, toy, recipe):  # noqa: F811
    for module in [module for module in sys.modules if module.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, name, None)
    own = Train.model_validate({"track": [name]})
    with pytest.raises(MissingExtraError, match=rf"'{name}', which is not installed.*curator\[{name}\]"):
        plainly(own, Run(tmp_path, "desk", "one", {})).__enter__()
    with pytest.raises(MissingExtraError, match=rf"curator\[{name}\]"):  # not ten failed runs
        Workspace(tmp_path / "work", encoder=toy).race(tracking(recipe, name))
    with plainly(Train.model_validate({}), Run(tmp_path, "desk", "one", {})) as on_look:
        assert on_look is None


def test_wandb_that_cannot_begin_says_what_to_do(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="the extra wandb is not installed")

    def refuse(**_):
        raise wandb.errors.UsageError("No API key configured.")

    monkeypatch.setattr(wandb, "init", refuse)
    own = Train.model_validate({"track": ["wandb"]})
    with pytest.raises(UsageError, match=r"No API key configured\.; log in by `wandb login`, set WANDB_MODE=offline"):
        tracked(own, Run(tmp_path, "desk", "one", {})).__enter__()


def tracking(recipe, *names):  # noqa: F811
    return recipe.model_copy(update={"train": recipe.train.model_copy(update={"track": names})})


def test_a_race_is_tracked_by_arm_and_seed_and_its_runs_stay_the_same(tmp_path, toy, recipe, monkeypatch):  # noqa: F811
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    plain = Workspace(tmp_path / "plain", encoder=toy).race(recipe).record["runs"]
    ws = Workspace(tmp_path / "work", encoder=toy)
    race = ws.race(tracking(recipe, "tensorboard"))
    told = {path.name for path in (race.directory / "tracking").iterdir()}
    assert told == {f"{arm}-seed{seed}" for arm in recipe.race.arms for seed in (0, 1)}
    for one, other in zip(plain, race.record["runs"], strict=True):
        assert {key: one[key] for key in one if "seconds" not in key} == {
            key: other[key] for key in other if "seconds" not in key
        }
    found, _ = scalars(race.directory / "tracking" / "random-seed1")
    run = next(run for run in race.record["runs"] if (run["arm"], run["seed"]) == ("random", 1))
    assert found == wanted(run["history"])
    monkeypatch.setattr(fitting, "fine_tune", lambda *_, **__: pytest.fail("trained again"))
    assert ws.race(recipe).record["runs"] == race.record["runs"]
    assert ws.check() == []


def test_a_trained_model_has_its_history_beside_it(tmp_path, toy, recipe):  # noqa: F811
    ws = Workspace(tmp_path / "work", encoder=toy)
    report = ws.train(recipe.model_copy(update={"train": recipe.train.model_copy(update={"evaluate_every": 1})}))
    history = json.loads((tmp_path / "work" / "models" / "race" / "history.json").read_text())
    assert [look["step"] for look in history] == [1, 2, 3]
    assert max(look["dev_macro_f1"] for look in history) == report["dev"]
