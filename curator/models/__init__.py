"""Trained models, kept and used: what a model was trained on, its card, what it says of documents, and beside which.

Reading order: fitting (a model of the documents of an arm), continued (the model that a task goes on from), card (what
a person reads of a model), keeping (a model saved with its mix's lockfile and its card), beside (the documents of its
mix that are nearest to texts), predicting (labels of documents).
"""

from curator.models.beside import Beside, beside
from curator.models.keeping import check_place, keep
from curator.models.predicting import predict

__all__ = ["Beside", "beside", "check_place", "keep", "predict"]
