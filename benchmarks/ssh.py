"""Whether our SSH transport moves files at .8 or more of what OpenSSH's own sftp does, and what a command costs.

    python benchmarks/ssh.py [--megabytes 64] [--repeats 5] [--json]

An sshd of our own on loopback, both clients to it, by turns, the same file, one connection for each file or command
series as both have to make one anyway: the time of connecting is measured by itself and left out of the throughput.
Ends with status 1 where the claim does not hold.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import click
from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from edgerig.deadline import Deadline  # noqa: E402 - the tests' sshd lies beside, and is not installed
from targets.ssh import SshTransport  # noqa: E402
from tests.devices import sshd  # noqa: E402
from tests.devices.sshd import HOST, Desk, Sshd  # noqa: E402

GOAL = 0.8
PATIENCE_S = 600.0
COMMANDS = 20

Figures = dict[str, float]


def seconds(action: Callable[[], object]) -> float:
    start = perf_counter()
    action()
    return perf_counter() - start


class OpenSsh:
    """The clients of OpenSSH; each call is a process and a connection of its own."""

    def __init__(self, board: Sshd, desk: Desk) -> None:
        self._options = [
            *("-F", "none", "-i", str(desk.key), "-o", f"UserKnownHostsFile={desk.known_hosts}"),
            *("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
        ]
        self._board = board

    def sftp(self, command: str) -> None:
        """Run one command of sftp."""
        argv = ["sftp", "-q", *self._options, "-P", str(self._board.port), "-b", "-", self._at]
        subprocess.run(argv, input=command, text=True, check=True, stdout=subprocess.DEVNULL)

    def command(self) -> None:
        """Run `true` there."""
        subprocess.run(["ssh", *self._options, "-p", str(self._board.port), self._at, "true"], check=True)

    @property
    def _at(self) -> str:
        return self._board.address.rpartition(":")[0]


def one_round(board: Sshd, theirs: OpenSsh, source: Path) -> Figures:
    """Return the seconds of everything, once."""
    back, size = source.with_name("back"), source.stat().st_size
    made: list[SshTransport] = []
    figures = {"connect": seconds(lambda: made.append(SshTransport(board.address)))}
    ours = made[0]
    figures["put"] = seconds(lambda: ours.put(source, "incoming/file", Deadline(PATIENCE_S)))
    figures["get"] = seconds(lambda: ours.get("incoming/file", back, Deadline(PATIENCE_S)))
    assert back.stat().st_size == size
    figures["command"] = seconds(lambda: _commands(ours)) / COMMANDS
    ours.close()
    figures["sftp connect"] = seconds(lambda: theirs.sftp("pwd\n"))
    figures["sftp put"] = seconds(lambda: theirs.sftp(f"put {source} {board.device}/incoming/theirs\n"))
    figures["sftp get"] = seconds(lambda: theirs.sftp(f"get {board.device}/incoming/theirs {back}\n"))
    figures["ssh command"] = seconds(theirs.command)
    return figures


def _commands(transport: SshTransport) -> None:
    for _ in range(COMMANDS):
        channel = transport.start(["true"])
        while channel.receive(Deadline(PATIENCE_S)):
            pass
        channel.close()


def measured(megabytes: int, repeats: int) -> list[Figures]:
    """Return the seconds of each round; the first, which fills the caches, does not count."""
    with tempfile.TemporaryDirectory() as folder:
        desk = Desk(Path(folder) / "desk")
        source = Path(folder) / "archive"
        source.write_bytes(os.urandom(1 << 20) * megabytes)
        os.environ["HOME"] = str(desk.home)
        os.environ.pop("SSH_AUTH_SOCK", None)
        with sshd.running(Path(folder) / "board") as board:
            desk.knows(board)
            return [one_round(board, OpenSsh(board, desk), source) for _ in range(repeats + 1)][1:]


def told(rounds: list[Figures], megabytes: int) -> Figures:
    """Return medians: throughputs in MB/s, costs in ms, and ours as a fraction of theirs in the same round."""
    every = [_of_round(figures, megabytes) for figures in rounds]
    return {key: median(figures[key] for figures in every) for key in every[0]}


def _of_round(figures: Figures, megabytes: int) -> Figures:
    size = megabytes * (1 << 20) / 1e6
    speeds = {
        "put_mb_s": size / figures["put"],
        "sftp_put_mb_s": size / (figures["sftp put"] - figures["sftp connect"]),
        "get_mb_s": size / figures["get"],
        "sftp_get_mb_s": size / (figures["sftp get"] - figures["sftp connect"]),
    }
    return {
        **speeds,
        "put_ratio": speeds["put_mb_s"] / speeds["sftp_put_mb_s"],
        "get_ratio": speeds["get_mb_s"] / speeds["sftp_get_mb_s"],
        "connect_ms": figures["connect"] * 1000,
        "sftp_connect_ms": figures["sftp connect"] * 1000,
        "command_ms": figures["command"] * 1000,
        "ssh_command_ms": figures["ssh command"] * 1000,
    }


@click.command()
@click.option("--megabytes", default=64, show_default=True)
@click.option("--repeats", default=5, show_default=True)
@click.option("--json", "as_json", is_flag=True)
def main(megabytes: int, repeats: int, as_json: bool) -> None:
    """Measure our transport and OpenSSH's side by side."""
    figures = told(measured(megabytes, repeats), megabytes)
    holds = min(figures["put_ratio"], figures["get_ratio"]) >= GOAL
    if as_json:
        click.echo(
            json.dumps({"host": HOST, "megabytes": megabytes, "goal": GOAL, "holds": holds, **figures}, indent=2)
        )
    else:
        table = Table("what", "ours", "OpenSSH", "ratio")
        for key in ("put", "get"):
            ours, theirs = figures[f"{key}_mb_s"], figures[f"sftp_{key}_mb_s"]
            table.add_row(f"{key}, MB/s", f"{ours:.0f}", f"{theirs:.0f}", f"{figures[f'{key}_ratio']:.2f}")
        table.add_row("connect, ms", f"{figures['connect_ms']:.0f}", f"{figures['sftp_connect_ms']:.0f}", "")
        table.add_row("command, ms", f"{figures['command_ms']:.1f}", f"{figures['ssh_command_ms']:.0f}", "")
        Console().print(table)
        click.echo(f"At least {GOAL} of sftp: {'holds' if holds else 'DOES NOT HOLD'}.")
    sys.exit(0 if holds else 1)


if __name__ == "__main__":
    main()
