"""`edgerig variants init`: manifests for foreign models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.console import Console

from edgerig import toml
from edgerig.errors import ConfigError, ModelError
from harness import places, workflow
from harness.commands import common
from harness.models import foreign
from harness.models.foreign import Finding, Prober
from model_zoo import faceset, family, select
from targets import profile


@click.group()
def variants() -> None:
    """Write manifests for foreign models."""


@variants.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--faces", type=click.Path(path_type=Path), help="Faces to try on.  [default: the shipped drawn faces]")
@click.option("--sample", type=click.IntRange(20), default=300, show_default=True, help="Faces to try on, stratified.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the sample.")
@click.option("--size", type=click.IntRange(16, 4096), default=foreign.SIZE, help="For models that take any size.")
@click.option("--force", is_flag=True, help="Write over manifests that are there.")
@common.config_option
@common.json_option
def init(folder: Path, faces: Path | None, force: bool, config_path: Path | None, as_json: bool, **options: int) -> int:
    """Find out what the models in FOLDER want, and write a manifest for each and a family for all.

    Shapes, layout and types are read from the files. Pixel scaling, colour order and class index are tried on the
    validation split of the faces (on all of them where there are no splits); the highest AUC wins.
    """
    messages = common.stderr()
    models = _models(folder, force, messages)
    tried = foreign.validation_faces(faces, options["sample"], options["seed"])
    pack = faceset.pack(tried, places.packs())
    target = common.workspace(config_path).target(profile.DEFAULT)
    session = workflow.open_session(target, wanted=foreign.runtimes_for(models))
    try:
        prober = Prober(session, target, tried, pack, options["size"])
        findings = []
        for model in models:
            with messages.status(f"trying {model.name}"):
                findings.append(prober.probe(model))
            _tell(findings[-1], messages)
    finally:
        session.close()
    return _finished(folder, findings, as_json, messages)


def _models(folder: Path, force: bool, messages: Console) -> list[Path]:
    models = family.models_in(folder)
    known = set() if force else family.with_manifest(folder)
    for name in sorted(known & {model.name for model in models}):
        messages.print(f"{name} has a manifest already; --force writes it again.", markup=False, highlight=False)
    rest = [model for model in models if model.name not in known]
    if not rest:
        raise ModelError(f"every model in {folder} has a manifest.", "--force writes them again.")
    for model in rest:
        _require_free(folder / f"{foreign.name_of(model)}.toml", model)
    return rest


def _require_free(path: Path, model: Path) -> None:
    """Raise ConfigError where a manifest would take the place, or the name, of what is none."""
    if path.name in select.NO_MANIFESTS or (path.exists() and toml.load(path).get("file") != model.name):
        raise ConfigError(
            f"the manifest of {model.name} would be {path}, and that is {'' if path.exists() else 'the name of '}"
            "something else.",
            "Rename the model.",
        )


def _tell(finding: Finding, messages: Console) -> None:
    messages.print(f"{finding.path.name}: {finding.why}", markup=False, highlight=False, soft_wrap=True)
    for warning in finding.warnings:
        messages.print(f"  Warning: {warning}", markup=False, highlight=False, soft_wrap=True, style="yellow")


def _finished(folder: Path, findings: list[Finding], as_json: bool, messages: Console) -> int:
    written = family.write(folder, [finding.manifest for finding in findings if finding.manifest])
    if as_json:
        common.print_json({"findings": [_row(finding) for finding in findings], "written": [str(p) for p in written]})
    else:
        for path in written:
            click.echo(path)
    if not written:
        messages.print("No manifest was written.", highlight=False)
        return 4
    messages.print(f"Next: edgerig run --variants {folder} --faces DIR", markup=False, highlight=False, soft_wrap=True)
    return 3 if any(finding.error for finding in findings) else 0


def _row(finding: Finding) -> dict[str, Any]:
    return {
        "model": str(finding.path),
        "why": finding.why,
        "error": finding.error,
        "warnings": list(finding.warnings),
        "manifest": finding.manifest,
        "tried": [
            {"choice": str(choice), "auc": choice.auc, "log_loss": choice.log_loss}
            for choice in ([finding.best] if finding.best else []) + list(finding.others)
        ],
    }
