"""The network as far as a workspace allows it: the policy, the fetch tool, the proxy for sandboxes.

Above: compose. Below: config, net, tools. Nothing of it is loaded where a workspace allows no host.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

from interlock.config.egress import Egress
from interlock.core.egress import Allow, Credential, EgressPolicy, EgressProxy
from interlock.core.errors import ConfigError, Fault
from interlock.core.ids import Ids
from interlock.core.time import NS_PER_S, Clock
from interlock.tools.define import Tool

from .credentials import Lending, egress_name

MAX_PAGE_BYTES = 2_000_000


def policy_of(files: Egress, ids: Ids, lending: Lending) -> EgressPolicy:
    """What the files allow; credentials are asked for at the broker, request by request. Placeholders are made anew for every process: knowing one is worth nothing elsewhere."""
    return EgressPolicy(
        tuple(
            Allow(each.host, each.ports, tuple(m.upper() for m in each.methods), each.paths, each.private)
            for each in files.allow
        ),
        tuple(
            Credential(
                name,
                ids.new("crd"),
                lending.of(egress_name(name) if each.secret else name),
                each.hosts,
                tuple(h.lower() for h in each.headers),
            )
            for name, each in files.credentials.items()
        ),
        files.max_request_bytes,
        files.max_response_bytes,
        files.max_requests,
        files.timeout_s,
    )


def fetch_tools(files: Egress, policy: EgressPolicy, root: Path, clock: Clock) -> dict[str, Tool]:
    """`web.fetch`, where a host is allowed.

    Raises:
        ConfigError: the extra `fetch` is not installed.
    """
    if not files.allow:
        return {}
    try:
        from interlock.net.dial import plain_dialer, system_resolver
        from interlock.net.fetch import PageFetcher
        from interlock.tools.fetch import fetch_tool

        fetcher = PageFetcher(clock, system_resolver, plain_dialer)
        made = fetch_tool(fetcher, policy, clock, max_bytes=MAX_PAGE_BYTES, timeout_s=files.timeout_s)
    except ModuleNotFoundError as missing:
        fault = Fault(
            str(root / "interlock.yaml"),
            1,
            1,
            "egress.allow",
            f"{missing.name} is not installed",
            "pip install 'interlock[fetch]'",
        )
        raise ConfigError([fault]) from missing
    return {made.name: made}


def proxy_of(clock: Clock) -> EgressProxy:
    """The proxy for sandboxes; without the extra `egress` it looks into no HTTPS, and refuses what would need that."""
    from interlock.net.dial import plain_dialer, system_resolver
    from interlock.net.proxy import Proxy

    try:
        from interlock.net.authority import Authorities

        authority = Authorities(lambda: dt.datetime.fromtimestamp(clock.wall_ns() / NS_PER_S, dt.UTC))
    except ModuleNotFoundError:
        authority = None
    return Proxy(system_resolver, plain_dialer, authority)
