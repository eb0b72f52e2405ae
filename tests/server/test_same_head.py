"""Requests whose head is that of the one before are not parsed anew; nobody may tell from what comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from .door import ASK, Door, opened, post

LONGER = json.dumps({**json.loads(ASK), "user": "somebody with a longer name"}).encode()


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as made:
        yield made


def asked(door: Door) -> list[bytes]:
    return [request.raw for _, request in door.gateway.asked]


async def test_only_the_length_may_differ_and_each_body_is_read_by_its_own(door: Door) -> None:
    wire = await door.send()
    for body in (ASK, LONGER, ASK, LONGER):
        wire.writer.write(post(body))
        assert (await wire.reply())[0] == 200
    assert asked(door) == [ASK, LONGER, ASK, LONGER]


async def test_another_key_in_an_otherwise_equal_head_is_looked_at(door: Door) -> None:
    wire = await door.send(post(ASK))
    assert (await wire.reply())[0] == 200
    wire.writer.write(post(ASK).replace(b"il-test", b"il-evil"))
    assert (await wire.reply())[0] == 401


async def test_a_second_request_may_be_split_anywhere(door: Door) -> None:
    second = post(LONGER)
    for at in range(1, len(second)):
        wire = await door.send(post(ASK))
        assert (await wire.reply())[0] == 200
        wire.writer.write(second[:at])
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        wire.writer.write(second[at:])
        assert (await wire.reply())[0] == 200
        wire.writer.close()
    assert asked(door) == [ASK, LONGER] * (len(second) - 1)


async def test_several_equal_requests_in_one_packet_are_each_answered(door: Door) -> None:
    wire = await door.send(post(ASK))
    assert (await wire.reply())[0] == 200
    wire.writer.write(post(LONGER) + post(ASK) + post(ASK))
    assert [(await wire.reply())[0] for _ in range(3)] == [200] * 3
    assert asked(door) == [ASK, LONGER, ASK, ASK]


async def test_a_piece_of_another_requests_body_is_never_taken_for_a_request(door: Door) -> None:
    """Behind a proxy that shares connections this would let one client speak in the name of another."""
    wire = await door.send(post(ASK))
    assert (await wire.reply())[0] == 200
    inner = post(ASK)
    for path in (b"/v1/chat/completions", b"/v1/elsewhere"):
        head = b"POST %b HTTP/1.1\r\nhost: x\r\nauthorization: Bearer il-test\r\ncontent-length: %d\r\n\r\n"
        wire = await door.send(post(ASK))
        assert (await wire.reply())[0] == 200
        wire.writer.write(head % (path, len(inner)))
        await asyncio.sleep(0.01)
        wire.writer.write(inner)
        assert (await wire.reply())[0] in (400, 404)
    assert asked(door) == [ASK] * 3


async def test_a_length_that_does_not_fit_is_left_to_the_parser(door: Door) -> None:
    wire = await door.send(post(ASK))
    assert (await wire.reply())[0] == 200
    wire.writer.write(post(ASK).replace(b"content-length: %d" % len(ASK), b"content-length: +%d" % len(ASK)))
    assert (await wire.reply())[0] == 400
