"""A whole answer that somebody hears while it is written: the same walk, route, price and budget; only how its pieces come from the vendor differs.

Above: chat, exchange. Below: assembled, once, `core.live`, `core.guards`. One try is heard at a time; the next one begins the text anew. In the end what was told of the last
one is the answer, to the letter, or the answer is told anew: whatever the walk did with it (a schema mended, a higher tier, a guard, a cache).
"""

from __future__ import annotations

from interlock.core.chat import ChatRequest, ChatResponse, Chunk
from interlock.core.errors import UpstreamCut
from interlock.core.guards import Uncover
from interlock.core.live import Ear
from interlock.core.ports import Provider
from interlock.core.time import Deadline

from .assembled import Assembled
from .call import Answer, Call, Trial
from .desk import Desk
from .once import end_answered

JUDGED = "answers are judged as a whole"
SEVERAL = "several answers were asked for"
OTHER_ANSWER = "another answer took its place"


class Voice:
    """What is told of one call."""

    __slots__ = ("_ear", "_guards", "_held", "_mute", "_provisional", "_tenant", "_tries", "speech")

    def __init__(self, ear: Ear, desk: Desk, call: Call) -> None:
        self._ear, self._guards, self._tenant = ear, desk.parts.guards, call.caller.tenant
        self._mute = desk.settings.self_judging
        """Dialects whose answers are not written word by word."""
        shaped = call.request.output_schema is not None or call.request.json_mode
        self._provisional = bool(shaped or call.workflow.checks or desk.settings.rules or self._guards)
        self._tries = 0
        self._held = ""
        self.speech: Speech | None = None
        """The try that is being told, or was told last."""

    def begins(self, call: Call, trial: Trial) -> Speech | None:
        """How a try is told; `None` where another one is being told, nothing may be told before the end, or there is nothing to hear."""
        guards, request = self._guards, trial.fitted.request
        if (self.speech is not None and not self.speech.over) or trial.candidate.deployment.dialect in self._mute:
            return None
        held = SEVERAL if request.n > 1 else JUDGED if guards is not None and guards.holds_answers else ""
        self._tries, self._held = self._tries + 1, held
        self._ear.begins(_why(call, self._tries), provisional=self._provisional, held=held)
        if held:
            return None
        covers = guards is not None and guards.covers
        shaped = request.output_schema is not None or request.json_mode
        cover = guards.covering(self._tenant) if guards is not None and covers else None
        self.speech = Speech(self._ear, cover, silent=covers and shaped)
        return self.speech

    def ended(self, response: ChatResponse) -> None:
        """The answer that settles: told to its end where it is the one that was being told, and else anew."""
        if self.speech is not None and self.speech.rest_of(response):
            return
        self._ear.begins(OTHER_ANSWER if self._tries and not self._held else "", provisional=False)
        if response.text:
            self._ear.text(response.text)
        for place, each in enumerate(response.tool_calls):
            self._ear.call(place, each.name, each.arguments)


class Speech:
    """What is told of one try."""

    __slots__ = ("_cover", "_ear", "_places", "_silent", "_text", "_told", "over")

    def __init__(self, ear: Ear, cover: Uncover | None, *, silent: bool) -> None:
        """`cover`: guards look at the text as it comes, and arguments wait for the end. `silent`: the text does too."""
        self._ear, self._cover, self._silent = ear, cover, silent
        self._text: list[str] = []
        self._places: dict[int, int] = {}
        """Of calls, by the vendor's own numbers."""
        self._told: list[str] = []
        """Their arguments, as far as they were told."""
        self.over = False

    def heard(self, chunk: Chunk) -> None:
        """One more piece has come."""
        if chunk.text:
            self._say(chunk.text)
        if self._cover is not None:
            return
        for delta in chunk.tool_calls:
            place = self._places.setdefault(delta.index, len(self._told))
            if place == len(self._told):
                self._told.append("")
            self._told[place] += delta.arguments
            self._ear.call(place, delta.name, delta.arguments)

    def _say(self, text: str) -> None:
        if self._cover is not None:
            # JSON is read by the names of its fields, which takes the whole of it.
            self._silent = self._silent or (not self._text and text.lstrip()[:1] in ("{", "["))
            text = "" if self._silent else self._cover.feed(text)
        if text:
            self._text.append(text)
            self._ear.text(text)

    def rest_of(self, response: ChatResponse) -> bool:
        """Tells what is still untold of an answer; False where it does not begin with what was told."""
        told, calls = "".join(self._text), response.tool_calls
        if not response.text.startswith(told) or len(self._told) > len(calls):
            return False
        before = [*self._told, *[""] * (len(calls) - len(self._told))]
        if not all(each.arguments.startswith(known) for each, known in zip(calls, before, strict=True)):
            return False
        if rest := response.text[len(told) :]:
            self._ear.text(rest)
        for place, (each, known) in enumerate(zip(calls, before, strict=True)):
            if place >= len(self._told) or each.arguments != known:
                self._ear.call(place, each.name, each.arguments[len(known) :])
        return True


async def whole(
    desk: Desk, call: Call, trial: Trial, provider: Provider, request: ChatRequest, deadline: Deadline, speech: Speech
) -> Answer:
    """The whole answer, counted, after it was told piece by piece. Raises as `Provider.stream`."""
    deployment, made = trial.candidate.deployment, Assembled()
    pieces = provider.stream(deployment, request, deadline, trial.key)
    try:
        async for chunk in pieces:
            made.add(chunk)
            trial.saw(chunk, ended=made.finish is not None)
            if not call.first_token_us and (chunk.text or chunk.tool_calls):
                call.first_token_us = call.elapsed_us()
            speech.heard(chunk)
    finally:
        speech.over = True
        closing = getattr(pieces, "aclose", None)
        if closing is not None:
            await closing()
    if made.finish is None:
        raise UpstreamCut(f"{deployment.name} ended its stream without a finish.")
    return end_answered(desk, call, trial, made.response(request, deployment.model, simulated=deployment.simulated))


def _why(call: Call, tries: int) -> str:
    """Why a text begins anew, without a vendor's words."""
    if tries == 1:
        return ""
    before = call.attempts[-1] if call.attempts else None
    if before is not None and before.status != "ok":
        return f"{before.deployment}: {before.error or before.status}"
    return "the answer was not good enough"
