"""Planted mistakes: every fault of every file at once, each at its place, with what was expected and the nearest valid name."""

from textwrap import dedent

import pytest

from interlock.config.load import load
from interlock.core.errors import ConfigError

from .conftest import AGENT, SMALL

POLICY = """\
    models:
      support: {small: [opnai/gpt-4o-mini], mid: [simulated/mid]}
    routng: {default_model: support}
    ROUTING:
      default_model: suport
      escalate_if:
        - {condition: "confidense < 0.72", model: mid}
        - {condition: "sentiment = 'high_risk'", model: mid}
        - {model: premum, condition: "true"}
    task_budgets:
      support: {max_cost_usd: cheap, max_model_calls: -1, max_tokens: 5}
    caching:
      exact_cache: {enabled: maybe}
      semantic_cache: {similarity_threshold: 920%}
    degradation: [smaller_model, shorter_contxt]
    server: {port: ${PORT}, api_key: 5}
    prices: {simulated/small: {gpu_hour_usd: 2.1}}
    """


def seen(faults):
    return {(fault.line, fault.column, fault.key): fault for fault in faults}


@pytest.mark.requirement("OP-03")
def test_all_mistakes_of_a_policy_are_named_at_once_each_at_its_place(faults_of):
    text = POLICY.replace("${PORT}", '"${PORT}"')

    found = seen(faults_of({"interlock.yaml": text}, {"PORT": "hunter2"}))

    expected = {
        (3, 1, "routng"): ("unknown section", "Did you mean 'routing'?"),
        (8, 30, "routing.escalate_if[1].condition"): ("cannot read '='", "Equality is written ==."),
        (11, 27, "task_budgets.support.max_cost_usd"): ("expected dollars such as 0.05", ""),
        (11, 51, "task_budgets.support.max_model_calls"): ("expected at least 0, found -1", ""),
        (11, 55, "task_budgets.support.max_tokens"): ("unknown key", "max_"),
        (13, 26, "caching.exact_cache.enabled"): ("expected true or false, found 'maybe'", ""),
        (14, 42, "caching.semantic_cache.similarity_threshold"): ("expected a share between 0 and 1", ""),
        (15, 30, "degradation[1]"): ("expected 'smaller_model' or", "Did you mean 'shorter_context'?"),
        (16, 16, "server.port"): ("expected a whole number, found something else in PORT", ""),
        (16, 36, "server.api_key"): ("expected a text; put it in quotes", ""),
        (17, 10, "prices.simulated/small"): ("expected tokens_per_second beside gpu_hour_usd", ""),
    }
    assert set(found) == set(expected)
    for place, (message, hint) in expected.items():
        assert message in found[place].message
        assert hint in found[place].hint
    assert "hunter2" not in "".join(map(str, found.values()))


@pytest.mark.requirement("OP-03")
def test_names_that_do_not_exist_are_named_with_the_nearest_that_does(faults_of):
    text = """\
        models:
          support: {small: [opnai/gpt-4o-mini], mid: [simulated/mid]}
        routing:
          default_model: suport
          escalate_if:
            - {condition: "confidense < 0.72", model: mid}
            - {condition: "account_teir == 'gold' or vip", model: premum}
          facts: [vip]
        providers: {own: {dialect: opena, base_url: "http://127.0.0.1"}}
        prices: {simulatd/small: {input_mtok_usd: 1, output_mtok_usd: 2}}
        """

    found = seen(faults_of({"interlock.yaml": text}))

    assert {place: fault.hint for place, fault in found.items()} == {
        (2, 21, "models.support.small[0]"): "Did you mean 'openai'?",
        (4, 18, "routing.default_model"): "Did you mean 'support'? Or write provider/model.",
        (6, 20, "routing.escalate_if[0].condition"): "Did you mean 'confidence'?",
        (7, 20, "routing.escalate_if[1].condition"): "Did you mean 'account_tier'?",
        (7, 59, "routing.escalate_if[1].model"): "Known: mid, small, support. Or write provider/model.",
        (9, 28, "providers.own.dialect"): "Did you mean 'openai'?",
        (10, 10, "prices.simulatd/small"): "Did you mean 'simulated'?",
    }


