"""Searching hyper-parameters on dev: those of training, and those of a recipe's stages.

Reading order: space (what is searched), proposals (what is tried next and what is given up, by optuna, which nothing
else imports), search (the trials of an arm, in a file from which a search that was killed goes on), found (what came of
it), run (arms, mixes and training).
"""

from curator.tuning.found import Tuning, write
from curator.tuning.run import tune

__all__ = ["Tuning", "tune", "write"]
