"""What goes wrong, in every dialect in front of every provider: as the client's own kind of error, cancelled upstream, never a silent end."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from interlock.core.money import Usage
from interlock.testing.upstream import OVERLOADED, Answer

from .clients import Face, User, Wish
from .every import FACES
from .house import VENDORS, House
from .test_books import settled

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.requirement("GW-06", "GW-01", "GW-03")]
EVERY = pytest.mark.parametrize("vendor", VENDORS)
ASK = (User("How is the weather?"),)
LONG = "one two three four five six seven eight"


@EVERY
async def test_a_rate_limit_is_the_clients_own_error_with_the_wait(face: Face, home: House, vendor: str) -> None:
    home.script(vendor, Answer(status=429, text="slow down", headers=(("retry-after", "70"),)))
    model = home.fresh(vendor)
    for ask in (face.ask, face.stream):
        with pytest.raises(face.rate_limited) as seen:
            await ask(model, ASK)
        error: Any = seen.value
        assert 69 <= int(error.response.headers["retry-after"]) <= 71
        assert error.response.headers["x-request-id"]
        assert error.body["error"]["type"] if face.name == "anthropic" else error.body["type"] == "rate_limit_error"


@EVERY
async def test_a_request_that_the_vendor_refuses_keeps_its_status_and_words(
    face: Face, home: House, vendor: str
) -> None:
    home.script(vendor, Answer(status=400, text="This model does not see images."))
    for ask in (face.ask, face.stream):
        with pytest.raises(face.bad_request, match="does not see images"):
            await ask(home.fresh(vendor), ASK)
    home.script(vendor, Answer(status=404, text="no such model here"))
    with pytest.raises(face.not_found, match="no such model"):
        await face.ask(home.fresh(vendor), ASK)


@EVERY
@pytest.mark.parametrize("status", [500, 503, 529])
async def test_a_vendor_that_fails_is_a_server_error(face: Face, home: House, vendor: str, status: int) -> None:
    home.script(vendor, Answer(status=status, text="broken", headers=(("retry-after", "99"),)))
    with pytest.raises(face.server_error, match="broken"):
        await face.ask(home.fresh(vendor), ASK)


@pytest.mark.requirement("GW-25")
async def test_a_client_with_its_usual_retries_does_not_multiply_what_an_outage_costs(face: Face, home: House) -> None:
    home.script("oa", Answer(status=500, text="down"))
    model = home.fresh("oa")
    patient: Any = FACES[face.name](home.url)
    patient.client = patient.client.with_options(max_retries=2)
    with pytest.raises(face.server_error):
        await patient.ask(model, ASK)
    sent = [each for each in home.vendors["oa"].asked if model.endswith(each.model)]
    assert len(sent) <= 3, "one call's own tries, and none of the client's"
    await patient.close()


@EVERY
async def test_our_own_credential_at_the_vendor_is_no_fault_of_the_callers(
    face: Face, home: House, vendor: str
) -> None:
    home.script(vendor, Answer(status=401, text="bad key"))
    with pytest.raises(face.server_error):
        await face.ask(home.fresh(vendor), ASK)


async def test_a_wrong_key_is_an_authentication_error(face: Face, home: House) -> None:
    stranger: Face = FACES[face.name](home.url, key="il-wrong")
    for ask in (stranger.ask, stranger.stream):
        with pytest.raises(face.unauthorised):
            await ask(home.model("oa"), ASK)
    await stranger.close()


async def test_an_unknown_model_is_not_found_and_the_nearest_is_named(face: Face, home: House) -> None:
    with pytest.raises(face.not_found, match="support"):
        await face.ask("suport", ASK)


@EVERY
async def test_garbage_is_a_server_error_and_never_an_answer(face: Face, home: House, vendor: str) -> None:
    body = b"<html>gateway</html>"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    home.script(vendor, Answer(raw=head + body))
    for ask in (face.ask, face.stream):
        with pytest.raises(face.server_error):
            await ask(home.fresh(vendor), ASK)


@EVERY
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"[]",
        b'{"choices":[],"content":null,"candidates":[]}',
        b'{"id":"x","choices":[{"index":0,"mess',
    ],
)
async def test_a_reply_that_is_no_answer_is_a_server_error(face: Face, home: House, vendor: str, body: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    home.script(vendor, Answer(raw=head + body))
    with pytest.raises(face.server_error):
        await face.ask(home.fresh(vendor), ASK)


@EVERY
@pytest.mark.parametrize("event", [b"data: {not json}\n\n", b"data: []\n\n", b": only a comment\n\n", b""])
async def test_a_stream_that_says_nothing_that_can_be_read_is_an_error(
    face: Face, home: House, vendor: str, event: bytes
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: %d\r\n\r\n" % len(event)
    home.script(vendor, Answer(raw=head + event))
    with pytest.raises(face.server_error):
        await _relayed(face, home.fresh(vendor), [])


@EVERY
async def test_an_answer_that_is_cut_is_an_error_and_never_an_answer(face: Face, home: House, vendor: str) -> None:
    home.script(vendor, Answer(text=LONG, cut_after=150))
    with pytest.raises(face.server_error):
        await face.ask(home.fresh(vendor), ASK)


async def _relayed(face: Face, model: str, got: list[str]) -> None:
    async for piece in face.pieces(model, ASK):
        got += [piece]


@EVERY
@pytest.mark.requirement("GW-30")
async def test_a_stream_that_is_cut_ends_in_a_typed_error(face: Face, home: House, vendor: str) -> None:
    home.script(vendor, Answer(text=LONG, cut_after=5, piece_delay_s=0.01))
    got: list[str] = []
    with pytest.raises(face.any_error):
        await _relayed(face, home.fresh(vendor), got)
    assert LONG.startswith("".join(got))
    assert got


@EVERY
@pytest.mark.requirement("GW-30")
async def test_an_error_event_of_the_vendor_becomes_one_of_the_callers_dialect(
    face: Face, home: House, vendor: str
) -> None:
    home.script(vendor, Answer(text=LONG, error_after=5, piece_delay_s=0.01))
    with pytest.raises(face.any_error, match=OVERLOADED):
        await _relayed(face, home.fresh(vendor), [])


@EVERY
@pytest.mark.parametrize("when", ["whole", "before the first piece", "in the middle"])
async def test_a_client_that_leaves_frees_the_vendor_at_once(face: Face, home: House, vendor: str, when: str) -> None:
    late = when != "in the middle"
    home.script(vendor, Answer(text=LONG, delay_s=30.0) if late else Answer(text=LONG, stall_after=4))
    before, asked = home.aborted(vendor), len(home.vendors[vendor].asked)
    model, begun = home.fresh(vendor), asyncio.Event()

    async def leave() -> None:
        if when == "whole":
            await face.ask(model, ASK)
        async for _ in face.pieces(model, ASK):
            begun.set()

    leaving = asyncio.create_task(leave())
    if late:
        while len(home.vendors[vendor].asked) == asked:
            await asyncio.sleep(0.001)
    else:
        await begun.wait()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    async with asyncio.timeout(60):  # the vendor would go on for longer
        while home.aborted(vendor) == before:
            await asyncio.sleep(0.001)


async def test_what_cannot_be_carried_is_refused_by_name(home: House) -> None:
    openai, anthropic = FACES["openai"](home.url), FACES["anthropic"](home.url)
    refused: list[tuple[Face, str, dict[str, Any], str]] = [
        (openai, "an", {"n": 2}, "n cannot"),
        (openai, "an", {"seed": 7}, "seed"),
        (openai, "an", {"logprobs": True}, "logprobs"),
        (openai, "an", {"logit_bias": {"1": 2}}, "logit_bias"),
        (openai, "ge", {"prediction": {"type": "content", "content": "x"}}, "prediction"),
        (anthropic, "oa", {"extra_body": {"top_k": 4}}, "top_k"),
        (anthropic, "ge", {"inference_geo": "us"}, "inference_geo"),
        (anthropic, "oa", {"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools\\[0\\].type"),
    ]
    for face, vendor, extra, named in refused:
        asked = len(home.vendors[vendor].asked)
        with pytest.raises(face.bad_request, match=named):
            await face.ask(home.model(vendor), ASK, Wish(extra=extra))
        assert len(home.vendors[vendor].asked) == asked, "nothing was sent"
    await openai.close()
    await anthropic.close()


@pytest.mark.parametrize(
    "part",
    [
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}},
        {"fileData": {"mimeType": "audio/wav", "fileUri": "https://example.com/a"}},
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
    ],
    ids=["picture", "file", "code"],
)
async def test_what_a_model_makes_beside_text_is_refused_and_booked_and_never_dropped(
    face: Face, home: House, part: dict[str, Any]
) -> None:
    parts = [{"text": "Here it is."}, part]
    candidate = {"content": {"role": "model", "parts": parts}, "index": 0, "finishReason": "STOP"}
    usage = {"promptTokenCount": 11, "candidatesTokenCount": 290}
    body = json.dumps({"candidates": [candidate], "usageMetadata": usage}).encode()
    event = b"data: " + body + b"\r\n\r\n"
    for ask, kind, sent in ((face.ask, "application/json", body), (face.stream, "text/event-stream", event)):
        head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(sent)}\r\n\r\n".encode()
        home.script("ge", Answer(raw=head + sent))
        model = home.fresh("ge")
        asked = len(home.vendors["ge"].asked)
        user = f"{face.name}-{part.keys()}-{kind}"
        with pytest.raises(face.bad_request, match="cannot be carried"):
            await ask(model, ASK, Wish(user=user))
        assert len(home.vendors["ge"].asked) == asked + 1, "asking once more would cost the same"
        booked = Usage(**(await settled(home, user)).usage)
        assert (booked.input_total, booked.output_total) == (11, 290)
