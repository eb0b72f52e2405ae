"""tau2-bench's retail tasks as benign traffic: are the published right actions denied? Above: cli. Below: governance's policy, contracts/retail.yaml.

The customer's own words (what they want, who they are) are the request; reads are answered from the published shop, writes are not carried out. Published solutions leave
out reads that an agent needs to know what it writes: whose account it is, its orders, their products; those are made first, as calls like any other. Source: Barres et al. 2025,
arXiv 2506.07982; tasks and shop are read from files and are no part of this project.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from interlock.governance import policy
from interlock.governance.flow_session import SessionPolicy, shipped

TASKS = Path("agents/tau2_retail_tasks.json.gz")
SHOP = Path("agents/tau2_retail_db.json.gz")


class TauFigures(Struct, frozen=True):
    """Calls of the published solutions."""

    tasks: int
    reads: int
    reads_denied: int
    reads_asked: int
    writes: int
    writes_denied: int
    writes_asked: int
    asks_per_task: float
    asked: Mapping[str, int]
    """By the rule that asked."""


def measure(tasks: Sequence[Mapping[str, Any]], shop: Mapping[str, Any]) -> TauFigures:
    """Plays the published actions of every task; a person says yes where one is asked."""
    terms = shipped("retail")
    count: Counter[str] = Counter()
    asked: Counter[str] = Counter()
    for task in tasks:
        made = policy({"suite": "retail", "prompt": _said(task)}, terms=terms)
        for call in _calls(task, shop):
            kind = terms.tools[call["name"]].effect if call["name"] in terms.tools else "write"
            verdict = made.before(call)
            count[kind] += 1
            count[f"{kind}:{verdict}"] += 1
            if verdict == "ask":
                asked.update([next(iter(made.explain(call)), "") or "call"])
                made.endorse()
            _answer(made, call, shop)
    return TauFigures(
        tasks=len(tasks),
        reads=count["read"],
        reads_denied=count["read:deny"],
        reads_asked=count["read:ask"],
        writes=count["write"],
        writes_denied=count["write:deny"],
        writes_asked=count["write:ask"],
        asks_per_task=round((count["read:ask"] + count["write:ask"]) / len(tasks), 3) if tasks else 0.0,
        asked=dict(asked.most_common()),
    )


def _calls(task: Mapping[str, Any], shop: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The published actions, after the first reads: whose account it is, that customer's orders, and the products in them."""
    actions = task["evaluation_criteria"]["actions"] or ()
    given = [action["arguments"] for action in actions]
    owners = [each["user_id"] for each in given if "user_id" in each]
    owners += [shop["orders"][each["order_id"]]["user_id"] for each in given if each.get("order_id") in shop["orders"]]
    if owners and owners[0] in shop["users"]:
        yield from _looks(owners[0], shop, _said(task))
    for action in actions:
        yield {"name": action["name"], "args": action["arguments"]}


def _looks(owner: str, shop: Mapping[str, Any], said: str) -> Iterator[dict[str, Any]]:
    user = shop["users"][owner]
    if user["email"] in said:
        yield {"name": "find_user_id_by_email", "args": {"email": user["email"]}}
    else:
        yield {"name": "find_user_id_by_name_zip", "args": {**user["name"], "zip": user["address"]["zip"]}}
    yield {"name": "get_user_details", "args": {"user_id": owner}}
    for order in user["orders"]:
        yield {"name": "get_order_details", "args": {"order_id": order}}
        for product in dict.fromkeys(item["product_id"] for item in shop["orders"][order]["items"]):
            yield {"name": "get_product_details", "args": {"product_id": product}}


def _said(task: Mapping[str, Any]) -> str:
    """What the customer says in the course of the talk."""
    told = task["user_scenario"]["instructions"]
    return "\n".join(str(told.get(key) or "") for key in ("reason_for_call", "known_info", "task_instructions"))


def _answer(made: SessionPolicy, call: Mapping[str, Any], shop: Mapping[str, Any]) -> None:
    made.after(call, _found(str(call["name"]), call["args"], shop))


def _found(tool: str, given: Mapping[str, Any], shop: Mapping[str, Any]) -> Any:
    """What a read returns; nothing for all others."""
    users: Mapping[str, Any] = shop["users"]
    if tool == "get_user_details":
        return users.get(given["user_id"])
    if tool == "get_order_details":
        return shop["orders"].get(given["order_id"])
    if tool == "get_product_details":
        return shop["products"].get(given["product_id"])
    if tool == "find_user_id_by_email":
        return next((key for key, user in users.items() if user["email"].lower() == given["email"].lower()), None)
    if tool == "find_user_id_by_name_zip":
        wanted = (given["first_name"].lower(), given["last_name"].lower(), given["zip"])
        return next((key for key, user in users.items() if _called(user) == wanted), None)
    return None


def _called(user: Mapping[str, Any]) -> tuple[str, str, str]:
    name = user["name"]
    return name["first_name"].lower(), name["last_name"].lower(), user["address"]["zip"]
