"""Bundles: a Python with numpy and runtimes for devices that have none, as one archive that is started where it lies.

A bundle is made of Debian's packages and of wheels, goes by the sha256 of what is in it, and is the same bytes when it
is made of the same packages. BUNDLE.json in it, and beside it, says what those are.
"""

from __future__ import annotations

import platform
import shlex
import shutil
import tempfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from email.parser import Parser
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgerig import digest, files, toml
from edgerig.errors import ConfigError, HostError, TargetRefused
from harness import places
from harness.runtimes import RUNTIMES, runtime_of
from harness.stock import archive, debian, tree, wheels
from harness.stock.debian import Deb

RECIPE = 1  # raised when the same packages make another tree than before
DEFAULT_RUNTIMES = ("onnxruntime", "tflite")
CONTENTS = "BUNDLE.json"
Teller = Callable[[str], None]


class Package(BaseModel):
    """What a bundle is made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str  # "debian" or "wheel"
    name: str
    version: str
    sha256: str  # of the .deb or the .whl
    licence: str  # its name, or the file in the bundle that holds it


class Contents(BaseModel):
    """BUNDLE.json in a bundle."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: int
    machine: str
    python: str
    glibc: str
    debian: str
    runtimes: tuple[str, ...]
    packages: tuple[Package, ...]


