"""Python on a device that has no internet: wheels are found here, sent as one archive, and unpacked there.

    system    the device's Python as it is found
    venv      an environment of ours on top of it, made from wheels for its Python, its glibc and its architecture

What pip finds is kept here for each kind of device, so that the next device of the kind, and the next night, get the
same; an archive goes by its content and is not sent again; an environment that was made from it is used again.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from edgerig import digest, files, process
from edgerig.deadline import Deadline
from edgerig.errors import HostError, ProcessFailed, ProtocolError, TargetFull, TargetRefused
from harness import places
from harness.runtimes import RUNTIMES
from targets import connect, environment, shell
from targets.profile import Target
from targets.transport import Transport

ALWAYS = ("numpy", "opencv-python-headless<5")
OLDEST_GLIBC = {"x86_64": 5, "i686": 5}  # minor of 2.x in the first manylinux of an architecture; 17 for all others
LEGACY = {"manylinux2014": 17, "manylinux2010": 12, "manylinux1": 5}  # PEP 600: other names of the same
PROBE_S = 60.0
INSTALL_S = 900.0  # unpacking and compiling 200 MB on a slow card
DOWNLOAD_S = 1800.0
EPOCH = (1980, 1, 1, 0, 0, 0)


class Facts(BaseModel):
    """What wheels have to fit, as the device's Python says it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    python: tuple[int, int]
    implementation: str
    machine: str
    libc: tuple[str, str]
    venv: bool
    executable: str

    @property
    def version(self) -> str:
        """Python's version, e.g. "3.11"."""
        return f"{self.python[0]}.{self.python[1]}"

    def __str__(self) -> str:
        return f"Python {self.version} on {self.machine} with {' '.join(self.libc) or 'an unknown libc'}"


class Told(BaseModel):
    """What the installing program says at its end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    python: str = ""
    reused: bool = False
    missing: bool = False
    error: str = ""
    message: str = ""


@dataclass(frozen=True)
class Provisioned:
    """A device that is ready.

    Attributes:
        command: what starts Python there, of the agent and of every measuring process; "{root}" is the device's folder.
        environment: "system" or "venv".
        reused: nothing had to be made.
        sent_bytes: over the link.
        packages: wheels of the environment, by file name.
        commands: the same by runtime, for those that have an environment of their own.
    """

    command: tuple[str, ...]
    environment: str
    reused: bool = True
    sent_bytes: int = 0
    packages: tuple[str, ...] = ()
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def python(self) -> str:
        """The Python itself."""
        return self.command[-1]


def ensure(target: Target, transport: Transport, fresh: bool = False) -> Provisioned:
    """Make a device ready to run the agent, and say how; nothing is done twice.

    Args:
        target: which.
        transport: the way there.
        fresh: look for newer packages instead of using what was found before.

    Raises:
        TargetError: it cannot be made ready.
        HostError: this machine cannot find the wheels.
    """
    python = connect.python_of(target)
    if target.settings.environment == "system":
        return Provisioned((*target.settings.launcher, python), "system")
    facts = probe(target, transport, python)
    archive = wheelhouse(facts, requirements(target), fresh)
    return _installed(target, transport, python, archive)


def requirements(target: Target) -> list[str]:
    """Return what a target's environment needs: what is always needed, and its runtimes' packages."""
    runtimes = target.settings.runtimes or RUNTIMES
    needed = (package for name in runtimes if name in RUNTIMES for package in RUNTIMES[name].packages)
    return [*ALWAYS, *dict.fromkeys(needed)]


def probe(target: Target, transport: Transport, python: str) -> Facts:
    """Return what a device's Python is; raises TargetRefused where there is none that can have an environment."""
    done = shell.run(transport, [python, "-c", environment.PROBE], Deadline(PROBE_S))
    if done.status:
        raise TargetRefused(
            f"{target.name} has no Python that starts as {python}: {done.err[-300:] or f'status {done.status}'}",
            'Install Python 3.8 or newer there, or say where it is: [targets.NAME] python = "…".',
        )
    try:
        facts = Facts.model_validate_json(done.out)
    except ValidationError as error:
        raise ProtocolError(f"{python} on {target.name} said {done.out[:80]!r}.") from error
    if not facts.venv:
        raise TargetRefused(
            f"Python {facts.version} on {target.name} has no venv module.",
            'On Debian: apt install python3-venv there; or environment = "system".',
        )
    if facts.libc[0] != "glibc" or not re.fullmatch(r"2\.[0-9]{1,3}", facts.libc[1]):
        raise TargetRefused(
            f"{target.name} has {facts}: wheels are found for glibc alone.", 'Write environment = "system".'
        )
    return facts


