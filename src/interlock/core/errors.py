"""Everything that can go wrong, as a tree whose branches are what the caller can do about it.

InterlockError
├── ConfigError            mend the files; carries every fault at once
├── RequestRefused         the request itself is at fault (4xx)
│   ├── InvalidRequest 400 · UnknownModel 404 · UnknownTask 404 · NotAuthorised 401 · NotPermitted 403 · TooLarge 413 · OutputInvalid 422
├── LimitReached           a declared limit would be exceeded; nothing was sent (429)
│   └── QuotaReached       one of a key, tenant, user, workflow or model and period; `retry_after_s` says when it has room
├── LimitUnknown           a limit's count cannot be reached, and it is declared to be closed then (503)
├── Shed                   no room right now; try again after `retry_after_s` (429)
├── LedgerFull             calls cannot be accounted for, so none is made (503)
├── UpstreamError          a deployment failed (502)
│   ├── ConnectFailed · UpstreamTimeout · UpstreamStalled · UpstreamCut · BadReply
│   ├── CircuitOpen        it failed so often that it is left alone for `retry_after_s`; says what opened it (503)
│   └── UpstreamRefused    the vendor answered with an error status
│       ├── RateLimited · UpstreamAuth · UpstreamRejected
├── Exhausted              every candidate failed; `.errors` has one each (502)
├── DeadlineMissed         time ran out (504)
├── ToolError              a tool said no, or could not
│   ├── ToolTimeout · ToolArgumentsInvalid · ToolUnknown
├── SandboxRefused         foreign code cannot be isolated as demanded (503)
├── StoreUnavailable       the database is locked, full or gone (503)
└── Fenced                 another worker owns the task now; this one must write nothing
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from .money import Usage


class InterlockError(Exception):
    """Base of all; `str(error)` says what was wrong and where, `hint` what to do next."""

    status = 500
    code = "internal_error"
    retryable = False

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        stop = "" if self.message.endswith((".", "?", "!", ":")) else "."
        return f"{self.message}{stop} {self.hint}" if self.hint else self.message


class Fault(Struct, frozen=True):
    """One thing wrong in a file."""

    file: str
    line: int
    column: int
    key: str
    """Dotted path of the key, e.g. `agent.tools[1].timeout_ms`."""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        place = f":{self.line}:{self.column}" if self.line else ""
        where = f"{self.file}{place}: " if self.file else ""
        key = f"{self.key}: " if self.key else ""
        return f"{where}{key}{self.message}{' — ' + self.hint if self.hint else ''}"


class ConfigError(InterlockError):
    """The files cannot be used as they are; `.faults` lists everything that is wrong, not only the first."""

    status = 500
    code = "config_error"

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("\n".join(str(fault) for fault in faults) or "the configuration is invalid")
        self.faults = tuple(faults)


class RequestRefused(InterlockError):
    """The request is at fault; the same request will fail again."""

    status = 400
    code = "invalid_request"


class InvalidRequest(RequestRefused):
    """A field is missing, malformed or cannot be carried to the chosen model; `.param` names it."""

    def __init__(self, message: str, *, param: str = "", hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.param = param


class UnknownModel(RequestRefused):
    """No alias, model or provider of that name; the message names the nearest one."""

    status = 404
    code = "model_not_found"


class UnknownTask(RequestRefused):
    """There is no task of that id, or it belongs to somebody else."""

    status = 404
    code = "task_not_found"

    def __init__(self, task: str) -> None:
        super().__init__(f"there is no task {task!r}", hint="GET /api/tasks lists yours.")


class NotAuthorised(RequestRefused):
    """The key is missing or wrong."""

    status = 401
    code = "invalid_api_key"


class NotPermitted(RequestRefused):
    """The key is known, and may not do this."""

    status = 403
    code = "not_permitted"


class TooLarge(RequestRefused):
    """The request is larger than the gateway takes."""

    status = 413
    code = "request_too_large"


class OutputInvalid(RequestRefused):
    """No candidate produced an answer that satisfies the declared output schema."""

    status = 422
    code = "output_schema_violation"


class LimitReached(InterlockError):
    """A declared limit would be exceeded, so the call was not sent."""

    status = 429
    code = "limit_reached"

    def __init__(self, limit: str, *, used: int | float, asked: int | float, maximum: int | float) -> None:
        super().__init__(
            f"{limit} would be exceeded: {used} used or reserved, {asked} more asked for, {maximum} allowed",
            hint=f"Raise `{limit}` in the contract or in task_budgets, or make the task smaller.",
        )
        self.limit = limit
        self.used = used
        self.asked = asked
        self.maximum = maximum


class QuotaReached(LimitReached):
    """A rate limit or a budget of a period has no room for the call. `headers` are (name, limit, remaining, seconds until it is reset)."""

    code = "rate_limit_exceeded"
    retryable = True

    def __init__(
        self,
        limit: str,
        what: str,
        *,
        used: int | float,
        asked: int | float,
        maximum: int | float,
        retry_after_s: float,
        headers: Sequence[tuple[str, int, int, float]] = (),
        at_ns: int = 0,
        money: bool = False,
    ) -> None:
        super().__init__(limit, used=used, asked=asked, maximum=maximum)
        self.message = (
            f"the limit {limit!r} allows {_amount(maximum, money)} {what}: {_amount(used, money)} used or reserved, "
            f"{_amount(asked, money)} more asked for"
        )
        self.hint = f"Try again in {retry_after_s:.0f} s, or ask whoever keeps `limits` for more."
        self.retry_after_s = retry_after_s
        self.headers = tuple(headers)
        self.at_ns = at_ns
        if money:
            self.code = "insufficient_quota"


def _amount(number: float, money: bool) -> str:
    return f"${number / 1_000_000_000:.6f}".rstrip("0").rstrip(".") if money else f"{number:,}"


class LimitUnknown(InterlockError):
    """The count of a limit that is declared `on_store_loss: closed` cannot be reached, so the call is not sent."""

    status = 503
    code = "limit_store_unavailable"
    retryable = True
    retry_after_s = 1.0

    def __init__(self, limit: str, why: str) -> None:
        super().__init__(
            f"the count of the limit {limit!r} cannot be reached: {why}",
            hint="Mend the store, or declare `on_store_loss: open` for it.",
        )
        self.limit = limit


class Shed(InterlockError):
    """There is no room for the call now."""

    status = 429
    code = "overloaded"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message, hint=f"Try again in {retry_after_s:g} s.")
        self.retry_after_s = retry_after_s


class LedgerFull(InterlockError):
    """The store has been failing for so long that the bounded buffer of unsettled events is full."""

    status = 503
    code = "ledger_unavailable"
    retryable = True


class StoreUnavailable(InterlockError):
    """The store could not be written or read: locked, disk full, file gone or corrupt."""

    status = 503
    code = "store_unavailable"
    retryable = True


class UpstreamError(InterlockError):
    """A deployment did not answer as it should. `.deployment` says which, where it is known."""

    status = 502
    code = "upstream_error"
    retryable = True
    deployment = ""
    usage: Usage | None = None
    """What the vendor had billed for the failed answer, as far as it said so; `None` where it said nothing."""


class ConnectFailed(UpstreamError):
    """No connection could be made: refused, unreachable, name not found, TLS not trusted."""

    code = "upstream_unreachable"


class UpstreamTimeout(UpstreamError):
    """The first byte did not come in time."""

    status = 504
    code = "upstream_timeout"


class UpstreamStalled(UpstreamError):
    """An answer began and then stopped coming."""

    status = 504
    code = "upstream_stalled"


class UpstreamCut(UpstreamError):
    """The connection ended before the answer did."""

    code = "upstream_cut"


class BadReply(UpstreamError):
    """The bytes are not what the dialect says they should be."""

    code = "upstream_bad_reply"


class CircuitOpen(UpstreamError):
    """The deployment has failed so often that it is left alone for `retry_after_s`; nothing was sent.

    `cause` is the code of the error that it failed with last, and the message tells it with its age.
    """

    status = 503
    code = "upstream_circuit_open"

    def __init__(self, message: str, *, retry_after_s: float, cause: str = "") -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s
        self.cause = cause


class UpstreamRefused(UpstreamError):
    """The vendor answered with an error status; `.upstream_status` and `.body` hold it (the body is cut short)."""

    code = "upstream_refused"

    def __init__(
        self, message: str, *, upstream_status: int, body: str = "", retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.upstream_status = upstream_status
        self.body = body[:2000]
        self.retry_after_s = retry_after_s


class RateLimited(UpstreamRefused):
    """429 or its like; wait `retry_after_s` where the vendor said so."""

    status = 429
    code = "upstream_rate_limited"


class UpstreamAuth(UpstreamRefused):
    """The vendor does not accept our credential; another try will not help."""

    code = "upstream_credential_refused"
    retryable = False


class UpstreamRejected(UpstreamRefused):
    """The vendor finds the request itself at fault (400, 404, 413, 422); passed on to the caller."""

    status = 400
    code = "upstream_rejected"
    retryable = False


class Exhausted(InterlockError):
    """Every candidate of the plan failed; `.errors` lists the last error of each, in order."""

    status = 502
    code = "all_candidates_failed"
    retryable = True

    def __init__(self, errors: Sequence[InterlockError]) -> None:
        tried = "; ".join(f"{getattr(error, 'deployment', '') or 'candidate'}: {error.message}" for error in errors)
        super().__init__(f"every candidate failed: {tried or 'there was none to try'}")
        self.errors = tuple(errors)


class Overtaken(InterlockError):
    """A try that was given up because a second one, sent for the sake of the tail, answered first."""

    code = "overtaken"


class DeadlineMissed(InterlockError):
    """The call's own deadline passed."""

    status = 504
    code = "deadline_missed"


