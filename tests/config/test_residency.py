"""What the files say about residency, and what breaks it before any call is made."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from interlock.app.residency import bounds_of
from interlock.config.load import load
from interlock.config.workspace import Workspace
from interlock.core.caller import Caller
from interlock.core.residency import Bounds

PAGE = Path(__file__).resolve().parents[2] / "docs" / "residency.md"
PROVIDERS = """\
tenant: acme
providers:
  frankfurt: {dialect: openai, base_url: "https://eu.example/v1", region: eu-central}
  virginia: {dialect: openai, base_url: "https://us.example/v1", region: us-east}
models: {support: [frankfurt/m, virginia/m], abroad: virginia/m}
"""
HOME = """\
residency:
  here: eu-west
  regions: {eu: [eu-west, eu-central]}
  tenants: {acme: eu, "*": [eu, us-east]}
  workflows: {support: [eu-central]}
  labels: {secret: {providers: frankfurt}, phi: {regions: [eu], never: virginia}}
"""
AGENT = "agent:\n  model: support\n  inputs: {text: string}\n"
STANDS = HOME.replace("  workflows: {support: [eu-central]}\n", "")


def files(more=STANDS, agent=AGENT, also=""):
    return {"interlock.yaml": PROVIDERS + more + also, "agents/support.yaml": agent}


def told(workspace: Workspace) -> Callable[[Caller], Bounds]:
    """What binds a caller, where something does."""
    found = bounds_of(workspace.settings.residency)
    assert found is not None

    def bounds(caller: Caller) -> Bounds:
        known = found(caller)
        assert known is not None
        return known

    return bounds


@pytest.fixture
def faults(write):
    from interlock.core.errors import ConfigError

    def found(texts):
        with pytest.raises(ConfigError) as caught:
            load(write(texts), {})
        return list(caught.value.faults)

    return found


@pytest.mark.requirement("SG-06")
def test_groups_tenants_workflows_and_labels_bind_together(write):
    workspace = load(write(files(HOME.replace("eu-central]}\n  labels", "eu-central, eu-west]}\n  labels"))), {})
    bounds = told(workspace)
    assert bounds(Caller("acme")).regions == {"eu-west", "eu-central"}
    assert bounds(Caller("globex")).regions == {"eu-west", "eu-central", "us-east"}
    marked = bounds(Caller("globex", workflow="support", labels=("phi", "secret")))
    assert (marked.regions, marked.providers, marked.never) == (
        {"eu-west", "eu-central"},
        {"frankfurt"},
        {"virginia"},
    )
    assert marked.because == "tenant globex, workflow support, label phi, label secret"


@pytest.mark.requirement("SG-06")
def test_the_pages_example_is_valid(write):
    example = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]
    webhook = "webhooks: [{url: 'https://hooks.acme.example/x', secret: s}]\nredis: {url: 'redis://r.example'}\n"
    bounds = told(load(write({"interlock.yaml": example + webhook}), {}))
    assert bounds(Caller("acme", workflow="legal_review")).regions == {"eu-central"}


def test_without_rules_nothing_is_bound(write):
    assert bounds_of(load(write(files("")), {}).settings.residency) is None


@pytest.mark.requirement("SG-06")
def test_a_model_that_can_only_leave_is_a_fault_at_the_line_that_names_it(faults):
    (fault,) = faults(files(agent=AGENT.replace("support", "abroad")))
    assert (fault.key, fault.line) == ("agent.model", 2)
    assert fault.message == ("no model behind 'abroad' is in eu-central, eu-west: virginia/m in us-east")


PLACES = {
    "store: postgresql://db.example/interlock\n": ("residency.places.store", "the store"),
    "redis: {url: 'redis://r.example:6379'}\n": ("residency.places.redis", "the Redis"),
    "telemetry: {otlp: {endpoint: 'https://o.example'}}\n": ("residency.places.otlp", "the OpenTelemetry receiver"),
    "alerts: {email: {host: m.example, from: a@b.example, to: c@d.example}}\n": (
        "residency.places.mail",
        "the mail server",
    ),
    "webhooks: [{url: 'https://hooks.example/x', secret: s}]\n": (
        "residency.places.webhooks.hooks.example",
        "the webhook at hooks.example",
    ),
    "guards: {moderation: {before: [rules, openai]}}\n": ("residency.places.moderators.openai", "the moderator openai"),
    "mcp: {servers: {crm: {url: 'https://crm.example/mcp'}}}\n": ("residency.places.mcp.crm", "the MCP server crm"),
    "databases: {shop: {url: 'postgresql://d.example/s', tables: {t: {columns: [a]}}}}\n": (
        "residency.places.databases.shop",
        "the database shop",
    ),
}


@pytest.mark.requirement("SG-06")
@pytest.mark.parametrize("section", PLACES)
def test_a_place_that_keeps_or_hears_data_needs_a_region_and_the_right_one(faults, write, section):
    key, what = PLACES[section]
    (fault,) = faults(files(also=section))
    assert (fault.key, fault.hint) == (key, f"Set {key}.")
    assert fault.message.startswith(f"nobody says where {what} is, and the data of tenant acme stays in ")

    *_, last = key.removeprefix("residency.places.").partition(".")
    place = key.split(".")[2]
    for region, wrong in (("us-east", True), ("eu-west", False)):
        said = f"{{'{last}': {region}}}" if last else region
        texts = files(STANDS + f"  places: {{{place}: {said}}}\n", also=section)
        if wrong:
            (fault,) = faults(texts)
            assert fault.message == (
                f"{what} is in 'us-east', and the data of tenant acme stays in eu-central, eu-west"
            )
            assert fault.line > 6
        else:
            assert load(write(texts), {})


@pytest.mark.requirement("SG-06")
def test_the_server_itself_is_a_place(faults):
    (fault,) = faults(files(STANDS.replace("here: eu-west", "here: us-east")))
    assert fault.key == "residency.here"
    assert fault.message.startswith("the server is in 'us-east'")
    (fault,) = faults(files(STANDS.replace("  here: eu-west\n", "")))
    assert fault.message.startswith("nobody says where the server is")


def test_a_webhook_of_other_workflows_is_not_bound_by_a_workflows_rule(write):
    said = STANDS.replace('tenants: {acme: eu, "*": [eu, us-east]}', "workflows: {support: [eu]}")
    hook = "webhooks: [{url: 'https://hooks.example/x', secret: s, workflows: WHICH}]\ntask_budgets: {other: {}}\n"
    assert load(write(files(said, also=hook.replace("WHICH", "other"))), {})


@pytest.mark.parametrize(
    ("old", "new", "key", "message"),
    [
        ("acme: eu", "acme: uu", "residency.tenants.acme[0]", "no provider, place or group is in a region 'uu'"),
        (
            "providers: frankfurt",
            "providers: frankfort",
            "residency.labels.secret.providers[0]",
            "no provider 'frankfort'",
        ),
        ("{regions: [eu]", "{regions: [ue]", "residency.labels.phi.regions[0]", "no provider, place or group"),
        ("eu: [eu-west, eu-central]", "eu: [eu-west, eu]", "residency.regions.eu[1]", "'eu' is a group"),
        ("  labels", "  workflows: {suport: eu}\n  labels", "residency.workflows.suport", "no agent 'suport'"),
    ],
)
def test_names_that_stand_for_nothing_are_faults(faults, old, new, key, message):
    found = faults(files(STANDS.replace(old, new)))
    (fault,) = found
    assert fault.key == key
    assert fault.message.startswith(message)
    assert fault.line > 6
