"""THE DECISION POINT: one frozen policy says which calls a task may make, what may leave in its answer, and which providers may see a text that bears labels.

Above: app (the gateway's bounds), agents (calls and answers), redteam, `interlock policy test`. Below: flow, residency. Every decision is a `Verdict` of one form, with
the rule that decided, its reason and the version of the rules; nothing of it is a model's word.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from msgspec import Struct, structs

from interlock.core.caller import Caller
from interlock.core.errors import ConfigError, Fault
from interlock.core.residency import Bounds
from interlock.core.verdicts import ALLOW, Verdict

from .flow_terms import Terms
from .residency import Places

if TYPE_CHECKING:
    from .flow import FlowPolicy
    from .flow_memory import Memory


class Policy(Struct, frozen=True):
    """All that decides. Made by `of`; every process that reads the same files makes the same one."""

    terms: Terms
    """The contracts of the tools of one agent."""
    places: Places
    """Where data may go, of the whole workspace."""
    version: str
    """Of the tools' contracts, and of what is withheld."""
    places_version: str
    finds: Callable[[str], Iterable[tuple[int, int, str]]] | None = None
    """(start, end, kind) of the personal data in a text that leaves in no answer, unless the request says it."""

    @classmethod
    def of(cls, terms: Terms | None = None, places: Places | None = None) -> Self:
        """The policy over tools' contracts and residency. Without contracts every call is denied; without residency every provider may see everything."""
        terms, places = terms or Terms({}), places or Places()
        return cls(terms, places, terms.version if terms.tools else "", places.version)

    def of_tools(self, terms: Terms, withhold: Sequence[str] = ()) -> Self:
        """The same policy for an agent with these tools; `withhold`: kinds of personal data and credentials (`kinds.STRUCTURED`) that leave in no answer."""
        if terms.tools:
            _flow()  # with the contract, so that no call waits for it
        if not withhold:
            return structs.replace(self, terms=terms, version=terms.version, finds=None)
        version = hashlib.sha256(f"{terms.version} {' '.join(sorted(withhold))}".encode()).hexdigest()[:12]
        return structs.replace(self, terms=terms, version=version, finds=_finding(withhold))

    def task(
        self, prompt: str, memory: Memory | None = None, *, given: Mapping[str, Any] | None = None, house: str = ""
    ) -> FlowPolicy:
        """What is known of one task, which calls and answers are decided over; see `FlowPolicy`."""
        return _flow()(self.terms, prompt, memory, given=given, house=house, version=self.version, finds=self.finds)

    def call(self, task: FlowPolicy, tool: str, arguments: Mapping[str, Any], *, declared: bool = False) -> Verdict:
        """May this call be made: `allow`, `deny`, or `ask` for a person who endorses its values."""
        return task.before(tool, arguments, declared=declared)

    def final(self, task: FlowPolicy, text: str) -> Verdict:
        """May this answer leave: `allow`, or `change` with what may leave of it as `value`."""
        return task.leaving(text)

    def provider(self, who: Caller, provider: str, region: str) -> Verdict:
        """May this provider, in that region, see what the caller's texts bear (`Caller.labels`): `allow` or `deny`."""
        bounds = self.bounds(who)
        return ALLOW if bounds is None else bounds.judge(provider, region)

    def bounds(self, who: Caller) -> Bounds | None:
        """`provider`'s decision for every provider at once, as routes are planned with it; `None`: all of them may. User and task of the caller do not matter to it."""
        return self.places.bounds(who.tenant, who.workflow, who.labels, self.places_version)

    @property
    def binds_providers(self) -> bool:
        """Whether any rule speaks of providers or regions."""
        return bool(self.places_version)


def _flow() -> type[FlowPolicy]:
    """What decides over calls and answers: a dozen modules with patterns of their own, which only those with tools need."""
    from .flow import FlowPolicy

    return FlowPolicy


def _finding(withhold: Sequence[str]) -> Callable[[str], Iterable[tuple[int, int, str]]]:
    """Loaded with the contract that asks for it. Raises ConfigError: a kind is none."""
    from .kinds import STRUCTURED, kinds
    from .scan import Scanner
    from .secrets import rules_of

    unknown = [each for each in withhold if each not in STRUCTURED]
    if unknown:
        hint = f"There are: {', '.join(STRUCTURED)}."
        raise ConfigError([Fault("agent", 0, 0, "agent.information.withhold", f"no kind {unknown[0]!r}", hint)])
    scanner = Scanner(kinds(withhold, rules_of() if "secret" in withhold else ()))
    scanner.ready()
    return scanner.find
