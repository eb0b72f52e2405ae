"""Conditions of a query reach behind the fence of a row condition: only those that cannot raise, and never in place of it."""

import sqlite3

import pytest
import sqlglot
from sqlglot import exp

from interlock.core.query import QueryLimits
from interlock.tools.sql.policy import SqlPolicy, TableGrant
from interlock.tools.sql.rewrite import governed

pytestmark = pytest.mark.requirement("TL-11")

ROWS = "tenant_id = :tenant OR tenant_id = 'everybody'"
POLICY = SqlPolicy(
    "shop",
    "sqlite",
    {"orders": TableGrant(("id", "status", "total"), ROWS, ""), "lines": TableGrant(("order_id", "sku"), "", "")},
    frozenset({"abs"}),
    QueryLimits(10, 1_000, 1.0, 0),
)


def made(sql: str) -> str:
    tree = sqlglot.parse_one(sql, read="sqlite")
    assert isinstance(tree, exp.Query)
    return governed(tree, POLICY, {"tenant": "mine"}).sql


def shop() -> sqlite3.Connection:
    db = sqlite3.connect(":memory:")
    db.execute("CREATE TABLE orders (id INTEGER, status TEXT, total INTEGER, tenant_id TEXT)")
    db.execute("CREATE TABLE lines (order_id INTEGER, sku TEXT)")
    db.execute("CREATE INDEX by_status ON orders (status)")
    given = ((n, f"s{n % 50}", n, ("mine", "theirs", "everybody")[n % 3]) for n in range(3_000))
    db.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", given)
    return db


def test_an_index_on_a_column_of_the_query_is_used_and_no_row_of_others_comes_with_it():
    db, sql = shop(), made("SELECT id FROM orders WHERE status = 's7' AND total > 0")

    plan = " ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", ["mine"]))
    found = {row[0] for row in db.execute(sql, ["mine"])}

    assert "USING INDEX by_status" in plan
    assert found
    assert all(each % 3 != 1 and each % 50 == 7 for each in found)


@pytest.mark.parametrize(
    "condition",
    [
        "status = 's7' OR 1 = 1",
        "NOT status = 's7'",
        "status = id",
        "status = abs(-1)",
        "status IN (SELECT sku FROM lines)",
        "abs(total) = 7",
        "status LIKE 's7'",
        "total = 1 / 0",
    ],
)
def test_what_is_no_comparison_of_a_column_with_constants_stays_outside(condition: str):
    fenced = made(f"SELECT id FROM orders WHERE {condition}").split("OFFSET 0")[0]

    assert fenced.endswith("""WHERE "tenant_id" = ?1 OR "tenant_id" = 'everybody' LIMIT -1 """)


def test_a_condition_on_another_table_or_of_unclear_origin_stays_outside():
    sql = made("SELECT o.id FROM orders o LEFT JOIN lines l ON l.order_id = o.id WHERE l.sku = 'x' AND status = 's7'")

    fenced = sql.split("OFFSET 0")[0]
    assert "'x'" not in fenced
    assert "'s7'" not in fenced
