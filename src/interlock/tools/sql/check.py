"""Is this one harmless SELECT? The query is parsed, and every part of the tree has to be of a kind that is known to be harmless.

Above: tool. Below: policy, functions, sqlglot. Nothing here looks for what is bad: what is not on a list is refused.
"""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from . import functions
from .policy import QueryRefused, SqlPolicy

_SHAPES: tuple[type[exp.Expr], ...] = (
    exp.Select, exp.From, exp.Join, exp.Where, exp.Group, exp.Having, exp.Order, exp.Ordered, exp.Limit, exp.Fetch, exp.LimitOptions, exp.Offset, exp.Qualify,
    exp.Table, exp.TableAlias, exp.Subquery, exp.With, exp.CTE, exp.Union, exp.Except, exp.Intersect, exp.Distinct,
    exp.Column, exp.Identifier, exp.Star, exp.Alias, exp.Literal, exp.Null, exp.Boolean, exp.Paren, exp.Tuple,
    exp.Case, exp.If, exp.Cast, exp.DataType, exp.DataTypeParam, exp.Interval, exp.Var, exp.Extract,
    exp.Window, exp.WindowSpec, exp.WithinGroup, exp.Filter, exp.Exists, exp.Any, exp.All,
    exp.GroupingSets, exp.Rollup, exp.Cube,
)  # fmt: skip
_OPERATORS: tuple[type[exp.Expr], ...] = (
    exp.And, exp.Or, exp.Not, exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.In, exp.Between,
    exp.Like, exp.ILike, exp.Glob, exp.Escape, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Mod, exp.Neg, exp.DPipe,
    exp.BitwiseAnd, exp.BitwiseOr, exp.SimilarTo,
)  # fmt: skip
_CLOCKS: tuple[type[exp.Expr], ...] = (exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime)
"""Functions that are written without brackets."""
_KNOWN = frozenset((*_SHAPES, *_OPERATORS, *_CLOCKS))
_TABLE_PARTS = frozenset({"this", "db", "catalog", "alias"})
_SELECT_PARTS = frozenset(
    (
        "with_",
        "kind",
        "expressions",
        "hint",
        "distinct",
        "from_",
        "joins",
        "where",
        "group",
        "having",
        "qualify",
        "windows",
        "distribute",
        "order",
        "limit",
        "offset",
    )
)


def parsed(sql: str, policy: SqlPolicy) -> exp.Query:
    """The one SELECT that `sql` is.

    Raises:
        QueryRefused: it is something else, or holds a part that is not on the lists; names the part.
    """
    if len(sql.encode()) > policy.max_sql_bytes:
        raise QueryRefused(f"the query is longer than {policy.max_sql_bytes} bytes", "Ask a shorter question.")
    if "\x00" in sql:
        raise QueryRefused("the query holds a NUL character")
    try:
        statements = [each for each in sqlglot.parse(sql, read=policy.dialect) if each is not None]
    except (SqlglotError, RecursionError, ValueError) as fault:
        first = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        raise QueryRefused(f"it does not read as one {policy.dialect} SELECT: {first}") from fault
    if len(statements) != 1:
        raise QueryRefused(f"{len(statements)} statements", "Send exactly one SELECT.")
    tree = statements[0]
    if not isinstance(tree, (exp.Select, exp.SetOperation)):
        raise QueryRefused(f"a {type(tree).__name__.upper()} statement", "Only SELECT is possible here.")
    _measure(tree, policy)
    for node in tree.walk():
        _allowed(node, policy)
    return tree


