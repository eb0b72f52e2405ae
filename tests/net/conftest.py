"""The client under test, closed afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from interlock.net import PooledClient

from .kit import CLOCK


@pytest.fixture
async def client() -> AsyncIterator[PooledClient]:
    made = PooledClient(CLOCK)
    yield made
    await made.close()
