"""Schemas, patterns, models, versions, tool names: each small module by itself."""

import re
import time
from textwrap import dedent

import pytest

from interlock.config import patterns
from interlock.config.flow import SLOT_TEXT_CHARS
from interlock.config.jsonschema import SchemaInvalid, Validator
from interlock.config.load import load
from interlock.config.models import ModelRef, deployment, escalation_target, ref_of, tiers_of, usable
from interlock.config.tool_names import declared_tools
from interlock.core.errors import ConfigError, UnknownModel

from .conftest import AGENT, SMALL

# --- JSON Schema --------------------------------------------------------------------------------------------------

SCHEMA = {
    "type": "object",
    "properties": {
        "items": {"type": "array", "items": {"type": "object", "properties": {"sku": {"type": "string"}}}},
        "on": {"format": "date"},
    },
    "required": ["answer"],
}


def test_faults_of_a_value_name_their_paths():
    faults = Validator(SCHEMA).faults({"items": [{"sku": 7}], "on": "tomorrow"})

    assert [fault.split(":")[0] for fault in faults] == ["$.items[0].sku", "$.on", "$"] or len(faults) == 3
    assert any(fault.startswith("$.items[0].sku: ") for fault in faults)
    assert any("answer" in fault for fault in faults)
    assert Validator(SCHEMA).faults({"answer": "x"}) == []
    assert Validator(SCHEMA).faults({"answer": "x"}) == []


def test_faults_of_one_value_are_bounded():
    faults = Validator({"items": {"type": "string"}}).faults(list(range(1000)))

    assert len(faults) == 21


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objec"},
        {"$ref": "http://127.0.0.1:9/x"},
        {"$ref": "file:///etc/passwd"},
        {"pattern": "("},
        {"$ref": "#/$defs/none"},
    ],
)
def test_a_schema_that_is_wrong_or_points_outside_is_refused(schema):
    with pytest.raises(SchemaInvalid):
        Validator(schema)


# --- Patterns -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "(a+)+x",
        r"(\d|\d\d)*x",
        r"\s*\s*\s*x",
        r"(a|a)*b",
        r"(.*)(.*)x".replace("(.*)", ".*"),
        r"(?:\w+\s?){1,30}x",
        r"(a)\1",
        "(?:a{0,50}){1,50}x",
    ],
)
def test_a_pattern_that_a_text_could_make_slow_is_refused(text):
    with pytest.raises(ValueError, match="could take very long"):
        patterns.checked_pattern(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(", "not a regular expression"),
        ("a*", "matches the empty text"),
        ("(a)(b)", "at most one group"),
        ("a" * 301, "at most 300"),
    ],
)
def test_a_pattern_that_makes_no_sense_is_refused(text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        patterns.checked_pattern(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"[A-Z]{2}-\d{5}", "fh-10234"),
        (r"(?i)\bfh[\s\-#.:]{0,4}\d{5}\b", "fh 10234"),
        (r"[\w.+-]+@", "jo.do@"),
        (r"(?:order|no\.?)\s{0,3}(\d{4,12})", "order 10234"),
    ],
)
def test_ordinary_patterns_are_taken_and_fast_on_hostile_texts(text, found):
    pattern = patterns.checked_pattern(text)
    match = pattern.search(f"my {found} please")
    assert match is not None
    assert match[0] == found

    started = time.process_time()
    for hostile in ("a" * SLOT_TEXT_CHARS, "order " * 600, "1" * SLOT_TEXT_CHARS, "fh " * 1300):
        pattern.search(hostile[:SLOT_TEXT_CHARS])
    assert time.process_time() - started < 10


# --- Models -------------------------------------------------------------------------------------------------------


