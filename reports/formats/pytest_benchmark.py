"""`pytest-benchmark-TARGET.json`: the frame times of a real target as pytest-benchmark stores its own.

    pytest-benchmark compare --name=short pytest-benchmark-pi4.json

A "round" of theirs is a frame of ours: all counted frames, pooled, in seconds. Emulated targets have no file.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports import worse
from reports.patterns import path
from reports.records import STAGES, Cell, Run, Target
from reports.trust import counted

VERSION = "4.0.0"  # of pytest-benchmark, whose form this is; later ones read it


def files(run: Run, folder: Path | None) -> dict[str, str]:
    """Return a file a real target that has frame times; none where there is no folder to read them from."""
    made = {target.name: _storage(run, target, folder) for target in run.targets if folder and not target.emulated}
    return {
        f"pytest-benchmark-{name}.json": json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        for name, content in made.items()
        if content["benchmarks"]
    }


def _storage(run: Run, target: Target, folder: Path | None) -> dict[str, Any]:
    return {
        "machine_info": {
            "node": target.name,
            "processor": target.cpu or "",
            "machine": target.device,
            "python_version": target.python,
            "system": target.os,
            "release": target.kernel,
            "cpu": {"brand_raw": target.cpu or "", "count": target.cores},
        },
        "commit_info": {"id": run.commit.rstrip("+"), "dirty": run.commit.endswith("+"), "time": run.started},
        "benchmarks": list(_benchmarks(run, target, folder)) if folder else [],
        "datetime": run.started,
        "version": VERSION,
    }


def _benchmarks(run: Run, target: Target, folder: Path) -> Iterator[dict[str, Any]]:
    for cell in worse.candidates(run):
        seconds = _seconds(cell, folder) if cell.key.target == target.name else np.empty(0)
        if seconds.size:
            yield {
                "group": target.name,
                "name": path(cell.key),
                "fullname": path(cell.key),
                "params": None,
                "param": None,
                "extra_info": _extra(cell),
                "options": {},
                "stats": _stats(seconds),
            }


def _extra(cell: Cell) -> dict[str, Any]:
    told = {metric.metric: metric.value for metric in cell.metrics if metric.scope in ("end_to_end", "all")}
    verdict = cell.verdict
    return {"cell": cell.id, "trust": str(verdict.trust) if verdict else "", **told}


def _seconds(cell: Cell, folder: Path) -> NDArray[np.float64]:
    """Return the end-to-end times of the counted frames in seconds [n], empty where there are none."""
    entries = [(folder / "frames" / Path(entry.frames).name, entry) for entry in counted(cell.rounds) if entry.frames]
    column = STAGES.index("end_to_end")
    parts = [np.load(file, allow_pickle=False)[entry.warmup :, column] for file, entry in entries if file.is_file()]
    return np.concatenate(parts) / 1e9 if parts else np.empty(0)


def _stats(seconds: NDArray[np.float64]) -> dict[str, Any]:
    """Return the figures of pytest-benchmark's Stats; quartiles are linear between order statistics."""
    q1, median, q3 = (float(value) for value in np.quantile(seconds, (0.25, 0.5, 0.75)))
    mean, stddev = float(seconds.mean()), float(seconds.std(ddof=1)) if len(seconds) > 1 else 0.0
    low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    inside = seconds[(seconds >= low) & (seconds <= high)]
    far = int(np.count_nonzero(np.abs(seconds - mean) > stddev))
    outside = len(seconds) - len(inside)
    return {
        "min": float(seconds.min()),
        "max": float(seconds.max()),
        "mean": mean,
        "stddev": stddev,
        "rounds": len(seconds),
        "median": median,
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": outside,
        "stddev_outliers": far,
        "outliers": f"{far};{outside}",
        "ld15iqr": float(inside.min()),
        "hd15iqr": float(inside.max()),
        "ops": len(seconds) / float(seconds.sum()),
        "total": float(seconds.sum()),
        "iterations": 1,
    }
