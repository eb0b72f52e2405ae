"""Writes data/shop.sqlite: two tenants' orders, and a column that nobody is granted."""

import sqlite3
from pathlib import Path

HERE = Path(__file__).parent
STATUSES = ("shipped", "open", "lost", "returned")


def main() -> None:
    """Makes the database anew."""
    path = HERE / "data" / "shop.sqlite"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    with sqlite3.connect(path) as db:
        db.execute(
            "CREATE TABLE orders (id TEXT, tenant_id TEXT, status TEXT, total_usd REAL, placed_on TEXT, email TEXT)"
        )
        db.execute("CREATE TABLE products (sku TEXT, name TEXT, price_usd REAL, purchase_usd REAL)")
        for n in range(1, 201):
            tenant = "fernhill" if n % 4 else "another"
            row = (
                f"FH-{10000 + n}",
                tenant,
                STATUSES[n % 4 or 1],
                12.5 + n % 60,
                f"2026-{n % 12 + 1:02d}-{n % 27 + 1:02d}",
                f"c{n}@example.com",
            )
            db.execute("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", row)
        for n in range(1, 21):
            db.execute("INSERT INTO products VALUES (?, ?, ?, ?)", (f"SKU-{n}", f"Product {n}", 10.0 + n, 4.0 + n / 2))
    db.close()


if __name__ == "__main__":
    main()
