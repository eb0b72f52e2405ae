"""The official clients behind one vocabulary, so that one test asks the same of every dialect.

A test speaks neutrally: turns (`System`, `User`, `Said`, `Result`), `Wish`es, and gets a `Got`. A further dialect is one more class with
`ask`, `stream` and the client's own error types, put into `every.FACES`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import anthropic
import openai

from .house import KEY

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQK"


@dataclass(frozen=True)
class System:
    text: str


@dataclass(frozen=True)
class User:
    """`parts`: ("text", …), ("image", base64 of a PNG), ("image_url", address), ("pdf", base64)."""

    text: str = ""
    parts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Said:
    """What the model said before, as the client gave it; `echo` puts its own object back, as agents do."""

    echo: Any


@dataclass(frozen=True)
class Result:
    """A tool's answer."""

    call: str
    text: str
    failed: bool = False


@dataclass(frozen=True)
class Tool:
    name: str
    schema: dict[str, Any]
    description: str = "Looks something up."
    strict: bool = False


@dataclass(frozen=True)
class Wish:
    tools: tuple[Tool, ...] = ()
    choice: str = ""
    """auto, none, required, or the name of a tool."""
    parallel: bool | None = None
    schema: dict[str, Any] | None = None
    max_tokens: int = 256
    stop: tuple[str, ...] = ()
    temperature: float | None = None
    effort: str = ""
    user: str = ""
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass
class Got:
    """An answer in no dialect's words."""

    text: str = ""
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    """(id, name, arguments)."""
    finish: str = ""
    """stop, length, tool_calls, refused."""
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    thought: str = ""
    echo: Any = None
    pieces: int = 0
    """Events with text in them, of a stream."""


Turns = tuple[System | User | Said | Result, ...]


class Face(Protocol):
    """One official client."""

    name: str
    rate_limited: type[Exception]
    bad_request: type[Exception]
    not_found: type[Exception]
    unauthorised: type[Exception]
    server_error: type[Exception]
    any_error: type[Exception]

    async def ask(self, model: str, turns: Turns, wish: Wish = ...) -> Got: ...
    async def stream(self, model: str, turns: Turns, wish: Wish = ...) -> Got: ...
    def pieces(self, model: str, turns: Turns, wish: Wish = ...) -> AsyncIterator[str]: ...
    async def close(self) -> None: ...


PLAIN = Wish()


