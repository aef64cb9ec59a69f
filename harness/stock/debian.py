"""Debian packages for another machine, without root: an apt state of our own that knows one source and one key.

Nothing of this machine's apt is read or changed: neither its sources nor its lists nor what is installed. What comes is
verified by apt against Debian's keyring. A proxy is taken from the environment (http_proxy), as apt does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from edgerig import digest, files, process
from edgerig.deadline import Deadline
from edgerig.errors import HostError, ProcessFailed
from harness import places

RELEASE = "bookworm"
MIRROR = "http://deb.debian.org/debian"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# What `uname -m` says -> what Debian calls it.
ARCHITECTURES = {"aarch64": "arm64", "armv7l": "armhf", "x86_64": "amd64"}
UPDATE_S = 600.0
DOWNLOAD_S = 1800.0

_CONF = """\
Dir "{home}";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "{home}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{home}/state";
Dir::State::status "{home}/status";
Dir::Cache "{home}/cache";
Dir::Log "{home}";
APT::Architecture "{architecture}";
APT::Architectures {{ "{architecture}"; }};
APT::Sandbox::User "";
Acquire::Languages "none";
Acquire::Retries "1";
"""


@dataclass(frozen=True)
class Deb:
    """A package that is here.

    Attributes:
        name: of the package.
        version: Debian's.
        path: of the .deb file.
        sha256: of that file.
    """

    name: str
    version: str
    path: Path
    sha256: str


def fetch(names: Sequence[str], machine: str, mirror: str = MIRROR) -> list[Deb]:
    """Return packages in their newest version, downloaded unless they were before; without what they depend on.

    Args:
        names: of the packages.
        machine: as `uname -m` says it, one of ARCHITECTURES.
        mirror: of Debian.

    Raises:
        HostError: they cannot be had; says what to do.
    """
    home = _home(machine, mirror)
    with _alone(home):
        _update(home, mirror)
        folder = files.make_folder(home / "debs")
        wanted = _file_names(home, names)
        _apt(home, "download", *names, cwd=folder, what=f"{len(wanted)} packages")
        return [_deb(folder / name) for name in wanted]


def _file_names(home: Path, names: Sequence[str]) -> list[str]:
    # Not from the folder of packages: apt leaves out of its list what lies where it stands.
    listed = _apt(home, "download", "--print-uris", *names, cwd=home, what=f"the packages {', '.join(names)}")
    found = re.findall(r"^'[^']+' (\S+\.deb) \d+", listed, re.M)
    if len(found) != len(names):
        raise HostError(f"apt names {len(found)} files for {len(names)} packages: {listed[:300]}")
    return found


def unpack(deb: Deb, folder: Path) -> None:
    """Unpack a package's files into a folder, running none of its scripts; raises HostError."""
    _tool("dpkg-deb", "dpkg")
    process.run(["dpkg-deb", "-x", str(deb.path), str(folder)], deadline=Deadline(UPDATE_S))


def _home(machine: str, mirror: str) -> Path:
    """Return the folder of an apt state, made where it is missing; raises HostError where there can be none."""
    if machine not in ARCHITECTURES:
        raise HostError(
            f"Debian has no packages for {machine!r} that edgerig knows.", f"Known: {', '.join(ARCHITECTURES)}."
        )
    _tool("apt-get", "apt")
    if not KEYRING.exists():
        raise HostError(f"Debian's keyring is not here: {KEYRING}.", "Install it: apt install debian-archive-keyring.")
    home = places.debian() / f"{RELEASE}-{machine}-{digest.of_bytes(mirror.encode())[:8]}"
    for part in ("state/lists/partial", "cache/archives/partial"):
        files.make_folder(home / part)
    with files.writing(home):
        (home / "status").touch()
        (home / "sources.list").write_text(f"deb [signed-by={KEYRING}] {mirror} {RELEASE} main\n")
        (home / "apt.conf").write_text(_CONF.format(home=home, architecture=ARCHITECTURES[machine]))
    return home


def _tool(name: str, package: str) -> None:
    if not shutil.which(name):
        raise HostError(f"{name} is not on this machine.", f"On Debian and its kin: apt install {package}.")


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    """Keep another process of ours from the same apt state."""
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _update(home: Path, mirror: str) -> None:
    try:
        # An index that cannot be fetched is a warning to apt, which then knows no package.
        _run(home, ["-o", "APT::Update::Error-Mode=any", "update"], home)
    except ProcessFailed as error:
        raise HostError(
            f"Debian's list of packages cannot be had from {mirror}: {_complaint(error)}", _other_mirror()
        ) from error


def _apt(home: Path, *words: str, cwd: Path, what: str) -> str:
    try:
        return _run(home, words, cwd)
    except ProcessFailed as error:
        raise HostError(
            f"{what} cannot be had from Debian's {RELEASE}: {_complaint(error)}",
            "Try again; what was downloaded is kept. Another mirror: --mirror URL.",
        ) from error


def _run(home: Path, words: Sequence[str], cwd: Path) -> str:
    env = {**os.environ, "APT_CONFIG": str(home / "apt.conf"), "LC_ALL": "C"}
    return process.run(["apt-get", "-q", *words], deadline=Deadline(DOWNLOAD_S), cwd=cwd, env=env)


def _complaint(error: ProcessFailed) -> str:
    said = [line[3:] for line in error.stderr.splitlines() if line.startswith("E: ")]
    return (said or error.stderr.strip().splitlines() or ["it said nothing"])[0][:300]


def _other_mirror() -> str:
    """Return what to do where a mirror does not answer; names the one that this machine's own apt uses."""
    hint = "Name a mirror of Debian that this machine reaches: --mirror URL; a proxy: http_proxy=URL."
    try:
        own = process.run(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"])
    except ProcessFailed:
        return hint
    debian = [uri for uri in own.split() if re.search(r"/debian/?$", uri)]
    return f"{hint} This machine's own apt uses {debian[0]}" if debian else hint


def _deb(path: Path) -> Deb:
    name, version, _ = path.name.split("_", 2)
    return Deb(name, unquote(version), path, digest.of_file(path))
