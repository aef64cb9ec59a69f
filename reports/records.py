"""What was learned, as typed, immutable records; `run.json` is one `Run`, schema version 1.

None is "not measured". A name carries its unit where it has one. Nothing here renders or computes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

SCHEMA_VERSION = 1

# The words of the device's side; a test of the whole holds them equal to those of the agent's protocol.
STAGES = ("decode", "preprocess", "inference", "postprocess", "end_to_end")  # columns of frames/*.npy
PHASES = ("started", "runtime_imported", "model_loaded", "first_frame", "steady")  # of the memory pass


class Record(BaseModel):
    """Base of all records: immutable, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Outcome(StrEnum):
    """What became of a cell or a round."""

    OK = "ok"
    FAILED = "failed"
    CRASHED = "crashed"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out-of-memory"
    LOST = "lost"
    UNSUPPORTED = "unsupported"
    SKIPPED = "skipped"


class Trust(StrEnum):
    """How far a cell's times may be relied upon."""

    TRUSTED = "trusted"
    NOISY = "noisy"
    THROTTLED = "throttled"
    UNDER_SAMPLED = "under-sampled"
    UNWATCHED = "unwatched"
    EMULATED = "emulated"


class Judgement(StrEnum):
    """What became of a budget."""

    MET = "met"
    BROKEN = "broken"
    UNDECIDED = "undecided"
    NOT_MEASURED = "not-measured"


class Decision(StrEnum):
    """What a comparison with a baseline says."""

    REGRESSION = "regression"
    IMPROVEMENT = "improvement"
    SAME = "same"
    UNDECIDED = "undecided"


class Verdict(Record):
    """Trust in a cell's times: why, and one next step."""

    trust: Trust
    reason: str
    next_step: str = ""


class Key(Record):
    """The names of a cell; over nights these are its identity, digests and versions are attributes."""

    variant: str
    target: str
    runtime: str
    provider: str
    threads: int

    def __str__(self) -> str:
        threads = f"{self.threads} thread" + ("s" if self.threads != 1 else "")
        return f"{self.variant} on {self.target}, {self.runtime} {self.provider}, {threads}"


class Metric(Record):
    """One figure of a cell: a row of results.csv.

    scope is a stage, a memory phase, a face category, or "all"; the interval is 95 %.
    """

    metric: str
    scope: str
    unit: str
    value: float | None
    ci_low: float | None = None
    ci_high: float | None = None
    n: int
    lower_is_better: bool | None = None


class Vitals(Record):
    """The state of a device at one moment, parsed; None where it cannot be read."""

    when: Literal["before", "during", "after"]
    seconds: float
    clock_mhz: float | None = None  # mean over the cores
    governor: str | None = None
    temperature_c: float | None = None  # of the hottest zone
    throttled: bool | None = None
    load_1m: float | None = None
    swap_used_mb: float | None = None
    memory_available_mb: float | None = None
    power_w: float | None = None
    power_of: str | None = None  # what that is the power of, e.g. "the battery"
    energy_j: float | None = None  # a counter; only its increase means something
    energy_of: str | None = None
    battery_percent: float | None = None
    battery_c: float | None = None
    powered_by: str | None = None  # "USB", "AC", "battery"


class Round(Record):
    """One fresh process that measured the latency of a cell once; the raw times are in `frames`."""

    number: int
    visit: int = 0  # of the device: rounds of two visits, before and after a resume, are no pair
    outcome: Outcome
    reason: str = ""
    started: str  # UTC, ISO 8601
    seconds: float
    frames: str | None = None  # file under frames/, int64 ns [n, 5]
    warmup: int = 0  # rows of it that do not count
    frames_s: tuple[float, float] | None = None  # begin and end of those that do, on the clock of the vitals
    p50_ms: float | None = None  # end to end, of the rows that count; set when collected
    import_ms: float | None = None
    load_ms: float | None = None
    first_frame_ms: float | None = None
    waited_share: float | None = None  # of the frames' time that the process was ready and others had its processor
    stolen_share: float | None = None  # of it that a hypervisor gave to others
    tainted: str = ""  # why the round does not count, e.g. "throttled"
    vitals: tuple[Vitals, ...] = ()

    @property
    def place(self) -> tuple[int, int]:
        """What the other round of a pair shares: the visit of the device, and the number."""
        return self.visit, self.number


