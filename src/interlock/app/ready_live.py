"""The readiness checklist against a server that runs: what it answers to nobody, to a wrong key, to its own, and to nonsense.

Above: cli/doctor. Below: versions, the standard library. Nothing that is asked changes anything, reaches a vendor or is anybody's content.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from msgspec import Struct

from interlock.config.workspace import Workspace

from .ready_files import LOOPBACK, Line
from .versions import version_of

WAIT_S = 10.0
MOST_BYTES = 1 << 20
DOORS = (
    ("GET", "/api/tasks"),
    ("GET", "/api/keys"),
    ("GET", "/api/audit"),
    ("GET", "/api/config"),
    ("GET", "/metrics"),
    ("GET", "/v1/models"),
    ("GET", "/v1/files"),
    ("POST", "/v1/chat/completions"),
    ("POST", "/v1/messages"),
    ("POST", "/v1/responses"),
    ("GET", "/ui/tasks.json"),
)
CLAIMS = {
    "x-interlock-tenant": "default",
    "x-forwarded-user": "admin",
    "x-forwarded-for": "127.0.0.1",
    "x-original-url": "/healthz",
}
"""Headers by which a stranger says to be somebody."""
WORDS = "interlock-readiness-words"
SHUT = (401, 403)
_FORM = {"content-type": "application/json"}


class Answer(Struct, frozen=True):
    status: int
    headers: Mapping[str, str]
    body: bytes


def lines(workspace: Workspace, url: str, key: str) -> Iterator[Line]:
    """What is found at `url`, with the server's own `key`."""
    try:
        health = _asked(workspace, url, "GET", "/healthz")
    except (OSError, HTTPException, ValueError) as away:
        yield Line("server", "fault", f"nobody answers at {url}: {away}", "`interlock serve`, or --server URL.")
        return
    well = health.status == 200
    said = f"{url} answers" if well else f"{url} answers {health.status} when it is asked how it is"
    yield Line("server", "ok" if well else "fault", said, "" if well else "`/healthz` says what is wrong.")
    yield _wire(url)
    yield _doors(workspace, url)
    yield _pages(workspace, url)
    yield _version(workspace, url, key)
    yield _nonsense(workspace, url, key)


def _wire(url: str) -> Line:
    there = urlsplit(url)
    if there.scheme == "https":
        return Line("wire", "ok", "TLS, with a certificate that is trusted")
    if there.hostname in LOOPBACK:
        return Line("wire", "ok", "this machine's own loopback")
    return Line("wire", "fault", "keys and prompts go over the network as they are", "`server.tls_cert`, or a proxy.")


def _doors(workspace: Workspace, url: str) -> Line:
    """Without a key, with a wrong one, and with claims to be somebody."""
    strangers: tuple[dict[str, str], ...] = ({}, {"authorization": "Bearer il-wrong", "x-api-key": "il-wrong"}, CLAIMS)
    opened = [
        f"{method} {path}"
        for method, path in DOORS
        for claims in strangers
        if _asked(workspace, url, method, path, {**_FORM, **claims}, b"{}").status not in SHUT
    ]
    if opened:
        return Line("strangers", "fault", f"let in at {', '.join(sorted(set(opened)))}", "Take it off the network.")
    return Line("strangers", "ok", f"refused at {len(DOORS)} addresses, whoever they say they are")


def _pages(workspace: Workspace, url: str) -> Line:
    headers = _asked(workspace, url, "GET", "/ui/login").headers
    policy = headers.get("content-security-policy", "")
    missing = [each for each in ("default-src", "frame-ancestors") if each not in policy]
    if missing or "unsafe-inline" in policy or headers.get("x-content-type-options") != "nosniff":
        said = "pages come without the policy that keeps scripts of others out"
        return Line("pages", "fault", said, "A proxy takes headers away: let them through.")
    return Line("pages", "ok", "no script and no frame of others")


def _version(workspace: Workspace, url: str, key: str) -> Line:
    found = _asked(workspace, url, "GET", "/api/config", {"authorization": f"Bearer {key}"})
    if found.status != 200:
        return Line("served", "fault", f"the key at hand is answered {found.status}", "Set INTERLOCK_API_KEY.")
    version, ours = str(json.loads(found.body).get("version")), version_of(workspace)
    if version != ours:
        return Line("served", "fault", f"{version} is served, the files here are {ours}", "`interlock reload`.")
    return Line("served", "ok", f"{ours}, as the files here say")


def _nonsense(workspace: Workspace, url: str, key: str) -> Line:
    """A request that cannot be read: refused, without a trace of the program or of what was said."""
    body = f'{{"model": "{WORDS}", "messages": [{{"role": "user", "content": "{WORDS}"'.encode()
    sent = {**_FORM, "authorization": f"Bearer {key}"}
    found = _asked(workspace, url, "POST", "/v1/chat/completions", sent, body)
    if found.status != 400 or b"Traceback" in found.body or WORDS.encode() in found.body:
        return Line("errors", "fault", f"nonsense is answered {found.status}, with what was said", "Report it.")
    return Line("errors", "ok", "nonsense is refused, and nothing of it repeated")


def _asked(
    workspace: Workspace, url: str, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
) -> Answer:
    """Raises OSError, HTTPException, ValueError: it is no address."""
    there = urlsplit(url)
    host, cert = there.hostname or "", workspace.settings.server.tls_cert
    if there.scheme == "https":
        own = str(workspace.root / cert) if cert and host in LOOPBACK else None
        context = ssl.create_default_context(cafile=own)
        context.check_hostname = own is None  # the server's of these very files, whatever name stands in it
        connection: HTTPConnection = HTTPSConnection(host, there.port, timeout=WAIT_S, context=context)
    else:
        connection = HTTPConnection(host, there.port, timeout=WAIT_S)
    try:
        connection.request(
            method, there.path.rstrip("/") + path, body if method == "POST" else None, dict(headers or {})
        )
        reply = connection.getresponse()
        found = {name.lower(): value for name, value in reply.getheaders()}
        return Answer(reply.status, found, reply.read(MOST_BYTES))
    finally:
        connection.close()
