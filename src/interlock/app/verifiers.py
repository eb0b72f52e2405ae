"""Verifiers by name: the plug-ins of `routing.verifiers` and of contracts, built with their settings.

Above: compose, `routes`. Below: `core.plugins`, the gateway's `Check`.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from interlock.config.names import nearest
from interlock.core import plugins
from interlock.core.errors import ConfigError, Fault
from interlock.gateway.checks import Check, ordered

ENOUGH = 0.5
"""`at_least` of a verifier that is named without one, where no learned route weighs the checks."""
OWN_KEY = "at_least"


def built(named: Mapping[str, Mapping[str, object]], *, weighed: bool = False) -> dict[str, Check]:
    """The checks, cheap ones first. `weighed`: a learned route judges their findings together, so none does alone unless it says `at_least`.

    Raises:
        ConfigError: there is no such verifier, or it does not take what is set.
    """
    checks = [_check(name, options, weighed=weighed) for name, options in named.items()]
    return {check.name: check for check in ordered(checks)}


def _check(name: str, options: Mapping[str, object], *, weighed: bool) -> Check:
    module = plugins.find("verifiers", name)
    if module is None:
        raise ConfigError(
            [Fault("", 0, 0, f"verifiers.{name}", f"no verifier {name!r}", nearest(name, plugins.names("verifiers")))]
        )
    own = {key: value for key, value in options.items() if key != OWN_KEY}
    try:
        settings = msgspec.convert(own, module.Settings)
        at_least = msgspec.convert(options.get(OWN_KEY), float | None, strict=False)
    except msgspec.ValidationError as error:
        takes = ", ".join([*module.Settings.__struct_fields__, OWN_KEY])
        raise ConfigError([Fault("", 0, 0, f"verifiers.{name}", str(error), f"It takes {takes}.")]) from error
    if at_least is None and not weighed:
        at_least = ENOUGH
    return Check(name, module.build(settings), module.NEEDS, at_least)
