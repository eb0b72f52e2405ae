"""Pictures, sound and text of one call are counted apart, priced apart, and add up to what the call cost."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.core.chat import Message, Part
from interlock.core.money import Usage, cost_of
from interlock.core.ports import Deployment
from interlock.gateway import tokens
from interlock.testing.upstream import Answer

from .clients import PNG, OpenAI
from .house import House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.requirement("GW-35")]
SEEN = Answer(
    text="A dog.",
    input_tokens=1000,
    output_tokens=80,
    cached_tokens=100,
    image_tokens=300,
    audio_tokens=200,
    spoken_tokens=50,
)
COUNTED = Usage(input=400, cache_read=100, input_image=300, input_audio=200, output=30, output_audio=50)
MODELS = {"oa": ("openai", "gpt-realtime"), "ge": ("gemini", "gemini-2.5-flash")}
"""Provider and model whose vendor asks another price for sound than for text, after the price list."""


@pytest.mark.parametrize("vendor", list(MODELS))
@pytest.mark.parametrize("stream", [False, True])
async def test_each_kind_has_its_price(home: House, vendor: str, stream: bool) -> None:
    provider, model = MODELS[vendor]
    home.script(vendor, SEEN)
    price = home.il.gateway._desk.parts.price_of(Deployment(provider, model, provider), 1000)
    assert price.rates.input_audio > price.rates.input, "the fixture has to tell the kinds apart"
    assert price.source
    face = OpenAI(home.url)
    content: Any = [
        {"type": "text", "text": "Who is it?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
    ]
    ask: Any = {"model": f"{provider}/{model}", "messages": [{"role": "user", "content": content}]}
    if stream:
        asked = await face.client.chat.completions.with_raw_response.create(**ask, stream=True)
        text = (await asked.http_response.aread()).decode()
        assert f'"cost_nano_usd":{cost_of(price.rates, COUNTED)}' in text
    else:
        raw = await face.client.chat.completions.with_raw_response.create(**ask)
        assert int(raw.headers["x-interlock-cost-nano-usd"]) == cost_of(price.rates, COUNTED)
        details = raw.parse().usage.prompt_tokens_details
        assert (details.audio_tokens, details.image_tokens, details.cached_tokens) == (200, 300, 100)
    await face.close()


async def test_what_is_held_back_covers_long_recordings_and_documents() -> None:
    def of(part: Part) -> int:
        return tokens.of_message(Message("user", (part,)))

    minute = 16_000 * 2 * 60 * 4 // 3
    assert of(Part("audio", data="A" * minute, media_type="audio/wav")) >= 32 * 60
    assert of(Part("audio", data="A" * (4_000 * 60 * 4 // 3), media_type="audio/mp3")) >= 32 * 60
    assert of(Part("file", data="A" * (40_000 * 10 * 4 // 3))) >= 10 * 3_000
    assert of(Part("file", text="word " * 1_000)) >= 1_000
    assert of(Part("file", url="https://example.com/a.pdf")) >= 10_000
    assert of(Part("image", url="https://example.com/a.png")) >= 1_445
