"""What `limits:` and `redis:` may say: rate limits and budgets by period, and what replicas share. Above: schema. Below: blocks, core."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, get_args

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from interlock.core.caller import Secret
from interlock.core.errors import InvalidRequest
from interlock.core.limits import Dimension, Limit, OnLoss, Period, Scope, identity

from .blocks import Block, NanoUsd, Seconds, SecretText, Text

MOST = 10**15


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"expected a whole number, found {'true' if value else 'false'}")
    return value


def _dimensions(value: Any) -> Any:
    if value in ("all", "", None):
        return ()
    return (value,) if isinstance(value, str) else value


Large = Annotated[int, BeforeValidator(_number), Field(ge=0, le=MOST)]


class LimitSettings(Block):
    """One limit: at most so much for each of something, in each period."""

    name: Text = ""
    """As errors name it; default: what it is per, and its period."""
    per: Annotated[tuple[Dimension, ...], BeforeValidator(_dimensions)] = ()
    only: dict[Dimension, Text] = Field(default_factory=dict[Dimension, str])
    period: Period | None = None
    rolling: bool = False
    requests: Large | None = None
    input_tokens: Large | None = None
    output_tokens: Large | None = None
    tokens: Large | None = None
    nano_usd: NanoUsd | None = Field(default=None, alias="usd")
    concurrency: Large | None = None
    on_store_loss: OnLoss = "closed"
    scope: Scope = "machine"

    @model_validator(mode="after")
    def _whole(self) -> LimitSettings:
        amounts = (self.requests, self.input_tokens, self.output_tokens, self.tokens, self.nano_usd)
        in_period = any(each is not None for each in amounts)
        if not in_period and self.concurrency is None:
            raise ValueError(
                "expected at least one of requests, input_tokens, output_tokens, tokens, usd and concurrency"
            )
        if in_period and self.period is None:
            raise ValueError(f"expected a period: one of {', '.join(get_args(Period))}")
        return self

    @property
    def limit(self) -> Limit:
        """The limit as the gateway takes it."""
        words = ["per", " and ".join(self.per) or "workspace", *((self.period,) if self.period else ("at once",))]
        return Limit(
            name=self.name or " ".join(words),
            per=self.per,
            only=dict(self.only),
            period=self.period,
            rolling=self.rolling,
            requests=self.requests,
            input_tokens=self.input_tokens,
            output_tokens=self.output_tokens,
            tokens=self.tokens,
            nano_usd=self.nano_usd,
            concurrency=self.concurrency,
            on_store_loss=self.on_store_loss,
            scope=self.scope,
        )


def limits_of(given: Iterable[Mapping[str, Any]]) -> tuple[Limit, ...]:
    """A key's limits, each as it would stand in a file. Raises InvalidRequest with everything that is wrong."""
    try:
        limits = _distinct(tuple(LimitSettings.model_validate(each) for each in given))
    except ValueError as fault:
        raise InvalidRequest(
            f"a limit is not as it should be: {_told(fault)}",
            param="limits",
            hint="Such as usd: 50 with period: month.",
        ) from None
    return tuple(each.limit for each in limits)


def _told(fault: ValueError) -> str:
    if not isinstance(fault, ValidationError):
        return str(fault)
    return "; ".join(
        f"{'.'.join(map(str, each['loc'])) or 'limit'}: {each['msg'].removeprefix('Value error, ')}"
        for each in fault.errors()
    )


def _distinct(limits: tuple[LimitSettings, ...]) -> tuple[LimitSettings, ...]:
    """Two limits of one name, subject and period would share a count."""
    seen: set[str] = set()
    for each in limits:
        if (known := identity(each.limit)) in seen:
            raise ValueError(f"two limits are called {each.limit.name!r}; give each a name of its own")
        seen.add(known)
    return limits


LimitList = Annotated[tuple[LimitSettings, ...], AfterValidator(_distinct)]


class RedisSettings(Block):
    """What replicas share."""

    url: SecretText = Secret("")
    """`redis://host:6379/0`; a password in it is shown nowhere."""
    timeout_s: Seconds = 0.25
    """How long a call waits for it before each limit does what its `on_store_loss` says."""
    prefix: Text = "interlock"
    """What every key in it begins with."""
