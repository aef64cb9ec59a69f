"""A run as a real one would be, made of drawn numbers: real, emulated, failed, unsupported and quick cells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgerig import digest
from reports.collate import Measured, Scores, accuracy, cell_id, collate
from reports.records import (
    PHASES,
    AuthorFigure,
    Cell,
    Faces,
    Fingerprint,
    Key,
    Memory,
    Method,
    OperatorTime,
    Outcome,
    Phase,
    Round,
    Run,
    Target,
    Variant,
    Vitals,
)

Nanoseconds = NDArray[np.int64]

HOSTILE = "<script>alert(1)</script>\"'/&$x_1$=cmd"

METHOD = Method(
    version=1,
    setting="default",
    rounds_min=5,
    round_frames=64,
    round_s=1.0,
    warmup_frames=10,
    warmup_s=0.5,
    half_width=0.01,
    budget_s=60.0,
)
QUICK = METHOD.model_copy(update={"setting": "quick", "rounds_min": 2, "round_frames": 16, "round_s": 0.25})

CATEGORIES = {"real": 200, "faceswap": 70, "diffusion": 70, "reenactment": 60}


def times(
    ms: float, n: int = 150, spread: float = 0.04, seed: int = 0, *, decode: bool = True, warmup: int = 10
) -> Nanoseconds:
    """Return frame times, int64 ns [warmup + n, 5], around `ms` end to end, with a tail to the right."""
    draw = np.random.default_rng(seed)
    shares = np.array([0.22 if decode else 0.0, 0.13, 0.62, 0.01])
    stages = (
        ms * 1e6 * shares * np.exp(draw.normal(0, spread, (warmup + n, 4)) + draw.exponential(spread, (warmup + n, 1)))
    )
    stages[:warmup] *= 3  # cold: must not count
    end_to_end = stages.sum(axis=1) * 1.01
    frames = np.column_stack([stages, end_to_end]).astype(np.int64)
    if not decode:
        frames[:, 0] = -1
    return frames


def vitals(*, throttled: bool | None = False, watched: bool = True) -> tuple[Vitals, ...]:
    """Return readings before, during and after a round."""
    clock, heat = (1800.0, 52.5) if watched else (None, None)
    flag = throttled if watched else None
    return tuple(
        Vitals(when=when, seconds=second, clock_mhz=clock, temperature_c=heat, throttled=flag)
        for when, second in (("before", 0.0), ("during", 1.0), ("after", 2.0))
    )


def a_round(number: int, **changes: object) -> Round:
    """Return a round that went well, with some of its fields changed."""
    fields: dict[str, object] = {
        "number": number,
        "outcome": Outcome.OK,
        "started": f"2026-01-01T00:{number:02d}:00Z",
        "seconds": 3.2,
        "frames": None,
        "warmup": 10,
        "import_ms": 80.0 + number,
        "load_ms": 21.0 + number % 3,
        "first_frame_ms": 6.0 + 0.1 * number,
        "vitals": vitals(),
    }
    return Round.model_validate(fields | changes)


@dataclass(frozen=True)
class FaceSet:
    """Labels of a drawn face set, real ones first; ten faces a person."""

    labels: list[int]
    categories: list[str]
    groups: list[str]


def faces() -> FaceSet:
    """Return 400 faces of 40 persons in four categories."""
    categories = [name for name, count in CATEGORIES.items() for _ in range(count)]
    labels = [int(name != "real") for name in categories]
    return FaceSet(labels, categories, [f"person-{at % 40}" for at in range(len(labels))])


def scores(skill: float, seed: int = 0) -> Scores:
    """Return scores of a detector: `skill` is how many standard deviations fakes lie above real faces."""
    drawn = faces()
    draw = np.random.default_rng(seed)
    logits = np.asarray(drawn.labels) * skill - skill / 2 + draw.normal(0, 1, len(drawn.labels))
    hard = np.asarray([name == "diffusion" for name in drawn.categories])
    values = 1 / (1 + np.exp(-(logits - 0.8 * hard)))
    return Scores(drawn.labels, drawn.categories, values, drawn.groups, 0.5, f"scores/{seed}.csv", "ab" * 32)


def memory(peak: float) -> Memory:
    """Return a memory pass that ends at `peak` MiB."""
    shares = (0.31, 0.62, 0.9, 1.0, 0.97)
    phases = (
        Phase(phase=phase, vm_hwm_mb=peak * share, pss_mb=None if phase == "started" else 0.8 * peak * share)
        for phase, share in zip(PHASES, shares, strict=True)
    )
    return Memory(outcome=Outcome.OK, phases=tuple(phases))


def fingerprint(variant: str, target: str, threads: int, **changes: str) -> Fingerprint:
    """Return what must be equal before times are compared."""
    fields: dict[str, object] = {
        "device": target,
        "cpu": "Cortex-A72" if target != "x86" else "Intel Xeon",
        "cores": 4,
        "os": "Debian GNU/Linux 12",
        "kernel": "6.1.0",
        "libc": "glibc 2.36",
        "python": "3.11.2",
        "runtime_version": "1.23.0",
        "runtime_build": "abc",
        "provider": "cpu",
        "precision": "int8" if "int8" in variant else "fp32",
        "threads": str(threads),
        "affinity": "0-3",
        "decoder": "opencv 4.11",
        "resizer": "opencv 4.11",
        "numpy": "2.2.0",
        "agent": "00" * 32,
        "model_sha256": digest.of_bytes(variant.encode()),
        "faces_sha256": "cd" * 32,
        "pixels_sha256": "ab" * 32,
        "method": "1/default",
        "commit": "0123456789abcdef",
    }
    return Fingerprint.model_validate(fields | changes)


# name, parent, techniques, bytes, ms on x86 with one thread, peak MiB, skill
_VARIANTS: tuple[tuple[str, str, tuple[str, ...], int, float, float, float], ...] = (
    ("mobilenetv3-small-fp32", "", (), 6_100_000, 1.52, 96.0, 3.2),
    ("mobilenetv3-small-int8", "mobilenetv3-small-fp32", ("ptq int8",), 1_720_000, 1.09, 88.0, 3.1),
    ("mobilenetv3-small-pruned-40", "mobilenetv3-small-fp32", ("pruned 40 %", "distilled"), 3_900_000, 1.2, 91.0, 2.7),
    ("mobilenetv4-conv-small-fp32", "", (), 10_040_000, 3.05, 121.0, 3.6),
    ("mobilenetv4-conv-small-int8", "mobilenetv4-conv-small-fp32", ("ptq int8",), 2_750_000, 2.2, 104.0, 3.5),
    ("efficientnet-lite0-fp32", "", (), 13_740_000, 7.3, 143.0, 3.4),
    (HOSTILE, "efficientnet-lite0-fp32", ("<b>bold</b>",), 8_070_000, 4.4, 127.0, 2.9),
)


def variants() -> tuple[Variant, ...]:
    """Return the drawn zoo; one variant has a hostile name."""
    return tuple(
        Variant(
            name=name,
            file=f"model-{at}.onnx",
            format="onnx",
            sha256=f"{at:02d}" * 32,
            bytes=size,
            parent=parent,
            techniques=techniques,
            parameters=size // 4,
            macs=56_000_000 + at,
            input="160x160 RGB NCHW float32",
            training="Trained on drawn faces for 3 epochs.",
            authors=(AuthorFigure(figure="AUC", value="0.52", data="their own set", source="paper S0"),)
            if not at
            else (),
        )
        for at, (name, parent, techniques, size, *_) in enumerate(_VARIANTS)
    )


TARGETS = (
    Target(
        name="x86",
        profile="x86",
        transport="local",
        device="Intel Xeon",
        cpu="Intel Xeon",
        cores=4,
        memory_mb=8000.0,
        os="Debian GNU/Linux 12",
        kernel="6.1.0",
        python="3.11.2",
        packages={"onnxruntime": "1.23.0", "numpy": "2.2.0"},
        settings={"governor": "not set", "affinity": "0-3"},
    ),
    Target(name="pi4", profile="raspberry-pi", transport="ssh", device="Raspberry Pi 4 Model B", cpu="Cortex-A72"),
    Target(name="arm64", profile="emulated-arm64", transport="local", emulated=True, device="qemu cortex-a72"),
)


def measured(
    key: Key, ms: float, peak: float, skill: float, *, rounds: int = 5, frames: int = 150, watched: bool = True
) -> Measured:
    """Return what a good cell gives: medians of rounds differ by .4 %."""
    arrays = {number: times(ms * (1 + 0.004 * ((number * 7) % 5 - 2)), frames, seed=number) for number in range(rounds)}
    seen = vitals(watched=watched)
    entries = [a_round(number, frames=f"{cell_id(key)}-{number}.npy", vitals=seen) for number in arrays]
    passed, found = accuracy(scores(skill, seed=int(skill * 10)))
    operators = (
        OperatorTime(type="Conv", node="/features/0/Conv", ms_per_frame=0.2 * ms, calls_per_frame=1),
        OperatorTime(type="Conv", node="/features/1/Conv", ms_per_frame=0.3 * ms, calls_per_frame=1),
        OperatorTime(type="HardSwish", node="/features/1/act", ms_per_frame=0.05 * ms, calls_per_frame=1),
    )
    return Measured(
        rounds=entries,
        frames=arrays,
        memory=memory(peak),
        accuracy=passed,
        accuracy_metrics=found,
        fingerprint=fingerprint(key.variant, key.target, key.threads),
        operators=operators if key.threads == 1 else (),
    )


class Arrays:
    """Frame times by file name, as a run's folder would hold them."""

    def __init__(self) -> None:
        self.by_name: dict[str, Nanoseconds] = {}

    def keep(self, raw: Measured) -> Measured:
        """Remember the arrays of a cell and return it."""
        for entry in raw.rounds:
            if entry.frames and entry.number in raw.frames:
                self.by_name[entry.frames] = raw.frames[entry.number]
        return raw

    def __call__(self, name: str) -> Nanoseconds | None:
        return self.by_name.get(name)

    def save(self, folder: Path) -> None:
        """Write frames/*.npy into a run's folder."""
        (folder / "frames").mkdir(parents=True, exist_ok=True)
        for name, array in self.by_name.items():
            np.save(folder / "frames" / name, array)


