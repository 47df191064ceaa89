"""Does a training that is killed end in the same weights, and what does that cost?

    pip install 'curator[peft]'
    python benchmarks/resume.py --data DIR [--steps N] [--kills N] [--out FILE]

The embedded MiniLM on 512 tweets to airlines, 256 as the target and 256 as the selection, in a process of its own; in
KINDS the whole model, an adapter, and a model that is trained on text first. Each once without a stop. Then again, with
a state kept every step: at ``--kills`` steps, drawn by seed from all that there are, the process gets SIGKILL within a
step's time after it, and the same command is run again until it ends. What is compared is the SHA-256 of the weights
that are saved. The third run is one with the default interval (120 s) that is killed once, two thirds on. ``keeping``:
the time of training and of saving the model with a state kept every step, over that
without a checkpoint.
"""

import argparse
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from circumstances import circumstances

from curator.recipe import Train
from curator.training import Examples, Served, fine_tune

Row = dict[str, Any]

HERE = Path(__file__).resolve().parent
SIDE, TEXTS = 256, 1_000
KINDS: dict[str, Row] = {
    "whole model": {},
    "LoRA": {"adapter": "lora", "learning_rate": 1e-3},
    "text first": {"text": {"steps": 20}},
}


def main() -> None:
    """Kill, go on, compare, and write the record."""
    parser = argparse.ArgumentParser(description="Trainings that are killed.")
    parser.add_argument("--data", type=Path, metavar="DIR", required=True)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--out", type=Path, default=HERE / "records" / "resume.json")
    parser.add_argument("--run", nargs=4, metavar=("KIND", "SECONDS", "STATE", "MODEL"), help="one training, and end")
    given = parser.parse_args()
    if given.run:
        kind, seconds, state, model = given.run
        train(given, kind, float(seconds), Path(state), Path(model))
        return
    command = f"python benchmarks/resume.py --data DIR --steps {given.steps} --kills {given.kills}"
    record = circumstances(command, ("torch", "transformers", "peft"))
    record |= {"steps": given.steps, "kills": given.kills, "threads": os.environ.get("OMP_NUM_THREADS"), "kinds": []}
    for kind in KINDS:
        record["kinds"].append(killed_and_compared(given, kind))
        print(record["kinds"][-1], flush=True)
        given.out.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", "utf8")


def killed_and_compared(given: argparse.Namespace, kind: str) -> Row:
    """One kind: never stopped, stopped at many steps, stopped once between two states."""
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        whole = finish(given, kind, "-1", place / "none", place / "whole", [])
        total = whole["steps"]
        every = sorted(rng.choice(np.arange(1, total), size=given.kills, replace=False).tolist())
        kept = finish(given, kind, "0", place / "kept", place / "uncut", [])
        often = finish(given, kind, "0", place / "often", place / "cut", every)
        seldom = finish(given, kind, "120", place / "seldom", place / "lost", [total * 2 // 3])
    return {
        "kind": kind,
        "steps": total,
        "killed_at": often["killed_at"],
        "same": often["sha256"] == whole["sha256"],
        "repeated": often["repeated"],
        "seldom_killed_at": seldom["killed_at"],
        "seldom_same": seldom["sha256"] == whole["sha256"],
        "seldom_repeated": seldom["repeated"],
        "seconds": whole["seconds"],
        "keeping": kept["seconds"] / whole["seconds"],
    }


def finish(
    given: argparse.Namespace, kind: str, seconds: str, state: Path, model: Path, kills: list[int]
) -> Row:  # fmt: skip
    """Run a training to its end, killed after each of ``kills`` when it first gets there.

    Returns the digest of its weights, its steps, the steps that were run more than once and the seconds of training.
    """
    command = [sys.executable, __file__, "--data", str(given.data), "--steps", str(given.steps)]
    command += ["--run", kind, seconds, str(state), str(model)]
    rng = np.random.default_rng(1)
    left, killed, seen, took = list(kills), list[int](), list[int](), 0.0
    while True:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            word, value = line.split()
            if word == "took":
                took = float(value)
                continue
            seen.append(int(value))
            if left and seen[-1] >= left[0]:
                time.sleep(float(rng.uniform(0, 0.2)))
                process.send_signal(signal.SIGKILL)
                killed.append(left.pop(0))
                break
        rest = process.communicate()
        if process.returncode == 0:
            break
        if process.returncode != -signal.SIGKILL:
            raise SystemExit(f"{kind}: {rest[1][-2000:]}")
    weights = hashlib.sha256()
    for path in sorted(model.glob("*.safetensors")):
        weights.update(path.read_bytes())
    repeated = len(seen) - len(set(seen))
    return {
        "sha256": weights.hexdigest(), "steps": max(seen), "killed_at": killed, "repeated": repeated, "seconds": took
    }  # fmt: skip


def train(given: argparse.Namespace, kind: str, seconds: float, state: Path, model: Path) -> None:
    """One training, which tells its steps and then how long they took."""
    frame = pl.read_parquet(given.data / "sentiment/airline_tweets.parquet", columns=["text", "label"])
    frame = frame.unique("text", maintain_order=True).sample(2 * SIDE + TEXTS, seed=0, shuffle=True)
    target, selected = (
        Examples(tuple(part["text"]), tuple(part["label"])) for part in (frame[:SIDE], frame[SIDE : 2 * SIDE])
    )
    own = KINDS[kind] | {"steps": given.steps, "max_length": 64, "evaluate_every": given.steps}
    settings = Train.model_validate(own | {"checkpoint": max(seconds, 0.0)})
    served = Served(text=tuple(frame["text"][2 * SIDE :])) if "text" in KINDS[kind] else Served()
    begun: list[float] = []

    def told(step: int, _: float) -> None:
        begun.append(time.perf_counter())
        print("step", step, flush=True)

    tuned = fine_tune(
        settings,
        selected=selected,
        target=target,
        dev=None,
        labels=tuple(sorted(set(frame["label"]))),
        seed=0,
        served=served,
        progress=told,
        checkpoint=None if seconds < 0 else state,
    )
    tuned.classifier.save(model)
    print("took", time.perf_counter() - begun[0], flush=True)


if __name__ == "__main__":
    main()
