"""The shop's tools: what the support workflow may look up and do.

The shop lives in `data/shop.json`. The first call copies it into `.interlock/shop.sqlite`; every effect after that is one
transaction there, keyed by the idempotency key of the call, so that a call repeated after a crash changes nothing twice.
Delete `.interlock/shop.sqlite` to start afresh. Money is integer cents inside and dollars at the face of a tool.
The shop's calendar stands still at `as_of` of the data, so that a run gives the same answers on any day.
"""

import json
import math
import re
import sqlite3
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from interlock import ToolContext, ToolError, tool

RETURN_DAYS = 45
HOLIDAY_FROM, HOLIDAY_TO, HOLIDAY_UNTIL = date(2026, 11, 1), date(2026, 12, 24), date(2027, 1, 31)
BUSY_TIMEOUT_S = 5.0
ENOUGH_OF_A_NAME = 0.42

# --- The database -------------------------------------------------------------------------------------------------


@contextmanager
def shop(workspace: Path) -> Generator[sqlite3.Connection]:
    """One write transaction on the shop: committed at the end of the block, rolled back when it raises."""
    folder = workspace / ".interlock"
    folder.mkdir(exist_ok=True)
    with closing(sqlite3.connect(folder / "shop.sqlite", timeout=BUSY_TIMEOUT_S, isolation_level=None)) as db:
        db.row_factory = sqlite3.Row
        db.execute("PRAGMA synchronous = EXTRA")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("BEGIN IMMEDIATE")
        try:
            if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").fetchone():
                fill(db, workspace / "data")
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")


def fill(db: sqlite3.Connection, folder: Path) -> None:
    """Create the tables and copy the shop's data into them, inside the caller's transaction."""
    data = json.loads((folder / "shop.json").read_text(encoding="utf-8"))
    for statement in (folder / "schema.sql").read_text(encoding="utf-8").split(";\n"):
        db.execute(statement)
    people = {person["id"]: person for person in data["customers"]}
    names = {product["sku"]: product["name"] for product in data["products"]}
    db.execute("INSERT INTO meta VALUES ('as_of', ?)", [data["as_of"]])
    db.executemany("INSERT INTO products VALUES (:sku, :name, :price_cents, :stock, :restock_on)", data["products"])
    for order in data["orders"]:
        person = people[order["customer_id"]]
        items = [{**item, "name": names[item["sku"]]} for item in order["items"]]
        body = json.dumps({**order, "items": items, "first_name": person["name"].split()[0], "tier": person["tier"]})
        db.execute(
            "INSERT INTO orders VALUES (?, ?, ?, ?, ?)",
            [order["id"], person["email"], order["status"], order["total_cents"], body],
        )


def once(
    ctx: ToolContext, name: str, arguments: dict[str, Any], act: Callable[[sqlite3.Connection], dict[str, Any]]
) -> dict[str, Any]:
    """Do `act` exactly once per idempotency key: a repeat gets the first result, and the effect and its key are one commit."""
    asked = json.dumps(arguments, sort_keys=True)
    with shop(ctx.workspace) as db:
        before = db.execute(
            "SELECT tool, arguments, result FROM effects WHERE key = ?", [ctx.idempotency_key]
        ).fetchone()
        if before:
            if (before["tool"], before["arguments"]) != (name, asked):
                raise ToolError(
                    "key_reused", f"the key {ctx.idempotency_key} already stands for another call of {before['tool']}"
                )
            return json.loads(before["result"])
        result = act(db)
        db.execute("INSERT INTO effects VALUES (?, ?, ?, ?)", [ctx.idempotency_key, name, asked, json.dumps(result)])
        return result


# --- Looking things up --------------------------------------------------------------------------------------------


def dollars(cents: int) -> str:
    return f"${cents / 100:,.2f}"