def _cells(arrays: Arrays) -> Iterator[Cell]:
    for name, _, _, _, ms, peak, skill in _VARIANTS:
        for threads, gain in ((1, 1.0), (4, 2.6)):
            key = Key(variant=name, target="x86", runtime="onnxruntime", provider="cpu", threads=threads)
            raw = arrays.keep(measured(key, ms / gain, peak, skill))
            yield collate(key, raw, METHOD, emulated=False)
    for name, _, _, _, ms, peak, skill in _VARIANTS[:4]:
        key = Key(variant=name, target="pi4", runtime="onnxruntime", provider="cpu", threads=4)
        raw = arrays.keep(measured(key, 9 * ms, peak, skill, frames=64, watched=name != _VARIANTS[3][0]))
        if name == _VARIANTS[1][0]:
            hot = [entry.model_copy(update={"vitals": vitals(throttled=True)}) for entry in raw.rounds]
            raw = replace(raw, rounds=hot)
        yield collate(key, raw, METHOD, emulated=False)
    yield from _bad_cells(arrays)


def _bad_cells(arrays: Arrays) -> Iterator[Cell]:
    """Yield a crashed, a NaN, an unsupported and two emulated cells."""
    name = _VARIANTS[5][0]
    key = Key(variant=name, target="pi4", runtime="onnxruntime", provider="cpu", threads=4)
    crashed = [a_round(0, outcome=Outcome.CRASHED, reason="SIGILL at the first frame, <img src=x>")]
    yield collate(key, Measured(rounds=crashed), METHOD, emulated=False)

    key = key.model_copy(update={"variant": HOSTILE})
    nan = np.asarray(scores(2.9).scores).copy()
    nan[:12] = np.nan
    passed, found = accuracy(replace(scores(2.9), scores=nan))
    raw = arrays.keep(replace(measured(key, 41.0, 130.0, 2.9), accuracy=passed, accuracy_metrics=found))
    yield collate(key, raw, METHOD, emulated=False, next_step="compare the outputs of each layer")

    key = Key(variant=_VARIANTS[1][0], target="pi4", runtime="tflite", provider="xnnpack", threads=4)
    reason, step = "tflite reads no .onnx", "convert it"
    yield collate(key, Measured(), METHOD, emulated=False, outcome=Outcome.UNSUPPORTED, reason=reason, next_step=step)
    for name, _, _, _, ms, peak, skill in _VARIANTS[:2]:
        key = Key(variant=name, target="arm64", runtime="onnxruntime", provider="cpu", threads=1)
        raw = measured(key, 123_456 * ms, peak, skill, rounds=1, frames=8, watched=False)
        yield collate(key, arrays.keep(replace(raw, memory=None)), METHOD, emulated=True)


def a_run(**changes: object) -> tuple[Run, Arrays]:
    """Return the run, some of its fields changed, and its frame times by file name."""
    arrays = Arrays()
    run = Run(
        id="20260101-000000-abcd",
        name="nightly",
        tag="<i>tag</i>",
        edgerig="0.1.0",
        command="edgerig run nightly",
        started="2026-01-01T00:00:00Z",
        finished="2026-01-01T00:21:40Z",
        seconds=1300.0,
        seed=7,
        commit="0123456789abcdef",
        method=METHOD,
        faces=Faces(
            name="drawn",
            sha256="cd" * 32,
            split="test",
            images=400,
            real=200,
            fake=200,
            categories=CATEGORIES,
            synthetic=True,
            note="Drawn by a program, not photographs.",
        ),
        variants=variants(),
        targets=TARGETS,
        cells=tuple(_cells(arrays)),
        warnings=("pi4: the governor is 'ondemand' and could not be set",),
    )
    return run.model_copy(update=changes), arrays
