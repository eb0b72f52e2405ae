"""Real servers that tests start for themselves, in a folder of their own, and stop again."""

import contextlib
import os
import secrets
import select
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


def free_port() -> int:
    """A TCP port that nobody listens on, below those that the kernel gives to whoever names none: it stays free until it is used."""
    while True:
        port = 15_000 + secrets.randbelow(15_000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def postgres_programs() -> Path | None:
    """The folder of `initdb` and `postgres`, the newest where there are several."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    if found:
        return found[-1].parent
    known = shutil.which("initdb")
    return Path(known).parent if known else None


@contextmanager
def postgres_server() -> Generator[str]:
    """The address of a PostgreSQL that lives as long as the block; superuser `postgres`, database `postgres`."""
    programs = postgres_programs()
    assert programs is not None, "PostgreSQL is not installed: apt install postgresql"
    user = "postgres" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="interlock-pg-"))
    port = free_port()
    try:
        if user:
            shutil.chown(folder, user)
        make = [
            str(programs / "initdb"),
            "-D",
            str(folder / "data"),
            "-U",
            "postgres",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--no-sync",
        ]
        subprocess.run(make, check=True, capture_output=True, user=user, cwd=folder, timeout=120)
        options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off -c shared_buffers=16MB -c max_connections=40"
        control = [str(programs / "pg_ctl"), "-D", str(folder / "data"), "-w", "-t", "60", "-l", str(folder / "log")]
        subprocess.run(
            [*control, "-o", options, "start"], check=True, capture_output=True, user=user, cwd=folder, timeout=120
        )
        try:
            yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run(
                [*control, "-m", "immediate", "stop"],
                check=False,
                capture_output=True,
                user=user,
                cwd=folder,
                timeout=120,
            )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def wait_for_port(port: int, within_s: float = 60.0) -> None:
    """Returns when somebody listens there."""
    ends = time.monotonic() + within_s
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 0.2).close()
        except OSError:
            if time.monotonic() > ends:
                raise
            select.select([], [], [], 0.05)
        else:
            return


def mariadb_programs() -> tuple[str, str] | None:
    """`mariadb-install-db` and `mariadbd`, where they are installed."""
    install, server = (
        shutil.which("mariadb-install-db"),
        shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin"),
    )
    return (install, server) if install and server else None


@contextmanager
def mariadb_server() -> Generator[str]:
    """The address of a MariaDB that lives as long as the block; user `root` without a password."""
    programs = mariadb_programs()
    assert programs is not None, "MariaDB is not installed: apt install mariadb-server"
    folder = Path(tempfile.mkdtemp(prefix="interlock-my-"))
    port = free_port()
    user = "mysql" if os.geteuid() == 0 else None
    try:
        if user:
            shutil.chown(folder, user)
        data = folder / "data"
        make = [
            programs[0],
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--no-defaults",
        ]
        subprocess.run(make, check=True, capture_output=True, user=user, cwd=folder, timeout=120)
        options = [
            f"--datadir={data}",
            f"--port={port}",
            f"--socket={folder}/s",
            "--bind-address=127.0.0.1",
            f"--pid-file={folder}/pid",
        ]
        server = subprocess.Popen(
            [programs[1], "--no-defaults", *options, "--innodb-flush-log-at-trx-commit=0", "--skip-log-bin"],
            user=user, cwd=folder, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            wait_for_port(port, 60)
            yield f"mysql://root@127.0.0.1:{port}/"
        finally:
            server.terminate()
            server.wait(30)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