@pytest.mark.requirement("OP-03")
def test_mistakes_of_a_contract_and_of_the_policy_come_together(faults_of):
    contract = """\
        agent:
          modle: support
          tools:
            - {name: orders.get, timout_ms: 800}
            - {name: 7}
            - orders.find
          limits: [6]
          logging: {store_prompts: redactd}
          flows: {x: {steps: [{call: a, answer: b}]}}
          tier0: {promise: 98%}
        """

    faults = faults_of({"agents/support.yaml": contract, "interlock.yaml": "servr: {}\n"})

    found = {(fault.file.rpartition("/")[2], fault.line, fault.column, fault.key): fault for fault in faults}
    assert list(found) == [
        ("support.yaml", 2, 3, "agent.modle"),
        ("support.yaml", 4, 26, "agent.tools[0].timout_ms"),
        ("support.yaml", 5, 14, "agent.tools[1].name"),
        ("support.yaml", 6, 7, "agent.tools[2]"),
        ("support.yaml", 7, 3, "agent.limits"),
        ("support.yaml", 8, 28, "agent.logging.store_prompts"),
        ("support.yaml", 9, 23, "agent.flows.x.steps[0]"),
        ("support.yaml", 10, 3, "agent.tier0.intents"),
        ("interlock.yaml", 1, 1, "servr"),
    ]
    hints = [fault.hint for fault in found.values()]
    assert hints[:2] == ["Did you mean 'model'?", "Did you mean 'timeout_ms'?"]
    assert hints[5] == "Did you mean 'redacted'?"


@pytest.mark.requirement("OP-03")
def test_names_in_flows_are_checked_against_the_contract_and_the_knowledge(faults_of):
    text = (
        AGENT.replace("order_status:\n", "order_staus:\n")
        .replace("call: orders.get,", "call: order.get,")
        .replace('order_id: "{order_id}"', 'order_id: "{ordr_id}"')
        .replace('when: "order.status', 'when: "ordr.status')
        .replace("{order.id}.", "{oder.id}.")
        .replace("cite: [shipping]", "cite: [shiping]")
        .replace("amount_usd > 50", "amont_usd > 50")
    )

    faults = faults_of({"agents/support.yaml": text})

    assert [(fault.line, fault.column, fault.hint) for fault in faults] == [
        (6, 57, "Did you mean 'amount_usd'?"),
        (9, 5, "Did you mean 'order_status'?"),
        (12, 18, "Did you mean 'orders.get'?"),
        (12, 47, "Did you mean 'order_id'?"),
        (13, 19, "Did you mean 'order'?"),
        (13, 73, "Did you mean 'order'?"),
        (13, 93, "Did you mean 'shipping'?"),
    ]


