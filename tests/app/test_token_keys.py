"""Keys behind tokens of personal data: rotated with the tokens of before restorable, and one tenant's destroyed alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlock.app.token_keys import Derived, TokenKeys
from interlock.governance import standins, tokens
from interlock.storage.sealing.keyring import Keyring
from interlock.storage.sealing.master import LocalMaster
from tests.stepping import Stepping

MAIL, CARD = "ada@example.com", "4111111111111111"


def keyring(folder: Path) -> Keyring:
    return Keyring(folder / "keyring.json", [LocalMaster(bytes(32))], Stepping())


def token(keys: TokenKeys, tenant: str = "acme") -> str:
    made = tokens.token(keys.of(tenant), "email", MAIL)
    assert made is not None
    return made


def back(keys: TokenKeys, made: str, tenant: str = "acme") -> str | None:
    return tokens.value_of(keys.of(tenant), "email", made[len("[email:") : -1])


@pytest.mark.requirement("SG-01")
def test_tokens_of_every_key_before_turn_back_after_rotations_and_in_another_process(tmp_path: Path):
    ring = keyring(tmp_path)
    keys, elsewhere = TokenKeys(ring, None), TokenKeys(keyring(tmp_path), None)
    made = [token(keys)]
    assert token(keys) == made[0] == token(elsewhere)
    for _ in range(3):
        ring.rotate("acme", "tokens")
        made.append(token(elsewhere))
    assert len(set(made)) == 4
    assert [back(each, one) for each in (keys, elsewhere) for one in made] == [MAIL] * 8
    assert back(keys, token(keys, "rival")) is None


@pytest.mark.requirement("SG-08")
def test_one_tenants_keys_are_destroyed_alone(tmp_path: Path):
    ring = keyring(tmp_path)
    keys = TokenKeys(ring, Derived(b"w" * 32))
    ours, theirs = token(keys), token(keys, "rival")
    ring.rotate("acme", "tokens")
    newer = token(keys)
    assert ring.destroy("acme", ("tokens",)) == 2
    assert [back(keys, each) for each in (ours, newer)] == [None, None]
    assert back(keys, theirs, "rival") == MAIL
    assert back(keys, token(keys)) == MAIL, "new ones are made with a new key"


def test_tokens_from_before_there_was_a_keyring_turn_back_until_the_keys_are_destroyed(tmp_path: Path):
    before, ring = Derived(b"w" * 32), keyring(tmp_path)
    old = tokens.token(before.of("acme"), "email", MAIL)
    assert old is not None
    keys = TokenKeys(ring, before)
    assert back(keys, old) == MAIL
    assert token(keys) != old
    ring.destroy("acme", ("tokens",))
    assert back(keys, old) is None


def test_stand_ins_of_digits_stay_as_they_are_when_keys_are_rotated(tmp_path: Path):
    ring = keyring(tmp_path)
    keys = TokenKeys(ring, None)
    made = standins.stand_in(keys.of("acme"), "card", CARD)
    assert made is not None
    ring.rotate("acme", "tokens")
    assert standins.original(keys.of("acme"), "card", made) == CARD
    assert standins.stand_in(keys.of("acme"), "card", CARD) == made
    ring.destroy("acme", ("tokens",))
    assert standins.original(keys.of("acme"), "card", made) != CARD
