"""Every error that edgerig raises on purpose, as one tree.

The branch says whose fault it is, `transient` whether trying again can help (only those are retried),
`exit_code` what the command line returns when the error ends a command.

    EdgerigError
    ├── UserError                   what was asked for cannot be done as asked          exit 2
    │   ├── ConfigError             edgerig.toml, a profile or a manifest is wrong
    │   ├── ModelError              a model file is missing, damaged or not as its manifest says
    │   ├── FaceSetError            a face set is empty, one-sided or holds what is no image
    │   ├── RunError                a run folder is missing, damaged or in use
    │   └── OutputError             the output folder cannot be written
    ├── HostError                   this machine, the controller's, cannot do it        exit 4
    │   ├── DiskFull                no space is left for results
    │   ├── HistoryUnusable         the history's database cannot be read or written
    │   └── ProcessFailed           a program that we started failed
    └── TargetError                 the device cannot do it                             exit 3
        ├── TargetUnreachable       it does not answer                                  transient
        ├── TargetRefused           it answers and says no: no Python, no permission
        ├── TargetHeld              another controller is at work on it
        ├── LinkLost                it answered, and then no more                       transient
        ├── TargetFull              no space is left on it
        └── ProtocolError           what it said is not our protocol
"""

from __future__ import annotations

from collections.abc import Sequence


class EdgerigError(Exception):
    """Base of the tree: one sentence, and what to do next.

    Args:
        message: one clear sentence that names the thing at fault.
        hint: what to do next, or "" where nothing sensible can be said.
    """

    exit_code = 4
    transient = False

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UserError(EdgerigError):
    """What was asked for cannot be done as asked."""

    exit_code = 2


class ConfigError(UserError):
    """A configuration file, profile or manifest is wrong."""


class ModelError(UserError):
    """A model file is missing, damaged or not as its manifest says."""


class FaceSetError(UserError):
    """A face set is empty, one-sided, or holds something that is no image."""


class RunError(UserError):
    """A run folder is missing, damaged or in use."""


class OutputError(UserError):
    """The output folder cannot be written."""


class HostError(EdgerigError):
    """The controller's own machine cannot do it."""


class DiskFull(HostError):
    """No space is left on this machine for results."""


class HistoryUnusable(HostError):
    """The history's database does not answer, or cannot be read or written."""


class ProcessFailed(HostError):
    """A program that we started failed; carries all that is known of it.

    Args:
        argv: the command, as a list.
        returncode: its exit status, negative for a signal.
        stdout: what it printed, decoded.
        stderr: what it complained about, decoded.
    """

    def __init__(self, argv: Sequence[str], returncode: int, stdout: str, stderr: str) -> None:
        last = stderr.strip().splitlines()[-1:] or ["it printed nothing"]
        super().__init__(f"{argv[0]} ended with status {returncode}: {last[0]}")
        self.argv = list(argv)
        self.returncode = returncode
        self.stdout = stdout
        self.stderr = stderr


class TargetError(EdgerigError):
    """The device cannot do it."""

    exit_code = 3


class TargetUnreachable(TargetError):
    """The device does not answer; it may later."""

    transient = True


class TargetRefused(TargetError):
    """The device answers and says no; it will again."""


class TargetHeld(TargetError):
    """Another controller has the device; not retried but waited for, where that was asked for.

    Attributes:
        ours: it is this very process, for another target.
    """

    ours = False


class LinkLost(TargetError):
    """The device answered, and then no more."""

    transient = True


class TargetFull(TargetError):
    """No space is left on the device."""


class ProtocolError(TargetError):
    """What the device said is not our protocol."""