def test_result_of_a_later_step_is_not_known_before(faults_of):
    text = AGENT.replace("as: order}", "as: found}")

    faults = faults_of({"agents/support.yaml": text})

    assert {fault.message for fault in faults} == {"unknown name 'order'"}
    assert {fault.line for fault in faults} == {13}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"intents/support.yaml": "order_status: {exampels: [x]}"}, "this key is missing"),
        ({"intents/support.yaml": "order_status: {examples: []}"}, "expected at least one"),
        ({"intents/support.yaml": "order_status: [a, b"}, "not valid YAML"),
        ({"kb/shipping.md": "---\nid: [a]\n---\nText.\n"}, "expected a text, found a list"),
        ({"kb/second.md": "---\nid: shipping\n---\nText.\n"}, "the id 'shipping' is taken by"),
        ({"schemas/A.json": '{"type": "objec"}'}, "not a valid JSON Schema"),
        ({"schemas/A.json": '{"type": '}, "not valid JSON"),
        ({"schemas/A.json": '{"$ref": "http://example.com/a.json"}'}, "Retrieval is disabled"),
        ({"agents/other.yaml": "agent: {name: support}"}, "the agent 'support' stands in"),
        ({"agents/other.yaml": "limits: {max_steps: 3}"}, "this file holds no contract"),
        ({"agents/other.yaml": "agent: {prompt: ../../etc/passwd}"}, "leads out of the workspace"),
        ({"agents/other.yaml": "agent: {prompt: prompts/none.md}"}, "no file"),
        ({"agents/other.yaml": "agent: {tools: [{name: a}, {name: a}]}"}, "'a' is listed twice"),
        ({"agents/other.yaml": "agent: {inputs: {text: strin}}"}, "expected 'string' or 'number'"),
        ({"agents/other.yaml": "agent: {inputs: {a-b: string}}"}, "expected a name of letters"),
        ({"agents/other.yaml": "agent: {flows: {x: {answer_from: knowledge}}}"}, "flows need `tier0`"),
        ({"policies/a.yaml": "models: {support: {small: [simulated/x]}}"}, "is already set in"),
        ({"interlock.yaml": "tenant: '${NOT_SET}'"}, "the environment variable NOT_SET is not set"),
        ({"interlock.yaml": "server: {port: 1, PORT: 2}"}, "stands here twice"),
        ({"interlock.yaml": "server: {}\nSERVER: {}"}, "in upper and in lower case"),
        ({"interlock.yaml": "server: {port: true}"}, "expected a number, found true"),
        ({"interlock.yaml": "task_budgets: {t: {max_cost_usd: 0.0000000001}}"}, "nine digits"),
        ({"interlock.yaml": "providers: {a: {dialect: openai, base_url: localhost}}"}, "begins with http"),
        ({"interlock.yaml": "- a\n- b"}, "expected sections"),
        ({"interlock.yaml": "models: {a: {small: []}}"}, "at least one model"),
        ({"interlock.yaml": "task_budgets: {t: {max_cost_usd: }}"}, "expected dollars such as 0.05"),
        ({"interlock.yaml": "task_budgets: {t: {max_steps: }}"}, "expected a whole number, found nothing"),
        (
            {"agents/other.yaml": "agent: {tools: [{name: a, requires_human_approval: }]}"},
            "expected true, false or a condition",
        ),
        ({"agents/other.yaml": "agent: {tier0: {promise: 100%, intents: a}}"}, "expected between 50% and 99.9%"),
        ({"interlock.yaml": "models: {a: [b], b: [simulated/x]}"}, "'b' is an alias, and an alias lists models"),
        ({"agents/other.yaml": "agent: {tier0: {intents: kb}}"}, "cannot be read"),
        ({"agents/other.yaml": "agent: {tier0: {intents: intents/suport.yaml}}"}, "Did you mean 'support.yaml'?"),
        (
            {"agents/other.yaml": "agent: {tier0: {intents: intents/support.yaml, knowledge: kbs}}"},
            "Did you mean 'kb'?",
        ),
        ({"interlock.yaml": "degradation: [best_effort, best_effort]"}, "at most once"),
    ],
)
def test_each_kind_of_mistake_has_its_own_words(faults_of, change, message):
    assert message in " ".join(str(fault) for fault in faults_of(change))


def test_sections_and_lists_left_empty_are_their_defaults(write):
    text = "models: {support: {small: simulated/small, mid: simulated/mid}}\nrouting:\ncaching:\n  exact_cache:\nproviders:\ndegradation:\n"

    settings = load(write({**SMALL, "interlock.yaml": text}), {}).settings

    assert settings == load(write(SMALL), {}).settings


def test_an_address_from_a_variable_is_blamed_on_the_variable(faults_of):
    (fault,) = faults_of({}, {"OPENAI_BASE_URL": "localhost:99"})

    assert fault.key == "providers.openai.base_url"
    assert fault.message.endswith("found something else in OPENAI_BASE_URL")


def test_a_contract_key_outside_of_agent_says_where_it_belongs(faults_of):
    found = faults_of({"agents/other.yaml": "output_schema: Reply"})

    assert "This key belongs under `agent:`." in [fault.hint for fault in found]


def test_a_path_that_is_not_there_names_its_neighbour(write):
    root = write({"interlock.yaml": "tenant: a\n"})

    with pytest.raises(ConfigError, match=r"no such file or folder — Did you mean 'interlock\.yaml'"):
        load(root / "interlok.yaml", {})


def test_a_folder_without_a_workspace_says_how_to_begin(tmp_path):
    with pytest.raises(ConfigError, match="`interlock init` makes a workspace"):
        load(tmp_path, {})


