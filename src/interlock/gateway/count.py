"""How many tokens a request would have: asked of the first candidate's vendor, else estimated.

Above: chat. Below: desk, tokens.
"""

from __future__ import annotations

from msgspec import structs

from interlock.core.caller import Caller
from interlock.core.chat import ChatRequest
from interlock.core.errors import UpstreamError, UpstreamRejected
from interlock.core.ports import CountsTokens, TokenCount
from interlock.core.time import Deadline

from . import tokens
from .desk import Desk


async def count_tokens(desk: Desk, caller: Caller, request: ChatRequest, deadline: Deadline | None) -> TokenCount:
    """The count; an estimate where the vendor has none to give or does not answer.

    Raises:
        UnknownModel, UpstreamAuth: the request has nowhere to go. NotPermitted: the key may not use that model. UpstreamRejected: the
        vendor finds the request at fault. ContentRefused: it holds what the workspace refuses.
    """
    if not request.model:
        request = request.but(model=desk.settings.default_model)
    if desk.parts.guards is not None:
        request, _ = desk.parts.guards.enter(caller, request)
    if desk.parts.quotas is not None:
        desk.parts.quotas.permit(caller, request.model)
    request = structs.replace(request, tenant=caller.tenant)
    bounds = None if desk.parts.bounds_of is None else desk.parts.bounds_of(caller)
    candidate = desk.router.plan(request.model, "", bounds).candidates[0]
    deployment = candidate.deployment
    provider = desk.parts.providers.get(deployment.dialect)
    if isinstance(provider, CountsTokens):
        limit = deadline or Deadline.after(desk.parts.clock, deployment.timeout_s)
        try:
            return TokenCount(await provider.count(deployment, request, limit), candidate.name, estimated=False)
        except UpstreamRejected:
            raise
        except UpstreamError:
            pass  # a count is no reason to fail a caller: the estimate says that it is one
    likely = round(tokens.of_request(request) * tokens.LIKELY_SHARE)
    return TokenCount(likely, candidate.name, estimated=True)
