"""Wheels for a Python that is elsewhere: found by pip here, kept for each kind of device, packed into one archive."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from edgerig import digest, files, process
from edgerig.deadline import Deadline
from edgerig.errors import HostError, ProcessFailed, TargetRefused
from harness import places
from harness.stock.sources import PIP, Sources

ALWAYS = ("numpy", "opencv-python-headless<5")
OLDEST_GLIBC = {"x86_64": 5, "i686": 5}  # minor of 2.x in the first manylinux of an architecture; 17 for all others
LEGACY = {"manylinux2014": 17, "manylinux2010": 12, "manylinux1": 5}  # PEP 600: other names of the same
DOWNLOAD_S = 1800.0
EPOCH = (1980, 1, 1, 0, 0, 0)


class NoWheel(TargetRefused):
    """A package has no wheel that fits a device.

    Attributes:
        package: its name, without a version.
    """

    package: str = ""


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


def name_of(requirement: str) -> str:
    """Return the package that a requirement is about."""
    return re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0]


def platforms(facts: Facts) -> list[str]:
    """Return all platform tags that fit, the newest first: pip takes the named ones and none below them."""
    newest = int(facts.libc[1].split(".")[1])
    oldest = OLDEST_GLIBC.get(facts.machine, 17)
    tags = [f"manylinux_2_{minor}_{facts.machine}" for minor in range(newest, oldest - 1, -1)]
    old_names = [f"{name}_{facts.machine}" for name, minor in LEGACY.items() if oldest <= minor <= newest]
    return [*tags, *old_names, f"linux_{facts.machine}"]


def wheelhouse(facts: Facts, needed: list[str], fresh: bool = False, sources: Sources = PIP) -> Path:
    """Return an archive of wheels that fit a device, found before or by pip now.

    Args:
        facts: of the device.
        needed: requirements, as pip takes them.
        fresh: look for newer ones.
        sources: where those of runtimes come from.

    Raises:
        NoWheel: something has no wheel for that Python.
        HostError: pip cannot be used here.
    """
    fits = [facts.python, facts.implementation, facts.machine, facts.libc, needed]
    kind = digest.of_json([*fits, *([sources.key()] if sources != PIP else [])])[:16]
    path = files.make_folder(places.wheels()) / f"{facts.machine}-py{facts.version}-{kind}.zip"
    if fresh or not path.exists():
        with tempfile.TemporaryDirectory() as folder:
            download(facts, needed, Path(folder), sources)
            part = path.with_name(f"{path.name}.{digest.of_bytes(folder.encode())[:8]}")
            with files.writing(path):
                pack(sorted(Path(folder).glob("*.whl")), part)
                part.replace(path)
    return path


def download(facts: Facts, needed: list[str], folder: Path, sources: Sources = PIP) -> None:
    """Put wheels that fit, with all that they need, into a folder; raises as `wheelhouse` does."""
    own = [requirement for requirement in needed if requirement not in ALWAYS]
    files, there, rest = sources.parted(needed, own)
    with tempfile.TemporaryDirectory() as place:
        if there:
            _pip(facts, [*there, "--no-deps", "--index-url", sources.index], Path(place), _alone())
            files += map(str, sorted(Path(place).glob("*.whl")))
        _pip(facts, [*files, *rest], folder)


def _alone() -> dict[str, str]:
    """Return an environment in which pip asks the index that it is told of, and no other one."""
    others = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX")
    kept = {key: value for key, value in os.environ.items() if key not in others}
    return {**kept, "PIP_CONFIG_FILE": os.devnull}


def _pip(facts: Facts, words: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    abi = f"cp{facts.python[0]}{facts.python[1]}"
    options = ["--only-binary=:all:", "--python-version", facts.version, "--implementation", "cp"]
    tags = [word for name in (abi, "abi3", "none") for word in ("--abi", name)]
    tags += [word for tag in platforms(facts) for word in ("--platform", tag)]
    argv = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", *options, *tags]
    try:
        process.run([*argv, "--dest", str(folder), *words], deadline=Deadline(DOWNLOAD_S), env=environment)
    except ProcessFailed as error:
        raise _explained(error, facts) from error


def _explained(error: ProcessFailed, facts: Facts) -> Exception:
    """Return what pip's complaint means."""
    nothing = re.search(r"No matching distribution found for ([^\s;]+)", error.stderr)
    if nothing and not re.search(r"connection|resolution|timed out", error.stderr, re.IGNORECASE):
        refusal = NoWheel(f"there is no wheel of {nothing[1]} for {facts}.", _others(error.stderr))
        refusal.package = name_of(nothing[1])
        return refusal
    if unfit := re.search(r"ERROR: (\S+\.whl) is not a supported wheel", error.stderr):
        return TargetRefused(f"{unfit[1]} does not fit {facts}.", "Its name says which Python and system it is for.")
    if "No module named pip" in error.stderr:
        return HostError(f"{sys.executable} has no pip to find wheels with.", "Install pip beside edgerig.")
    last = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
    return HostError(f"pip could not find wheels for {facts}: {last[:300]}", "Is there a way to the package index?")


def _others(said: str) -> str:
    """Return a hint: the versions that fit, where pip names them."""
    versions = re.search(r"\(from versions: ([^)]+)\)", said)
    newest = versions[1].split(", ")[-5:] if versions and versions[1] != "none" else []
    if newest:
        return f"The newest versions that have one: {', '.join(newest)}."
    return 'Name the runtimes that the device can have, runtimes = […]; or a newer Python there, python = "…".'


def pack(wheels: Sequence[Path], path: Path) -> None:
    """Write one archive of wheels: the same bytes from the same wheels."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for wheel in wheels:
            with wheel.open("rb") as source, archive.open(zipfile.ZipInfo(wheel.name, EPOCH), "w") as member:
                shutil.copyfileobj(source, member, 1 << 20)


def wheels_of(archive: Path) -> Iterator[str]:
    """Yield the file names of the wheels in an archive."""
    with zipfile.ZipFile(archive) as content:
        yield from content.namelist()


def metadata_of(wheel: Path) -> str:
    """Return what a wheel says of itself, "" where it says nothing."""
    with zipfile.ZipFile(wheel) as content:
        names = [name for name in content.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", name)]
        return content.read(names[0]).decode(errors="replace") if names else ""
