"""`edgerig leases` and `edgerig clean`: devices that several people share."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgerig.errors import TargetError, TargetUnreachable
from harness import places
from harness.commands import common
from harness.config import Workspace
from harness.devices import clean as cleaning
from harness.devices import lease
from harness.devices import provision as provisioning
from harness.devices.provision import Provisioned
from targets import connect, profile
from targets.profile import Target

AT_ONCE = 16  # devices that are asked


@click.command()
@click.argument("targets", nargs=-1, metavar="[TARGET]…")
@common.config_option
@common.json_option
def leases(targets: tuple[str, ...], config_path: Path | None, as_json: bool) -> int:
    """Say who has each TARGET (default: those of edgerig.toml, else this machine); nothing is taken or changed."""
    space = common.workspace(config_path)
    names = targets or tuple(space.config.targets) or (profile.DEFAULT,)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        rows = list(pool.map(_row, space.targets(names)))
    if as_json:
        common.print_json(rows)
    else:
        _print(rows)
    return 0


def _row(target: Target) -> dict[str, Any]:
    try:
        found = lease.standing(target)
    except TargetError as error:
        state = "offline" if isinstance(error, TargetUnreachable) else "refused"
        return {"target": target.name, "state": state, "reason": error.message}
    if found.owner is None:
        return {"target": target.name, "state": found.state}
    return {
        "target": target.name,
        "state": found.state,
        "owner": found.owner.who,
        "pid": found.owner.pid,
        "run": found.owner.run,
        "held_s": found.since_s,
        "heard_s_ago": found.age_s,
        "expires_in_s": max(0, lease.EXPIRY_S - found.age_s),
    }


@click.command()
@click.argument("targets", nargs=-1, metavar="[TARGET]…")
@click.option("--runs", "of_runs", is_flag=True, help="Show the runs here that [store] need not keep.")
@click.option("--zoo", "of_zoo", is_flag=True, help="Show what `edgerig zoo` keeps here, with its size.")
@click.option(
    "--unused", type=click.IntRange(0, 36_500), metavar="DAYS", help="With --zoo: only what was not used for so long."
)
@click.option("--yes", is_flag=True, help="With --runs or --zoo: remove it.")
@common.out_option
@common.config_option
@common.json_option
def clean(targets: tuple[str, ...], config_path: Path | None, as_json: bool, **options: Any) -> int:
    """Remove what edgerig keeps on each TARGET: agents, models, faces, results that nobody fetched, environments.

    Nothing else is touched, and nothing at all where somebody is at work. With --runs: old runs of this machine, by
    keep_runs and keep_days of [store]; baselines and what accepted cells refer to always stay. With --zoo: the trained
    and compressed nets of this machine, and the faces that were drawn for them; all of it can be built again.
    """
    of_runs, of_zoo, yes = options["of_runs"], options["of_zoo"], options["yes"]
    if bool(targets) + of_runs + of_zoo != 1 or (yes and targets):
        raise click.UsageError("name the targets to clean, or --runs, or --zoo; --yes is for these two.")
    if options["unused"] is not None and not of_zoo:
        raise click.UsageError("--unused is for --zoo.")
    if of_zoo:
        return _clean_zoo(options["unused"] or 0, yes, as_json)
    space = common.workspace(config_path)
    if of_runs:
        return _clean_runs(space, common.runs_folder(space, options["out"]), yes, as_json)
    return _clean(space, targets, as_json)


def _clean(space: Workspace, targets: Sequence[str], as_json: bool) -> int:
    wanted = space.targets(targets)
    rows = []
    for target in wanted:
        rows.append({"target": target.name, "freed_mb": round(cleaning.clean(target) * 1024 / 1e6, 1)})
        if not as_json:
            click.echo(f"{target.name}: {rows[-1]['freed_mb']} MB removed")
    if as_json:
        common.print_json(rows)
    return 0


def _clean_runs(space: Workspace, runs: Path, yes: bool, as_json: bool) -> int:
    from harness.findings import chronicle, retention  # noqa: PLC0415 - SQLAlchemy takes .2 s to import

    with chronicle.open_history(space, runs) as history:
        old = retention.removable(runs, space.config.store, history, datetime.now(UTC))
        rows = []
        for entry in old:
            freed = retention.remove(entry, runs) if yes else entry.bytes
            rows.append(
                {"run": entry.folder.name, "started": entry.started, "mb": round(freed / 1e6, 1), "removed": yes}
            )
            if not as_json:
                click.echo(f"{entry.folder.name}: {rows[-1]['mb']} MB{' removed' if yes else ''}")
    if as_json:
        common.print_json(rows)
    elif space.config.store.keep_runs is None and space.config.store.keep_days is None:
        click.echo("[store] keeps all runs: keep_runs or keep_days of edgerig.toml would limit them.", err=True)
    elif rows and not yes:
        click.echo("Nothing was removed: --yes removes them.", err=True)
    return 0


def _clean_zoo(unused_days: int, yes: bool, as_json: bool) -> int:
    from harness.models import zoo_cache  # noqa: PLC0415 - pydantic and OpenCV take .4 s to import

    rows = []
    for entry in zoo_cache.entries(unused_days):
        gone = yes and zoo_cache.remove(entry)
        left = "a build at work needs it" if yes and not gone else ""
        mb = round(entry.bytes / 1e6, 1)
        rows.append({"what": entry.what, "mb": mb, "used": entry.used, "removed": gone, "left": left})
        if not as_json:
            standing = " removed" if gone else (f", left: {left}" if left else "")
            click.echo(f"{entry.what}: {mb} MB, last used {entry.used[:10]}{standing}")
    if as_json:
        common.print_json(rows)
    else:
        click.echo(_cleaned(rows, unused_days, yes), err=True)
    return 0


def _cleaned(rows: Sequence[dict[str, Any]], unused_days: int, yes: bool) -> str:
    """Return what became of all that the zoo keeps, in a line or two."""
    if not rows:
        return f"Nothing of it was unused for {unused_days} days." if unused_days else "The zoo keeps nothing here."
    if not yes:
        return f"{_mb(rows)} MB in all. Nothing was removed: --yes removes it."
    left = [row for row in rows if row["left"]]
    done = f"{_mb([row for row in rows if row['removed']])} MB removed."
    again = "the same command removes it when the build has ended."
    return done + (f" {_mb(left)} MB were left, as a build at work needs them: {again}" if left else "")


def _mb(rows: Sequence[dict[str, Any]]) -> str:
    return f"{sum(row['mb'] for row in rows):,.1f}"


@click.command()
@click.argument("targets", nargs=-1, required=True, metavar="TARGET…")
@click.option("--fresh", is_flag=True, help="Look for newer packages instead of using those found before.")
@common.config_option
@common.json_option
def provision(targets: tuple[str, ...], fresh: bool, config_path: Path | None, as_json: bool) -> int:
    """Make each TARGET ready for the agent now; `edgerig run` does the same first.

    With environment = "venv" this machine finds the wheels and sends them: the device needs no internet. A runtime
    that the target names in a version, e.g. runtimes = ["onnxruntime==1.23.2"], has an environment of its own.

    Exit code 0 where all can be had, 3 where a runtime cannot.
    """
    space = common.workspace(config_path)
    rows = []
    for target in space.targets(targets):
        done = _provisioned(target, fresh)
        own = {spec: _environment(environment) for spec, environment in done.own.items()}
        rows.append({"target": target.name, **_environment(done), "own": own, "refused": dict(done.refused)})
        if not as_json:
            _tell(target, done)
    if as_json:
        common.print_json(rows)
    return 3 if any(row["refused"] for row in rows) else 0


def _environment(done: Provisioned) -> dict[str, Any]:
    return {
        "environment": done.environment,
        "command": list(done.command),
        "python": done.python,
        "reused": done.reused,
        "sent_bytes": done.sent_bytes,
        "packages": list(done.packages),
    }


def _tell(target: Target, done: Provisioned) -> None:
    """Print a line for the environment of a target, and one for each runtime that has one of its own, or has none."""
    for name, environment in {done.environment: done, **done.own}.items():
        sent = f"made, {environment.sent_bytes / 1e6:.1f} MB sent"
        click.echo(f"{target.name}: {name}, {'as it was' if environment.reused else sent}")
    for spec, reason in done.refused.items():
        click.echo(f"{target.name}: {spec}: {reason}", err=True)


def _provisioned(target: Target, fresh: bool) -> Provisioned:
    with lease.Lease(target, "provision"):
        transport = connect.connect(target, places.devices())
        try:
            done = _rooted(provisioning.ensure(target, transport, fresh), transport.root)
            return replace(done, own={spec: _rooted(made, transport.root) for spec, made in done.own.items()})
        finally:
            transport.close()


def _rooted(done: Provisioned, root: str) -> Provisioned:
    return replace(done, command=tuple(word.replace("{root}", root) for word in done.command))


def _print(rows: list[dict[str, Any]]) -> None:
    table = Table("target", "state", "owner", "process", "run", "held for, s", "heard of, s ago", "")
    for row in rows:
        keys = ("target", "state", "owner", "pid", "run", "held_s", "heard_s_ago", "reason")
        table.add_row(*(Text("" if row.get(key) is None else str(row[key])) for key in keys))
    Console(width=None if sys.stdout.isatty() else 120).print(table)
