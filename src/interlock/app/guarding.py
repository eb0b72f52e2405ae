"""From `pii:` and `guards:` to the guards of the gateway, the tools and the tasks.

Above: compose. Below: config, governance, `core.plugins`. A workspace that says nothing of it has none.
"""

from __future__ import annotations

import logging
import os
import random
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from interlock.config.guards import Moderation, Pii
from interlock.config.names import nearest
from interlock.config.workspace import Workspace
from interlock.core import plugins
from interlock.core.caller import Caller, Secret
from interlock.core.errors import ConfigError, Fault
from interlock.core.guards import Guards, Moderator
from interlock.core.kept import KeptResponse, Responses
from interlock.core.ports import HttpClient, PluginEnv
from interlock.core.time import Clock
from interlock.governance.glance import sharing
from interlock.governance.guards import TextGuards, Watching
from interlock.governance.injection import Injection, model_of
from interlock.governance.kinds import PEOPLE, STRUCTURED, USUAL, kinds
from interlock.governance.moderation import Rules
from interlock.governance.redact import redact, usual
from interlock.governance.scan import Detector, Scanner
from interlock.governance.secrets import SHIPPED, rules_of
from interlock.governance.tokens import TenantKey
from interlock.governance.veil import NEVER_BACK, Terms, Veil

from .sealing import keyring_of
from .token_keys import Derived, TokenKeys

KEY_FILE = "pii.key"
OURS = ("interlock", "uvicorn", "asyncio")


def guards_of(workspace: Workspace, http: HttpClient, clock: Clock) -> Guards | None:
    """The guards, ready for their first text; `None` where the workspace wants none.

    Raises:
        ConfigError: a kind, plug-in, rule or pattern is none.
    """
    clean_logs()
    files = workspace.settings
    said = files.guards
    if files.pii is None and said.injection is None and not (said.moderation.before or said.moderation.after):
        return None
    moderators = _moderators(said.moderation, PluginEnv(http, clock, random.Random(), {}))
    rules = judged = None
    if said.injection is not None:
        rules = Injection(None) if said.injection.rules else None
        judged = Injection(model_of(), rules=said.injection.rules) if said.injection.classifier else None
    scanner = None if files.pii is None else scanner_of(files.pii, workspace.root)
    shared = sharing(scanner, rules if judged is None else judged)
    if shared is None:
        for each in (scanner, rules, judged):
            if each is not None:
                each.ready()
    else:
        scanner, rules = shared.scanner, shared.rules
    watching = Watching(
        rules,
        judged,
        tuple(moderators[name] for name in said.moderation.before),
        tuple(moderators[name] for name in said.moderation.after),
        frozenset(said.moderation.refuse),
        said.moderation.when_unreachable,
        "restore" if files.pii is None else files.pii.answers,
        "leave" if files.pii is None else files.pii.written,
    )
    veil = None if files.pii is None or scanner is None else _veil(workspace, files.pii, scanner)
    return TextGuards(veil, watching, None if shared is None else shared.glance)


def scanner_of(said: Pii, root: Path) -> Scanner:
    """What looks for personal data and credentials. Raises ConfigError."""
    names = (*(said.find or USUAL), *said.also)
    detectors = [_detector(name) for name in said.detectors]
    known = {*STRUCTURED, *PEOPLE}
    for name in (*names, *said.kinds):
        if name not in known and not detectors:
            raise ConfigError([Fault("", 0, 0, "pii.find", f"no kind {name!r}", nearest(name, sorted(known)))])
    if people := [name for name in names if name in PEOPLE]:
        from interlock.governance.people import People

        detectors.append(People(people))
    rules = rules_of(root / said.rules if said.rules else SHIPPED)
    return Scanner(kinds(names, rules, said.regions), detectors)


def _veil(workspace: Workspace, said: Pii, scanner: Scanner) -> Veil:
    terms = Terms(said.then, {**NEVER_BACK, **said.kinds})
    return Veil(scanner, terms, _keys(workspace, said))


def _keys(workspace: Workspace, said: Pii) -> Callable[[str], TenantKey]:
    """With `encryption`, keys of the tenant's own out of the keyring, and for tokens of before the one that derives from the workspace's key."""
    keyring = keyring_of(workspace)
    if keyring is None:
        return Derived(_master(workspace, said)).of
    before = said.key or (workspace.store.parent / KEY_FILE).is_file()
    return TokenKeys(keyring, Derived(_master(workspace, said)) if before else None).of


