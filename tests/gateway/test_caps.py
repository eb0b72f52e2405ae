"""Input caps, and the shape of answers by route and workflow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from interlock.core.chat import ChatRequest, Message, Part
from interlock.core.errors import TooLarge
from interlock.core.ports import Deployment
from interlock.gateway import caps, tokens
from interlock.gateway.settings import Settings, Tier
from interlock.gateway.terms import InputCap, Shaping
from interlock.server.openai_write import reply_headers
from tests.gateway.kit import CALLER, Bench, Scripted, ask, deployment, reply

PAGE = "The customer writes that order FH-10234 has not come. " * 60
PASTE = "\n\n".join(f"Page {number}. {PAGE}" for number in range(200))
TIERS = (Tier("small", (deployment("premium"),)),)
CHEAP = Tier("", (deployment("small"),))


def bench(cap, provider=None, **settings):
    provider = provider or Scripted(small=lambda request: reply("small", f"summary of {len(request.messages[0].text)}"))
    made = Bench(provider, Settings(input_caps={"support": cap}, **settings), tiers=TIERS)
    known = made.gateway._desk.router
    inner = known._tiers_of
    known._tiers_of = lambda name: (CHEAP,) if name == "cheap" else inner(name)
    return made


@pytest.mark.requirement("GW-18")
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_paste_of_200_pages_is_summarised_by_the_cheap_model_before_the_dear_one_sees_it(streamed):
    made = bench(InputCap(8_000, "summarise", "cheap"))
    request = ask(PASTE, stream=streamed)
    await (made.streamed(request) if streamed else made.chat(request))
    *cheap, (last, sent) = made.provider.sent
    assert {model for model, _ in cheap} == {"small"}
    assert len(cheap) > 10, "piece by piece"
    assert last == "premium"
    assert tokens.of_request(sent) <= 8_000
    assert max(len(request.messages[0].text) for _, request in cheap) < len(PASTE) / 5, "nobody sees it whole"
    event = made.event
    assert event.input_cap.startswith("summarised ")
    assert b"x-interlock-input-cap: summarised " in reply_headers(event)
    assert {each.purpose for each in event.attempts[:-1]} == {"input_cap"}
    assert event.cost_nano_usd == sum(each.cost_nano_usd for each in event.attempts), "and it is paid for"


@pytest.mark.requirement("GW-18")
async def test_where_it_is_to_be_refused_nothing_is_sent_and_the_error_says_what_is_allowed():
    made = bench(InputCap(8_000))
    with pytest.raises(TooLarge, match="8,000"):
        await made.chat(ask(PASTE))
    assert made.provider.sent == []
    assert (made.event.status, made.event.error) == ("refused", "request_too_large")


@pytest.mark.requirement("GW-18")
async def test_the_middle_is_left_out_where_that_is_declared_and_instructions_never():
    made = bench(InputCap(2_000, "truncate_middle"))
    system = Message("system", "Be brief. " * 50)
    await made.chat(ChatRequest("support", (system, Message("user", f"BEGIN {PASTE} END"))))
    sent = made.provider.sent[0][1]
    assert sent.messages[0] == system
    text = sent.messages[1].text
    assert text.startswith("BEGIN")
    assert text.endswith("END")
    assert "left out here" in text
    assert tokens.of_request(sent) <= 2_000
    assert made.event.input_cap.startswith("truncated ")


async def test_input_within_its_cap_goes_out_as_the_callers_own_bytes():
    made = bench(InputCap(8_000))
    await made.chat(structs.replace(ask("short"), raw=b"{}", raw_dialect="openai"))
    assert made.provider.sent[0][1].raw == b"{}"
    assert made.event.input_cap == ""


async def test_a_cap_that_instructions_alone_exceed_is_a_clear_error():
    made = bench(InputCap(500, "truncate_middle"))
    with pytest.raises(TooLarge):
        await made.chat(ChatRequest("support", (Message("system", PAGE * 10), Message("user", "hi"))))


@pytest.mark.requirement("GW-18")
@given(text=st.text(min_size=1, max_size=3_000), size=st.integers(5, 400))
def test_pieces_are_whole_and_small_enough(text, size):
    found = caps.pieces(text, size)
    assert "".join(found) == text
    assert all(tokens.upper(each) <= size or len(each) == 1 for each in found)


@given(text=st.text(max_size=3_000), allowed=st.integers(0, 400))
def test_a_text_without_its_middle_is_within_what_is_allowed(text, allowed):
    short = caps.without_middle(text, allowed)
    assert tokens.upper(short) <= max(allowed, 1)


def test_the_longest_text_may_be_a_part_of_a_message():
    parts = (Part("text", text="short"), Part("image", url="https://x/y.png"), Part("text", text="long " * 50))
    request = ChatRequest("m", (Message("system", "x" * 9_999), Message("user", parts)))
    slot = caps.longest(request)
    assert slot is not None
    assert (slot.message, slot.part) == (1, 2)
    assert caps.replaced(request, slot, "s").messages[1].content == (*parts[:2], Part("text", text="s"))


@pytest.mark.requirement("GW-32")
async def test_output_caps_and_deterministic_settings_of_a_workflow_are_seen_upstream():
    shape = Shaping(max_output_tokens=50, temperature=0.0, seed=7)
    made = Bench(Scripted(), Settings(shaping={"support_reply": shape}))
    await made.chat(ask(temperature=1.0, max_output_tokens=900))
    sent = made.provider.sent[0][1]
    assert (sent.max_output_tokens, sent.temperature, sent.seed) == (50, 0.0, 7)
    assert any(reason.startswith("shaped: ") for reason in made.event.reasons)
    await made.chat(ask(max_output_tokens=20))
    assert made.provider.sent[1][1].max_output_tokens == 20, "less is the caller's own choice"
    await made.chat(ask(temperature=1.0), caller=structs.replace(CALLER, workflow="another"))
    assert made.provider.sent[2][1].temperature == 1.0


@pytest.mark.requirement("GW-32")
async def test_a_shape_may_belong_to_an_alias_or_a_model():
    for name in ("support", "fake/small"):
        made = Bench(Scripted(), Settings(shaping={name: Shaping(temperature=0.0)}))
        await made.streamed(ask(stream=True, temperature=1.0))
        assert made.provider.sent[0][1].temperature == 0.0
    assert Deployment("fake", "small", "fake").name == "fake/small"
