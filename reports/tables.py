"""A run as rows: the tidy table of figures and the table of cells, for CSV files and data frames alike."""

from __future__ import annotations

from collections.abc import Iterator

from reports.records import Cell, Metric, Run, Variant
from reports.trust import counted

KEY_COLUMNS = ("run", "target", "variant", "runtime", "provider", "threads")

RESULT_COLUMNS = (
    *KEY_COLUMNS,
    *("metric", "scope", "unit", "value", "ci_low", "ci_high", "n", "lower_is_better", "outcome", "trust", "emulated"),
)

BUDGET_COLUMNS = (
    *KEY_COLUMNS,
    *("cell", "budget", "unit", "limit", "at_most", "value", "ci_low", "ci_high", "verdict", "reason", "next_step"),
)

# Column of cells.csv -> metric and scope; those in WITH_ENDS have _low and _high beside them.
FIGURES = {
    "p50_ms": ("latency_p50", "end_to_end"),
    "p90_ms": ("latency_p90", "end_to_end"),
    "p95_ms": ("latency_p95", "end_to_end"),
    "p99_ms": ("latency_p99", "end_to_end"),
    "min_detectable_change": ("min_detectable_change", "end_to_end"),
    "inference_p50_ms": ("latency_p50", "inference"),
    "fps": ("fps", "end_to_end"),
    "load_ms": ("load_ms", "all"),
    "first_frame_ms": ("first_frame_ms", "all"),
    "cold_start_ms": ("cold_start_p50", "all"),
    "cold_start_min_ms": ("cold_start_min", "all"),
    "cold_start_max_ms": ("cold_start_max", "all"),
    "engine_build_ms": ("engine_build_ms", "all"),
    "instructions": ("instructions", "end_to_end"),
    "inference_instructions": ("instructions", "inference"),
    "energy_j": ("energy_j", "all"),
    "power_w": ("power_w", "all"),
    "vm_hwm_mb": ("vm_hwm_mb", "all"),
    "pss_mb": ("pss_mb", "all"),
    "accuracy": ("accuracy", "all"),
    "precision": ("precision", "all"),
    "recall": ("recall", "all"),
    "f1": ("f1", "all"),
    "auc": ("auc", "all"),
    "eer": ("eer", "all"),
    "refitted_threshold": ("threshold", "refitted"),
    "refitted_accuracy": ("accuracy", "refitted"),
    "refitted_precision": ("precision", "refitted"),
    "refitted_recall": ("recall", "refitted"),
    "refitted_f1": ("f1", "refitted"),
}
WITH_ENDS = ("p50_ms", "p95_ms", "accuracy", "auc")

CELL_COLUMNS = (
    *KEY_COLUMNS,
    *("cell", "outcome", "reason", "next_step", "trust", "trust_reason", "emulated"),
    *("rounds", "rounds_counted", "rounds_s", "frames"),
    *(
        column
        for name in FIGURES
        for column in ((name, f"{name}_low", f"{name}_high") if name in WITH_ENDS else (name,))
    ),
    *("bytes", "packed_bytes", "parameters", "macs", "parent", "techniques", "sha256"),
)

AGREEMENT_COLUMNS = (
    *("run", "kind", "variant", "target", "runtime", "provider"),
    *("reference_variant", "reference_target", "reference_runtime", "reference_provider"),
    *("faces", "identical", "largest_difference", "largest_face", "flips", "flipped"),
    *("auc_difference", "auc_difference_low", "auc_difference_high", "differs_in", "reason"),
)


def budget_rows(run: Run) -> Iterator[dict[str, object]]:
    """Yield a row a budget and cell, keys BUDGET_COLUMNS."""
    keys = {cell.id: cell for cell in run.cells}
    for check in run.budgets:
        yield {**_key(run, keys[check.cell]), **check.model_dump(), "verdict": str(check.verdict)}


