"""What controller and agent say to each other: one JSON object per line, stdout kept for nothing else.

    controller                          agent
    {"v":1,"kind":"hello","id":1}   ->
                                    <-  {"v":1,"kind":"identity","id":1,"body":{...Identity}}
    {"v":1,"kind":"have","id":2,"body":{"digests":[...]}}
                                    <-  {"v":1,"kind":"missing","id":2,"body":{"digests":[...]}}
    {"v":1,"kind":"room","id":8,"body":{"bytes":...,"limit_bytes":...}}    so much is about to come
                                    <-  {"v":1,"kind":"room","id":8,"body":{"freed_bytes":...}}   of what is old
    (the controller puts a file at incoming/<sha256> through the transport)
    {"v":1,"kind":"accept","id":3,"body":{"sha256":...}}
                                    <-  {"v":1,"kind":"accepted","id":3}      verified, moved to store/<sha256>
    {"v":1,"kind":"job","id":4,"body":{...Job}}
                                    <-  {"v":1,"kind":"progress","id":4,"body":{...Progress}}   any number
                                    <-  {"v":1,"kind":"result","id":4,"body":{...JobResult}}
    (the controller gets spool/<token>/<array> through the transport)
    {"v":1,"kind":"collect","id":5,"body":{"token":...}}    a result whose reply was lost: "result", or "unknown";
                                            waits while another agent, whose link broke, is at work on it
    {"v":1,"kind":"forget","id":6,"body":{"token":...}}     the result is safe with the controller: "forgotten"
    {"v":1,"kind":"look","id":9,"body":{"vitals":[...]}}    the device's vitals now: "seen", a VitalSample
    {"v":1,"kind":"bye","id":7}     ->  the agent ends; so it does at the end of its stdin

A request that cannot be served is answered {"kind":"error","body":{"message":...}}. Python 3.8 and newer.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from typing import Any

from edgerig.preprocess import InputSpec, OutputSpec

VERSION = 1
MAX_LINE = 4 << 20  # bytes; a result with a minute of vitals is 60 KB
MAX_TEXT = 4096  # bytes kept of a file or a command's output that is sent along, and of a reason

STAGES = ("decode", "preprocess", "inference", "postprocess", "end_to_end")  # columns of frames.npy
PHASES = ("started", "runtime_imported", "model_loaded", "first_frame", "steady")  # of the memory pass

# Outcomes that an agent can tell; "lost" and "skipped" are the controller's.
OUTCOMES = ("ok", "failed", "crashed", "timeout", "out-of-memory", "unsupported")

ARRAYS = (
    "frames.npy",
    "scores.npy",
    "outputs.npy",
    "sustained.npy",
    "realtime.npy",
)  # files that a job may leave in the spool

JOBS = ("inspect", "build", "check", "latency", "memory", "accuracy", "profile", "sustain", "realtime")


@dataclass(frozen=True)
class Message:
    """One line of the conversation."""

    kind: str
    id: int
    body: dict[str, Any] = field(default_factory=dict)
    v: int = VERSION


@dataclass(frozen=True)
class Identity:
    """What a device is, as its own agent reads it; None where it cannot be read."""

    agent_sha256: str
    python: str  # "3.11.2"
    python_executable: str
    machine: str  # "x86_64"
    system: str  # "Linux"
    kernel: str
    os: str  # PRETTY_NAME of os-release
    libc: str  # "glibc 2.36"
    hostname: str
    cpu: str | None  # model name
    cores: int  # that this process may use
    memory_mb: float | None  # MiB
    packages: dict[str, str] = field(default_factory=dict)  # name -> version of numpy, cv2 and the runtimes
    board: str | None = None  # device-tree model


@dataclass(frozen=True)
class Vital:
    """One raw reading that a profile asks for: a file to read or a command to run. Parsed by the controller."""

    name: str
    file: str | None = None  # may hold one "*", then every match is read
    command: list[str] | None = None
    during: bool = True  # also while frames are timed


@dataclass(frozen=True)
class VitalSample:
    """Raw readings of one moment."""

    when: str  # "before" | "during" | "after"
    seconds: float  # since the job began
    texts: dict[str, str]  # name, or name:path for files found by "*" -> content


@dataclass(frozen=True)
class StoredFile:
    """A file of the store and the name under which the job sees it."""

    name: str  # "model.onnx"; a plain file name
    sha256: str


@dataclass(frozen=True)
class Job:
    """One measurement, done by one fresh child process.

    Attributes:
        token: unique name of the job, letters, digits, "-" and "_": the spool folder.
        kind: one of JOBS. inspect: load, describe the tensors. build: have the provider compile the model, unless the
            engine is there. check: one frame. latency, memory, accuracy:
            the three passes. profile: per-operator times. sustain, realtime: the long passes, see endurance.py.
        model: the model's files, the main one first.
        runtime: module of harness.agent.runtimes.
        provider: execution provider or delegate, as the runtime names it.
        threads: intra-op threads.
        options: provider options; for onnxruntime, keys that begin with "session." go to the session.
        input: what to feed; None for inspect.
        output: how to read the answer; None for inspect.
        faces: sha256 of the pack in the store, None for inspect.
        images: member names of the pack in the order to feed; latency passes cycle through them.
        warmup_frames: fewest frames that are run and recorded but not counted; the first one never counts.
        warmup_s: least seconds of the same.
        min_frames: fewest frames that count.
        min_s: least seconds of them.
        deadline_s: the child is killed after it: outcome "timeout".
        affinity: processors to stay on, None: as found.
        memory_limit_mb: address space limit in MiB, None: none.
        command: what starts Python for the child, with the words of an emulator or a loader before it; "{root}" in a
            word is the device's folder. Empty: the Python that runs the agent.
        vitals: what to read before, during (1 Hz) and after.
        fps: frames that a camera sends in a second, for realtime.
        streams: cameras.
        engines: the provider compiles models; what it makes of this one is kept.
        allow_fallback: a provider, precision or thread count other than asked is no failure.
    """

    token: str
    kind: str
    model: list[StoredFile]
    runtime: str
    provider: str = "cpu"
    threads: int = 1
    options: dict[str, str] = field(default_factory=dict)
    input: InputSpec | None = None
    output: OutputSpec | None = None
    faces: str | None = None
    images: list[str] = field(default_factory=list)
    warmup_frames: int = 10
    warmup_s: float = 0.5
    min_frames: int = 64
    min_s: float = 1.0
    deadline_s: float = 120.0
    affinity: list[int] | None = None
    memory_limit_mb: int | None = None
    command: list[str] = field(default_factory=list)
    vitals: list[Vital] = field(default_factory=list)
    fps: float = 0.0
    streams: int = 1
    engines: bool = False
    allow_fallback: bool = False


@dataclass(frozen=True)
class Progress:
    """How far a job is; sent at most four times a second, never from inside the timed frames."""

    phase: str
    done: int
    total: int


@dataclass(frozen=True)
class Tensor:
    """An input or output of a model; a dimension that may vary is None."""

    name: str
    shape: list[int | None]
    dtype: str  # numpy's name
    scale: float | None = None  # quantized tensors
    zero_point: int = 0


@dataclass(frozen=True)
class ArrayFile:
    """A file in the job's spool folder, one of ARRAYS."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Operator:
    """One row of a per-operator profile."""

    type: str
    node: str
    ms_per_frame: float
    calls_per_frame: float


