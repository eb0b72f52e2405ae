"""The shop's tools: what the support workflow may look up and do. Every one of them runs in the sandbox.

The shop lives in `data/shop.json`; the first call copies it into `.interlock/shop.sqlite`. The tools have no file of it: they may ask the
statements of `data/statements.sql` that stand in their declaration, through `ctx.ask`. What a call asks is one transaction, keyed by the
idempotency key of the call, so that a call repeated after a crash changes nothing twice. Delete `.interlock/shop.sqlite` to start afresh.
Money is integer cents inside and dollars at the face of a tool. The shop's calendar stands still at `as_of` of the data, so that a run
gives the same answers on any day.
"""

import json
import math
import re
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from interlock import Door, ToolContext, ToolError, tool

RETURN_DAYS = 45
HOLIDAY_FROM, HOLIDAY_TO, HOLIDAY_UNTIL = date(2026, 11, 1), date(2026, 12, 24), date(2027, 1, 31)
ENOUGH_OF_A_NAME = 0.42
Row = dict[str, Any]

# --- The database -------------------------------------------------------------------------------------------------


def fill(db: Any, workspace: Path) -> None:
    """Create the tables and copy the shop's data into them; called once, outside of the sandbox, amid a transaction."""
    data = json.loads((workspace / "data" / "shop.json").read_text(encoding="utf-8"))
    for statement in (workspace / "data" / "schema.sql").read_text(encoding="utf-8").split(";\n"):
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


SHOP = Door(".interlock/shop.sqlite", statements="data/statements.sql", prepare=fill)
ONCE = ("done_before", "done_now")


def once(ctx: ToolContext, name: str, arguments: Row, act: Callable[[], Row]) -> Row:
    """Do `act` exactly once per idempotency key: a repeat gets the first result, and the effect and its key are one commit."""
    asked = json.dumps(arguments, sort_keys=True)
    for before in ctx.ask("done_before"):
        if (before["tool"], before["arguments"]) != (name, asked):
            raise ToolError(
                "key_reused", f"the key {ctx.idempotency_key} already stands for another call of {before['tool']}"
            )
        return json.loads(before["result"])
    result = act()
    ctx.ask("done_now", arguments=asked, result=json.dumps(result))
    return result


# --- Looking things up --------------------------------------------------------------------------------------------


def dollars(cents: int) -> str:
    return f"${cents / 100:,.2f}"


def order_number(order_id: str) -> str:
    """The order's number, however it was written: `FH-10234`, `fh 10234`, `order no. 10234`, `#10234`."""
    digits = re.findall(r"(?<!\d)\d{5}(?!\d)", order_id)
    if len(set(digits)) != 1:
        raise ToolError("invalid_order_id", f"{order_id!r} is not one order number; they look like FH-10234")
    return f"FH-{digits[0]}"


def order_named(ctx: ToolContext, order_id: str) -> Row:
    """The order that the call names."""
    number = order_number(order_id)
    found = ctx.ask("order_named", id=number)
    if not found:
        raise ToolError("not_found", f"there is no order {number}")
    return found[0]


def last_return_day(order: dict[str, Any]) -> date | None:
    if not order["delivered_on"]:
        return None
    if HOLIDAY_FROM <= date.fromisoformat(order["placed_at"][:10]) <= HOLIDAY_TO:
        return HOLIDAY_UNTIL
    return date.fromisoformat(order["delivered_on"]) + timedelta(days=RETURN_DAYS)


def order_view(row: Row) -> Row:
    """What a support worker sees of an order; empty strings where a thing has not happened yet."""
    order = json.loads(row["body"])
    today, refunded = date.fromisoformat(row["today"]), row["refunded_cents"]
    refundable = row["total_cents"] - refunded if row["status"] in {"shipped", "delivered", "lost"} else 0
    until = last_return_day(order) if row["status"] == "delivered" else None
    waiting: list[str] = json.loads(row["backordered"]) if row["status"] == "processing" else []
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


@tool(
    name="orders.get",
    effect="none",
    isolated=True,
    door=SHOP,
    asks=("order", "order_exists"),
    description="One order with its status, parcel, totals and last return day.",
)
def get_order(order_id: str, ctx: ToolContext, email: str | None = None) -> Row:
    """When `email` is given it must be the customer's own, so that nobody reads another person's order."""
    del email  # the statement is bound to it
    number = order_number(order_id)
    found = ctx.ask("order", id=number)
    if found:
        return order_view(found[0])
    if ctx.ask("order_exists", id=number):
        raise ToolError("not_yours", f"order {number} was not placed with the e-mail address of this customer")
    raise ToolError("not_found", f"there is no order {number}")


