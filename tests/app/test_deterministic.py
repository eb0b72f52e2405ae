"""A deterministic agent: pinned versions, temperature 0, a seed; the same input is answered from the exact cache, or a difference is told."""

from __future__ import annotations

from collections import Counter

import pytest

from interlock.app import Interlock, open_reading
from interlock.testing.upstream import Answer, Asked, Upstream

from .conftest import TOOLS, Folder

pytestmark = pytest.mark.requirement("AG-12")
CONTRACT = """\
agent:
  name: order
  model: openai/gpt-4.1
  deterministic: {seed: 7}
  tools: [{name: inventory.lookup}]
"""


class Fickle:
    """A vendor that never says the same twice."""

    def __init__(self) -> None:
        self.said = Counter[str]()

    def __call__(self, asked: Asked) -> Answer:
        if not any(each["role"] == "tool" for each in asked.body["messages"]):
            return Answer(tool_calls=(("inventory_lookup", '{"sku": "A1"}'),))
        self.said["text"] += 1
        return Answer(text=f"Three are there, said {self.said['text']} times.")


def folder_of(root, settings: str = "") -> Folder:
    made = Folder(root)
    made.write("interlock.yaml", f"workspace: same\n{settings}")
    made.write("agents/order.yaml", CONTRACT)
    made.write("tools.py", TOOLS)
    return made


async def twice(folder: Folder, upstream: Upstream):
    folder.provider("openai", upstream.base_url)
    async with Interlock.from_file(folder.root) as il:
        results = [await il.run("order", {"text": "is A1 there?"}) for _ in range(2)]
    with open_reading(folder.root) as reading:
        traces = [reading.trace(each.task) for each in results]
    return results, traces


async def test_with_the_exact_cache_the_same_input_has_the_same_output_though_the_vendor_would_say_another(tmp_path):
    folder = folder_of(tmp_path, "caching: {exact_cache: {enabled: true, backend: store}}\n")
    async with Upstream(Fickle()) as upstream:
        (first, again), (trace, other) = await twice(folder, upstream)
        assert {(each.body["temperature"], each.body["seed"]) for each in upstream.asked} == {(0.0, 7)}
        assert len(upstream.asked) == 2, "the second task asked nobody"
    assert (first.outcome, again.outcome) == ("resolved", "resolved")
    assert again.answer == first.answer
    assert trace is not None
    assert other is not None
    assert trace.versions == other.versions
    assert "answer_differs" not in repr(other)


async def test_without_it_a_difference_is_told_in_the_trace(tmp_path):
    folder = folder_of(tmp_path)
    async with Upstream(Fickle()) as upstream:
        (first, again), (trace, other) = await twice(folder, upstream)
        assert len(upstream.asked) == 4
    assert again.answer != first.answer
    assert "answer_differs" not in repr(trace)
    assert "answer_differs" in repr(other)
    assert "otherwise than step" in repr(other)
