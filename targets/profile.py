"""Profiles: what is known of a kind of device before it is asked. One TOML file each, in `profiles/`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edgerig import toml
from edgerig.errors import ConfigError
from targets import emulator
from targets.fake import Fault
from targets.settings import Wanted
from targets.vitals import OF_THE_DEVICE, PARSERS

SHIPPED = Path(__file__).parent / "profiles"
DEFAULT = "x86"
KINDS = ("big", "little", "all")  # of processors
HERE = ("local", "fake")  # transports to devices that are this machine


class Table(BaseModel):
    """Base of the profile's tables: immutable, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Vital(Table):
    """[vitals.NAME]: a file to read (one "*" allowed) or a command to run on the device, and who parses it.

    Attributes:
        during: also once a second while frames are timed; false for what disturbs them.
    """

    file: str | None = None
    command: tuple[str, ...] | None = None
    parser: str
    during: bool = True

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if (self.file is None) == (self.command is None):
            raise ValueError("a vital needs either file or command")
        if self.parser not in PARSERS:
            raise ValueError(f"unknown parser '{self.parser}'; known: {', '.join(PARSERS)}")
        return self


class Set(Table):
    """[targets.NAME.set]: what is changed on the device while it is measured, and put back.

    It is done as root or by `sudo -n`, else it is "not set" and the report says so.

    Attributes:
        governor: of all processors, e.g. "performance"; None is as found.
        nvpmodel: number of a Jetson's power mode; one that would reboot the device is refused.
        jetson_clocks: fix a Jetson's clocks at the highest that its power mode allows.
    """

    governor: Annotated[str, Field(pattern=r"^[a-z_]{1,32}$")] | None = None
    nvpmodel: Annotated[int, Field(ge=0, le=99)] | None = None
    jetson_clocks: bool = False

    def wanted(self) -> Wanted:
        """Return the same as the scripts of `targets.settings` take it."""
        return Wanted(self.nvpmodel, self.governor, self.jetson_clocks)


class Heat(Table):
    """[targets.NAME.heat]: how cool a device has to be before a round begins.

    Attributes:
        start_c: the hottest sensor's °C at which a round may begin.
        wait_s: most seconds to wait for it, each time.
        otherwise: "as-throttled" measures all the same and lets the round not count, unless none does; "skip" leaves
            out what is not measured yet.
    """

    start_c: Annotated[float, Field(gt=0, lt=150)]
    wait_s: Annotated[float, Field(ge=0)] = 300.0
    otherwise: Literal["as-throttled", "skip"] = "as-throttled"