def test_no_message_shows_what_a_variable_holds(faults_of):
    text = """\
        models: {support: {small: ["${KEY}"]}}
        routing: {default_model: "${KEY}", escalate_if: [{condition: "${KEY} > 1", model: "x/${KEY}"}]}
        store: {a: "${KEY}"}
        server: {host: ["${KEY}"]}
        """
    contract = 'agent: {prompt: "${KEY}", output_schema: "${KEY}", limits: {max_steps: "${KEY}"}, flows: "${KEY}"}'

    both = faults_of({"interlock.yaml": text, "agents/b.yaml": contract}, {"KEY": "sk_live_0123456789"})
    alone = faults_of({"interlock.yaml": "\n".join(text.splitlines()[:2])}, {"KEY": "sk_live_0123456789"})

    assert len(both) >= 4
    assert len(alone) >= 3
    assert "sk_live" not in "".join(map(str, [*both, *alone]))
    assert any("no alias or model '${KEY}'" in fault.message for fault in alone)


def test_small_workspace_itself_has_no_faults(write):
    assert load(write(SMALL), {}).warnings == ()


def test_bytes_that_are_no_text_are_a_fault_at_their_line(write):
    root = write(SMALL)
    (root / "kb" / "shipping.md").write_bytes(b"---\nid: shipping\n---\nfine\nnot \xff fine\n")

    with pytest.raises(ConfigError) as caught:
        load(root, {})

    fault = caught.value.faults[0]
    assert (fault.line, fault.column, fault.message) == (5, 5, "not UTF-8 here")


def test_options_that_a_provider_does_not_take_are_faults_at_their_place(tmp_path):
    text = "providers:\n  sim: {dialect: simulated, simulated: true, options: {latency_ms: fast}}\n"
    (tmp_path / "interlock.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path)
    (fault,) = caught.value.faults
    assert (fault.line, fault.key) == (2, "providers.sim.options.latency_ms")
    assert "Expected `float`" in fault.message


def test_what_replicas_share_needs_a_redis_to_be_named(faults_of, write):
    shared = """\
        models: {support: simulated/small}
        limits: [{per: key, period: day, usd: 5, scope: global}]
        caching: {exact_cache: {enabled: true, backend: redis}}
        """
    assert sorted(seen(faults_of({"interlock.yaml": shared}))) == [
        (2, 49, "limits[0].scope"),
        (3, 49, "caching.exact_cache.backend"),
    ]
    named = dedent(shared) + "redis: {url: 'redis://127.0.0.1:6379'}\n"
    assert load(write({"interlock.yaml": named}), {}).settings.redis.url


def test_an_offer_names_agents_and_an_allowed_host_can_be_reached(faults_of):
    text = """\
        models: {support: simulated/small}
        mcp: {offer: [nobody]}
        """
    assert seen(faults_of({"interlock.yaml": text}))[2, 15, "mcp.offer[0]"].message == "no agent 'nobody'"
    text = """\
        models: {support: simulated/small}
        egress: {allow: [{host: 127.0.0.1}, {host: 169.254.169.254, private: true}, {host: 10.0.0.7, private: true}]}
        """
    assert [fault.key for fault in faults_of({"interlock.yaml": text})] == [
        "egress.allow[0].host",
        "egress.allow[1].host",
    ]


def test_a_gateway_alone_is_told_of_keys_that_its_aliases_lack(write):
    root = write({"interlock.yaml": "models: {a: openai/gpt-4o-mini, b: simulated/small}\n"})
    (warning,) = load(root, {}).warnings
    assert (warning.line, warning.key, warning.hint) == (1, "models.a", "Set OPENAI_API_KEY.")


@pytest.mark.requirement("OP-03")
@pytest.mark.parametrize("secret", ['""', "${GONE:-}", "whsec_", "whsec_not*base64"])
def test_a_webhook_without_a_secret_is_a_fault_since_anybody_could_sign_an_approval(faults_of, secret):
    files = {"interlock.yaml": f"webhooks:\n  - url: https://hooks.example/x\n    secret: {secret}\n"}
    (fault,) = faults_of(files, {})
    assert fault.key == "webhooks[0].secret"
    assert "expected a secret" in fault.message
