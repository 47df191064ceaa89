"""The documents nearest to a text."""

import numpy as np
import pyarrow as pa

from curator import neighbours
from curator.errors import QueryError
from curator.functions._results import Hits, check_question, ranked_table
from curator.relation import Relation
from curator.vectors import Vectors


def search(corpus: Relation, text: str, k: int = 10) -> pa.Table:
    """The k documents of a corpus whose vectors are nearest to that of a text, best first.

    Returns ``corpus`` (where the relation has it), ``id``, ``score`` (the cosine), ``rank`` from 1, then the other
    columns of the relation. Exact: every document is compared. Among equal scores the earlier document comes first.
    A relation of fewer than k documents gives all of them, an empty one no rows.

    Raises QueryError for a text of nothing, a k below 1, a relation without ``id`` or without vectors, or one whose
    encoder is not known; UsageError for vectors that a person brought, which no text can be compared with.
    """
    check_question("search", corpus, text, k)
    return ranked_table(corpus, nearest_hits("search", corpus, text, k).frame("score", "rank"))


def nearest_hits(function: str, corpus: Relation, text: str, k: int) -> Hits:
    """The k rows nearest to a text by cosine. ``function`` is named in errors."""
    if not corpus.can_embed:
        raise QueryError(
            f"{function}: the relation has no vectors; name a whole corpus, or a SELECT that has the column 'embedding'"
        )
    if corpus.embed_query is None:
        raise QueryError(
            f"{function}: it is not known which encoder made the vectors of this relation, so {text!r} cannot be "
            f"compared with them; name a whole corpus, {function}('name', …), and filter what comes back"
        )
    if not len(corpus):
        return Hits(np.empty(0, np.int64), np.empty(0, np.float32))
    query = Vectors.of(np.asarray(corpus.embed_query(text), np.float32)[None, :]).unit()
    vectors = corpus.vectors.unit()
    if query.dimension != vectors.dimension:
        raise QueryError(
            f"{function}: the vector of the text has {query.dimension} components and those of the relation "
            f"{vectors.dimension}: they come from different encoders"
        )
    # FAISS is free to choose among the documents that share the last score, so look until that score ends.
    wanted = k + 1
    while True:
        edges = neighbours.nearest(query, vectors, wanted)
        if len(edges) < wanted or edges.score[-1] < edges.score[k - 1]:
            return Hits(edges.right[:k], edges.score[:k])
        wanted *= 2
