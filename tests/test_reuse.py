"""Stages that an earlier mix had already: their verdicts are taken from its ledger, and from nothing that differs."""

import json

import pytest
import test_mix

from curator import Workspace, stages
from curator.files import read_json, write_sealed
from curator.mix import LOCK, make, told
from curator.mix.lock import code

folder, ws, recipe = test_mix.folder, test_mix.ws, test_mix.recipe

STAGES = [{"use": "deduplicate"}, {"use": "pairing", "k": 9}, {"use": "ratio", "budget": 12, "by": "label"}]


@pytest.fixture
def ran(monkeypatch):
    """The names of the stages that were run."""
    names, run = [], stages.run

    def noted(stage, *rest, **named):
        names.append(stage.name)
        return run(stage, *rest, **named)

    monkeypatch.setattr("curator.mix.judging.run", noted)
    return names


def with_budget(folder, budget, **changes):
    return recipe(folder, stage=[*STAGES[:2], {**STAGES[2], "budget": budget}], **changes)


def test_another_budget_runs_the_last_stage_alone(ws, folder, ran):
    ws.mix(with_budget(folder, 12))
    assert ran == ["decontaminate", "deduplicate", "pairing", "ratio"]
    del ran[:]
    mix = ws.mix(with_budget(folder, 8, description="another recipe"))
    assert ran == ["ratio"]
    assert [row["stage"] for row in mix.summary()["reused"]["stages"]] == ["decontaminate", "deduplicate", "pairing"]
    assert told(mix.summary())[0].endswith(": decontaminate 62, deduplicate 61, pairing 60")
    del ran[:]
    assert mix.verify().documents == 8
    assert ran == ["decontaminate", "deduplicate", "pairing", "ratio"]


def test_what_is_reused_makes_the_same_mix(ws, folder, toy, tmp_path):
    ws.mix(with_budget(folder, 12))
    ours, alone = ws.mix(with_budget(folder, 8)), Workspace(tmp_path / "fresh", encoder=toy).mix(with_budget(folder, 8))
    assert alone.summary()["reused"] is None
    assert ours.ledger().equals(alone.ledger())
    assert ours.frame().equals(alone.frame())
    assert ours.lock["ids_sha256"] == alone.lock["ids_sha256"]
    for name in ("joins", "coverage", "certificates", "funnel"):
        first, second = (
            [{k: v for k, v in row.items() if k != "seconds"} for row in mix.summary()[name]] for mix in (ours, alone)
        )
        assert first == second, name


@pytest.mark.parametrize(
    ("changes", "run"),
    [
        ({"stage": [STAGES[0], {"use": "pairing", "k": 8}, STAGES[2]]}, ["pairing", "ratio"]),
        ({"stage": [{"use": "quality"}, *STAGES]}, ["quality", "deduplicate", "pairing", "ratio"]),
        ({"stage": STAGES[:2]}, []),
        ({"task": {"target": "target.jsonl", "test": "test.jsonl", "shots": 9}}, None),
        ({"pool": {"two": {"path": "two.jsonl"}}}, ["deduplicate", "pairing", "ratio"]),
    ],
    ids=str,
)
def test_what_differs_is_run(ws, folder, ran, changes, run):
    ws.mix(with_budget(folder, 12))
    del ran[:]
    ws.mix(recipe(folder, **{"stage": STAGES, **changes}))
    assert ran == (["decontaminate", "deduplicate", "pairing", "ratio"] if run is None else run)


def changed_lock(directory, **values):
    write_sealed(directory / LOCK, {**read_json(directory / LOCK), **values})


@pytest.mark.parametrize("spoil", ["code", "versions", "forgotten", "text", "unsealed", "ledger", "unfinished"])
def test_what_may_have_decided_otherwise_is_not_reused(ws, folder, ran, spoil):
    directory = ws.mix(with_budget(folder, 12))._directory
    assert read_json(directory / LOCK)["code"] == code()
    if spoil == "ledger":
        (directory / "ledger.parquet").write_bytes(b"damaged")
    elif spoil == "unfinished":
        (directory / LOCK).unlink()
    elif spoil == "unsealed":
        (directory / LOCK).write_text(json.dumps(read_json(directory / LOCK) | {"created": "later"}))
    else:
        other = {"code": "other", "versions": {}, "forgotten": 1, "text": True}[spoil]
        changed_lock(directory, **{{"text": "texts_changed"}.get(spoil, spoil): other})
    del ran[:]
    ws.mix(with_budget(folder, 8))
    assert ran == ["decontaminate", "deduplicate", "pairing", "ratio"]


def test_a_mix_of_one_seed_says_nothing_of_another(ws, folder, ran):
    mix = ws.mix(with_budget(folder, 12))
    del ran[:]
    make(with_budget(folder, 12), mix._workshop, seed=1)
    assert len(ran) == 4


def test_quotas_that_cannot_be_met_are_told(ws, folder):
    stage = {"use": "ratio", "budget": 20, "by": "label", "minimums": {"positive": 500.0}, "ratios": {"positive": 1}}
    with_more = recipe(folder, stage=[{**stage, "budget": 600}])
    lines = [line for line in told(ws.mix(with_more).summary()) if line.startswith("ratio: ")]
    assert len(lines) == 1
    assert "positive has " in lines[0]
    assert " of the 600 that it was to get; the groups can give " in lines[0]