class ToolError(InterlockError):
    """A tool could not do what was asked; `code` is for the model and for flows, the message for people."""

    status = 422

    def __init__(self, code: str, message: str, *, hint: str = "", retryable: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.retryable = retryable


class ToolTimeout(ToolError):
    """The tool did not finish within its declared time."""

    def __init__(self, name: str, timeout_s: float) -> None:
        super().__init__("timeout", f"{name} did not finish within {timeout_s:g} s", retryable=True)


class ToolArgumentsInvalid(ToolError):
    """The arguments do not satisfy the tool's schema; the function was not run."""

    def __init__(self, name: str, faults: Sequence[str]) -> None:
        super().__init__("invalid_arguments", f"{name}: {'; '.join(faults)}", hint="Correct these and call again.")


class ToolUnknown(ToolError):
    """The contract does not list a tool of that name."""

    def __init__(self, name: str, known: Sequence[str]) -> None:
        super().__init__("unknown_tool", f"no tool {name!r} here", hint=f"Available: {', '.join(known) or 'none'}.")


class SandboxRefused(InterlockError):
    """The host cannot isolate foreign code as the configuration demands, so none is run."""

    status = 503
    code = "sandbox_refused"


class Fenced(InterlockError):
    """Another worker has taken the task over; whatever this one still holds must not be written."""

    code = "fenced"
