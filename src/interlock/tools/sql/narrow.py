"""Conditions of a query that may be looked at before the row condition of a table: so that an index on their column is of use behind the fence.

Above: rewrite. Below: sqlglot. Only comparisons of one granted column with constants are taken: they raise nothing, whatever a row holds, so that
nothing is learned from errors about rows that the caller may not see. They stay in the query as well; here they only narrow what it reads.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from .policy import TableGrant

_COMPARED = (exp.EQ, exp.GT, exp.GTE, exp.LT, exp.LTE)


def narrowing(table: exp.Table, grant: TableGrant) -> list[exp.Expr]:
    """Conditions, over the table's own columns, that every row of it must meet to have a part in the query's result."""
    select = table.parent.parent if isinstance(table.parent, (exp.From, exp.Join)) else None
    where = select.args.get("where") if isinstance(select, exp.Select) else None
    alias = table.args.get("alias")
    if select is None or where is None or (alias is not None and alias.args.get("columns")):
        return []
    alone = not select.args.get("joins") and not select.args.get("laterals")
    granted = {column.lower(): column for column in grant.columns}
    return [
        made
        for each in _conjuncts(where.this)
        if (made := _moved(each, table.alias_or_name, granted, alone=alone)) is not None
    ]


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    """The parts of a chain of ANDs."""
    if isinstance(condition, exp.And):
        yield from _conjuncts(condition.this)
        yield from _conjuncts(condition.expression)
    elif isinstance(condition, exp.Paren):
        yield from _conjuncts(condition.this)
    else:
        yield condition


def _moved(condition: exp.Expr, name: str, granted: dict[str, str], *, alone: bool) -> exp.Expr | None:
    """The condition over the table itself; `None` where it is none of a granted column and constants."""
    column = condition.this if isinstance(condition, (*_COMPARED, exp.In, exp.Between)) else None
    if not isinstance(column, exp.Column) or column.args.get("db"):
        return None
    mine = column.table == name if column.table else alone
    if not mine or column.name.lower() not in granted or not _constants(condition):
        return None
    made = condition.copy()
    made.set("this", exp.column(exp.to_identifier(granted[column.name.lower()], quoted=True)))
    return made


def _constants(condition: exp.Expr) -> bool:
    """Whether the other side is plain texts and numbers, and nothing else."""
    if isinstance(condition, exp.In):
        others = list(condition.expressions)
        plain = not condition.args.get("query") and not condition.args.get("unnest") and not condition.args.get("field")
    elif isinstance(condition, exp.Between):
        others, plain = [condition.args["low"], condition.args["high"]], not condition.args.get("symmetric")
    else:
        others, plain = [condition.expression], True
    return plain and bool(others) and all(isinstance(each, exp.Literal) for each in others)