@pytest.fixture
def settings(write):
    text = """\
        models: {support: {small: [gpt-4o-mini, mine/meta/llama-3], mid: openai/gpt-4o}, one: [claude-3-5-haiku]}
        providers: {mine: {dialect: openai, base_url: "http://127.0.0.1:8000/v1/", api_key: "${K}", timeout_s: 5, models: ["llama*", "gpt-oss*"]}}
        """
    return load(
        write({"interlock.yaml": text}), {"K": "a-secret-9", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    ).settings


def test_names_become_tiers_of_models_in_order(settings):
    small, mid = tiers_of(settings, "support")

    assert (small.name, [ref.name for ref in small.models]) == ("small", ["openai/gpt-4o-mini", "mine/meta/llama-3"])
    assert mid.models == (ModelRef("openai", "gpt-4o"),)
    assert tiers_of(settings, "one")[0].models == (ModelRef("anthropic", "claude-3-5-haiku"),)
    assert [tier.name for tier in tiers_of(settings, "gemini-2.5-flash")] == [""]


def test_a_rule_names_a_tier_of_the_alias_an_alias_or_a_model(settings):
    assert escalation_target(settings, "mid", "support")[0].models[0].name == "openai/gpt-4o"
    assert [tier.name for tier in escalation_target(settings, "one", "support")] == ["default"]
    assert escalation_target(settings, "o3", "support")[0].models[0].provider == "openai"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("suport", "Did you mean 'support'?"),
        ("opnai/gpt-4o", "Did you mean 'openai'?"),
        ("gpt-oss-20b", "Write openai/gpt-oss-20b or mine/gpt-oss-20b."),
        ("", "no alias or model ''"),
    ],
)
def test_a_name_that_stands_for_nothing_names_the_nearest(settings, name, said):
    with pytest.raises(UnknownModel, match=re.escape(said)):
        tiers_of(settings, name)


def test_a_deployment_carries_what_its_provider_says(settings):
    built = deployment(settings, ref_of(settings, "mine/x"), "small")

    assert (built.name, built.base_url, built.timeout_s, built.tier) == (
        "mine/x",
        "http://127.0.0.1:8000/v1",
        5,
        "small",
    )
    assert built.api_key.reveal() == "a-secret-9"
    assert "a-secret-9" not in repr(settings)
    assert usable(settings, ref_of(settings, "mine/x"))
    assert not usable(settings, ref_of(settings, "gpt-4o"))
    assert settings.providers["openai"].base_url == "http://127.0.0.1:1/v1"


# --- Versions -----------------------------------------------------------------------------------------------------


def versions(write, **texts):
    changed = {name.replace("__", "/").replace("_dot_", "."): text for name, text in texts.items()}
    return load(write({**SMALL, **changed}), {}).agent("support").versions


@pytest.mark.requirement("EV-01")
def test_versions_follow_what_the_files_say_and_not_how(write):
    before = versions(write)
    commented = "# a comment\n" + SMALL["interlock.yaml"] + "server: {port: 1}\n"

    assert versions(write, interlock_dot_yaml=commented) == before
    assert re.fullmatch(r"[0-9a-f]{12}", before.contract)
    assert before.prompt == ""


@pytest.mark.requirement("EV-01")
@pytest.mark.parametrize(
    ("file", "text", "changed"),
    [
        ("interlock.yaml", SMALL["interlock.yaml"] + "caching: {exact_cache: {enabled: true}}\n", {"policy"}),
        ("interlock.yaml", SMALL["interlock.yaml"] + "task_budgets: {support: {max_steps: 3}}\n", {"policy"}),
        ("interlock.yaml", SMALL["interlock.yaml"] + "pii: {}\n", {"policy"}),
        ("interlock.yaml", SMALL["interlock.yaml"] + "guards: {moderation: {after: [rules]}}\n", {"policy"}),
        ("interlock.yaml", SMALL["interlock.yaml"] + "shaping: {support: {temperature: 0}}\n", {"policy"}),
        ("interlock.yaml", SMALL["interlock.yaml"].replace("simulated/mid", "simulated/other"), {"route"}),
        ("agents/support.yaml", AGENT.replace("> 50", "> 60"), {"contract"}),
        (
            "agents/support.yaml",
            AGENT.replace("model: support", "model: support\n      prompt: prompts/p.md"),
            {"contract", "prompt"},
        ),
        ("kb/shipping.md", SMALL["kb/shipping.md"].replace("Three", "Four"), {"contract"}),
        ("intents/support.yaml", SMALL["intents/support.yaml"].replace("a joke", "a poem"), {"contract"}),
    ],
)
def test_each_change_shows_in_the_version_of_its_kind(write, file, text, changed):
    write({"prompts/p.md": "Be kind."})
    before = load(write(SMALL), {}).agent("support").versions
    after = load(write({file: text}), {}).agent("support").versions

    assert {name for name in before.__struct_fields__ if getattr(before, name) != getattr(after, name)} == changed


