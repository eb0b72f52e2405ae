"""A real PostgreSQL of the tests' own, on a unix socket in a folder of its own, which can be ended in every way and started again."""

import os
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path
from typing import Self
from urllib.parse import quote

from tests.servers import postgres_programs


class Postgres:
    """One server. A context manager: it lives as long as the block, with interruptions."""

    def __init__(
        self,
        *,
        fsync: bool = False,
        settings: tuple[str, ...] = (),
        within: Path | None = None,
        kept: Path | None = None,
    ) -> None:
        """`within`: a folder for its own one, instead of the machine's usual place for what is temporary. `kept`: that one, which stays."""
        programs = postgres_programs()
        assert programs is not None, "PostgreSQL is not installed: apt install postgresql"
        self.programs = programs
        self.user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
        self._within = within
        self._kept = kept
        self._numbers = count(1)
        self._settings = (f"fsync={'on' if fsync else 'off'}", "shared_buffers=32MB", "max_connections=100", *settings)

    def __enter__(self) -> Self:
        if self._kept is None:
            self.folder = Path(tempfile.mkdtemp(prefix="interlock-pg-", dir=self._within))
        else:
            self.folder = self._kept.resolve()
            self.folder.mkdir(parents=True, exist_ok=True)
        if (self.folder / "data").exists():
            self.start()
            return self
        if self.user:
            shutil.chown(self.folder, self.user)
        make = [
            "-D",
            str(self.folder / "data"),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
            "--wal-segsize=1",
        ]
        self.run("initdb", *make, "--locale=C.UTF-8")
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._kept is not None:
            self.stop("fast")
            return
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self) -> None:
        named = " ".join(f"-c {each}" for each in self._settings)
        self._control("-o", f"-k {self.folder} -c listen_addresses='' {named}", "start")

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` is as if every process of the server had crashed."""
        self._control("-m", mode, "stop", check=False)

    def address(self, schema: str = "") -> str:
        """Of the database, with a schema of its own as the place of all tables where one is named."""
        path = f"&options={quote(f'-c search_path={schema}')}" if schema else ""
        return f"postgresql://postgres@/postgres?host={self.folder}{path}"

    def fresh(self) -> str:
        """The address of an empty schema."""
        schema = f"s{next(self._numbers)}"
        self.run("psql", "-q", "-c", f"CREATE SCHEMA {schema}", self.address())
        return self.address(schema)

    def drop(self, address: str) -> None:
        """Removes a schema that `fresh` made, with all that is in it."""
        schema = address.rpartition("search_path%3D")[2]
        self.run(
            "psql",
            "-q",
            "-c",
            "SET client_min_messages = warning",
            "-c",
            f"DROP SCHEMA {schema} CASCADE",
            self.address(),
        )

    def run(self, program: str, *arguments: str, check: bool = True) -> str:
        """What one of PostgreSQL's own programs says."""
        command = [str(self.programs / program), *arguments]
        done = subprocess.run(
            command, check=check, capture_output=True, user=self.user, cwd=self.folder, timeout=120, text=True
        )
        return done.stdout

    def _control(self, *arguments: str, check: bool = True) -> None:
        control = ["-D", str(self.folder / "data"), "-w", "-t", "60", "-l", str(self.folder / "log")]
        self.run("pg_ctl", *control, *arguments, check=check)