def platforms(facts: Facts) -> list[str]:
    """Return all platform tags that fit, the newest first: pip takes the named ones and none below them."""
    newest = int(facts.libc[1].split(".")[1])
    oldest = OLDEST_GLIBC.get(facts.machine, 17)
    tags = [f"manylinux_2_{minor}_{facts.machine}" for minor in range(newest, oldest - 1, -1)]
    old_names = [f"{name}_{facts.machine}" for name, minor in LEGACY.items() if oldest <= minor <= newest]
    return [*tags, *old_names, f"linux_{facts.machine}"]


def wheelhouse(facts: Facts, needed: list[str], fresh: bool = False) -> Path:
    """Return an archive of wheels that fit a device, found before or by pip now.

    Raises:
        TargetRefused: something has no wheel for that Python.
        HostError: pip cannot be used here.
    """
    kind = digest.of_json([facts.python, facts.implementation, facts.machine, facts.libc, needed])[:16]
    path = files.make_folder(places.wheels()) / f"{facts.machine}-py{facts.version}-{kind}.zip"
    if fresh or not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            _download(facts, needed, Path(folder))
            part = path.with_name(f"{path.name}.{digest.of_bytes(folder.encode())[:8]}")
            with files.writing(path):
                _pack(Path(folder), part)
                part.replace(path)
    return path


def _download(facts: Facts, needed: list[str], folder: Path) -> None:
    abi = f"cp{facts.python[0]}{facts.python[1]}"
    options = ["--only-binary=:all:", "--python-version", facts.version, "--implementation", "cp"]
    tags = [word for name in (abi, "abi3", "none") for word in ("--abi", name)]
    tags += [word for tag in platforms(facts) for word in ("--platform", tag)]
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *options, *tags]
    try:
        process.run([*argv, "--dest", str(folder), *needed], deadline=Deadline(DOWNLOAD_S))
    except ProcessFailed as error:
        raise _explained(error, facts) from error


def _explained(error: ProcessFailed, facts: Facts) -> Exception:
    """Return what pip's complaint means."""
    nothing = re.search(r"No matching distribution found for ([^\s;]+)", error.stderr)
    if nothing and not re.search(r"connection|resolution|timed out", error.stderr, re.IGNORECASE):
        return TargetRefused(
            f"there is no wheel of {nothing[1]} for {facts}.",
            'Name the runtimes that the device can have, runtimes = […]; or a newer Python there, python = "…".',
        )
    if "No module named pip" in error.stderr:
        return HostError(f"{sys.executable} has no pip to find wheels with.", "Install pip beside edgerig.")
    last = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return HostError(f"pip could not find wheels for {facts}: {last[:300]}", "Is there a way to the package index?")


def _pack(folder: Path, path: Path) -> None:
    """Write one archive of all wheels: the same bytes from the same wheels."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for wheel in sorted(folder.glob("*.whl")):
            with wheel.open("rb") as source, archive.open(zipfile.ZipInfo(wheel.name, EPOCH), "w") as member:
                shutil.copyfileobj(source, member, 1 << 20)


def wheels_of(archive: Path) -> Iterator[str]:
    """Yield the file names of the wheels in an archive."""
    with zipfile.ZipFile(archive) as content:
        yield from content.namelist()


def _installed(target: Target, transport: Transport, python: str, archive: Path) -> Provisioned:
    sha256, size = digest.of_file(archive), archive.stat().st_size
    sent, told = 0, _install(target, transport, python, sha256)
    if told.missing:
        transport.put(archive, f"wheels/{sha256}.zip", Deadline(PROBE_S + size / 100_000))  # 100 kB/s is a bad link
        sent, told = size, _install(target, transport, python, sha256)
    if told.missing:
        raise ProtocolError(f"the wheels for {target.name} did not arrive as they were sent.")
    if told.error == "full":
        raise TargetFull(
            f"no space is left on {target.name} for {size / 1e6:.0f} MB of packages.",
            f"Free some space there; `edgerig clean {target.name}` removes what edgerig keeps.",
        )
    if told.error:
        raise TargetRefused(f"the environment on {target.name} could not be made: {told.message}.")
    own = f"{{root}}/venvs/{sha256[:16]}/bin/python"  # not what the device says, which could be any command
    return Provisioned((*target.settings.launcher, own), "venv", told.reused, sent, tuple(wheels_of(archive)))


def _install(target: Target, transport: Transport, python: str, sha256: str) -> Told:
    argv = [python, "-c", environment.INSTALL, "{root}", sha256, sha256[:16]]
    done = shell.run(transport, argv, Deadline(INSTALL_S))
    try:
        return Told.model_validate_json(done.out)
    except ValidationError as error:
        said = done.err[-300:] or done.out[:80]
        raise TargetRefused(f"the environment on {target.name} could not be made: {said}") from error