def _master(workspace: Workspace, said: Pii) -> bytes:
    """The key of the workspace, or one that is drawn once and kept beside the store, readable by its owner alone."""
    if said.key:
        value = said.key.reveal().encode()
        if len(value) < 16:
            raise ConfigError(
                [Fault("", 0, 0, "pii.key", "shorter than 16 characters", "Draw one: openssl rand -hex 32")]
            )
        return value
    path = workspace.store.parent / KEY_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_bytes()
    with os.fdopen(made, "wb") as file:
        file.write(secrets.token_hex(32).encode())
    return path.read_bytes()


def _moderators(said: Moderation, env: PluginEnv) -> Mapping[str, Moderator]:
    return {name: _moderator(name, said, env) for name in dict.fromkeys((*said.before, *said.after))}


def _moderator(name: str, said: Moderation, env: PluginEnv) -> Moderator:
    if name == Rules.name:
        made = Rules([(each.category, each.pattern) for each in said.rules], shipped=said.shipped_rules)
        try:
            made.ready()
        except ValueError as wrong:
            raise ConfigError([Fault("", 0, 0, "guards.moderation.rules", str(wrong))]) from wrong
        return made
    module = plugins.find("moderators", name)
    if module is None:
        known = [Rules.name, *plugins.names("moderators")]
        raise ConfigError([Fault("", 0, 0, "guards.moderation", f"no moderator {name!r}", nearest(name, known))])
    options = {
        key: each.reveal() if isinstance(each, Secret) else each for key, each in said.options.get(name, {}).items()
    }
    try:
        settings: Any = msgspec.convert(options, module.Settings)
    except msgspec.ValidationError as wrong:
        takes = f"It takes {', '.join(module.Settings.__struct_fields__)}."
        raise ConfigError([Fault("", 0, 0, f"guards.moderation.options.{name}", str(wrong), takes)]) from wrong
    return module.build(env, settings)


def _detector(name: str) -> Detector:
    module = plugins.find("detectors", name)
    if module is None:
        known = plugins.names("detectors")
        raise ConfigError([Fault("", 0, 0, "pii.detectors", f"no detector {name!r}", nearest(name, known))])
    return module.build()


class CoveredResponses:
    """Kept conversations of the Responses API, covered on their way in and restored on their way out."""

    def __init__(self, inner: Responses, guards: Guards) -> None:
        self._inner, self._guards = inner, guards

    @property
    def keeps(self) -> bool:
        return self._inner.keeps

    async def earlier(self, caller: Caller, response: str) -> Sequence[bytes]:
        return [self._restored(caller, item) for item in await self._inner.earlier(caller, response)]

    async def keep(
        self, caller: Caller, response: str, previous: str, items: Sequence[bytes], output: bytes, body: bytes
    ) -> None:
        covered = [self._covered(caller, item) for item in items]
        output, body = self._covered(caller, output), self._covered(caller, body)
        await self._inner.keep(caller, response, previous, covered, output, body)

    async def find(self, caller: Caller, response: str) -> KeptResponse:
        kept = await self._inner.find(caller, response)
        items, output, body = (self._restored(caller, part) for part in (kept.items, kept.output, kept.body))
        return msgspec.structs.replace(kept, items=items, output=output, body=body)

    async def delete(self, caller: Caller, response: str) -> None:
        await self._inner.delete(caller, response)

    def _covered(self, caller: Caller, data: bytes) -> bytes:
        value = msgspec.json.decode(data)
        covered, seen = self._guards.given(caller.tenant, value)
        return msgspec.json.encode(covered) if seen.private else data

    def _restored(self, caller: Caller, data: bytes) -> bytes:
        value = msgspec.json.decode(data)
        restored = self._guards.revealed(caller.tenant, value, ("*",))
        return data if restored is value else msgspec.json.encode(restored)


def covered_responses(inner: Responses, guards: Guards | None) -> Responses:
    """The same where there are no guards."""
    return inner if guards is None else CoveredResponses(inner, guards)


class CleanRecords:
    """Makes the log's records: those of ours and of the server without credentials and personal data, tracebacks included."""

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **named: Any) -> logging.LogRecord:
        record = self._make(*args, **named)
        if record.name.partition(".")[0] in OURS:
            record.msg, record.args = redact(record.getMessage()), ()
            if record.exc_info and record.exc_info[0] is not None:
                record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return record


def clean_logs() -> None:
    """From now on; the rules are read at once, so that no request has to."""
    usual().ready()
    made = logging.getLogRecordFactory()
    if not isinstance(made, CleanRecords):
        logging.setLogRecordFactory(CleanRecords(made))
