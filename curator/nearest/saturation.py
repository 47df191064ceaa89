"""Lists that a threshold would have made longer.

A list of k neighbours is *saturated* when there were more than k and the k-th still passes: others may, too. The
threshold may stand in the SELECT of the join or in one that reads its score from a subquery, a CTE or a UNION, under
another name or as part of an expression.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from curator.nearest.engine import Engine
from curator.nearest.report import JoinReport
from curator.nearest.scope import Join, Scope, repeats
from curator.nearest.thresholds import Values, on_score, over_score
from curator.nearest.tree import Node, alias_of, children, is_column, is_star, leaves


@dataclass(frozen=True)
class Scored:
    """A column whose value follows from the score of a join."""

    join: Join
    value: Node  # an expression over the score's column


Scores = Mapping[str, list[Scored]]
"""The columns of a query that are scores, by name in lower case; of a UNION, each in several joins."""

Inherited = Mapping[tuple[str, str], list[Scored]]
"""Those of the subqueries and CTEs of a FROM, by alias and name."""


class Saturation:
    """Counts the saturated lists of the joins of one statement into their ``reports``."""

    def __init__(self, engine: Engine, reports: list[JoinReport]) -> None:
        self._engine = engine
        self._reports = reports
        self._scores: dict[int, Scores] = {}  # by the query's node

    def of_own(self, join: Join, scope: Scope) -> npt.NDArray[np.bool_]:
        """Per edge of a join: its list is saturated, by the thresholds of its own SELECT."""
        passes = self._passing(join, scope.select, _own_values(join, scope, self._score(join)))
        if passes is not None:
            join.passes = passes
            self._report(join, int((join.last & passes).sum()))
        cut = join.last if passes is None else join.last & passes
        return np.isin(join.lists, join.lists[cut])

    def of_select(self, node: Node, scope: Scope, ctes: list[Node]) -> None:
        """Apply the thresholds of a rewritten SELECT to the scores that its FROM gives it; note which it gives on."""
        inherited = self._inherited(node["from_table"], ctes)
        for join in _joins(inherited):
            passes = self._passing(join, node, _inherited_values(inherited, join))
            if passes is not None:
                passes = passes if join.passes is None else join.passes & passes
                # of several that read one CTE, the one that most lists are too short for counts
                join.outside = max(int((join.last & passes).sum()), join.outside)
                self._report(join, join.outside)
        self._scores[id(node)] = self._given_on(node, scope, inherited)

    def of_set_operation(self, node: Node, ctes: list[Node]) -> None:
        """Note the scores of a UNION: its columns are those of its parts, by place or by name."""
        parts, kind = children(node), node.get("setop_type", "UNION")  # a union under WITH RECURSIVE has none
        known = [self._scores.get(id(part), {}) for part in parts]
        if kind == "UNION" and any(known):
            names = [self._names(part, ctes) for part in parts]
            known = [_renamed(scores, own, names[0]) for scores, own in zip(known, names, strict=True)]
        elif not kind.startswith("UNION"):  # EXCEPT, INTERSECT
            known = known[:1]
        merged: dict[str, list[Scored]] = {}
        for scores in known:
            for name, scored in scores.items():
                merged.setdefault(name, []).extend(scored)
        self._scores[id(node)] = merged

    def _passing(self, join: Join, select: Node, values: Values) -> npt.NDArray[np.bool_] | None:
        """Which edges pass what a SELECT asks of the score; None where it asks nothing."""
        predicates = [select["where_clause"], select["qualify"], select["having"]]
        predicate = on_score(predicates, values, self._score(join))
        if predicate is None:
            return None
        table = self._engine.builder.table(join.names.table, join.names.table)
        statement = self._engine.builder.select(table, [], "coalesce(x, false)")
        statement["node"]["select_list"][0]["children"][0] = predicate
        passes: npt.NDArray[np.bool_] = self._engine.fetch(statement).column(0).to_numpy()
        # HAVING max(score) > 0.5 is no threshold on a row: an aggregate has one value
        return passes if len(passes) == len(join.last) else None

    def _report(self, join: Join, count: int) -> None:
        self._reports[join.report] = replace(self._reports[join.report], saturated=count)

    def _score(self, join: Join) -> Node:
        return self._engine.builder.expression(join.names.score)

    def _inherited(self, table: Node | None, ctes: list[Node]) -> Inherited:
        entries = {str(entry["key"]).lower(): entry["value"] for entry in ctes}
        found: dict[tuple[str, str], list[Scored]] = {}
        for leaf in leaves(table):
            entry = entries.get(str(leaf.get("table_name")).lower()) if leaf["type"] == "BASE_TABLE" else None
            query = leaf["subquery"]["node"] if leaf["type"] == "SUBQUERY" else entry["query_node"] if entry else {}
            scores = self._scores.get(id(query), {})
            if not scores:
                continue
            lists = [entry["aliases"]] if entry else []
            renamings = [names for names in (*lists, leaf["column_name_alias"]) if names]
            before = self._names(query, ctes) if renamings else []
            for names in renamings:
                after = [*map(str.lower, names), *before[len(names) :]]
                scores, before = _renamed(scores, before, after), after
            found |= {(alias_of(leaf), name): scored for name, scored in scores.items()}
        return found

    def _given_on(self, node: Node, scope: Scope, inherited: Inherited) -> Scores:
        scores: dict[str, list[Scored]] = {}
        for item in node["select_list"]:
            if is_star(item):
                chosen = item["relation_name"].lower()
                scores |= {column: scored for (alias, column), scored in inherited.items() if chosen in ("", alias)}
                continue
            found = list(self._values_of(item, scope, inherited))
            if found:
                scores[str(item["alias"] or item.get("column_names", [""])[-1]).lower()] = found
        return scores

    def _values_of(self, item: Node, scope: Scope, inherited: Inherited) -> Iterator[Scored]:
        """What an item of a rewritten SELECT is, as expressions over the scores of joins."""
        for join in scope.joins:
            score = self._score(join)
            value = over_score(item, partial(_same_column, score), score)
            if value is not None:
                yield Scored(join, value)
        for join in _joins(inherited):
            value = over_score(item, _inherited_values(inherited, join), self._score(join))
            if value is not None:
                yield Scored(join, value)

    def _names(self, query: Node, ctes: list[Node]) -> list[str]:
        """The columns of a rewritten query in order, in lower case."""
        statement = {**self._engine.builder.value(self._engine.builder.expression("1")), "node": query}
        return self._engine.columns_of(self._engine.builder.subquery(statement), ctes)


def _joins(inherited: Inherited) -> Iterable[Join]:
    return {id(scored.join): scored.join for column in inherited.values() for scored in column}.values()


def _own_values(join: Join, scope: Scope, score: Node) -> Values:
    """The ranking itself, or an alias that the SELECT gives to an expression over it alone."""

    def ranking(node: Node) -> Node | None:
        return score if repeats(node, join.expression, scope) else None

    columns = {name for side in scope.sides.values() for name in side.columns}
    named = {
        item["alias"].lower(): value
        for item in scope.select["select_list"]
        if item["alias"].lower() not in {"", *columns} and (value := over_score(item, ranking, score)) is not None
    }

    def values(node: Node) -> Node | None:
        if is_column(node, 1) and node["column_names"][0].lower() in named:
            return named[node["column_names"][0].lower()]
        return ranking(node)

    return values


def _inherited_values(inherited: Inherited, join: Join) -> Values:
    def values(node: Node) -> Node | None:
        if not is_column(node) or len(node["column_names"]) > 2:
            return None
        names = [str(name).lower() for name in node["column_names"]]
        found = [
            scored.value
            for (alias, column), columns in inherited.items()
            if column == names[-1] and names[0] in (alias, column)
            for scored in columns
            if scored.join is join
        ]
        return found[0] if found else None

    return values


def _same_column(column: Node, node: Node) -> Node | None:
    return column if is_column(node) and node["column_names"] == column["column_names"] else None


def _renamed(scores: Scores, before: list[str], after: list[str]) -> Scores:
    """Scores under the names that stand in the places of theirs."""
    return {new: scores[old] for old, new in zip(before, after, strict=False) if old in scores}
