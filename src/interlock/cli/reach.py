"""Whether the models of a run can be reached at all, before two hundred tasks find out one by one.

Above: `run`. Below: config's models. Only addresses are tried, on this machine and its network; nothing is sent and no key leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

from interlock.config.models import deployment, tiers_of
from interlock.config.workspace import Workspace
from interlock.core.errors import ConfigError, ConnectFailed, Fault
from interlock.core.ports import Deployment

CONNECT_S = 3.0
STARTS = {
    "ollama": "Start it with `ollama serve`, and fetch the model once with `ollama pull {model}`.",
    "vllm": "Start it with `vllm serve {model}`, or set providers.vllm.base_url to where it runs.",
}
"""How the local servers that are configured by default are started (their manuals, November 2026)."""


def deployments(workspace: Workspace, model: str) -> Iterator[Deployment]:
    """Everything that `model` (an alias, a model, provider/model) may lead to."""
    for tier in tiers_of(workspace.settings, model):
        for ref in tier.models:
            yield deployment(workspace.settings, ref, tier.name)


async def check(workspace: Workspace, workflow: str, model: str) -> None:
    """Tries to connect to the local addresses that a run leads to, and looks whether keys are set.

    Raises:
        ConnectFailed: nothing listens at the one address there is; says at which and how such a server is started.
        ConfigError: `model` was asked for and has no key; names the variable. Without `model` tasks go to a person instead.
    """
    name = model or workspace.agent(workflow).model
    if not name:
        return
    found = list(deployments(workspace, name))
    keyless = [each for each in found if lacks_key(workspace, each)]
    if keyless and len(keyless) == len(found):
        if model:
            raise ConfigError([keyless_fault(workspace, each) for each in keyless[:3]])
        return
    faults = [fault for fault in [await unreachable(each) for each in found if each not in keyless] if fault]
    if faults and len(faults) + len(keyless) == len(found):
        raise faults[0]


def lacks_key(workspace: Workspace, each: Deployment) -> bool:
    return workspace.settings.providers[each.provider].needs_key and not each.api_key


async def unreachable(each: Deployment) -> ConnectFailed | None:
    """Why a local server cannot be reached; `None` when it can, and for vendors, who are asked with a key."""
    address = urlsplit(each.base_url)
    if each.api_key or not address.hostname:
        return None
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(address.hostname, port)
    except OSError as fault:  # a time-out is one
        hint = STARTS.get(each.provider, "Start it, or set providers.{provider}.base_url to where it runs.")
        return ConnectFailed(
            f"{each.name}: nothing answers at {each.base_url} ({reason(fault)})",
            hint=hint.format(model=each.model, provider=each.provider),
        )
    writer.close()
    return None


def reason(fault: OSError) -> str:
    """What the system said, in a word or two."""
    if isinstance(fault, ConnectionRefusedError):
        return "connection refused"
    return fault.strerror or f"no answer within {CONNECT_S:g} s"


def keyless_fault(workspace: Workspace, each: Deployment) -> Fault:
    """A missing key, with where to set it."""
    return Fault(
        str(workspace.root / "interlock.yaml"),
        0,
        0,
        f"providers.{each.provider}.api_key",
        f"{each.name} needs a key, and none is set",
        f"Set the environment variable {variable_of(each.provider)}, or `api_key` under providers.{each.provider}.",
    )


def variable_of(provider: str) -> str:
    """The environment variable that a provider's key is read from unless the files say otherwise (see config/defaults.yaml)."""
    return f"{provider.upper().replace('-', '_')}_API_KEY"