def order_row(db: sqlite3.Connection, order_id: str) -> sqlite3.Row:
    """The order, however its number was written: `FH-10234`, `fh 10234`, `order no. 10234`, `#10234`."""
    digits = re.findall(r"(?<!\d)\d{5}(?!\d)", order_id)
    if len(set(digits)) != 1:
        raise ToolError("invalid_order_id", f"{order_id!r} is not one order number; they look like FH-10234")
    row = db.execute("SELECT * FROM orders WHERE id = ?", [f"FH-{digits[0]}"]).fetchone()
    if row is None:
        raise ToolError("not_found", f"there is no order FH-{digits[0]}")
    return row


def refunded_cents(db: sqlite3.Connection, row: sqlite3.Row) -> int:
    paid = db.execute(
        "SELECT coalesce(sum(amount_cents), 0) FROM refunds WHERE order_id = ? AND state = 'paid'", [row["id"]]
    ).fetchone()
    return json.loads(row["body"])["refunded_cents"] + paid[0]


def last_return_day(order: dict[str, Any]) -> date | None:
    if not order["delivered_on"]:
        return None
    if HOLIDAY_FROM <= date.fromisoformat(order["placed_at"][:10]) <= HOLIDAY_TO:
        return HOLIDAY_UNTIL
    return date.fromisoformat(order["delivered_on"]) + timedelta(days=RETURN_DAYS)


