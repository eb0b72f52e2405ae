"""Envelopes and keyrings: what goes in comes out, and nothing that was touched, moved or meant for somebody else does."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.core.errors import StoreUnavailable
from interlock.core.sealing import UNREADABLE, KeyDestroyed, KeyMissing, SealBroken
from interlock.storage.sealing.envelope import TENANTS, Envelope, overhead
from interlock.storage.sealing.keyring import Keyring
from interlock.storage.sealing.master import LocalMaster, read_master
from tests.stepping import Stepping

OLD, NEW = LocalMaster(bytes(range(32))), LocalMaster(bytes(32))
texts = st.text(max_size=200)


def keyring(folder: Path, *masters: LocalMaster) -> Keyring:
    return Keyring(folder / "keyring.json", masters or (OLD,), Stepping())


@pytest.fixture(scope="module")
def envelope(tmp_path_factory: pytest.TempPathFactory) -> Envelope:
    return Envelope(keyring(tmp_path_factory.mktemp("keys")))


@pytest.mark.requirement("SG-08")
@given(tenant=st.sampled_from(["acme", "rival", "ä:1", ""]), place=texts, data=st.binary(max_size=4096))
def test_what_is_sealed_opens_at_its_place(envelope: Envelope, tenant: str, place: str, data: bytes):
    sealed = envelope.seal(tenant, place, data)
    assert len(sealed) == len(data) + overhead(TENANTS)
    assert envelope.open(place, sealed, tenant) == data
    assert sealed != envelope.seal(tenant, place, data), "the same text twice shows nothing"
    if len(data) > 7:
        assert data not in sealed


@given(data=st.binary(max_size=512), at=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_seal_with_one_bit_changed_does_not_open(envelope: Envelope, data: bytes, at: int, bit: int):
    sealed = bytearray(envelope.seal("acme", "p", data))
    sealed[at % len(sealed)] ^= 1 << bit
    with pytest.raises((SealBroken, KeyMissing)):
        envelope.open("p", bytes(sealed), "acme")


@given(data=st.binary(min_size=1, max_size=512), cut=st.integers(1, 600))
def test_a_seal_that_was_cut_does_not_open(envelope: Envelope, data: bytes, cut: int):
    sealed = envelope.seal("acme", "p", data)
    with pytest.raises(SealBroken):
        envelope.open("p", sealed[: max(0, len(sealed) - cut)], "acme")


@given(here=texts, there=texts)
def test_a_seal_opens_in_no_other_place_and_for_no_other_tenant(envelope: Envelope, here: str, there: str):
    sealed = envelope.seal("acme", here, b"words")
    if here != there:
        with pytest.raises(SealBroken):
            envelope.open(there, sealed, "acme")
    with pytest.raises(SealBroken, match="another tenant"):
        envelope.open(here, sealed, "rival")


@given(
    content=st.dictionaries(
        texts, texts | st.integers(-(2**53), 2**53) | st.none() | st.lists(texts, max_size=3), max_size=4
    )
)
def test_content_comes_back_as_it_was(envelope: Envelope, content: dict[str, object]):
    import msgspec

    body = envelope.body("acme", "event/t/1", msgspec.json.encode(content))
    assert envelope.content("event/t/1", msgspec.json.decode(body), "acme") == content
    assert envelope.content("event/t/1", content) == content, "what was never sealed stays"


def test_without_its_master_key_content_says_so(tmp_path: Path):
    import msgspec

    body = msgspec.json.decode(Envelope(keyring(tmp_path)).body("acme", "p", b'{"text":"words"}'))
    found = Envelope(keyring(tmp_path, NEW)).content("p", body)
    assert found is not None
    assert "wrapped with master key" in found[UNREADABLE]
    assert OLD.name in found[UNREADABLE]
    with pytest.raises(KeyMissing, match="no master key"):
        Envelope(Keyring(tmp_path / "other.json", (), Stepping())).seal("acme", "p", b"x")


def test_rotating_leaves_old_texts_readable_and_seals_with_the_new_key(tmp_path: Path):
    ring = keyring(tmp_path)
    envelope, other = Envelope(ring), Envelope(keyring(tmp_path))
    before = envelope.seal("acme", "p", b"old")
    assert other.open("p", before) == b"old"
    assert ring.rotate("acme") == 1
    after = other.seal("acme", "p", b"new")
    assert before[1:9] != after[1:9], "another process sees the new version at once"
    assert (envelope.open("p", before), envelope.open("p", after)) == (b"old", b"new")
    assert [each.entry.version for each in ring.versions("acme", "content")] == [2, 1]


def test_rewrapping_changes_the_master_key_and_no_text(tmp_path: Path):
    sealed = Envelope(keyring(tmp_path, OLD)).seal("acme", "p", b"words")
    both = keyring(tmp_path, NEW, OLD)
    assert (both.rewrap(), both.rewrap()) == (1, 0)
    assert Envelope(keyring(tmp_path, NEW)).open("p", sealed) == b"words"
    with pytest.raises(KeyMissing):
        Envelope(keyring(tmp_path, OLD)).open("p", sealed)


def test_destroying_reaches_every_version_and_every_process_and_nobody_else(tmp_path: Path):
    ring = keyring(tmp_path)
    ours, elsewhere = Envelope(ring), Envelope(keyring(tmp_path))
    first, theirs = ours.seal("acme", "p", b"1"), ours.seal("rival", "p", b"theirs")
    ring.rotate("acme")
    second = ours.seal("acme", "p", b"2")
    wrapped = [each["wrapped"] for each in _entries(tmp_path) if each["tenant"] == "acme"]
    assert elsewhere.open("p", first) == b"1", "it has the key at hand"
    assert ring.destroy("acme", ("content",)) == 2
    for sealed, reader in itertools.product((first, second), (ours, elsewhere)):
        with pytest.raises(KeyDestroyed):
            reader.open("p", sealed)
    assert elsewhere.open("p", theirs) == b"theirs"
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert len(wrapped) == 2
    assert not any(each.encode() in everything for each in wrapped)
    assert ring.destroyed("acme", "content")
    assert ours.open("p", ours.seal("acme", "p", b"back again")) == b"back again", "the tenant may come again"


@pytest.mark.requirement("SG-08")
def test_forgetting_a_user_reaches_every_version_and_process_and_nobody_else(tmp_path: Path):
    ring = keyring(tmp_path)
    ours, elsewhere = Envelope(ring), Envelope(keyring(tmp_path))

    def sealed(tenant: str, user: str) -> bytes:
        return ours.seal(tenant, "p", user.encode(), user=user)

    before = [sealed("acme", "ada"), sealed("acme", "bob"), sealed("rival", "ada"), ours.seal("acme", "p", b"")]
    ring.rotate("acme", "users")
    after = [sealed("acme", "ada"), sealed("acme", "bob")]
    assert before[0][1:17] != after[0][1:17]
    assert [elsewhere.open("p", each) for each in before[:3]] == [b"ada", b"bob", b"ada"], "it has the keys at hand"
    wrapped = [each["wrapped"] for each in _entries(tmp_path) if each["kind"] == "users" and each["tenant"] == "acme"]
    assert ring.forget("acme", ["ada"]) == 2
    for mine, reader in itertools.product((before[0], after[0]), (ours, elsewhere, Envelope(keyring(tmp_path)))):
        with pytest.raises(KeyDestroyed):
            reader.open("p", mine, "acme")
    for reader in (ours, elsewhere, Envelope(keyring(tmp_path))):
        assert [reader.open("p", each) for each in (*before[1:], after[1])] == [b"bob", b"ada", b"", b"bob"]
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert len(wrapped) == 2
    assert not any(each.encode() in everything for each in wrapped)
    again = elsewhere.seal("acme", "p", b"back again", user="ada")
    assert ours.open("p", again) == b"back again", "who comes again has another key"
    assert ring.forget("acme", ["ada"]) == 2
    with pytest.raises(KeyDestroyed):
        elsewhere.open("p", again)


def test_a_users_key_is_rewrapped_and_forgotten_under_another_master_key(tmp_path: Path):
    sealed = [Envelope(keyring(tmp_path, OLD)).seal("acme", "p", b"words", user=user) for user in ("ada", "bob")]
    keyring(tmp_path, OLD).forget("acme", ["ada"])
    assert keyring(tmp_path, NEW, OLD).rewrap() == 1
    assert Envelope(keyring(tmp_path, NEW)).open("p", sealed[1]) == b"words"
    with pytest.raises(KeyDestroyed):
        Envelope(keyring(tmp_path, NEW)).open("p", sealed[0])
    with pytest.raises(KeyMissing):
        keyring(tmp_path, OLD).forget("acme", ["bob"])


@given(at=st.integers(0, 10_000), bit=st.integers(0, 7), cut=st.integers(1, 80))
def test_a_users_seal_that_was_touched_does_not_open(envelope: Envelope, at: int, bit: int, cut: int):
    whole = envelope.seal("acme", "p", b"words", user="ada")
    assert envelope.open("p", whole, "acme") == b"words"
    assert len(whole) == len(b"words") + overhead(whole)
    touched = bytearray(whole)
    touched[at % len(whole)] ^= 1 << bit
    for wrong in (bytes(touched), whole[:-cut]):
        with pytest.raises((SealBroken, KeyMissing)):
            envelope.open("p", wrong, "acme")
    with pytest.raises(SealBroken, match="another tenant"):
        envelope.open("p", whole, "rival")
    with pytest.raises(SealBroken):
        envelope.open("q", whole, "acme")


def test_answers_have_a_key_of_their_own(tmp_path: Path):
    ring = keyring(tmp_path)
    envelope = Envelope(ring)
    answer, text = envelope.seal("acme", "p", b"1", kind="answers"), envelope.seal("acme", "p", b"2")
    assert ring.destroy("acme", ("answers",)) == 1
    assert (envelope.known("p", answer), envelope.known("p", text)) == (None, b"2")


def test_processes_that_seal_for_a_new_tenant_at_once_make_one_key(tmp_path: Path):
    rings = [keyring(tmp_path) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda ring: [ring.current(f"t{n}", "content").entry.id for n in range(10)], rings))
    assert made == [made[0]] * 8
    assert len(set(made[0])) == 10


def test_a_wrapped_key_opens_for_nobody_but_whose_it_is(tmp_path: Path):
    Envelope(keyring(tmp_path)).seal("acme", "p", b"words")
    path = tmp_path / "keyring.json"
    path.write_bytes(path.read_bytes().replace(b"acme", b"evil"))
    with pytest.raises(KeyMissing):
        keyring(tmp_path).current("evil", "content")


@settings(max_examples=20)
@given(data=st.binary(max_size=64))
def test_a_damaged_keyring_is_said_to_be_one(tmp_path_factory: pytest.TempPathFactory, data: bytes):
    folder = tmp_path_factory.mktemp("bad")
    (folder / "keyring.json").write_bytes(b"{" + data)
    with pytest.raises(StoreUnavailable, match="keyring cannot be used"):
        keyring(folder).current("acme", "content")


def test_master_keys_are_written_down_in_two_ways_and_never_repeated():
    assert read_master("00" * 32) == bytes(32) == read_master("A" * 43 + "=")
    for wrong in ("", "secret-words", "00" * 31, "zz" * 32):
        with pytest.raises(ValueError, match="expected 32 bytes") as told:
            read_master(wrong)
        assert not wrong or wrong not in str(told.value)
    assert "***" in repr(OLD)


def _entries(folder: Path) -> list[dict[str, str]]:
    import json

    return json.loads((folder / "keyring.json").read_text())
