"""Python on a device that has no internet: wheels are found here, sent as one archive, and unpacked there.

    system    the device's Python as it is found
    venv      an environment of ours on top of it, made from wheels for its Python, its glibc and its architecture
    bundle    a Python of ours with all that it needs, for devices that have none: see `bundle`

A runtime that is asked for in a version has a venv of its own, whichever of the first two the device has otherwise; a
bundle of its own where the device has bundles.

What pip finds is kept here for each kind of device, so that the next device of the kind, and the next night, get the
same; an archive goes by its content and is not sent again; an environment that was made from it is used again.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from edgerig import digest, files
from edgerig.deadline import Deadline
from edgerig.errors import ProtocolError, TargetFull, TargetRefused
from harness.devices.placing import placed
from harness.runtimes import RUNTIMES, runtime_of
from harness.stock import archive as archives
from harness.stock import bundle, sources
from harness.stock.bundle import Bundle
from harness.stock.sources import PIP, Sources
from harness.stock.wheels import ALWAYS, Facts, NoWheel, name_of, wheelhouse, wheels_of
from targets import connect, emulator, environment, shell
from targets.profile import Target
from targets.transport import Transport

DEFAULT = ("onnxruntime",)  # what an environment is made for where nobody says
OPTIONAL = "opencv-python-headless"  # a device that has none is fed pixels that were decoded here
PROBE_S = 60.0
INSTALL_S = 900.0  # unpacking and compiling 200 MB on a slow card


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
        environment: "system", "venv" or "bundle".
        reused: nothing had to be made.
        sent_bytes: over the link.
        packages: wheels of the environment, by file name.
        own: by runtime as a run names it, for those that have an environment of their own.
        refused: why a runtime cannot be had, by the same.
    """

    command: tuple[str, ...]
    environment: str
    reused: bool = True
    sent_bytes: int = 0
    packages: tuple[str, ...] = ()
    own: Mapping[str, Provisioned] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def commands(self) -> dict[str, tuple[str, ...]]:
        """What starts Python for the runtimes that have an environment of their own."""
        return {spec: environment.command for spec, environment in self.own.items()}

    @property
    def python(self) -> str:
        """The Python itself, without its options."""
        return next(word for word in reversed(self.command) if not word.startswith("-"))


def ensure(target: Target, transport: Transport, fresh: bool = False, wanted: Sequence[str] = ()) -> Provisioned:
    """Make a device ready to run the agent, and say how; nothing is done twice.

    Args:
        target: which.
        transport: the way there.
        fresh: look for newer packages instead of using what was found before.
        wanted: the runtimes, as a run names them; by default those that the target is said to have.

    Raises:
        TargetError: it cannot be made ready.
        HostError: this machine cannot find the wheels.
    """
    if target.settings.environment == "bundle":
        return _bundled(target, transport, wanted)
    python = connect.python_of(target)
    versions = [spec for spec in wanted or target.settings.runtimes if runtime_of(spec).version]
    if target.settings.environment == "system":
        ready = Provisioned((*target.settings.launcher, python), "system")
        return _with_versions(ready, target, transport, versions, fresh) if versions else ready
    facts = probe(target, transport, python)
    archive, refused = _common(facts, _unversioned(target, wanted), fresh, sources.of(target))
    ready = replace(_installed(target, transport, python, archive), refused=refused)
    return _with_versions(ready, target, transport, versions, fresh)


def _unversioned(target: Target, wanted: Sequence[str]) -> list[str]:
    """Return the runtimes that share an environment: what the target has by itself, and what else is wanted now."""
    specs = [*(target.settings.runtimes or DEFAULT), *wanted]
    return [name for name in dict.fromkeys(specs) if name in RUNTIMES]


def requirements(names: Sequence[str], machine: str, wheels: Sources = PIP) -> list[str]:
    """Return what an environment of runtimes needs: what is always needed, and their packages."""
    needed = [package for name in names for package in wheels.asked(name, machine)]
    return [*ALWAYS, *dict.fromkeys(needed)]