def order_view(db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    """What a support worker sees of an order; empty strings where a thing has not happened yet."""
    order = json.loads(row["body"])
    today = date.fromisoformat(db.execute("SELECT value FROM meta WHERE key = 'as_of'").fetchone()[0])
    refunded = refunded_cents(db, row)
    refundable = row["total_cents"] - refunded if row["status"] in {"shipped", "delivered", "lost"} else 0
    until = last_return_day(order) if row["status"] == "delivered" else None
    waiting = (
        [f"{item['name']} (back around {item['restock_on']})" for item in backordered(db, order)]
        if row["status"] == "processing"
        else []
    )
    return {
        "id": row["id"],
        "status": row["status"],
        "first_name": order["first_name"],
        "items": ", ".join(f"{item['qty']} × {item['name']}" for item in order["items"]),
        "units": sum(item["qty"] for item in order["items"]),
        "total": dollars(row["total_cents"]),
        "total_usd": row["total_cents"] / 100,
        "refunded": dollars(refunded),
        "refunded_usd": refunded / 100,
        "refundable": dollars(refundable),
        "refundable_usd": refundable / 100,
        "placed_on": order["placed_at"][:10],
        "waiting_for": ", ".join(waiting),
        "days_since_delivery": (today - date.fromisoformat(order["delivered_on"])).days
        if order["delivered_on"]
        else -1,
        "return_until": until.isoformat() if until else "",
        "return_days_left": max(0, (until - today).days) if until else 0,
        "return_fee": "free" if order["tier"] == "club" else "$6.95, taken off the refund",
        **{
            key: order[key] or ""
            for key in ("carrier", "tracking", "shipped_on", "expected_on", "last_scan_on", "delivered_on")
        },
    }


def backordered(db: sqlite3.Connection, order: dict[str, Any]) -> list[sqlite3.Row]:
    skus = [item["sku"] for item in order["items"]]
    marks = ", ".join("?" * len(skus))
    return db.execute(
        f"SELECT name, restock_on FROM products WHERE stock = 0 AND restock_on IS NOT NULL AND sku IN ({marks})", skus
    ).fetchall()


@tool(name="orders.get", effect="none", description="One order with its status, parcel, totals and last return day.")
def get_order(order_id: str, ctx: ToolContext, email: str | None = None) -> dict[str, Any]:
    """When `email` is given it must be the customer's own, so that nobody reads another person's order."""
    with shop(ctx.workspace) as db:
        row = order_row(db, order_id)
        if email is not None and email.strip().lower() != row["email"]:
            raise ToolError("not_yours", f"order {row['id']} was not placed with the e-mail address of this customer")
        return order_view(db, row)


@tool(
    name="orders.find", effect="none", description="The customer's orders by e-mail address, newest first, at most 10."
)
def find_orders(email: str, ctx: ToolContext) -> dict[str, Any]:
    with shop(ctx.workspace) as db:
        rows = db.execute(
            "SELECT * FROM orders WHERE email = ? ORDER BY id DESC LIMIT 10", [email.strip().lower()]
        ).fetchall()
        return {"count": len(rows), "orders": [order_view(db, row) for row in rows]}


@tool(
    name="orders.current",
    effect="none",
    description="The customer's one order that has not arrived yet; an error if there are several.",
)
def current_order(email: str, ctx: ToolContext) -> dict[str, Any]:
    open_ones = [
        order for order in find_orders(email, ctx)["orders"] if order["status"] in {"processing", "shipped", "lost"}
    ]
    if len(open_ones) != 1:
        raise ToolError(
            "not_one", f"the customer has {len(open_ones)} orders that have not arrived; ask for the number"
        )
    return open_ones[0]


GENDER = {"women": "women", "woman": "women", "men": "men", "man": "men", "mens": "men", "womens": "women"}


def words(text: str) -> set[str]:
    """Lower-case words and numbers, plurals cut."""
    found: list[str] = re.findall(r"[a-z]+|\d+", text.lower())
    return {GENDER.get(word, word.removesuffix("s") if len(word) > 3 else word) for word in found}


def matching(products: list[sqlite3.Row], text: str) -> list[sqlite3.Row]:
    """The products that the text names best: words that few products share weigh most."""
    asked = words(text)
    names = [words(product["name"]) for product in products]
    weight = {word: math.log(len(names) / sum(word in name for name in names)) for name in names for word in name}
    scores: list[tuple[float, float]] = []
    for name in names:
        essential = name - {"women", "men"}
        wrong_cut = asked & {"women", "men"} and name & {"women", "men"} and not asked & name & {"women", "men"}
        whole = sum(weight[word] for word in essential)
        named = 0.0 if wrong_cut else sum(weight[word] for word in essential & asked)
        scores.append((round(named / whole, 3), round(named, 3)))
    best = max(scores)
    if best[0] < ENOUGH_OF_A_NAME:
        return []
    return [product for product, score in zip(products, scores, strict=True) if score == best]


def availability(product: sqlite3.Row) -> str:
    named = f"{product['name']} ({dollars(product['price_cents'])})"
    if product["stock"]:
        return f"{named} is in stock, {product['stock']} left"
    if product["restock_on"]:
        return f"{named} is out of stock and expected back on {product['restock_on']}"
    return f"{named} has been discontinued and will not come back"


@tool(  # it works through a stranger's own words, and needs no more than what the shop offers: so it runs in the sandbox
    name="inventory.lookup",
    effect="none",
    isolated=True,
    reads=("data/shop.json", "data/schema.sql"),
    description="Stock, price and restock date of the product that a text names.",
)
def look_up_inventory(product: str, ctx: ToolContext) -> dict[str, Any]:
    with shop(ctx.workspace) as db:
        found = matching(db.execute("SELECT * FROM products ORDER BY sku").fetchall(), product)
    if not found:
        raise ToolError("not_found", "no product of ours is named in the text")
    if len(found) > 3:
        raise ToolError(
            "ambiguous", f"the text fits {len(found)} products: {', '.join(row['name'] for row in found[:5])}"
        )
    first = found[0]
    return {
        "product": first["name"],
        "sku": first["sku"],
        "price_usd": first["price_cents"] / 100,
        "stock": first["stock"],
        "restock_on": first["restock_on"] or "",
        "summary": "; ".join(availability(row) for row in found),
    }


# --- Effects ------------------------------------------------------------------------------------------------------


@tool(
    name="payments.refund",
    effect="idempotent",
    reversible_by="payments.refund_reverse",
    description="Pay money back to the payment method of the order. At most the order's total, and once per order.",
)
def refund(order_id: str, amount_usd: float, reason: str, ctx: ToolContext) -> dict[str, Any]:
    def act(db: sqlite3.Connection) -> dict[str, Any]:
        row = order_row(db, order_id)
        amount = Decimal(str(amount_usd)) * 100
        if amount <= 0 or amount != int(amount):
            raise ToolError("invalid_amount", f"{amount_usd} is not a positive amount in whole cents")
        if row["status"] in {"processing", "cancelled"}:
            raise ToolError("not_charged", f"order {row['id']} is {row['status']}, so no money has been taken yet")
        if refunded_cents(db, row):
            raise ToolError(
                "already_refunded", f"order {row['id']} has already been refunded; a second refund needs a person"
            )
        if amount > row["total_cents"]:
            raise ToolError(
                "too_much", f"{dollars(int(amount))} is more than the order's total of {dollars(row['total_cents'])}"
            )
        refund_id = db.execute(
            "INSERT INTO refunds (key, order_id, amount_cents, reason, state) VALUES (?, ?, ?, ?, 'paid')",
            [ctx.idempotency_key, row["id"], int(amount), reason],
        ).lastrowid
        return {
            "refund_id": f"RF-{refund_id}",
            "order_id": row["id"],
            "amount_usd": int(amount) / 100,
            "amount": dollars(int(amount)),
        }

    return once(ctx, "payments.refund", {"order_id": order_id, "amount_usd": amount_usd, "reason": reason}, act)


def move(db: sqlite3.Connection, table: str, label: str, state: str) -> None:
    """Set the state of the refund, return or ticket that `label` (such as `RF-7`) names; again is harmless."""
    number = label.rpartition("-")[2]
    if (
        not number.isdigit()
        or db.execute(f"UPDATE {table} SET state = ? WHERE id = ?", [state, int(number)]).rowcount == 0
    ):
        raise ToolError("not_found", f"there is no {label} among the {table}")


@tool(
    name="payments.refund_reverse",
    effect="idempotent",
    description="Take a refund back that has not reached the customer's bank.",
)
def reverse_refund(refund_id: str, ctx: ToolContext) -> dict[str, Any]:
    def act(db: sqlite3.Connection) -> dict[str, Any]:
        move(db, "refunds", refund_id, "reversed")
        return {"refund_id": refund_id, "state": "reversed"}

    return once(ctx, "payments.refund_reverse", {"refund_id": refund_id}, act)


@tool(
    name="orders.cancel",
    effect="idempotent",
    reversible_by="orders.reopen",
    description="Cancel an order that is still processing.",
)
def cancel_order(order_id: str, ctx: ToolContext) -> dict[str, Any]:
    def act(db: sqlite3.Connection) -> dict[str, Any]:
        row = order_row(db, order_id)
        if row["status"] != "processing":
            raise ToolError("too_late", f"order {row['id']} is {row['status']} and cannot be cancelled")
        db.execute("UPDATE orders SET status = 'cancelled' WHERE id = ?", [row["id"]])
        return {"order_id": row["id"], "status": "cancelled"}

    return once(ctx, "orders.cancel", {"order_id": order_id}, act)


@tool(
    name="orders.reopen",
    effect="idempotent",
    description="Undo a cancellation before the warehouse has put the goods back.",
)
def reopen_order(order_id: str, ctx: ToolContext) -> dict[str, Any]:
    def act(db: sqlite3.Connection) -> dict[str, Any]:
        row = order_row(db, order_id)
        if row["status"] not in {"cancelled", "processing"}:
            raise ToolError("too_late", f"order {row['id']} is {row['status']} and cannot be reopened")
        db.execute("UPDATE orders SET status = 'processing' WHERE id = ?", [row["id"]])
        return {"order_id": row["id"], "status": "processing"}

    return once(ctx, "orders.reopen", {"order_id": order_id}, act)


@tool(
    name="returns.create",
    effect="idempotent",
    reversible_by="returns.close",
    description="Open a return and e-mail the label to the customer.",
)
def create_return(order_id: str, ctx: ToolContext) -> dict[str, Any]:
    def act(db: sqlite3.Connection) -> dict[str, Any]:
        row = order_row(db, order_id)
        view = order_view(db, row)
        if not view["return_days_left"]:
            raise ToolError(
                "not_returnable", f"order {row['id']} is {row['status']} or its {RETURN_DAYS} days are over"
            )
        if db.execute("SELECT 1 FROM returns WHERE order_id = ? AND state = 'open'", [row["id"]]).fetchone():
            raise ToolError("already_open", f"a return of order {row['id']} is already open")
        number = db.execute(
            "INSERT INTO returns (key, order_id, state) VALUES (?, ?, 'open')", [ctx.idempotency_key, row["id"]]
        ).lastrowid
        send(db, ctx, "return label", row)
        return {"return_id": f"RT-{number}", "order_id": row["id"], "sent_to": row["email"]}

    return once(ctx, "returns.create", {"order_id": order_id}, act)


@tool(name="returns.close", effect="idempotent", description="Close an open return; its label stops being valid.")
def close_return(return_id: str, ctx: ToolContext) -> dict[str, Any]:
    def act(db: sqlite3.Connection) -> dict[str, Any]:
        move(db, "returns", return_id, "closed")
        return {"return_id": return_id, "state": "closed"}

    return once(ctx, "returns.close", {"return_id": return_id}, act)


def send(db: sqlite3.Connection, ctx: ToolContext, kind: str, row: sqlite3.Row) -> None:
    """Queue an e-mail to the address of the order, never to one from a text."""
    db.execute(
        "INSERT INTO mails (key, kind, order_id, recipient) VALUES (?, ?, ?, ?)",
        [ctx.idempotency_key, kind, row["id"], row["email"]],
    )


@tool(
    name="invoices.send",
    effect="idempotent",
    description="E-mail the invoice of a shipped order to the address of the order.",
)
def send_invoice(order_id: str, ctx: ToolContext) -> dict[str, Any]:
    def act(db: sqlite3.Connection) -> dict[str, Any]:
        row = order_row(db, order_id)
        if row["status"] in {"processing", "cancelled"}:
            raise ToolError("no_invoice", f"order {row['id']} is {row['status']}, so it has no invoice")
        send(db, ctx, "invoice", row)
        return {"order_id": row["id"], "sent_to": row["email"]}

    return once(ctx, "invoices.send", {"order_id": order_id}, act)


@tool(
    name="tickets.create",
    effect="idempotent",
    reversible_by="tickets.close",
    description="Open a case for the warehouse: low, normal or high priority.",
)
def create_ticket(subject: str, body: str, priority: str, ctx: ToolContext) -> dict[str, Any]:
    def act(db: sqlite3.Connection) -> dict[str, Any]:
        if priority not in {"low", "normal", "high"}:
            raise ToolError("invalid_priority", f"{priority!r} is none of low, normal, high")
        number = db.execute(
            "INSERT INTO tickets (key, subject, body, priority, state) VALUES (?, ?, ?, ?, 'open')",
            [ctx.idempotency_key, subject, body, priority],
        ).lastrowid
        return {"ticket_id": f"TK-{number}", "subject": subject, "priority": priority}

    return once(ctx, "tickets.create", {"subject": subject, "body": body, "priority": priority}, act)


@tool(name="tickets.close", effect="idempotent", description="Close a case that is no longer needed.")
def close_ticket(ticket_id: str, ctx: ToolContext) -> dict[str, Any]:
    def act(db: sqlite3.Connection) -> dict[str, Any]:
        move(db, "tickets", ticket_id, "closed")
        return {"ticket_id": ticket_id, "state": "closed"}

    return once(ctx, "tickets.close", {"ticket_id": ticket_id}, act)
