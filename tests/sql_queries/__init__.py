"""The queries of the oracle suite, by what they try. Tables and columns are those of ``sql_oracle``.

A query without ``faiss=`` has one NEAREST join, and FAISS must execute it; ``duckdb=`` counts those that are rightly
left to DuckDB.
"""

from sql_queries.columns import COLUMNS
from sql_queries.defined import DEFINED
from sql_queries.edges import EDGES
from sql_queries.joins import RANKINGS, SEVERAL
from sql_queries.places import OPERATIONS, PLACES
from sql_queries.results import NAMES, PARAMETERS, RESULTS
from sql_queries.sides import CORRELATED, SIDES
from sql_queries.traps import TRAPS

QUERIES = {
    f"{what}: {name}": query
    for what, queries in {
        "place": PLACES,
        "set operation": OPERATIONS,
        "several": SEVERAL,
        "ranking": RANKINGS,
        "side": SIDES,
        "name": NAMES,
        "result": RESULTS,
        "parameter": PARAMETERS,
        "correlated": CORRELATED,
        "edge": EDGES,
        "column": COLUMNS,
        "defined": DEFINED,
        "trap": TRAPS,
    }.items()
    for name, query in queries.items()
}
