"""A whole answer as the pieces of a stream.

Above: stream, pump. Below: call, `core`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from interlock.core.chat import ChoiceDelta, Chunk, Thought, ThoughtDelta, ToolCall, ToolCallDelta

from .call import Answer


def replayed(answer: Answer) -> Iterator[Chunk]:
    """A kept answer in pieces: as it was relayed the first time, or in one."""
    if answer.chunks:
        yield from answer.chunks
        return
    response = answer.response
    yield Chunk(
        text=response.text,
        tool_calls=_calls(response.tool_calls),
        finish=response.finish,
        usage=response.usage,
        model=response.model,
        id=response.id,
        refusal=response.refusal,
        thoughts=_thoughts(response.thoughts),
        stop_hit=response.stop_hit,
        logprobs=response.logprobs,
        others=tuple(
            ChoiceDelta(place, each.text, _calls(each.tool_calls), each.finish, each.refusal, _thoughts(each.thoughts))
            for place, each in enumerate(response.others, 1)
        ),
    )


def _calls(calls: Sequence[ToolCall]) -> tuple[ToolCallDelta, ...]:
    return tuple(
        ToolCallDelta(index=place, id=each.id, name=each.name, arguments=each.arguments, signature=each.signature)
        for place, each in enumerate(calls)
    )


def _thoughts(thoughts: Sequence[Thought]) -> tuple[ThoughtDelta, ...]:
    return tuple(
        ThoughtDelta(place, each.text, each.signature, each.data, each.origin, each.id)
        for place, each in enumerate(thoughts)
    )
