"""The minimal read-only tree that a zygote and its children see instead of the host's. Above: zygote. Below: kernel.

A tmpfs of one megabyte holds directories, links and a few small files; the rest are read-only binds of the image's own paths, at the same
paths as on the host. Nothing of the host is bound writable, so there is no way out by link or by `..`.
"""

from __future__ import annotations

import os
from typing import Any

from .kernel import (
    ATTR_NODEV,
    ATTR_NOEXEC,
    ATTR_NOSUID,
    ATTR_RDONLY,
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_RDONLY,
    MS_REC,
    Kernel,
)

DEVICES = ("null", "zero", "full", "random", "urandom")
_STAGES = ("/sys", "/mnt", "/opt")
"""Where the tree is put together; what the host has there is not needed any more in this mount namespace."""
_LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
}


def build(kernel: Kernel, plan: dict[str, Any]) -> None:
    """Puts the tree together, mounts a proc of the current pid namespace in it, and makes it the root.

    Of `plan`: `binds` (directories and files of the host; those that do not exist are left out), `moved` (the same, by
    the path where they are shown), `masks` (directories that are shown empty), `links` (symbolic links by path), `files` (small files by path).
    """
    root = next(stage for stage in _STAGES if os.path.isdir(stage))
    kernel.mount("none", "/", "", MS_REC | MS_PRIVATE)
    kernel.mount("tree", root, "tmpfs", MS_NOSUID | MS_NODEV, "size=1m,nr_inodes=4k,mode=755")
    for path in ("/dev", "/proc", "/etc", plan["work"]):
        os.mkdir(root + path)
    for path, target in {**_LINKS, **plan["links"]}.items():
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        os.symlink(target, root + path)
    for path, text in plan["files"].items():
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        with open(root + path, "x", encoding="utf-8") as file:
            file.write(text)
    for path in plan["binds"]:
        if os.path.exists(path):
            _bind(kernel, path, root + path, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV)
    for path, source in plan["moved"].items():
        _bind(kernel, source, root + path, ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV)
    for path in plan["masks"]:
        kernel.mount("mask", root + path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "size=4k,nr_inodes=1")
    for name in DEVICES:
        _bind(kernel, f"/dev/{name}", f"{root}/dev/{name}", ATTR_RDONLY | ATTR_NOSUID | ATTR_NOEXEC)
    mount_proc(kernel, f"{root}/proc")
    os.chdir(root)
    kernel.pivot_root(".", ".")
    kernel.unmount(".")
    os.chdir("/")
    kernel.restrict_mount("/", ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV, recursive=False)


def mount_proc(kernel: Kernel, path: str, options: str = "") -> None:
    """A proc of the current pid namespace."""
    kernel.mount("proc", path, "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, options)


def _bind(kernel: Kernel, source: str, target: str, attributes: int) -> None:
    if os.path.isdir(source):
        os.makedirs(target, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "x", encoding="utf-8"):
            pass
    kernel.mount(source, target, "", MS_BIND | MS_REC)
    kernel.restrict_mount(target, attributes, recursive=True)


def plan_paths(plan: dict[str, Any]) -> list[str]:
    """What landlock lets a child read: the binds, and what the tree itself holds."""
    own = ["/etc"] if "tree" in plan["layers"] else [f"/dev/{name}" for name in DEVICES]
    return [
        path
        for path in [*plan["binds"], *({os.path.dirname(each) for each in plan["moved"]}), *own]
        if os.path.exists(path)
    ]
