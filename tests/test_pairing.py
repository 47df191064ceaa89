"""The stage pairing against lists made in plain Python: any label or one's own, in one direction or both."""

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from curator.relation import Relation
from curator.session import Session, sql_folder
from curator.stages import Stage, run
from curator.vectors import Vectors

SESSION = Session()
STAGE = Stage.load("pairing", sql_folder())


def relation(name, angles, labels):
    """Directions a degree apart at least, no two pairs of which have the same cosine."""
    radians = np.deg2rad(np.array(angles, float) ** 1.5)
    ids = [f"{name}{i:02}" for i in range(len(angles))]
    frame = pl.DataFrame({"corpus": name, "id": ids, "label": labels, "serves": "labels"}, strict=False)
    frame = frame.with_columns(pl.col("label").cast(pl.String))
    return Relation(frame, Vectors.of(np.stack([np.cos(radians), np.sin(radians)], 1).astype(np.float32), unit=True))


def lists(score, allowed, k):
    """For each row the first k columns that it may have, best first."""
    return [
        sorted(np.flatnonzero(mine), key=lambda j: (-row[j], j))[:k] for row, mine in zip(score, allowed, strict=True)
    ]


def expected(target, candidates, k, partners, *, same_label, mutual):
    """(keep, score, threshold, partner, rank) of each candidate."""
    ours, theirs = (side.vectors.matrix().astype(np.float64) for side in (target, candidates))
    score = (ours @ theirs.T).astype(np.float32)
    labels = target.frame["label"].to_list(), candidates.frame["label"].to_list()
    allowed = np.array([[not same_label or (a is not None and a == b) for b in labels[1]] for a in labels[0]])
    listed, chosen = lists(score, allowed, k), lists(score.T, allowed.T, partners)
    for j in range(len(labels[1])):
        pairs = [(i, mine.index(j) + 1) for i, mine in enumerate(listed) if j in mine]
        good = [pair for pair in pairs if not mutual or pair[0] in chosen[j]]
        nearest = [i for (i,) in np.argwhere(allowed[:, j])]
        i, rank = min(good or pairs or [(i, None) for i in nearest] or [(None, None)],
                      key=lambda pair: (0 if pair[0] is None else -score[pair[0], j], pair[0]))  # fmt: skip
        if i is None:
            yield False, None, None, None, None
            continue
        last = listed[i][-1] if len(listed[i]) == k else None
        limit = None if last is None else score[i, last]
        if pairs and not good:
            limit = score[chosen[j][-1], j]
        yield bool(good), float(score[i, j]), None if limit is None else float(limit), f"t{i:02}", rank


LABELS = st.sampled_from(["a", "a", "b", None])
SIDE = st.dictionaries(st.integers(0, 45), LABELS, min_size=1, max_size=12)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    target=SIDE, candidates=SIDE, k=st.integers(1, 5), partners=st.integers(1, 3), same_label=st.booleans(),
    mutual=st.booleans(),
)  # fmt: skip
def test_pairs_are_those_of_plain_lists(target, candidates, k, partners, same_label, mutual):
    sides = {"target": relation("t", list(target), list(target.values())),
             "candidates": relation("c", list(candidates), list(candidates.values()))}  # fmt: skip
    settings = {"k": k, "partners": partners, "same_label": same_label, "mutual": mutual}
    found = run(STAGE, STAGE.bind(settings, seed=0), sides, SESSION).frame
    rows = list(found.select("keep", "score", "threshold", "partner_id", "rank").iter_rows())
    assert rows == list(expected(*sides.values(), k, partners, same_label=same_label, mutual=mutual))
    assert found.filter("keep")["rule"].null_count() == found["keep"].sum()
