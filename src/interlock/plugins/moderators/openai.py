"""OpenAI's moderation endpoint, and others that speak its wire: `POST {base_url}/moderations`.

Documented at https://platform.openai.com/docs/api-reference/moderations (November 2026): `{"model", "input": [text, …]}` → `{"results": [{"flagged",
"categories": {name: bool}, "category_scores": {name: 0–1}}, …]}`, one result for each text.

Above: found by name. Below: `core`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from interlock.core.errors import BadReply, RateLimited, UpstreamAuth, UpstreamError, UpstreamRejected
from interlock.core.guards import Verdict
from interlock.core.ports import HttpClient, HttpRequest, HttpResponse, PluginEnv
from interlock.core.time import Clock, Deadline
from interlock.core.unreadable import UNREADABLE

MAX_TEXTS = 32
MAX_CHARS = 32_000
"""Of one text; the rest of a longer one goes as further texts."""


class Settings(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """`guards.moderation.options.openai`."""

    api_key: str = ""
    base_url: str = "https://api.openai.com/v1"
    model: str = "omni-moderation-latest"
    thresholds: dict[str, float] = {}
    """Category → score (0–1) from which it counts; without one the vendor's own judgement counts."""
    timeout_s: float = 3.0


class _Result(msgspec.Struct):
    categories: dict[str, bool | None] = {}
    category_scores: dict[str, float | None] = {}


class _Reply(msgspec.Struct):
    results: list[_Result]


class OpenAiModerator:
    """The moderator."""

    name = "openai"

    def __init__(self, settings: Settings, http: HttpClient, clock: Clock) -> None:
        self._settings, self._http, self._clock = settings, http, clock

    async def judge(self, texts: Sequence[str], deadline: Deadline) -> Verdict:
        """Of all the texts together.

        Raises:
            UpstreamError: it could not be asked, or said nothing that can be read.
        """
        pieces = [text[at : at + MAX_CHARS] for text in texts for at in range(0, len(text), MAX_CHARS)]
        categories: set[str] = set()
        scores: dict[str, float] = {}
        for at in range(0, len(pieces), MAX_TEXTS):
            for result in await self._ask(pieces[at : at + MAX_TEXTS], deadline):
                for name, score in result.category_scores.items():
                    scores[name] = max(scores.get(name, 0.0), score or 0.0)
                categories.update(
                    name for name, holds in result.categories.items() if self._counts(name, holds, result)
                )
        return Verdict(tuple(sorted(categories)), scores)

    def _counts(self, name: str, holds: bool | None, result: _Result) -> bool:
        least = self._settings.thresholds.get(name)
        return bool(holds) if least is None else (result.category_scores.get(name) or 0.0) >= least

    async def _ask(self, texts: Sequence[str], deadline: Deadline) -> list[_Result]:
        settings = self._settings
        body = msgspec.json.encode({"model": settings.model, "input": list(texts)})
        headers = [("content-type", "application/json"), ("authorization", f"Bearer {settings.api_key}")]
        request = HttpRequest("POST", f"{settings.base_url}/moderations", tuple(headers), body)
        own = Deadline.after(self._clock, min(settings.timeout_s, deadline.left_s(self._clock)))
        reply = await self._http.request(request, own)
        if reply.status != 200:
            raise _refusal(reply)
        try:
            results = msgspec.json.decode(reply.body, type=_Reply).results
        except UNREADABLE as wrong:
            raise BadReply("the moderation endpoint's answer cannot be read") from wrong
        if len(results) != len(texts):
            raise BadReply(f"the moderation endpoint judged {len(results)} of {len(texts)} texts")
        return results


def _refusal(reply: HttpResponse) -> UpstreamError:
    what: Any = f"the moderation endpoint answered {reply.status}"
    if reply.status == 429:
        return RateLimited(what, upstream_status=429)
    kind = UpstreamAuth if reply.status in (401, 403) else UpstreamRejected
    return kind(what, upstream_status=reply.status)


def build(env: PluginEnv, settings: Settings) -> OpenAiModerator:
    """The moderator."""
    return OpenAiModerator(settings, env.http, env.clock)
