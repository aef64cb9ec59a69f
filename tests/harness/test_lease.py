"""Leases with real shells and real processes that race, die and come back: never two winners, never none for ever."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edgerig.errors import LinkLost, ProtocolError, TargetHeld, TargetRefused
from harness.devices import lease
from harness.devices.lease import Lease, Owner, acquire, standing
from targets import connect, keeper, profile
from targets.keeper import Answer
from targets.profile import Target
from tests.harness.command import Workplace
from tests.support import faces, models

BOOT = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
RACERS = 8


@pytest.fixture
def target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """Return this machine as a target whose folder is the test's own."""
    monkeypatch.setenv("EDGERIG_CACHE", str(tmp_path))
    monkeypatch.setattr(lease, "LOOK_S", 0.02)
    return profile.resolve("here", {"here": {"architecture": ""}})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder where that target's leases are."""
    path = tmp_path / "devices" / ".lease"
    path.mkdir(parents=True)
    return path


def write(folder: Path, owner: Owner | str, *, age_s: int = 0, boot: str = BOOT, number: int = 1) -> None:
    """Write a lease as a keeper does, held and heard of `age_s` ago."""
    text = owner if isinstance(owner, str) else owner.model_dump_json()
    up = int(float(Path("/proc/uptime").read_text().split()[0]))
    (folder / str(number)).symlink_to(f"{up - age_s} {boot} {text}")


def waited(look: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not look():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def keep(folder: Path, token: str, path: str | None = None) -> subprocess.Popen[str]:
    """Start a keeper that wants the lease."""
    argv = keeper.argv(str(folder), "hold", token, json.dumps({"token": token}), lease.EXPIRY_S)
    env = {**os.environ, "PATH": path} if path else None
    return subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)


def said(process: subprocess.Popen[str]) -> Answer:
    """Return a keeper's first line."""
    assert process.stdout
    answer = keeper.parsed(process.stdout.readline().rstrip("\n"))
    assert answer
    return answer


