"""`core.guards.Guards` over a veil, signs of injections and moderators: what a workspace's `pii:` and `guards:` come to.

Above: `app` makes it and hands it to the gateway, the tools and the tasks. Below: injection, streams, veil, `core.guards`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar

from msgspec import Struct, structs

from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, ChatResponse, Choice, Message, Part, Thought, ToolCall, Words
from interlock.core.errors import UpstreamError
from interlock.core.guards import NOTHING_SEEN, ContentRefused, Moderator, Seen, Stage, Uncover
from interlock.core.time import Deadline

from .glance import Glance
from .injection import Injection
from .streams import Both, Uncovering
from .veil import DEEPEST, Counts, Veil

Cover = Callable[[str], str]
Spoken = TypeVar("Spoken", bound=Message | Words)


class Watching(Struct, frozen=True):
    """What is done beside covering."""

    rules: Injection | None = None
    """Looks at what tools answered and at what users said."""
    judged: Injection | None = None
    """Looks at what users said in place of `rules`, where a classifier is to read that as well."""
    before: tuple[Moderator, ...] = ()
    after: tuple[Moderator, ...] = ()
    refuse: frozenset[str] = frozenset()
    """Categories that are refused; empty: all. Others are signals."""
    when_unreachable: Literal["refuse", "pass"] = "refuse"
    answers: Literal["restore", "keep"] = "restore"
    """Tokens in answers to a caller outside of tasks."""
    written: Literal["leave", "redact"] = "leave"
    """What becomes of personal data and credentials that a model wrote where it had seen none."""


PROMPTS_KEPT = 256
PROMPT_CHARS = 16_384


class TextGuards:
    """One workspace's. Safe for concurrent calls; keeps nothing of a call but system prompts in which there was nothing."""

    def __init__(self, veil: Veil | None, watching: Watching, glance: Glance | None = None) -> None:
        """`glance`: over the signs of all that these look for."""
        self._veil, self._watching = veil, watching
        self._passed: set[str] = set()
        self._glance = None if veil is not None and veil.with_stand_ins else glance
        self.holds_answers = bool(watching.after)
        self.covers = veil is not None
        self.holds_words = veil is not None and (veil.with_stand_ins or watching.written == "redact")

    # --- a model call ---------------------------------------------------------------------------------------------

    def passes(self, messages: Sequence[Words]) -> bool:
        """As `core.guards.Guards.passes`: no moderator has to be asked, and nothing is found."""
        if self._watching.before:
            return False
        glance, passed = self._glance, self._passed
        if glance is None:
            return self._all_pass(messages)
        for each in messages:
            text, system = each.text, each.role == "system"
            if system and text in passed:
                continue
            if not glance.finds_nothing(text):
                return self._all_pass(messages)
            if system:
                self._remember(text)
        return True

    def _all_pass(self, messages: Sequence[Words]) -> bool:
        """The same, by each of the parts."""
        for each in messages:
            if not (self._system_passes(each.text) if each.role == "system" else self._covers_nothing(each.text)):
                return False
        return not self._signals(messages)

    def _system_passes(self, text: str) -> bool:
        """A workflow's system prompt comes with each of its calls, and is looked at once."""
        if text in self._passed:
            return True
        passes = self._covers_nothing(text)
        if passes:
            self._remember(text)
        return passes

    def _remember(self, text: str) -> None:
        if len(text) <= PROMPT_CHARS:
            if len(self._passed) >= PROMPTS_KEPT:
                self._passed.clear()
            self._passed.add(text)

    def passes_answer(self, text: str) -> bool:
        return not self._watching.after and self._covers_nothing(text)

    def _covers_nothing(self, text: str) -> bool:
        return self._veil is None or self._veil.passes(text)

    def enter(self, caller: Caller, request: ChatRequest) -> tuple[ChatRequest, Seen]:
        """The request as a model may see it. Raises ContentRefused."""
        signals = self._signals(request.messages)
        if self._veil is None:
            return request, Seen({}, signals) if signals else NOTHING_SEEN
        counts: Counts = {}
        veil, tenant = self._veil, caller.tenant
        messages = tuple(
            _message(
                each, lambda text: veil.cover(tenant, text, counts), lambda text: veil.cover_json(tenant, text, counts)
            )
            for each in request.messages
        )
        user = veil.cover(tenant, request.user, counts) if request.user else ""
        if not counts:
            return request, Seen({}, signals) if signals else NOTHING_SEEN
        return request.but(messages=messages, user=user), Seen(counts, signals)

    async def admit(self, caller: Caller, request: ChatRequest, deadline: Deadline) -> Seen:
        """What moderators say of what is new in the request. Raises ContentRefused."""
        texts = [each.text for each in _new(request.messages) if each.role == "user"]
        return await self._judged("input", self._watching.before, texts, deadline)

    async def leave(self, caller: Caller, response: ChatResponse, deadline: Deadline) -> tuple[ChatResponse, Seen]:
        """The answer as it may be kept and given out. Raises ContentRefused."""
        texts = [response.text, response.refusal, *(each.text for each in response.others)]
        texts += [each.arguments for each in response.tool_calls]
        seen = await self._judged("output", self._watching.after, texts, deadline)
        if self._veil is None:
            return response, seen
        counts: Counts = {}
        veil, tenant = self._veil, caller.tenant

        def cover(text: str) -> str:
            return veil.cover_json(tenant, text, counts)

        def redact(text: str) -> str:
            return veil.redact(text, counts)

        covered = _answer(response, cover if self._watching.written == "leave" else redact, cover)
        return (covered, Seen(counts, seen.signals)) if counts else (response, seen)

    def restored(self, caller: Caller, response: ChatResponse) -> ChatResponse:
        """The answer as its caller may see it; itself where there is nothing to restore."""
        veil, tenant = self._veil, caller.tenant
        if veil is None or self._watching.answers == "keep":
            return response
        return _answer(
            response, lambda text: veil.uncover(tenant, text), lambda text: veil.uncover(tenant, text, inside_json=True)
        )

    def restoring(self, caller: Caller, *, inside_json: bool = False) -> Uncover:
        """The same for one streamed text."""
        veil = self._veil
        if veil is None:
            return _AsItIs()
        back = (
            _AsItIs() if self._watching.answers == "keep" else Uncovering(veil, caller.tenant, inside_json=inside_json)
        )
        return back if inside_json or self._watching.written == "leave" else Both(veil, back)

    # --- tasks and tools ------------------------------------------------------------------------------------------

    def covering(self, tenant: str) -> Uncover:
        """One text of a task's model as it comes, as the record will show it."""
        if self._veil is None:
            return _AsItIs()
        return self._veil.covering() if self._watching.written == "redact" else self._veil.covering_for(tenant)

    def given(self, tenant: str, value: Any) -> tuple[Any, Seen]:
        """What comes into a task or out of a tool, as it may be recorded; what is refused elsewhere is redacted here."""
        rules = self._watching.rules
        signals = () if rules is None else _union(rules.signals(text, inside=True) for text in _texts(value))
        if self._veil is None:
            return value, Seen({}, signals) if signals else NOTHING_SEEN
        counts: Counts = {}
        covered = self._veil.cover_all(tenant, value, counts)
        return covered, Seen(counts, signals) if counts or signals else NOTHING_SEEN

    def revealed(self, tenant: str, value: Any, kinds: Collection[str]) -> Any:
        """The value for somebody who may see these kinds; `*` for all."""
        return value if self._veil is None or not kinds else self._veil.uncover_all(tenant, value, kinds)

    # --- the parts ------------------------------------------------------------------------------------------------

    def _signals(self, messages: Sequence[Words]) -> tuple[str, ...]:
        rules, judged = self._watching.rules, self._watching.judged
        found: list[tuple[str, ...]] = []
        for each in _new(messages):
            looks = judged if each.role == "user" and judged is not None else rules
            if looks is not None and each.role in ("user", "tool"):
                found.append(looks.signals(each.text, inside=each.role == "tool"))
        return _union(found)

    async def _judged(
        self, stage: Stage, moderators: Sequence[Moderator], texts: Sequence[str], deadline: Deadline
    ) -> Seen:
        said = [text for text in texts if text and not text.isspace()]
        if not moderators or not said:
            return NOTHING_SEEN
        signals: set[str] = set()
        for moderator in moderators:
            categories = await self._asked(stage, moderator, said, deadline)
            if categories is None:
                signals.add("moderation:unreachable")
                continue
            refused = [each for each in categories if not self._watching.refuse or each in self._watching.refuse]
            if refused:
                what = "the request" if stage == "input" else "the answer"
                raise ContentRefused(stage, refused, f"{what} was refused: {', '.join(refused)}", by=moderator.name)
            signals.update(f"moderation:{each}" for each in categories)
        return Seen({}, tuple(sorted(signals))) if signals else NOTHING_SEEN

    async def _asked(
        self, stage: Stage, moderator: Moderator, texts: Sequence[str], deadline: Deadline
    ) -> Sequence[str] | None:
        """The categories; `None` where it could not be asked and that is to be let pass."""
        try:
            return (await moderator.judge(texts, deadline)).categories
        except UpstreamError as failed:
            if self._watching.when_unreachable == "pass":
                return None
            message = f"the moderator {moderator.name} could not be asked: {failed.message}"
            hint = "Try again later, or set guards.moderation.when_unreachable to pass."
            raise ContentRefused(stage, ("unreachable",), message, by=moderator.name, hint=hint) from failed


