"""The events of ordinary calls as JSON with places left open: what the calls of one road have in common, encoded once.

Above: road. Below: `core.events`. A form is made out of an encoded event that holds a mark at each place, so that it follows whatever the event's
definition says; nothing here writes JSON by hand. Each form is tried once before it is used.
"""

from __future__ import annotations

import secrets

import msgspec
from msgspec import Struct

from interlock.core.caller import Caller
from interlock.core.errors import InterlockError
from interlock.core.events import Attempt, Settled, lone_ids
from interlock.core.money import Usage
from interlock.core.short import OPEN_MOST

CRASHED = "the process ended during the call; usage and cost are the upper estimate held back for it"
"""What the event of a call says that its process did not live to settle."""
LONGEST = 1 << 62
_encoder = msgspec.json.Encoder(enc_hook=str)
_decoder = msgspec.json.Decoder(Settled)


class Blank(Struct, frozen=True):
    """What is left open: ids, instants (ns since the epoch, µs), tokens and nano-dollars."""

    task: str
    call: str
    started_ns: int
    duration_us: int
    input: int
    output: int
    cost: int
    reserved: int


class Forms:
    """Those of one caller, model, deployment, price and set of reasons, for calls that take one try."""

    __slots__ = ("_answered", "_crashed")

    def __init__(
        self,
        model: str,
        caller: Caller,
        deployment: str,
        tier: str,
        price: str,
        reasons: tuple[str, ...],
        region: str = "",
    ) -> None:
        """Raises Unfit: such calls cannot be written by a form, or may outgrow their place in the journal."""
        common = _Common(model, caller, deployment, tier, price, reasons, region)
        marks = _marks()
        self._crashed = _form(common.crashed(marks), marks)
        self._answered = _form(common.answered(marks), marks)
        probe = Blank(*lone_ids("tsk_" + "z" * 26), *[LONGEST + place for place in range(6)])
        crashed = self.crashed(probe.task, probe.call, probe.started_ns, probe.input, probe.output, probe.cost)
        answered = self.answered(*msgspec.structs.astuple(probe))
        if len(crashed) > OPEN_MOST:
            raise Unfit("too long for the journal")
        if _decoder.decode(crashed) != common.crashed(probe) or _decoder.decode(answered) != common.answered(probe):
            raise Unfit("the form does not say what the event does")

    def crashed(self, task: str, call: str, started_ns: int, into: int, out: int, cost: int) -> bytes:
        """What is true if the process dies during the call."""
        return self._crashed % (call.encode(), task.encode(), started_ns, into, out, cost, cost)

    def answered(
        self, task: str, call: str, started_ns: int, took_us: int, into: int, out: int, cost: int, reserved: int
    ) -> bytes:
        """The call as it ended, with its one try."""
        ids, tried = (call.encode(), task.encode()), (started_ns, took_us, into, out, cost)
        return self._answered % (*ids, started_ns, took_us, *tried, into, out, cost, reserved)


def event_of(encoded: bytes) -> Settled:
    """The event that a form was filled with."""
    return _decoder.decode(encoded)


class Unfit(InterlockError):
    """There is no form for these calls; they are written as ever. Never leaves this room."""


class _Common(Struct, frozen=True):
    model: str
    caller: Caller
    deployment: str
    tier: str
    price: str
    reasons: tuple[str, ...]
    region: str

    def _placed(self, task: str) -> Caller:
        who = self.caller
        return Caller(who.tenant, who.user, who.key_id, who.workflow, task, 1, who.versions, who.trace, who.labels)

    def crashed(self, blank: Blank) -> Settled:
        return Settled(
            call=blank.call,
            kind="model",
            name=self.model,
            caller=self._placed(blank.task),
            status="crashed",
            started_ns=blank.started_ns,
            usage=Usage(input=blank.input, output=blank.output),
            cost_nano_usd=blank.cost,
            reserved_nano_usd=blank.cost,
            price=self.price,
            reasons=self.reasons,
            message=CRASHED,
        )

    def answered(self, blank: Blank) -> Settled:
        usage = Usage(input=blank.input, output=blank.output)
        tried = Attempt(
            deployment=self.deployment,
            status="ok",
            started_ns=blank.started_ns,
            duration_us=blank.duration_us,
            tier=self.tier,
            usage=usage,
            cost_nano_usd=blank.cost,
            price=self.price,
            region=self.region,
        )
        return Settled(
            call=blank.call,
            kind="model",
            name=self.model,
            caller=self._placed(blank.task),
            status="ok",
            started_ns=blank.started_ns,
            duration_us=blank.duration_us,
            deployment=self.deployment,
            tier=self.tier,
            attempts=(tried,),
            usage=usage,
            cost_nano_usd=blank.cost,
            reserved_nano_usd=blank.reserved,
            price=self.price,
            reasons=self.reasons,
        )


def _marks() -> Blank:
    """Values that stand nowhere else in an event."""
    numbers = [10**17 + secrets.randbelow(10**16) * 10 + place for place in range(6)]
    return Blank(*lone_ids(f"tsk_{secrets.token_hex(13)}"), *numbers)


def _form(event: Settled, marks: Blank) -> bytes:
    """The event's JSON with a place for each mark."""
    text = _encoder.encode(event).replace(b"%", b"%%")
    for mark in msgspec.structs.astuple(marks):
        encoded = mark.encode() if isinstance(mark, str) else b"%d" % mark
        text = text.replace(encoded, b"%b" if isinstance(mark, str) else b"%d")
    return text
