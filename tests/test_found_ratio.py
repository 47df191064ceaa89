"""The stage in a mix: what it keeps is the ratio; its evidence is told, reused, collected and forgotten."""

import test_mix

from curator import Workspace
from curator.mix import told

folder, ws, recipe = test_mix.folder, test_mix.ws, test_mix.recipe

FOUND = {"use": "found_ratio", "budget": 8, "by": "label", "trials": 8, "draws": 2, "sample": 8, "folds": 2, "c": 1.0}


def with_found(folder, **changes):
    return recipe(folder, stage=[{**FOUND, **changes}])


def test_the_evidence_is_in_the_summary_and_the_mix_verifies(ws, folder):
    mix = ws.mix(with_found(folder))
    (row,) = mix.summary()["mixtures"]
    assert row["stage"] == "found_ratio"
    assert len(row["groups"]) == len(row["prior"]) == len(row["found"]) >= 2
    assert sum(row["prior"]) > 0.999
    assert len(row["trials"]) >= 2
    assert any(line.startswith(f"found_ratio: {row['told']}") for line in told(mix.summary()))
    assert mix.verify().documents == len(mix.frame()) == 8
    reasons = mix.ledger().filter(stage="found_ratio")["reason"]
    assert all(row["told"] in reason for reason in reasons)


def test_where_it_is_not_believed_it_is_the_ratio_in_proportion(ws, folder):
    mix = ws.mix(with_found(folder, order="random", penalty=1e9))
    plain = ws.mix(recipe(folder, stage=[{"use": "ratio", "budget": 8, "by": "label", "order": "random"}]))
    assert not mix.summary()["mixtures"][0]["better"]
    assert mix.frame().equals(plain.frame())


def test_trials_are_reused_collected_and_forgotten(ws, folder, toy, tmp_path):
    ws.mix(with_found(folder))
    (kept,) = (ws.root / "trials").glob("*.json")
    written = kept.read_bytes()
    again = ws.mix(with_found(folder, order="random"))
    assert kept.read_bytes() == written  # nothing was trained
    fresh = Workspace(tmp_path / "fresh", encoder=toy).mix(with_found(folder, order="random"))
    assert fresh.frame().equals(again.frame())
    assert fresh.summary()["mixtures"] == again.summary()["mixtures"]
    (ws.root / "trials" / "other.json").write_text("{}")
    assert ws.gc(dry_run=True).derived == 1
    ws.gc()
    assert list((ws.root / "trials").glob("*.json")) == [kept]
    document = again.frame().row(0, named=True)
    ws.forget(f"{document['corpus']}:{document['id']}")
    assert list((ws.root / "trials").glob("*.json")) == []
