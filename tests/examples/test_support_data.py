"""The example shop's files agree with each other: what a flow, an intent or a ticket names exists, and the tickets are fair.

Reads the files as data; runs without the package.
"""

import csv
import json
import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKSPACE = Path(__file__).resolve().parents[2] / "examples" / "support"
OUTCOMES = {"resolved", "waiting_approval", "handed_to_human"}
ORDER_ID = re.compile(r"(?<!\d)\d{5}(?!\d)")
NEAR_COPY = 0.8


def read_articles() -> dict[str, dict[str, Any]]:
    articles = {}
    for file in sorted((WORKSPACE / "kb").glob("*.md")):
        _, front, body = file.read_text(encoding="utf-8").split("---\n", 2)
        articles[file.stem] = {**yaml.safe_load(front), "body": body.strip()}
    return articles


def read_tickets() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (WORKSPACE / "tickets.jsonl").read_text(encoding="utf-8").splitlines()]


def read_small_tickets() -> list[dict[str, Any]]:
    with (WORKSPACE / "tickets_small.csv").open(encoding="utf-8", newline="") as file:
        return [{**row, "expected": json.loads(row["expected"])} for row in csv.DictReader(file)]


ARTICLES = read_articles()
TICKETS = read_tickets()
SMALL = read_small_tickets()
INTENTS = {
    name: intent["examples"]
    for name, intent in yaml.safe_load(
        (WORKSPACE / "intents" / "support_reply.yaml").read_text(encoding="utf-8")
    ).items()
}
AGENT = yaml.safe_load((WORKSPACE / "agents" / "support_reply.yaml").read_text(encoding="utf-8"))["agent"]
SHOP = json.loads((WORKSPACE / "data" / "shop.json").read_text(encoding="utf-8"))
ORDERS = {order["id"]: order for order in SHOP["orders"]}
CUSTOMERS = {customer["id"]: customer for customer in SHOP["customers"]}
PRODUCTS = {product["sku"]: product for product in SHOP["products"]}


def tokens(text: str) -> frozenset[str]:
    """Words of a text without punctuation and digits, so that a changed order number does not make two texts differ."""
    return frozenset(re.findall(r"[^\W\d_]+", text.lower().replace("'", "")))


