"""`run.json`: the run itself, of which all else can be made; its schema: `reports.records.json_schema`."""

from __future__ import annotations

from pathlib import Path

from reports.records import Run


def files(run: Run, _folder: Path | None) -> dict[str, str]:
    """Return the run as JSON, keys in the order of the records."""
    return {"run.json": run.model_dump_json(indent=1) + "\n"}
