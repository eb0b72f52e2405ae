"""Rules choose the model by everything that may be known of a call before it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlock.app import Interlock
from interlock.core.caller import Caller
from interlock.testing.upstream import Answer, Upstream

FILES = """\
workspace: rules
tenant: acme
store: interlock.db
providers: {{v: {{dialect: openai, base_url: "{url}", api_key: k}}}}
models: {{support: {{small: [v/small], premium: [v/premium]}}}}
routing:
  escalate_if:
    - {{condition: "{condition}", model: premium}}
"""
CALLER = Caller("acme", workflow="support_reply")


@pytest.mark.requirement("GW-13")
@pytest.mark.parametrize(
    ("condition", "fits", "does_not"),
    [
        ("task_type in ['legal', 'refund']", {"task_type": "refund"}, {"task_type": "chat"}),
        ("account_tier == 'enterprise'", {"account_tier": "enterprise"}, {"account_tier": "free"}),
        ("sentiment == 'angry'", {"sentiment": "angry"}, {"sentiment": "calm"}),
        ("risk >= 0.7", {"risk": 0.9}, {"risk": 0.1}),
        ("region == 'eu'", {"region": "eu"}, {"region": "us"}),
        ("language not in ['en']", {"language": "nb"}, {"language": "en"}),
        ("intent == 'cancel'", {"intent": "cancel"}, {"intent": "hello"}),
        ("workflow == 'support_reply' and risk > 0", {"risk": 1}, {"risk": 0}),
        ("not (risk < 0.5 or account_tier == 'free')", {"risk": 0.5, "account_tier": "pro"}, {"risk": 0.4}),
    ],
)
async def test_a_condition_on_anything_known_before_the_call_chooses_its_model(
    tmp_path: Path, condition: str, fits: dict[str, Any], does_not: dict[str, Any]
) -> None:
    async with Upstream(Answer(text="Yes.")) as vendor:
        (tmp_path / "interlock.yaml").write_text(FILES.format(url=vendor.base_url, condition=condition))
        async with Interlock.from_file(tmp_path) as il:
            chosen = await il.chat("support", "May I?", caller=CALLER, facts=fits)
            usual = await il.chat("support", "May I?", caller=CALLER, facts=does_not)
            unknown = await il.chat("support", "May I?", caller=CALLER)
    assert chosen.settled.deployment == "v/premium"
    assert condition in " ".join(chosen.settled.reasons)
    assert usual.settled.deployment == "v/small"
    assert unknown.settled.deployment == "v/small", "what nobody said is no reason to spend more"


@pytest.mark.requirement("GW-13")
@pytest.mark.parametrize(
    ("condition", "deployment"),
    [
        ("latency_budget_ms > 5000", "v/premium"),
        ("latency_budget_ms > 50000", "v/small"),
        ("latency_budget_ms > 5000 and cost_usd < 0.5", "v/premium"),
        ("latency_budget_ms > 5000 and cost_usd > 0.5", "v/small"),
    ],
)
async def test_the_time_and_the_money_that_a_call_has_choose_its_model(
    tmp_path: Path, condition: str, deployment: str
) -> None:
    """A dearer, slower model where there is time for it; what the call has cost before is known to the rule."""
    async with Upstream(Answer(text="Yes.")) as vendor:
        files = FILES.format(url=vendor.base_url, condition=condition)
        (tmp_path / "interlock.yaml").write_text(f"{files}resilience: {{timeout_s: 30}}\n")
        async with Interlock.from_file(tmp_path) as il:
            reply = await il.chat("support", "May I?", caller=CALLER)
    assert reply.settled.deployment == deployment


@pytest.mark.requirement("GW-13")
async def test_a_long_input_is_known_before_the_call_too(tmp_path: Path) -> None:
    async with Upstream(Answer(text="Yes.")) as vendor:
        files = FILES.format(url=vendor.base_url, condition="input_tokens > 1000")
        (tmp_path / "interlock.yaml").write_text(files)
        async with Interlock.from_file(tmp_path) as il:
            long = await il.chat("support", "word " * 3_000, caller=CALLER)
            short = await il.chat("support", "May I?", caller=CALLER)
    assert long.settled.deployment == "v/premium"
    assert short.settled.deployment == "v/small"
