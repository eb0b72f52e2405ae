"""A plug-in's own settings out of a deployment's `options:`.

Above: every provider. Below: `core`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from interlock.core.errors import InvalidRequest
from interlock.core.ports import Deployment

S = TypeVar("S", bound=msgspec.Struct)
KEPT = 256


class Options(Generic[S]):
    """Settings by deployment, converted once each."""

    def __init__(self, kind: type[S]) -> None:
        self._kind = kind
        self._known: OrderedDict[str, tuple[Mapping[str, Any], S]] = OrderedDict()

    def of(self, deployment: Deployment) -> S:
        """The settings of one deployment.

        Raises:
            InvalidRequest: the options are not what the plug-in's `Settings` takes.
        """
        known = self._known.get(deployment.name)
        if known is not None and known[0] is deployment.options:
            return known[1]
        try:
            settings = msgspec.convert(dict(deployment.options), self._kind)
        except msgspec.ValidationError as error:
            raise InvalidRequest(
                f"the options of {deployment.provider} are wrong: {error}",
                hint=f"It takes: {', '.join(self._kind.__struct_fields__) or 'none'}.",
            ) from error
        self._known[deployment.name] = (deployment.options, settings)
        if len(self._known) > KEPT:
            self._known.popitem(last=False)
        return settings
