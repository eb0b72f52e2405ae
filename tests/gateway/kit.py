"""A gateway with everything around it in memory, for the tests of this folder."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest, ChatResponse, Chunk, Message
from interlock.core.errors import UnknownModel, UpstreamCut
from interlock.core.ids import SystemIds
from interlock.core.money import Price, Rates, Usage
from interlock.core.ports import Deployment
from interlock.core.time import Deadline
from interlock.gateway.chat import Gateway
from interlock.gateway.settings import Parts, Rule, Settings, Tier
from interlock.plugins.profiles import ModelProfile
from interlock.testing.clock import FakeClock
from interlock.testing.ledger import MemoryLedger

RATES = {
    "small": Rates(input=100, output=400, reasoning=400),
    "small2": Rates(input=150, output=600, reasoning=600),
    "mid": Rates(input=2_000, output=8_000, reasoning=8_000),
    "premium": Rates(input=10_000, output=40_000, reasoning=40_000),
}
CALLER = Caller(tenant="acme", workflow="support_reply")


class Always(Struct, frozen=True):
    """A condition made of a Python function."""

    text: str
    holds: Callable[[Mapping[str, Any]], bool | None]

    def evaluate(self, facts: Mapping[str, Any]) -> bool | None:
        return self.holds(facts)

    def explain(self, facts: Mapping[str, Any]) -> str:
        return f"{self.text} ({', '.join(f'{name}={facts[name]}' for name in self.text.split() if name in facts)})"


def rule(text: str, holds: Callable[[Mapping[str, Any]], bool | None], target: str) -> Rule:
    return Rule(Always(text, holds), target)


def unsure(target: str, below: float = 0.72) -> Rule:
    return rule(
        f"confidence < {below}", lambda facts: facts["confidence"] < below if "confidence" in facts else None, target
    )


def deployment(model: str, **fields: Any) -> Deployment:
    return Deployment(provider="fake", model=model, dialect="fake", **fields)


TIERS = (
    Tier("small", (deployment("small"), deployment("small2"))),
    Tier("mid", (deployment("mid"),)),
    Tier("premium", (deployment("premium"),)),
)


def price_of(target: Deployment, input_tokens: int) -> Price:
    rates = RATES.get(target.model, Rates(input=100, output=400))
    scaled = Rates(input=rates.input * 10**6, output=rates.output * 10**6, reasoning=rates.reasoning * 10**6)
    return Price(model=target.name, rates=scaled, source="test", since="2026-01-01", version="p1")


Said = ChatResponse | BaseException | Callable[[ChatRequest], ChatResponse]


class Scripted:
    """A provider that says what the script says, by model; the last line repeats."""

    def __init__(self, **script: Said | Sequence[Said]) -> None:
        self.script: dict[str, list[Said]] = {
            name: [said] if isinstance(said, (ChatResponse, BaseException)) or callable(said) else list(said)
            for name, said in script.items()
        }
        self.sent: list[tuple[str, ChatRequest]] = []
        self.keys: list[str] = []
        self.closed = 0

    def _say(self, target: Deployment, request: ChatRequest, key: str) -> ChatResponse:
        self.sent.append((target.model, request))
        self.keys.append(key)
        lines = self.script.get(target.model) or [reply(target.model)]
        said = lines.pop(0) if len(lines) > 1 else lines[0]
        if isinstance(said, BaseException):
            raise said
        return said if isinstance(said, ChatResponse) else said(request)

    async def chat(self, target: Deployment, request: ChatRequest, deadline: Deadline, key: str) -> ChatResponse:
        return self._say(target, request, key)

    async def stream(
        self, target: Deployment, request: ChatRequest, deadline: Deadline, key: str
    ) -> AsyncIterator[Chunk]:
        try:
            response = self._say(target, request, key)
            for piece in response.text.split(" "):
                if piece == "!cut":
                    raise UpstreamCut("cut in the middle.")
                yield Chunk(text=piece + " ", raw=f"data: {piece}\n\n".encode(), raw_dialect="fake")
            yield Chunk(finish=response.finish, usage=response.usage)
        finally:
            self.closed += 1

    @property
    def models(self) -> list[str]:
        return [model for model, _ in self.sent]


def reply(model: str, text: str = "an answer", confidence: float | None = None, output: int = 10) -> ChatResponse:
    return ChatResponse(model=model, text=text, confidence=confidence, usage=Usage(input=20, output=output))


def ask(text: str = "Where is my parcel?", **fields: Any) -> ChatRequest:
    return ChatRequest(model="support", messages=(Message(role="user", content=text),), **fields)


class Bench:
    """The gateway under test and what surrounds it."""

    def __init__(
        self, provider: Any, settings: Settings | None = None, tiers: tuple[Tier, ...] = TIERS, **parts: Any
    ) -> None:
        self.clock = parts.get("clock") or FakeClock()
        self.ledger = MemoryLedger(parts.pop("room", None))
        self.provider = provider
        self.tiers = tiers
        everything: dict[str, Any] = {
            "ledger": self.ledger,
            "clock": self.clock,
            "ids": SystemIds(self.clock),
            "rng": random.Random(1),
            "price_of": price_of,
            "providers": {"fake": provider, "simulated": provider, "local": provider},
            "tiers_of": self._tiers_of,
            "target_of": self._target_of,
            "profile_of": lambda _: ModelProfile(match=(), context_window=8_000, max_output=1_000),
            "validator_of": lambda _: lambda value: [],
            "sleep": getattr(self.clock, "sleep", asyncio.sleep),
        }
        self.parts = Parts(**{**everything, **parts})
        self.gateway = Gateway(settings or Settings(), self.parts)

    def _tiers_of(self, model: str) -> tuple[Tier, ...]:
        if model == "support":
            return self.tiers
        for tier in self.tiers:
            for each in tier.deployments:
                if model in (each.name, each.model):
                    return (Tier("", (each,)),)
        raise UnknownModel(f"no model {model!r}.")

    def _target_of(self, target: str, alias: str) -> tuple[Tier, ...]:
        for tier in self._tiers_of(alias):
            if tier.name == target:
                return (tier,)
        return self._tiers_of(target)

    async def chat(self, request: ChatRequest | None = None, caller: Caller = CALLER, **fields: Any) -> Any:
        return await self.gateway.chat(caller, request or ask(), **fields)

    async def streamed(self, request: ChatRequest | None = None, caller: Caller = CALLER, **fields: Any) -> list[Any]:
        return [piece async for piece in self.gateway.stream(caller, request or ask(stream=True), **fields)]

    @property
    def event(self) -> Any:
        """The one event of the call; there is exactly one and no slot is left open."""
        assert not self.ledger.open_slots
        assert len(self.ledger.settled) == 1, self.ledger.settled
        return self.ledger.last
