"""An MCP server's command as a job: what of the machine it needs to see."""

import sys
from pathlib import Path

import pytest

from interlock.app.commands import job_of
from interlock.config.mcp import McpServer
from interlock.core.sandbox import RunLimits

pytestmark = pytest.mark.requirement("TL-02")


def made(root: Path, *, here: bool = True, **fields: object):
    return job_of(McpServer.model_validate(fields), root, RunLimits(), None, here=here)


def test_a_program_of_an_environment_brings_it_and_the_python_it_was_made_from(tmp_path: Path):
    job = made(tmp_path, command=[sys.executable, "-m", "shop"], env={"TOKEN": "x"})

    assert str(Path(sys.executable).parent.parent) in job.paths
    assert job.code == f"exec {sys.executable} -m shop"
    assert job.environment["TOKEN"] == "x"


def test_what_is_installed_for_all_needs_nothing_and_a_file_alone_only_itself(tmp_path: Path):
    alone = tmp_path / "server"
    alone.write_text("#!/bin/sh\n")
    alone.chmod(0o755)

    assert made(tmp_path, command=["/bin/sh"]).paths == ()
    assert made(tmp_path, command=[str(alone)], reads=["."]).paths == (str(alone), str(tmp_path))


def test_a_program_that_is_not_there_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="there is no program nowhere-to-be-found"):
        made(tmp_path, command=["nowhere-to-be-found"])


def test_a_workers_program_is_looked_for_there(tmp_path: Path):
    job = made(tmp_path, here=False, command=["/opt/mcp/bin/server", "--all"], reads=["/opt/mcp", "/srv/repos"])

    assert (job.code, job.paths) == ("exec /opt/mcp/bin/server --all", ("/opt/mcp", "/srv/repos"))