@dataclass(frozen=True)
class JobResult:
    r"""What came of a job; fields that its kind does not fill are empty.

    Attributes:
        frames.npy: int64 ns [frames, 5], columns STAGES, -1 where a stage did not run (decode of raw pixels);
            the first `warmup` rows are the warm-up.
        scores.npy: float64 [images]; outputs.npy: float32 [images, outputs], raw.
        facts: what really ran, asked of the runtime: runtime_version, runtime_build, provider, precision,
            threads, threads_asked, affinity, decoder, resizer, numpy; latency passes add pictures_held (in memory,
            to cycle through), clock_pair_ns (two readings of the clock, which each stage's time includes),
            waited_share and stolen_share (of the time of the frames: see scheduling.py).
        frames_s: of a latency pass, begin and end of the frames that count, on the clock of the vitals.
        times_ns: import, load, first_frame (end to end); of a build, engine (loading and one frame), 0 if it was there.
        memory_mb: phase -> {"vm_hwm": MiB, "pss": MiB}, missing where the kernel does not tell.
        pixels_sha256: of an accuracy pass, over "rows columns channels\n" and the bytes of each decoded picture.
        bad_images: member names that could not be decoded, at most 1,000.
        stderr: the end of what the child said there.
    """

    token: str
    kind: str
    outcome: str
    reason: str = ""
    warmup: int = 0
    frames_s: list[float] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    times_ns: dict[str, int] = field(default_factory=dict)
    memory_mb: dict[str, dict[str, float]] = field(default_factory=dict)
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    arrays: list[ArrayFile] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    vitals: list[VitalSample] = field(default_factory=list)
    pixels_sha256: str = ""
    bad_images: list[str] = field(default_factory=list)
    stderr: str = ""
    started: str = ""  # the device's UTC clock, ISO 8601
    seconds: float = 0.0


def encode(kind: str, id: int, body: object = None) -> bytes:
    """Return one line; `body` is a dataclass of this module, a dictionary, or nothing."""
    content = {} if body is None else body if isinstance(body, dict) else asdict(body)  # type: ignore[call-overload]
    line = json.dumps({"v": VERSION, "kind": kind, "id": id, "body": content}, separators=(",", ":"))
    return line.encode("utf-8") + b"\n"


def decode(line: bytes) -> Message:
    """Return the message of one line; raises ValueError with the reason where it is none."""
    if len(line) > MAX_LINE:
        raise ValueError(f"a line of more than {MAX_LINE} bytes")
    content = json.loads(line.decode("utf-8"), parse_constant=_finite, parse_float=_finite)
    if not isinstance(content, dict) or content.get("v") != VERSION:
        raise ValueError(f"not a message of version {VERSION}")
    kind, number, body = content.get("kind"), content.get("id"), content.get("body", {})
    if not isinstance(kind, str) or not isinstance(number, int) or not isinstance(body, dict):
        raise ValueError("a message without kind, id or body")
    return Message(kind, number, body)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text[:40]}")
    return value


def job_from(body: dict[str, Any]) -> Job:
    """Return the Job that `asdict` made `body` of; the controller is trusted, so types are not checked again."""
    fields = dict(body)
    fields["model"] = [StoredFile(**entry) for entry in body["model"]]
    fields["vitals"] = [Vital(**entry) for entry in body.get("vitals", [])]
    fields["input"] = _spec(InputSpec, body.get("input"))
    fields["output"] = _spec(OutputSpec, body.get("output"))
    return Job(**fields)


def _spec(kind: Any, body: dict[str, Any] | None) -> Any:
    if body is None:
        return None
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in body.items()})


__all__ = [
    "ArrayFile",
    "Identity",
    "InputSpec",
    "Job",
    "JobResult",
    "Message",
    "Operator",
    "OutputSpec",
    "Progress",
    "StoredFile",
    "Tensor",
    "Vital",
    "VitalSample",
    "decode",
    "encode",
    "job_from",
]
