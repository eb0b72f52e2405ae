"""Every dialect in front of every provider: official clients, a served workspace, vendors that speak their documented wire."""

from __future__ import annotations

import json
from typing import Any

import pytest

from interlock.testing.upstream import Answer

from .clients import PDF, PNG, Face, Result, Said, System, Tool, User, Wish
from .house import VENDORS, House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.requirement("GW-06", "GW-01", "GW-02", "GW-03")]
EVERY = pytest.mark.parametrize("vendor", VENDORS)
CITY: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER = Tool("get_weather", CITY, "The weather at a place.")
ASK = (System("Be brief."), User("How is the weather?"))
RAIN = "Es regnet — 雨 🌧 in the north."
BOTH = (("get_weather", '{"city":"Oslo"}'), ("get_weather", '{"city":"Århus"}'))


@EVERY
async def test_text_and_usage(face: Face, home: House, vendor: str) -> None:
    home.script(vendor, Answer(text=RAIN, input_tokens=100, output_tokens=40, cached_tokens=30))
    for got in (await face.ask(home.model(vendor), ASK), await face.stream(home.model(vendor), ASK)):
        assert (got.text, got.finish) == (RAIN, "stop")
        assert (got.input_tokens, got.output_tokens, got.cached_tokens) == (100, 40, 30)
    assert got.pieces
    assert "Be brief." in str(home.asked(vendor).body)


@EVERY
async def test_a_tool_is_called_and_answered(face: Face, home: House, vendor: str) -> None:
    wish = Wish(tools=(WEATHER,))
    for ask in (face.ask, face.stream):
        home.script(vendor, Answer(tool_calls=BOTH[:1], text=""))
        got = await ask(home.model(vendor), ASK, wish)
        assert got.finish == "tool_calls"
        ((call, name, arguments),) = got.calls
        assert (name, arguments) == ("get_weather", {"city": "Oslo"})
        assert call
    home.script(vendor, Answer(tool_calls=BOTH[:1], text=""))
    said = await face.ask(home.model(vendor), ASK, wish)
    home.script(vendor, Answer(text="Rain."))
    turns = (*ASK, Said(said.echo), Result(said.calls[0][0], '{"sky":"rain"}'))
    for ask in (face.ask, face.stream):
        assert (await ask(home.model(vendor), turns, wish)).text == "Rain."
        assert "sky" in str(home.asked(vendor).body)


async def test_a_forced_call_that_a_server_ends_with_stop_is_a_call_all_the_same(face: Face, home: House) -> None:
    home.script("own", Answer(tool_calls=BOTH[:1], text="", finish="stop"))
    for ask in (face.ask, face.stream):
        got = await ask(home.model("own"), ASK, Wish(tools=(WEATHER,), choice="get_weather"))
        assert got.calls
        assert face.name == "openai" or got.finish == "tool_calls", "the server's own bytes say what it said"


@EVERY
async def test_parallel_tools_keep_their_ids_apart(face: Face, home: House, vendor: str) -> None:
    wish = Wish(tools=(WEATHER,))
    for ask in (face.ask, face.stream):
        home.script(vendor, Answer(tool_calls=BOTH, text=""))
        got = await ask(home.model(vendor), ASK, wish)
        assert [arguments for _, _, arguments in got.calls] == [{"city": "Oslo"}, {"city": "Århus"}]
        assert len({call for call, _, _ in got.calls}) == 2
    said = await face.ask(home.model(vendor), ASK, wish)
    home.script(vendor, Answer(text="Rain and sun."))
    results = [Result(call, json.dumps({"sky": at})) for at, (call, _, _) in enumerate(said.calls)]
    turns = (*ASK, Said(said.echo), *results, User("And now?"))
    assert (await face.ask(home.model(vendor), turns, wish)).text == "Rain and sun."


@EVERY
async def test_a_tool_without_arguments_is_called_with_an_empty_object(face: Face, home: House, vendor: str) -> None:
    home.script(vendor, Answer(tool_calls=(("now", "{}"),), text=""))
    now = Tool("now", {"type": "object", "properties": {}})
    for ask in (face.ask, face.stream):
        assert [arguments for _, _, arguments in (await ask(home.model(vendor), ASK, Wish(tools=(now,)))).calls] == [{}]


@EVERY
async def test_a_tool_that_failed_is_told_so(face: Face, home: House, vendor: str) -> None:
    wish = Wish(tools=(WEATHER,))
    home.script(vendor, Answer(tool_calls=BOTH[:1], text=""))
    said = await face.ask(home.model(vendor), ASK, wish)
    home.script(vendor, Answer(text="Sorry."))
    turns = (*ASK, Said(said.echo), Result(said.calls[0][0], "no such place", failed=True))
    assert (await face.ask(home.model(vendor), turns, wish)).text == "Sorry."
    sent = str(home.asked(vendor).body).lower()
    assert "no such place" in sent
    assert "error" in sent or "failed" in sent


