"""docs/requirements.md and the marks on tests agree, both ways."""

from scripts.requirements_status import MANIFEST, TESTS, claims, disagreements, manifest, reconciled


def test_manifest_and_marks_agree():
    statuses = manifest(MANIFEST.read_text(encoding="utf-8"))

    assert len(statuses) > 100
    assert disagreements(statuses, claims(TESTS)) == []


def test_each_kind_of_disagreement_is_found():
    statuses = {"GW-01": "proved", "GW-02": "open", "GW-03": "partly"}
    claimed = {"GW-02": ["tests/a.py:3"], "GW-03": ["tests/a.py:9"], "XX-01": ["tests/b.py:1"]}

    faults = disagreements(statuses, claimed)

    assert [fault.split()[0] for fault in faults] == ["XX-01", "GW-01", "GW-02"]


def test_reconciling_moves_open_and_partly_and_leaves_proved():
    text = "| GW-01 | proved | a | b |\n| GW-02 | open | a | b |\n| GW-03 | partly | a | b |\n"

    assert manifest(reconciled(text, {"GW-02": ["tests/a.py:3"]})) == {
        "GW-01": "proved",
        "GW-02": "partly",
        "GW-03": "open",
    }
