"""What the official clients bring of their own: accumulators, helpers, lists, both ways in, several answers."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from interlock.testing.upstream import Answer

from .clients import Anthropic, OpenAI
from .house import KEY, VENDORS, House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.requirement("GW-06", "GW-01", "GW-03")]
EVERY = pytest.mark.parametrize("vendor", VENDORS)


@pytest.mark.parametrize("vendor", ["oa", "ge", "own"])
@pytest.mark.requirement("GW-01")
async def test_several_answers(home: House, vendor: str) -> None:
    home.script(vendor, Answer(text="It rains.", input_tokens=10, output_tokens=12))
    face = OpenAI(home.url)
    messages: Any = [{"role": "user", "content": "x"}]
    got = await face.client.chat.completions.create(model=home.model(vendor), messages=messages, n=3)
    assert [choice.index for choice in got.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in got.choices}) == 3
    assert got.usage.completion_tokens == 12
    texts, finishes = ["", "", ""], ["", "", ""]
    stream = await face.client.chat.completions.create(model=home.model(vendor), messages=messages, n=3, stream=True)
    async for chunk in stream:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            finishes[choice.index] = choice.finish_reason or finishes[choice.index]
    assert len(set(texts)) == 3
    assert finishes == ["stop"] * 3
    await face.close()


@pytest.mark.requirement("GW-31")
async def test_each_of_several_answers_has_to_keep_to_the_schema(home: House) -> None:
    home.script("oa", Answer(text='{"city":"Oslo"}'))  # the double writes "(1)" behind the second answer
    face = OpenAI(home.url)
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    form: Any = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    ask: Any = {"messages": [{"role": "user", "content": "x"}], "response_format": form, "n": 2}
    with pytest.raises(openai.UnprocessableEntityError, match="answer 2"):
        await face.client.chat.completions.create(model=home.fresh("oa"), **ask)
    with pytest.raises(openai.BadRequestError, match="several streamed answers"):
        await face.client.chat.completions.create(model=home.fresh("oa"), **ask, stream=True)
    await face.close()


@pytest.mark.parametrize("vendor", ["oa", "ge"])
async def test_log_probabilities(home: House, vendor: str) -> None:
    home.script(vendor, Answer(text="It rains.", logprob=-0.25))
    face = OpenAI(home.url)
    messages: Any = [{"role": "user", "content": "x"}]
    got = await face.client.chat.completions.create(
        model=home.model(vendor), messages=messages, logprobs=True, top_logprobs=2
    )
    assert [each.logprob for each in got.choices[0].logprobs.content] == [-0.25, -0.25]
    assert "".join(each.token for each in got.choices[0].logprobs.content) == "It rains."
    await face.close()


async def test_both_addresses_and_both_kinds_of_credential_open_the_door(home: House) -> None:
    home.script("an", Answer(text="ok"))
    ask: Any = {"model": home.model("an"), "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    for base in (home.url, f"{home.url}/anthropic"):
        for key, token in ((KEY, None), (None, KEY)):
            async with anthropic.AsyncAnthropic(api_key=key, auth_token=token, base_url=base, max_retries=0) as client:
                assert (await client.messages.create(**ask)).content[0].text == "ok"
                assert (await client.beta.messages.create(**ask, betas=["x-2026-01-01"])).content[0].text == "ok"
    assert home.asked("an").headers["x-api-key"] == "sk-vendor"
    assert home.asked("an").headers["anthropic-beta"] == "x-2026-01-01"


@EVERY
async def test_the_openai_clients_own_accumulator_finds_every_piece_in_its_place(home: House, vendor: str) -> None:
    face = OpenAI(home.url)
    schema = {
        "type": "object",
        "properties": {"at": {"type": "integer"}},
        "required": ["at"],
        "additionalProperties": False,
    }
    function = {"name": "look", "parameters": schema, "strict": True}
    ask: Any = {"model": home.model(vendor), "messages": [{"role": "user", "content": "x"}]}
    home.script(vendor, Answer(text="", tool_calls=(("look", '{"at":1}'), ("look", '{"at":2}'))))
    async with face.client.chat.completions.stream(**ask, tools=[{"type": "function", "function": function}]) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_completion()
    assert kinds.count("tool_calls.function.arguments.done") == 2
    calls = final.choices[0].message.tool_calls
    assert [call.function.parsed_arguments for call in calls] == [{"at": 1}, {"at": 2}]
    home.script(vendor, Answer(text="It rains."))
    async with face.client.chat.completions.stream(**ask, stream_options={"include_usage": True}) as stream:
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "It rains."
    assert final.usage.completion_tokens == 2
    await face.close()


async def test_both_clients_list_the_models_in_their_own_shape(home: House, claude: Any) -> None:
    face = OpenAI(home.url)
    listed = [model.id async for model in claude.models.list()]
    assert "support" in listed
    assert [model.id async for model in face.client.models.list()] == listed
    assert (await claude.models.retrieve("support")).type == "model"
    await face.close()


async def test_the_clients_own_helpers_for_structured_answers_work(home: House) -> None:
    from pydantic import BaseModel

    class City(BaseModel):
        city: str

    openai, claude = OpenAI(home.url), Anthropic(home.url)
    messages: Any = [{"role": "user", "content": "Where?"}]
    for vendor in VENDORS:
        home.script(vendor, Answer(text='{"city":"Oslo"}'))
        parsed = await openai.client.chat.completions.parse(
            model=home.model(vendor), messages=messages, response_format=City
        )
        assert parsed.choices[0].message.parsed == City(city="Oslo")
        message = await claude.client.messages.parse(
            model=home.model(vendor), max_tokens=99, messages=messages, output_format=City
        )
        assert message.parsed_output == City(city="Oslo")
    await openai.close()
    await claude.close()
