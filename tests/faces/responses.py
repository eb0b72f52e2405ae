"""OpenAI's Responses through the official client, in the vocabulary of `clients`."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from .clients import PLAIN, Got, Result, Said, System, Turns, User, Wish
from .house import KEY


class Responses:
    """Responses; a conversation goes on by sending its items back."""

    name = "responses"
    rate_limited = openai.RateLimitError
    bad_request = openai.BadRequestError
    not_found = openai.NotFoundError
    unauthorised = openai.AuthenticationError
    server_error = openai.InternalServerError
    any_error = openai.APIError

    def __init__(self, url: str, key: str = KEY) -> None:
        self.client: Any = openai.AsyncOpenAI(api_key=key, base_url=f"{url}/v1", max_retries=0)

    async def close(self) -> None:
        await self.client.close()

    async def ask(self, model: str, turns: Turns, wish: Wish = PLAIN) -> Got:
        return _got(await self.client.responses.create(**self._asked(model, turns, wish)))

    async def stream(self, model: str, turns: Turns, wish: Wish = PLAIN) -> Got:
        """By the client's own accumulator, which notices whatever is out of order."""
        pieces, numbers = 0, []
        last: Any = None
        async with self.client.responses.stream(**self._asked(model, turns, wish)) as stream:
            async for event in stream:
                pieces += event.type == "response.output_text.delta"
                numbers.append(event.sequence_number)
                _raise_failure(event)
                last = event
            # The accumulator hands out whole answers only; one that was cut short is told by its last event.
            whole = await stream.get_final_response() if last.type == "response.completed" else last.response
            got = _got(whole)
        assert numbers == list(range(len(numbers)))
        got.pieces = pieces
        return got

    async def pieces(self, model: str, turns: Turns, wish: Wish = PLAIN) -> AsyncIterator[str]:
        async with await self.client.responses.create(**self._asked(model, turns, wish), stream=True) as stream:
            async for event in stream:
                _raise_failure(event)
                if event.type == "response.output_text.delta":
                    yield event.delta

    def _asked(self, model: str, turns: Turns, wish: Wish) -> dict[str, Any]:
        if wish.stop:
            pytest.skip("this dialect has no stop sequences")
        items = [item for turn in turns for item in _items(turn)]
        asked: dict[str, Any] = {"model": model, "input": items, "max_output_tokens": wish.max_tokens}
        if wish.tools:
            asked["tools"] = [
                {
                    "type": "function",
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.schema,
                    "strict": tool.strict,
                }
                for tool in wish.tools
            ]
        if wish.choice:
            named = {"type": "function", "name": wish.choice}
            asked["tool_choice"] = wish.choice if wish.choice in ("auto", "none", "required") else named
        if wish.parallel is not None:
            asked["parallel_tool_calls"] = wish.parallel
        if wish.schema is not None:
            form = {"type": "json_schema", "name": "answer", "schema": wish.schema, "strict": True}
            asked["text"] = {"format": form}
        if wish.temperature is not None:
            asked["temperature"] = wish.temperature
        if wish.effort:
            asked["reasoning"] = {"effort": wish.effort, "summary": "auto"}
        if wish.user:
            asked["user"] = wish.user
        return {**asked, **wish.extra}


def _items(turn: System | User | Said | Result) -> list[dict[str, Any]]:
    match turn:
        case System(text):
            return [{"role": "system", "content": text}]
        case Said(echo):
            return echo
        case Result(call, text, failed):
            said = f"error: {text}" if failed else text
            return [{"type": "function_call_output", "call_id": call, "output": said}]
        case User(text, ()):
            return [{"role": "user", "content": text}]
        case User(_, parts):
            return [{"role": "user", "content": [_part(*part) for part in parts]}]


def _part(kind: str, value: str) -> dict[str, Any]:
    match kind:
        case "image":
            return {"type": "input_image", "image_url": f"data:image/png;base64,{value}", "detail": "auto"}
        case "image_url":
            return {"type": "input_image", "image_url": value, "detail": "auto"}
        case "pdf":
            return {"type": "input_file", "filename": "a.pdf", "file_data": f"data:application/pdf;base64,{value}"}
        case "audio":
            return {"type": "input_audio", "input_audio": {"data": value, "format": "wav"}}
        case _:
            return {"type": "input_text", "text": value}


def _got(response: Any) -> Got:
    items = response.output
    calls = [(item.call_id, item.name, json.loads(item.arguments)) for item in items if item.type == "function_call"]
    parts = [part for item in items if item.type == "message" for part in item.content]
    refused = any(part.type == "refusal" for part in parts)
    why = response.incomplete_details.reason if response.incomplete_details else ""
    finish = {"max_output_tokens": "length", "content_filter": "refused"}.get(why, "tool_calls" if calls else "stop")
    return Got(
        text=response.output_text,
        calls=calls,
        finish="refused" if refused else finish,
        input_tokens=response.usage.input_tokens,
        output_tokens=response.usage.output_tokens,
        cached_tokens=response.usage.input_tokens_details.cached_tokens,
        thought="".join(part.text for item in items if item.type == "reasoning" for part in item.summary),
        echo=[item.model_dump(exclude_none=True) for item in items],
    )


def _raise_failure(event: Any) -> None:
    if event.type == "response.failed":
        raise openai.APIError(event.response.error.message, None, body=event.response.error)  # type: ignore[arg-type]
