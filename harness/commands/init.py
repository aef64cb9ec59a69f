"""`edgerig init`: a configuration that fits this machine, a board behind SSH, or the phones that adb sees."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import tomli_w

from edgerig import files
from edgerig.errors import ConfigError, TargetError
from harness import config, runtimes, workflow
from harness.agent.protocol import Identity
from harness.commands import common
from harness.devices import phones, probe
from harness.devices.phones import Phone
from harness.devices.probe import Board
from targets import profile
from targets.profile import Target


@click.command()
@click.option("--ssh", "address", metavar="[USER@]HOST[:PORT]", help="Probe this board and add it as a target.")
@click.option("--name", help="Of the target that --ssh adds.  [default: the host's name]")
@click.option("--python", metavar="PATH", help="The Python of the board.  [default: python3]")
@click.option("--adb", is_flag=True, help="Probe the phones that adb sees and add them as targets.")
@click.option("--via", metavar="[USER@]HOST", default="", help="The host that the phones are plugged into, for --adb.")
@click.option("--force", is_flag=True, help="Write over an edgerig.toml that is there.")
@common.json_option
def init(
    address: str | None, name: str | None, python: str | None, adb: bool, via: str, force: bool, as_json: bool
) -> int:
    """Probe this machine and write edgerig.toml: it as a target, and a run that measures on it.

    With --ssh a board is probed instead, with --adb phones, and added to the edgerig.toml that is there.
    """
    if adb and (address or name or python or force):
        raise click.UsageError("--adb goes with --via and --json alone.")
    if via and not adb:
        raise click.UsageError("--via is for --adb.")
    if adb:
        return _phones(via, as_json)
    if address is None and (name or python):
        raise click.UsageError("--name and --python are for --ssh.")
    if address and force:
        raise click.UsageError("--force is not for --ssh, which only adds to edgerig.toml.")
    return _board(address, name, python, as_json) if address else _here(force, as_json)


def _here(force: bool, as_json: bool) -> int:
    path = Path(config.NAME)
    if path.exists() and not force:
        raise ConfigError(f"{path.resolve()} is there already.", "--force writes over it.")
    session = workflow.open_session(_anything())
    identity = session.identity
    session.close()
    table = proposed(identity)
    files.write(path, tomli_w.dumps(table).encode())
    config.load(path)
    if as_json:
        common.print_json({"path": str(path.resolve()), "config": table})
        return 0
    click.echo(f"Wrote {path}: target 'here' is {probe.described(identity)}.")
    click.echo("Next: edgerig doctor here, then edgerig run here.", err=True)
    return 0


def _anything() -> Target:
    """Return this machine, whatever its architecture is."""
    return profile.resolve("here", {"here": {"extends": profile.DEFAULT, "architecture": ""}})


def proposed(identity: Identity) -> dict[str, Any]:
    """Return a configuration for a machine: threads 1 and all cores, everything else by default."""
    here: dict[str, Any] = {"extends": profile.DEFAULT, "description": probe.described(identity)}
    if identity.machine != "x86_64":
        here["architecture"] = identity.machine
    return {"targets": {"here": here}, "runs": {"here": _run("here", identity)}, "store": {"folder": "runs"}}


def _run(target: str, identity: Identity) -> dict[str, Any]:
    return {"targets": [target], "threads": sorted({1, min(identity.cores, 4)})}


def _board(address: str, name: str | None, python: str | None, as_json: bool) -> int:
    path, space = _there()
    name = name or probe.name_of(address)
    if name in space.target_names():  # before the board is asked, which takes a while
        raise ConfigError(f"there is a target '{name}' already.", "Choose another name with --name.")
    found = probe.board(address, name, python)
    _add(path, found)
    if as_json:
        common.print_json(_record(path, found))
        return 0
    click.echo(f"Added target '{name}' to {common.shown(path.resolve())}: {found.table['description']}.")
    for line in _findings(found):
        click.echo(line)
    click.echo(f"Next: edgerig doctor {name}, then edgerig run --target {name}.", err=True)
    return 0


def _there() -> tuple[Path, config.Workspace]:
    """Return the configuration that is to be added to, and its path; an empty one where there is none."""
    path = config.find(Path.cwd()) or Path(config.NAME)
    return path, config.load(path) if path.exists() else config.Workspace(config.Config(), None)


def _phones(via: str, as_json: bool) -> int:
    path, space = _there()
    mine = {name: space.target(name).settings for name in space.config.targets}
    known = {one.address: name for name, one in mine.items() if one.transport == "adb" and one.via == via}
    found = list(phones.found(via, space.target_names(), known))
    usable = [phone for phone in found if not phone.unusable]
    if usable:
        tables: dict[str, Any] = {"targets": {phone.name: phone.table for phone in usable}}
        if not path.exists():
            runs = {phone.name: {"targets": [phone.name], "threads": list(phone.threads)} for phone in usable}
            tables["runs"] = runs
        _append(path, tables)
    if as_json:
        common.print_json({"path": str(path.resolve()), "known": known, "phones": [vars(phone) for phone in found]})
    else:
        _tell_phones(path, found, known)
    if usable or known:
        return 0
    return TargetError.exit_code


def _tell_phones(path: Path, found: Sequence[Phone], known: Mapping[str, str]) -> None:
    for serial, name in known.items():
        click.echo(f"{serial} is target '{name}' already.")
    for phone in found:
        if phone.unusable:
            click.echo(f"{phone.unusable} {phone.todo}", err=True)
        else:
            click.echo(f"Added target '{phone.name}' to {common.shown(path.resolve())}: {phone.table['description']}.")
    added = [phone.name for phone in found if phone.name]
    if added:
        click.echo(f"Next: edgerig bundle build, unless it is built; then edgerig doctor {' '.join(added)}.", err=True)


def _add(path: Path, found: Board) -> None:
    """Append [targets.NAME], or write a first file with a run as well."""
    tables: dict[str, Any] = {"targets": {found.name: found.table}}
    if not path.exists():
        tables["runs"] = {found.name: _run(found.name, found.identity)}
    _append(path, tables)


def _append(path: Path, tables: Mapping[str, Any]) -> None:
    """Append tables to a configuration, or write a first one; what is there stays as it is."""
    old = path.read_bytes() if path.exists() else b""
    gap = b"" if not old else b"\n" if old.endswith(b"\n") else b"\n\n"
    new = old + gap + tomli_w.dumps(tables).encode()
    try:
        tomllib.loads(new.decode("utf-8-sig"))
    except tomllib.TOMLDecodeError as error:  # `targets` is written inline, and closed
        raise ConfigError(f"{path} cannot be added to: {error}.", f"Add by hand: {dict(tables)}") from error
    files.write(path, new)
    config.load(path)


def _record(path: Path, found: Board) -> dict[str, Any]:
    return {
        "path": str(path.resolve()),
        "target": found.name,
        "table": found.table,
        "identity": vars(found.identity),
        "readings": found.readings,
        "unreadable": found.blind,
    }


def _findings(found: Board) -> list[str]:
    """Return what is there and what is not, a line each."""
    identity = found.identity
    packages = ", ".join(f"{name} {version}" for name, version in identity.packages.items())
    told = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in found.readings.items()
    )
    lines = [f"  {identity.machine}, Python {identity.python}: {packages}", f"  Sensors: {told or 'none can be read'}"]
    if found.blind:
        lines.append(f"  Not readable: {', '.join(found.blind)}")
    if not any(module in identity.packages for entry in runtimes.RUNTIMES.values() for module in entry.modules):
        lines.append(f"  No runtime is installed: {identity.python_executable} -m pip install onnxruntime")
    return lines
