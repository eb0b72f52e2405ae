"""The short way to one deployment of OpenAI's dialect: the caller's own bytes with the model put in, and the vendor's own bytes back.

Above: providers/openai. Below: openai_ask, openai_flow, openai_wire, rooms, wire, `core.short`.
"""

from __future__ import annotations

import msgspec

from interlock.core.chat import ChatRequest
from interlock.core.ports import Deployment, HttpResponse, PluginEnv
from interlock.core.short import Hearer, HttpLine, Reader, Sending
from interlock.core.time import Deadline

from . import openai_ask, rooms, wire
from . import openai_wire as codec
from .openai_flow import Flow, Pieces, Read
from .profiles import ModelProfile

DIALECT = "openai"
FIELD = b'"model":'
SPELT_OUT = b"\\u006"
"""Begins every letter of `model` written as an escape: a second field of that name in disguise."""
_BACKSLASH = SPELT_OUT[0]
ALIASES_KEPT = 1_000


class OpenAIWire:
    """`core.short.Wire`."""

    __slots__ = ("_aliases", "_cap", "_deployment", "_env", "_line", "_model", "_pieces", "_profile", "_usage")

    dialect = DIALECT

    def __init__(
        self,
        env: PluginEnv,
        line: HttpLine,
        deployment: Deployment,
        profile: ModelProfile,
        cap: str,
        usage: bool,
        pieces: Pieces,
    ) -> None:
        """`usage`: streams are asked to name it. `pieces`: the long way of reading them."""
        self._env = env
        self._line = line
        self._deployment = deployment
        self._profile = profile
        self._cap = cap
        self._usage = usage
        self._pieces = pieces
        self._model = msgspec.json.encode(deployment.model)
        self._aliases: dict[str, bytes] = {}
        """As JSON."""

    def send(self, request: ChatRequest, key: str, deadline: Deadline, reader: Reader) -> Sending:
        return self._line.post(key, self._body(request), deadline, reader)

    def stream(self, request: ChatRequest, key: str, deadline: Deadline, late_s: float, hearer: Hearer) -> Flow:
        at = self._deployment
        flow = Flow(self._env, Read(request, at), request, self._pieces, hearer)
        flow.begin(self._line, key, self._body(request), deadline, late_s)
        return flow

    def read(self, response: HttpResponse) -> codec.Read:
        rooms.hear(self._env, self._deployment, response.headers)
        if response.status != 200:
            wire.check(response, self._deployment, self._env.clock)
        return codec.Read(response.body, self._deployment)

    def again(self, body: bytes) -> codec.Read:
        return codec.Read(body, self._deployment)

    def _body(self, request: ChatRequest) -> bytes:
        """The caller's bytes with the model exchanged: in place, where it stands there once and as most clients write it.

        A quotation mark inside of a JSON string is escaped, so what is found is a field's name, or a text that reads `model`, which counts as a second one.
        """
        raw = request.raw
        alias = self._aliases.get(request.model) or self._alias(request.model)
        begin = raw.find(FIELD) + len(FIELD)
        if raw.startswith(b" ", begin):
            begin += 1
        end = begin + len(alias)
        escaped = (
            _BACKSLASH in raw and SPELT_OUT in raw
        )  # most texts have no backslash, which is seen thirty times sooner
        as_it_is = not request.stream or request.include_usage or not self._usage
        if as_it_is and raw.startswith(alias, begin) and not escaped and raw.find(b'"model"', end) < 0:
            return b"%b%b%b" % (raw[:begin], self._model, raw[end:])
        model, stream, usage = self._deployment.model, request.stream, self._usage
        return openai_ask.patched(request, model, self._profile, self._cap, stream=stream, usage=usage)

    def _alias(self, alias: str) -> bytes:
        if len(self._aliases) >= ALIASES_KEPT:
            self._aliases.clear()
        made = self._aliases[alias] = msgspec.json.encode(alias)
        return made
