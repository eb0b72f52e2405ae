"""What guards of text hand to the walks: finds and signals as values, the seam itself, and the refusal.

Above: gateway, tools, agents, governance, plug-ins of moderation. Below: caller, chat, errors, time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, Protocol

from msgspec import Struct

from .caller import Caller
from .chat import ChatRequest, ChatResponse, Words
from .errors import RequestRefused
from .time import Deadline

Stage = Literal["input", "output", "tool"]
"""What was looked at: what goes to a model, what it answered, what a tool answered."""


class ContentRefused(RequestRefused):
    """What was said, or would have been answered, is not let through: a structured result, with the stage and the categories."""

    code = "content_refused"

    def __init__(self, stage: Stage, categories: Sequence[str], message: str, *, by: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint or "Say it differently, or leave out what is named.")
        self.stage: Stage = stage
        self.categories = tuple(categories)
        """E.g. `violence`, `pii:card`, `injection`."""
        self.by = by
        """The guard that says so, e.g. `rules` or `openai`."""

    @property
    def param(self) -> str:
        """For dialects whose errors name what they are about."""
        return f"{self.stage}:{','.join(self.categories)}"


class Seen(Struct, frozen=True):
    """What was found on the way of one call."""

    private: dict[str, int] = {}
    """How many of each kind were covered."""
    signals: tuple[str, ...] = ()
    """What stands out without forbidding anything, e.g. `injection:override`, `moderation:violence`."""

    def __bool__(self) -> bool:
        return bool(self.private or self.signals)


NOTHING_SEEN = Seen()


class Verdict(Struct, frozen=True):
    """What a moderator says of some texts."""

    categories: tuple[str, ...] = ()
    """What they fall under; empty: nothing."""
    scores: Mapping[str, float] = {}
    """0–1, where the moderator has them."""


class Moderator(Protocol):
    """Local rules, or a vendor's endpoint."""

    name: str

    async def judge(self, texts: Sequence[str], deadline: Deadline) -> Verdict:
        """Of all the texts together.

        Raises:
            UpstreamError: it could not be asked; `guards.moderation.when_unreachable` says what then.
        """
        ...


class Uncover(Protocol):
    """One streamed text whose tokens are turned back as it comes."""

    def feed(self, piece: str) -> str: ...

    def end(self) -> str: ...


class Guards(Protocol):
    """What a workspace has said about personal data, injections and moderation. Without any of it there is no such object."""

    holds_answers: bool
    """Answers are looked at as a whole before anything of them goes out, streamed ones too."""
    covers: bool
    """Personal data and credentials that a model writes are taken out of what is kept and shown of a task."""
    holds_words: bool
    """A word may have to be restored that no bracket announces: stand-ins are in use."""

    def passes(self, messages: Sequence[Words]) -> bool:
        """Whether `enter` and `admit` would do nothing with a request of such messages: for sure, and without a wait. False: they have to be asked."""
        ...

    def passes_answer(self, text: str) -> bool:
        """The same of `leave` and `restored`, for an answer that is this text and nothing else."""
        ...

    def enter(self, caller: Caller, request: ChatRequest) -> tuple[ChatRequest, Seen]:
        """The request as a model may see it; the same object where nothing was found. Raises ContentRefused."""
        ...

    async def admit(self, caller: Caller, request: ChatRequest, deadline: Deadline) -> Seen:
        """What moderators say of it, as signals. Raises ContentRefused."""
        ...

    async def leave(self, caller: Caller, response: ChatResponse, deadline: Deadline) -> tuple[ChatResponse, Seen]:
        """The answer as it may be kept, recorded and given out. Raises ContentRefused."""
        ...

    def restored(self, caller: Caller, response: ChatResponse) -> ChatResponse:
        """The answer as its caller may see it."""
        ...

    def restoring(self, caller: Caller, *, inside_json: bool = False) -> Uncover:
        """The same for one streamed text."""
        ...

    def covering(self, tenant: str) -> Uncover:
        """One text of a task's model as it comes, as the record will show it: at most a bounded tail is held back."""
        ...

    def given(self, tenant: str, value: Any) -> tuple[Any, Seen]:
        """What comes into a task, or out of a tool, as it may be recorded and shown to models; plain JSON values. Never refuses."""
        ...

    def revealed(self, tenant: str, value: Any, kinds: Collection[str]) -> Any:
        """Plain JSON values for somebody who may see these kinds; `*` for all."""
        ...
