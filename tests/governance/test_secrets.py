"""Credentials in text, family by family, with made-up ones of each issuer's shape."""

from __future__ import annotations

import random
import string
from pathlib import Path

import pytest

from interlock.core.errors import ConfigError
from interlock.governance.kinds import kinds
from interlock.governance.redact import redact
from interlock.governance.scan import Scanner
from interlock.governance.secrets import rules_of

RNG = random.Random(20261121)
HEX, ALNUM, UPPER = "0123456789abcdef", string.ascii_letters + string.digits, string.ascii_uppercase + string.digits
LOWER = string.ascii_lowercase + string.digits


def of(alphabet: str, size: int) -> str:
    return "".join(RNG.choice(alphabet) for _ in range(size))


CANARIES = {
    "aws-access-key": "AKIA" + of(UPPER, 16),
    "aws-secret-key": f'aws_secret_access_key = "{of(ALNUM + "/+", 40)}"',
    "github-token": "ghp_" + of(ALNUM, 36),
    "github-fine-grained": "github_pat_" + of(ALNUM, 22) + "_" + of(ALNUM, 59),
    "gitlab-token": "glpat-" + of(ALNUM, 20),
    "slack-token": "xoxb-" + of("0123456789", 12) + "-" + of("0123456789", 12) + "-" + of(ALNUM, 24),
    "slack-webhook": "https://hooks.slack.com/services/T" + of(UPPER, 8) + "/B" + of(UPPER, 8) + "/" + of(ALNUM, 24),
    "discord-webhook": "https://discord.com/api/webhooks/" + of("0123456789", 18) + "/" + of(ALNUM, 68),
    "telegram-bot": of("123456789", 9) + ":AA" + of(ALNUM, 33),
    "google-api-key": "AIza" + of(ALNUM, 35),
    "google-oauth-secret": "GOCSPX-" + of(ALNUM, 28),
    "openai-key": "sk-proj-" + of(ALNUM, 60),
    "anthropic-key": "sk-ant-api03-" + of(ALNUM, 93) + "AA",
    "stripe-key": "sk_live_" + of(ALNUM, 24),
    "webhook-secret": "whsec_" + of(ALNUM, 32),
    "square-token": "sq0atp-" + of(ALNUM, 22),
    "shopify-token": "shpat_" + of(HEX, 32),
    "twilio-key": "SK" + of(HEX, 32),
    "sendgrid-key": "SG." + of(ALNUM, 22) + "." + of(ALNUM, 43),
    "mailgun-key": "key-" + of(HEX, 32),
    "mailchimp-key": of(HEX, 32) + "-us12",
    "brevo-key": "xkeysib-" + of(HEX, 64) + "-" + of(ALNUM, 16),
    "npm-token": "npm_" + of(ALNUM, 36),
    "pypi-token": "pypi-AgEIcHlwaS5vcmc" + of(ALNUM, 70),
    "rubygems-token": "rubygems_" + of(HEX, 48),
    "docker-token": "dckr_pat_" + of(ALNUM, 27),
    "huggingface-token": "hf_" + of(string.ascii_letters, 34),
    "groq-key": "gsk_" + of(ALNUM, 52),
    "replicate-key": "r8_" + of(ALNUM, 37),
    "perplexity-key": "pplx-" + of(ALNUM, 48),
    "xai-key": "xai-" + of(ALNUM, 80),
    "langsmith-key": "lsv2_pt_" + of(HEX, 32) + "_" + of(HEX, 10),
    "digitalocean-token": "dop_v1_" + of(HEX, 64),
    "heroku-key": "HRKU-" + of(ALNUM, 60),
    "netlify-token": "nfp_" + of(ALNUM, 36),
    "databricks-token": "dapi" + of(HEX, 32),
    "azure-ad-secret": of(ALNUM, 3) + "8Q~" + of(ALNUM, 34),
    "azure-account-key": "AccountKey=" + of(ALNUM, 86) + "==",
    "vault-token": "hvs." + of(ALNUM, 90),
    "terraform-token": of(ALNUM, 14) + ".atlasv1." + of(ALNUM, 64),
    "doppler-token": "dp.pt." + of(ALNUM, 43),
    "new-relic-key": "NRAK-" + of(UPPER, 27),
    "grafana-token": "glsa_" + of(ALNUM, 32) + "_" + of(HEX, 8),
    "sentry-token": "sntryu_" + of(HEX, 64),
    "dynatrace-token": "dt0c01." + of(UPPER, 24) + "." + of(UPPER, 64),
    "linear-key": "lin_api_" + of(ALNUM, 40),
    "notion-token": "ntn_" + of(ALNUM, 46),
    "figma-token": "figd_" + of(ALNUM, 40),
    "airtable-token": "pat" + of(ALNUM, 14) + "." + of(HEX, 64),
    "postman-key": "PMAK-" + of(HEX, 24) + "-" + of(HEX, 34),
    "age-key": "AGE-SECRET-KEY-1" + of("QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "private-key": "-----BEGIN OPENSSH PRIVATE KEY-----\n" + of(ALNUM, 64) + "\n" + of(ALNUM, 64) + "\n-----END OPENSSH PRIVATE KEY-----",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJ" + of(ALNUM, 40) + "." + of(ALNUM, 43),
    "url-password": "postgres://app:" + of(ALNUM, 14) + "@db.example.com:5432/app",
    "authorization-header": "Authorization: Bearer " + of(ALNUM, 40),
    "password": "password: Tr0ub4dor&3x",
    "generic-api-key": "api_key = '" + of(LOWER, 32) + "'",
}  # fmt: skip


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