@pytest.mark.requirement("EV-01")
def test_a_changed_prompt_has_another_version_and_a_changed_key_has_not(write):
    text = AGENT.replace("model: support", "model: support\n      prompt: prompts/p.md")
    root = write({**SMALL, "agents/support.yaml": text, "prompts/p.md": "Be kind."})
    one = load(root, {"OPENAI_API_KEY": "a"}).agent("support").versions
    other_key = load(root, {"OPENAI_API_KEY": "b"}).agent("support").versions
    write({"prompts/p.md": "Be brief."})
    two = load(root, {}).agent("support").versions

    assert one == other_key
    assert one.prompt != two.prompt
    assert (one.contract, one.policy, one.route) == (two.contract, two.policy, two.route)


# --- The rest of a workspace --------------------------------------------------------------------------------------


def test_policies_are_joined_section_by_section(write):
    workspace = load(
        write(
            {
                **SMALL,
                "policies/a.yaml": "models: {drafts: [simulated/x]}",
                "policies/b.yaml": "CACHING: {exact_cache: {enabled: true}}",
            }
        ),
        {},
    )

    assert set(workspace.settings.models) == {"support", "drafts"}
    assert workspace.settings.caching.exact_cache.enabled


def test_products_come_from_a_list_or_a_file(write):
    def names(products, **files):
        text = AGENT.replace(
            '{type: order_id, pattern: "[A-Z]{2}-[0-9]{5}"}', f"{{type: product, products: {products}}}"
        )
        root = write(
            {**SMALL, **{name.replace("_dot_", "."): text for name, text in files.items()}, "agents/support.yaml": text}
        )
        return load(root, {}).agent("support").products

    expected = {"order_status.order_id": ("Tent", "Lamp")}
    assert names("[Tent, Lamp]") == expected
    assert names("list.txt", list_dot_txt="# ours\nTent\n\nLamp\n") == expected
    assert names("'p.json#/a/products'", p_dot_json='{"a": {"products": [{"name": "Tent"}, "Lamp"]}}') == expected
    assert names("p.yaml", p_dot_yaml="- Tent\n- name: Lamp\n") == expected
    with pytest.raises(ConfigError, match="no product names"):
        names("'p.json#/b'", p_dot_json='{"a": []}')


def test_articles_keep_their_text_and_warn_of_unknown_intents(write):
    files = {
        "kb/more.md": "No front matter.\n",
        "kb/third.md": "---\ntitle: T\nintents: [order_staus]\nauthor: me\n---\nText.\n",
        "kb/empty.md": "---\nid: e\n---\n",
    }
    workspace = load(write({**SMALL, **files}), {})

    assert {article.id: article.text for article in workspace.agent("support").articles} == {
        "shipping": "Three days.",
        "more": "No front matter.",
        "third": "Text.",
    }
    assert [(warning.message, warning.hint) for warning in workspace.warnings] == [
        ("the article is empty", ""),
        ("no intent 'order_staus' in intents/support.yaml", "Did you mean 'order_status'?"),
    ]


def test_tools_are_read_off_without_running_the_file():
    source = dedent("""\
        raise SystemExit

        @tool
        def plain(a, ctx, *, b=1): ...

        @interlock.tool("named.one")
        async def one(x): ...

        @tool(effect="none", name="named.two")
        def two(): ...

        @other
        def three(): ...
        """)

    assert declared_tools(source) == {"plain": ("a", "b"), "named.one": ("x",), "named.two": ()}
    assert declared_tools("@tool(NAME)\ndef f(): ...") is None
    assert declared_tools("def (") is None
    assert declared_tools("x = 1") is None


def test_an_unknown_agent_is_named_with_the_nearest(write):
    workspace = load(write(SMALL), {})

    with pytest.raises(ConfigError, match="Did you mean 'support'"):
        workspace.agent("suport")


def test_slot_and_step_rules_are_kept(faults_of):
    text = (
        AGENT.replace("as: order}", "as: order_id}").replace("order.status", "order_id").replace("order.id", "order_id")
    )

    (fault,) = faults_of({"agents/support.yaml": text})

    assert fault.message == "'order_id' is already an input or a slot"