@tool(
    name="orders.find",
    effect="none",
    isolated=True,
    door=SHOP,
    asks=("orders_of_customer",),
    description="The customer's orders by e-mail address, newest first, at most 10.",
)
def find_orders(email: str, ctx: ToolContext) -> Row:
    del email  # the statement is bound to it
    rows = ctx.ask("orders_of_customer")
    return {"count": len(rows), "orders": [order_view(row) for row in rows]}


@tool(
    name="orders.current",
    effect="none",
    isolated=True,
    door=SHOP,
    asks=("orders_of_customer",),
    description="The customer's one order that has not arrived yet; an error if there are several.",
)
def current_order(email: str, ctx: ToolContext) -> Row:
    found = find_orders(email, ctx)["orders"]
    open_ones = [order for order in found if order["status"] in {"processing", "shipped", "lost"}]
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


def matching(products: list[Row], text: str) -> list[Row]:
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


def availability(product: Row) -> str:
    named = f"{product['name']} ({dollars(product['price_cents'])})"
    if product["stock"]:
        return f"{named} is in stock, {product['stock']} left"
    if product["restock_on"]:
        return f"{named} is out of stock and expected back on {product['restock_on']}"
    return f"{named} has been discontinued and will not come back"


@tool(
    name="inventory.lookup",
    effect="none",
    isolated=True,
    door=SHOP,
    asks=("products",),
    description="Stock, price and restock date of the product that a text names.",
)
def look_up_inventory(product: str, ctx: ToolContext) -> Row:
    found = matching(ctx.ask("products"), product)
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
    isolated=True,
    door=SHOP,
    asks=(*ONCE, "order_named", "refund"),
    description="Pay money back to the payment method of the order. At most the order's total, and once per order.",
)
def refund(order_id: str, amount_usd: float, reason: str, ctx: ToolContext) -> Row:
    def act() -> Row:
        row = order_named(ctx, order_id)
        amount = Decimal(str(amount_usd)) * 100
        if amount <= 0 or amount != int(amount):
            raise ToolError("invalid_amount", f"{amount_usd} is not a positive amount in whole cents")
        if row["status"] in {"processing", "cancelled"}:
            raise ToolError("not_charged", f"order {row['id']} is {row['status']}, so no money has been taken yet")
        if row["refunded_cents"]:
            raise ToolError(
                "already_refunded", f"order {row['id']} has already been refunded; a second refund needs a person"
            )
        if amount > row["total_cents"]:
            raise ToolError(
                "too_much", f"{dollars(int(amount))} is more than the order's total of {dollars(row['total_cents'])}"
            )
        made = ctx.ask("refund", id=row["id"])
        return {
            "refund_id": f"RF-{made[0]['id']}",
            "order_id": row["id"],
            "amount_usd": int(amount) / 100,
            "amount": dollars(int(amount)),
        }

    return once(ctx, "payments.refund", {"order_id": order_id, "amount_usd": amount_usd, "reason": reason}, act)


def move(ctx: ToolContext, statement: str, label: str, done: Row) -> Row:
    """Set the state of the refund, return or ticket that `label` (such as `RF-7`) names; again is harmless."""
    if not ctx.ask(statement):
        raise ToolError("not_found", f"there is no {label}")
    return done


@tool(
    name="payments.refund_reverse",
    effect="idempotent",
    isolated=True,
    door=SHOP,
    asks=(*ONCE, "refund_reverse"),
    description="Take a refund back that has not reached the customer's bank.",
)
def reverse_refund(refund_id: str, ctx: ToolContext) -> Row:
    done = {"refund_id": refund_id, "state": "reversed"}
    return once(
        ctx,
        "payments.refund_reverse",
        {"refund_id": refund_id},
        lambda: move(ctx, "refund_reverse", refund_id, done),
    )


@tool(
    name="orders.cancel",
    effect="idempotent",
    reversible_by="orders.reopen",
    isolated=True,
    door=SHOP,
    asks=(*ONCE, "order_named", "order_cancel"),
    description="Cancel an order that is still processing.",
)
def cancel_order(order_id: str, ctx: ToolContext) -> Row:
    def act() -> Row:
        row = order_named(ctx, order_id)
        if not ctx.ask("order_cancel", id=row["id"]):
            raise ToolError("too_late", f"order {row['id']} is {row['status']} and cannot be cancelled")
        return {"order_id": row["id"], "status": "cancelled"}

    return once(ctx, "orders.cancel", {"order_id": order_id}, act)


