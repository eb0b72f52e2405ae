"""Agreements that go out as OpenSLO and come back, and other people's that come in."""

from __future__ import annotations

import pytest
import yaml

from interlock.app.agreements import alerts_of
from interlock.config.openslo import exported, imported
from interlock.config.slo import Slo
from interlock.core.errors import ConfigError

OURS = {
    "success": "99.5%",
    "p50": "800ms",
    "p95": "6s",
    "cited": ">=2",
    "policy_violations": 1,
    "cost_per_success": "$0.05",
    "window": "28d",
}
FOREIGN = """\
apiVersion: openslo/v1
kind: SLO
metadata: {name: web-availability}
spec:
  service: web
  indicator: {metadata: {name: i}, spec: {ratioMetric: {counter: true, good: {metricSource: {type: Prometheus}}, total: {metricSource: {type: Prometheus}}}}}
  timeWindow: [{duration: 4w, isRolling: true}]
  budgetingMethod: Occurrences
  objectives: [{displayName: good, targetPercent: 99.9}]
---
apiVersion: openslo/v1
kind: SLO
metadata: {name: web-latency}
spec:
  service: web
  indicator: {spec: {thresholdMetric: {metricSource: {type: Prometheus}}}}
  timeWindow: [{duration: 1M, calendar: {startTime: x}}]
  budgetingMethod: Timeslices
  objectives: [{op: lte, value: 2.5, target: 0.95}, {op: lte, value: 9, target: 0.97}]
---
apiVersion: openslo/v1
kind: Service
metadata: {name: web}
"""


@pytest.mark.requirement("OB-07")
def test_what_went_out_comes_back_as_it_was():
    slo = Slo.model_validate(OURS)
    text = exported("support_reply", slo, alerts_of(slo))
    documents = list(yaml.safe_load_all(text))
    assert {each["apiVersion"] for each in documents} == {"openslo/v1"}
    assert [each["kind"] for each in documents].count("AlertPolicy") == 4
    assert all(0 <= each["spec"]["objectives"][0]["target"] < 1 for each in documents if each["kind"] == "SLO")

    back = imported(text, "slo.yaml")

    assert Slo.model_validate(back.slos["support_reply"]) == slo


def test_other_peoples_shares_and_times_are_taken_and_the_rest_is_said():
    found = imported(FOREIGN, "theirs.yaml")

    assert found.slos == {"web": {"window": "30d", "success": 0.999, "p95": "2.5s"}}
    assert len(found.left) == 5
    assert Slo.model_validate(found.slos["web"]).p95 == 2.5


@pytest.mark.parametrize("text", ["", "a: [", "- 1", "apiVersion: v1\nkind: Pod"])
def test_what_is_no_openslo_is_refused(text: str):
    with pytest.raises(ConfigError):
        imported(text, "x.yaml")


@pytest.mark.parametrize(
    "wrong",
    [{"success": "100%"}, {"p95": "6 parsecs"}, {"window": "1h"}, {"cited": "<3"}, {"p96": "1s"}, {"success": 5}],
)
def test_promises_that_cannot_be_kept_or_read_are_refused(wrong: dict[str, object]):
    with pytest.raises(ValueError, match=r"."):
        Slo.model_validate(wrong)
