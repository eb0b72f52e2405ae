"""Made-up credentials of the shapes that their issuers document, for planting. Above: `bench.pii`, the tests."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

HEX, DIGITS, UPPER, LOWER = (
    "0123456789abcdef",
    "0123456789",
    string.ascii_uppercase + string.digits,
    string.ascii_lowercase + string.digits,
)
ALNUM = string.ascii_letters + string.digits
Make = Callable[[random.Random], str]


def of(rng: random.Random, alphabet: str, size: int) -> str:
    return "".join(rng.choice(alphabet) for _ in range(size))


def _made(before: str, alphabet: str, size: int, after: str = "") -> Make:
    return lambda rng: before + of(rng, alphabet, size) + after


PLANTED: dict[str, Make] = {
    "aws-access-key": _made("AKIA", UPPER, 16),
    "aws-secret-key": _made('aws_secret_access_key = "', ALNUM + "/+", 40, '"'),
    "github-token": _made("ghp_", ALNUM, 36),
    "github-fine-grained": lambda rng: f"github_pat_{of(rng, ALNUM, 22)}_{of(rng, ALNUM, 59)}",
    "gitlab-token": _made("glpat-", ALNUM, 20),
    "slack-token": lambda rng: f"xoxb-{of(rng, DIGITS, 12)}-{of(rng, DIGITS, 12)}-{of(rng, ALNUM, 24)}",
    "slack-webhook": lambda rng: f"https://hooks.slack.com/services/T{of(rng, UPPER, 8)}/B{of(rng, UPPER, 8)}/{of(rng, ALNUM, 24)}",
    "discord-webhook": lambda rng: f"https://discord.com/api/webhooks/{of(rng, DIGITS, 18)}/{of(rng, ALNUM, 68)}",
    "telegram-bot": lambda rng: f"{of(rng, '123456789', 9)}:AA{of(rng, ALNUM, 33)}",
    "google-api-key": _made("AIza", ALNUM, 35),
    "google-oauth-secret": _made("GOCSPX-", ALNUM, 28),
    "openai-key": _made("sk-proj-", ALNUM, 60),
    "anthropic-key": _made("sk-ant-api03-", ALNUM, 93, "AA"),
    "stripe-key": _made("sk_live_", ALNUM, 24),
    "webhook-secret": _made("whsec_", ALNUM, 32),
    "square-token": _made("sq0atp-", ALNUM, 22),
    "shopify-token": _made("shpat_", HEX, 32),
    "twilio-key": _made("SK", HEX, 32),
    "sendgrid-key": lambda rng: f"SG.{of(rng, ALNUM, 22)}.{of(rng, ALNUM, 43)}",
    "mailgun-key": _made("key-", HEX, 32),
    "mailchimp-key": _made("", HEX, 32, "-us12"),
    "brevo-key": lambda rng: f"xkeysib-{of(rng, HEX, 64)}-{of(rng, ALNUM, 16)}",
    "npm-token": _made("npm_", ALNUM, 36),
    "pypi-token": _made("pypi-AgEIcHlwaS5vcmc", ALNUM, 70),
    "rubygems-token": _made("rubygems_", HEX, 48),
    "docker-token": _made("dckr_pat_", ALNUM, 27),
    "huggingface-token": _made("hf_", string.ascii_letters, 34),
    "groq-key": _made("gsk_", ALNUM, 52),
    "replicate-key": _made("r8_", ALNUM, 37),
    "perplexity-key": _made("pplx-", ALNUM, 48),
    "xai-key": _made("xai-", ALNUM, 80),
    "langsmith-key": lambda rng: f"lsv2_pt_{of(rng, HEX, 32)}_{of(rng, HEX, 10)}",
    "digitalocean-token": _made("dop_v1_", HEX, 64),
    "heroku-key": _made("HRKU-", ALNUM, 60),
    "netlify-token": _made("nfp_", ALNUM, 36),
    "databricks-token": _made("dapi", HEX, 32),
    "azure-ad-secret": lambda rng: f"{of(rng, ALNUM, 3)}8Q~{of(rng, ALNUM, 34)}",
    "azure-account-key": _made("AccountKey=", ALNUM, 86, "=="),
    "vault-token": _made("hvs.", ALNUM, 90),
    "terraform-token": lambda rng: f"{of(rng, ALNUM, 14)}.atlasv1.{of(rng, ALNUM, 64)}",
    "doppler-token": _made("dp.pt.", ALNUM, 43),
    "new-relic-key": _made("NRAK-", UPPER, 27),
    "grafana-token": lambda rng: f"glsa_{of(rng, ALNUM, 32)}_{of(rng, HEX, 8)}",
    "sentry-token": _made("sntryu_", HEX, 64),
    "dynatrace-token": lambda rng: f"dt0c01.{of(rng, UPPER, 24)}.{of(rng, UPPER, 64)}",
    "linear-key": _made("lin_api_", ALNUM, 40),
    "notion-token": _made("ntn_", ALNUM, 46),
    "figma-token": _made("figd_", ALNUM, 40),
    "airtable-token": lambda rng: f"pat{of(rng, ALNUM, 14)}.{of(rng, HEX, 64)}",
    "postman-key": lambda rng: f"PMAK-{of(rng, HEX, 24)}-{of(rng, HEX, 34)}",
    "age-key": _made("AGE-SECRET-KEY-1", "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58),
    "private-key": lambda rng: "-----BEGIN OPENSSH PRIVATE KEY-----\n" + "\n".join(of(rng, ALNUM, 64) for _ in range(5)) + "\n-----END OPENSSH PRIVATE KEY-----",
    "jwt": lambda rng: f"eyJhbGciOiJIUzI1NiJ9.eyJ{of(rng, ALNUM, 40)}.{of(rng, ALNUM, 43)}",
    "url-password": lambda rng: f"postgres://app:{of(rng, ALNUM, 14)}@db.example.com:5432/app",
    "authorization-header": _made("Authorization: Bearer ", ALNUM, 40),
    "password": lambda rng: f"password: Tr0ub4dor&{of(rng, DIGITS, 2)}x",
    "generic-api-key": _made("api_key = '", LOWER, 32, "'"),
}  # fmt: skip
"""By family; each call makes another one."""