class Phase(Record):
    """Memory of the measuring process when a phase ended, in MiB."""

    phase: str
    vm_hwm_mb: float | None = None
    pss_mb: float | None = None


class Memory(Record):
    """The memory pass of a cell."""

    outcome: Outcome
    reason: str = ""
    phases: tuple[Phase, ...] = ()


class Counts(Record):
    """A confusion matrix, "fake" being positive."""

    tn: int
    fp: int
    fn: int
    tp: int


class Accuracy(Record):
    """The accuracy pass of a variant on a target by a runtime and provider; shared by the thread counts."""

    outcome: Outcome
    reason: str = ""
    scores: str | None = None  # file under scores/
    threshold: float = 0.5
    counts: Counts | None = None
    pixels_sha256: str = ""


class OperatorTime(Record):
    """One row of a per-operator profile."""

    type: str
    node: str
    ms_per_frame: float
    calls_per_frame: float


class PeerFigure(Record):
    """One figure of another tool, as it printed it."""

    figure: str
    value: float
    unit: str


class Peer(Record):
    """What another tool measured of a cell's model on the same device; never ours."""

    tool: str
    sha256: str
    command: str
    outcome: Outcome = Outcome.OK
    reason: str = ""
    figures: tuple[PeerFigure, ...] = ()

    def value(self, figure: str) -> float | None:
        """Return one figure, None where the tool did not print it."""
        return next((entry.value for entry in self.figures if entry.figure == figure), None)


class Sustained(Record):
    """A cell's frames one after the other for a long time; times are of the whole frame."""

    outcome: Outcome
    reason: str = ""
    seconds: float  # asked for
    frames: str | None = None  # file under sustained/, int64 ns [n, 2]
    count: int = 0  # of frames
    first_p50_ms: float | None = None
    last_p50_ms: float | None = None
    last_p95_ms: float | None = None
    throttled_after_s: float | None = None  # None: it did not
    hottest_c: float | None = None
    course: tuple[tuple[float, float], ...] = ()  # s, median ms; at most 240 of them
    vitals: tuple[Vitals, ...] = ()


class RealTime(Record):
    """A cell's frames as cameras send them; a frame that is late or dropped has missed its deadline."""

    outcome: Outcome
    reason: str = ""
    fps: float
    streams: int
    seconds: float
    frames: str | None = None  # file under realtime/, int64 ns [arrivals, 4]
    arrivals: int = 0
    missed: int = 0
    dropped: int = 0
    queue_delay_p50_ms: float | None = None
    queue_delay_p95_ms: float | None = None
    response_p50_ms: float | None = None
    response_p95_ms: float | None = None


class Fingerprint(Record):
    """All that must be equal before two cells' times may be compared."""

    device: str
    cpu: str | None
    cores: int
    os: str
    kernel: str
    libc: str
    python: str
    runtime_version: str
    runtime_build: str
    provider: str  # that really ran
    precision: str
    threads: str
    affinity: str
    decoder: str
    resizer: str
    numpy: str
    agent: str
    model_sha256: str
    faces_sha256: str
    pixels_sha256: str
    method: str  # e.g. "1/full": version of the method and its setting
    commit: str  # of the folder where the run was started, "" outside of git


class AuthorFigure(Record):
    """A figure that a variant's authors printed; never ours."""

    figure: str
    value: str
    data: str
    source: str = ""


class VariantFile(Record):
    """A file of a model, by content."""

    name: str
    sha256: str
    bytes: int


