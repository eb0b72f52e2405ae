"""Interlock's own request headers, which every face reads alike: user, workflow, task, labels, trace, and facts for routing.

Above: the faces. Below: exchange, `core`.
"""

from __future__ import annotations

import base64
import hashlib
import re

import msgspec
from msgspec import structs
from starlette.requests import Request

from interlock.core.caller import Caller
from interlock.core.chat import Fact
from interlock.core.errors import InvalidRequest
from interlock.core.ids import read_traceparent
from interlock.core.unreadable import UNREADABLE

from .exchange import Exchange

MOST_LABELS = 16
_LABEL = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_TASK = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_WORKFLOW = re.compile(r"[A-Za-z0-9_.-]{1,100}")
_facts = msgspec.json.Decoder(dict[str, Fact])


def facts_of(exchange: Exchange) -> dict[str, Fact]:
    """What the header `x-interlock-facts` says. Raises InvalidRequest."""
    raw = exchange.header(b"x-interlock-facts")
    if not raw:
        return {}
    try:
        return _facts.decode(raw)
    except UNREADABLE as fault:
        raise InvalidRequest(
            f"the header x-interlock-facts is not a JSON object of plain values: {fault}",
            param="x-interlock-facts",
            hint='Send e.g. {"account_tier": "enterprise"}.',
        ) from None


def on_behalf(caller: Caller, exchange: Exchange, user: str) -> Caller:
    """The key's caller, for the user and the workflow that the request names. The tenant is the key's and nobody else's, and so
    is the user of a key that was made for one.
    """
    user = caller.user or user
    workflow = exchange.header(b"x-interlock-workflow").decode("latin-1")
    if workflow and not _WORKFLOW.fullmatch(workflow):
        raise InvalidRequest("the header x-interlock-workflow is not a name", param="x-interlock-workflow")
    trace = trace_of(exchange)
    if task := _task_of(caller.tenant, workflow, exchange.header(b"x-interlock-task"), trace):
        caller = structs.replace(caller, task=task)
    if labels := exchange.header(b"x-interlock-labels"):
        caller = structs.replace(caller, labels=labels_of(labels))
    if workflow or trace:
        return structs.replace(caller, workflow=workflow or caller.workflow, user=user, trace=trace)
    return structs.replace(caller, user=user) if user else caller


def labelled(caller: Caller, request: Request) -> Caller:
    """The caller with what the header `x-interlock-labels` says, at addresses that are not hot. Raises InvalidRequest."""
    header = request.headers.get("x-interlock-labels", "")
    return structs.replace(caller, labels=labels_of(header.encode("latin-1"))) if header else caller


def _task_of(tenant: str, workflow: str, header: bytes, trace: str) -> str:
    """The task that calls of an agent of somebody else's belong to: one name, or one trace of a named workflow, is one task of the tenant.

    Empty where the request names none: then the call is a task of its own. Raises InvalidRequest.
    """
    name = header.decode("latin-1")
    if name and not _TASK.fullmatch(name):
        raise InvalidRequest(
            "the header x-interlock-task is not a name",
            param="x-interlock-task",
            hint="Up to 200 of A-Z a-z 0-9 _ . : -",
        )
    if not name and workflow and trace:
        name = trace.split("-")[1]
    if not name:
        return ""
    digest = hashlib.sha256(f"{tenant}\n{workflow}\noutside\n{name}".encode()).digest()
    return f"tsk_{base64.b32hexencode(digest)[:26].decode().lower()}"


def labels_of(header: bytes) -> tuple[str, ...]:
    """What the texts of a request bear by its caller's own word (`secret, phi`), which can only take places away. Raises InvalidRequest."""
    names = {each.strip() for each in header.decode("latin-1").split(",")} - {""}
    if len(names) > MOST_LABELS or not all(_LABEL.fullmatch(each) for each in names):
        raise InvalidRequest(
            f"the header x-interlock-labels is not a list of at most {MOST_LABELS} names",
            param="x-interlock-labels",
            hint="Send e.g. secret, phi.",
        )
    return tuple(sorted(names))


def trace_of(exchange: Exchange) -> str:
    """The W3C `traceparent` that came with the request, if it is one."""
    header = exchange.header(b"traceparent")
    return read_traceparent(header.decode("latin-1")) if header else ""
