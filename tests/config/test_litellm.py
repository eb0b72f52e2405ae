"""LiteLLM's config files, as its documentation writes them, come over in one command; what does not is said, key by key."""

import json
from pathlib import Path

import pytest
import yaml

from interlock.app import policy
from interlock.cli.main import main
from interlock.config.litellm import convert
from interlock.config.load import load
from interlock.core.errors import ConfigError

FILES = Path(__file__).with_name("litellm")
NAMES = ("balanced", "grown", "local", "mixed", "wildcards")
ENV = {
    "AZURE_API_KEY_EU": "a",
    "AZURE_API_KEY_CA": "b",
    "ANTHROPIC_API_KEY": "c",
    "MISTRAL_API_KEY": "d",
    "VLLM_BASE": "http://gpu:8000/v1",
}


def brought(name, tmp_path):
    imported = convert((FILES / f"{name}.yaml").read_text(), f"{name}.yaml")
    path = tmp_path / "interlock.yaml"
    path.write_text(imported.text(f"{name}.yaml"))
    return imported.report, load(path, ENV)


def fates(report):
    return {item.key: item.fate for item in report.items}


@pytest.mark.parametrize("name", NAMES)
def test_every_file_comes_over_as_one_that_is_valid_with_and_without_its_variables(name, tmp_path, capsys):
    out = tmp_path / "interlock.yaml"
    assert main(["import", "litellm", str(FILES / f"{name}.yaml"), "--out", str(out)]) == 0
    assert "it is valid" in capsys.readouterr().out
    assert main(["check", str(out)]) == 0
    load(out, ENV)


@pytest.mark.parametrize("name", NAMES)
def test_no_credential_in_clear_is_written_or_shown(name, tmp_path, capsys):
    out = tmp_path / "interlock.yaml"
    main(["import", "litellm", str(FILES / f"{name}.yaml"), "--out", str(out), "--json"])
    said = capsys.readouterr().out + out.read_text()
    for secret in ("hunter2-in-clear", "sk-proj-written-in-clear-0123456789", "sk-1234"):
        assert secret not in said


@pytest.mark.parametrize("name", NAMES)
def test_every_key_of_the_file_is_accounted_for(name, tmp_path):
    report, _ = brought(name, tmp_path)
    said = " ".join(item.key for item in report.items)
    sections = yaml.safe_load((FILES / f"{name}.yaml").read_text())
    for at in range(len(sections["model_list"])):
        assert f"model_list[{at}]" in said
    companions = {"cache_params", "budget_duration", "redis_port", "redis_password", "redis_host"}
    for where in ("litellm_settings", "router_settings", "general_settings"):
        for key in sections.get(where, {}):
            assert key in said or key in companions, f"{where}.{key}"


def test_deployments_of_one_name_share_its_calls_and_fallbacks_stand_in(tmp_path):
    report, workspace = brought("balanced", tmp_path)
    tiers = policy.tiers_of(workspace.settings)("gpt-4o")
    assert [[each.name for each in tier.deployments] for tier in tiers] == [
        ["azure-my-endpoint-europe-1234/gpt-4o-eu", "azure-my-endpoint-canada-1234/gpt-4o-ca"],
        ["anthropic/claude-sonnet-4-5-20250929"],
    ]
    eu, canada = tiers[0].deployments
    assert (eu.base_url, eu.requests_per_minute) == ("https://my-endpoint-europe-1234.openai.azure.com/openai/v1", 6)
    assert (canada.tokens_per_minute, canada.api_key.reveal()) == (240_000, "b")
    settings = policy.settings_of(workspace)
    balance = settings.balance["gpt-4o"]
    assert (balance.by, balance.weights[canada.name] / balance.weights[eu.name]) == ("weights", 240)
    assert (settings.retrying.max_tries, settings.timeout_s, settings.breaking.cool_s) == (4, 120.0, 30.0)
    assert settings.shaping["mistral-small"].max_output_tokens == 800
    assert policy.tiers_of(workspace.settings)("gpt-4")[0].deployments == tiers[0].deployments
    assert fates(report)["model_list[5]"] == "left", "images are not served"
    assert workspace.settings.redis.url.reveal() == "redis://:@127.0.0.1:6379/0"


def test_servers_of_ones_own_keep_their_address_their_price_and_need_no_key(tmp_path):
    _, workspace = brought("local", tmp_path)
    (vllm,) = policy.tiers_of(workspace.settings)("own-price")[0].deployments
    assert (vllm.base_url, vllm.max_concurrent, vllm.dialect) == ("http://gpu:8000/v1", 20, "openai")
    price = workspace.settings.prices[vllm.name].rates
    assert (price.input, price.output) == (400_000_000, 1_600_000_000)
    (opt,) = policy.tiers_of(workspace.settings)("vllm-models")[0].deployments
    assert opt.model == "facebook/opt-125m"
    assert policy.unusable(workspace.settings)(opt) == ""
    assert len(policy.tiers_of(workspace.settings)("zephyr-beta")[0].deployments) == 2
    assert policy.settings_of(workspace).balance["zephyr-beta"].by == "latency"


def test_what_has_no_counterpart_is_left_with_its_reason(tmp_path):
    report, workspace = brought("wildcards", tmp_path)
    reasons = {item.key: item.said for item in report.of("left")}
    assert "'bedrock'" in reasons["model_list[3]"]
    assert "vertex_ai" in reasons["model_list[4]"]
    assert set(report.secrets) == {"OPENAI_2_API_KEY", "LITELLM_MASTER_KEY"}
    assert workspace.settings.routing.default_model == "team-b"
    assert [(each.nano_usd, each.period) for each in workspace.settings.limits] == [(100_000_000_000, "month")]


def test_a_file_that_is_there_is_not_written_over(tmp_path, capsys):
    out = tmp_path / "interlock.yaml"
    out.write_text("tenant: mine\n")
    assert main(["import", "litellm", str(FILES / "local.yaml"), "--out", str(out)]) == 3
    assert "--force" in capsys.readouterr().err
    assert out.read_text() == "tenant: mine\n"
    assert main(["import", "litellm", str(FILES / "local.yaml"), "--out", str(out), "--force", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ok"] is True


@pytest.mark.parametrize(
    "text", ["", "a: [", "model_list: 3", "providers: {}", "- x", "model_list: [1, {}, {model_name: x}]"]
)
def test_what_is_no_config_of_theirs_is_a_clear_error_or_an_empty_one(text):
    try:
        imported = convert(text, "config.yaml")
    except ConfigError as error:
        told = str(error)
    else:
        told = "config.yaml"
        assert imported.document == {}
        assert len(imported.report.of("left")) == 3
    assert "config.yaml" in told


def test_what_yaml_takes_for_a_text_is_a_price_all_the_same(tmp_path):
    _, workspace = brought("mixed", tmp_path)
    price = workspace.settings.prices["groq/llama3-8b-8192"]
    assert (price.input_nano_usd, price.output_nano_usd) == (50_000_000, 80_000_000)


def test_merged_blocks_and_numbers_in_quotes_are_read(tmp_path):
    report, workspace = brought("grown", tmp_path)
    assert fates(report)["model_list[4]"] == fates(report)["model_list[5]"] == "left", (
        "nothing here speaks to those vendors yet"
    )
    tiers = policy.tiers_of(workspace.settings)("gpt-4o")
    assert [[each.name for each in tier.deployments] for tier in tiers] == [
        ["azure/gpt-4o-eu", "openai/gpt-4o"],
        ["anthropic-2/claude-3-5-sonnet-20241022"],
    ]
    assert workspace.settings.resilience.retries.max_tries == 4
