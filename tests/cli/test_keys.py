"""`interlock keys`: made, listed, rotated and ended; the secret is shown once and kept nowhere."""

import hashlib

import pytest

from interlock.core.keys import KeyBook
from interlock.storage import SqliteStore

FILES = "workspace: shop\ntenant: acme\nstore: keys.db\n"


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    (tmp_path / "interlock.yaml").write_text(FILES)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def keys(capsys, *arguments):
    from interlock.cli.main import main

    code = main(["keys", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def opens(folder, secret, now_ns):
    store = SqliteStore.open(folder / "keys.db")
    try:
        return KeyBook(store.keys.records()).find(hashlib.sha256(secret.encode()).hexdigest(), now_ns)
    finally:
        store.close()


@pytest.mark.requirement("GW-34")
def test_a_key_is_made_with_what_it_may_do_and_its_secret_is_nowhere_on_the_disk(workspace, capsys):
    code, out, err = keys(
        capsys, "create", "--name", "ann", "--user", "ann", "--model", "gpt-*", "--limit", "usd=50/month", "--limit", "concurrency=8"
    )  # fmt: skip
    secret = out.strip()
    assert (code, secret[:3], secret in err) == (0, "il-", False)
    record = opens(workspace, secret, 1)
    assert record is not None
    assert (record.tenant, record.user, record.models) == ("acme", "ann", ("gpt-*",))
    assert [each.caps for each in record.limits] == [((4, 50_000_000_000),), ((5, 8),)]
    assert not [path for path in workspace.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert opens(workspace, secret[:-1], 1) is None
    code, out, _ = keys(capsys, "list")
    assert secret not in out
    assert "ann" in out


@pytest.mark.requirement("GW-34")
def test_rotation_leaves_the_old_secret_for_a_while_and_revocation_ends_both(workspace, capsys):
    _, first, _ = keys(capsys, "create", "--name", "ann", "--expires", "30d")
    _, second, _ = keys(capsys, "rotate", "ann", "--overlap", "1h")
    record = opens(workspace, second.strip(), 1)
    assert record is not None
    soon, late = record.before_until_ns - 1, record.before_until_ns
    assert opens(workspace, first.strip(), soon)
    assert opens(workspace, first.strip(), late) is None
    assert opens(workspace, second.strip(), late)
    assert opens(workspace, second.strip(), record.expires_ns) is None
    assert keys(capsys, "revoke", "ann")[0] == 0
    assert opens(workspace, second.strip(), 1) is None
    assert opens(workspace, first.strip(), 1) is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("create", "--limit", "euros=5/month"), "expected one of requests"),
        (("create", "--limit", "usd=5"), "expected a period"),
        (("create", "--limit", "usd=5/fortnight"), "second"),
        (("revoke", "nobody"), "no keys are called 'nobody'"),
        (("rotate",), "rotate takes the name of a key"),
    ],
)
def test_what_cannot_be_done_is_said(workspace, capsys, arguments, words):
    code, _, err = keys(capsys, *arguments)
    assert code == 2
    assert words in err