class Variant(Record):
    """What a report needs to know of a variant."""

    name: str
    file: str
    format: str
    sha256: str
    bytes: int
    files: tuple[VariantFile, ...] = ()  # all of them, the model file first; () in runs of older versions
    parent: str = ""
    techniques: tuple[str, ...] = ()
    packed_bytes: int | None = None  # of the weights in as few bits as each has: storage, not what ran
    parameters: int | None = None
    macs: int | None = None
    threshold: float = 0.5
    input: str = ""  # "160x160 RGB NCHW float32"
    training: str = ""  # one sentence
    baseline_of: str = ""  # the variant that it is the baseline of
    authors: tuple[AuthorFigure, ...] = ()


class Target(Record):
    """What a report needs to know of a target: the profile's name and the device's own words."""

    name: str
    profile: str
    transport: str
    emulated: bool = False
    counts_instructions: bool = False  # its clock goes on by 1 ns for each instruction
    device: str = ""  # board or cpu
    cpu: str | None = None
    cores: int | None = None
    memory_mb: float | None = None
    os: str = ""
    kernel: str = ""
    python: str = ""
    packages: dict[str, str] = Field(default_factory=dict)
    settings: dict[str, str] = Field(default_factory=dict)  # governor, affinity, "not set"
    outcome: Outcome = Outcome.OK
    reason: str = ""
    notes: tuple[str, ...] = ()  # what a reader must know of it, e.g. "a shell process, not an app"


class Faces(Record):
    """The face set of a run."""

    name: str
    sha256: str
    split: str
    images: int
    real: int
    fake: int
    categories: dict[str, int]
    synthetic: bool = False
    note: str = ""


class Cell(Record):
    """Variant x target x runtime x provider x threads, with all that was learned."""

    id: str  # safe as a file name
    key: Key
    outcome: Outcome
    reason: str = ""
    next_step: str = ""
    verdict: Verdict | None = None  # None where no time was measured
    metrics: tuple[Metric, ...] = ()
    fingerprint: Fingerprint | None = None
    rounds: tuple[Round, ...] = ()
    memory: Memory | None = None
    accuracy: Accuracy | None = None
    operators: tuple[OperatorTime, ...] = ()
    peers: tuple[Peer, ...] = ()
    sustained: Sustained | None = None
    realtime: RealTime | None = None
    role: Literal["candidate", "baseline"] = "candidate"
    cached_from: str = ""  # the run that measured it, where nothing had changed since

    def value(self, metric: str, scope: str) -> float | None:
        """Return one figure, None where it was not measured."""
        return next((m.value for m in self.metrics if m.metric == metric and m.scope == scope), None)

    def metric(self, metric: str, scope: str) -> Metric | None:
        """Return one figure with its interval, None where there is none."""
        return next((m for m in self.metrics if m.metric == metric and m.scope == scope), None)


class BudgetCheck(Record):
    """One budget, held against one cell: met or broken only where the whole interval says so."""

    cell: str  # Cell.id
    budget: str  # e.g. "p95_ms", a key of reports.budgets.BUDGETS
    unit: str
    limit: float
    at_most: bool  # else at least
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    verdict: Judgement
    reason: str = ""
    next_step: str = ""


class Gates(Record):
    """From which change on a figure is a regression; of times, auc and tails half of it must be seen, and be shown."""

    margin: Annotated[float, Field(gt=0, lt=1, description="of p50, relative")] = 0.02
    tail_margin: Annotated[float, Field(gt=0, lt=1, description="of p95, relative, where its noise allows")] = 0.10
    auc: Annotated[float, Field(gt=0, lt=1, description="drop of the AUC")] = 0.01
    instructions: Annotated[float, Field(ge=0, lt=1, description="more an inference, relative; emulated cells")] = 0.01
    flips: Annotated[float, Field(ge=0, le=1, description="share of faces decided otherwise; emulated cells")] = 0.02
    size: Annotated[float, Field(ge=0, description="more bytes, relative; emulated cells")] = 0.01


