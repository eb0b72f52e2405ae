"""The manifests of `deploy/kubernetes`: every field is one that Kubernetes knows, and what they say fits together and the program."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from interlock.cli.sandbox_worker import options
from interlock.config.jsonschema import Validator

HERE = Path(__file__).parent
MANIFESTS = HERE.parents[1] / "deploy" / "kubernetes"
SCHEMA = Validator(json.loads((HERE / "kubernetes.schema.json").read_text()))


def objects(path: Path) -> list[dict[str, Any]]:
    return [each for each in yaml.safe_load_all(path.read_text()) if each]


@pytest.mark.parametrize("path", sorted(MANIFESTS.glob("*.yaml")), ids=lambda path: path.name)
def test_every_object_is_one_that_kubernetes_takes(path: Path):
    assert [(each["kind"], SCHEMA.faults(each)) for each in objects(path) if SCHEMA.faults(each)] == []


def test_a_field_that_there_is_not_is_a_fault():
    (deployment,) = (each for each in objects(MANIFESTS / "sandbox-worker.yaml") if each["kind"] == "Deployment")
    deployment["spec"]["template"]["spec"]["runtimeClass"] = "kata"

    assert SCHEMA.faults(deployment)


@pytest.mark.requirement("TL-03")
def test_the_sandbox_worker_is_a_machine_of_its_own_without_a_way_out():
    found = {each["kind"]: each["spec"] for each in objects(MANIFESTS / "sandbox-worker.yaml") if "spec" in each}
    pod = found["Deployment"]["template"]["spec"]
    (container,) = pod["containers"]
    given = options().parse_args([*container["args"]])

    assert pod["runtimeClassName"] == "kata"
    assert pod["automountServiceAccountToken"] is False
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert (found["NetworkPolicy"]["egress"], "Egress" in found["NetworkPolicy"]["policyTypes"]) == ([], True)
    assert container["command"] == ["interlock", "sandbox-worker"]
    assert {given.port} == {each["containerPort"] for each in container["ports"]}
    assert {str(path.parent) for path in (given.ca, given.cert, given.key)} <= {
        each["mountPath"] for each in container["volumeMounts"]
    }
    assert {each["name"] for each in container["volumeMounts"]} == {each["name"] for each in pod["volumes"]}
    assert found["Service"]["selector"].items() <= found["Deployment"]["template"]["metadata"]["labels"].items()
