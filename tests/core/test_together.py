"""What comes in one turn of the loop is worked off in a row, in its order, and nothing waits for company."""

import asyncio

from interlock.core.together import Together


async def test_what_comes_in_one_turn_is_worked_off_after_it_in_order():
    done: list[str] = []
    loop, together = asyncio.get_running_loop(), Together(done.append)
    for item in ("first", "second"):
        together.add(item, loop)
    assert done == []
    await asyncio.sleep(0)
    assert done == ["first", "second"]


async def test_what_is_added_while_working_waits_for_the_next_turn():
    done: list[int] = []
    loop = asyncio.get_running_loop()

    def work(item: int) -> None:
        done.append(item)
        if item < 3:
            together.add(item + 1, loop)

    together = Together(work)
    together.add(0, loop)
    for turn in range(4):
        await asyncio.sleep(0)
        assert done == list(range(turn + 1))


async def test_a_defect_in_one_keeps_none_of_the_others_from_it():
    done: list[int] = []
    told: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

    def work(item: int) -> None:
        if item == 1:
            raise ValueError("a defect")
        done.append(item)

    together = Together(work)
    for item in range(4):
        together.add(item, loop)
    for _ in range(3):
        await asyncio.sleep(0)
    assert done == [0, 2, 3]
    assert [str(each) for each in told] == ["a defect"]
