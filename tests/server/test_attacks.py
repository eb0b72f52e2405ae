"""Attacks from outside: parsers fed with whatever fits down a wire, errors that repeat what was said, caches that are lied to."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.routing import Route

from interlock.app import Interlock
from interlock.core import webhook
from interlock.core.caller import Caller, Secret
from interlock.core.errors import InterlockError, InvalidRequest
from interlock.core.ids import read_traceparent
from interlock.gateway.unsaid import GONE, LEAST, MOST_LOOKS, Said
from interlock.server.behalf import MOST_LABELS, labels_of
from interlock.testing.upstream import Answer, Upstream

from .tenants_kit import CANARY, Town, town
from .test_tenants import PARAMETER, aimed, filled

LEFT_OUT = {"/ui/live/events", "/api/tasks/{task}/events", "/ui/logout"}
"""Streams that go on, and what ends the session."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(tmp_path_factory: pytest.TempPathFactory):
    async with town(tmp_path_factory.mktemp("town")) as made:
        yield made


# --- Parsers --------------------------------------------------------------------------------------------------------

WHOLE: dict[str, Any] = {
    "model": "support",
    "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    "input": [{"type": "message", "role": "user", "content": "hi"}],
    "max_tokens": 5,
    "workflow": "agent_contract",
    "name": "go",
    "decision": "approve",
    "success": True,
    "values": {"a": 1},
    "requests": [{"custom_id": "x", "params": {}}],
    "input_file_id": "file_x",
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}],
}
ODD: tuple[Any, ...] = (
    None,
    [],
    {},
    "",
    "\ud800x"[1:],
    -1,
    1e308,
    10**30,
    True,
    [[]] * 50,
    {"": {"": {}}},
    "\u0000",
    "../../etc/passwd",
)


def mutated(rng: random.Random) -> bytes:
    """A body that is nearly right, or nothing of the kind."""
    kind = rng.randrange(7)
    body = json.dumps(WHOLE).encode()
    if kind == 0:
        return rng.randbytes(rng.randrange(200))
    if kind == 1:
        return body[: rng.randrange(len(body))]
    if kind == 2:
        return b"[" * 20_000 + b"]" * 20_000
    if kind == 3:
        at = rng.randrange(len(body))
        return body[:at] + rng.randbytes(3) + body[at + 1 :]
    return json.dumps(
        {name: rng.choice(ODD) if rng.random() < 0.4 else value for name, value in WHOLE.items()}
    ).encode()


def header(rng: random.Random) -> dict[str, str]:
    """Headers that some face reads, with something else in them."""
    names = (
        "traceparent",
        "x-interlock-facts",
        "x-interlock-labels",
        "x-interlock-workflow",
        "idempotency-key",
        "anthropic-beta",
    )
    values = (
        "{",
        '{"a": {}}',
        "00-" + "0" * 32 + "-" + "0" * 16 + "-01",
        ",,,",
        "x" * 3_000,
        "%00",
        "'; DROP TABLE tasks; --",
    )
    kinds = (
        "application/json",
        "multipart/form-data",
        "multipart/form-data; boundary=x",
        "text/plain",
        "application/x-www-form-urlencoded",
    )
    return {rng.choice(names): rng.choice(values), "content-type": rng.choice(kinds)}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.requirement("SG-09")
