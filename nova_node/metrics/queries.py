"""Which SQL a stranger may run: one SELECT, over the tables of the history and nothing else.

Judged on the tree that the database's own parser made. It stands before a read-only transaction in a
process that reaches no file but its own and takes no settings; each of them would do alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from nova_node.core.errors import Invalid
from nova_node.metrics.tables import TABLES

SQL_MAX_CHARS = 20_000

_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree"})
_DENIED = frozenset(
    {
        "current_setting",
        "getenv",
        "getvariable",
        "nextval",
        "currval",
        "setval",
        "write_log",
        "current_database",
        "current_connection_id",
        "txid_current",
    }
)

Tree = Mapping[str, Any]


def check_text(sql: str) -> str:
    """Raises Invalid."""
    if not sql.strip() or len(sql) > SQL_MAX_CHARS or "\0" in sql:
        raise Invalid(f"a query is 1 to {SQL_MAX_CHARS} characters, none of them NUL", "shorten it")
    return sql


def check_tree(tree: Any) -> None:
    """`tree` is what json_serialize_sql made. Raises Invalid."""
    if not isinstance(tree, dict):
        raise _not_a_select()
    document = cast("Tree", tree)
    if document.get("error"):
        if document.get("error_type") == "parser":
            raise Invalid(
                f"this is no SQL: {str(document.get('error_message'))[:300]}", "see docs/metrics.md"
            )
        raise _not_a_select()
    statements = document.get("statements")
    if not isinstance(statements, list) or len(cast("list[Any]", statements)) != 1:
        raise Invalid("a query is one statement", "ask once for each")
    nodes = list(_nodes(statements))
    names = {*TABLES, *_common_names(nodes)}
    for node in nodes:
        _check(node, names)


def _nodes(root: Any) -> Iterator[Tree]:
    """Every object in the tree; no recursion, since strangers choose how deep it is."""
    waiting: list[Any] = [root]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield cast("Tree", each)
            waiting.extend(cast("dict[str, Any]", each).values())
        elif isinstance(each, list):
            waiting.extend(cast("list[Any]", each))


def _common_names(nodes: Iterable[Tree]) -> Iterator[str]:
    """Those that WITH gives."""
    for node in nodes:
        given = node.get("cte_map")
        if isinstance(given, dict):
            for entry in cast("Tree", given).get("map", ()):
                yield str(entry.get("key", "")).lower()


def _check(node: Tree, names: set[str]) -> None:
    kind = str(node.get("type", ""))
    if kind.endswith("_NODE") and kind not in _NODES:
        raise _not_a_select()
    if kind == "BASE_TABLE":
        path = node.get("qualified_name", {}).get("path") or [node.get("table_name", "")]
        name = str(path[-1])
        if path[:-1] not in ([], ["main"]) or name.lower() not in names:
            raise Invalid(
                f"no table {name[:80]!a}", f"there are {', '.join(TABLES)}: docs/metrics.md"
            )
    elif kind == "TABLE_FUNCTION":
        name = _function_name(node.get("function", {}))
        if name not in _TABLE_FUNCTIONS:
            raise _denied(name)
    elif kind == "SHOW_REF" and "query" not in node:
        raise _not_a_select()
    name = _function_name(node)
    if name in _DENIED or name.startswith(("pg_", "duckdb_", "pragma_")):
        raise _denied(name)


def _function_name(node: Tree) -> str:
    return str(node.get("function_name", "")).lower()


def _denied(name: str) -> Invalid:
    return Invalid(
        f"a query may not call {name[:80]}",
        "queries read the node's history, not files or settings",
    )


def _not_a_select() -> Invalid:
    return Invalid("a query is one SELECT", "queries only read: docs/metrics.md")
