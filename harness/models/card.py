"""Model cards: what a variant is, what it was made from, what is known of it, and what it must not be used for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from edgerig import toml
from edgerig.errors import ConfigError, ModelError
from model_zoo import manifest, select
from model_zoo.building import recipe as recipes
from model_zoo.building import words
from model_zoo.building.recipe import Recipe
from model_zoo.manifest import Variant
from reports.figures import latency, number
from reports.records import Cell, Run

_FIGURES = {
    "val_auc": "AUC on validation faces, by which the best weights were chosen",
    "epochs": "epochs of the last training",
    "packed_bytes": "bytes as packed storage, which no runtime executes",
    "executed_bytes": "bytes as executed",
    "bits_per_weight": "bits a weight, as packed",
}
_NOT_FOR = (
    "It gives a score, and no evidence: it must not decide anything about a person, alone or as the main reason.",
    "What is known of it holds for the faces named above. On other cameras, kinds of fakes, people and video "
    "compression its error rates are unknown, and published detectors lose much there.",
    "It sees one face crop. It says nothing of sound, of the rest of the picture, or of who made it.",
    "Its threshold was not set for any use: choose one on your own validation faces, by what each kind of error costs.",
)
_LEARNED = "training faces"  # what a manifest says that it was trained on, and not that it was not
_SYNTHETIC = (
    "It was trained on faces that a program drew. It shows what compression does to a net; it knows nothing of people, "
    "and must not be shown a photograph for more than a trial."
)


def find(word: str, folder: Path) -> Variant:
    """Return the variant that a word names: a manifest, a model file, a shipped one, or one of `folder`.

    Raises:
        ConfigError: there is none; the nearest one is named.
        ModelError: its file is not the one that its manifest describes.
    """
    path = Path(word)
    if path.is_dir():
        raise ConfigError(f"{word} is a folder.", f"Name one of its variants, e.g. its manifest: {path}/NAME.toml")
    built = {file.stem: file for file in select.manifests_in(folder)} if folder.is_dir() else {}
    if word in built:
        return manifest.load(built[word])
    if path.suffix == ".toml" or path.suffix in manifest.FORMATS:
        return select.variants([word])[0]
    known = [*built, *(file.stem for file in select.manifests_in(select.SHIPPED))]
    if word not in known:
        where = f"{folder}/ and the shipped variants"
        raise ConfigError(f"there is no variant '{word}' in {where}.", toml.nearest(word, known) or _known(known))
    return select.variants([word])[0]


def _known(names: Iterable[str]) -> str:
    return f"Known: {', '.join(names)}; or the path of a manifest."


def lacking(variant: Variant, shelf: Mapping[str, Recipe]) -> str:
    """Return what a card leaves out, and why, where the recipe is not known that the variant was built by; else ""."""
    name = _recipe_name(variant)
    if not name or _line(name, shelf):
        return ""
    return (
        f"The recipe '{name}', or one that it goes on from, is not known here: the card leaves out the backbone and "
        "the steps. --recipes DIR names a folder of own recipes."
    )


def _recipe_name(variant: Variant) -> str:
    return variant.manifest.training.recipe if variant.manifest.training else ""


def _line(name: str, shelf: Mapping[str, Recipe]) -> list[Recipe]:
    """Return a recipe with those that it goes on from, the oldest first; [] where one of them is not known."""
    try:
        return recipes.lineage(shelf, name)
    except ConfigError:
        return []


def text(variant: Variant, shelf: Mapping[str, Recipe], run: Run | None = None) -> str:
    """Return the card of a variant in Markdown.

    Args:
        variant: which.
        shelf: recipes by name, where its own is looked up.
        run: adds what it measured; raises ModelError where that run did not measure this very file.
    """
    line = _line(_recipe_name(variant), shelf)
    parts = [
        [f"# {variant.name}", "", _first(variant, line)],
        _section("Facts", _facts(variant)),
        _section("Training", _training(variant)),
        _section("Compression", _compression(variant, line)),
        _section("Figures found while it was built", _found(variant)),
        _section("Measured", _measured(variant, run) if run else []),
        _section("Figures of the authors", _authors(variant)),
        _section("What it must not be used for", _limits(variant)),
    ]
    return "\n".join(line for part in parts for line in part).rstrip() + "\n"


def _section(title: str, lines: Iterable[str]) -> list[str]:
    found = list(lines)
    return ["", f"## {title}", "", *found] if found else []


def _first(variant: Variant, line: Sequence[Recipe]) -> str:
    said = variant.manifest
    backbone = line[0].backbone if line else ""
    what = f"A classifier of face crops ({' or '.join(said.classes)}), task {said.task}"
    of = f", on the backbone {backbone}" if backbone else ""
    return f"{what}{of}. {said.note}".strip() + ("" if said.note.endswith(".") or not said.note else ".")


def _facts(variant: Variant) -> Iterator[str]:
    said, spec = variant.manifest, variant.manifest.input
    yield from ("| | |", "|---|---|")
    yield f"| file | `{variant.path.name}`, {variant.format}, {variant.bytes / 1e6:.3g} MB |"
    yield f"| sha256 | `{variant.sha256}` |"
    yield f"| input | {spec}, mean {_three(spec.mean)}, std {_three(spec.std)}, resized by {spec.resize}, {spec.fit} |"
    yield f"| output | {said.output.kind}, {said.positive} at index {said.output.index}, threshold {said.threshold:g} |"
    if said.parameters:
        yield f"| parameters | {said.parameters:,} |"
    if said.macs:
        yield f"| multiply-accumulates of a frame | {said.macs:,} |"


def _three(values: Sequence[float]) -> str:
    return "/".join(f"{value:g}" for value in values)


def _training(variant: Variant) -> Iterator[str]:
    told = variant.manifest.training
    if told is None:
        yield "Its manifest does not say."
        return
    yield f"- {'on ' if _LEARNED in told.data else ''}{told.data}" + (
        f", seed {told.seed}" if told.seed is not None else ""
    )
    yield from (f"- {note}" for note in [told.note] if note)
    if told.command:
        yield f"- built by `{told.command}`"


def _compression(variant: Variant, line: Sequence[Recipe]) -> Iterator[str]:
    said = variant.manifest
    if line:
        last = line[-1].quantization
        steps = [*(step for recipe in line for step in recipe.net_steps), *([last] if last else [])]
        yield from (f"{place}. {words.step(step)}" for place, step in enumerate(steps, 1))
        yield ""
    yield f"Techniques: {', '.join(said.techniques)}." if said.techniques else "Nothing is compressed."
    if said.parent:
        yield f"Compared with `{said.parent}`."


def _found(variant: Variant) -> Iterator[str]:
    told = variant.manifest.training
    if told is None or not told.figures:
        return
    of = f" of {told.data.split(',')[0]}" if _LEARNED in told.data else ""
    yield f"On validation faces{of}, of the net before it was exported; not of held-out faces."
    yield ""
    for name, value in told.figures.items():
        shown = f"{value:,.0f}" if value == int(value) and name != "val_auc" else number(value, 4)
        yield f"- {_FIGURES.get(name, name.replace('_', ' '))}: {shown}"


def _measured(variant: Variant, run: Run) -> Iterator[str]:
    cells = [cell for cell in run.cells if cell.key.variant == variant.name and cell.role == "candidate"]
    files = {entry.sha256 for entry in run.variants if entry.name == variant.name}
    if not cells or variant.identity not in files:
        raise ModelError(
            f"the run {run.id} did not measure this {variant.name}.", "`edgerig show` says what it measured."
        )
    faces = run.faces
    yield f"Run {run.id}, on {faces.name} ({faces.split} split, {faces.images} faces). {faces.note}".rstrip()
    yield from ("", "| target | runtime | threads | p50 of a frame | trust | AUC |", "|---|---|---|---|---|---|")
    yield from (_row(cell) for cell in cells)


def _row(cell: Cell) -> str:
    key, auc = cell.key, cell.metric("auc", "all")
    shown = number(auc.value) if auc else "–"
    if auc and auc.ci_low is not None and auc.ci_high is not None:
        shown += f" ({number(auc.ci_low)} to {number(auc.ci_high)})"
    time = f"{latency(cell)} ms" if cell.verdict else cell.outcome.value
    trust = cell.verdict.trust if cell.verdict else "–"
    return f"| {key.target} | {key.runtime} {key.provider} | {key.threads} | {time} | {trust} | {shown} |"


def _authors(variant: Variant) -> Iterator[str]:
    figures = variant.manifest.authors
    if figures:
        yield "Theirs, of their model on their data; ours differs in both, and nothing here repeats their experiment."
        yield ""
    for figure in figures:
        source = f"; {figure.source}" if figure.source else ""
        yield f"- {figure.figure}: {figure.value} ({figure.data}{source})"


def _limits(variant: Variant) -> Iterator[str]:
    told = variant.manifest.training
    drawn = told is not None and "drawn" in told.data
    untrained = told is not None and told.data == "not trained"
    if untrained:
        yield "- It is not trained: it is there for its size and latency, and its answers mean nothing."
    yield from (f"- {line}" for line in ([_SYNTHETIC] if drawn else []))
    yield from (f"- {line}" for line in _NOT_FOR)
