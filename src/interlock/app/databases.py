"""The databases of a workspace become governed SQL tools.

Above: compose. Below: config, storage, `tools/sql`. sqlglot is loaded only where a workspace declares a database.
"""

from __future__ import annotations

from pathlib import Path

from interlock.config.sql import Database
from interlock.config.workspace import Workspace
from interlock.core.errors import ConfigError, Fault
from interlock.core.query import QueryLimits, QueryRunner
from interlock.core.time import Clock
from interlock.tools.define import Tool


class Databases:
    """The tools, and the connections behind them."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        """Raises ConfigError: a database is declared and the extra `sql` is not installed, or a row condition does not read."""
        self._runners: list[QueryRunner] = []
        self.tools: dict[str, Tool] = {}
        for name, database in workspace.settings.databases.items():
            tool = self._tool(name, database, workspace.root, clock)
            self.tools[tool.name] = tool

    async def close(self) -> None:
        for runner in self._runners:
            await runner.close()

    def _tool(self, name: str, database: Database, root: Path, clock: Clock) -> Tool:
        try:
            from interlock.tools.sql.policy import SqlPolicy, TableGrant
            from interlock.tools.sql.rewrite import check_grants
            from interlock.tools.sql.tool import sql_tool
        except ModuleNotFoundError as missing:
            raise _fault(root, name, f"{missing.name} is not installed", "pip install 'interlock[sql]'") from missing
        policy = SqlPolicy(
            name,
            database.dialect,
            {
                table.lower(): TableGrant(grant.columns, grant.where, grant.in_schema)
                for table, grant in database.tables.items()
            },
            frozenset(each.lower() for each in database.functions),
            QueryLimits(database.max_rows, database.max_bytes, database.timeout_s, database.max_cost),
        )
        try:
            check_grants(policy)
        except ValueError as wrong:
            raise _fault(root, name, str(wrong), "Write a condition over the table's columns.") from wrong
        runner = _runner(database, root, clock)
        self._runners.append(runner)
        return sql_tool(policy, runner, clock)


def _runner(database: Database, root: Path, clock: Clock) -> QueryRunner:
    url = database.url.reveal()
    if database.dialect == "sqlite":
        from interlock.storage.query_sqlite import SqliteQueries

        return SqliteQueries(root / url.removeprefix("sqlite:").removeprefix("//"), clock)
    if database.dialect == "mysql":
        from interlock.storage.query_mysql import MysqlQueries

        return MysqlQueries(url, clock)
    from interlock.storage.query_postgres import PostgresQueries

    return PostgresQueries(url, clock)


def _fault(root: Path, name: str, message: str, hint: str) -> ConfigError:
    return ConfigError([Fault(str(root / "interlock.yaml"), 1, 1, f"databases.{name}", message, hint)])