class Profile(Table):
    """A device, or a kind of devices."""

    description: str = Field("", description="for people")
    transport: Literal["local", "ssh", "adb", "machine", "fake"] = Field("local", description="how bytes get there")
    address: str = Field(
        "",
        description="for ssh [user@]host[:port] or an alias of ~/.ssh/config; for adb a serial, host:port, or nothing "
        "for the only phone",
    )
    via: str = Field("", description="for adb: [user@]host[:port] of the host that the phone is plugged into")
    architecture: str = Field("", description="what `uname -m` must say; any by default")
    python: str | None = Field(
        None, description="the Python that runs the agent; python3 by default, the controller's own on this machine"
    )
    environment: Literal["system", "venv", "bundle"] = Field(
        "system",
        description="system: that Python as it is found; venv: an environment of its own on top of it, from wheels "
        "that the controller sends; bundle: a Python of ours, for devices that have none",
    )
    launcher: tuple[str, ...] = Field(
        (), description='words before each Python that is started there, e.g. ["nice", "-n", "5"]'
    )
    # Passwords have no place here: ~/.netrc is where pip reads them.
    index: Annotated[str, Field(pattern=r"^((https?|file)://[^\s@]+)?$")] = Field(
        "", description="for venv: address of the package index that is asked for the runtimes, and for them alone"
    )
    wheels: tuple[str, ...] = Field(
        (), description='the same as files on this machine, beginning at edgerig.toml; "*" is allowed'
    )
    packages: dict[str, Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]] = Field(
        default_factory=dict,
        description='asked of pip in the place of a runtime, e.g. { onnxruntime = "onnxruntime-gpu" }',
    )
    runtimes: tuple[str, ...] = Field(
        (), description="with ==VERSION or without, where a run names none; that of the variant's format by default"
    )
    affinity: tuple[int, ...] | None = Field(None, description="processors to measure on; as found by default")
    cores: str | tuple[Annotated[int, Field(ge=0)], ...] | None = Field(
        None,
        description="the same by kind: little (those of least capacity), big (all others) or all, as the device says; "
        "or a mask such as 0xf0, or a list",
    )
    battery_min: Annotated[int, Field(ge=0, le=100)] = Field(
        0, description="per cent below which the device is left alone"
    )
    native: Path | None = Field(
        None, description="a `benchmark_model` of TensorFlow Lite for that device, run beside for .tflite variants"
    )
    memory_limit_mb: Annotated[int, Field(ge=64)] | None = Field(
        None, description="most address space of a measuring process, MiB; more is out of memory"
    )
    deadline_s: Annotated[float, Field(gt=0)] = Field(
        60.0, description="most seconds to load a model and run a frame; longer jobs add what their frames may take"
    )
    build_deadline_s: Annotated[float, Field(gt=0)] = Field(
        1800.0, description="most seconds for a provider to compile a model, as TensorRT does"
    )
    allow_fallback: bool = Field(False, description="a provider other than the one asked for is no failure")
    emulated: bool = Field(False, description="its times say nothing of a real device")
    emulator: Literal["", "qemu-user", "qemu-system"] = Field(
        "",
        description="what edgerig emulates it by: qemu-user runs ARM's programs on this machine's kernel, qemu-system "
        "boots a whole machine, for the transport machine",
    )
    cpu: str = Field("", description="the processor that is emulated, by qemu's name")
    counts_instructions: bool = Field(
        False, description="for qemu-system: the clock goes on by 1 ns for each instruction, whatever the time"
    )
    cache_mb: Annotated[int, Field(ge=1)] = Field(
        2048, description="most MB of models and faces that are kept there; what was not used for longest goes first"
    )
    tags: tuple[str, ...] = Field((), description="words that name it together with others: --target TAG")
    hub: str = Field(
        "", description="what it hangs on with others (a USB hub, a switch): those lost together are one incident"
    )
    faults: tuple[Fault, ...] = Field((), description="for the transport fake: what breaks, for rehearsals")
    set: Set = Field(Set(), description="what is changed while it is measured, and put back")
    vitals: dict[str, Vital] = Field(
        default_factory=dict, description="what to watch: before, during and after each round"
    )
    found: dict[str, Vital] = Field(
        default_factory=dict, description="what to read once, when it is reached, for the report"
    )
    notes: tuple[str, ...] = Field((), description="what every report says of such a device")
    heat: Heat | None = Field(
        None, description="how cool it has to be before a round begins; rounds never wait by default"
    )

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.transport == "ssh" and not self.address:
            raise ValueError("the transport 'ssh' needs an address, e.g. address = \"pi@pi4.local\"")
        if self.via and self.transport != "adb":
            raise ValueError("'via' is for the transport 'adb'; for 'ssh' write a ProxyJump into ~/.ssh/config")
        return self

    @model_validator(mode="after")
    def _packages_of_an_environment(self) -> Self:
        if (self.index or self.wheels or self.packages) and self.environment != "venv":
            raise ValueError("'index', 'wheels' and 'packages' are for environment = \"venv\"")
        return self

    @field_validator("cores")
    @classmethod
    def _known_cores(cls, cores: str | tuple[int, ...] | None) -> str | tuple[int, ...] | None:
        known = not isinstance(cores, str) or cores in KINDS or re.fullmatch(r"0x[0-9a-fA-F]{1,32}", cores)
        if not known or cores == () or (isinstance(cores, str) and re.fullmatch("0x0+", cores)):
            raise ValueError(f'write {", ".join(KINDS)}, a mask such as "0xf0", or a list of processors')
        return cores

    @model_validator(mode="after")
    def _vitals_of_a_moment(self) -> Self:
        for name, vital in self.vitals.items():
            if vital.parser in OF_THE_DEVICE:
                raise ValueError(f"vitals.{name}: the parser '{vital.parser}' is for [found.{name}]")
        return self

    @model_validator(mode="after")
    def _one_choice_of_cores(self) -> Self:
        if self.cores is not None and self.affinity is not None:
            raise ValueError("'cores' and 'affinity' say the same: write one of them")
        return self

    @model_validator(mode="after")
    def _emulated_as_a_whole(self) -> Self:
        if not self.emulator:
            if self.cpu:
                raise ValueError("'cpu' names the processor of an emulator, and this target has none")
            return self
        if self.cpu not in emulator.CPUS:
            known = f"known: {', '.join(emulator.CPUS)}"
            near = toml.nearest(self.cpu, emulator.CPUS).rstrip("?").lower()
            raise ValueError(f"no cpu '{self.cpu}' is emulated; {near or known}")
        if not self.emulated:
            raise ValueError("what an emulator runs is emulated = true: its times are those of no device")
        if self.emulator == emulator.QEMU_USER and (self.transport not in HERE or self.environment != "bundle"):
            raise ValueError('qemu-user runs on this machine, with environment = "bundle"')
        return self

    @model_validator(mode="after")
    def _a_machine_of_ours(self) -> Self:
        booted = self.emulator == emulator.QEMU_SYSTEM
        if booted != (self.transport == "machine"):
            raise ValueError('emulator = "qemu-system" and transport = "machine" go together')
        if self.counts_instructions and not booted:
            raise ValueError('only emulator = "qemu-system" counts instructions')
        if booted and self.set != Set():
            raise ValueError("an emulated machine has neither governor nor clocks to set")
        return self


