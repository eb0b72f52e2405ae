"""The on-device tier as a provider."""

import asyncio
import random
import threading

import msgspec
import pytest

from interlock.core.chat import ChatRequest, Message
from interlock.core.errors import InvalidRequest
from interlock.core.ports import Deployment, Passage, PluginEnv, Understanding
from interlock.core.time import Deadline, SystemClock
from interlock.plugins.providers import local
from interlock.testing.conformance import failing


class Engine:
    def __init__(self):
        self.threads = set()

    def understand(self, text):
        self.threads.add(threading.get_ident())
        return Understanding("order_status", 0.97, accepted=True, threshold=0.9, runner_up="refund", reason=text)

    def find(self, question, intent=""):
        assert intent == "order_status"
        return Passage("shipping-times", "Shipping times", "Three days.", 0.8, good=True)


ASK = ChatRequest("m", (Message("system", "s"), Message("user", "Where is it?")))


def provider(**tier0):
    return local.build(PluginEnv(http=object(), clock=SystemClock(), rng=random.Random(1), tier0=tier0))  # pyright: ignore[reportArgumentType]


async def chat(workflow="support_reply", options=None, **tier0):
    deployment = Deployment("local", workflow, "local", options=options or {})
    return await provider(**tier0).chat(deployment, ASK, Deadline.after(SystemClock(), 60), "k")


async def test_it_answers_with_what_the_engine_understands_and_finds_off_the_event_loop():
    engine = Engine()
    response = await chat(support_reply=engine)
    said = msgspec.json.decode(response.text)
    assert (
        said.pop("passage").items()
        >= {
            "article": "shipping-times",
            "title": "Shipping times",
            "text": "Three days.",
            "score": 0.8,
            "good": True,
            "also": "",
        }.items()
    )
    assert said == {
        "intent": "order_status",
        "confidence": 0.97,
        "accepted": True,
        "threshold": 0.9,
        "runner_up": "refund",
        "reason": "Where is it?",
    }
    assert response.confidence == 0.97
    assert response.usage.compute_ms >= 1
    assert not response.simulated
    assert threading.get_ident() not in engine.threads


async def test_passages_can_be_left_out():
    response = await chat(options={"passages": False}, support_reply=Engine())
    assert msgspec.json.decode(response.text)["passage"] is None


async def test_a_workflow_without_an_engine_is_named_with_those_that_have_one():
    error = await failing(chat("refunds", support_reply=Engine()))
    assert isinstance(error, InvalidRequest)
    assert "refunds" in error.message
    assert "support_reply" in error.hint


@pytest.mark.parametrize("at_once", [8])
async def test_concurrent_calls_are_answered(at_once):
    replies = await asyncio.gather(*(chat(support_reply=Engine()) for _ in range(at_once)))
    assert len(replies) == at_once
