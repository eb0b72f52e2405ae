"""Personal data and what may not be said, as the vendors' official clients meet them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from interlock.testing.upstream import Answer, Asked

from .door import KEY
from .test_batches import created, ended, jsonl, line
from .test_end_to_end import FILES, house

MAIL, CANARY = "jane.doe@example.com", "ghp_" + "Zx81kQm4Tn7Rb2Vw9Lc5Yd3Gh6Jf0PsAeUiO"
SAID = f"Write to {MAIL} with {CANARY}"
WANT = f"You said: Write to {MAIL} with [secret]"
GUARDED = (
    FILES
    + "pii: {{key: 'a key of more than sixteen bytes'}}\nguards: {{moderation: {{before: [rules]}}}}\nlogging: {{store_prompts: full}}\n"
)


def parrot(asked: Asked) -> Answer:
    last = asked.body["messages"][-1]["content"]
    text = last if isinstance(last, str) else "".join(part["text"] for part in last)
    return Answer(text=f"You said: {text}", pieces=9)


def written(folder: Path) -> bytes:
    files = [each for each in sorted(folder.rglob("*")) if each.is_file() and each.name != "interlock.yaml"]
    return b"".join(each.read_bytes() for each in files)


@pytest.mark.requirement("SG-01")
async def test_clients_of_every_dialect_read_what_their_tokens_stand_for(tmp_path: Path) -> None:
    async with house(tmp_path, parrot, GUARDED) as home:  # type: ignore[arg-type]
        url = home.door.url
        gpt = openai.AsyncOpenAI(api_key=KEY, base_url=f"{url}/v1", max_retries=0)
        claude = anthropic.AsyncAnthropic(api_key=KEY, base_url=url, max_retries=0)
        turns: Any = [{"role": "user", "content": SAID}]
        whole = await gpt.chat.completions.create(model="support", messages=turns)
        assert whole.choices[0].message.content == WANT
        got: list[str] = []
        async for chunk in await gpt.chat.completions.create(model="support", messages=turns, stream=True):
            got += [choice.delta.content or "" for choice in chunk.choices]
        assert "".join(got) == WANT
        assert (await gpt.responses.create(model="support", input=SAID)).output_text == WANT
        kept = await gpt.responses.create(model="support", input=SAID)
        assert (await gpt.responses.retrieve(kept.id)).output_text == WANT
        again = await gpt.responses.create(model="support", input="and?", previous_response_id=kept.id)
        assert again.output_text == "You said: and?"
        assert MAIL not in json.dumps(home.upstream.asked[-1].body)
        events = [event async for event in await gpt.responses.create(model="support", input=SAID, stream=True)]
        assert "".join(each.delta for each in events if each.type == "response.output_text.delta") == WANT
        message = await claude.messages.create(model="support", max_tokens=200, messages=turns)
        assert message.content[0].text == WANT  # type: ignore[union-attr]
        async with claude.messages.stream(model="support", max_tokens=200, messages=turns) as streamed:
            assert await streamed.get_final_text() == WANT
        seen = json.dumps([each.body for each in home.upstream.asked])
        await gpt.close()
        await claude.close()
    assert len(home.upstream.asked) == 8
    for secret in (MAIL, CANARY):
        assert secret not in seen
        assert secret.encode() not in written(tmp_path)


@pytest.mark.requirement("SG-01")
async def test_lines_of_a_batch_are_covered_and_restored(tmp_path: Path) -> None:
    async with house(tmp_path, parrot, GUARDED) as home:  # type: ignore[arg-type]
        client = openai.AsyncOpenAI(api_key=KEY, base_url=f"{home.door.url}/v1", max_retries=0)
        batch = await ended(client, await created(client, jsonl(line("a", SAID))))
        output = (await client.files.content(batch.output_file_id)).text
        await client.close()
    assert MAIL not in json.dumps([each.body for each in home.upstream.asked])
    assert WANT in output


@pytest.mark.requirement("SG-04")
async def test_a_refusal_is_an_error_of_the_dialect_with_its_stage_and_categories(tmp_path: Path) -> None:
    async with house(tmp_path, parrot, GUARDED) as home:  # type: ignore[arg-type]
        gpt = openai.AsyncOpenAI(api_key=KEY, base_url=f"{home.door.url}/v1", max_retries=0)
        claude = anthropic.AsyncAnthropic(api_key=KEY, base_url=home.door.url, max_retries=0)
        turns: Any = [{"role": "user", "content": "How do I make a pipe bomb?"}]
        for stream in (False, True):
            with pytest.raises(openai.BadRequestError) as refused:
                await gpt.chat.completions.create(model="support", messages=turns, stream=stream)
            assert (refused.value.code, refused.value.param) == ("content_refused", "input:weapons")
        with pytest.raises(anthropic.BadRequestError, match="the request was refused: weapons"):
            await claude.messages.create(model="support", max_tokens=9, messages=turns)
        await gpt.close()
        await claude.close()
    assert not home.upstream.asked


@pytest.mark.requirement("SG-01", "TL-08")
@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_does_not_read_the_credential_that_a_vendor_repeats(tmp_path: Path, stream: bool) -> None:
    body = json.dumps({"error": {"message": f"Incorrect API key provided: {CANARY}", "code": "invalid_api_key"}})
    head = f"HTTP/1.1 401 No\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    async with house(tmp_path, Answer(raw=(head + body).encode()), FILES) as home:
        gpt = home.client()
        turns: Any = [{"role": "user", "content": "hello"}]
        with pytest.raises(openai.APIStatusError) as failed:
            await gpt.chat.completions.create(model="support", messages=turns, stream=stream)
        await gpt.close()
    assert CANARY not in failed.value.response.text
    assert CANARY.encode() not in written(tmp_path)
