"""The compose file, the image and the chart: what they start is what the program takes, and what they say of each other fits."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from interlock.cli.serve import options as serve_options
from interlock.cli.worker import options as worker_options
from interlock.config.jsonschema import Validator
from interlock.core.caller import Caller, Versions
from interlock.core.events import Record, Started
from interlock.core.store import Signal
from interlock.storage.postgres import PostgresStore
from tests.postgres import Postgres
from tests.servers import postgres_programs

from .chart import rendered

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
CHART = DEPLOY / "helm" / "interlock"
TAKES = {"serve": serve_options, "worker": worker_options}


def started(command: list[str]) -> Any:
    """What the program makes of it; anything it does not take ends the test."""
    return TAKES[command[0]]().parse_args(command[1:])


def values() -> dict[str, Any]:
    return yaml.safe_load((CHART / "values.yaml").read_text())


def objects(**changes: Any) -> dict[tuple[str, str], dict[str, Any]]:
    given = {"Values": values() | changes, "Release": {"Name": "shop", "Namespace": "default"}}
    found = [
        each
        for path in sorted((CHART / "templates").glob("*.yaml"))
        for each in yaml.safe_load_all(rendered(path.read_text(), given))
        if each
    ]
    return {(each["kind"], each["metadata"]["name"]): each for each in found}


@pytest.mark.requirement("OP-04")
def test_compose_starts_what_there_is_and_waits_for_what_it_needs():
    file = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())
    ours = {name: each for name, each in file["services"].items() if name.startswith(("gateway", "worker"))}
    kept = [each["volumes"][1].split(":")[0] for each in ours.values()]

    assert len(ours) == 4
    for each in ours.values():
        started(each["command"])
        assert each["depends_on"] == {name: {"condition": "service_healthy"} for name in ("postgres", "redis")}
        assert each["cap_drop"] == ["ALL"]
    assert len(set(kept)) == 4, "each process has a volume of its own for what is under way"
    assert set(kept) | {"postgres", "redis"} == set(file["volumes"])
    assert all("healthcheck" in file["services"][name] for name in (*ours, "postgres", "redis"))
    assert all(
        re.fullmatch(r"127\.0\.0\.1:\d+:8787", port) for each in ours.values() for port in each.get("ports", ())
    ), "nothing is opened to the network"


def test_each_variable_of_compose_is_in_the_example_and_no_other():
    said = (DEPLOY / "compose" / "compose.yaml").read_text()
    example = (DEPLOY / "compose" / ".env.example").read_text()

    asked = set(re.findall(r"\$\{([A-Z_]+)", said)) - {"INTERLOCK_IMAGE"}
    assert set(re.findall(r"^([A-Z_]+)=", example, re.MULTILINE)) == asked


def test_the_image_copies_what_there_is():
    said = (DEPLOY / "Dockerfile").read_text()
    for line in re.findall(r"^COPY (?!--from)(.+)$", said, re.MULTILINE):
        *sources, _ = line.split()
        assert all((DEPLOY.parent / each).exists() for each in sources)
    locked = (DEPLOY.parent / "requirements" / "dev.txt").read_text()
    (names,) = re.findall(r"awk '/\^\(([a-z|-]+)\)==/", said)
    assert all(re.search(rf"^{name}==", locked, re.MULTILINE) for name in names.split("|"))
    (command,) = re.findall(r"^CMD (.+)$", said, re.MULTILINE)
    started(json.loads(command))


def test_the_charts_values_are_what_its_schema_says_and_a_wrong_one_is_a_fault():
    schema = Validator(json.loads((CHART / "values.schema.json").read_text()))

    assert schema.faults(values()) == []
    assert schema.faults(values() | {"gateway": {"replicas": 0}})
    assert schema.faults(values() | {"autoscale": {}})


@pytest.mark.requirement("OP-04")
@pytest.mark.parametrize("scaled", [False, True])
def test_the_charts_objects_fit_each_other_and_the_program(*, scaled: bool):
    found = objects(autoscaling=values()["autoscaling"] | {"enabled": scaled})
    for name in ("shop-gateway", "shop-worker"):
        sets = found["StatefulSet", name]["spec"]
        labels = sets["template"]["metadata"]["labels"]
        (container,) = sets["template"]["spec"]["containers"]
        mounts = {each["name"] for each in container["volumeMounts"]}
        volumes = {each["name"] for each in sets["template"]["spec"]["volumes"]}
        claims = {each["metadata"]["name"] for each in sets["volumeClaimTemplates"]}

        started(container["args"])
        assert sets["selector"]["matchLabels"].items() <= labels.items()
        assert mounts == volumes | claims
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert found["NetworkPolicy", name]["spec"]["podSelector"]["matchLabels"].items() <= labels.items()
    (worker,) = found["StatefulSet", "shop-worker"]["spec"]["template"]["spec"]["containers"]
    assert started(worker["args"]).health == f"0.0.0.0:{worker['ports'][0]['containerPort']}"
    assert worker["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "health"}
    gateway = found["StatefulSet", "shop-gateway"]["spec"]["template"]
    (container,) = gateway["spec"]["containers"]
    assert container["readinessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert found["Service", "shop-gateway"]["spec"]["selector"].items() <= gateway["metadata"]["labels"].items()
    assert started(container["args"]).port == container["ports"][0]["containerPort"]
    assert ("replicas" in found["StatefulSet", "shop-worker"]["spec"]) is not scaled
    assert (("ScaledObject", "shop-worker") in found) is scaled
    if scaled:
        target = found["ScaledObject", "shop-worker"]["spec"]
        assert (target["scaleTargetRef"]["name"], target["minReplicaCount"]) == ("shop-worker", 0)


@pytest.fixture
def address() -> Generator[str]:
    if postgres_programs() is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    with Postgres() as server:
        yield server.fresh()


@pytest.mark.requirement("OP-04")
def test_pods_are_counted_by_the_tasks_that_have_a_reason_to_go_on(address: str):
    scaled = objects(autoscaling=values()["autoscaling"] | {"enabled": True})["ScaledObject", "shop-worker"]
    query = scaled["spec"]["triggers"][0]["metadata"]["query"]

    def due() -> int:
        with psycopg.connect(address) as db:
            row = db.execute(query.encode()).fetchone()
        assert row is not None
        return int(row[0])

    store = PostgresStore.open(address)
    try:
        assert due() == 0
        for name in ("tsk_a", "tsk_b"):
            begun = Started("support", Caller("acme", task=name), Versions())
            store.tasks.begin(Record(name, 0, "acme", 1, begun), "me", 1)
        assert due() == len(store.tasks.runnable(2)) == 2
        fence = store.tasks.claim("tsk_a", "me", now_ns=2, lease_until_ns=3)
        assert fence is not None
        store.tasks.release("tsk_a", fence, wake_at_ns=4_000_000_000_000_000_000)
        assert due() == 1, "one waits for a time that is far away"
        store.signals.add(Signal("tsk_a", "s1", "go"))
        assert due() == 2, "and something has come in for it"
    finally:
        store.close()
