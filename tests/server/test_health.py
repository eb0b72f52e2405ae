"""What /healthz tells of an instance."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from interlock.ledger.health import Health
from interlock.server.health import health_of


@pytest.mark.parametrize(
    ("state", "breaker", "status"),
    [("ok", "closed", "ok"), ("behind", "closed", "degraded"), ("ok", "open", "degraded"), ("full", "closed", "down")],
)
def test_health_says_in_a_word_how_it_is_and_shows_the_parts(state: Any, breaker: str, status: str) -> None:
    il: Any = SimpleNamespace(
        ledger_health=lambda: Health(state=state, open=1, queued=2, queued_bytes=3, oldest_s=0.5),
        breakers=lambda: {"openai/m": breaker},
        semantic_scopes=list,
    )
    health = health_of(il)
    assert health["status"] == status
    assert health["ledger"]["queued"] == 2
    assert health["breakers"] == {"openai/m": breaker}