def end(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        process.communicate(timeout=10)


def test_one_controller_at_a_time(target: Target) -> None:
    with (
        Lease(target, "run-1"),
        pytest.raises(TargetHeld, match=rf"here is held by .* \(process {os.getpid()}, run-1\)"),
    ):
        Lease(target, "run-2")
    with Lease(target, "run-3"):
        assert standing(target).state == "held"
    assert standing(target).state == "free"


def test_targets_that_are_this_machine_share_its_lease(target: Target) -> None:
    other = profile.resolve("there", {"there": {"architecture": "", "transport": "fake"}})
    with Lease(target, ""), pytest.raises(TargetHeld):
        Lease(other, "")


def test_another_cache_is_another_machine(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Lease(target, ""):
        monkeypatch.setenv("EDGERIG_CACHE", str(tmp_path / "other"))
        with Lease(target, ""):
            pass


@pytest.mark.parametrize("number", range(6))
def test_one_of_many_who_want_an_expired_lease_gets_it(folder: Path, number: int) -> None:
    if number:  # and without any before, the first time
        write(folder, Owner(), age_s=lease.EXPIRY_S + 5, number=number)
    racers = [keep(folder, f"racer-{n}") for n in range(RACERS)]
    answers = [said(racer) for racer in racers]
    end(*racers)
    assert sorted(answer.word for answer in answers) == ["held"] * (RACERS - 1) + ["mine"]
    winner = next(f"racer-{n}" for n, answer in enumerate(answers) if answer.word == "mine")
    assert all(winner in answer.owner for answer in answers if answer.word == "held")


def test_who_looked_long_ago_takes_nothing_away(folder: Path, tmp_path: Path) -> None:
    """Between its look and its `ln`, a slow waiter is overtaken twice: the number that it wants is free again."""
    write(folder, Owner(), age_s=lease.EXPIRY_S + 5)
    ready, go = tmp_path / "ready", tmp_path / "go"
    slow = tmp_path / "bin" / "ln"
    slow.parent.mkdir()
    slow.write_text(
        f'#!/bin/sh\n: > {ready}\nwhile [ ! -e {go} ]; do sleep 0.02; done\nexec {shutil.which("ln")} "$@"\n'
    )
    slow.chmod(0o755)
    waiter = keep(folder, "waiter", f"{slow.parent}:{os.environ['PATH']}")
    waited(ready.exists)
    first = keep(folder, "first")
    assert said(first).word == "mine"
    first.communicate("free\n", timeout=10)
    second = keep(folder, "second")
    assert (said(second).number, sorted(path.name for path in folder.iterdir())) == (3, ["3"])
    go.touch()
    answer = said(waiter)
    assert (answer.word, answer.number) == ("held", 3)
    assert "second" in answer.owner
    assert second.stdin
    second.stdin.write("beat\n")
    second.stdin.flush()
    assert second.stdout
    assert second.stdout.readline() == "ok\n"
    end(waiter, second)


@pytest.mark.parametrize(
    ("age_s", "state"), [(0, "held"), (lease.EXPIRY_S - 5, "held"), (lease.EXPIRY_S + 5, "expired")]
)
def test_a_lease_that_nobody_renews_expires(target: Target, folder: Path, age_s: int, state: str) -> None:
    write(folder, Owner(who="ann@lab"), age_s=age_s)
    found = standing(target)
    assert (found.state, found.owner and found.owner.who) == (state, "ann@lab")
    if state == "held":
        with pytest.raises(TargetHeld, match="ann@lab"):
            Lease(target, "")
    else:
        Lease(target, "").free()


def test_a_lease_of_another_boot_was_heard_of_at_boot(folder: Path) -> None:
    write(folder, Owner(), boot="0-0-0", age_s=-10_000_000)  # that boot lasted longer than this one does
    argv = keeper.argv(str(folder), "show")
    answer = keeper.parsed(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip())
    assert answer
    assert abs(answer.age_s - float(Path("/proc/uptime").read_text().split()[0])) < 5
    assert answer.since_s is None


HOLDER = "import sys, time\nfrom harness.devices.lease import *\nfrom targets import profile\n" + (
    "target = profile.resolve('here', {'here': {'architecture': ''}})\n"
    "lease = Lease(target, 'killed')\nprint('held', flush=True)\ntime.sleep(60)\n"
)


def test_a_controller_that_was_killed_here_is_overtaken_at_once(target: Target) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        with pytest.raises(TargetHeld, match="killed"):
            Lease(target, "")
        process.send_signal(signal.SIGKILL)
        waited(lambda: standing(target).state == "expired")
        with Lease(target, "next"):
            assert standing(target).number == 2


def test_a_process_of_another_machine_is_never_known_to_be_dead(target: Target, folder: Path) -> None:
    write(folder, Owner(pid=2**22 + 1, machine="another", began="5"))
    with pytest.raises(TargetHeld):
        Lease(target, "")


def test_a_process_number_that_is_used_again_is_another_process(target: Target, folder: Path) -> None:
    assert lease.began(os.getpid()) not in ("", "1")
    write(folder, Owner(pid=os.getpid(), machine=lease.this_machine(), began="1"))
    Lease(target, "").free()


def test_a_lease_is_renewed(target: Target, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.02)
    with Lease(target, "") as held:
        beat = folder / "1.beat"
        waited(lambda: beat.exists() and beat.read_text().startswith(f"{BOOT} "))
        held.check()


def test_a_beat_counts_not_the_beginning(target: Target, folder: Path) -> None:
    write(folder, Owner(), age_s=500)
    up = int(float(Path("/proc/uptime").read_text().split()[0]))
    (folder / "1.beat").write_text(f"{BOOT} {up - 3}\n")
    found = standing(target)
    assert (found.state, found.since_s in (500, 501), found.age_s in (3, 4)) == ("held", True, True)


@pytest.mark.parametrize("beat", ["", "\n", f"{BOOT}\n", f"{BOOT} soon\n", f"{BOOT} $(false)\n"])
def test_a_beat_that_was_cut_off_is_no_beat(target: Target, folder: Path, beat: str) -> None:
    write(folder, Owner(), age_s=30)
    (folder / "1.beat").write_text(beat)
    assert standing(target).age_s in (30, 31)


def test_a_lost_connection_is_made_again_and_the_lease_kept(
    target: Target, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.02)
    with Lease(target, "") as held:
        channel = held._talk._channel
        channel._process.kill()  # type: ignore[attr-defined]
        waited(lambda: held._talk._channel is not channel)
        waited((folder / "1.beat").exists)
        held.check()
        assert standing(target).number == 1


def test_a_lease_that_was_overtaken_is_lost(target: Target, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.02)
    with Lease(target, "") as held:
        write(folder, Owner(who="ann@lab"), number=2)
        waited(lambda: held._lost)
        with pytest.raises(TargetHeld, match="the lease of here was lost"):
            held.check()
    assert standing(target).state == "held"  # hers


def test_a_held_device_is_waited_for(target: Target) -> None:
    first = Lease(target, "first")
    threading.Timer(0.2, first.free).start()
    told: list[str] = []
    with acquire(target, "second", 20, told=told.append):
        assert "first" in told[0]


def test_waiting_ends(target: Target, folder: Path) -> None:
    write(folder, Owner(who="ann@lab"))
    begin = time.monotonic()
    with pytest.raises(TargetHeld, match="ann@lab"):
        acquire(target, "", 0.1)
    assert 0.1 <= time.monotonic() - begin < 5


@pytest.mark.parametrize("text", ["", "[]", '{"pid": "x"}', "\x1b[2Jhello", '{"who": "' + "x" * 300 + '"}'])
def test_what_a_device_says_of_an_owner_is_not_trusted(target: Target, folder: Path, text: str) -> None:
    write(folder, text)
    found = standing(target)
    assert (found.state, found.owner) == ("held", Owner())


def test_a_device_without_room_for_leases_says_why(target: Target, tmp_path: Path) -> None:
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices" / ".lease").write_text("a file")
    with pytest.raises(TargetRefused, match=r"no lease can be had on the device: mkdir: .*\.lease"):
        Lease(target, "")


@pytest.mark.parametrize("script", ["echo Welcome", "head -c 9000 /dev/zero"], ids=["banner", "no end"])
def test_what_is_no_keeper_is_no_protocol(target: Target, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    monkeypatch.setattr(keeper, "argv", lambda *_: ["sh", "-c", script])
    with pytest.raises(ProtocolError, match="the keeper of the lease"):
        Lease(target, "")


def test_a_keeper_that_ends_without_a_word_is_a_lost_link(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "argv", lambda *_: ["true"])
    with pytest.raises(LinkLost, match="the keeper of the lease ended"):
        Lease(target, "")


def test_leases_lie_beside_the_targets_of_this_machine(target: Target) -> None:
    assert connect.leases(target) == "{root}/../.lease"


def test_commands_say_who_has_a_device(workplace: Workplace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGERIG_CACHE", workplace.environment["EDGERIG_CACHE"])
    (workplace.folder / "edgerig.toml").write_text('[targets.here]\narchitecture = ""\n')
    faces.make(workplace.folder / "faces", 8)
    models.null_model(workplace.folder / "models", "fast")
    measure = ("run", "--variants", "models", "--faces", "faces", "--target", "here", "--quick")
    with Lease(profile.resolve("here", {"here": {"architecture": ""}}), "mine"):
        assert [row["run"] for row in workplace.json("leases")] == ["mine"]
        cell = json.loads(workplace.apart(*measure, "--json", code=4).stdout)["cells"][0]
        assert (cell["outcome"], f"here is held by {lease.this_owner('').who}" in cell["reason"]) == ("lost", True)
        steps = json.loads(workplace.apart("doctor", "here", "--json", code=3).stdout)
        assert [step["step"] for step in steps if step["standing"] == "failed"] == ["lease"]
        waiting = workplace.start(*measure, "--wait", "--json", short=True)
        waited(lambda: len(list(workplace.folder.glob("runs/*/journal.jsonl"))) == 2)
    printed, _ = waiting.communicate(timeout=60)
    assert json.loads(printed)["cells"][0]["outcome"] == "ok"
    assert [row["state"] for row in workplace.json("leases")] == ["free"]
