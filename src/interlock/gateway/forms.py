"""Event templates for fast-path calls: what their ledger events have in common is encoded as JSON once, with placeholders for the rest (`core.lots.Form`).

Above: road. Below: `core.lots`. A form is made out of an encoded event that holds a mark at each place, so that it follows whatever the event's
definition says; nothing here writes JSON by hand. Each form is tried once before it is used.
"""

from __future__ import annotations

import secrets

import msgspec
from msgspec import Struct

from interlock.core import lots
from interlock.core.caller import Caller
from interlock.core.errors import InterlockError
from interlock.core.events import Attempt, Settled, lone_ids
from interlock.core.lots import TASK_BYTES, Brief, Form, Opened
from interlock.core.money import Usage
from interlock.core.short import OPEN_MOST, SETTLED_MOST

CRASHED = "the process ended during the call; usage and cost are the upper estimate held back for it"
"""What the event of a call says that its process did not live to settle."""
LONGEST = 1 << 62
_encoder = msgspec.json.Encoder(enc_hook=str)
_decoder = msgspec.json.Decoder(Settled)


def form_of(
    model: str,
    caller: Caller,
    deployment: str,
    tier: str,
    price: str,
    reasons: tuple[str, ...],
    region: str = "",
    *,
    streamed: bool = False,
) -> Form:
    """That of the calls of one caller, model, deployment, price and set of reasons which take one try, whole or `streamed`.

    Raises Unfit: such calls cannot be written by a form, or may outgrow their place in the journal.
    """
    common = _Common(model, caller, deployment, tier, price, reasons, region)
    marks, probe = _marks(streamed=streamed), _probe(streamed=streamed)
    sample = common.answered(Brief(probe.task, 0, 0, 0, 0, 0, 0, int(streamed)))
    form = Form(_form(common.crashed(_opened(marks)), marks), _form(common.answered(marks), marks), sample)
    crashed, answered = lots.crashed(form.crashed, _opened(probe)), lots.answered(form.answered, probe)
    if len(crashed) > OPEN_MOST or len(answered) > SETTLED_MOST:
        raise Unfit("too long for the journal")
    if _decoder.decode(crashed) != common.crashed(_opened(probe)) or _decoder.decode(answered) != common.answered(
        probe
    ):
        raise Unfit("the form does not say what the event does")
    return form


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

    def crashed(self, opened: Opened) -> Settled:
        task, call = lone_ids(opened.task)
        return Settled(
            call=call,
            kind="model",
            name=self.model,
            caller=self._placed(task),
            status="crashed",
            started_ns=opened.started_ns,
            usage=Usage(input=opened.input, output=opened.output),
            cost_nano_usd=opened.cost_nano_usd,
            reserved_nano_usd=opened.cost_nano_usd,
            price=self.price,
            reasons=self.reasons,
            message=CRASHED,
        )

    def answered(self, brief: Brief) -> Settled:
        task, call = lone_ids(brief.task)
        usage = Usage(input=brief.input, output=brief.output)
        tried = Attempt(
            deployment=self.deployment,
            status="ok",
            started_ns=brief.started_ns,
            duration_us=brief.duration_us,
            tier=self.tier,
            usage=usage,
            cost_nano_usd=brief.cost_nano_usd,
            price=self.price,
            region=self.region,
        )
        return Settled(
            call=call,
            kind="model",
            name=self.model,
            caller=self._placed(task),
            status="ok",
            started_ns=brief.started_ns,
            duration_us=brief.duration_us,
            first_token_us=brief.first_us,
            deployment=self.deployment,
            tier=self.tier,
            attempts=(tried,),
            usage=usage,
            cost_nano_usd=brief.cost_nano_usd,
            reserved_nano_usd=brief.reserved_nano_usd,
            price=self.price,
            reasons=self.reasons,
        )


def _opened(brief: Brief) -> Opened:
    return Opened(brief.task, brief.started_ns, brief.input, brief.output, brief.cost_nano_usd)


def _marks(*, streamed: bool) -> Brief:
    """Values that stand nowhere else in an event."""
    numbers = [10**17 + secrets.randbelow(10**16) * 10 + place for place in range(6 + streamed)]
    return Brief(f"tsk_{secrets.token_hex(13)}", *numbers)


def _probe(*, streamed: bool) -> Brief:
    """Values as long as they can be."""
    return Brief("tsk_".ljust(TASK_BYTES, "z"), *[LONGEST + place for place in range(6 + streamed)])


def _form(event: Settled, marks: Brief) -> bytes:
    """The event's JSON with a place for each mark."""
    text = _encoder.encode(event).replace(b"%", b"%%")
    for mark in (*lone_ids(marks.task), *[number for number in marks[1:] if number]):
        encoded = mark.encode() if isinstance(mark, str) else b"%d" % mark
        text = text.replace(encoded, b"%b" if isinstance(mark, str) else b"%d")
    return text