class _AsItIs:
    def feed(self, piece: str) -> str:
        return piece

    def end(self) -> str:
        return ""


def _new(messages: Sequence[Spoken]) -> Sequence[Spoken]:
    """What was said since the model last spoke; what is older was looked at when it was new."""
    for place in range(len(messages) - 1, -1, -1):
        if messages[place].role == "assistant":
            return messages[place + 1 :]
    return messages


def _message(message: Message, cover: Cover, cover_json: Cover) -> Message:
    content = message.content
    content = cover(content) if isinstance(content, str) else tuple(_part(each, cover) for each in content)
    if content == message.content and not (message.name or message.refusal or message.tool_calls or message.thoughts):
        return message
    return structs.replace(
        message,
        content=content,
        name=cover(message.name) if message.name else "",
        refusal=cover(message.refusal) if message.refusal else "",
        tool_calls=tuple(_call(each, cover_json) for each in message.tool_calls),
        thoughts=tuple(_thought(each, cover) for each in message.thoughts),
    )


def _part(part: Part, cover: Cover) -> Part:
    text, name = cover(part.text), cover(part.name)
    return part if text is part.text and name is part.name else structs.replace(part, text=text, name=name)


def _call(call: ToolCall, cover: Cover) -> ToolCall:
    arguments = cover(call.arguments)
    return call if arguments == call.arguments else structs.replace(call, arguments=arguments)


