"""A conversation as OpenAI's chat completions have it, out of `core.chat`.

Above: openai_ask. Below: `core`, `plugins.wire`. Source: the API reference for chat completions
(platform.openai.com/docs/api-reference/chat/create), November 2026.
"""

from __future__ import annotations

from typing import Any

from interlock.core.chat import ChatRequest, Message, Part
from interlock.core.errors import InvalidRequest

from . import wire

DIALECT = "openai"
BESIDE = "(The tool's answer holds media; they follow below.)"


def turns(request: ChatRequest, *, thoughts: bool) -> list[dict[str, Any]]:
    """The messages. `thoughts`: the server may want back what its model thought, as several of this dialect do.

    A tool's answer is text here, so that media in it are shown in a user's turn after the answers.
    """
    made: list[dict[str, Any]] = []
    waiting: list[dict[str, Any]] = []
    for message in request.messages:
        if waiting and message.role != "tool":
            made.append({"role": "user", "content": waiting})
            waiting = []
        made.append(_answer(message, request, waiting) if message.role == "tool" else _turn(message, request, thoughts))
    if waiting:
        made.append({"role": "user", "content": waiting})
    return made


def _turn(message: Message, request: ChatRequest, thoughts: bool) -> dict[str, Any]:
    role = "system" if message.role == "developer" else message.role
    made: dict[str, Any] = {"role": role, "content": _content(message, request)}
    if message.tool_calls:
        made["content"] = made["content"] or None
        made["tool_calls"] = [
            {"id": each.id, "type": "function", "function": {"name": each.name, "arguments": each.arguments or "{}"}}
            for each in message.tool_calls
        ]
    if message.refusal:
        made |= {"content": made["content"] or None, "refusal": message.refusal}
    if thoughts and (said := "".join(each.text for each in message.thoughts if each.origin == DIALECT)):
        made["reasoning_content"] = said
    if message.name:
        made["name"] = message.name
    return made


def _content(message: Message, request: ChatRequest) -> str | list[dict[str, Any]]:
    if isinstance(message.content, str):
        return message.content
    if message.role != "user" and all(each.type == "text" for each in message.content):
        return message.text
    return [_part(each, request) for each in message.content if each.type != "text" or each.text] or ""


def _answer(message: Message, request: ChatRequest, waiting: list[dict[str, Any]]) -> dict[str, Any]:
    text = message.text
    if not isinstance(message.content, str):
        media = [_part(each, request) for each in message.content if each.type != "text"]
        waiting.extend(media)
        text = text or (BESIDE if media else "")
    if message.failed:
        text = f"The tool failed: {text}"  # this dialect has no mark for it
    return {"role": "tool", "tool_call_id": message.tool_call_id, "content": text}


def _part(part: Part, request: ChatRequest) -> dict[str, Any]:
    if part.type == "text":
        return {"type": "text", "text": part.text}
    if part.type == "image":
        return {"type": "image_url", "image_url": _image(part)}
    if part.type == "audio":
        if not part.data:
            raise InvalidRequest("audio has to come as base64 in this dialect, not by address.", param="messages")
        kind = part.media_type.rsplit("/", 1)[-1].removeprefix("x-")
        return {"type": "input_audio", "input_audio": {"data": part.data, "format": _FORMATS.get(kind, kind) or "wav"}}
    if part.text:
        return {"type": "text", "text": f"{part.name}\n\n{part.text}" if part.name else part.text}
    return {"type": "file", "file": _file(part, request)}


_FORMATS = {"mpeg": "mp3", "wave": "wav"}


def _image(part: Part) -> dict[str, Any]:
    if part.file_id:
        raise InvalidRequest(
            f"the image {part.file_id!r} lies with a vendor; this dialect takes images by address or as data.",
            param="messages",
        )
    image = {"url": part.url or f"data:{part.media_type or 'image/png'};base64,{part.data}"}
    return {**image, "detail": part.detail} if part.detail else image


def _file(part: Part, request: ChatRequest) -> dict[str, Any]:
    if part.file_id:
        if request.raw_dialect not in ("", DIALECT, "openai_responses"):
            raise InvalidRequest(
                f"the file {part.file_id!r} lies with another vendor.", param="messages", hint="Send its content."
            )
        return {"file_id": part.file_id}
    inside = wire.media(part)
    if inside is None:
        raise InvalidRequest(
            f"files have to come as data in this dialect, not by the address {part.url[:80]!r}.", param="messages"
        )
    data = f"data:{inside[0] or 'application/pdf'};base64,{inside[1]}"
    return {"filename": part.name or "file", "file_data": data}
