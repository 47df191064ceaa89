"""What is done to a SELECT before its FROM is rewritten: names that DuckDB would give, macros, constants of ours."""

from curator.nearest.calls import Tools, fold_embeddings, fold_thresholds
from curator.nearest.definitions import Macros, expand_calls, searching_calls
from curator.nearest.engine import FOLDED, Engine
from curator.nearest.scope import expressions
from curator.nearest.tree import Node, is_column, is_star, name_subqueries, walk, walk_expression


def prepare(select: Node, engine: Engine, tools: Tools, macros: Macros) -> None:
    """Make a SELECT's own text independent of what becomes of its expressions and tables. In place."""
    own = [*expressions(select), select["from_table"]]
    changes = any(part.get("ref_type") == "NEAREST" or part.get("function_name") in FOLDED for part in walk(select))
    if changes or any(searching_calls(own, macros, engine.words)):
        _keep_names(select, engine)
        name_subqueries(select["from_table"])
        expand_calls(own, macros, engine.parse, engine.words)
    fold_embeddings(select, engine, tools)
    fold_thresholds(select, engine, tools)


def _keep_names(select: Node, engine: Engine) -> None:
    """Name the unnamed columns of a SELECT as DuckDB names them, before their expressions change."""
    for item in select["select_list"]:
        if not item["alias"] and not is_column(item) and not any(map(is_star, walk_expression(item))):
            item["alias"] = engine.text(item)
