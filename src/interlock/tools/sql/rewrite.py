"""The checked query, written anew: every table becomes a fenced view of the columns and rows that the caller may see.

Above: tool. Below: policy, check, sqlglot. What is run is never the text that came in but text made from the checked tree. Each table stands with its
schema, so that no common table expression can pass for it, and each common table expression gets a name that no table has, so that none can hide
behind another reading of scopes. A row predicate is fenced (`LIMIT`/`OFFSET`), so that no condition of the query that
may raise an error is ever evaluated on a row that the caller may not see; those that cannot are looked at inside (`narrow`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.normalize_identifiers import normalize_identifiers
from sqlglot.tokenizer_core import Token, TokenType

from interlock.core.query import PLACE, Query

from . import functions
from .narrow import narrowing
from .policy import HOME, QueryRefused, SqlPolicy, TableGrant

_PREFIX = "il_cte_"
_HIDDEN = frozenset({"rowid", "_rowid_", "oid", "ctid", "tableoid", "xmin", "xmax", "cmin", "cmax"})
_EVERYTHING: Mapping[str, str] = {"sqlite": "-1", "postgres": "", "mysql": "18446744073709551615"}
_PARAMETERS = ("tenant", "user")


def governed(tree: exp.Query, policy: SqlPolicy, given: Mapping[str, str]) -> Query:
    """What may be run in place of `tree`. `given`: the values of `:tenant` and `:user`.

    Raises:
        QueryRefused: a table or column that is not granted; or a row predicate needs a value that the caller has none of.
    """
    tree = normalize_identifiers(tree, dialect=policy.dialect)
    tables = _resolved(tree, policy)
    _known_columns(tree, policy, tables)
    binder = _Binder(policy, given)
    for table, name in tables:
        table.replace(_view(table, name, policy, binder))
    _capped(tree, policy)
    sql = tree.sql(dialect=policy.dialect, identify=True, comments=False)
    if sql.count(PLACE) != (len(binder.values) if policy.dialect == "mysql" else 0):
        raise QueryRefused(f"the text {PLACE} is reserved")
    _read_again(sql, policy)
    names = {name for _, name in tables}
    return Query(
        sql,
        tuple(binder.values),
        {name: frozenset(_readable(policy.tables[name])) for name in names},
        functions.BY_DIALECT[policy.dialect] | policy.functions,
    )


def check_grants(policy: SqlPolicy) -> None:
    """Raises ValueError, naming the table, where a row condition of the policy itself does not read."""
    for name, grant in policy.tables.items():
        if not grant.where:
            continue
        try:
            sqlglot.parse_one(grant.where, read=policy.dialect)
        except SqlglotError as fault:
            raise ValueError(f"tables.{name}.where does not read: {str(fault).splitlines()[0]}") from fault


def _resolved(tree: exp.Query, policy: SqlPolicy) -> list[tuple[exp.Table, str]]:
    """Every real table with the grant it stands for; references to common table expressions are renamed on the way."""
    found: list[tuple[exp.Table, str]] = []
    fresh: dict[int, str] = {}
    for number, cte in enumerate(tree.find_all(exp.CTE)):
        fresh[id(cte)] = f"{_PREFIX}{number}"
    for table in list(tree.find_all(exp.Table)):
        cte = None if table.args.get("db") else _visible_cte(table)
        if cte is not None:
            if not table.args.get("alias"):
                table.set("alias", exp.TableAlias(this=exp.to_identifier(table.name, quoted=True)))
            table.set("this", exp.to_identifier(fresh[id(cte)], quoted=True))
            continue
        found.append((table, _granted(table, policy)))
    for cte in tree.find_all(exp.CTE):
        cte.args["alias"].set("this", exp.to_identifier(fresh[id(cte)], quoted=True))
    return found


def _visible_cte(table: exp.Table) -> exp.CTE | None:
    """The common table expression that the name means: the nearest one around it that is declared before it."""
    inside: exp.Expr = table
    node = table.parent
    while node is not None:
        with_ = node if isinstance(node, exp.With) else node.args.get("with_")
        if isinstance(with_, exp.With) and with_ is not inside:
            for cte in reversed(_declared_before(with_, inside)):
                if cte.alias == table.name:
                    return cte
        inside, node = node, node.parent
    return None


def _declared_before(with_: exp.With, inside: exp.Expr) -> list[exp.CTE]:
    seen: list[exp.CTE] = []
    for cte in with_.expressions:
        if cte is inside:
            break
        seen.append(cte)
    return seen


def _granted(table: exp.Table, policy: SqlPolicy) -> str:
    name = table.name.lower()
    grant = policy.tables.get(name)
    home = grant.schema or HOME[policy.dialect] if grant else ""
    if grant is None or (table.db and table.db.lower() != home.lower()):
        listed = ", ".join(f"{each}({', '.join(policy.tables[each].columns)})" for each in sorted(policy.tables))
        raise QueryRefused(f"there is no table {table.sql(dialect=policy.dialect)}", f"Tables: {listed}.")
    return name


def _known_columns(tree: exp.Query, policy: SqlPolicy, tables: list[tuple[exp.Table, str]]) -> None:
    """A column has to be one that is granted, or a name that the query gives itself."""
    known = {column.lower() for _, name in tables for column in policy.tables[name].columns}
    known.update(node.alias.lower() for node in tree.find_all(exp.Alias))
    for alias in tree.find_all(exp.TableAlias):
        known.update(column.name.lower() for column in alias.args.get("columns") or ())
    known.update(_default_names(tree))
    granted = {column.lower() for _, name in tables for column in policy.tables[name].columns}
    for column in tree.find_all(exp.Column):
        name = column.name.lower()
        if isinstance(column.this, exp.Star):
            continue
        if name not in known or (name in _HIDDEN and name not in granted):
            raise QueryRefused(
                f"there is no column {column.sql(dialect=policy.dialect)}", f"Columns: {', '.join(sorted(granted))}."
            )
    for join in tree.find_all(exp.Join):
        for name in join.args.get("using") or ():
            if name.name.lower() not in known:
                raise QueryRefused(
                    f"there is no column {name.name} to join on", f"Columns: {', '.join(sorted(granted))}."
                )


def _default_names(tree: exp.Query) -> Iterator[str]:
    """Names that a database gives to unnamed calls, e.g. `count` in PostgreSQL; inner queries may use them."""
    for select in tree.find_all(exp.Select):
        for projection in select.expressions:
            if isinstance(projection, (exp.Func, exp.Filter, exp.Window)):
                yield projection.sql(comments=False).partition("(")[0].lower()


def _readable(grant: TableGrant) -> set[str]:
    """What the view itself reads: the granted columns and those of the row predicate."""
    columns = {column.lower() for column in grant.columns}
    if grant.where:
        columns.update(node.name.lower() for node in sqlglot.parse_one(grant.where).find_all(exp.Column))
    return columns


class _Binder:
    """Hands out numbered parameters."""

    def __init__(self, policy: SqlPolicy, given: Mapping[str, str]) -> None:
        self._dialect = policy.dialect
        self._given = given
        self._numbers: dict[str, int] = {}
        self.values: list[str] = []

    def bound(self, name: str) -> exp.Expr:
        if name not in _PARAMETERS or not self._given.get(name):
            raise QueryRefused(
                f"these tables are read for one {name}, and this call has none", "This cannot be asked here."
            )
        if self._dialect == "mysql":  # its parameters have no numbers
            self.values.append(self._given[name])
            return exp.Var(this=PLACE)
        if name not in self._numbers:
            self.values.append(self._given[name])
            self._numbers[name] = len(self.values)
        number = self._numbers[name]
        return (
            exp.Parameter(this=exp.Literal.number(number))
            if self._dialect == "postgres"
            else exp.Var(this=f"?{number}")
        )


def _view(table: exp.Table, name: str, policy: SqlPolicy, binder: _Binder) -> exp.Subquery:
    grant = policy.tables[name]
    home = grant.schema or HOME[policy.dialect]
    view = exp.select(*(exp.column(exp.to_identifier(column, quoted=True)) for column in grant.columns)).from_(
        exp.table_(exp.to_identifier(name, quoted=True), db=exp.to_identifier(home, quoted=True) if home else None)
    )
    if grant.where:
        condition = sqlglot.parse_one(grant.where, read=policy.dialect)
        for placeholder in list(condition.find_all(exp.Placeholder)):
            bound = binder.bound(str(placeholder.this))
            condition = bound if placeholder is condition else condition
            placeholder.replace(bound)
        for narrower in narrowing(table, grant):
            view = view.where(narrower)
        view = view.where(condition)
        everything = _EVERYTHING[policy.dialect]
        view = view.limit(int(everything)) if everything else view
        view = view.offset(0)
    alias = table.args.get("alias") or exp.TableAlias(this=exp.to_identifier(name, quoted=True))
    return exp.Subquery(this=view, alias=alias.copy())


def _capped(tree: exp.Query, policy: SqlPolicy) -> None:
    """At most one row more than may be shown, so that the database stops early and the caller learns that there was more."""
    most = policy.limits.max_rows + 1
    limit = tree.args.get("limit")
    if limit is None:
        tree.set("limit", exp.Limit(expression=exp.Literal.number(most)))
        return
    options = limit.args.get("limit_options")
    count = limit.args.get("count") if isinstance(limit, exp.Fetch) else limit.args.get("expression")
    if options is not None and (options.args.get("percent") or options.args.get("with_ties")):
        raise QueryRefused("FETCH with PERCENT or TIES", "Write LIMIT with a number.")
    if isinstance(count, exp.Literal) and not count.is_string and count.name.isdigit():
        tree.set("limit", exp.Limit(expression=exp.Literal.number(min(int(count.name), most))))
        return
    raise QueryRefused("a LIMIT that is not a plain number", "Write LIMIT with a number.")


def _read_again(sql: str, policy: SqlPolicy) -> None:
    """The made text is read once more, as tokens: one statement, no comment, and nothing called that may not be called."""
    permitted = functions.BY_DIALECT[policy.dialect] | policy.functions | functions.NOT_FUNCTIONS
    tokens: list[Token] = sqlglot.tokenize(sql, read=policy.dialect)
    for token, after in zip(tokens, [*tokens[1:], None], strict=True):
        word = token.text.lower()
        calls = after is not None and after.token_type == TokenType.L_PAREN and token.token_type != TokenType.IDENTIFIER
        typed = word in functions.TYPES  # VARCHAR(20)
        if token.token_type == TokenType.SEMICOLON or token.comments:
            raise QueryRefused("the query does not read the same after it was written anew")
        if (
            calls
            and word[:1].isalpha()
            and word not in permitted
            and not typed
            and token.token_type != TokenType.STRING
        ):
            raise QueryRefused(f"{word}(…) is not possible here")
