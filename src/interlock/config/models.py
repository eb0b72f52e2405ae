"""From the name of a model in a file or a request to what can be called. Above: load, gateway, app. Below: schema, core.

A name is an alias of `models:`, `provider/model`, or a bare name that exactly one provider claims by its `models:` patterns.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

from msgspec import Struct

from interlock.core.errors import UnknownModel
from interlock.core.ports import Deployment

from .names import nearest
from .schema import Settings


class ModelRef(Struct, frozen=True):
    """One model at one provider."""

    provider: str
    model: str

    @property
    def name(self) -> str:
        return f"{self.provider}/{self.model}"


class Tier(Struct, frozen=True):
    """Interchangeable models, preferred first."""

    name: str
    """Empty for a model that was named without an alias."""
    models: tuple[ModelRef, ...]


def ref_of(settings: Settings, name: str) -> ModelRef:
    """The one model that `name` (`provider/model` or a bare name) stands for.

    Raises:
        UnknownModel: no provider claims it, or more than one does.
    """
    provider, slash, model = name.partition("/")
    if slash and provider in settings.providers and model:
        return ModelRef(provider, model)
    claims = [
        key for key, each in settings.providers.items() if any(fnmatch.fnmatchcase(name, glob) for glob in each.models)
    ]
    if len(claims) == 1 and name:
        return ModelRef(claims[0], name)
    if len(claims) > 1:
        raise UnknownModel(
            f"several providers serve {name!r}", hint=f"Write {' or '.join(f'{key}/{name}' for key in claims)}."
        )
    if slash:
        raise UnknownModel(f"no provider {provider!r}", hint=nearest(provider, settings.providers))
    hint = nearest(name, settings.models) if settings.models else ""
    raise UnknownModel(f"no alias or model {name!r}", hint=f"{hint} Or write provider/model.".strip())


def tiers_of(settings: Settings, name: str) -> tuple[Tier, ...]:
    """The tiers that `name` stands for, smallest first; one nameless tier for a single model.

    Raises:
        UnknownModel: there is no such alias or model; the hint names the nearest.
    """
    alias = settings.models.get(name)
    if alias is None:
        return (Tier("", (ref_of(settings, name),)),)
    return tuple(Tier(tier, tuple(ref_of(settings, each) for each in models)) for tier, models in alias.items())


def escalation_target(settings: Settings, name: str, alias: str) -> tuple[Tier, ...]:
    """The tiers that a rule's `model` stands for while `alias` is in use: its tier of that name first, else an alias or model.

    Raises:
        UnknownModel: it is none of these.
    """
    tiers = settings.models.get(alias, {})
    if name in tiers:
        return (Tier(name, tuple(ref_of(settings, each) for each in tiers[name])),)
    return tiers_of(settings, name)


def deployment(settings: Settings, ref: ModelRef, tier: str = "") -> Deployment:
    """What a provider plug-in is called with."""
    provider = settings.providers[ref.provider]
    return Deployment(
        provider=ref.provider,
        model=ref.model,
        dialect=provider.dialect,
        base_url=provider.base_url.rstrip("/"),
        api_key=provider.api_key,
        region=region_of(settings, ref.provider),
        tier=tier,
        timeout_s=provider.timeout_s,
        stall_s=provider.stall_s,
        simulated=provider.simulated,
        requests_per_minute=provider.requests_per_minute,
        tokens_per_minute=provider.tokens_per_minute,
        max_concurrent=provider.max_concurrent,
        options=provider.options,
    )


def region_of(settings: Settings, provider: str) -> str:
    """Where a provider answers; one without an address answers inside of the server. Empty where nobody says it."""
    said = settings.providers[provider]
    return said.region or ("" if said.base_url else settings.residency.here)


def usable(settings: Settings, ref: ModelRef) -> bool:
    """Whether the model's provider has the credential that it needs."""
    provider = settings.providers[ref.provider]
    return bool(provider.api_key) or not provider.needs_key


def named_models(settings: Settings) -> Iterator[str]:
    """Every name that stands where a model is expected, aliases included."""
    for tiers in settings.models.values():
        for models in tiers.values():
            yield from models
    if settings.routing.default_model:
        yield settings.routing.default_model