async def test_no_address_breaks_over_what_it_is_sent(place: Town, caplog: pytest.LogCaptureFixture):
    """Every address and method of the router, with bodies, headers, ids and queries that nobody should send: a refusal, and never a defect."""
    rng = random.Random(7)
    async with place.client(place.owner) as client:
        for route in place.routes:
            for method in sorted((route.methods or {"POST"}) - {"HEAD", "DELETE"}):
                if route.path in LEFT_OUT or route.path.endswith("/cancel"):
                    continue
                for _ in range(4 if method == "POST" else 2):
                    await refused_or_done(client, method, route, place, rng)
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR and each.exc_info]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    "path", ["/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/embeddings", "/api/keys"]
)
async def test_bytes_that_are_no_text_are_refused_wherever_they_stand(place: Town, path: str):
    part = {"type": "text", "text": "hi", "odd": "MARK"}
    body = {**WHOLE, "metadata": {"a": "MARK"}, "other": "MARK", "system": "MARK", "user": "MARK"}
    body["messages"] = body["input"] = [{"role": "user", "content": [part], "odd": {"MARK": 1}}]
    body["stream_options"] = {"MARK": "MARK"}
    texts = json.dumps(body).encode()
    async with place.client(place.owner) as client:
        for at in range(texts.count(b"MARK")):
            pieces = texts.split(b"MARK")
            sent = b"MARK".join(pieces[: at + 1]) + b"\xff\xa4" + b"MARK".join(pieces[at + 1 :])
            told = await client.post(path, content=sent, headers={"content-type": "application/json"})
            assert told.status_code == 400, told.text


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", [-(10**30), 2**31, 2**63, 2**64, 10**30])
async def test_numbers_beyond_what_a_machine_counts_in_are_refused_or_passed_on(place: Town, number: int):
    """Caps, seeds and whatever a caller's own schema says: no store, no cache key and no price may stumble over them."""
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer", "maximum": number}},
        "additionalProperties": False,
    }
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    chat = {"model": "support", "messages": [{"role": "user", "content": "hi"}]}
    capped = {**chat, "max_tokens": 5}
    asked: list[tuple[str, dict[str, Any]]] = [
        *(("/v1/chat/completions", {**chat, name: number}) for name in ("max_tokens", "seed", "top_k", "n")),
        ("/v1/chat/completions", {**chat, "user": "u", "response_format": form}),
        *(("/v1/messages", {**capped, name: number}) for name in ("max_tokens", "top_k")),
        ("/v1/messages", {**capped, "thinking": {"type": "enabled", "budget_tokens": number}}),
        ("/v1/messages", {**capped, "output_config": {"format": {"type": "json_schema", "schema": schema}}}),
        ("/v1/messages", {**capped, "tools": [{"name": "f", "input_schema": schema}]}),
        ("/v1/responses", {"model": "support", "input": "hi", "max_output_tokens": number}),
        ("/v1/embeddings", {"model": "support", "input": "hi", "dimensions": number}),
    ]
    async with place.client(place.owner) as client:
        for path, body in asked:
            sent = await client.post(path, json=body)
            assert sent.status_code < 500 or "internal_error" not in sent.text, (path, body, sent.text)


