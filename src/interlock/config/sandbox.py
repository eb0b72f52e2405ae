"""What `sandbox:` in interlock.yaml may say: how strong the isolation of foreign code must be, and what one call may use.

Above: schema, app. Below: blocks, core.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from interlock.core.sandbox import Level, RunLimits

from .blocks import Address, Block, Count, Positive, Seconds, Text

_MB = 1 << 20


class SandboxLimits(Block):
    """Of one call, all of its processes together."""

    wall_seconds: Seconds = 10.0
    cpu_seconds: Positive = 10
    memory_mb: Positive = 512
    processes: Positive = 32
    """Of shell commands; Python runs as one process with threads."""
    output_bytes: Positive = 65_536
    disk_mb: Positive = 64
    inodes: Annotated[Count, Field(ge=16)] = 4_096
    open_files: Annotated[Count, Field(ge=16)] = 128
    files_out: Positive = 64
    files_out_mb: Positive = 16

    def run_limits(self, *, processes: int = 1) -> RunLimits:
        """As the sandbox takes them."""
        return RunLimits(
            wall_s=self.wall_seconds,
            cpu_s=self.cpu_seconds,
            memory_bytes=self.memory_mb * _MB,
            processes=processes,
            output_bytes=self.output_bytes,
            disk_bytes=self.disk_mb * _MB,
            inodes=self.inodes,
            open_files=self.open_files,
            files_out=self.files_out,
            files_out_bytes=self.files_out_mb * _MB,
        )


class SandboxWorker(Block):
    """A worker that runs everything in place of this machine; both sides show a certificate."""

    url: Address
    ca: Text
    """PEM file of the authority that signed the worker's certificate; as the others, from the workspace's folder."""
    certificate: Text
    key: Text

    @model_validator(mode="after")
    def _only_tls(self) -> SandboxWorker:
        if not self.url.startswith("https://"):
            raise ValueError("a worker is spoken to over https://, with certificates on both sides")
        return self


class SandboxSettings(Block):
    """Where the code that models write, shell commands and isolated tools run."""

    min_level: Level = "namespaces"
    unsafe_no_isolation: bool = False
    """Must be set, beside `min_level: none`, for code to run without isolation."""
    image: Literal["python", "data"] = "python"
    """Of `code.run`: the standard library, or numpy, pandas and matplotlib as well."""
    network: bool = False
    """Code and commands may reach what `egress` allows."""
    interpreter: Text = ""
    cgroup: Text = ""
    uid: Annotated[Count, Field(ge=1, le=2**31 - 2)] = 65_534
    spares: Annotated[Count, Field(le=64)] = 2
    max_in_flight: Positive = 256
    session_idle_seconds: Seconds = 900.0
    session_days: Positive = 7
    worker: SandboxWorker | None = None
    limits: SandboxLimits = Field(default_factory=SandboxLimits.model_construct)

    @model_validator(mode="after")
    def _said_twice(self) -> SandboxSettings:
        if self.min_level == "none" and not self.unsafe_no_isolation:
            raise ValueError(
                "min_level: none lets foreign code do anything; set unsafe_no_isolation: true as well if that is meant"
            )
        return self
