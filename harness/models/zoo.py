"""The zoo from the command line: which recipes, which faces, and each recipe built whatever becomes of the others."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli_w

from edgerig import files, toml
from edgerig.errors import ConfigError, DiskFull, EdgerigError, FaceSetError, ModelError
from harness import config, places
from harness.models.build_progress import BuildProgress
from model_zoo import faceset
from model_zoo.building import folder as variants_folder
from model_zoo.building import recipe as recipes
from model_zoo.building.build import Asked, Builder, Measure
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.products import Product, Products
from model_zoo.building.recipe import Recipe, Step
from model_zoo.building.store import Store
from model_zoo.building.trained import Trained
from reports.figures import number
from targets import profile

# What the extra `zoo` brings, as it is imported.
EXTRA = ("torch", "torchvision", "timm", "torch_pruning", "nncf", "litert_torch", "ai_edge_quantizer", "skl2onnx")
SEED = 20  # of drawn faces; the shipped test faces have another
PAIRS = 5000
LEARNT = 0.75  # validation AUC; where a net has learnt less, it has nothing to lose, and compressing it looks free
TRAINING = ("train", "fit")
GOES_ON = "When the picture is there again as it was, the same command goes on from here."


def trains(step: Step) -> bool:
    """Whether a step trains, and compresses nothing."""
    return step.do in TRAINING


def require_extra() -> None:
    """Raise ConfigError where the packages are missing that training and exporting need."""
    missing = [name for name in EXTRA if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"building variants needs the extra 'zoo', and {missing[0]} is not installed.",
            "In a checkout of edgerig: pip install '.[zoo]', about 3 GB; docs/zoo.md says how not to get CUDA with it.",
        )


def shelf(folders: Sequence[Path], words: Sequence[str] = ()) -> dict[str, Recipe]:
    """Return all recipes by name: the shipped ones, those of folders, those beside files that words name."""
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"there is no folder of recipes {folder}.")
        if not any(folder.glob(f"*{recipes.SUFFIX}")):
            raise ConfigError(f"no recipe is in {folder}.", f"A recipe is a file NAME{recipes.SUFFIX}.")
    known = recipes.shelf([recipes.SHIPPED, *folders])
    for word in filter(_is_file, words):
        known |= recipes.beside(Path(word))
    return known


def chosen(known: Mapping[str, Recipe], words: Sequence[str]) -> list[str]:
    """Return the recipes that words name, each once: a name, a file, or a family with all of its recipes."""
    found: list[str] = []
    for word in words:
        family = [name for name, recipe in known.items() if recipe.family.lower() == word.lower()]
        if not (family or _is_file(word) or word in known) and (Path(word).is_dir() or word.endswith(recipes.SUFFIX)):
            raise ConfigError(
                f"{word} is no file of a recipe.", "--recipes DIR adds those of a folder, by their names."
            )
        name = recipes.load(Path(word)).name if _is_file(word) else word
        found += family if family and name not in known else [recipes.named(known, name).name]
    return list(dict.fromkeys(found))


def _is_file(word: str) -> bool:
    return word.endswith(recipes.SUFFIX) and Path(word).is_file()


def drawn(pairs: int) -> Path:
    """Return where the faces lie, or would lie, that are drawn for training."""
    return places.drawn() / f"drawn-{pairs}.zip"


def draw(pairs: int, progress: BuildProgress) -> Path:
    """Return faces drawn by a program: training pairs and a twentieth as many for validation; drawn once."""
    from model_zoo.drawn import __main__ as drawing  # noqa: PLC0415 - only who has no faces draws some
    from model_zoo.drawn import write_set  # noqa: PLC0415

    path = drawn(pairs)
    if path.is_file():
        return path
    part = files.make_folder(path.parent) / f"{path.stem}.{os.getpid()}.part"
    progress.told(f"No --faces: drawing {pairs:,} pairs of faces to train on, once")
    progress.step("drawing faces", pairs + max(50, pairs // 20))
    try:
        with files.writing(path):
            write_set(
                part,
                seed=SEED,
                counts={"train": pairs, "val": max(50, pairs // 20)},
                workers=min(8, len(os.sched_getaffinity(0))),
                progress=lambda done, _: progress.advance(done),
            )
            files.write(path.with_suffix(".toml"), tomli_w.dumps(drawing.about(SEED)).encode())
            part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def training_faces(source: Path, told: Callable[[str], object] = str) -> TrainingFaces:
    """Return the faces that may be trained on, and warn of groups in two splits; raises FaceSetError without any."""
    everything = faceset.load(source)
    if shared := faceset.crossing(everything.faces):
        told(
            f"Note: groups of {source} are in more than one split, {len(shared):,} of them, e.g. '{shared[0]}': what "
            "is trained on one of its faces knows the others, and the test looks better than it is"
        )
    return TrainingFaces(everything)


def store() -> Store:
    """Return where outcomes are kept: in the user's own cache."""
    return Store(places.zoo())


def claim_faces(kept: Store, path: Path) -> None:
    """Keep faces from being removed while they are built with, whether they are drawn already or not."""
    kept.claim([str(path.resolve())])


def timer(faces: TrainingFaces, seed: int) -> Measure:
    """Return what measures a frame of a net on this machine, for steps towards a latency."""

    def measured(trained: Trained) -> float:
        from harness.models.frame_time import FrameTimer  # noqa: PLC0415 - few recipes want it

        return FrameTimer(config.load(None).target(profile.DEFAULT), faces, seed)(trained)

    return measured


