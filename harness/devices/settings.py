"""Settings of a device for the length of its lease: set, recorded, put back. How is in `targets/settings.py`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from edgerig.deadline import Deadline
from edgerig.errors import TargetError
from harness import places
from harness.devices.lease import EXPIRY_S, Lease
from targets import connect, settings, shell
from targets.profile import Target
from targets.settings import Applied, Setting

COMMAND_S = 60.0  # nvpmodel takes seconds to switch cores on and off
LATER_S = 10  # after the controller gave a lease up: what is measured until then was measured as set

Add = Callable[..., None]  # event, fields


@contextlib.contextmanager
def applied(target: Target, lease: Lease, add: Add) -> Iterator[Applied]:
    """Set what a target's profile wants for the length of the block, and put back what was found.

    Args:
        target: which; with nothing to set nothing happens.
        lease: under which it is done.
        add: takes the events "settings" and "warning".

    Raises:
        TargetError: the device cannot be asked.
    """
    wanted = target.settings.set.wanted()
    if not wanted.names():
        yield Applied(())
        return
    argv = settings.apply_argv(wanted, connect.leases(target), lease.number, EXPIRY_S + LATER_S)
    done = settings.parsed(wanted, _run(target, argv))
    _tell(target, done, add, "not yet put back")
    if warning := denied(target, done):
        add("warning", text=warning)
    try:
        yield done
    finally:
        _put_back(target, lease, done, add)


def _put_back(target: Target, lease: Lease, done: Applied, add: Add) -> None:
    """Put back what was found, and record what became of it; never raises a TargetError."""
    try:
        said = _run(target, settings.restore_argv(connect.leases(target), lease.number)).strip()
    except TargetError as error:
        said = error.message
    ends = {"back": "put back", "earlier": "put back before the end"}
    _tell(target, done, add, ends.get(said, "not put back"))
    if said not in ends and any(not setting.problem for setting in done.settings):
        text = f"{target.name}: what was set could not be put back: {said[:200]}."
        add("warning", text=f"{text} The device tries so by itself, and so does the next run.")


def _run(target: Target, argv: list[str]) -> str:
    """Run a script on a connection of its own, which the end of the session does not take with it."""
    transport = connect.keeping(target, places.devices())
    try:
        return shell.run(transport, argv, Deadline(COMMAND_S)).out
    finally:
        transport.close()


def _tell(target: Target, done: Applied, add: Add, end: str) -> None:
    add("settings", target=target.name, settings={entry.name: words(entry, end) for entry in done.settings})


def words(setting: Setting, end: str = "") -> str:
    """Return a setting as people read it."""
    if setting.problem:
        return f"not set: {settings.REASONS[setting.problem]}"
    if setting.before == setting.wanted:
        return f"{setting.wanted}, as found"
    was = f"was {setting.before}" if setting.name != "clocks" else ""
    about = ", ".join(part for part in (was, end) if part)
    return f"{setting.wanted} ({about})" if about else setting.wanted


def denied(target: Target, done: Applied) -> str:
    """Return the sentence that says what is not set and what would help, "" where all is set."""
    problems = [f"{entry.name} {words(entry)}" for entry in done.settings if entry.problem]
    if not problems:
        return ""
    text = f"{target.name}: {'; '.join(problems)}."
    return f"{text} This line in /etc/sudoers.d/edgerig there allows it: {done.sudoers}" if done.sudoers else text
