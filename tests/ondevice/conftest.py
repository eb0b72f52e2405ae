"""The embedding model, loaded once for all tests of the room."""

import pytest

from interlock.ondevice.embed import MiniLM


@pytest.fixture(scope="session")
def model() -> MiniLM:
    return MiniLM.load(threads=1)
