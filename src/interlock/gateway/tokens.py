"""How many tokens a text may be, from its characters alone: upper estimates for reservations, likely ones for bills.

Above: shape, settle. Below: `core`. Exact tokenizers cost 100 to 300 ns per character and not every vendor publishes one, so
reservations use ratios per class of script. The ratios are the measured o200k counts of English prose, code, JSON, German,
Russian, Chinese and Japanese samples (November 2026), the upper ones with the spread of single prompts (p95) on top.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from interlock.core.chat import ChatRequest, Message, Part, Words

ASCII_UPPER = 0.36
"""Tokens per ASCII character; JSON, the densest measured, needs 0.31."""
ASCII_LIKELY = 0.25
WIDE_UPPER = 0.80
"""Tokens per UTF-8 byte beyond ASCII; o200k needs 0.2 to 0.35 for Cyrillic and Han, older vocabularies up to 0.6."""
WIDE_LIKELY = 0.35
LIKELY_SHARE = ASCII_LIKELY / ASCII_UPPER
"""The likely weight of a request as a share of its upper estimate, before the vendor has said any."""
MESSAGE_OVERHEAD = 8
IMAGE_TOKENS = 1_600
"""Upper bound of one picture at the vendors' usual detail (Anthropic: up to about 1,600; OpenAI tiles: up to 1,445)."""
AUDIO_TOKENS_PER_CHAR = {"audio/wav": 0.0015, "": 0.012}
"""Tokens per Base64 character of sound: 32 tokens per second (Gemini; OpenAI counts 10 in) at 16 kHz, 16 bit, one channel for WAV, and at
24 kbit/s, a low rate, for what is compressed."""
FILE_TOKENS_PER_CHAR = 0.08
"""Tokens per Base64 character of a document: pages of 1,500 to 3,000 tokens (Anthropic) that hardly ever weigh less than 30 kB."""
FILE_TOKENS = 20_000
"""Upper bound assumed of a document that is given by address or by its name at the vendor."""
_LONG_RUN = re.compile(rb"[A-Za-z0-9+/=_\\-]{1000,}")
"""Base64; no prose goes on for so long without a space or a stop."""


def upper(text: str) -> int:
    """Tokens that `text` hardly ever exceeds."""
    if text.isascii():
        return int(len(text) * ASCII_UPPER) + 1
    wide = len(text.encode()) - len(text)
    return int(len(text) * ASCII_UPPER + wide * WIDE_UPPER) + 1


def likely(text: str) -> int:
    """Tokens that `text` most likely has; for what a vendor billed without saying so."""
    if not text:
        return 0
    if text.isascii():
        return int(len(text) * ASCII_LIKELY) + 1
    wide = len(text.encode()) - len(text)
    return int(len(text) * ASCII_LIKELY + wide * WIDE_LIKELY) + 1


def of_message(message: Message) -> int:
    """Upper estimate of one message."""
    total = MESSAGE_OVERHEAD
    if isinstance(message.content, str):
        total += upper(message.content)
    else:
        for part in message.content:
            total += upper(part.text) if part.type == "text" else of_media(part)
    for call in message.tool_calls:
        total += upper(call.arguments) + upper(call.name) + MESSAGE_OVERHEAD
    for thought in message.thoughts:
        total += upper(thought.text)
    return total + upper(message.refusal) if message.refusal else total


def of_media(part: Part) -> int:
    """Upper estimate of a picture, a sound or a document."""
    if part.type == "image":
        return IMAGE_TOKENS
    if part.text:
        return upper(part.text)
    size = len(part.data) or (len(part.url) if part.url.startswith("data:") else 0)
    if part.type == "audio":
        rate = AUDIO_TOKENS_PER_CHAR.get(part.media_type, AUDIO_TOKENS_PER_CHAR[""])
        return int(size * rate) + IMAGE_TOKENS
    return int(size * FILE_TOKENS_PER_CHAR) + IMAGE_TOKENS if size else FILE_TOKENS


def of_request(request: ChatRequest) -> int:
    """Upper estimate of everything that a request sends: messages, tools and schema."""
    total = 0
    for message in request.messages:
        content = message.content
        if (
            isinstance(content, str)
            and content.isascii()
            and not (message.tool_calls or message.thoughts or message.refusal)
        ):
            total += MESSAGE_OVERHEAD + int(len(content) * ASCII_UPPER) + 1  # as `of_message`, for the usual one
        else:
            total += of_message(message)
    for tool in request.tools:
        total += of_value(tool)
    if request.output_schema is not None:
        total += of_value(request.output_schema.schema)
    return max(total, _of_raw(request)) if request.extra and request.raw else total


def _of_raw(request: ChatRequest) -> int:
    """Upper estimate of the caller's own bytes, where they hold what nobody here has words for (a path in `extra`): it is sent as it stands."""
    if not any("[" in name for name in request.extra):
        return 0
    texts, media = _LONG_RUN.subn(b"", request.raw)
    return upper(texts.decode(errors="replace")) + media * IMAGE_TOKENS


def of_words(messages: Sequence[Words]) -> int:
    """As `of_request`, of messages that hold a text each and nothing else."""
    total = MESSAGE_OVERHEAD * len(messages)
    for each in messages:
        text = each.text
        total += int(len(text) * ASCII_UPPER) + 1 if text.isascii() else upper(text)
    return total


def of_value(value: Any) -> int:
    """Upper estimate of a JSON value."""
    return int(len(msgspec.json.encode(value)) * ASCII_UPPER) + MESSAGE_OVERHEAD
