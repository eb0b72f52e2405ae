from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from .clients import Face
from .every import FACES
from .house import House, house


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
