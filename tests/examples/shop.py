"""A tool of the example shop, called in this process: the same door as in the sandbox, without the sandbox around the function."""

from pathlib import Path
from typing import Any

from interlock import ToolContext
from interlock.app.doors import Doors, bound
from interlock.storage.door_sqlite import SqliteDoor
from interlock.tools.define import Tool


def called(tool: Tool, workspace: Path, key: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The function's result, its effects committed; what it raises takes them back."""
    assert tool.door is not None
    doors = Doors(workspace)
    given = tool.convert(arguments)
    held = bound(tool, ToolContext(key, workspace), given)
    door = SqliteDoor(doors.fill(tool.door), doors.statements(tool), held, writes=tool.effect != "none")
    try:
        result = tool.function(**given, ctx=ToolContext(key, workspace, ask=lambda name, **v: door.ask(name, v)))
    except BaseException:
        door.end(keep=False)
        raise
    door.end(keep=True)
    return result