def alike(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one and other else 0.0


def named_articles(expected: dict[str, Any]) -> list[str]:
    """The articles that would be right; any one of them will do."""
    named = expected.get("article", [])
    return named if isinstance(named, list) else [named]


def knowledge_tickets() -> list[dict[str, Any]]:
    flows = AGENT["flows"]
    return [t for t in (*TICKETS, *SMALL) if flows.get(t["expected"]["intent"], {}).get("answer_from") == "knowledge"]


# --- Knowledge ----------------------------------------------------------------------------------------------------


def test_the_knowledge_base_has_at_least_forty_articles_of_readable_length():
    assert len(ARTICLES) >= 40
    odd = {
        name: len(article["body"].split())
        for name, article in ARTICLES.items()
        if not 120 <= len(article["body"].split()) <= 350
    }
    assert odd == {}


def test_an_articles_front_matter_is_complete_and_its_id_is_its_file_name():
    for name, article in ARTICLES.items():
        assert set(article) == {"id", "title", "intents", "updated", "body"}, name
        assert article["id"] == name
        assert isinstance(article["updated"], date), name
        assert set(article["intents"]) <= set(INTENTS), name


def test_every_intent_answered_from_knowledge_has_an_article():
    covered = {intent for article in ARTICLES.values() for intent in article["intents"]}
    from_knowledge = {name for name, flow in AGENT["flows"].items() if flow.get("answer_from") == "knowledge"}
    assert from_knowledge <= covered


# --- Intents and flows --------------------------------------------------------------------------------------------


def test_every_intent_has_enough_examples_and_each_stands_once():
    assert len(INTENTS["out_of_scope"]) >= 80
    assert {name: len(examples) for name, examples in INTENTS.items() if len(examples) < 20} == {}
    everything = [example.strip().lower() for examples in INTENTS.values() for example in examples]
    assert sorted({text for text in everything if everything.count(text) > 1}) == []


def test_every_intent_but_out_of_scope_has_a_flow_and_the_other_way_round():
    assert set(AGENT["flows"]) == set(INTENTS) - {"out_of_scope"}


def test_flows_call_listed_tools_and_cite_existing_articles():
    listed = {tool["name"] for tool in AGENT["tools"]}
    source = (WORKSPACE / "tools.py").read_text(encoding="utf-8")
    defined = set(re.findall(r'name="([\w.]+)"', source))
    assert listed <= defined
    assert set(re.findall(r'reversible_by="([\w.]+)"', source)) <= defined
    for name, flow in AGENT["flows"].items():
        for step in flow.get("steps", []):
            assert step.get("call", "orders.get") in listed, name
            assert set(step.get("cite", [])) <= set(ARTICLES), name


def test_a_flow_uses_only_names_it_has():
    for name, flow in AGENT["flows"].items():
        known = {*flow.get("slots", {}), *AGENT["inputs"]}
        for step in flow.get("steps", []):
            texts = [step.get("answer", ""), *map(str, step.get("with", {}).values())]
            used = {path.split(".")[0] for text in texts for path in re.findall(r"\{([\w.]+)\}", text)}
            known |= {step["as"]} if "as" in step else set()
            assert used <= known, f"{name}: {sorted(used - known)}"


# --- Shop ---------------------------------------------------------------------------------------------------------


def test_the_shop_is_large_enough_and_its_ids_are_unique():
    assert (len(SHOP["orders"]), len(SHOP["customers"]), len(SHOP["products"])) >= (150, 80, 60)
    assert len(ORDERS) == len(SHOP["orders"])
    assert len({customer["email"] for customer in SHOP["customers"]}) == len(SHOP["customers"])
    assert len(PRODUCTS) == len(SHOP["products"])


def test_order_totals_are_the_sum_of_their_parts():
    for order in SHOP["orders"]:
        goods = sum(item["qty"] * item["unit_cents"] for item in order["items"])
        assert order["subtotal_cents"] == goods, order["id"]
        assert order["total_cents"] == goods - order["discount_cents"] + order["shipping_cents"] + order["tax_cents"], (
            order["id"]
        )
        assert all(item["unit_cents"] == PRODUCTS[item["sku"]]["price_cents"] for item in order["items"]), order["id"]
        assert 0 <= order["refunded_cents"] <= order["total_cents"], order["id"]


def test_an_orders_dates_and_parcel_fit_its_status():
    left = {"shipped", "delivered", "lost", "returned"}
    for order in SHOP["orders"]:
        assert order["customer_id"] in CUSTOMERS
        status = order["status"]
        assert status in left | {"processing", "cancelled"}
        assert bool(order["carrier"] and order["tracking"] and order["shipped_on"]) == (status in left), order["id"]
        assert bool(order["delivered_on"]) == (status in {"delivered", "returned"}), order["id"]
        assert bool(order["refunded_cents"]) <= (status == "returned"), order["id"]
        happened = [order["placed_at"][:10], order["shipped_on"], order["last_scan_on"], order["delivered_on"]]
        days = [day for day in happened if day]
        assert days == sorted(days), order["id"]
        assert days[-1] <= SHOP["as_of"], order["id"]


# --- Tickets ------------------------------------------------------------------------------------------------------


def test_there_are_two_hundred_tickets_and_no_two_are_alike():
    assert len(TICKETS) == 200
    assert len({ticket["id"] for ticket in TICKETS}) == 200
    sets = [(ticket["id"], tokens(ticket["text"])) for ticket in (*TICKETS, *SMALL)]
    pairs = [(a, b) for n, (a, one) in enumerate(sets) for b, other in sets[:n] if alike(one, other) > NEAR_COPY]
    assert pairs == []


def test_no_ticket_repeats_an_intent_example():
    examples = [(name, text, tokens(text)) for name, texts in INTENTS.items() for text in texts]
    copies = [
        (ticket["text"], name, text)
        for ticket in (*TICKETS, *SMALL)
        for name, text, words in examples
        if alike(tokens(ticket["text"]), words) > NEAR_COPY or ticket["text"].strip().lower() == text.strip().lower()
    ]
    assert copies == []


@pytest.mark.parametrize("ticket", [*TICKETS, *SMALL], ids=lambda ticket: ticket["id"])
def test_a_tickets_expectation_names_things_that_exist(ticket):
    expected = ticket["expected"]
    assert expected["outcome"] in OUTCOMES
    assert expected["intent"] in INTENTS
    assert set(named_articles(expected)) <= set(ARTICLES)
    emails = {customer["email"]: customer["tier"] for customer in SHOP["customers"]}
    assert emails[ticket["customer_email"]] == ticket["account_tier"]


def test_a_ticket_about_an_order_that_is_to_be_acted_on_comes_from_its_buyer():
    for ticket in (*TICKETS, *SMALL):
        numbers = ORDER_ID.findall(ticket["text"])
        if ticket["expected"]["outcome"] == "handed_to_human" or not numbers:
            continue
        order = ORDERS[f"FH-{numbers[0]}"]
        assert CUSTOMERS[order["customer_id"]]["email"] == ticket["customer_email"], ticket["id"]


def test_no_two_tickets_act_on_the_same_order():
    acting = {"cancel_order", "return_start", "damaged_item", "lost_parcel", "wrong_or_missing_item"}
    numbers = [ORDER_ID.findall(t["text"])[:1] for t in (*TICKETS, *SMALL) if t["expected"]["intent"] in acting]
    flat = [number for found in numbers for number in found]
    assert len(flat) == len(set(flat))


def test_the_fact_a_ticket_asks_for_stands_in_its_article_which_belongs_to_its_intent():
    for ticket in knowledge_tickets():
        expected = ticket["expected"]
        for name in named_articles(expected):
            assert expected["intent"] in ARTICLES[name]["intents"], ticket["id"]
            body = " ".join(ARTICLES[name]["body"].split())
            assert all(fact in body for fact in expected["contains"]), (ticket["id"], name, expected["contains"])


def test_refunds_above_the_approval_limit_are_expected_to_wait():
    limit_cents = 5000
    for ticket in (*TICKETS, *SMALL):
        outcome = ticket["expected"]["outcome"]
        if ticket["expected"]["intent"] not in {"damaged_item", "lost_parcel"} or outcome == "handed_to_human":
            continue
        order = ORDERS[f"FH-{ORDER_ID.findall(ticket['text'])[0]}"]
        if outcome == "waiting_approval":
            assert order["total_cents"] > limit_cents, ticket["id"]
        elif order["status"] == "lost":
            assert order["total_cents"] <= limit_cents, ticket["id"]


def test_the_mix_of_tickets_is_that_of_a_help_desk():
    outcomes = [ticket["expected"]["outcome"] for ticket in TICKETS]
    assert 0.5 <= len([t for t in knowledge_tickets() if t in TICKETS]) / 200 <= 0.65
    assert outcomes.count("waiting_approval") >= 5
    assert 20 <= outcomes.count("handed_to_human") <= 45
