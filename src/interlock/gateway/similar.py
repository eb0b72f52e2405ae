"""The semantic cache as the walk uses it: asked before the model, told the model's answer afterwards.

Above: cache. Below: shelf, and the port `core.answers.SimilarAnswers`, which decides. Learning happens after the answer has gone out.
"""

from __future__ import annotations

import asyncio

from .answerkey import Question
from .call import Answer, Call
from .desk import Desk
from .shelf import shelved, taken_down

MOST_LEARNING = 256
"""Answers that wait to be learned from; beyond that they are passed over."""


async def look(desk: Desk, call: Call, asked: Question) -> Answer | None:
    """An answer within the error budget; `None` where the model has to be asked, with the reason in the call's event."""
    semantic = desk.parts.semantic
    if semantic is None:
        return None
    near = await semantic.look(call.caller.tenant, asked.scope, asked.space, asked.text)
    if near is None:
        return None
    call.note(f"semantic cache: {near.reason}")
    if near.served is None:
        call.near = near.ticket
        return None
    return taken_down(near.served, "semantic", desk.read)


def learn(desk: Desk, call: Call, ticket: object, answer: Answer, cost_nano_usd: int) -> None:
    """Has the answer compared with what the cache would have said, and kept; in the background."""
    call.near = None
    semantic, tasks = desk.parts.semantic, desk.flights.tasks
    if semantic is None or len(tasks) >= MOST_LEARNING:
        return
    learning = semantic.learn(ticket, answer.response.text, shelved(answer, cost_nano_usd))
    task = asyncio.get_running_loop().create_task(learning)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
