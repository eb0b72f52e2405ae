"""The conformance suite itself: providers that cheat do not pass it."""

import random
from contextlib import aclosing

import pytest
from msgspec import structs

from interlock.core.caller import Secret
from interlock.core.errors import UpstreamCut, UpstreamRefused
from interlock.core.money import Usage
from interlock.core.ports import Deployment, PluginEnv
from interlock.core.time import SystemClock
from interlock.net.client import PooledClient
from interlock.plugins.providers.openai import OpenAI
from interlock.testing import conformance
from interlock.testing.conformance import Subject
from interlock.testing.upstream import Upstream


class Forgetful(OpenAI):
    """Counts cached input inside the input as well."""

    async def chat(self, deployment, request, deadline, key):
        response = await super().chat(deployment, request, deadline, key)
        usage = response.usage
        return structs.replace(response, usage=structs.replace(usage, input=usage.input + usage.cache_read))


class Silent(OpenAI):
    """Ends a broken stream as if it were whole."""

    async def stream(self, deployment, request, deadline, key):
        try:
            async with aclosing(super().stream(deployment, request, deadline, key)) as pieces:
                async for chunk in pieces:
                    yield chunk
        except UpstreamCut:
            return


class Vague(OpenAI):
    """Says of every error that it is the vendor's."""

    async def chat(self, deployment, request, deadline, key):
        try:
            return await super().chat(deployment, request, deadline, key)
        except UpstreamRefused as error:
            raise UpstreamRefused("something went wrong", upstream_status=error.upstream_status) from error


class Unmetered(OpenAI):
    """Streams without usage."""

    async def stream(self, deployment, request, deadline, key):
        async with aclosing(super().stream(deployment, request, deadline, key)) as pieces:
            async for chunk in pieces:
                yield structs.replace(chunk, usage=Usage() if chunk.usage else None)


@pytest.mark.parametrize(
    ("cheat", "case"),
    [
        (Forgetful, conformance.answers_with_text_and_usage),
        (Silent, conformance.a_cut_is_named),
        (Vague, conformance.says_which_status_it_was),
        (Unmetered, conformance.streams_the_same_text_and_usage),
    ],
)
async def test_a_provider_that_cheats_is_found_out(cheat, case):
    http = PooledClient(SystemClock())
    async with Upstream(api_key="sk-test") as vendor:
        at = Deployment("openai", "gpt-4o-mini", "openai", vendor.base_url, Secret("sk-test"), stall_s=0.2)

        def script(answer):
            vendor.script = lambda _asked: answer

        env = PluginEnv(http=http, clock=SystemClock(), rng=random.Random(1), tier0={})
        with pytest.raises(AssertionError):
            await case(Subject(cheat(env), at, SystemClock(), script, lambda: vendor.asked[-1]))
        await http.close()
