"""One statement's tree, rewritten in place: the walk over its SELECTs and what becomes of each NEAREST join."""

import copy
import time
from dataclasses import replace
from functools import partial

import pyarrow as pa

from curator.errors import QueryError
from curator.nearest import search
from curator.nearest.calls import Tools, call_function
from curator.nearest.definitions import expanded
from curator.nearest.engine import Engine
from curator.nearest.groups import groups as groups_of
from curator.nearest.prepare import prepare
from curator.nearest.ranking import DeclinedError, Operand, Owner, Ranking, ranking_of
from curator.nearest.refusals import refuse_grouping, refuse_one_name_twice, refuse_outer_rows, refuse_whole_rows
from curator.nearest.report import DUCKDB_PAIR, JoinReport
from curator.nearest.saturation import Saturation
from curator.nearest.scope import Join, Scope, asks_saturated, expressions, hide, repeats
from curator.nearest.searching import Searching
from curator.nearest.sides import Side, base_of, correlation, evaluate
from curator.nearest.tree import (
    EdgeNames,
    Node,
    alias_of,
    children,
    leaves,
    mentions,
    name_of,
    replace_in_place,
    walk,
    walk_expression,
)


class Planner:
    """Rewrites the queries of one statement. With ``searches`` off the edges are left out: for ``explain``."""

    def __init__(
        self, engine: Engine, tools: Tools, *, searches: bool = True, saturated: bool = False,
        searching: Searching,
    ) -> None:  # fmt: skip
        self.engine = engine
        self.searching = searching
        self.saturated = saturated  # the statement asks for the column that only curator has
        self.tools = tools
        self.searches = searches
        self.functions = {function.__name__: function for function in tools.functions}
        self.macros, self.views = engine.definitions()
        self.reports: list[JoinReport] = []
        self.saturation = Saturation(engine, self.reports)

    def query(self, node: Node, ctes: list[Node]) -> None:
        """Rewrite a query node in place. ``ctes`` are those in scope, already rewritten."""
        ctes = list(ctes)
        for entry in node["cte_map"]["map"]:
            self.query(entry["value"]["query_node"], ctes)
            ctes.append(entry)
        if node["type"] == "SELECT_NODE":
            self._select(node, ctes)
        if node["type"] == "RECURSIVE_CTE_NODE":
            self._recursive(node, ctes)
            return
        for child in children(node):
            self.query(child, ctes)
        if node["type"] == "SET_OPERATION_NODE":
            self.saturation.of_set_operation(node, ctes)

    def _recursive(self, node: Node, ctes: list[Node]) -> None:
        """A recursive CTE: what it begins with is a query, what it repeats is DuckDB's alone.

        Under WITH RECURSIVE every union is such a node, and is one only if it names itself.
        """
        self.query(node["left"], ctes)
        if not mentions(node["right"], node["cte_name"]):
            self.query(node["right"], ctes)
            self.saturation.of_set_operation(node, ctes)
            return
        for join in walk(node["right"]):
            if join.get("ref_type") == "NEAREST":
                self.reports.append(
                    replace(self._report(join), engine="duckdb", reason="a recursive CTE searches again at each step")
                )

    def _report(self, join: Node) -> JoinReport:
        left = ", ".join(alias_of(leaf) for leaf in leaves(join["left"]))
        ranking = self.engine.text(join["ranking_expression"])
        return JoinReport(left, alias_of(join["right"]), join["nearest_count"], ranking, True, "faiss", "")

    def _select(self, node: Node, ctes: list[Node]) -> None:
        prepare(node, self.engine, self.tools, self.macros)
        scope = Scope(ctes, node)
        node["from_table"] = self._from(node["from_table"], scope)
        for part in walk_expression([*expressions(node), node["from_table"]]):
            inner = part.get("subquery") if part.get("class") == "SUBQUERY" else None
            if inner:
                self.query(inner["node"], ctes)
        self._use_scores(node, scope)
        self.saturation.of_select(node, scope, ctes)
        hide(node, scope)

    def _from(self, table: Node, scope: Scope) -> Node:
        """Rewrite one table of FROM; returns what takes its place."""
        if table["type"] in ("TABLE_FUNCTION", "BASE_TABLE") and not self._is_cte(table, scope.ctes):
            original = table
            table = expanded(table, self.macros, self.views, self.engine.parse)
            if table is not original and original["type"] == "BASE_TABLE":  # a macro sees the CTEs around it
                self.engine.keep_apart(table, scope.ctes)
        kind = table["type"]
        if kind == "SUBQUERY":
            self.query(table["subquery"]["node"], scope.ctes)
        elif kind == "TABLE_FUNCTION" and table["function"]["function_name"] in self.functions:
            return self._call(table, scope)
        elif kind == "SHOW_REF" and isinstance(table.get("query"), dict):
            self.query(table["query"], scope.ctes)
        elif kind == "PIVOT" and table["source"]["type"] == "SUBQUERY":
            table["source"] = self._from(table["source"], scope)
        elif kind == "JOIN":
            table["left"] = self._from(table["left"], scope)
            table["right"] = self._from(table["right"], scope)
            if table["ref_type"] == "NEAREST":
                return self._nearest(table, scope)
        return table

    def _is_cte(self, table: Node, ctes: list[Node]) -> bool:
        name = str(table.get("table_name")).lower()
        if table["type"] != "BASE_TABLE" or table["schema_name"]:
            return False
        return any(str(entry["key"]).lower() == name for entry in ctes)

    def _call(self, table: Node, scope: Scope) -> Node:
        function = self.functions[table["function"]["function_name"]]
        for argument in table["function"]["arguments"]:
            if argument["expression"].get("class") == "SUBQUERY":
                self.query(argument["expression"]["subquery"]["node"], scope.ctes)
        result = call_function(function, table["function"], scope.ctes, self.tools, self.engine)
        name = f"__call{self.engine.next_number()}"
        self.engine.add(name, result)
        self.engine.calls[function.__name__] = result
        replacement = self.engine.builder.table(name, table["alias"] or function.__name__)
        replacement["column_name_alias"] = table["column_name_alias"]
        return replacement

    # NEAREST joins

    def _nearest(self, join: Node, scope: Scope) -> Node:
        """Put an ordinary join through FAISS's edges in the place of a NEAREST join, or leave it as it is."""
        original, sides, rows = copy.deepcopy(join), dict(scope.sides), copy.deepcopy(scope.rows)
        report = self._report(join)
        try:
            return self._through_edges(join, scope, report)
        except DeclinedError as reason:
            scope.sides, scope.rows = sides, rows
            left, right = (self._count(original[side], scope) for side in ("left", "right"))
            cost = None if left is None or right is None else left * right * 384 * DUCKDB_PAIR
            self.reports.append(
                replace(
                    report, engine="duckdb", reason=str(reason), left_rows=left, right_rows=right,
                    estimated_seconds=cost,
                )
            )  # fmt: skip
            return original

    def _through_edges(self, join: Node, scope: Scope, report: JoinReport) -> Node:
        right_alias = alias_of(join["right"])
        outer = {alias_of(leaf): leaf for leaf in leaves(join["left"])}
        refuse_one_name_twice(join)
        ranking = ranking_of(join, right_alias, list(outer), self._owner(join, scope), self.engine.text)
        refuse_whole_rows(scope.select, {ranking.left.table, right_alias}, partial(self._is_a_column, scope))
        refuse_outer_rows(join["left"], ranking.left)
        refuse_grouping(scope.select, ranking.expression)
        tables, keys = correlation(join["right"], set(outer))
        if tables - {ranking.left.table}:
            raise DeclinedError("the right side depends on a table other than the one with the vector")
        left = self._side(outer[ranking.left.table], ranking.left, scope)
        right = self._side(join["right"], ranking.right, scope, keys.inner)
        report = replace(
            report,
            left=f"{report.left} ({left.described})",
            right=f"{report.right} ({right.described})",
            left_rows=left.rows if left.known else None,
            right_rows=right.rows if right.known else None,
        )
        names = EdgeNames(self.engine.next_number(), left.row, right.row)
        approximate = bool(join["nearest_approx"]) and not keys
        k = join["nearest_count"]
        index = search.index_for(left.rows, right, ranking, k) if approximate else None
        part = self.searching.part if index else None
        index = None if self.searching.exact else index
        report = replace(
            report, exact=index is None, filter=search.filtered(right, index), reason=search.how_searched(index, k)
        )
        if self.searches:
            started = time.perf_counter()
            groups = groups_of(left, right, keys, self.engine) if keys else None
            asking = left.take(self.searching.rows(len(left.positions))) if part else left
            found = search.search(asking, right, ranking, k, groups, index)
            table = search.edge_table(found, asking, right, ranking, names)
            report = replace(report, groups=found.groups, edges=len(table), seconds=time.perf_counter() - started)
            if found.certificate is not None:
                how = f"{report.reason}; {found.certificate}"
                short = not found.certificate.kept
                report = replace(report, exact=short, fell_short=short, reason=how)
        else:
            found = search.nothing()
            table = search.edge_table(found, left, right, ranking, names)
            report = replace(report, estimated_seconds=search.estimated(report, left, right, index))
        self.reports.append(report)
        self._found(table, found, names, ranking, join, scope)
        kind = "LEFT" if join["join_type"] == "LEFT" and not part else "INNER"
        return self.engine.builder.edge_join(join["left"], join["right"], names, kind)

    def _found(
        self, table: pa.Table, found: search.Found, names: EdgeNames, ranking: Ranking, join: Node, scope: Scope
    ) -> None:
        """Register the edges, with what the thresholds of this SELECT say of them."""
        k = join["nearest_count"]
        last = (found.edges.rank == k) & (found.candidates > k)
        made = Join(len(self.reports) - 1, names, alias_of(join["right"]), ranking.expression, found.edges.left, last)
        scope.joins.append(made)
        scope.hidden += [*names.columns, names.saturated]
        self.engine.add(names.table, table)
        saturated = self.saturation.of_own(made, scope)
        self.engine.add(names.table, table.append_column(names.saturated, pa.array(saturated)))

    def _owner(self, join: Node, scope: Scope) -> Owner:
        """To which table of a join a column belongs."""
        tables = {alias_of(leaf): leaf for leaf in [*leaves(join["left"]), join["right"]]}

        def owner(column: Node) -> str | None:
            names = [str(name).lower() for name in column["column_names"]]
            if len(names) == 2 and names[0] in tables:
                return names[0]
            if len(names) != 1:
                return None
            owners = [alias for alias, table in tables.items() if names[0] in self._columns(table, scope)]
            return owners[0] if len(owners) == 1 else None

        return owner

    def _is_a_column(self, scope: Scope, name: str) -> bool:
        return any(name in self._columns(leaf, scope) for leaf in leaves(scope.select["from_table"]))

    def _columns(self, table: Node, scope: Scope) -> set[str]:
        """The columns of a table of FROM, in lower case; none when it cannot be looked at alone."""
        alias = alias_of(table)
        if alias not in scope.columns:
            scope.columns[alias] = self._columns_of(base_of(table), scope)
        return scope.columns[alias]

    def _columns_of(self, base: Node, scope: Scope) -> set[str]:
        if base["type"] == "JOIN":
            return set()
        relation = self.engine.relation(base["table_name"]) if base["type"] == "BASE_TABLE" else None
        if relation is not None and not self._is_cte(base, scope.ctes):
            return {*map(str.lower, relation.columns), *relation.derived}
        return set(self.engine.columns_of(base, scope.ctes))

    def _count(self, table: Node, scope: Scope) -> int | None:
        """Rows of a table of FROM; None when it cannot be counted alone."""
        try:
            counted = self.engine.fetch(self.engine.builder.select(table, scope.ctes, "count(*)"))
        except QueryError:
            return None
        return int(counted.column(0)[0].as_py())

    def _side(self, table: Node, operand: Operand, scope: Scope, inner: tuple[Node, ...] = ()) -> Side:
        """Evaluate a table of FROM and put the registered result in its place. ``inner``: keys over what is in it."""
        alias = alias_of(table)
        known = scope.sides.get(alias)
        if known is not None and known.column == operand.column:
            return known
        side = evaluate(table, operand, scope.ctes, self.engine, inner)
        replace_in_place(table, self.engine.builder.table(side.name, name_of(table)))
        scope.sides[alias] = side
        scope.rows.setdefault(alias, []).extend(side.hidden)
        return side

    # Scores

    def _use_scores(self, node: Node, scope: Scope) -> None:
        """Take the ranking from the edges wherever the SELECT repeats it, and ``saturated`` where it is asked for."""
        for join in scope.joins:
            score = self.engine.builder.expression(join.names.score)
            saturated = self.engine.builder.expression(join.names.saturated)
            for part in list(walk_expression([*expressions(node), node["from_table"]])):
                if repeats(part, join.expression, scope):
                    replace_in_place(part, {**score, "alias": part["alias"]})
                elif self.saturated and asks_saturated(part, join):
                    replace_in_place(part, {**saturated, "alias": part["alias"] or "saturated"})