def _measure(tree: exp.Expr, policy: SqlPolicy) -> None:
    """Bounds on size: a query that is too large to understand is too large to run."""
    nodes = list(tree.walk())
    if len(nodes) > policy.max_nodes:
        raise QueryRefused(
            f"the query has {len(nodes)} parts, at most {policy.max_nodes} are possible", "Ask less at once."
        )
    depth = max(_depth(node) for node in nodes)
    if depth > policy.max_depth:
        raise QueryRefused(
            f"the query nests {depth} levels deep, at most {policy.max_depth} are possible", "Flatten it."
        )
    tables = sum(isinstance(node, exp.Table) for node in nodes)
    if tables > policy.max_tables:
        raise QueryRefused(
            f"the query names {tables} tables, at most {policy.max_tables} are possible", "Join fewer tables."
        )
    growing = sum(isinstance(node, exp.DPipe) or bool(called(node, policy) & functions.GROWING) for node in nodes)
    if growing > policy.max_concats:
        raise QueryRefused(f"the query joins text {growing} times, at most {policy.max_concats} are possible")


def _depth(node: exp.Expr) -> int:
    levels = 0
    while node.parent is not None:
        node, levels = node.parent, levels + 1
    return levels


def _allowed(node: exp.Expr, policy: SqlPolicy) -> None:
    kind = type(node)
    if kind is exp.Table:
        _plain_table(node)
    elif kind is exp.Select:
        _plain_select(node)
    elif kind is exp.With and node.args.get("recursive"):
        raise QueryRefused("WITH RECURSIVE", "Write the levels out, or ask for the rows and count yourself.")
    elif kind is exp.Cast:
        _plain_type(node)
    elif kind is exp.Column and (node.args.get("db") or node.args.get("catalog")):
        raise QueryRefused(f"{node.sql()} names a schema", "Write table.column or column.")
    elif kind is exp.Interval and not isinstance(node.this, (exp.Literal, type(None))):
        raise QueryRefused("an interval that is not a plain literal")
    if kind in _KNOWN:
        return
    if isinstance(node, exp.Func):
        _known_function(node, policy)
        return
    raise QueryRefused(f"{_shown(node, policy)} is not possible here ({kind.__name__})")


def _plain_table(node: exp.Expr) -> None:
    extra = [part for part, value in node.args.items() if value and part not in _TABLE_PARTS]
    if extra or not isinstance(node.this, exp.Identifier) or node.args.get("catalog"):
        raise QueryRefused(
            f"{node.sql()} is no plain table", "Name a table that is listed; table functions are not possible."
        )


def _plain_select(node: exp.Expr) -> None:
    extra = [part for part, value in node.args.items() if value and part not in _SELECT_PARTS]
    if extra or node.args.get("hint") or node.args.get("kind"):
        raise QueryRefused(f"SELECT with {', '.join(sorted(extra)) or 'a hint'}", "Leave that clause out.")


def _plain_type(node: exp.Expr) -> None:
    wanted = node.args["to"]
    name = (
        str(wanted.this.value).lower()
        if isinstance(wanted, exp.DataType) and isinstance(wanted.this, exp.DType)
        else ""
    )
    if name not in functions.TYPES or node.args.get("format"):
        raise QueryRefused(f"a cast to {wanted.sql()}", f"Possible: {', '.join(sorted(functions.TYPES))}.")


def _known_function(node: exp.Func, policy: SqlPolicy) -> None:
    if isinstance(node.this, exp.Expr) and _shown(node, policy) == _shown(node.this, policy):
        return  # the parser's own note on its argument's type; nothing of it is written
    names = called(node, policy)
    permitted = functions.BY_DIALECT[policy.dialect] | policy.functions
    unknown = sorted(names - permitted)
    if unknown or not names:
        named = ", ".join(unknown) or _shown(node, policy)
        raise QueryRefused(f"the function {named} is not possible here", f"Possible: {', '.join(sorted(permitted))}.")


def called(node: exp.Expr, policy: SqlPolicy) -> frozenset[str]:
    """The function that `node` itself becomes in the dialect, in lower case; empty for what is no call."""
    if not isinstance(node, exp.Func) or type(node) in _KNOWN:
        return frozenset()
    head, bracket, _ = node.sql(dialect=policy.dialect, comments=False).partition("(")
    return frozenset({head.strip().lower()}) if bracket else frozenset()


def _shown(node: exp.Expr, policy: SqlPolicy) -> str:
    text = node.sql(dialect=policy.dialect, comments=False)
    return text if len(text) <= 60 else f"{text[:57]}..."
