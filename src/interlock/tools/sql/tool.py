"""The governed SQL tool: one per database that a workspace declares.

Above: `app`. Below: check, rewrite, the port `QueryRunner`, `tools/define`.
"""

from __future__ import annotations

from typing import Any

from interlock.core.query import QueryRunner
from interlock.core.time import Clock, Deadline
from interlock.tools.define import Tool, ToolContext, make

from .check import parsed
from .policy import SqlPolicy
from .rewrite import governed


def sql_tool(policy: SqlPolicy, runner: QueryRunner, clock: Clock) -> Tool:
    """The tool `sql.NAME`: takes one SELECT, gives `{columns, rows, row_count, truncated}`.

    Refuses, as `query_refused` with what is possible instead, whatever `check` does not know to be harmless.
    """

    async def query(sql: str, ctx: ToolContext) -> dict[str, Any]:
        given = {"tenant": ctx.tenant, "user": ctx.user}
        checked = governed(parsed(sql, policy), policy, given)
        rows = await runner.run(checked, policy.limits, Deadline.after(clock, policy.limits.timeout_s))
        return {
            "columns": list(rows.columns),
            "rows": [list(row) for row in rows.rows],
            "row_count": len(rows.rows),
            "truncated": rows.truncated,
        }

    return make(query, name=f"sql.{policy.name}", effect="none", description=_description(policy))


def _description(policy: SqlPolicy) -> str:
    tables = "; ".join(f"{name}({', '.join(policy.tables[name].columns)})" for name in sorted(policy.tables))
    return f"Answers one {policy.dialect} SELECT over these tables: {tables}. At most {policy.limits.max_rows} rows come back."
