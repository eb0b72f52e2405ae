"""What the files say of resilience reaches the gateway, and what names nothing is a fault."""

import re
from pathlib import Path

import pytest

from interlock.app import policy
from interlock.config.load import load
from interlock.core.errors import ConfigError
from interlock.gateway.settings import Settings
from interlock.gateway.terms import Balance, InputCap, Shaping

PAGE = Path(__file__).resolve().parents[2] / "docs" / "resilience.md"


def settings_of(text, tmp_path):
    path = tmp_path / "interlock.yaml"
    path.write_text(text)
    return policy.settings_of(load(path, {"OPENAI_API_KEY": "k"}))


@pytest.mark.requirement("GW-13", "GW-18", "GW-32")
def test_the_pages_example_is_valid_and_means_what_it_says(tmp_path):
    example = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), re.DOTALL)[0]
    settings = settings_of(example, tmp_path)
    assert settings.timeout_s == 120.0
    assert settings.hedging is not None
    assert settings.balance == {"support": Balance("latency")}
    assert settings.input_caps == {"support_reply": InputCap(8_000, "summarise", "openai/gpt-4o-mini")}
    assert settings.shaping == {"support_reply": Shaping(max_output_tokens=600, temperature=0.0)}
    assert settings.priorities == {"support_reply": "high", "nightly": "low"}


def test_the_defaults_of_the_files_are_the_gateways_own(tmp_path):
    settings = settings_of("tenant: a\n", tmp_path)
    own = Settings()
    for name in (
        "timeout_s",
        "retrying",
        "breaking",
        "admission",
        "hedging",
        "ejecting",
        "continuing",
        "balance",
        "shaping",
        "input_caps",
    ):
        assert getattr(settings, name) == getattr(own, name), name


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("routing: {balance: {suport: {by: cost}}}", "no alias 'suport'"),
        ("routing: {balance: {support: {by: weights, weights: {openai/gpt-4: 2}}}}", "holds no model"),
        ("shaping: {x: {input_cap: {tokens: 10, then: summarise, model: nobody}}}", "no alias or model 'nobody'"),
        ("shaping: {x: {input_cap: {tokens: 10, then: summarise}}}", "expected `model` beside `then: summarise`"),
        ("shaping: {x: {input_cap: {tokens: 10, model: support}}}", "expected `model` beside `then: summarise`"),
        ("resilience: {hedging: {enabled: true, share: 200%}}", "share"),
        ("resilience: {retries: {max_tries: 11}}", "max_tries"),
        ("resilience: {circut: {}}", "circuit"),
    ],
)
def test_what_names_nothing_or_cannot_be_is_a_fault_at_its_place(text, said, tmp_path):
    with pytest.raises(ConfigError) as wrong:
        settings_of(f"models: {{support: [openai/gpt-4o-mini]}}\n{text}\n", tmp_path)
    (fault,) = [each for each in wrong.value.faults if said in str(each)]
    assert fault.line == 2
