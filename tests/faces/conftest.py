from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anthropic
import pytest
import pytest_asyncio

from .clients import Face
from .every import FACES
from .house import KEY, House, house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def home(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    folder: Path = tmp_path_factory.mktemp("faces")
    async with house(folder) as up:
        yield up


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=list(FACES))
async def face(request: pytest.FixtureRequest, home: House) -> AsyncGenerator[Face]:
    client = FACES[request.param](home.url)
    yield client
    await client.close()


@pytest.fixture
async def claude(home: House) -> AsyncGenerator[Any]:
    """Anthropic's client at the address that both dialects share."""
    client = anthropic.AsyncAnthropic(api_key=KEY, base_url=home.url, max_retries=0)
    yield client
    await client.close()
