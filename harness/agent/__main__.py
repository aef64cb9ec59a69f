"""Where the packed agent starts: `python edgerig-agent-<digest>.pyz --root FOLDER`."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path


def start(own: str) -> int:
    """Run the agent that lies at `own`; where its imports are missing, answer the first request with that."""
    try:
        from harness.agent.cli import main  # noqa: PLC0415 (fails where numpy is missing)
    except ImportError as error:  # numpy, most often: the controller should read a sentence, not a traceback
        return _apologise(error)
    return main(own, sys.argv[1:])


def _apologise(error: ImportError) -> int:
    python = f"Python {platform.python_version()} ({sys.executable})"
    missing = isinstance(error, ModuleNotFoundError)
    reason = f"{error.name} is not installed for {python}" if missing else f"{python} cannot start: {error}"
    try:
        number = json.loads(sys.stdin.readline(1 << 16))["id"]
    except (ValueError, KeyError, TypeError):
        number = 0
    sys.stdout.write(json.dumps({"v": 1, "kind": "error", "id": number, "body": {"message": reason}}) + "\n")
    return 3


if __name__ == "__main__":
    sys.exit(start(str(Path(__file__).absolute().parent)))
