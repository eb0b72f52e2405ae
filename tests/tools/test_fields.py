"""Fields of a tool's records that a contract lets through."""

from __future__ import annotations

from typing import Any

import pytest

from interlock.tools.define import make
from interlock.tools.fields import picked

from .kit import Bench

CUSTOMER = {
    "id": 7,
    "name": "Ann",
    "ssn": "125-17-4954",
    "orders": [{"sku": "A1", "card": "4111"}, {"sku": "B2"}],
    "address": {"city": "Bern", "street": "x"},
}


@pytest.mark.requirement("SG-01")
@pytest.mark.parametrize(
    ("paths", "left"),
    [
        (("id", "orders.sku"), {"id": 7, "orders": [{"sku": "A1"}, {"sku": "B2"}]}),
        (("address",), {"address": CUSTOMER["address"]}),
        (("address.city", "nothing", "name.first"), {"address": {"city": "Bern"}, "name": None}),
    ],
)
def test_nothing_but_the_paths_is_left(paths: tuple[str, ...], left: Any) -> None:
    assert picked(CUSTOMER, paths) == left
    assert picked([CUSTOMER], paths) == [left]


@pytest.mark.requirement("SG-01")
async def test_neither_model_nor_record_sees_the_rest() -> None:
    def get() -> Any:
        return CUSTOMER

    def words() -> str:
        return "125-17-4954"

    bench = Bench()
    reply = await bench.call(make(get, name="crm.get", effect="none"), fields=("id", "name"))
    assert reply.content["result"] == {"id": 7, "name": "Ann"}
    text = await bench.call(make(words, name="crm.text", effect="none"), fields=("id",))
    assert text.content["result"] is None
