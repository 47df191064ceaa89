"""Stages: one ``.sql`` file each, which gives a verdict on every candidate. This runs them and keeps the ledger.

A stage's header says what it does, whether it reads the test set, whether it cannot do without a recipe's concepts and
relations, whether it judges each document alone, and its parameters::

    -- Keep candidates that are close enough to some target document.
    -- reads: test
    -- reads: knowledge
    -- judges: each alone
    -- fpr: min_score of pool and test
    -- :min_score  FLOAT    0.35     [-1, 1]  cosine similarity a candidate must reach
    -- :order      VARCHAR  'score'  score|random  the best first, or at random

A parameter of type EXPRESSION is SQL over the candidates' columns and stands in the statement as it is; one of type
EXPRESSIONS is one or more of them with commas between, and stands for the list of their values as text. NUMBERS is a
table of names and numbers, a MAP(VARCHAR, DOUBLE).

What a parameter may be is optional: an interval of numbers, with a round bracket for an end that is not of it, or
words. The line ``fpr`` lets a recipe say ``fpr = 1e-4`` in the place of that cosine: which one it is then comes of the
random pairs of those two relations (``pool and pool``: of the pairs within it).

The line ``judges: each alone`` says that the verdict on a document depends on that document, on target, dev, test and
the parameters, and on no other candidate: when a pool grows, only what is new in it is judged (see mix/reuse.py), and
an engine's workers judge it in parts (see spread.py). Whoever writes the line vouches for it: a wrong one shows when a
mix is verified, where all documents are judged again, together.
Such a stage does not see ``pool``, has no EXPRESSION, which may look at other documents, and nothing that may answer
otherwise another time: APPROX, a sample, ``random()``, the clock.

Its SELECT returns ``corpus, id, keep`` and, where they mean something, the other columns of ``VERDICT``. Labels
are of the type that the candidates' have: VARCHAR, and where ``[task] kind`` is multi or regression VARCHAR[] or
DOUBLE. Which shipped stages cannot do with those is in ``kinds``.
"""

from curator.stages.kinds import check_kind
from curator.stages.parameters import Interval, Parameter, Words
from curator.stages.running import LEDGER, VERDICT, Verdicts, typed
from curator.stages.spread import run
from curator.stages.stage import Rate, Stage, shipped

__all__ = [
    "LEDGER", "VERDICT", "Interval", "Parameter", "Rate", "Stage", "Verdicts", "Words", "check_kind",
    "run", "shipped", "typed",
]  # fmt: skip
