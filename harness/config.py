"""`edgerig.toml`: found like pyproject.toml, in this folder or the nearest one above."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from edgerig import toml
from edgerig.errors import ConfigError
from harness.planning import limits
from reports.records import Gates
from targets import profile
from targets.profile import Target

NAME = "edgerig.toml"

Setting = Literal["default", "quick", "full"]
Positive = Annotated[int, Field(ge=1)]
Named = Annotated[str, Field(min_length=1)]  # an empty word would be taken for none, and the default for what was meant


class Table(BaseModel):
    """Base of the configuration's tables: immutable, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RunTable(Table):
    """[runs.NAME]: what `edgerig run NAME` measures; an option of the command line outranks its key here."""

    variants: tuple[str, ...] = Field((), description="names of shipped variants, manifests, models or folders")
    faces: Named | None = Field(None, description="folder or pack; the shipped drawn faces by default")
    targets: tuple[str, ...] = Field((profile.DEFAULT,), min_length=1, description="names or tags of targets")
    runtimes: tuple[str, ...] = Field(
        (), description="with ==VERSION or without; that of a variant's format by default"
    )
    providers: tuple[str, ...] = Field((), description="with ?OPTION=VALUE or without; cpu by default")
    threads: tuple[Positive, ...] = Field((1,), min_length=1)
    setting: Setting = "default"
    sample: Positive | None = Field(None, description="faces for accuracy, stratified; all by default")
    seed: Annotated[int, Field(ge=0)] = 0
    budget_s: Annotated[float, Field(gt=0)] = Field(
        60.0, description="seconds of a cell's rounds after which it gets no more than the fewest"
    )
    rounds: Annotated[int, Field(ge=2)] | None = Field(
        None, description="fewest of a cell, where more than the setting's"
    )
    half_width: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.01, description="asked of p50's 95 % interval, a share of p50: rounds go on while it is wider"
    )
    sustain_s: Annotated[float, Field(ge=0)] = Field(0.0, description="seconds without a pause, after the rounds")
    fps: Annotated[float, Field(ge=0)] = Field(0.0, description="frames a second that a camera sends, after the rounds")
    streams: Positive = Field(1, description="cameras")
    race: bool = Field(False, description="no more rounds for a variant that is beaten in everything, or over budget")
    finish_by: str = Field("", description="06:30, 2h or a date and time; what waits for the longest time comes first")
    refit_threshold: bool = Field(False, description="fit each variant's threshold on validation faces, in addition")
    operators: bool = Field(False, description="add a per-operator profile to each cell")
    baseline: Named | None = Field(None, description='a run, a folder of variants, or "promoted": measured beside it')
    measure_unchanged: bool = Field(False, description="also where the baseline's files are the candidate's own")
    fresh: bool = Field(False, description="measure emulated cells again of which nothing has changed")
    budgets: dict[str, Any] = Field(default_factory=dict, description="on top of [budgets]")
    tag: str = ""
    missing_ok: Annotated[int, Field(ge=0)] | tuple[str, ...] = Field(
        0, description="how many targets may be missing of a night, or which"
    )
    silent_nights: Positive = Field(3, description="nights without a report after which a cell is an alarm")


class Store(Table):
    """[store]: where runs and their history are kept, and for how long."""

    folder: str = "runs"
    history: str | None = Field(None, description="URL of a database; a file beside the folder of runs by default")
    keep_runs: Positive | None = Field(None, description="newest runs that are kept; all by default")
    keep_days: Positive | None = Field(None, le=36_500, description="days for which a run is kept; for ever by default")


class Config(Table):
    """All of edgerig.toml."""

    targets: dict[str, dict[str, Any]] = Field(default_factory=dict, description="see the profile's schema")
    runs: dict[str, RunTable] = Field(default_factory=dict)
    budgets: dict[str, Any] = Field(default_factory=dict)
    store: Store = Store()
    gates: Gates = Gates()