class OpenAI:
    """Chat completions."""

    name = "openai"
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
        got: Any = await self.client.chat.completions.create(**self._asked(model, turns, wish))
        choice = got.choices[0]
        usage = got.usage
        return Got(
            text=choice.message.content or "",
            calls=[
                (call.id, call.function.name, json.loads(call.function.arguments))
                for call in choice.message.tool_calls or ()
            ],
            finish=_openai_finish(choice.finish_reason, choice.message.refusal),
            input_tokens=usage.prompt_tokens,
            output_tokens=usage.completion_tokens,
            cached_tokens=usage.prompt_tokens_details.cached_tokens,
            thought=getattr(choice.message, "reasoning_content", None) or "",
            echo=choice.message.model_dump(exclude_none=True),
        )

    async def stream(self, model: str, turns: Turns, wish: Wish = PLAIN) -> Got:
        """By the client's own accumulator, which notices whatever is out of order."""
        got = Got()
        asked: dict[str, Any] = {**self._asked(model, turns, wish), "stream_options": {"include_usage": True}}
        calls: dict[int, dict[str, str]] = {}
        refusal = finish = ""
        async for chunk in await self.client.chat.completions.create(**asked, stream=True):
            if chunk.usage is not None:
                got.input_tokens, got.output_tokens = chunk.usage.prompt_tokens, chunk.usage.completion_tokens
                got.cached_tokens = chunk.usage.prompt_tokens_details.cached_tokens
            for choice in chunk.choices:
                delta = choice.delta
                got.pieces += bool(delta.content)
                got.text += delta.content or ""
                got.thought += getattr(delta, "reasoning_content", None) or ""
                refusal += delta.refusal or ""
                finish = choice.finish_reason or finish
                for piece in delta.tool_calls or ():
                    known = calls.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
                    known["id"] += piece.id or ""
                    known["name"] += piece.function.name or ""
                    known["arguments"] += piece.function.arguments or ""
        got.calls = [(each["id"], each["name"], json.loads(each["arguments"])) for each in calls.values()]
        got.finish = _openai_finish(finish, refusal)
        return got

    async def pieces(self, model: str, turns: Turns, wish: Wish = PLAIN) -> AsyncIterator[str]:
        async with await self.client.chat.completions.create(**self._asked(model, turns, wish), stream=True) as stream:
            async for chunk in stream:
                if chunk.choices and chunk.choices[0].delta.content:
                    yield chunk.choices[0].delta.content

    def _asked(self, model: str, turns: Turns, wish: Wish) -> dict[str, Any]:
        asked: dict[str, Any] = {"model": model, "messages": [self._turn(each) for each in turns]}
        asked["max_completion_tokens"] = wish.max_tokens
        if wish.tools:
            asked["tools"] = [
                {
                    "type": "function",
                    "function": {
                        "name": tool.name,
                        "description": tool.description,
                        "parameters": tool.schema,
                        **({"strict": True} if tool.strict else {}),
                    },
                }
                for tool in wish.tools
            ]
        if wish.choice:
            named = {"type": "function", "function": {"name": wish.choice}}
            asked["tool_choice"] = wish.choice if wish.choice in ("auto", "none", "required") else named
        if wish.parallel is not None:
            asked["parallel_tool_calls"] = wish.parallel
        if wish.schema is not None:
            form = {"name": "answer", "schema": wish.schema, "strict": True}
            asked["response_format"] = {"type": "json_schema", "json_schema": form}
        if wish.stop:
            asked["stop"] = list(wish.stop)
        if wish.temperature is not None:
            asked["temperature"] = wish.temperature
        if wish.effort:
            asked["reasoning_effort"] = wish.effort
        if wish.user:
            asked["user"] = wish.user
        return {**asked, **wish.extra}

    def _turn(self, turn: System | User | Said | Result) -> dict[str, Any]:
        match turn:
            case System(text):
                return {"role": "system", "content": text}
            case Said(echo):
                return echo
            case Result(call, text, failed):
                return {"role": "tool", "tool_call_id": call, "content": f"error: {text}" if failed else text}
            case User(text, ()):
                return {"role": "user", "content": text}
            case User(_, parts):
                return {"role": "user", "content": [_openai_part(*part) for part in parts]}


def _openai_part(kind: str, value: str) -> dict[str, Any]:
    match kind:
        case "image":
            return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{value}"}}
        case "image_url":
            return {"type": "image_url", "image_url": {"url": value}}
        case "pdf":
            data = f"data:application/pdf;base64,{value}"
            return {"type": "file", "file": {"filename": "a.pdf", "file_data": data}}
        case "audio":
            return {"type": "input_audio", "input_audio": {"data": value, "format": "wav"}}
        case _:
            return {"type": "text", "text": value}


def _openai_finish(finish: str | None, refusal: str | None) -> str:
    return "refused" if refusal or finish == "content_filter" else finish or ""