class Gate(Record):
    """One figure of a candidate against its baseline's.

    `value` is candidate / baseline for a ratio, candidate - baseline for a difference, a share for flips. `ci_low` and
    `ci_high` are the bounds that the decision was made on, each at 99.9 % over all looks. `decision` is None where the
    figure is told and not judged; then `reason` says why.
    """

    gate: Literal["p50", "p95", "auc", "flips", "instructions", "size"]
    kind: Literal["ratio", "difference", "share"]
    candidate: float | None = None
    baseline: float | None = None
    value: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    p: float | None = None  # one-sided, that it is no regression
    limit: float
    n: int = 0  # pairs of rounds, or faces
    decision: Decision | None = None
    reason: str = ""


class Confirmation(Record):
    """What the second session said of a flagged time."""

    gate: Literal["p50", "p95"]
    value: float | None = None
    p: float | None = None
    p_adjusted: float | None = None  # over all flagged times of the run (Benjamini-Hochberg)
    pairs: int = 0
    confirmed: bool


class Flips(Record):
    """Faces that candidate and baseline decide differently."""

    faces: int
    count: int
    worse: int  # right by the baseline, wrong by the candidate
    better: int
    p: float  # McNemar, exact, one-sided
    largest_difference: float  # of scores
    paths: tuple[str, ...] = ()  # the first of them


class Comparison(Record):
    """A candidate's cell against the same cell of the baseline, measured beside it.

    `confirmed` is None where nothing was flagged, or where no second session could be held. Only what is confirmed
    is red.
    """

    cell: str
    baseline: str  # the baseline's cell, "" where the files are the same
    decision: Decision
    confirmed: bool | None = None
    pairs: int = 0
    mdc: float | None = None  # smallest slow-down that would be found with 90 %, relative
    gates: tuple[Gate, ...] = ()
    confirmations: tuple[Confirmation, ...] = ()
    flips: Flips | None = None
    reason: str = ""
    next_step: str = ""

    @property
    def red(self) -> bool:
        """Whether it is a regression that may end a night in red."""
        return self.decision is Decision.REGRESSION and self.confirmed is True

    def gate(self, name: str) -> Gate | None:
        """Return one figure, None where it was not compared."""
        return next((gate for gate in self.gates if gate.gate == name), None)


class Baseline(Record):
    """What a run was compared with."""

    asked: str  # the word of the command line
    run: str = ""  # id, where it was a run
    commit: str = ""
    started: str = ""


class Place(Record):
    """Where scores come from: one accuracy pass, whatever thread counts share it."""

    variant: str
    target: str
    runtime: str
    provider: str

    def __str__(self) -> str:
        return f"{self.target}, {self.runtime} {self.provider}"


class Confounder(Record):
    """Something other than the place that could explain a difference of scores."""

    name: str  # a key of Fingerprint, or "runtime"
    reference: str
    here: str


class Flip(Record):
    """A face that one place calls fake and the other one real."""

    path: str
    label: str
    reference: float  # score
    here: float


class Agreement(Record):
    """How far the scores of one place stray from those of a reference, on the faces that both scored.

    kind "place" is the same file elsewhere, "parent" a variant beside the one that it was made of.
    """

    kind: Literal["place", "parent"]
    reference: Place
    here: Place
    faces: int  # that both scored
    reason: str = ""  # why nothing can be compared, "" where it can
    identical: bool = False  # every score bit by bit
    largest_difference: float | None = None
    largest_face: str = ""
    flips: int = 0
    flipped: tuple[Flip, ...] = ()  # the first ones, in the order of the faces
    auc_difference: float | None = (
        None  # here minus the parent, on the same faces; None between places, or of one class
    )
    auc_difference_low: float | None = None  # 95 %, None where the groups are too few to tell
    auc_difference_high: float | None = None
    confounders: tuple[Confounder, ...] = ()


class LeftOut(Record):
    """A cell that cannot be chosen, and why."""

    cell: str
    reason: str