class Workspace:
    """The configuration and the folder that its paths are relative to.

    Args:
        config: what the file says; defaults where there is none.
        path: the file, None where there is none.
    """

    def __init__(self, config: Config, path: Path | None) -> None:
        self.config = config
        self.path = path
        self.folder = path.parent if path else Path()

    def target(self, name: str) -> Target:
        """Return a target by name; raises ConfigError."""
        target = profile.resolve(name, self.config.targets, str(self.path or NAME), self._tags())
        settings, here = target.settings, self.folder.absolute()
        paths: dict[str, object] = {"wheels": tuple(str(here / pattern) for pattern in settings.wheels)}
        if settings.native is not None:
            paths["native"] = here / settings.native
        return target.model_copy(update={"settings": settings.model_copy(update=paths)})

    def targets(self, words: Iterable[str]) -> list[Target]:
        """Return the targets that words mean, each once: a name, or a tag, which stands for all that have it."""
        return [self.target(name) for name in self._named(words)]

    def _named(self, words: Iterable[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(name for word in words for name in self._meant(word)))

    def _meant(self, word: str) -> Sequence[str]:
        """Return the names that a word stands for: a name outranks a tag, and what is neither stays as it is."""
        tagged = [name for name in self.config.targets if word in self.target(name).settings.tags]
        return tagged if tagged and word not in self.target_names() else [word]

    def _tags(self) -> list[str]:
        """Return the tags as they are written, of which one may be nearest to a name that is none."""
        written = [table.get("tags", ()) for table in self.config.targets.values()]
        return [str(tag) for tags in written if isinstance(tags, list) for tag in tags]

    def target_names(self) -> list[str]:
        """Return all targets that a run can name, the configured ones first."""
        return list(dict.fromkeys([*self.config.targets, *profile.standalone()]))

    def run_table(self, name: str | None) -> RunTable:
        """Return [runs.NAME] with its paths resolved; the defaults for None; raises ConfigError."""
        if name is None:
            return RunTable()
        if name not in self.config.runs:
            known = list(self.config.runs)
            hint = toml.nearest(name, known) or f"{self.path or NAME} has {', '.join(known) or 'no runs'}."
            raise ConfigError(f"there is no run '{name}'.", hint)
        table = self.config.runs[name]
        return table.model_copy(
            update={
                "variants": tuple(self._resolved(word) for word in table.variants),
                "faces": str(self.folder / table.faces) if table.faces else None,
                "baseline": self._resolved(table.baseline) if table.baseline else None,
                "missing_ok": self._may_be_missing(name),
            }
        )

    def _may_be_missing(self, name: str) -> int | tuple[str, ...]:
        """Return missing_ok of [runs.NAME] by names; raises ConfigError where one is no target of that run.

        It says so of the file alone: an option of the command line may choose fewer targets.
        """
        table = self.config.runs[name]
        if isinstance(table.missing_ok, int):
            return table.missing_ok
        there, names = self._named(table.targets), self._named(table.missing_ok)
        if unknown := [entry for entry in names if entry not in there]:
            sentence = f"missing_ok names '{unknown[0]}', which is not among the targets of the run."
            raise ConfigError(f"{self.path or NAME}: runs.{name}: {sentence}")
        return names

    def _resolved(self, word: str) -> str:
        beside = self.folder / word
        return str(beside) if beside.exists() else word

    def limits(self, table: RunTable, targets: Iterable[str]) -> dict[str, dict[str, float]]:
        """Return the budgets of a run by target; raises ConfigError where one is unknown."""
        limits.check(table.budgets, self.target_names(), "budgets")
        return {name: limits.on(name, (self.config.budgets, table.budgets)) for name in targets}

    @property
    def runs_folder(self) -> Path:
        """Where runs are kept."""
        return self.folder / self.config.store.folder


def find(start: Path) -> Path | None:
    """Return the nearest edgerig.toml in `start` or above it, None where there is none."""
    return next((path for folder in (start, *start.parents) if (path := folder / NAME).is_file()), None)


def load(path: Path | None) -> Workspace:
    """Return the workspace of a configuration file, or of the nearest one for None.

    Raises:
        ConfigError: the file is missing, no TOML, or has an unknown or wrong key.
    """
    found = path or find(Path.cwd())
    if found is None:
        return Workspace(Config(), None)
    workspace = Workspace(toml.validated(Config, toml.load(found), str(found)), found)
    for name in workspace.config.targets:
        workspace.target(name)  # a typo is told now, not when the target is first used
    limits.check(workspace.config.budgets, workspace.target_names(), f"{found}: budgets")
    for name, run in workspace.config.runs.items():
        limits.check(run.budgets, workspace.target_names(), f"{found}: runs.{name}.budgets")
        workspace.run_table(name)
    return workspace


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of edgerig.toml, targets included."""
    schema = Config.model_json_schema()
    target = profile.Profile.model_json_schema(ref_template="#/$defs/{model}")
    schema.setdefault("$defs", {}).update(target.pop("$defs", {}))
    target["properties"]["extends"] = {
        "type": "string",
        "enum": profile.shipped(),
        "default": profile.DEFAULT,
        "description": "the profile that this table is put on top of",
    }
    schema["properties"]["targets"]["additionalProperties"] = target
    schema["properties"]["budgets"] |= limits.json_schema()
    schema["$defs"]["RunTable"]["properties"]["budgets"] |= limits.json_schema()
    names = profile.Target.model_json_schema()["properties"]["name"]
    schema["properties"]["targets"]["propertyNames"] = {key: names[key] for key in ("pattern", "maxLength")}
    return schema
