"""Settings by real shells: set, told, and put back by the run, by the process that stays, or by the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from harness import doctor
from harness.devices import lease, settings
from harness.devices.lease import Lease
from targets import keeper, profile
from targets import settings as scripts
from targets.profile import Target
from targets.settings import Setting, Wanted
from tests.support.sysfs import Device

NOBODY = 65534


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    """Return this machine's other self, where all that can be set lies in a folder."""
    found = Device(tmp_path / "sys")
    monkeypatch.setenv("EDGERIG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", found.path)
    for name, value in {"SYS": str(found.home), "CLOCKS": str(tmp_path / "stored"), "POLL_S": 0.05}.items():
        monkeypatch.setattr(scripts, name, value)
    return found


def target(**wanted: object) -> Target:
    return profile.resolve("here", {"here": {"architecture": "", "set": wanted}})


def folder() -> Path:
    return Path(os.environ["EDGERIG_CACHE"]) / "devices" / ".lease"


def waited(look: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not look():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def event(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [entry for entry in events if entry["event"] == name]


def change(wanted: Target, look: Callable[[], object] = str) -> list[dict[str, Any]]:
    """Set and put back, look in between, and return what was told."""
    events: list[dict[str, Any]] = []
    with Lease(wanted, "run") as held, settings.applied(wanted, held, lambda e, **f: events.append({"event": e, **f})):
        look()
    return events


def test_what_was_set_is_told_and_put_back(device: Device) -> None:
    device.jetson()
    seen: list[object] = []

    def look() -> None:
        seen.extend((device.governors, device.state("mode"), device.state("clocks")))

    events = change(target(governor="performance", nvpmodel=0, jetson_clocks=True), look)
    assert seen == [["performance", "performance"], "0", "fixed"]
    assert (device.governors, device.state("mode"), device.state("clocks")) == (
        ["schedutil", "ondemand"],
        "2",
        "dynamic",
    )
    assert (
        event(events, "settings")[0]["settings"]["governor"] == "performance (was schedutil+ondemand, not yet put back)"
    )
    assert event(events, "settings")[-1]["settings"] == {
        "nvpmodel": "0 (was 2, put back)",
        "governor": "performance (was schedutil+ondemand, put back)",
        "clocks": "fixed (put back)",
    }
    assert event(events, "warning") == []
    assert list(folder().glob("former*")) == []


def test_nothing_is_asked_where_nothing_is_wanted(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_run", lambda *_: pytest.fail("the device was asked"))
    assert change(target()) == []


def test_what_is_so_already_stays(device: Device) -> None:
    device.jetson()
    events = change(target(nvpmodel=2), lambda: waited(lambda: not list(folder().glob("former*"))))
    assert event(events, "settings")[-1]["settings"] == {"nvpmodel": "2, as found"}


def test_a_reboot_is_never_confirmed(device: Device) -> None:
    device.jetson()
    events = change(target(nvpmodel=3))
    assert not (device.home / "rebooted").exists()
    assert device.state("mode") == "2"
    (warning,) = event(events, "warning")
    assert warning["text"] == f"here: nvpmodel not set: {scripts.REASONS['reboot']}."


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [({"governor": "turbo"}, "unknown"), ({"nvpmodel": 0}, "absent"), ({"jetson_clocks": True}, "absent")],
    ids=["governor", "mode", "clocks"],
)
def test_what_cannot_be_set_says_why(device: Device, wanted: dict[str, object], problem: str) -> None:
    events = change(target(**wanted))
    (words,) = event(events, "settings")[-1]["settings"].values()
    assert words == f"not set: {scripts.REASONS[problem]}"
    assert device.governors == ["schedutil", "ondemand"]


# -- who is not root


@pytest.fixture
def board() -> Iterator[Device]:
    """Return a device that another user than root can reach."""
    with tempfile.TemporaryDirectory() as name:
        found = Device(Path(name) / "board")
        found.jetson()
        Path(name).chmod(0o777)
        user = NOBODY if os.geteuid() == 0 else os.geteuid()
        for path in (found.home, *found.home.rglob("*")):
            if os.geteuid() == 0:
                os.chown(path, user, user)
            if path.name == "scaling_governor":
                path.chmod(0o444)
        found.tool("id", "case $1 in -u) echo 1000 ;; *) echo pi ;; esac")
        yield found


def as_pi(device: Device, argv: list[str]) -> str:
    """Run a script as a user who is not root, and return what it said."""
    as_user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    env = {"PATH": device.path}
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=env, cwd="/", **as_user)  # type: ignore[call-overload]
    return str(done.stdout)


def asked(device: Device, monkeypatch: pytest.MonkeyPatch, sudo: str) -> tuple[scripts.Applied, list[str]]:
    """Set everything as pi, and return what became of it and what sudo was asked for."""
    device.tool("sudo", f'echo "$*" >> {device.home}/asked\n{sudo}')
    monkeypatch.setattr(scripts, "SYS", str(device.home))
    monkeypatch.setattr(scripts, "CLOCKS", str(device.home / "stored"))
    wanted = Wanted(0, "performance", clocks=True)
    done = scripts.parsed(wanted, as_pi(device, scripts.apply_argv(wanted, str(device.home), 1, 60)))
    said = as_pi(device, scripts.restore_argv(str(device.home), 1))
    assert said in ("back\n", "earlier\n")
    return done, (device.home / "asked").read_text().splitlines()


def test_without_sudo_the_line_that_would_allow_it_is_told(board: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    done, _ = asked(board, monkeypatch, 'echo "sudo: a password is required" >&2\nexit 1')
    assert done.settings == (
        Setting("nvpmodel", "0", "2", "denied"),
        Setting("governor", "performance", "schedutil+ondemand", "denied"),
        Setting("clocks", "fixed", "", "denied"),
    )
    policies = [f"{board.home}/devices/system/cpu/cpufreq/policy{n}/scaling_governor" for n in (0, 4)]
    tee = next(path for path in ("/usr/bin/tee", "/bin/tee") if Path(path).exists())
    assert done.sudoers == (
        f"pi ALL=(root) NOPASSWD: {tee} {policies[0]}, {tee} {policies[1]}, {board.bin}/nvpmodel -m 0, "
        f'{board.bin}/nvpmodel -m 2, {board.bin}/jetson_clocks "", '
        f"{board.bin}/jetson_clocks --store {board.home}/stored, "
        f"{board.bin}/jetson_clocks --restore {board.home}/stored"
    )
    assert "*" not in done.sudoers
    assert (board.governors, board.state("mode")) == (["schedutil", "ondemand"], "2")
    text = settings.denied(target(), done)
    assert "clocks not set: that needs root, or sudo without a password." in text
    assert text.endswith(done.sudoers)


def test_sudo_is_asked_for_no_password_and_for_what_the_line_allows(
    board: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    allowing = 'shift\nfor last; do :; done\ncase $last in *governor) chmod u+w "$last" ;; esac\n"$@"\ncode=$?\n'
    allowing += 'case $last in *governor) chmod u-w "$last" ;; esac\nexit $code'
    done, words = asked(board, monkeypatch, allowing)
    assert [setting.problem for setting in done.settings] == ["", "", ""]
    assert {word.split()[0] for word in words} == {"-n"}
    assert (board.governors, board.state("mode"), board.state("clocks")) == (["schedutil", "ondemand"], "2", "dynamic")


def test_what_a_device_says_is_not_trusted() -> None:
    said = "done governor $(reboot) performance\nnot governor denied ondemand\nuser pi, ALL\npath /sys/x /etc/shadow\n"
    done = scripts.parsed(Wanted(governor="performance"), said + "done nvpmodel 1 2\n")
    assert done.settings == (Setting("governor", "performance", "ondemand", "denied"),)
    assert done.sudoers == "USER ALL=(root) NOPASSWD: "
    assert scripts.parsed(Wanted(governor="performance"), "welcome").settings[0].problem == "refused"


# -- nobody puts it back in order


CONTROLLER = """
import sys, time
from harness import doctor
from harness.devices import lease, settings
from targets import profile, settings as scripts
scripts.SYS, scripts.CLOCKS, scripts.POLL_S = sys.argv[1:3] + [0.05]
lease.EXPIRY_S = settings.EXPIRY_S = int(sys.argv[3])
settings.LATER_S = 0
target = profile.resolve("here", {"here": {"architecture": "", "set": {"governor": "performance", "nvpmodel": 0}}})
with lease.Lease(target, "killed") as held, settings.applied(target, held, lambda *_, **__: None):
    print("set", flush=True)
    time.sleep(60)
"""


def killed(device: Device, expiry_s: int) -> None:
    """Have a controller set things, and kill it."""
    device.jetson()
    words = [sys.executable, "-c", CONTROLLER, scripts.SYS, scripts.CLOCKS, str(expiry_s)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "set\n"
        assert (device.governors, device.state("mode")) == (["performance", "performance"], "0")
        process.send_signal(signal.SIGKILL)


def as_found(device: Device) -> bool:
    return (device.governors, device.state("mode")) == (["schedutil", "ondemand"], "2")


def test_the_device_puts_back_what_a_killed_controller_left(device: Device) -> None:
    killed(device, expiry_s=1)
    waited(lambda: as_found(device))
    waited(lambda: not list(folder().glob("former*")))


def test_the_next_one_puts_back_what_a_killed_controller_left(device: Device) -> None:
    killed(device, expiry_s=600)
    assert not as_found(device)
    with Lease(target(), "next"):
        assert as_found(device)
    assert list(folder().glob("former*")) == []


def test_after_a_power_cut_the_next_one_puts_it_back(device: Device) -> None:
    """Nothing stays there but the disk; and who claimed the file before is no more."""
    device.jetson()
    folder().mkdir(parents=True)
    (folder() / f"former-4.{2**22 + 1}").write_text("nvpmodel - 1\ngovernor /gone/cpufreq/policy0/scaling_governor x\n")
    with Lease(target(), "next"):
        assert device.state("mode") == "1"
    assert list(folder().glob("former*")) == []


def silent(wanted: Target, number: int, expiry_s: int) -> None:
    """Set things under a lease that nobody renews: of a link that died, say."""
    argv = scripts.apply_argv(wanted.settings.set.wanted(), str(folder()), number, expiry_s)
    subprocess.run(argv, check=True, capture_output=True)


def test_a_link_that_dies_without_a_word_puts_it_back(device: Device) -> None:
    hold = keeper.argv(str(folder()), "hold", "token", '{"token": "token"}', 600)
    with subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout
        assert held.stdin
        assert held.stdout.readline().startswith("mine 1 ")
        silent(target(governor="performance"), 1, expiry_s=1)
        for _ in range(7):  # for longer than it takes to expire, renewed
            held.stdin.write("beat\n")
            held.stdin.flush()
            assert held.stdout.readline() == "ok\n"
            time.sleep(0.3)
            assert device.governors == ["performance", "performance"]
        waited(lambda: device.governors == ["schedutil", "ondemand"])  # and then no more
        held.stdin.close()


def test_a_lease_that_is_overtaken_puts_it_back(device: Device) -> None:
    with Lease(target(), "") as held:
        silent(target(governor="performance"), held.number, expiry_s=600)
        (folder() / f"{held.number + 1}").symlink_to("0 boot somebody")
        waited(lambda: device.governors == ["schedutil", "ondemand"])


def test_who_takes_its_own_lease_again_keeps_what_it_set(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_S", 0.02)
    wanted = target(governor="performance")
    with Lease(wanted, "") as held, settings.applied(wanted, held, lambda *_, **__: None):
        channel = held._talk._channel
        channel._process.kill()  # type: ignore[attr-defined]
        waited(lambda: held._talk._channel is not channel)
        assert device.governors == ["performance", "performance"]
    assert device.governors == ["schedutil", "ondemand"]


def test_two_who_put_back_at_once_do_it_once(device: Device, tmp_path: Path) -> None:
    device.jetson()
    device.tool("nvpmodel", scripts_slow(tmp_path))
    folder().mkdir(parents=True)
    (device.home / "mode").write_text("0\n")
    (folder() / "former-1").write_text("nvpmodel - 2\n")
    both = [subprocess.Popen(scripts.restore_argv(str(folder()), 1), stdout=subprocess.PIPE, text=True) for _ in "12"]
    said = sorted(process.communicate(timeout=20)[0].strip() for process in both)
    assert (device.state("mode"), list(folder().iterdir())) == ("2", [])
    assert set(said) <= {"back", "earlier"}
    assert (tmp_path / "calls").read_text().count("set") == 1


def scripts_slow(folder: Path) -> str:
    """Return an nvpmodel that takes its time and counts."""
    count = f'[ "$1" != -m ] || {{ echo set >> {folder}/calls; sleep 0.5; echo "$2" > {{home}}/mode; }}\n'
    return count + '[ "$1" != -q ] || printf \'NV Power Mode: SOME\\n%s\\n\' "$(cat {home}/mode)"'


def test_doctor_tries_and_puts_back(device: Device) -> None:
    device.jetson()
    steps = list(islice(doctor.examine(target(governor="performance", nvpmodel=3)), 3))
    assert [(step.step, step.standing) for step in steps[1:]] == [("lease", "ok"), ("settings", "warning")]
    assert "governor performance (was schedutil+ondemand, put back)" in steps[2].found
    assert "nvpmodel not set: the device would have to reboot" in steps[2].found
    assert as_found(device)
