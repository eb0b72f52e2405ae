from collections.abc import Callable, Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from interlock.core.errors import ConfigError, Fault

AGENT = """\
    agent:
      model: support
      inputs: {text: string, account_tier: string?}
      tools:
        - {name: orders.get, timeout_ms: 800}
        - {name: payments.refund, requires_human_approval: "amount_usd > 50"}
      tier0: {intents: intents/support.yaml, knowledge: kb}
      flows:
        order_status:
          slots: {order_id: {type: order_id, pattern: "[A-Z]{2}-[0-9]{5}"}}
          steps:
            - {call: orders.get, with: {order_id: "{order_id}"}, as: order}
            - {when: "order.status == 'shipped'", answer: "It is on its way, {order.id}.", cite: [shipping]}
            - {answer: "It is being packed."}
    """
SMALL = {
    "interlock.yaml": "models:\n  support: {small: [simulated/small], mid: [simulated/mid]}\n",
    "agents/support.yaml": AGENT,
    "intents/support.yaml": "order_status: {examples: [where is it]}\nout_of_scope: {examples: [a joke]}\n",
    "kb/shipping.md": "---\nid: shipping\ntitle: Shipping\nintents: [order_status]\n---\nThree days.\n",
    "tools.py": dedent("""\
        @tool(name="orders.get")
        def get(order_id: str): ...

        @tool("payments.refund")
        async def refund(order_id: str, amount_usd: float, ctx): ...
        """),
}
"""The smallest workspace that uses everything."""


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Writes files below a folder and returns it."""

    def files(texts: Mapping[str, str]) -> Path:
        for name, text in texts.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text), encoding="utf-8")
        return tmp_path

    return files


@pytest.fixture
def faults_of(write) -> Callable[..., list[Fault]]:
    """What is wrong with the small workspace when some of its files are replaced."""
    from interlock.config.load import load

    def faults(texts: Mapping[str, str], env: Mapping[str, str] | None = None) -> list[Fault]:
        with pytest.raises(ConfigError) as caught:
            load(write({**SMALL, **texts}), env or {})
        return list(caught.value.faults)

    return faults
