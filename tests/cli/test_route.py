"""`interlock route`: from a labelled file to a route in use."""

import asyncio
import csv
import shutil

import pytest
import yaml

from interlock import Interlock
from interlock.config.load import load
from tests.cli.kit import ROOT, Cli

LABELS = ROOT / "examples" / "support" / "data" / "route_labels.csv"


@pytest.fixture
def support(tmp_path, capsys):
    shutil.copytree(ROOT / "examples" / "support", tmp_path / "support", ignore=shutil.ignore_patterns(".interlock"))
    return Cli(tmp_path / "support", capsys)


@pytest.mark.requirement("GW-15")
def test_a_route_is_trained_shown_judged_and_used(support):
    out = support.folder / "routes" / "support_reply.json"

    trained = support(
        "route", "train", "--data", LABELS, "--workflow", "support_reply", "--no-embedding", "--out", out, "--json"
    )
    shown = support("route", "show", out)
    judged = support("route", "eval", "--data", LABELS, "--no-embedding", "--folds", "4", "--json")

    assert trained.code == shown.code == judged.code == 0
    assert trained.json["models"] == ["small", "mid", "premium"]
    assert trained.json["figures"]["rows"] == 160
    assert "damaged_item" in shown.out
    assert judged.json["rows"] == 160
    assert 0.4 < judged.json["figures"]["before: apgr"] < 0.9

    support.edit(
        "interlock.yaml", "  default_model: support\n", "  default_model: support\n  route: routes/support_reply.json\n"
    )
    event = asyncio.run(_called(support.folder, "Is the parcel late?"))
    [reason] = [each for each in event.reasons if each.startswith("learned route: ")]
    assert reason.endswith(f"version {trained.json['version']}")


async def _called(folder, text):
    async with Interlock.from_file(folder) as il:
        return (await il.chat("support", text)).settled


@pytest.mark.requirement("GW-15")
def test_a_route_is_not_judged_on_what_it_was_trained_on(support):
    out = support.folder / "r.json"
    with LABELS.open() as file:
        rows = list(csv.reader(file))
    half = support.folder / "half.csv"
    with half.open("w", newline="") as file:
        csv.writer(file).writerows(rows[:101])
    support("route", "train", "--data", half, "--no-embedding", "--out", out)

    rest = support("route", "eval", "--data", LABELS, "--route", out, "--json")
    same = support("route", "eval", "--data", half, "--route", out)

    assert (rest.json["rows"], rest.json["left_out"]) == (60, 100)
    assert same.code == 3
    assert "100 were trained on" in same.err


@pytest.mark.requirement("GW-15")
def test_a_changed_route_changes_the_version_on_events(support):
    out = support.folder / "r.json"
    support.edit("interlock.yaml", "  default_model: support\n", "  default_model: support\n  route: r.json\n")
    versions = []
    for recover in ("50%", "95%"):
        support("route", "train", "--data", LABELS, "--no-embedding", "--recover", recover, "--out", out)
        versions.append(load(support.folder).agent("support_reply").versions.route)
    assert versions[0] != versions[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train",), "no labels are named"),
        (("train", "--data", "nowhere.csv"), "cannot be read"),
        (("show",), "no route is named"),
        (("show", "interlock.yaml"), "no learned route"),
        (("train", "--from-ledger"), "none with a known outcome"),
        (("train", "--data", LABELS, "--cost", "0.1"), "'0.1' is not NAME=USD"),
        (("train", "--data", LABELS, "--verifiers", "agreement"), "needs more than the answer"),
        (("train", "--data", LABELS, "--verifiers", "arithmetik"), "no verifier 'arithmetik'"),
    ],
)
def test_what_is_wrong_is_said_with_the_way_out(support, monkeypatch, arguments, message):
    monkeypatch.chdir(support.folder)
    said = support("route", *arguments)
    assert said.code == 3
    assert message in said.err


def test_faults_of_verifiers_and_routes_stand_at_their_lines(support):
    policy = yaml.safe_load((support.folder / "interlock.yaml").read_text())
    policy["routing"] |= {
        "verifiers": {"arithmetik": {}, "length": {"max_chars": "x"}, "hedging": {"at_least": 3}},
        "route": "routes/none.json",
    }
    (support.folder / "interlock.yaml").write_text(yaml.safe_dump(policy))

    said = support("check", "--json")

    found = {fault["key"]: fault for fault in said.json["faults"]}
    assert found["routing.verifiers.arithmetik"]["hint"].startswith("Did you mean")
    assert "max_chars" in found["routing.verifiers.length"]["hint"]
    assert "between 0 and 1" in found["routing.verifiers.hedging"]["message"]
    assert "routes/none.json" in found["routing.route"]["message"]
    assert all(fault["line"] > 0 for fault in found.values())