def _thought(thought: Thought, cover: Cover) -> Thought:
    """What was thought; under a vendor's seal nothing may change, and the model that wrote it had seen tokens alone."""
    if thought.signature or thought.data:
        return thought
    text = cover(thought.text)
    return thought if text == thought.text else structs.replace(thought, text=text)


def _answer(response: ChatResponse, change: Cover, inside: Cover) -> ChatResponse:
    """The answer with its texts changed (`inside`: of arguments); itself, with the vendor's own bytes, where nothing changed. Thoughts stay."""
    changed: dict[str, Any] = {
        "text": change(response.text),
        "refusal": change(response.refusal),
        "tool_calls": tuple(_call(each, inside) for each in response.tool_calls),
        "others": tuple(_choice(each, change, inside) for each in response.others),
    }
    if all(getattr(response, name) == value for name, value in changed.items()):
        return response
    return structs.replace(response, raw=b"", raw_dialect="", logprobs=(), **changed)


def _choice(choice: Choice, change: Cover, inside: Cover) -> Choice:
    return structs.replace(
        choice,
        text=change(choice.text),
        refusal=change(choice.refusal),
        tool_calls=tuple(_call(each, inside) for each in choice.tool_calls),
        logprobs=(),
    )


def _texts(value: Any, level: int = 0) -> Iterator[str]:
    """Down to `DEEPEST`."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping) and level < DEEPEST:
        for each in value.values():  # pyright: ignore[reportUnknownVariableType] - plain JSON
            yield from _texts(each, level + 1)
    elif isinstance(value, list | tuple) and level < DEEPEST:
        for each in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _texts(each, level + 1)


def _union(parts: Any) -> tuple[str, ...]:
    return tuple(sorted({each for part in parts for each in part}))
