"""The layers that a level consists of, in the order in which a child puts them on. Above: zygotes, doctor. Below: core."""

from __future__ import annotations

from interlock.core.sandbox import Level

_SHARED = ("capabilities", "no_new_privs", "landlock", "seccomp", "rlimits")
LAYERS: dict[Level, frozenset[str]] = {
    "none": frozenset(("rlimits",)),
    "landlock": frozenset(("uid", *_SHARED)),
    "namespaces": frozenset(
        (
            "uid",
            "user",
            "mount",
            "pid",
            "net",
            "ipc",
            "uts",
            "cgroup_view",
            "tree",
            "no_nesting",
            *_SHARED,
        )
    ),
}
"""By level; `namespaces+cgroup` is `namespaces` with control groups around every child."""
NOT_EVERYWHERE = frozenset(("landlock",))
"""Layers that the kernel of a machine of its own may lack: gVisor has none of landlock's calls. What it alone stops is then open there."""
LAYERS["namespaces+cgroup"] = LAYERS["namespaces"]
