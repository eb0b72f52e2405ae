"""A whole answer put together from the pieces of a stream, so that it is the one that the vendor would have given whole.

Above: aloud. Below: `core.chat`.
"""

from __future__ import annotations

from msgspec import structs

from interlock.core.chat import ChatRequest, ChatResponse, Chunk, Finish, Thought, TokenLogprob, ToolCall
from interlock.core.money import Usage


class Assembled:
    """Takes the pieces in, in their order."""

    __slots__ = (
        "_calls",
        "_confidence",
        "_id",
        "_logprobs",
        "_model",
        "_refusal",
        "_stop_hit",
        "_text",
        "_thoughts",
        "_usage",
        "finish",
    )

    def __init__(self) -> None:
        self.finish: Finish | None = None
        """Why it ended, once it has."""
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: dict[int, ToolCall] = {}
        self._thoughts: dict[int, Thought] = {}
        self._logprobs: list[TokenLogprob] = []
        self._usage = Usage()
        self._confidence: float | None = None
        self._model = self._id = self._stop_hit = ""

    def add(self, chunk: Chunk) -> None:
        """One more piece."""
        self.finish = chunk.finish or self.finish
        if chunk.text:
            self._text.append(chunk.text)
        if chunk.refusal:
            self._refusal.append(chunk.refusal)
        for delta in chunk.tool_calls:
            known = self._calls.get(delta.index) or ToolCall("", "", "")
            self._calls[delta.index] = ToolCall(
                known.id or delta.id,
                known.name or delta.name,
                known.arguments + delta.arguments,
                known.signature or delta.signature,
            )
        for piece in chunk.thoughts:
            before = self._thoughts.get(piece.index) or Thought()
            self._thoughts[piece.index] = structs.replace(
                before,
                text=before.text + piece.text,
                signature=before.signature + piece.signature,
                data=before.data + piece.data,
                origin=before.origin or piece.origin,
                id=before.id or piece.id,
            )
        self._logprobs += chunk.logprobs
        self._usage = chunk.usage or self._usage
        self._confidence = self._confidence if chunk.confidence is None else chunk.confidence
        self._model, self._id = chunk.model or self._model, chunk.id or self._id
        self._stop_hit = chunk.stop_hit or self._stop_hit

    def response(self, request: ChatRequest, model: str, *, simulated: bool) -> ChatResponse:
        """All of it. `model`: as the vendor names it, where it has not said so."""
        finish = self.finish or "error"
        calls = tuple(
            ToolCall(each.id or f"call_{place}", each.name, each.arguments or "{}", each.signature)
            for place, (_, each) in enumerate(sorted(self._calls.items()))
        )
        probabilities = [each.logprob for each in self._logprobs]
        return ChatResponse(
            model=self._model or model,
            text="".join(self._text),
            tool_calls=calls,
            finish="tool_calls" if calls and finish == "stop" else finish,
            usage=self._usage,
            id=self._id,
            refusal="".join(self._refusal),
            thoughts=tuple(each for _, each in sorted(self._thoughts.items())),
            stop_hit=self._stop_hit,
            logprobs=tuple(self._logprobs),
            mean_logprob=sum(probabilities) / len(probabilities) if request.logprobs and probabilities else None,
            confidence=self._confidence,
            simulated=simulated,
        )
