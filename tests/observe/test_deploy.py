"""The dashboard and the alerts that are shipped ask only for metrics and labels that there are, and each alert says what to do."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from interlock.app.telemetry import Standing, Watching
from interlock.config.telemetry import Telemetry
from interlock.core.time import SystemClock
from interlock.ledger import Health
from interlock.net.client import PooledClient
from interlock.observe.families import Family
from interlock.storage import SqliteStore

ROOT = Path(__file__).resolve().parents[2]
ASKED = re.compile(r"\b(interlock_[a-z_]+)(?:\{([^}]*)\})?")
GROUPED = re.compile(r"\bby \(([^)]*)\)")
SERIES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
TARGET = {"instance", "job", "pod", "le"}


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Family]:
    store = SqliteStore.open(tmp_path_factory.mktemp("store") / "il.db")
    clock = SystemClock()
    standing = Standing(lambda: Health("ok", 0, 0, 0, 0.0), lambda: {"p/m": "closed"}, lambda: (0, 0))
    settings = Telemetry.model_validate({"otlp": {"endpoint": "http://127.0.0.1:4318"}})
    watching = Watching(settings, "", store=store, http=PooledClient(clock), clock=clock, standing=standing)
    collected = watching.instruments.collect()
    store.close()
    return {f"{family.name}{suffix}": family for family in collected for suffix in SERIES[family.kind]}


def dashboard() -> list[str]:
    made = json.loads((ROOT / "deploy/grafana/interlock.json").read_text(encoding="utf-8"))
    return [target["expr"] for panel in made["panels"] for target in panel.get("targets", ())]


def alerts() -> list[dict[str, Any]]:
    made = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text(encoding="utf-8"))
    return [rule for group in made["groups"] for rule in group["rules"]]


@pytest.mark.requirement("OB-04")
def test_what_is_asked_for_is_there(families: dict[str, Family]):
    for asked in (*dashboard(), *(rule["expr"] for rule in alerts())):
        labels: set[str] = set(TARGET)
        for name, chosen in ASKED.findall(asked):
            assert name in families, f"{name} in {asked}"
            labels |= set(families[name].labels)
            said = {each.strip() for each in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", chosen)}
            assert said <= {*families[name].labels, *TARGET}, asked
        for group in GROUPED.findall(asked):
            assert {each.strip() for each in group.split(",")} <= labels, asked


@pytest.mark.requirement("OB-04")
def test_each_alert_names_a_passage_that_says_what_to_do():
    page = (ROOT / "docs/telemetry.md").read_text(encoding="utf-8")
    for rule in alerts():
        assert rule["annotations"]["runbook"] == f"docs/telemetry.md#{rule['alert'].lower()}"
        assert f"### {rule['alert']}\n" in page


@pytest.mark.requirement("OB-04")
def test_the_page_lists_every_metric(families: dict[str, Family]):
    page = (ROOT / "docs/telemetry.md").read_text(encoding="utf-8")
    page = page.replace("`_", "`interlock_otlp_")
    names = {f"{each.name}{'_total' if each.kind == 'counter' else ''}" for each in families.values()}

    assert [name for name in sorted(names) if f"`{name}`" not in page] == []