class Bundle(BaseModel):
    """A bundle that is here.

    Attributes:
        sha256: of the tar: what the bundle goes by.
        archive_sha256: of the compressed file, which is what is sent.
        bytes: of the compressed file.
        unpacked_bytes: of all files in it.
        built: when, ISO 8601.
        contents: what is in it.
        path: of the file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    archive_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int
    unpacked_bytes: int
    built: str
    contents: Contents
    path: Path = Field(default=Path(), exclude=True)

    @property
    def name(self) -> str:
        """The name of its file and of its folder on a device."""
        return f"edgerig-bundle-{self.contents.machine}-{self.sha256[:16]}"

    def has(self, spec: str) -> bool:
        """Whether a runtime, as a run names it, is in it; a version also where nobody asked for just that one."""
        wanted = runtime_of(spec)
        names = packages_of([spec], self.contents.machine)
        versions = {package.version for package in self.contents.packages if package.name in names}
        return spec in self.contents.runtimes or (wanted.version in versions)

    @classmethod
    def read(cls, index: Path) -> Self:
        """Return the bundle that an index file beside it tells of; raises HostError."""
        try:
            found = cls.model_validate_json(index.read_bytes())
        except (OSError, ValidationError) as error:
            raise HostError(f"{index} is no bundle's: {error}", "Remove it and build the bundle again.") from error
        return found.model_copy(update={"path": index.with_name(f"{found.name}.tar.gz")})


def machines() -> list[str]:
    """Return the machines that bundles can be built for, as `uname -m` says them."""
    return list(tree.LOADERS)


def build(
    machine: str,
    runtimes: Sequence[str],
    folder: Path,
    *,
    mirror: str = debian.MIRROR,
    tell: Teller = lambda _: None,
) -> tuple[Bundle, bool]:
    """Build a bundle from the newest packages, unless they made one before; return it and whether it was there.

    Args:
        machine: for which, e.g. "aarch64".
        runtimes: specs as in a run, e.g. "onnxruntime" or "onnxruntime==1.23.2".
        folder: where it goes.
        mirror: of Debian.
        tell: is told what is done now.

    Raises:
        ConfigError: a runtime or machine that there is not, or a runtime has no wheel for that machine.
        HostError: packages cannot be had, or this machine cannot make the bundle of them.
    """
    needed = _needed(machine, runtimes)
    tell(f"asking {mirror} for {len(tree.PACKAGES)} packages of Debian {debian.RELEASE}, {machine}")
    debs = debian.fetch(tree.PACKAGES, machine, mirror)
    tell(f"asking pip for wheels of {', '.join(needed)}")
    house = _wheelhouse(machine, needed)
    contents = _contents(machine, runtimes, debs, house)
    same = [bundle for bundle in found(folder) if bundle.contents == contents]
    if same:
        return same[0], True
    with tempfile.TemporaryDirectory() as place:
        made = Path(place) / "tree"
        tell("unpacking them and leaving out what measuring does not need")
        tree.make(debs, house, machine, made)
        tell("compiling Python's modules")
        tree.compile_modules(made, _compiler(machine, made, Path(place), mirror))
        tell("packing")
        return _packed(made, contents, files.make_folder(folder)), False


def found(folder: Path) -> list[Bundle]:
    """Return the bundles in a folder, the newest first; raises HostError where one is not as its index says."""
    bundles = [Bundle.read(index) for index in folder.glob("edgerig-bundle-*.json")]
    there = [bundle for bundle in bundles if bundle.path.is_file()]
    return sorted(there, key=lambda bundle: bundle.built, reverse=True)


def newest(machine: str, runtimes: Sequence[str] = ()) -> Bundle:
    """Return the newest bundle here that fits a device.

    Args:
        machine: the device's.
        runtimes: that it has to hold, as a run names them.

    Raises:
        TargetRefused: there is none; other devices can be measured all the same.
    """
    for bundle in found(places.bundles()):
        if bundle.contents.machine == machine and all(bundle.has(spec) for spec in runtimes):
            return bundle
    raise TargetRefused(
        f"there is no bundle here for {machine}{' with ' + ' and '.join(runtimes) if runtimes else ''}.",
        f"Build one: {command(machine, runtimes)}",
    )


def command(machine: str, runtimes: Sequence[str]) -> str:
    """Return what builds a bundle."""
    arch = [] if machine == machines()[0] else ["--arch", machine]
    wanted = ["--runtimes", ",".join(runtimes)] if runtimes else []
    return shlex.join(["edgerig", "bundle", "build", *arch, *wanted])


def best(machine: str, runtimes: Sequence[str]) -> Bundle:
    """Return the bundle with most of some runtimes, else of the default ones; of several the newest.

    Raises as `newest` does where there is none at all for the machine.
    """
    fitting = [bundle for bundle in found(places.bundles()) if bundle.contents.machine == machine]
    wanted = runtimes or DEFAULT_RUNTIMES
    return max(fitting, key=lambda bundle: sum(map(bundle.has, wanted)), default=None) or newest(machine)


def words(bundle: Bundle, folder: str) -> tuple[str, ...]:
    """Return what starts a bundle's Python where the bundle lies at `folder`.

    It heeds no variable of the device's (-E, -s), writes no bytecode (-B) and holds nothing back (-u).
    """
    return (*tree.words(folder, bundle.contents.machine), "-E", "-s", "-B", "-u")


def _needed(machine: str, runtimes: Sequence[str]) -> list[str]:
    """Return what pip is asked for; raises ConfigError."""
    if machine not in machines():
        hint = toml.nearest(machine, machines()) or f"Known: {', '.join(machines())}."
        raise ConfigError(f"bundles are not built for '{machine}'.", hint)
    for name in (runtime_of(spec).name for spec in runtimes):
        if name not in RUNTIMES:
            hint = toml.nearest(name, RUNTIMES) or f"Known: {', '.join(RUNTIMES)}."
            raise ConfigError(f"there is no runtime '{name}'.", hint)
    packages = [
        package
        for spec in map(runtime_of, runtimes)
        for package in RUNTIMES[spec.name].packages_on(machine, spec.version)
    ]
    return [*wheels.ALWAYS, *dict.fromkeys(packages)]


def _wheelhouse(machine: str, needed: list[str]) -> Path:
    try:
        return wheels.wheelhouse(_facts(machine), needed, fresh=True)
    except wheels.NoWheel as error:
        raise ConfigError(error.message, "Name other runtimes, or other versions of them: --runtimes.") from error


def packages_of(runtimes: Sequence[str], machine: str) -> list[str]:
    """Return the names of the packages that runtimes are in."""
    return [
        wheels.name_of(package)
        for spec in map(runtime_of, runtimes)
        for package in RUNTIMES[spec.name].packages_on(machine)
    ]


def _facts(machine: str) -> wheels.Facts:
    return wheels.Facts(
        python=tree.PYTHON,
        implementation="cpython",
        machine=machine,
        libc=("glibc", tree.GLIBC),
        venv=False,
        executable="",
    )


def _contents(machine: str, runtimes: Sequence[str], debs: Sequence[Deb], house: Path) -> Contents:
    from_debian = [
        Package(kind="debian", name=deb.name, version=deb.version, sha256=deb.sha256, licence=f"licences/{deb.name}")
        for deb in debs
    ]
    return Contents(
        recipe=RECIPE,
        machine=machine,
        python=".".join(map(str, tree.PYTHON)),
        glibc=tree.GLIBC,
        debian=debian.RELEASE,
        runtimes=tuple(sorted(runtimes)),
        packages=tuple(sorted([*from_debian, *_wheels(house)], key=lambda package: (package.kind, package.name))),
    )


def _wheels(house: Path) -> list[Package]:
    with tempfile.TemporaryDirectory() as folder:
        shutil.unpack_archive(house, folder, "zip")
        return [_wheel(path) for path in sorted(Path(folder).glob("*.whl"))]


def _wheel(path: Path) -> Package:
    said = Parser().parsestr(wheels.metadata_of(path))
    name, version = path.name.split("-")[:2]
    licence = said["License-Expression"] or said["License"] or ""
    classified = [text.split(" :: ")[-1] for text in said.get_all("Classifier", []) if text.startswith("License ::")]
    return Package(
        kind="wheel",
        name=said["Name"] or name,
        version=said["Version"] or version,
        sha256=digest.of_file(path),
        licence=licence if licence and len(licence) < 100 else ", ".join(classified) or "see its .dist-info",
    )


def _compiler(machine: str, made: Path, place: Path, mirror: str) -> Sequence[str]:
    """Return what starts the tree's very Python on this machine, from Debian's packages for this machine where it must.

    The Python that runs edgerig may be another version, whose bytecode the tree's could not read.
    """
    here = platform.machine()
    if here == machine:
        return tree.words(str(made), machine)
    if here not in machines():
        raise HostError(f"a bundle cannot be built on {here}.", f"Build it on one of: {', '.join(machines())}.")
    own = place / "compiler"
    empty = place / "none.zip"
    wheels.pack([], empty)
    tree.make(debian.fetch(tree.PACKAGES, here, mirror), empty, here, own)
    return tree.words(str(own), here)


def _packed(made: Path, contents: Contents, folder: Path) -> Bundle:
    (made / CONTENTS).write_text(contents.model_dump_json(indent=1) + "\n", encoding="utf-8")
    part = folder / f".{digest.of_bytes(str(made).encode())[:12]}.part"
    try:
        sha256 = archive.pack(made, part)
        bundle = Bundle(
            sha256=sha256,
            archive_sha256=digest.of_file(part),
            bytes=part.stat().st_size,
            unpacked_bytes=sum(path.stat().st_size for path in made.rglob("*") if path.is_file()),
            built=datetime.now(UTC).isoformat(timespec="seconds"),
            contents=contents,
        )
        with files.writing(folder):
            part.replace(folder / f"{bundle.name}.tar.gz")
    finally:
        part.unlink(missing_ok=True)
    index = folder / f"{bundle.name}.json"
    files.write(index, bundle.model_dump_json(indent=1).encode() + b"\n")
    return Bundle.read(index)