class Anthropic:
    """Messages."""

    name = "anthropic"
    rate_limited = anthropic.RateLimitError
    bad_request = anthropic.BadRequestError
    not_found = anthropic.NotFoundError
    unauthorised = anthropic.AuthenticationError
    server_error = anthropic.InternalServerError
    any_error = anthropic.APIError

    def __init__(self, url: str, key: str = KEY) -> None:
        self.client: Any = anthropic.AsyncAnthropic(api_key=key, base_url=f"{url}/anthropic", max_retries=0)

    async def close(self) -> None:
        await self.client.close()

    async def ask(self, model: str, turns: Turns, wish: Wish = PLAIN) -> Got:
        return self._got(await self.client.messages.create(**self._asked(model, turns, wish)))

    async def stream(self, model: str, turns: Turns, wish: Wish = PLAIN) -> Got:
        """By the client's own accumulator, which notices whatever is out of order."""
        async with self.client.messages.stream(**self._asked(model, turns, wish)) as stream:
            pieces = 0
            async for event in stream:
                pieces += event.type == "text"
            got = self._got(await stream.get_final_message())
        got.pieces = pieces
        return got

    async def pieces(self, model: str, turns: Turns, wish: Wish = PLAIN) -> AsyncIterator[str]:
        async with self.client.messages.stream(**self._asked(model, turns, wish)) as stream:
            async for text in stream.text_stream:
                yield text

    def _got(self, message: Any) -> Got:
        usage = message.usage
        stops = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
        return Got(
            text="".join(block.text for block in message.content if block.type == "text"),
            calls=[(block.id, block.name, block.input) for block in message.content if block.type == "tool_use"],
            finish=stops.get(message.stop_reason, "refused" if message.stop_reason == "refusal" else ""),
            input_tokens=usage.input_tokens
            + (usage.cache_read_input_tokens or 0)
            + (usage.cache_creation_input_tokens or 0),
            output_tokens=usage.output_tokens,
            cached_tokens=usage.cache_read_input_tokens or 0,
            thought="".join(block.thinking for block in message.content if block.type == "thinking"),
            echo={"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in message.content]},
        )

    def _asked(self, model: str, turns: Turns, wish: Wish) -> dict[str, Any]:
        asked: dict[str, Any] = {"model": model, "max_tokens": wish.max_tokens, "messages": self._turns(turns)}
        system = [turn.text for turn in turns if isinstance(turn, System)]
        if system:
            asked["system"] = "\n\n".join(system)
        if wish.tools:
            asked["tools"] = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.schema} for tool in wish.tools
            ]
        kinds = {"auto": "auto", "required": "any", "none": "none"}
        choice: dict[str, Any] = {}
        if wish.choice:
            choice = {"type": kinds[wish.choice]} if wish.choice in kinds else {"type": "tool", "name": wish.choice}
        if wish.parallel is False:
            choice = {"type": "auto", **choice, "disable_parallel_tool_use": True}
        if choice:
            asked["tool_choice"] = choice
        if wish.schema is not None:
            asked["output_config"] = {"format": {"type": "json_schema", "schema": wish.schema}}
        if wish.stop:
            asked["stop_sequences"] = list(wish.stop)
        body: dict[str, Any] = {}
        if wish.temperature is not None:
            body["temperature"] = wish.temperature
        if wish.effort:
            asked["thinking"] = {"type": "enabled", "budget_tokens": 2048}
        if wish.user:
            asked["metadata"] = {"user_id": wish.user}
        extra = {**wish.extra, "extra_body": {**body, **wish.extra.get("extra_body", {})}} if body else wish.extra
        return {**asked, **extra}

    def _turns(self, turns: Turns) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        for turn in turns:
            match turn:
                case System():
                    continue
                case Said(echo):
                    made.append(echo)
                case Result(call, text, failed):
                    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": call, "content": text}
                    if failed:
                        block["is_error"] = True
                    if made and isinstance(made[-1]["content"], list) and made[-1]["role"] == "user":
                        made[-1]["content"].append(block)
                    else:
                        made.append({"role": "user", "content": [block]})
                case User(text, ()):
                    made.append({"role": "user", "content": text})
                case User(_, parts):
                    made.append({"role": "user", "content": [_anthropic_part(*part) for part in parts]})
        return made


def _anthropic_part(kind: str, value: str) -> dict[str, Any]:
    match kind:
        case "image":
            return {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": value}}
        case "image_url":
            return {"type": "image", "source": {"type": "url", "url": value}}
        case "pdf":
            source = {"type": "base64", "media_type": "application/pdf", "data": value}
            return {"type": "document", "title": "a.pdf", "source": source}
        case _:
            return {"type": "text", "text": value}