def require_device(name: str) -> None:
    """Raise ConfigError where the device is not there."""
    from model_zoo.training import device  # noqa: PLC0415 - needs the extra

    device.require(name)


def require_writable(folder: Path) -> None:
    """Raise OutputError now, and not after hours, where a folder cannot be written."""
    probe = files.make_folder(folder) / f".{os.getpid()}.probe"
    files.write(probe, b"")
    probe.unlink()


@dataclass(frozen=True)
class Outcome:
    """What became of a recipe.

    Attributes:
        recipe: its name.
        found: in a few words, what the net's figures are.
        variants: that were exported.
        error: why it could not be built, "" where it could.
        hint: what to do next.
        set_aside: variants of earlier builds of it that were moved away, as this one did not make them.
    """

    recipe: str
    found: str = ""
    variants: tuple[str, ...] = ()
    error: str = ""
    hint: str = ""
    set_aside: tuple[str, ...] = ()


def each(names: Sequence[str], work: Callable[[str], Outcome], debug: bool) -> Iterator[Outcome]:
    """Do the work for each recipe; one that fails is told, and the others go on. A full disk ends all of it."""
    for name in names:
        try:
            yield work(name)
        except DiskFull as error:
            raise DiskFull(
                error.message,
                "What is built is kept: free some space (`edgerig clean --zoo` helps), and the same command goes on.",
            ) from error
        except FaceSetError as error:  # a picture that went away meanwhile: with another one, all would be another net
            yield Outcome(name, error=error.message, hint=f"{error.hint} {GOES_ON}".strip())
        except EdgerigError as error:
            yield Outcome(name, error=error.message, hint=error.hint)
        except Exception as error:
            if _stopped(error):
                raise KeyboardInterrupt from error
            if debug:
                raise
            yield Outcome(name, error=f"internal error, {type(error).__name__}: {error}", hint="--debug shows where.")


def _stopped(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind an error: torch.save that is stopped as it writes ends with a RuntimeError instead."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def net(build: Builder, name: str, only: Callable[[Step], bool] | None = None) -> Outcome:
    """Build the net of a recipe, to its end or as far as `only` says."""
    return Outcome(name, _figures(build.net(name, only).figures))


def exported(shop: Products, name: str, folder: Path) -> Outcome:
    """Build a recipe and put its variants into a folder; a format that fails does not keep the others back."""
    recipe = recipes.named(shop.builder.shelf, name)
    if shop.missing(name):
        shop.builder.net(name)
    made, failed = list[Product](), list[EdgerigError]()
    for variant in recipe.variants:
        try:
            made.append(shop.of(name, variant))
        except (ModelError, ConfigError) as error:
            failed.append(error)
    variants_folder.place(made, folder)
    found = made[0].table["training"].get("figures", {}) if made else {}
    said, hints = (" ".join(filter(None, texts)) for texts in ((e.message for e in failed), (e.hint for e in failed)))
    return Outcome(name, _figures(found), tuple(product.name for product in made), said, hints)


def _figures(found: Mapping[str, float]) -> str:
    said = [f"validation AUC {number(found['val_auc'])}"] if "val_auc" in found else []
    said += ["too little to judge compression by"] if found.get("val_auc", 1.0) < LEARNT else []
    return ", ".join([*said, *([f"{found['parameters']:,.0f} parameters"] if "parameters" in found else [])])


def require_built(build: Builder, names: Sequence[str]) -> None:
    """Raise ConfigError where a recipe is not built, so that an export would train."""
    for name in names:
        todo = build.todo([name])
        if todo:
            raise ConfigError(
                f"the recipe '{name}' is not built with these faces and this seed: "
                f"{'a step is' if len(todo) == 1 else f'{len(todo)} steps are'} missing.",
                "The same command with `build` in place of `export` builds it.",
            )


@dataclass(frozen=True)
class Row:
    """A recipe as the list shows it; `standing` is "built", "in part" or ""."""

    recipe: Recipe
    backbone: str
    standing: str


def rows(known: Mapping[str, Recipe], source: Path | None, seed: int) -> list[Row]:
    """Return all recipes, and how far each is built with some faces; without any, nothing is."""
    build = Builder(known, Asked(training_faces(source), seed=seed), store()) if source else None
    shop = Products(build) if build else None
    found = []
    for name, recipe in known.items():
        standing = ""
        with contextlib.suppress(ConfigError):  # of another recipe's weights: told when it is built
            standing = _standing(build, shop, name) if build and shop else ""
        found.append(Row(recipe, _backbone(known, recipe), standing))
    return sorted(found, key=lambda row: (row.recipe.family, list(known).index(row.recipe.name)))


def _standing(build: Builder, shop: Products, name: str) -> str:
    recipes.needed(build.shelf, name)  # raises where it needs itself, before that is gone round and round
    if not shop.missing(name):
        return "built"
    there = any(stage.key in build.store for stage in build.stages(name))
    return "in part" if there else ""


def _backbone(known: Mapping[str, Recipe], recipe: Recipe) -> str:
    try:
        return recipes.lineage(known, recipe.name)[0].backbone
    except ConfigError:
        return f"? ({toml.nearest(recipe.origin, known)})"
