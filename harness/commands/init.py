"""`edgerig init`: a configuration that fits this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import tomli_w

from edgerig import files
from edgerig.errors import ConfigError
from harness import config, workflow
from harness.agent.protocol import Identity
from harness.commands import common
from targets import profile
from targets.profile import Target


@click.command()
@click.option("--force", is_flag=True, help="Write over an edgerig.toml that is there.")
@common.json_option
def init(force: bool, as_json: bool) -> int:
    """Probe this machine and write edgerig.toml: it as a target, and a run that measures on it."""
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
    click.echo(f"Wrote {path}: target 'here' is {_described(identity)}.")
    click.echo("Next: edgerig doctor here, then edgerig run here.", err=True)
    return 0


def _anything() -> Target:
    """Return this machine, whatever its architecture is."""
    return profile.resolve("here", {"here": {"extends": profile.DEFAULT, "architecture": ""}})


def proposed(identity: Identity) -> dict[str, Any]:
    """Return a configuration for a machine: threads 1 and all cores, everything else by default."""
    here: dict[str, Any] = {"extends": profile.DEFAULT, "description": _described(identity)}
    if identity.machine != "x86_64":
        here["architecture"] = identity.machine
    threads = sorted({1, min(identity.cores, 4)})
    return {
        "targets": {"here": here},
        "runs": {"here": {"targets": ["here"], "threads": threads}},
        "store": {"folder": "runs"},
    }


def _described(identity: Identity) -> str:
    return f"{identity.board or identity.cpu or identity.machine}, {identity.cores} cores, {identity.os}"
