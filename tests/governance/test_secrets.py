"""Credentials in text, family by family, with made-up ones of each issuer's shape."""

from __future__ import annotations

import base64
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.pii_secrets import PLANTED
from interlock.core.errors import ConfigError
from interlock.governance.kinds import kinds
from interlock.governance.redact import redact
from interlock.governance.scan import Scanner
from interlock.governance.secrets import rules_of

RNG = random.Random(20261121)
CANARIES = {family: make(RNG) for family, make in PLANTED.items()}


@pytest.mark.requirement("SG-01")
@pytest.mark.parametrize("family", sorted(CANARIES))
@pytest.mark.parametrize("around", ["{}", "the key is {} ok?", '{{"a": "{}"}}', "export X={}\n"])
def test_a_planted_credential_of_each_family_is_taken_out(family: str, around: str) -> None:
    planted = CANARIES[family]
    left = redact(around.format(planted))
    assert "[secret]" in left
    core = planted.rstrip("=").split("://")[-1].split(":", 1)[-1].split("@")[0].split("=")[-1].strip(" \"'")
    assert core not in left


@pytest.mark.requirement("SG-01")
@pytest.mark.parametrize(
    "text",
    [
        "the password is required and must be strong",
        "how do I reset my password? I forgot my passcode",
        "commit 3f2a9c81d5b7e6049a8c1d2e3f4a5b6c7d8e9f01 fixes it",
        "id 550e8400-e29b-41d4-a716-446655440000",
        "sk-learn and task-oriented work; risk-adjusted returns on assets",
        "see https://example.com/a/b?c=d and user@example.org:8080/x",
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk",
        "secret: none, token: 4096, key: value, api key: see the docs",
        "max_tokens=4096 and key=a-plain-english-word-with-dashes",
    ],
)
def test_talk_about_credentials_and_plain_hashes_stay(text: str) -> None:
    assert "[secret]" not in redact(text)


@pytest.mark.requirement("SG-01")
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_credential_inside_of_base64_is_found_there_and_a_picture_is_left(encode: Callable[[bytes], bytes]) -> None:
    hidden = encode(f"config: {CANARIES['github-token']} end".encode()).decode()
    assert redact(f"see {hidden} there") == "see [secret] there"
    picture = encode(random.Random(3).randbytes(900)).decode()
    assert redact(f"see {picture} there") == f"see {picture} there"


@pytest.mark.requirement("SG-01")
def test_a_gitleaks_configuration_stands_in_for_the_rules(tmp_path: Path) -> None:
    file = tmp_path / "gitleaks.toml"
    file.write_text(
        "[[rules]]\nid = \"acme\"\nregex = '''(?i)\\b(acme_[[:alnum:]]{8})(?:[\\s;\"]|\\z)'''\nkeywords = [\"acme_\"]\n"
        "[[rules]]\nid = \"path only\"\npath = '''\\.pem$'''\n"
    )
    scanner = Scanner(kinds(("secret",), rules_of(file)))
    text = "ACME_abcd1234; and nothing"
    assert [(each.kind, text[each.start : each.end]) for each in scanner.find(text)] == [("secret", "ACME_abcd1234")]
    file.write_text('[[rules]]\nid = "bad"\nregex = "("\n')
    with pytest.raises(ConfigError, match=r"rules\.bad\.regex"):
        rules_of(file)
