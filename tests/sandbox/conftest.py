"""A sandbox per test, closed after it; tests that need one skip openly where the host cannot isolate."""

from collections.abc import AsyncIterator

import pytest

from interlock.sandbox.local import LocalSandbox

from . import kit


@pytest.fixture
async def sandbox() -> AsyncIterator[LocalSandbox]:
    kit.require_namespaces()
    made = kit.make()
    yield made
    await made.close()
