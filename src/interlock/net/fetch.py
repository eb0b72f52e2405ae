"""Fetches web pages under the egress policy: each redirect hop is checked against the allowlist, resolved once, and dialled at the checked address.

Above: `app`, as the port `core.egress.Fetcher`. Below: egress, dial, http1, walls.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from urllib.parse import urljoin

from msgspec import structs

from interlock.core.egress import EgressDecision, EgressPolicy, Fetched
from interlock.core.errors import ToolError
from interlock.core.time import Clock, Deadline

from . import egress, http1
from .dial import Dialer, Resolver, checked_address
from .walls import Place, Refused, place_of

MAX_HOPS = 5
REDIRECTS = (301, 302, 303, 307, 308)
AGENT = "interlock-fetch/1"
ACCEPTED = "text/html,application/xhtml+xml,text/plain,application/json;q=0.9"


class PageFetcher:
    """The fetch tool's way out."""

    def __init__(self, clock: Clock, resolve: Resolver, dial: Dialer) -> None:
        self._clock, self._resolve, self._dial = clock, resolve, dial
        self._tls: ssl.SSLContext | None = None

    async def get(
        self,
        url: str,
        policy: EgressPolicy,
        deadline: Deadline,
        *,
        max_bytes: int,
        decided: Callable[[EgressDecision], None],
    ) -> Fetched:
        """See `core.egress.Fetcher.get`."""
        hops: list[EgressDecision] = []
        try:
            async with asyncio.timeout(min(policy.timeout_s, deadline.left_s(self._clock))):
                place = place_of(url)
                for _ in range(MAX_HOPS + 1):
                    answer, location = await self._once(place, policy, max_bytes, hops)
                    if answer is not None:
                        return answer
                    place = place_of(urljoin(place.url, location))
        except Refused as wrong:
            if not hops or hops[-1].status:  # an address without a reading: there was nothing to judge yet
                hops.append(EgressDecision(False, "GET", "", 0, "", str(wrong)))
            hops[-1] = structs.replace(hops[-1], allowed=False, reason=str(wrong))
            raise _denied(str(wrong)) from wrong
        except TimeoutError as late:
            raise ToolError("fetch_failed", f"{url} did not answer in time", retryable=True) from late
        except (OSError, http1.BadMessage) as failed:
            raise ToolError("fetch_failed", f"{url}: {failed}", retryable=isinstance(failed, OSError)) from failed
        finally:
            for each in hops:
                decided(each)
        raise _denied(f"more than {MAX_HOPS} redirects")

    async def _once(
        self, place: Place, policy: EgressPolicy, max_bytes: int, hops: list[EgressDecision]
    ) -> tuple[Fetched | None, str]:
        """The page, or where it has moved to."""
        decision, entry = egress.judge(policy, "GET", place)
        hops.append(decision)
        if entry is None:
            raise Refused(f"{place.host}: {decision.reason}")
        address = await checked_address(place.host, self._resolve, private=entry.private)
        if place.scheme == "https" and self._tls is None:
            self._tls = ssl.create_default_context()
        reader, writer = await self._dial(
            address, place.port, self._tls if place.scheme == "https" else None, place.host
        )
        try:
            asked = [("user-agent", AGENT), ("accept", ACCEPTED), ("accept-encoding", "identity")]
            writer.write(http1.request_bytes("GET", place.path, place.authority, asked, b""))
            reply = http1.Reply(reader, bodyless=False)
            await reply.head()
            hops[-1] = structs.replace(decision, address=address, status=reply.status)
            location = http1.value_of(reply.headers, "location")
            if reply.status in REDIRECTS and location:
                return None, location
            return await _page(place, reply, max_bytes, hops), ""
        finally:
            writer.close()


async def _page(place: Place, reply: http1.Reply, max_bytes: int, hops: list[EgressDecision]) -> Fetched:
    if http1.value_of(reply.headers, "content-encoding") not in ("", "identity"):
        raise http1.BadMessage("the reply is compressed, though it was asked not to be")
    kind, _, parameters = http1.value_of(reply.headers, "content-type").partition(";")
    pieces: list[bytes] = []
    size = 0
    async for piece in reply.body():
        pieces.append(piece)
        size += len(piece)
        if size > max_bytes:
            break
    charset = parameters.lower().partition("charset=")[2].strip("\"' ;")
    hops[-1] = structs.replace(hops[-1], received_bytes=size)
    return Fetched(
        place.url,
        reply.status,
        kind.strip().lower(),
        charset,
        b"".join(pieces)[:max_bytes],
        size > max_bytes,
    )


def _denied(reason: str) -> ToolError:
    return ToolError("egress_denied", reason, hint="Only addresses on the allowlist of this workspace can be fetched.")
