"""The chart under helm itself: linted strictly, rendered with several values, and every object held against Kubernetes' and KEDA's fields.

helm is looked for where `make helm` puts it and on the path; without it these tests skip.
"""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from interlock.cli.migrate import options as migrate_options
from interlock.config.jsonschema import Validator

from .test_deploy import CHART, objects, started, values

HERE = Path(__file__).parent
BUILT = HERE.parents[1] / "build" / "helm" / "bin" / "helm"
HELM = str(BUILT) if BUILT.exists() else shutil.which("helm")
KUBERNETES = Validator(json.loads((HERE / "kubernetes.schema.json").read_text()))
KEDA = Validator(json.loads((HERE / "keda.schema.json").read_text()))
pytestmark = [
    pytest.mark.requirement("OP-04"),
    pytest.mark.skipif(HELM is None, reason="helm is not here: `make helm` installs it"),
]
Changes = Mapping[str, Mapping[str, Any] | str]
TLS: Changes = {"gateway": {"tlsSecret": "certificate"}}
SETS: dict[str, Changes] = {
    "as it comes": {},
    "workers down to none": {"autoscaling": {"enabled": True, "least": 0}, "worker": {"replicas": 0}},
    "TLS": TLS,
    "gVisor": {"runtimeClass": "gvisor"},
    "a user of its own for the schema, no policy": {
        "migrate": {"secret": "owner"},
        "networkPolicy": {"enabled": False},
    },
    "nobody migrates": {"migrate": {"enabled": False}},
}
each_set = pytest.mark.parametrize("changes", SETS.values(), ids=SETS)


def helm(folder: Path, *words: str, changes: Changes) -> subprocess.CompletedProcess[str]:
    given = folder / "values.yaml"
    given.write_text(json.dumps(changes))
    homes = {name: str(folder / name) for name in ("HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME")}
    command = [str(HELM), *words, str(CHART), "--values", str(given)]
    return subprocess.run(command, env=homes, capture_output=True, text=True, check=False, timeout=60)


def made(folder: Path, changes: Changes, name: str = "shop") -> list[dict[str, Any]]:
    told = helm(folder, "template", name, changes=changes)
    assert told.returncode == 0, told.stderr
    return [each for each in yaml.safe_load_all(told.stdout) if each]


def found(folder: Path, changes: Changes, kind: str, name: str) -> dict[str, Any]:
    (only,) = (e for e in made(folder, changes) if (e["kind"], e["metadata"]["name"]) == (kind, name))
    return only


def faults(each: Mapping[str, Any]) -> list[Any]:
    return list((KEDA if each["apiVersion"].startswith("keda.sh/") else KUBERNETES).faults(each))


@each_set
def test_helm_finds_nothing_to_complain_of(changes: Changes, tmp_path: Path):
    told = helm(tmp_path, "lint", "--strict", changes=changes)

    assert told.returncode == 0, told.stdout + told.stderr
    assert "[WARNING]" not in told.stdout
    assert "[ERROR]" not in told.stdout


@each_set
def test_what_helm_makes_is_what_kubernetes_takes_and_what_the_other_tests_read(changes: Changes, tmp_path: Path):
    rendered = made(tmp_path, changes)
    merged = {
        name: {**values()[name], **change} if isinstance(change, Mapping) else change
        for name, change in changes.items()
    }

    assert [(each["kind"], faults(each)) for each in rendered if faults(each)] == []
    assert {(each["kind"], each["metadata"]["name"]): each for each in rendered} == objects(**merged)


def test_a_release_whose_name_is_a_number_has_labels_that_are_texts(tmp_path: Path):
    assert [each["kind"] for each in made(tmp_path, {}, name="7") if faults(each)] == []


@pytest.mark.parametrize(
    "wrong", [{"gateway": {"replicas": 0}}, {"runtimeClass": "g visor"}, {"gatewey": {}}, {"migrate": {"seconds": "1"}}]
)
def test_helm_refuses_a_value_that_the_schema_does_not_know(wrong: Changes, tmp_path: Path):
    told = helm(tmp_path, "template", "shop", changes=wrong)

    assert told.returncode != 0
    assert "values don't meet the specifications of the schema" in told.stderr


def test_with_a_certificate_gateways_speak_tls_and_the_probes_too(tmp_path: Path):
    pod = found(tmp_path, TLS, "StatefulSet", "shop-gateway")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    given = started(container["args"])
    (mount,) = (each for each in container["volumeMounts"] if each["name"] == "tls")
    (port,) = found(tmp_path, TLS, "Service", "shop-gateway")["spec"]["ports"]

    assert {str(Path(path).parent) for path in (given.tls_cert, given.tls_key)} == {mount["mountPath"]}
    assert {container[probe]["httpGet"]["scheme"] for probe in ("startupProbe", "readinessProbe")} == {"HTTPS"}
    assert [each["secret"]["secretName"] for each in pod["volumes"] if each["name"] == "tls"] == ["certificate"]
    assert port["port"] == 443


def test_the_schema_is_brought_on_before_the_first_new_pod_by_the_image_that_needs_it(tmp_path: Path):
    job = found(tmp_path, {"image": "shop:2", "migrate": {"secret": "owner"}}, "Job", "shop-migrate")
    (container,) = job["spec"]["template"]["spec"]["containers"]
    verb, *arguments = container["args"]

    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert (verb, migrate_options().parse_args(arguments).pre) == ("migrate", True)
    assert (container["image"], container["envFrom"]) == ("shop:2", [{"secretRef": {"name": "owner"}}])