async def refused_or_done(
    client: httpx2.AsyncClient, method: str, route: Route, place: Town, rng: random.Random
) -> None:
    values = {**aimed(route, place.things)}
    for name in PARAMETER.findall(route.path):
        if name != "step" and rng.random() < 0.3:
            values[name] = rng.choice(("%00", "..%2f..%2fetc", "x" * 2_000, "%f0%9f%92%a9", "'--", "tsk_", "0"))
    query = {
        rng.choice(("limit", "after", "before", "since", "status", "with", "span", "with")): str(rng.choice(ODD))[:80]
    }
    body = None if method == "GET" else mutated(rng)
    path = filled(route.path, values)
    sent = await client.request(method, path, headers=header(rng), params=query, content=body)
    assert sent.status_code < 500 or sent.status_code == 503, (
        f"{method} {route.path}: {sent.status_code} {sent.text[:300]}"
    )
    assert "Traceback" not in sent.text


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_headers_are_read_or_refused(raw: bytes):
    try:
        found = labels_of(raw)
    except InvalidRequest:
        return
    assert len(found) <= MOST_LABELS
    assert found == tuple(sorted(set(found)))
    read_traceparent(raw.decode("latin-1"))


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature"]), st.text(max_size=60)),
    st.binary(max_size=100),
)
def test_a_signed_message_is_one_or_is_refused(headers: dict[str, str], body: bytes):
    with pytest.raises(InterlockError):
        webhook.verify([Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")], headers, body, 1_790_000_000)


def test_an_empty_secret_signs_nothing():
    at_s, body = 1_790_000_000, b'{"decision":"approve"}'
    headers = dict(webhook.headers(Secret(""), "msg_1", at_s, body))
    with pytest.raises(InterlockError, match="does not fit"):
        webhook.verify([Secret("")], headers, body, at_s)


# --- Errors that repeat what was said -------------------------------------------------------------------------------

PROMPT = f"My PIN is 4711 and {CANARY} lives at 12 Elm Street"
ECHOES = {
    "refused": Answer(status=400, text=f"invalid_request: cannot process '{PROMPT}' at all"),
    "overloaded": Answer(status=503, text=f"while working on: {PROMPT}"),
    "escaped": Answer(status=400, text=json.dumps({"you": PROMPT})),
    "no answer": Answer(raw=f"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{PROMPT[:9]}".encode()),
}


@pytest.mark.requirement("SG-07", "SG-08")
@pytest.mark.parametrize("how", ECHOES)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_vendor_that_repeats_the_prompt_in_an_error_puts_it_into_no_record_and_no_log(
    tmp_path: Path, how: str, streamed: bool, caplog: pytest.LogCaptureFixture
):
    async with Upstream(ECHOES[how]) as one, Upstream(ECHOES[how]) as two:
        (tmp_path / "interlock.yaml").write_text(
            f"providers:\n  one: {{dialect: openai, base_url: '{one.base_url}'}}\n  two: {{dialect: openai, base_url: '{two.base_url}'}}\n"
            "models: {support: [one/m, two/m]}\nresilience: {retries: {max_tries: 1}}\n"
        )
        async with Interlock.from_file(tmp_path) as il:
            with pytest.raises(InterlockError):
                await asked(il, streamed=streamed)
    held = b"".join(path.read_bytes() for path in (tmp_path / ".interlock").rglob("*") if path.is_file())
    for part in (CANARY, "12 Elm Street", "PIN is 4711"):
        assert part.encode() not in held, part
        assert part not in caplog.text, part


async def asked(il: Interlock, *, streamed: bool) -> None:
    caller = Caller("default")
    if not streamed:
        await il.chat("support", PROMPT, caller=caller)
        return
    async for _ in il.stream("support", PROMPT, caller=caller):
        pass


@settings(max_examples=200)
@given(st.text(max_size=60), st.text(min_size=LEAST, max_size=80), st.text(max_size=60))
def test_no_passage_of_the_prompt_stays_in_what_is_kept(before: str, said: str, after: str):
    kept = Said(said).without(before + said + after)
    assert not any(said[at : at + LEAST] in kept for at in range(len(said) - LEAST + 1))
    assert Said("").without(before) == before


@settings(max_examples=200)
@given(st.text("ab c", max_size=200), st.lists(st.tuples(st.integers(0, 199), st.integers(0, 60), st.text("ab c"))))
def test_every_long_passage_goes_and_nothing_else(said: str, quoted: list[tuple[int, int, str]]):
    text = "".join(said[at : at + length] + own for at, length, own in quoted)
    kept = Said(said).without(text)
    assert not any(kept[at : at + LEAST] in said for at in range(len(kept) - LEAST + 1))
    assert (GONE in kept) == any(text[at : at + LEAST] in said for at in range(len(text) - LEAST + 1))


def test_words_that_nearly_repeat_a_long_prompt_hold_nobody_up():
    """Each of their passages begins as the prompt does and would be searched for through all of it."""
    nearly = ("a" * (LEAST - 1) + "b") * 10 * MOST_LOOKS
    kept = Said("a" * 50_000).without(nearly)
    assert kept.endswith(GONE)
    assert len(kept) < 2 * MOST_LOOKS
