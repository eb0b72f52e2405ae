"""Every provider that speaks HTTP against a local server of its vendor's wire."""

import random

import pytest
from msgspec import structs

from interlock.core import plugins
from interlock.core.caller import Secret
from interlock.core.errors import UpstreamTimeout
from interlock.core.ports import Deployment, PluginEnv
from interlock.core.time import SystemClock
from interlock.net.client import PooledClient
from interlock.testing import conformance
from interlock.testing.conformance import Subject
from interlock.testing.upstream import Answer, Upstream
from interlock.testing.vendors import Vendor

MODELS = {"openai": "gpt-4o-mini", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-2.5-flash"}


@pytest.fixture(params=list(MODELS))
async def subject(request):
    dialect = request.param
    vendor = Upstream(api_key="sk-test") if dialect == "openai" else Vendor(dialect, api_key="sk-test")
    http = PooledClient(SystemClock())
    async with vendor:
        module = plugins.find("providers", dialect)
        assert module is not None
        deployment = Deployment(
            provider=dialect,
            model=MODELS[dialect],
            dialect=dialect,
            base_url=vendor.base_url,
            api_key=Secret("sk-test"),
            stall_s=0.2,
        )

        def script(answer):
            vendor.script = lambda _asked: answer

        env = PluginEnv(http=http, clock=SystemClock(), rng=random.Random(1), tier0={})
        yield Subject(module.build(env), deployment, SystemClock(), script, lambda: vendor.asked[-1])
        await http.close()


@pytest.mark.requirement("GW-07")
@pytest.mark.parametrize("case", conformance.CASES, ids=lambda case: case.__name__)
async def test_every_provider_keeps_to_the_conformance_suite(case, subject):
    await case(subject)


async def test_a_stream_that_does_not_begin_in_the_deployments_time_is_given_up(subject):
    subject.script(Answer(delay_s=60.0))
    hasty = structs.replace(subject, deployment=structs.replace(subject.deployment, timeout_s=0.3, stall_s=5.0))
    error = await conformance.failing(hasty.streamed(conformance.plain()))
    assert isinstance(error, UpstreamTimeout), repr(error)
