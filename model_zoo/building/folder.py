"""The folder that variants are written to: what a build puts there, what it finds there, and what no longer holds."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgerig import files, toml
from edgerig.errors import ConfigError
from model_zoo import family, manifest, select
from model_zoo.building.build import Asked
from model_zoo.building.products import EXTRAS, Product, told
from model_zoo.manifest import Manifest, Training

EARLIER = "earlier"  # folder in that of the variants; nobody looks for variants there


def place(products: Iterable[Product], folder: Path) -> list[Path]:
    """Copy variants into a folder, with their manifests, and return the manifests.

    Raises:
        OutputError, DiskFull: it cannot be written.
    """
    files.make_folder(folder)
    tables: list[Mapping[str, Any]] = []
    for product in products:
        for source in product.files:
            files.copy(source, folder / source.name)
        for title in product.extras:
            files.copy(product.folder / EXTRAS / title, folder / f"{product.name}.{title}")
        tables.append(product.table)
    return family.write_alone(folder, tables)


@dataclass(frozen=True)
class _Built:
    """A variant in a folder that a recipe made, as its own manifest says."""

    path: Path
    manifest: Manifest
    training: Training

    @property
    def files(self) -> list[str]:
        """Names of all that was placed with it, the manifest first: without it nothing looks like a variant."""
        model = self.path.with_name(self.manifest.file)
        extras = [f"{self.manifest.name}.{title}" for title in self.training.extras]
        named = [self.path.name, model.name, *(path.name for path in manifest.belonging(self.manifest, model)), *extras]
        return [name for name in named if Path(name).name == name]  # the manifest may be anybody's: it leads nowhere


def _built(folder: Path) -> Iterator[_Built]:
    """Yield what recipes made; a manifest that extends another was not written by `place`, and is left alone."""
    for path in select.manifests_in(folder):
        with contextlib.suppress(ConfigError):
            said = toml.validated(Manifest, toml.load(path), str(path))
            if said.training and said.training.recipe:
                yield _Built(path, said, said.training)


def set_aside(folder: Path, recipe: str, made: Collection[str]) -> list[str]:
    """Move what earlier builds of a recipe have left, and this one has not made, into the folder `earlier`.

    What no manifest calls a work of this recipe stays, and so does a file that another manifest names, too.

    Args:
        folder: of the variants.
        recipe: its name.
        made: the variants that were placed just now.

    Returns:
        The variants that were moved.

    Raises:
        OutputError: they cannot be moved.
    """
    old = [one for one in _built(folder) if one.training.recipe == recipe and one.manifest.name not in made]
    moving = {one.path for one in old}
    kept = {name for path in select.manifests_in(folder) if path not in moving for name in _named_by(path)}
    for one in old:
        earlier = files.make_folder(folder / EARLIER)
        for name in one.files:
            if name not in kept and (folder / name).exists():
                with files.writing(earlier / name):
                    (folder / name).replace(earlier / name)
    return [one.manifest.name for one in old]


def _named_by(path: Path) -> list[str]:
    """Return the names of the files that a manifest needs, whoever wrote it."""
    with contextlib.suppress(ConfigError):
        said = toml.load(path)
        return [str(said.get("file")), *map(str, said.get("extra_files", ()))]
    return []


@dataclass(frozen=True)
class Stranger:
    """A variant of the zoo that comes of other faces or another seed than those of a build beside it."""

    variant: str
    data: str
    seed: int | None


def strangers(folder: Path, asked: Asked, own: Collection[str]) -> list[Stranger]:
    """Return the variants in a folder whose faces or seed are others than those that are asked for.

    Args:
        folder: of the variants.
        asked: faces and seed of a build.
        own: the variants that it makes, which take the place of those that are there.
    """
    return [
        Stranger(one.manifest.name, one.training.data, one.training.seed)
        for one in _built(folder)
        if one.manifest.name not in own and _strange(one.training, asked)
    ]


def _strange(said: Training, asked: Asked) -> bool:
    if said.seed is not None and said.seed != asked.seed:
        return True
    if said.faces:
        other = asked.other is not None and said.other_faces not in ("", asked.other.key)
        return said.faces != asked.faces.key or other
    return "training faces" in said.data and said.data != told(asked.faces)  # older manifests have no digest
