"""Profiles: what is known of a kind of device before it is asked. One TOML file each, in `profiles/`."""

from __future__ import annotations

import re
from collections.abc import Mapping
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
    """A device, or a kind of devices.

    Attributes:
        description: for people.
        transport: how bytes get there.
        address: for `ssh` `[user@]host[:port]` or an alias of ~/.ssh/config; for `adb` a serial, `host:port`, or "" for
            the only phone.
        via: for `adb`, `[user@]host[:port]` of the host that the phone is plugged into.
        architecture: what `uname -m` must say, "" for any.
        python: the Python that runs the agent; None is the controller's own, for `local`.
        environment: "system" uses that Python as it is found; "venv" makes an environment of its own on top of it, from
            wheels that the controller sends; "bundle" sends a Python of ours, for devices that have none.
        launcher: words put before each Python that is started there, e.g. of an emulator or of `nice`.
        index: for environment "venv", address of the package index that is asked for the runtimes, and for them alone.
        wheels: the same as files on this machine, beginning at edgerig.toml; "*" is allowed.
        packages: what pip is asked for instead of a runtime's own package, e.g. { onnxruntime = "onnxruntime-gpu" }.
        runtimes: which to use when a run names none, with ==VERSION or without; () is that of the variant's format.
        affinity: processors to measure on; None is as found.
        cores: the same by kind, "little" (those of least capacity), "big" (all others) or "all", as the device says;
            or a mask ("0xf0"), or a list.
        battery_min: per cent below which a device is left alone.
        native: a `benchmark_model` of TensorFlow Lite for that device, run beside for .tflite variants.
        memory_limit_mb: most address space of a measuring process, in MiB.
        deadline_s: most seconds for loading a model and one frame; longer jobs add what their frames may take.
        build_deadline_s: most seconds for a provider to compile a model, as TensorRT does.
        allow_fallback: a provider other than the asked one is no failure.
        emulated: its times say nothing of a real device.
        emulator: what emulates it, where edgerig starts that: "qemu-user" runs ARM's programs on this machine's kernel,
            "qemu-system" boots a whole machine, which the transport `machine` reaches.
        cpu: the processor that is emulated, by qemu's name.
        counts_instructions: the clock goes on by 1 ns for each instruction, whatever the time: for "qemu-system".
        cache_mb: most MB of models and faces that are kept there; what was not used for the longest time goes first.
        tags: for choosing several targets.
        hub: what it hangs on with others (a USB hub, a switch, a power strip): those lost together are one incident.
        faults: what the fake transport breaks.
        set: what is changed while it is measured.
        vitals: what to watch.
        found: what to read once when the device is reached, for the report.
        notes: what every report says of such a device.
        heat: how cool the device has to be before a round begins; None: rounds never wait.
    """

    description: str = ""
    transport: Literal["local", "ssh", "adb", "machine", "fake"] = "local"
    address: str = ""
    via: str = ""
    architecture: str = ""
    python: str | None = None
    environment: Literal["system", "venv", "bundle"] = "system"
    launcher: tuple[str, ...] = ()
    index: Annotated[str, Field(pattern=r"^((https?|file)://[^\s@]+)?$")] = ""  # passwords: ~/.netrc, which pip reads
    wheels: tuple[str, ...] = ()
    packages: dict[str, Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]] = Field(default_factory=dict)
    runtimes: tuple[str, ...] = ()
    affinity: tuple[int, ...] | None = None
    cores: str | tuple[Annotated[int, Field(ge=0)], ...] | None = None
    battery_min: Annotated[int, Field(ge=0, le=100)] = 0
    native: Path | None = None
    memory_limit_mb: Annotated[int, Field(ge=64)] | None = None
    deadline_s: Annotated[float, Field(gt=0)] = 60.0
    build_deadline_s: Annotated[float, Field(gt=0)] = 1800.0
    allow_fallback: bool = False
    emulated: bool = False
    emulator: Literal["", "qemu-user", "qemu-system"] = ""
    cpu: str = ""
    counts_instructions: bool = False
    cache_mb: Annotated[int, Field(ge=1)] = 2048
    tags: tuple[str, ...] = ()
    hub: str = ""
    faults: tuple[Fault, ...] = ()
    set: Set = Set()
    vitals: dict[str, Vital] = Field(default_factory=dict)
    found: dict[str, Vital] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    heat: Heat | None = None

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


def resolve(name: str, tables: Mapping[str, Mapping[str, Any]], where: str = "edgerig.toml") -> Target:
    """Return a target by name: one of the configuration's `[targets.NAME]`, or a shipped profile.

    Raises:
        ConfigError: there is none, it extends what is not there, or a key is wrong.
    """
    if name not in tables and name not in shipped():
        known = [*tables, *standalone()]
        raise ConfigError(f"there is no target '{name}'.", toml.nearest(name, known) or f"Known: {', '.join(known)}.")
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
