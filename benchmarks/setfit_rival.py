"""SetFit itself, in an environment of its own (``pip install setfit``), for contrastive.py, which starts this.

    python benchmarks/setfit_rival.py MODEL FOLDER STEPS SEED

fine-tunes the sentence encoder of the directory MODEL on ``train.json`` of FOLDER (``text``, ``label``) for so many
steps, with SetFit's defaults for all else but the length of texts, and leaves in ``predicted.json`` the labels of
``test.json`` (a list of texts). Prints seconds and versions.
"""

import importlib.metadata
import json
import sys
import time
from pathlib import Path

from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments


def main() -> None:
    """Train, predict and tell."""
    model, folder, steps, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    train = Dataset.from_dict(json.loads((folder / "train.json").read_text("utf8")))
    texts = json.loads((folder / "test.json").read_text("utf8"))
    started = time.perf_counter()
    tuned = SetFitModel.from_pretrained(model)
    settings = TrainingArguments(
        output_dir=str(folder / "setfit"), max_steps=steps, max_length=64, seed=seed, save_strategy="no", report_to=[]
    )
    Trainer(tuned, args=settings, train_dataset=train).train()
    predicted = [str(label) for label in tuned.predict(texts)]
    seconds = round(time.perf_counter() - started, 1)
    (folder / "predicted.json").write_text(json.dumps(predicted), "utf8")
    names = ("setfit", "sentence-transformers", "transformers", "torch")
    print(json.dumps({"seconds": seconds, "versions": {name: importlib.metadata.version(name) for name in names}}))


if __name__ == "__main__":
    main()
