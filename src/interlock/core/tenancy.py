"""The current tenant as a context variable, by which a store restricts every query to that tenant's rows (row-level security).

Above: server, which says it at its doors; storage, which keeps to it. Below: the standard library. What a request begins (threads, tasks) is done for the same tenant; what
the server does by itself is done for nobody in particular, and sees everything.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar

EVERYBODY = "*"
_acting: ContextVar[str] = ContextVar("interlock_tenant", default=EVERYBODY)


def acting_for() -> str:
    """The tenant; `EVERYBODY` where nobody has said one."""
    return _acting.get()


def act_for(tenant: str) -> None:
    """From here on, in this task and whatever it begins."""
    _acting.set(tenant or EVERYBODY)


@contextmanager
def acting_for_everybody() -> Generator[None]:
    """For the block: what is shared by all tenants is read, whoever happened to ask first."""
    was = _acting.set(EVERYBODY)
    try:
        yield
    finally:
        _acting.reset(was)