class Target(Table):
    """A device that a run can name."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=64)]
    profile: str
    settings: Profile


def shipped() -> list[str]:
    """Return the names of the profiles that come with edgerig."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def standalone() -> list[str]:
    """Return the shipped profiles that are targets by themselves: those that need no address."""
    ways = (*HERE, "machine")
    return [name for name in shipped() if toml.load(SHIPPED / f"{name}.toml").get("transport", "local") in ways]


def resolve(
    name: str, tables: Mapping[str, Mapping[str, Any]], where: str = "edgerig.toml", others: Iterable[str] = ()
) -> Target:
    """Return a target by name: one of the configuration's `[targets.NAME]`, or a shipped profile.

    Args:
        name: of the target.
        tables: `[targets]` of the configuration.
        where: the file, for sentences.
        others: words that stand for targets as well, and may have been meant.

    Raises:
        ConfigError: there is none, it extends what is not there, or a key is wrong.
    """
    if name not in tables and name not in shipped():
        known = [*tables, *standalone()]
        near = toml.nearest(name, [*known, *others])
        raise ConfigError(f"there is no target '{name}'.", near or f"Known: {', '.join(known)}.")
    table = dict(tables.get(name, {"extends": name}))
    base = table.pop("extends", DEFAULT)
    if base not in shipped():
        raise ConfigError(
            f"{where}: targets.{name} extends '{base}', which is no profile.",
            toml.nearest(str(base), shipped()) or f"Profiles: {', '.join(shipped())}.",
        )
    settings = toml.validated(Profile, _merged(toml.load(SHIPPED / f"{base}.toml"), table), f"{where}: targets.{name}")
    return toml.validated(Target, {"name": name, "profile": base, "settings": settings}, f"{where}: targets")


def _merged(base: Mapping[str, Any], table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a profile with a table on top; a vital or a setting replaces the one of its name and leaves the others."""
    both = {
        key: {**base.get(key, {}), **inner}
        for key in ("vitals", "found", "set")
        if isinstance(inner := table.get(key, {}), Mapping)
    }
    return {**base, **table, **both}
