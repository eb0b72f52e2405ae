"""Two worlds that look the same to one tenant: same rows of its own, other secrets. What tells them apart is a leak."""

import sqlite3
from pathlib import Path
from typing import Any

from interlock.core.query import QueryLimits
from interlock.tools.sql.policy import Dialect, SqlPolicy, TableGrant

TABLES = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL, name TEXT, country TEXT, tax_number TEXT);
CREATE TABLE orders (id INTEGER PRIMARY KEY, tenant_id TEXT NOT NULL, customer_id INTEGER, status TEXT, total NUMERIC, note TEXT,
    created_at TIMESTAMP);
CREATE TABLE products (sku TEXT PRIMARY KEY, name TEXT, price NUMERIC, purchase_price NUMERIC);
CREATE TABLE items (order_id INTEGER, sku TEXT, quantity INTEGER, tenant_id TEXT NOT NULL);
CREATE TABLE payroll (employee TEXT, salary NUMERIC);
"""
STATUSES = ("shipped", "open", "lost", "returned")


def rows(canary: str, other: str) -> dict[str, list[tuple[Any, ...]]]:
    """The whole world. `canary` marks what nobody may see; `other` is the tenant whose rows nobody else may see."""
    customers: list[tuple[Any, ...]] = [
        (n, "acme", f"Customer {n}", ("DE", "FR", "US")[n % 3], f"{canary}-{n}") for n in range(1, 13)
    ]
    customers += [(n, other, f"{canary} person {n}", canary, f"{canary}-{n}") for n in range(100, 100 + len(canary))]
    orders: list[tuple[Any, ...]] = [
        (
            n,
            "acme",
            n % 12 + 1,
            STATUSES[n % 4],
            10 * n + 0.5,
            f"note {n}" if n % 5 else None,
            f"2026-{n % 12 + 1:02d}-{n % 27 + 1:02d} 10:00:00",
        )
        for n in range(1, 61)
    ]
    orders += [
        (n, other, 100, canary, 10_000 + len(canary), canary, "2026-01-01 00:00:00")
        for n in range(500, 500 + len(canary))
    ]
    products = [(f"P{n}", f"Product {n}", 5 * n, 1000 + len(canary) * n) for n in range(1, 9)]
    items = [(order, f"P{(order + k) % 8 + 1}", k + 1, "acme") for order in range(1, 61) for k in range(order % 3 + 1)]
    items += [(500, "P1", len(canary), other)]
    return {
        "customers": customers,
        "orders": orders,
        "products": products,
        "items": items,
        "payroll": [(canary, 1)] * len(canary),
    }


WORLDS = {"one": rows("CANARYONE", "rival"), "two": rows("CANARYNUMBERTWO", "zeta")}


def fill_sqlite(path: Path, world: str) -> None:
    with sqlite3.connect(path) as db:
        db.executescript(TABLES)
        for table, lines in WORLDS[world].items():
            db.executemany(f"INSERT INTO {table} VALUES ({','.join('?' * len(lines[0]))})", lines)
    db.close()


def policy(dialect: Dialect, *, max_rows: int = 500, timeout_s: float = 2.0) -> SqlPolicy:
    """What the tenant's agent may read."""
    return SqlPolicy(
        "shop",
        dialect,
        {
            "customers": TableGrant(("id", "name", "country"), "tenant_id = :tenant"),
            "orders": TableGrant(("id", "customer_id", "status", "total", "note", "created_at"), "tenant_id = :tenant"),
            "products": TableGrant(("sku", "name", "price")),
            "items": TableGrant(("order_id", "sku", "quantity"), "tenant_id = :tenant"),
        },
        limits=QueryLimits(max_rows=max_rows, timeout_s=timeout_s),
    )
