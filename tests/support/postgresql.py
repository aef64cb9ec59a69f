"""A PostgreSQL of the tests' own: on a socket in a folder, reached by nobody else, stopped by its process id."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.needs import require

USER = "postgres"  # PostgreSQL refuses to be run by root; Debian's package makes this user
PATIENCE_S = 60.0


def _program(name: str) -> str:
    """Return a program of PostgreSQL; Debian keeps them out of the PATH."""
    found = shutil.which(name) or next(map(str, sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))), None)
    require(found, "PostgreSQL is not installed (apt-get install postgresql)")
    assert found
    return found


@contextmanager
def server() -> Iterator[str]:
    """Start a server with an empty database, and yield its URL."""
    programs = _program("initdb"), _program("postgres")
    folder = Path(tempfile.mkdtemp(prefix="edgerig-pg-"))  # pytest's own folders are closed to other users
    try:
        user = _other_user(folder)
        words = [programs[0], "--no-sync", "--auth=trust", "--username=lab", "--encoding=UTF8", folder / "data"]
        subprocess.run([*map(str, words)], check=True, capture_output=True, cwd=folder, user=user)
        yield from _running(programs[1], folder, user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _other_user(folder: Path) -> int | None:
    """Give the folder to a user who may run PostgreSQL, and return who that is; None is we ourselves."""
    if os.geteuid():
        return None
    user = pwd.getpwnam(USER)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return user.pw_uid


def _running(program: str, folder: Path, user: int | None) -> Iterator[str]:
    # No port is opened: the socket in our folder is the only way in.
    argv = [program, "-D", folder / "data", "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*map(str, argv)], cwd=folder, user=user, stdout=log, stderr=log)
    try:
        end = time.monotonic() + PATIENCE_S
        while not (folder / ".s.PGSQL.5432").exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end, "PostgreSQL does not start"
            time.sleep(0.02)
        yield f"postgresql://lab@/postgres?host={folder}"
    finally:
        process.send_signal(signal.SIGINT)  # "fast shutdown"
        process.wait(PATIENCE_S)
