"""`interlock reload`: has a running server follow its files. Above: main. Below: nothing of ours but the workspace: it asks over HTTP."""

from __future__ import annotations

import argparse
import json
import os
import ssl
from collections.abc import Mapping, Sequence
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from interlock.core.errors import InvalidRequest, StoreUnavailable

from .options import parser, print_json, say, workspace_path
from .text import clean, plural

if TYPE_CHECKING:
    from interlock.config.workspace import Workspace

WAIT_S = 180.0
KEY_VARIABLE = "INTERLOCK_API_KEY"


def options() -> argparse.ArgumentParser:
    """What `interlock reload` takes."""
    made = parser(
        "reload",
        "Has a running server follow its files, without a pause; faulty ones are refused and the old ones go on.",
    )
    made.add_argument(
        "--url", default="", metavar="U", help="where it is (default: server.host and server.port of the files)"
    )
    return made


def run(arguments: Sequence[str]) -> int:
    """0 when the new version is served, 1 when it was refused."""
    given = options().parse_args(arguments)
    from interlock.config.load import load
    from interlock.core.errors import ConfigError

    root = workspace_path(given.workspace)
    try:
        workspace = load(root)
    except ConfigError:
        if not given.url or KEY_VARIABLE not in os.environ:
            raise  # the server would say the same
        turned = ask(given.url, os.environ[KEY_VARIABLE])
    else:
        certificate = workspace.settings.server.tls_cert
        own = workspace.root / certificate if certificate and not given.url else None
        turned = ask(given.url or address_of(workspace), key_of(workspace), own)
    if given.json:
        print_json(turned)
    else:
        tell(turned)
    return 0 if turned["ok"] else 1


def tell(turned: Mapping[str, Any]) -> None:
    """For people."""
    faults = turned["faults"]
    if not faults:
        say(f"{turned['version']} is served by {plural(len(turned['workers']), 'worker')} (before: {turned['before']})")
        return
    say(f"refused; {turned['version']} goes on. {plural(len(faults), 'fault')}:")
    for each in faults:
        place = f"{each['file']}:{each['line']}:{each['column']}: " if each["line"] else f"{each['file']}: "
        say(
            f"  {clean(place + each['key'])}: {clean(each['message'])}{' — ' + clean(each['hint']) if each['hint'] else ''}"
        )


def ask(url: str, key: str, own: Path | None = None) -> dict[str, Any]:
    """Asks the server at `url`; what it answers, refusals of the files included. `own`: its certificate, where that alone is to be trusted.

    Raises:
        StoreUnavailable: nobody answers there. InvalidRequest: the server does not do it for this key.
    """
    there = urlsplit(url)
    host = there.hostname or "127.0.0.1"
    if there.scheme == "https":
        connection: HTTPConnection = HTTPSConnection(host, there.port, timeout=WAIT_S, context=_trusting(own))
    else:
        connection = HTTPConnection(host, there.port, timeout=WAIT_S)
    try:
        connection.request(
            "POST", f"{there.path.rstrip('/')}/api/config/reload", headers={"authorization": f"Bearer {key}"}
        )
        reply: HTTPResponse = connection.getresponse()
        body = reply.read()
    except (OSError, HTTPException) as fault:
        raise StoreUnavailable(
            f"no server answers at {url} ({fault})", hint="Start it with `interlock serve`, or say where it is: --url."
        ) from fault
    finally:
        connection.close()
    if reply.status not in (200, 422):
        raise InvalidRequest(f"the server at {url} answers {reply.status}: {body[:300].decode(errors='replace')}")
    return dict(json.loads(body))


def _trusting(own: Path | None) -> ssl.SSLContext:
    """The system's authorities; or one certificate, whatever name stands in it, since it is the server's of these very files."""
    context = ssl.create_default_context(cafile=None if own is None else str(own))
    context.check_hostname = own is None
    return context


def address_of(workspace: Workspace) -> str:
    """Where the files say that it listens."""
    said = workspace.settings.server
    host = "127.0.0.1" if said.host in ("0.0.0.0", "::", "") else said.host  # noqa: S104 - compared, not listened at
    return f"{'https' if said.tls_cert else 'http'}://{f'[{host}]' if ':' in host else host}:{said.port}"


def key_of(workspace: Workspace) -> str:
    """The environment's, the files', or the one that the server keeps. Raises InvalidRequest where there is none."""
    known = os.environ.get(KEY_VARIABLE, "") or workspace.settings.server.api_key.reveal()
    if known:
        return known
    file: Path = workspace.store.parent / "server.key"
    if not file.is_file():
        raise InvalidRequest(f"there is no key: {file} is not there", hint=f"Set {KEY_VARIABLE} to an admin's key.")
    return file.read_text(encoding="ascii").strip()