def _common(facts: Facts, names: list[str], fresh: bool, wheels: Sources) -> tuple[Path, dict[str, str]]:
    """Return an archive with the runtimes that can be had, and why the others cannot; raises as `wheelhouse` does."""
    refused: dict[str, str] = {}
    while True:
        able = [name for name in names if name not in refused]
        try:
            return _archive(facts, requirements(able, facts.machine, wheels), fresh, wheels), refused
        except NoWheel as error:
            at_fault = [name for name in able if error.package in map(name_of, wheels.asked(name, facts.machine))]
            if not at_fault:
                raise
            refused |= dict.fromkeys(at_fault, f"{error.message} {error.hint}")


def _archive(facts: Facts, needed: list[str], fresh: bool, wheels: Sources) -> Path:
    """Return an archive of wheels, without OpenCV where it has none that fits."""
    try:
        return wheelhouse(facts, needed, fresh, wheels)
    except NoWheel as error:
        rest = [package for package in needed if name_of(package) != OPTIONAL]
        if error.package != OPTIONAL or rest == needed:
            raise
        return wheelhouse(facts, rest, fresh, wheels)


def _with_versions(
    ready: Provisioned, target: Target, transport: Transport, specs: Sequence[str], fresh: bool
) -> Provisioned:
    """Make an environment for each version of a runtime; one that cannot be had is said, and the others go on."""
    own, refused = dict(ready.own), dict(ready.refused)
    for spec in dict.fromkeys(specs):
        try:
            own[spec] = _version(target, transport, spec, fresh)
        except TargetRefused as error:
            refused[spec] = f"{error.message} {error.hint}".strip()
    return replace(ready, own=own, refused=refused)


def _version(target: Target, transport: Transport, spec: str, fresh: bool) -> Provisioned:
    python, wheels = connect.python_of(target), sources.of(target)
    facts = probe(target, transport, python)
    runtime = runtime_of(spec)
    packages = wheels.asked(runtime.name, facts.machine, runtime.version)
    if not packages:
        raise TargetRefused(f"the runtime {runtime.name} is no package, and has no versions.")
    return _installed(target, transport, python, _archive(facts, [*ALWAYS, *packages], fresh, wheels))


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


def _bundled(target: Target, transport: Transport, wanted: Sequence[str]) -> Provisioned:
    """Put a bundle there, more of them for runtimes that it has not, and what the device's emulator needs."""
    machine = target.settings.architecture or bundle.machines()[0]
    asked = [
        spec for spec in dict.fromkeys((*target.settings.runtimes, *wanted)) if bundle.packages_of([spec], machine)
    ]
    common = bundle.best(machine, asked)
    launcher, sent = _emulator(target, transport) if target.settings.emulator == emulator.QEMU_USER else ((), 0)
    words = (*target.settings.launcher, *launcher)
    own, refused = {}, {}
    for spec in asked:
        if common.has(spec):
            continue
        try:
            own[spec] = _unpacked(target, transport, bundle.newest(machine, [spec]), words)
        except TargetRefused as error:
            refused[spec] = f"{error.message} {error.hint}"
    ready = _unpacked(target, transport, common, words)
    return replace(ready, sent_bytes=ready.sent_bytes + sent, own=own, refused=refused)


def _unpacked(target: Target, transport: Transport, held: Bundle, launcher: Sequence[str]) -> Provisioned:
    folder, sent = placed(target, transport, held.path, held.name, held.archive_sha256)
    packages = tuple(f"{package.name} {package.version}" for package in held.contents.packages)
    return Provisioned((*launcher, *bundle.words(held, folder)), "bundle", sent == 0, sent, packages)


def _emulator(target: Target, transport: Transport) -> tuple[tuple[str, ...], int]:
    """Return the words of qemu-user, the files that its device sees being there, and the bytes sent for those."""
    cpu = target.settings.cpu
    with tempfile.TemporaryDirectory() as place:
        root, packed = Path(place, "root"), Path(place, "root.tar.gz")
        for name, text in emulator.files(cpu):
            files.make_folder((root / name).parent)
            files.write(root / name, text.encode())
        name = f"{cpu}-{archives.pack(root, packed)[:16]}"
        folder, sent = placed(target, transport, packed, name, digest.of_file(packed))
    return emulator.words(cpu, folder), sent
