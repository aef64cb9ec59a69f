"""Where the wheels of runtimes come from: pip's own index, one of the user's, or files: builds for a GPU, say.

What a target names is asked for there alone, without what it needs in turn; all else comes from pip's own index. So a
package of the same name in the other place can never slip in.
"""

from __future__ import annotations

import glob
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from edgerig import digest
from edgerig.errors import ConfigError
from harness.runtimes import RUNTIMES
from targets.profile import Target


@dataclass(frozen=True)
class Sources:
    """What a target says of its runtimes' wheels; by default nothing.

    Attributes:
        index: address of a package index that is asked for the runtimes' packages.
        files: wheels that are taken in place of packages of their name, or of one that begins with it.
        packages: runtime -> what pip is asked for in place of its first package, e.g. "onnxruntime-gpu".
    """

    index: str = ""
    files: tuple[Path, ...] = ()
    packages: Mapping[str, str] = field(default_factory=dict)

    def key(self) -> list[str]:
        """Return what tells these sources from others."""
        return [self.index, *(digest.of_file(path) for path in self.files)]

    def asked(self, runtime: str, machine: str, version: str = "") -> list[str]:
        """Return what pip is asked for, for a runtime on a device of an architecture."""
        packages = RUNTIMES[runtime].packages_on(machine, version)
        if not packages or runtime not in self.packages:
            return packages
        return [f"{self.packages[runtime]}=={version}" if version else self.packages[runtime], *packages[1:]]

    def file_of(self, package: str) -> Path | None:
        """Return the wheel that stands for a package: of its name, else of one that begins so ("onnxruntime-gpu")."""
        wanted = _plain(package)
        named = {_plain(path.name.split("-")[0]): path for path in self.files}
        begins = (path for name, path in named.items() if name.startswith(f"{wanted}-"))
        return named.get(wanted) or next(begins, None)

    def parted(self, needed: Sequence[str], own: Sequence[str]) -> tuple[list[str], list[str], list[str]]:
        """Return what comes from files (as paths), what the index is asked for, and what pip's own is.

        Args:
            needed: requirements.
            own: those of them that are runtimes' packages.
        """
        local: list[str] = []
        there: list[str] = []
        rest: list[str] = []
        for requirement in needed:
            path = self.file_of(re.split(r"[<>=!~;\[ ]", requirement, maxsplit=1)[0])
            if path:
                local.append(str(path))
            else:
                (there if self.index and requirement in own else rest).append(requirement)
        return local, there, rest


PIP = Sources()


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def of(target: Target) -> Sources:
    """Return where a target's runtimes come from; raises ConfigError where it names a wheel that is not there."""
    profile = target.settings
    if unknown := [name for name in profile.packages if name not in RUNTIMES]:
        raise ConfigError(
            f"targets.{target.name}.packages: there is no runtime '{unknown[0]}'.", f"Known: {', '.join(RUNTIMES)}."
        )
    found: list[Path] = []
    for pattern in profile.wheels:
        matches = sorted(glob.glob(pattern))  # noqa: PTH207 - it is absolute
        if not matches:
            raise ConfigError(f"targets.{target.name}.wheels: there is no {pattern}.", "Paths begin at edgerig.toml.")
        found += map(Path, matches)
    return Sources(profile.index, tuple(found), profile.packages)