@tool(
    name="orders.reopen",
    effect="idempotent",
    isolated=True,
    door=SHOP,
    asks=(*ONCE, "order_named", "order_reopen"),
    description="Undo a cancellation before the warehouse has put the goods back.",
)
def reopen_order(order_id: str, ctx: ToolContext) -> Row:
    def act() -> Row:
        row = order_named(ctx, order_id)
        if not ctx.ask("order_reopen", id=row["id"]):
            raise ToolError("too_late", f"order {row['id']} is {row['status']} and cannot be reopened")
        return {"order_id": row["id"], "status": "processing"}

    return once(ctx, "orders.reopen", {"order_id": order_id}, act)


@tool(
    name="returns.create",
    effect="idempotent",
    reversible_by="returns.close",
    isolated=True,
    door=SHOP,
    asks=(*ONCE, "order_named", "return_open", "return_create", "mail_label"),
    description="Open a return and e-mail the label to the customer.",
)
def create_return(order_id: str, ctx: ToolContext) -> Row:
    def act() -> Row:
        row = order_named(ctx, order_id)
        if not order_view(row)["return_days_left"]:
            raise ToolError(
                "not_returnable", f"order {row['id']} is {row['status']} or its {RETURN_DAYS} days are over"
            )
        if ctx.ask("return_open", id=row["id"]):
            raise ToolError("already_open", f"a return of order {row['id']} is already open")
        made = ctx.ask("return_create", id=row["id"])
        ctx.ask("mail_label", id=row["id"])
        return {"return_id": f"RT-{made[0]['id']}", "order_id": row["id"], "sent_to": row["email"]}

    return once(ctx, "returns.create", {"order_id": order_id}, act)


@tool(
    name="returns.close",
    effect="idempotent",
    isolated=True,
    door=SHOP,
    asks=(*ONCE, "return_close"),
    description="Close an open return; its label stops being valid.",
)
def close_return(return_id: str, ctx: ToolContext) -> Row:
    done = {"return_id": return_id, "state": "closed"}
    return once(ctx, "returns.close", {"return_id": return_id}, lambda: move(ctx, "return_close", return_id, done))


@tool(
    name="invoices.send",
    effect="idempotent",
    isolated=True,
    door=SHOP,
    asks=(*ONCE, "order_named", "mail_invoice"),
    description="E-mail the invoice of a shipped order to the address of the order.",
)
def send_invoice(order_id: str, ctx: ToolContext) -> Row:
    def act() -> Row:
        row = order_named(ctx, order_id)
        if row["status"] in {"processing", "cancelled"}:
            raise ToolError("no_invoice", f"order {row['id']} is {row['status']}, so it has no invoice")
        ctx.ask("mail_invoice", id=row["id"])
        return {"order_id": row["id"], "sent_to": row["email"]}

    return once(ctx, "invoices.send", {"order_id": order_id}, act)


@tool(
    name="tickets.create",
    effect="idempotent",
    reversible_by="tickets.close",
    isolated=True,
    door=SHOP,
    asks=(*ONCE, "ticket_create"),
    description="Open a case for the warehouse: low, normal or high priority.",
)
def create_ticket(subject: str, body: str, priority: str, ctx: ToolContext) -> Row:
    def act() -> Row:
        if priority not in {"low", "normal", "high"}:
            raise ToolError("invalid_priority", f"{priority!r} is none of low, normal, high")
        made = ctx.ask("ticket_create")
        return {"ticket_id": f"TK-{made[0]['id']}", "subject": subject, "priority": priority}

    return once(ctx, "tickets.create", {"subject": subject, "body": body, "priority": priority}, act)


@tool(
    name="tickets.close",
    effect="idempotent",
    isolated=True,
    door=SHOP,
    asks=(*ONCE, "ticket_close"),
    description="Close a case that is no longer needed.",
)
def close_ticket(ticket_id: str, ctx: ToolContext) -> Row:
    done = {"ticket_id": ticket_id, "state": "closed"}
    return once(ctx, "tickets.close", {"ticket_id": ticket_id}, lambda: move(ctx, "ticket_close", ticket_id, done))
