"""Who may come in and who may not, each with its own sentence."""

from __future__ import annotations

import getpass
import shutil
from pathlib import Path

import pytest

from edgerig.deadline import Deadline
from edgerig.errors import TargetFull, TargetRefused, TargetUnreachable
from harness.devices.session import Session
from targets.ssh import SshTransport, resolve
from tests.devices import sshd
from tests.devices.sshd import HOST, Desk, Sshd


def refused(address: str) -> TargetRefused:
    with pytest.raises(TargetRefused) as caught:
        SshTransport(address)
    return caught.value


def test_an_unknown_host_key_is_refused_with_what_accepts_it(board: Sshd, desk: Desk) -> None:
    desk.known_hosts.write_text("")
    error = refused(board.address)
    assert error.message == f"the host key of [{HOST}]:{board.port} is unknown."
    assert error.hint == f"Accept it once: ssh -p {board.port} {getpass.getuser()}@{HOST} true"


def test_a_changed_host_key_is_refused_as_that(board: Sshd, desk: Desk, tmp_path: Path) -> None:
    other = sshd.new_key(tmp_path / "other").with_suffix(".pub").read_text()
    desk.known_hosts.write_text(f"[{HOST}]:{board.port} {other}")
    error = refused(board.address)
    assert "has changed" in error.message
    assert f"ssh-keygen -R '[{HOST}]:{board.port}'" in error.hint


def test_a_host_known_by_a_key_of_another_kind_is_refused(board: Sshd, desk: Desk, tmp_path: Path) -> None:
    other = sshd.new_key(tmp_path / "rsa", "rsa").with_suffix(".pub").read_text()
    desk.known_hosts.write_text(f"[{HOST}]:{board.port} {other}")
    error = refused(board.address)
    assert "unknown" in error.message or "changed" in error.message


def test_a_stranger_is_refused(board: Sshd, desk: Desk) -> None:
    desk.key.unlink()
    sshd.new_key(desk.key.with_name("id_other")).rename(desk.key)
    error = refused(board.address)
    assert f"does not let {getpass.getuser()} in with any key" in error.message
    assert error.hint.startswith("ssh-copy-id")


def test_a_wrong_user_is_refused(board: Sshd, desk: Desk) -> None:
    assert "does not let nobody-here in" in refused(f"nobody-here@{HOST}:{board.port}").message


def test_nobody_at_home_is_unreachable(tmp_path: Path, desk: Desk) -> None:
    with sshd.running(tmp_path / "gone") as gone:
        desk.knows(gone)
    with pytest.raises(TargetUnreachable, match="does not answer: Connection refused"):
        SshTransport(gone.address)


@pytest.mark.parametrize("address", ["", "@", "pi@", "pi@host:", "pi@host:port", "-oProxyCommand=x"])
def test_what_is_no_address_is_refused(address: str, desk: Desk) -> None:
    assert "no address" in refused(address).message


def test_an_alias_of_ssh_config_is_followed(board: Sshd, desk: Desk) -> None:
    desk.config.write_text(f"Host pi4\n  HostName {HOST}\n  Port {board.port}\n  User {getpass.getuser()}\n")
    where = resolve("pi4")
    assert (where.host, where.port, where.user) == (HOST, board.port, getpass.getuser())
    SshTransport("pi4").close()


def test_a_configuration_may_name_its_own_known_hosts(board: Sshd, desk: Desk, tmp_path: Path) -> None:
    known = tmp_path / "those we know"
    known.write_text(desk.known_hosts.read_text())
    desk.known_hosts.write_text("")
    own = f"UserKnownHostsFile {tmp_path / 'nobody'} {str(known).replace(' ', chr(92) + ' ')}"
    desk.config.write_text(f"Host pi4\n  HostName {HOST}\n  Port {board.port}\n  {own}\n")
    SshTransport("pi4").close()
    known.write_text("")
    assert "unknown" in refused("pi4").message


def behind(board: Sshd, jump: Sshd) -> str:
    return (
        f"Host rack\n  HostName {HOST}\n  Port {jump.port}\n\n"
        f"Host nano\n  HostName {HOST}\n  Port {board.port}\n  ProxyJump rack\n"
        f"Host far\n  HostName {HOST}\n  Port {board.port}\n  ProxyJump rack, {HOST}:{jump.port}\n"
        f"Host odd\n  ProxyCommand nc %h %p\n"
    )


@pytest.mark.parametrize("alias", ["nano", "far"])
def test_jump_hosts_are_gone_through(board: Sshd, desk: Desk, jump: Sshd, tmp_path: Path, alias: str) -> None:
    desk.knows(board, jump)
    desk.config.write_text(behind(board, jump))
    transport = SshTransport(alias)
    assert jump.sessions()
    source = tmp_path / "source"
    source.write_bytes(b"through others")
    transport.put(source, f"incoming/{alias}", Deadline(10))
    assert (board.device / "incoming" / alias).read_bytes() == b"through others"
    (board.device / "incoming" / alias).unlink()
    transport.close()


def test_an_unknown_jump_host_is_refused(board: Sshd, desk: Desk, jump: Sshd) -> None:
    desk.config.write_text(behind(board, jump))
    assert f"[{HOST}]:{jump.port} is unknown" in refused("nano").message


def test_a_jump_host_that_cannot_reach_the_board_says_so(board: Sshd, desk: Desk, jump: Sshd) -> None:
    desk.knows(board, jump)
    desk.config.write_text(behind(board, jump).replace(f"Port {board.port}", "Port 1"))
    with pytest.raises(TargetUnreachable, match=f"rack cannot reach {HOST}:1"):
        SshTransport("nano")


def test_a_proxy_command_is_refused_rather_than_left_out(board: Sshd, desk: Desk, jump: Sshd) -> None:
    desk.config.write_text(behind(board, jump))
    assert "ProxyCommand" in refused("odd").message


def test_a_device_without_python_is_refused(board: Sshd, desk: Desk, tmp_path: Path) -> None:
    with pytest.raises(TargetRefused) as caught:
        Session(SshTransport(board.address), ["/no/such/python3"], tmp_path / "agents")
    assert "/no/such/python3" in caught.value.message
    assert "Python 3.8" in caught.value.hint


def test_a_python_without_numpy_is_refused(board: Sshd, desk: Desk, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.write_text('#!/bin/sh\nexec /usr/bin/env python3 -S -I "$@"\n')
    bare.chmod(0o755)
    with pytest.raises(TargetRefused, match="numpy is not installed for Python"):
        Session(SshTransport(board.address), [str(bare)], tmp_path / "agents")


def test_a_full_disk_is_told_and_leaves_no_rest(desk: Desk, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(bytes(1 << 20))
    with sshd.running(tmp_path / "small", disk_kb=256) as small:
        desk.knows(small)
        transport = SshTransport(small.address)
        with pytest.raises(TargetFull, match="no space"):
            transport.put(source, "incoming/x", Deadline(20))
        source.write_bytes(bytes(100_000))  # the part of the big one is gone
        transport.put(source, "incoming/x", Deadline(20))
        transport.close()


def test_a_home_that_cannot_be_written_is_no_full_disk(board: Sshd, desk: Desk, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"x")
    (board.device / "blocked").parent.mkdir(parents=True, exist_ok=True)
    (board.device / "blocked").write_bytes(b"a file, not a folder")
    transport = SshTransport(board.address)
    with pytest.raises(TargetRefused):
        transport.put(source, "blocked/x", Deadline(10))
    transport.close()
    shutil.rmtree(board.device)
