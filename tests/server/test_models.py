"""The list of models as the official clients read it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anthropic
import openai
import pytest

from .door import KEY, Door, opened


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as made:
        yield made


@pytest.mark.requirement("GW-04")
async def test_openais_client_lists_and_retrieves_models_with_what_they_can_do(door: Door) -> None:
    async with openai.AsyncOpenAI(api_key=KEY, base_url=f"{door.url}/v1", max_retries=0) as client:
        listed = [model async for model in client.models.list()]
        one = await client.models.retrieve("openai/gpt-4o-mini")
        with pytest.raises(openai.NotFoundError, match="no model is called 'gpt-9'"):
            await client.models.retrieve("gpt-9")
    assert [model.id for model in listed] == ["support", "openai/gpt-4o-mini"]
    assert (one.owned_by, one.model_extra) == ("openai", {"interlock": {"context_window": 128_000}})


@pytest.mark.requirement("GW-04")
async def test_anthropics_client_pages_through_the_same_list(door: Door) -> None:
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=f"{door.url}/anthropic", max_retries=0) as client:
        pages = await client.models.list(limit=1)
        listed = [model async for model in pages]
        one = await client.models.retrieve("support")
    assert pages.has_more
    assert [model.id for model in listed] == ["support", "openai/gpt-4o-mini"]
    assert listed[1].max_input_tokens == 128_000
    assert one.type == "model"


@pytest.mark.parametrize("limit", ["²", "0", "1001", "9" * 5_000])
async def test_a_number_that_is_none_is_the_callers_fault(door: Door, limit: str) -> None:
    async with anthropic.AsyncAnthropic(api_key=KEY, base_url=f"{door.url}/anthropic", max_retries=0) as client:
        with pytest.raises(anthropic.BadRequestError, match="Give a number from 1 to 1000"):
            await client.get(f"/v1/models?limit={limit}", cast_to=object)


async def test_a_list_without_a_key_is_refused(door: Door) -> None:
    async with openai.AsyncOpenAI(api_key="il-wrong", base_url=f"{door.url}/v1", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