class Choice(Record):
    """Which cell of a target to ship.

    verdict is "chosen", "undecided" where the figures do not tell some cells apart, or "none" where no cell may be
    shipped; `between` are the cells that it is undecided between, the best first.
    """

    target: str
    rank: str  # the figure that is ranked by, a key of reports.budgets.BUDGETS
    verdict: Literal["chosen", "undecided", "none"]
    cell: str = ""
    between: tuple[str, ...] = ()
    reason: str
    next_step: str = ""
    front: tuple[str, ...] = ()  # cells that no other beats in time, AUC, size and memory together
    left_out: tuple[LeftOut, ...] = ()


class Method(Record):
    """How a run measured."""

    version: int
    setting: Literal["default", "quick", "full", "emulated"]
    rounds_min: int
    round_frames: int
    round_s: float
    warmup_frames: int
    warmup_s: float
    half_width: float  # asked of p50's interval, relative
    budget_s: float  # a cell


class Acceptance(Record):
    """Somebody's word that a cell may be as it is until a day; then it is an alarm again."""

    key: Key
    metric: str = ""  # the figure, "" for all of them; "outcome" and "silent" are named only
    until: str  # the last day on which it holds, ISO 8601
    reason: str
    author: str
    accepted: str  # UTC, ISO 8601
    run: str = ""  # the latest night then


class Finding(Record):
    """One sentence that a night says, and what it does to the exit code: 1, 3, or 0 where it is to be read only."""

    kind: Literal["regression", "budget", "outcome", "lost", "silent", "accepted", "baseline"]
    exit_code: Literal[0, 1, 3]
    text: str
    cells: tuple[str, ...] = ()  # ids
    metric: str = ""

    @property
    def level(self) -> str:
        """How loud it is: red, alarm, not ok, or a note."""
        loud = {1: "red", 3: "alarm" if self.kind == "silent" else "not ok"}
        return loud.get(self.exit_code, "note")


class Night(Record):
    """What a night's run means, decided on the day of `judged` with what was accepted then."""

    job: str  # [runs.NAME], "" for none
    judged: str  # UTC, ISO 8601
    baseline: str = ""  # run that it was compared with, "" for none
    exit_code: int
    findings: tuple[Finding, ...] = ()
    accepted: tuple[Acceptance, ...] = ()  # those that held, and those that had just run out


class Run(Record):
    """One run: a matrix of cells, and where, when and how it was measured."""

    schema_version: Annotated[int, Field(ge=1)] = SCHEMA_VERSION
    id: str
    name: str
    tag: str = ""
    edgerig: str  # version
    command: str
    started: str
    finished: str | None = None  # None: interrupted or under way
    seconds: float = 0.0
    seed: int
    commit: str = ""
    method: Method
    faces: Faces
    variants: tuple[Variant, ...]
    targets: tuple[Target, ...]
    cells: tuple[Cell, ...]
    budgets: tuple[BudgetCheck, ...] = ()
    choices: tuple[Choice, ...] = ()
    baseline: Baseline | None = None
    gates: Gates = Gates()
    comparisons: tuple[Comparison, ...] = ()
    agreement: tuple[Agreement, ...] = ()
    warnings: tuple[str, ...] = ()
    headline: str = ""
    night: Night | None = None  # None where no night was judged

    @property
    def candidates(self) -> tuple[Cell, ...]:
        """The cells that were asked about; those of a baseline stand beside them for comparison only."""
        return tuple(cell for cell in self.cells if cell.role == "candidate")

    def cell(self, id: str) -> Cell:
        """Return a cell by id; raises KeyError."""
        return {cell.id: cell for cell in self.cells}[id]

    def variant(self, name: str) -> Variant:
        """Return a variant by name; raises KeyError."""
        return {variant.name: variant for variant in self.variants}[name]

    def target(self, name: str) -> Target:
        """Return a target by name; raises KeyError."""
        return {target.name: target for target in self.targets}[name]


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `run.json`."""
    return Run.model_json_schema()
