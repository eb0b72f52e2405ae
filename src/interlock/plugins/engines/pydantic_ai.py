"""Pydantic AI agents whose model and tool calls are steps in our log. Needs the package `pydantic-ai-slim` (2.68 was tried).

Above: a team's own Pydantic AI agent. Below: `core.steps`. Source: the public extension for durable engines, `pydantic_ai.durable_exec`
(pydantic.dev/docs/ai/capabilities/durable_execution/backends), read 2026-11-21.

    agent = Agent("openai:gpt-5", name="refunds", tools=[pay], capabilities=[durability()])
    async with interlock.steps("refunds", key="order-17") as steps:
        with within(steps):
            result = await agent.run("Refund order 17")

Killed at any instant and run again, the block makes no recorded call twice. A tool says what its repetition does in its metadata, `{"interlock": {"effect": "idempotent"}}`;
one that says nothing is `once`, and a person is asked where a crash left it open. Streamed model answers are recorded whole when they have ended.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from interlock.core.errors import InvalidRequest
from interlock.core.events import CallKind, Effect
from interlock.core.steps import Steps

_CURRENT: ContextVar[Steps | None] = ContextVar("interlock_steps", default=None)
_EFFECTS: Mapping[str, Effect] = {"none": "none", "idempotent": "idempotent", "reconcile": "reconcile", "once": "once"}


@contextmanager
def within(steps: Steps) -> Generator[None]:
    """Runs of agents inside keep their steps there."""
    token = _CURRENT.set(steps)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def durability(**named: Any) -> Any:
    """A capability for `Agent(…, name=…, capabilities=[…])`; `named` as Pydantic AI's own ones take it (`models`, `event_stream_handler`, `name`).

    Raises:
        InvalidRequest: the package is not installed, or too old.
    """
    try:
        engine = importlib.import_module("pydantic_ai.durable_exec")
        return _capability(engine)(**named)
    except (ImportError, AttributeError) as missing:
        raise InvalidRequest(
            "pydantic-ai-slim 2.68 or newer is not installed", hint="pip install 'pydantic-ai-slim>=2.68'"
        ) from missing


def _capability(engine: Any) -> Any:
    """The class, made when the package is there: its base is the package's."""

    class InterlockDurability(engine.BaseDurabilityCapability):
        engine_spec = engine.DurabilityEngineSpec(
            engine_name="Interlock",
            durable_unit_noun="step",
            durable_container_noun="task",
            codec=engine.JSON_CODEC,
            tool_config_key="interlock",
        )

        def in_durable_context(self) -> bool:
            return _CURRENT.get() is not None

        def get_durable_operation_backend(self) -> Any:
            return _backend(engine)(agent_name=self.name, config=_config(engine))

    return InterlockDurability


def _backend(engine: Any) -> Any:
    class InterlockBackend(engine.JournalCallableOperationBackend):
        async def execute(
            self, *, operation_id: Any, name: str, body: Callable[[], Awaitable[Any]], cache_key: Any, config: Effect
        ) -> Any:
            del cache_key  # steps are told apart by name and order
            steps = _CURRENT.get()
            if steps is None:
                return await body()
            kind: CallKind = "model" if isinstance(operation_id, engine.ModelRequestId) else "tool"
            return await steps.step(name, lambda _: body(), kind=kind, effect=config)

    return InterlockBackend


def _config(engine: Any) -> Any:
    def of_tool(operation: Any, tool: Any, name: str) -> Effect:
        if not isinstance(operation, engine.ToolsetCallToolId):
            return "none"  # finding tools out, looking at their arguments
        metadata: dict[str, Any] = getattr(getattr(tool, "tool_def", tool), "metadata", None) or {}
        said: Any = metadata.get("interlock", {}).get("effect", "once")
        effect = _EFFECTS.get(said)
        if effect is None:
            raise InvalidRequest(f"tool {name}: effect {said!r} is none of {', '.join(_EFFECTS)}.")
        return effect

    return engine.RoleBasedOperationConfig(
        model="none", event="none", capability="once", tool="once", resolve_tool=of_tool
    )