def result_rows(run: Run) -> Iterator[dict[str, object]]:
    """Yield a row a figure, keys RESULT_COLUMNS.

    A cell that is not ok has one more row, metric "outcome" without a value, so as not to be missing.
    """
    for cell in run.cells:
        if cell.outcome != "ok":
            yield _result(run, cell, Metric(metric="outcome", scope="all", unit="", value=None, n=0))
        for metric in cell.metrics:
            yield _result(run, cell, metric)


def cell_rows(run: Run) -> Iterator[dict[str, object]]:
    """Yield a row a cell, keys CELL_COLUMNS; None where nothing was measured."""
    emulated = {target.name: target.emulated for target in run.targets}
    variants = {variant.name: variant for variant in run.variants}
    for cell in run.cells:
        used = counted(cell.rounds)
        end_to_end = cell.metric("latency_p50", "end_to_end")
        yield {
            **_key(run, cell),
            "cell": cell.id,
            "outcome": str(cell.outcome),
            "reason": cell.reason,
            "next_step": cell.next_step or (cell.verdict.next_step if cell.verdict else ""),
            "trust": _trust(cell),
            "trust_reason": cell.verdict.reason if cell.verdict else None,
            "emulated": emulated.get(cell.key.target),
            "rounds": len(cell.rounds),
            "rounds_counted": len(used),
            "rounds_s": sum(entry.seconds for entry in cell.rounds),
            "frames": end_to_end.n if end_to_end else 0,
            **_figures(cell),
            **_variant(variants.get(cell.key.variant)),
        }


def agreement_rows(run: Run) -> Iterator[dict[str, object]]:
    """Yield a row a comparison of scores, keys AGREEMENT_COLUMNS; of the faces that flip the first ones are named."""
    for entry in run.agreement:
        compared = not entry.reason
        yield {
            "run": run.id,
            "kind": entry.kind,
            **entry.here.model_dump(),
            **{f"reference_{name}": value for name, value in entry.reference.model_dump().items()},
            "faces": entry.faces,
            "identical": entry.identical if compared else None,
            "largest_difference": entry.largest_difference,
            "largest_face": entry.largest_face,
            "flips": entry.flips if compared else None,
            "flipped": " ".join(flip.path for flip in entry.flipped),
            **entry.model_dump(include={"auc_difference", "auc_difference_low", "auc_difference_high"}),
            "differs_in": " ".join(confounder.name for confounder in entry.confounders),
            "reason": entry.reason,
        }


def _key(run: Run, cell: Cell) -> dict[str, object]:
    key = cell.key
    names = (run.id, key.target, key.variant, key.runtime, key.provider, key.threads)
    return dict(zip(KEY_COLUMNS, names, strict=True))


def _result(run: Run, cell: Cell, metric: Metric) -> dict[str, object]:
    standing = {"outcome": str(cell.outcome), "trust": _trust(cell), "emulated": run.target(cell.key.target).emulated}
    return {**_key(run, cell), **metric.model_dump(), **standing}


def _trust(cell: Cell) -> str | None:
    return str(cell.verdict.trust) if cell.verdict else None


def _figures(cell: Cell) -> dict[str, float | None]:
    row: dict[str, float | None] = {}
    for name, (metric, scope) in FIGURES.items():
        found = cell.metric(metric, scope)
        row[name] = found.value if found else None
        if name in WITH_ENDS:
            row |= {
                f"{name}_low": found.ci_low if found else None,
                f"{name}_high": found.ci_high if found else None,
            }
    return row


def _variant(variant: Variant | None) -> dict[str, object]:
    if variant is None:
        return dict.fromkeys(("bytes", "packed_bytes", "parameters", "macs", "parent", "techniques", "sha256"))
    return {
        "bytes": variant.bytes,
        "packed_bytes": variant.packed_bytes,
        "parameters": variant.parameters,
        "macs": variant.macs,
        "parent": variant.parent,
        "techniques": " ".join(variant.techniques),
        "sha256": variant.sha256,
    }
