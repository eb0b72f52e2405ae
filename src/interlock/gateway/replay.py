"""A whole answer as the pieces of a stream.

Above: stream, pump. Below: call, `core`.
"""

from __future__ import annotations

from collections.abc import Iterator

from interlock.core.chat import Chunk, ToolCallDelta

from .call import Answer


def replayed(answer: Answer) -> Iterator[Chunk]:
    """A kept answer in pieces: as it was relayed the first time, or in one."""
    if answer.chunks:
        yield from answer.chunks
        return
    response = answer.response
    yield Chunk(
        text=response.text,
        tool_calls=tuple(
            ToolCallDelta(index=place, id=each.id, name=each.name, arguments=each.arguments)
            for place, each in enumerate(response.tool_calls)
        ),
        finish=response.finish,
        usage=response.usage,
        model=response.model,
        id=response.id,
    )
