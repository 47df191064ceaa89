"""Fine-tuning a BERT classifier on a mix, and measuring it. The only importer of transformers.

Reading order: labels (labels as numbers, outputs as decisions), examples (what goes in), scale (of a regression's
labels), batches (who sits in a batch), loss (of documents, and the pairing loss), head (the last layer), model (weights
and tokenizers from disk or hub), embedding (the word vectors that a run can touch), adapters (weights beside a model),
unpadded and dropout (how a BERT is run on a processor), prediction (batched inference), trained_on (what a model
remembers of its mix), classifier (what comes out), onnx (the same for another runtime), scoring (any other classifier),
metrics (what it scores), rehearsal (what there is of earlier tasks), steps (one step), course (how far a run is, in
memory and on disk), loop (the steps of one part of a run), preparation (what a body learns before), teaching (labels
from a model), sides (the rows of a model), fine_tuning (all of it in order), tracking (who is told how it goes).
"""

from curator.training.classifier import Classifier
from curator.training.course import code, forget
from curator.training.examples import Examples, Served
from curator.training.fine_tuning import FineTuned, fine_tune
from curator.training.labels import Label, decided, outputs_of
from curator.training.loss import pairing_loss
from curator.training.metrics import LOOKED, evaluate, main_score
from curator.training.onnx import export_onnx
from curator.training.preparation import planned
from curator.training.rehearsal import Rehearsal, all_labels
from curator.training.scoring import Scorer, scorer
from curator.training.tracking import Run, tracked
from curator.training.trained_on import CARD, MIX_LOCK, TrainedOn

__all__ = [
    "CARD", "LOOKED", "MIX_LOCK", "Classifier", "Examples", "FineTuned", "Label", "Rehearsal", "Run", "Scorer",
    "Served", "TrainedOn", "all_labels", "code", "decided", "evaluate", "export_onnx", "fine_tune", "forget",
    "main_score", "outputs_of", "pairing_loss", "planned", "scorer", "tracked",
]  # fmt: skip
