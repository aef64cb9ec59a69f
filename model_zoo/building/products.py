"""From nets to files: the variants of a recipe, each a model file with its manifest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from edgerig import digest, files
from model_zoo.building import recipe as recipes
from model_zoo.building import store
from model_zoo.building.build import Asked, Builder
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.recipe import Format, Recipe
from model_zoo.building.trained import Trained

TABLE = "table"  # key of the facts
EXTRAS = "extras"  # key of the facts, and folder of the files
VERSION = 2  # of what exporting does: raised when the same net would give another file


def export(trained: Trained, kind: Format, asked: Asked, folder: Path, name: str, **order: Any) -> dict[str, Any]:
    """Write the files of one variant and return its manifest's keys.

    Args:
        trained: the net.
        kind: of file.
        asked: faces and seed, with which the file is held against the net.
        folder: for the files.
        name: of the variant.
        order: further fields of `model_zoo.exporting.export.Order`.
    """
    from model_zoo.exporting.export import Exporter, Order  # noqa: PLC0415 - needs the extra

    with Exporter(trained, Order(folder, asked.faces, asked.seed, **order)) as exporter:
        return exporter.write(name, kind)


@dataclass(frozen=True)
class Product:
    """One exported variant.

    Attributes:
        name: of the variant.
        folder: of the store, where its files lie.
        table: its manifest.
        extras: names of what its steps wrote beside the model, e.g. a plan of bits.
    """

    name: str
    folder: Path
    table: Mapping[str, Any]
    extras: tuple[str, ...] = ()

    @property
    def files(self) -> list[Path]:
        """The model file first, then those that belong to it."""
        return [self.folder / name for name in (self.table["file"], *self.table.get("extra_files", ()))]

    @property
    def whole(self) -> bool:
        """Whether its files are there, the model as it was written."""
        files = [*self.files, *(self.folder / EXTRAS / title for title in self.extras)]
        return all(path.is_file() for path in files) and digest.of_file(files[0]) == self.table["sha256"]


class Products:
    """Exports what a builder builds; what was exported before is taken as it is.

    Args:
        builder: of the nets.
        command: how the same variants are built again, for their manifests; `{}` is the recipe's name.
    """

    def __init__(self, builder: Builder, command: str = "edgerig zoo build {}") -> None:
        self.builder, self._command = builder, command

    def missing(self, name: str) -> list[str]:
        """Return the variants of a recipe that are not exported."""
        recipe = recipes.named(self.builder.shelf, name)
        keys = {variant: self._key(recipe, variant, kind) for variant, kind in recipe.variants.items()}
        return [variant for variant, key in keys.items() if key not in self.builder.store]

    def of(self, name: str, variant: str) -> Product:
        """Return a variant of a recipe, built and exported as far as it is not there.

        Raises:
            ModelError: the file does not agree with the net.
            EdgerigError: a step fails; see `Builder.net`.
        """
        recipe = recipes.named(self.builder.shelf, name)
        kind = recipe.variants[variant]
        shelved, key = self.builder.store, self._key(recipe, variant, kind)
        shelved.claim([key])
        with shelved.lock(key):
            if key not in shelved:
                trained = self.builder.net(recipe.name)
                shelved.keep(
                    key, lambda part: self._exported(recipe, trained, variant, kind, part), f"{variant}: export"
                )
        facts = shelved.facts(key)
        table = {**facts[TABLE], **self._said(recipe, variant, facts)}
        said = {key: value for key, value in table.items() if value}
        found = Product(variant, shelved.folder(key), said, tuple(facts[EXTRAS]))
        if not found.whole:
            raise store.damaged(f"{variant}: export", found.folder)
        return found

    def _exported(self, recipe: Recipe, trained: Trained, variant: str, kind: Format, part: Path) -> Mapping[str, Any]:
        self.builder.watcher.exporting(variant, kind)
        asked = self.builder.asked
        order = {"quantization": recipe.quantization, "teller": self.builder.watcher}
        once = replace(trained, notes=tuple(dict.fromkeys(trained.notes)))  # several steps may have noted the same
        table = export(once, kind, asked, part, variant, **order)
        extras = trained.extras if variant == recipe.name else {}
        for title, path in extras.items():
            files.copy(path, files.make_folder(part / EXTRAS) / title)
        return {TABLE: dict(table), "figures": dict(trained.figures), EXTRAS: list(extras)}

    def _key(self, recipe: Recipe, variant: str, kind: Format) -> str:
        how = recipe.quantization.model_dump(exclude_defaults=True) if recipe.quantization else None
        asked = self.builder.asked
        return store.key(
            "export", VERSION, self.builder.key(recipe.name), kind, how, asked.faces.key, asked.seed, variant
        )

    def _said(self, recipe: Recipe, variant: str, facts: Mapping[str, Any]) -> dict[str, Any]:
        """Return what the recipe says of a variant, which changes without anything being built again."""
        parent = recipe.parent or recipe.origin or (recipe.name if variant != recipe.name else "")
        own, figures = str(facts[TABLE].get("note", "")), facts["figures"]
        return {
            "parent": parent,
            "note": " ".join(note for note in (recipe.note, own) if note),
            "packed_bytes": int(figures.get("packed_bytes", 0)),
            "training": self._training(recipe, figures, facts[EXTRAS]),
            "authors": [figure.model_dump(exclude_defaults=True) for figure in recipe.authors],
        }

    def _training(self, recipe: Recipe, figures: Mapping[str, float], extras: Iterable[str] = ()) -> dict[str, Any]:
        line = recipes.lineage(self.builder.shelf, recipe.name)
        faces, weights = self._learned_from(line), Path(line[0].weights).name
        start = "random weights" if weights == "random" else f"weights: {weights}"
        untrained = "not trained" if weights == "random" else f"weights of {weights}, not trained further"
        said = {
            "data": told(faces) if faces else untrained,
            **self._digests(line),
            "seed": self.builder.asked.seed,
            "command": self._command.format(recipe.name),
            "recipe": recipe.name,
            "note": " ".join(filter(None, (f"{line[0].backbone} from {start}.", faces.note if faces else ""))),
            "extras": list(extras),
            "figures": {name: _short(value) for name, value in figures.items()},
        }
        return {key: value for key, value in said.items() if value not in ("", {}, [])}

    def _digests(self, line: Iterable[Recipe]) -> dict[str, str]:
        """Return the digests of the faces that the steps have looked at, those that quantize the files among them."""
        steps = [step for recipe in line for step in recipe.steps]
        which = {name for step in steps for name in recipes.faces_of(step)}
        asked = self.builder.asked
        sets = {"faces": asked.faces if steps else None, "other_faces": asked.other if "other-faces" in which else None}
        return {name: faces.key for name, faces in sets.items() if faces}

    def _learned_from(self, line: Iterable[Recipe]) -> TrainingFaces | None:
        """Return the faces that have changed the weights, None where none have; of both sets the ones in question."""
        steps = [step for recipe in line for step in recipe.net_steps]
        which = {name for step in steps for name in recipes.learned_from(step)}
        asked = self.builder.asked
        return asked.faces if "faces" in which else asked.other if which else None


def told(faces: TrainingFaces) -> str:
    """Return what a manifest says of the faces that a net has learned from."""
    drawn = " (drawn; no photograph of anyone)" if faces.synthetic else ""
    return f"{faces.name}, {len(faces.train.faces):,} training faces{drawn}"


def _short(value: float) -> float:
    """Return a figure as a person writes it: whole, or with six digits."""
    return int(value) if value == int(value) else float(f"{value:.6g}")
