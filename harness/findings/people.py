"""Who decided: the name that is written beside what was accepted or promoted."""

from __future__ import annotations

import getpass

from edgerig import process
from edgerig.errors import ProcessFailed


def author() -> str:
    """Return git's `NAME <EMAIL>`, or the login name where git knows none."""
    name, email = _git("user.name"), _git("user.email")
    if name or email:
        return " ".join(part for part in (name, f"<{email}>" if email else "") if part)
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as in some containers
        return "unknown"


def _git(key: str) -> str:
    try:
        return process.run(["git", "config", "--get", key]).strip()
    except ProcessFailed:
        return ""
