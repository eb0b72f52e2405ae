"""What `store_prompts: redacted` takes out, and what it must leave."""

from __future__ import annotations

import pytest

from interlock.governance.redact import redact


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("write to jane.doe+x@mail.example.co.uk please", "write to [email] please"),
        ("card 4111 1111 1111 1111, exp 12/27", "card [card], exp 12/27"),
        ("pay to DE89 3704 0044 0532 0130 00 today", "pay to [iban] today"),
        ("call +44 20 7946 0958 or (020) 7946 0958", "call [phone] or [phone]"),
        ("from 192.168.0.12", "from [ip]"),
        ("key sk-abcdefghijklmnopqrstuv", "key [secret]"),
    ],
)
def test_personal_data_and_credentials_are_replaced_by_their_kind(text: str, kept: str) -> None:
    assert redact(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "order FH-10234 for $129.00 on 2026-11-03",
        "4111 1111 1111 1112 fails its check digit",
        "version 1.2.3 and 30 days",
        "tracking 1Z999AA10123456784",
    ],
)
def test_order_ids_amounts_and_dates_stay(text: str) -> None:
    assert redact(text) == text