@EVERY
@pytest.mark.parametrize("choice", ["auto", "none", "required", "get_weather"])
async def test_the_choice_of_tools_is_carried(face: Face, home: House, vendor: str, choice: str) -> None:
    home.script(vendor, Answer(text="Rain."))
    await face.ask(home.model(vendor), ASK, Wish(tools=(WEATHER,), choice=choice))
    body = home.asked(vendor).body
    named: Any = {"type": "function", "function": {"name": choice}}
    if vendor == "ge":
        modes = {"auto": "AUTO", "none": "NONE", "required": "ANY", "get_weather": "ANY"}
        config = body["toolConfig"]["functionCallingConfig"]
        assert config["mode"] == modes[choice]
        assert config.get("allowedFunctionNames") == ([choice] if choice == "get_weather" else None)
    elif vendor == "an":
        kinds = {"auto": "auto", "none": "none", "required": "any", "get_weather": "tool"}
        assert body["tool_choice"]["type"] == kinds[choice]
    else:
        assert body["tool_choice"] == (named if choice == "get_weather" else choice)


@EVERY
async def test_one_tool_at_a_time(face: Face, home: House, vendor: str) -> None:
    answer = Answer(tool_calls=BOTH if vendor == "ge" else BOTH[:1], text="")
    home.script(vendor, answer)
    for ask in (face.ask, face.stream):
        got = await ask(home.model(vendor), ASK, Wish(tools=(WEATHER,), parallel=False))
        assert len(got.calls) == 1
    body = home.asked(vendor).body
    if vendor == "an":
        assert body["tool_choice"]["disable_parallel_tool_use"] is True
    elif vendor != "ge":
        assert body["parallel_tool_calls"] is False


@EVERY
async def test_an_output_schema_reaches_the_vendor_and_binds_the_answer(face: Face, home: House, vendor: str) -> None:
    home.script(vendor, Answer(text='{"city":"Oslo"}'))
    for ask in (face.ask, face.stream):
        got = await ask(home.model(vendor), ASK, Wish(schema=CITY))
        assert json.loads(got.text) == {"city": "Oslo"}
        assert "additionalProperties" in str(home.asked(vendor).body)
    home.script(vendor, Answer(text='{"town":"Oslo"}'))
    for ask in (face.ask, face.stream):
        with pytest.raises(face.any_error, match="schema"):
            await ask(home.fresh(vendor), ASK, Wish(schema=CITY))


@EVERY
async def test_images_and_documents_are_seen(face: Face, home: House, vendor: str) -> None:
    home.script(vendor, Answer(text="A dot."))
    parts = (("text", "What is it?"), ("image", PNG), ("pdf", PDF))
    assert (await face.ask(home.model(vendor), (User(parts=parts),))).text == "A dot."
    sent = json.dumps(home.asked(vendor).body)
    assert PNG in sent
    assert PDF in sent
    assert (await face.stream(home.model(vendor), (User(parts=parts),))).text == "A dot."
    by_address = (("text", "And this?"), ("image_url", "https://example.com/a.jpg"))
    await face.ask(home.model(vendor), (User(parts=by_address),))
    assert "https://example.com/a.jpg" in json.dumps(home.asked(vendor).body)


@EVERY
async def test_an_answer_that_was_cut_by_its_cap_says_so(face: Face, home: House, vendor: str) -> None:
    home.script(vendor, Answer(text="It rains in the", finish="length"))
    for ask in (face.ask, face.stream):
        got = await ask(home.model(vendor), ASK, Wish(max_tokens=4))
        assert (got.text, got.finish) == ("It rains in the", "length")
    sent = json.dumps(home.asked(vendor).body)
    assert ": 4" in sent or ":4" in sent


@EVERY
async def test_stop_sequences_temperature_and_user_are_carried(face: Face, home: House, vendor: str) -> None:
    home.script(vendor, Answer(text="one, two"))
    wish = Wish(stop=("three", "vier"), temperature=0.25, user="u-7")
    assert (await face.ask(home.model(vendor), ASK, wish)).finish == "stop"
    sent = json.dumps(home.asked(vendor).body)
    assert "three" in sent
    assert "vier" in sent
    assert "0.25" in sent


@EVERY
async def test_an_empty_answer_is_an_answer(face: Face, home: House, vendor: str) -> None:
    home.script(vendor, Answer(text="", output_tokens=1))
    for ask in (face.ask, face.stream):
        got = await ask(home.model(vendor), ASK)
        assert (got.text, got.finish) == ("", "stop")


@EVERY
async def test_a_refusal_is_a_refusal(face: Face, home: House, vendor: str) -> None:
    home.script(vendor, Answer(text="", refusal="SAFETY", finish="content_filter" if vendor == "oa" else ""))
    for ask in (face.ask, face.stream):
        assert (await ask(home.model(vendor), ASK)).finish == "refused"


async def test_a_simulated_model_speaks_every_dialect(face: Face, home: House) -> None:
    got = await face.ask(home.model("sim"), ASK)
    assert "simulated" in got.text
    assert (await face.stream(home.model("sim"), ASK)).text == got.text
    for ask in (face.ask, face.stream):
        assert (await ask(home.model("sim"), ASK, Wish(tools=(WEATHER,)))).finish == "tool_calls"
