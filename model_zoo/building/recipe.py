"""Recipes: one TOML file a variant, from the backbone to the exported files, readable at a glance.

A recipe begins with a backbone, or `from` another recipe, whose steps are then built once for both. Its steps run in
the order in which they stand. `edgerig zoo list` prints the recipes that ship.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from edgerig import toml
from edgerig.errors import ConfigError
from model_zoo.manifest import AuthorFigure, Input, Table

SHIPPED = Path(__file__).parents[1] / "recipes"
SUFFIX = ".toml"
FORMATS = ("onnx", "tflite", "openvino")
WORDS = ("random", "imagenet")  # of weights; all else is a file, seen from the recipe

Share = Annotated[float, Field(gt=0, lt=1)]
Weight = Annotated[float, Field(ge=0)]
Format = Literal["onnx", "tflite", "openvino"]
Which = Literal["faces", "other-faces"]


class Augment(Table):
    """[steps.augment]: what is done to training pictures; the two faces of a pair share it."""

    flip: Annotated[float, Field(ge=0, le=1, description="chance of a mirror image")] = 0.5
    rotate: Annotated[float, Field(ge=0, le=180, description="degrees at most, to either side")] = 0.0
    scale: Annotated[float, Field(ge=0, lt=1, description="share by which a face grows or shrinks at most")] = 0.0
    shift: Annotated[float, Field(ge=0, lt=1, description="share of the side by which it moves at most")] = 0.0
    colour: Annotated[float, Field(ge=0, lt=1, description="jitter of brightness, contrast and saturation")] = 0.0
    gain: Annotated[float, Field(ge=0, lt=1, description="jitter of brightness alone")] = 0.0
    lift: Annotated[float, Field(ge=0, lt=1, description="share of the range by which it is lifted or sunk")] = 0.0
    cast: Annotated[float, Field(ge=0, lt=1, description="jitter of each colour by itself")] = 0.0
    crop: Annotated[float, Field(ge=0, lt=1, description="share of the sides that is cut away at most")] = 0.0


class Train(Table):
    """`do = "train"`: training, fine-tuning, and distillation where a teacher is named."""

    do: Literal["train"] = "train"
    on: Which = Field("faces", description="of --faces, or of --other-faces")
    epochs: Annotated[int, Field(ge=1, description="times that all training faces are seen")]
    batch: Annotated[int, Field(ge=2, description="faces, at least")] = 32
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    rate: Annotated[float, Field(gt=0, description="of learning, at its highest; not with schedule steps")] = 1e-3
    weight_decay: Weight = Field(0.0, description="biases and batch norms do not decay")
    schedule: Literal["constant", "cosine", "one-cycle", "steps"] = Field("cosine", description="of the rate")
    rates: tuple[float, ...] = Field((), description="of equal parts of the epochs, for schedule steps")
    warmup_epochs: Annotated[float, Field(ge=0, description="in which the rate rises; not with schedule steps")] = 0.0
    patience: int | None = Field(None, ge=1, description="epochs without a better validation AUC before it stops")
    freeze: Literal["none", "backbone"] = Field("none", description="what does not learn; its batch norms neither")
    head: Literal["kept", "linear", "dense"] = Field("kept", description="of the classifier: kept, or begun anew")
    clip: float | None = Field(None, gt=0, description="largest norm of a gradient")
    average: float | None = Field(None, gt=0, lt=1, description="decay of the running average of the weights")
    rank: Weight = Field(0.0, description="weight of the loss that ranks a fake above its own original")
    rank_all: Weight = Field(0.0, description="weight of the loss that ranks each fake of a batch above each original")
    where: Weight = Field(0.0, description="weight of the loss that asks inner layers where a face was edited")
    where_alone: Annotated[int, Field(ge=0, description="first epochs that ask nothing but where")] = 0
    fade: Annotated[float, Field(ge=0, le=1, description="share of rank and where that is left at the end")] = 1.0
    augment: Augment = Field(Augment(), description="[steps.augment]")
    teacher: str = Field("", description="recipe of the teacher, whose outcome is frozen")
    alpha: Annotated[float, Field(ge=0, le=1, description="share of the soft loss")] = 0.25
    temperature: Annotated[float, Field(gt=0, description="of the soft loss (Hinton 2015)")] = 4.0

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if bool(self.rates) != (self.schedule == "steps"):
            raise ValueError("'rates' are those of schedule 'steps', which needs them")
        for key in ("rate", "warmup_epochs"):
            if self.rates and key in self.model_fields_set:
                raise ValueError(f"'{key}' does nothing in the schedule 'steps', whose rates are 'rates'")
        if any(rate <= 0 for rate in self.rates):
            raise ValueError("'rates' must be above 0")
        if self.where_alone and not self.where:
            raise ValueError("'where_alone' epochs ask nothing where the weight 'where' is 0")
        for key in ("where_alone", "warmup_epochs"):
            if getattr(self, key) >= self.epochs:
                raise ValueError(f"'{key}' leaves none of the {self.epochs} 'epochs' to the rest of the training")
        for key in ("alpha", "temperature"):
            if key in self.model_fields_set and not self.teacher:
                raise ValueError(f"'{key}' is of the soft loss, which needs a 'teacher'")
        return self


def _keeps_its_head(table: Train) -> Train:
    if table.head != "kept":
        raise ValueError("'head' begins the classifier anew, which the step 'train' alone does")
    return table


Recovery = Annotated[Train, AfterValidator(_keeps_its_head)]


class Prune(Table):
    """`do = "prune"`: structured pruning of whole channels, with what depends on them (DepGraph)."""

    do: Literal["prune"]
    amount: Share = Field(description="share that is taken away in all")
    of: Literal["channels", "parameters", "macs", "latency"] = Field("parameters", description="what is to become less")
    importance: Literal["taylor", "magnitude"] = Field("taylor", description="by which channels are ranked")
    scope: Literal["global", "local"] = Field("global", description="ranked among all, or each layer by itself")
    rounds: Annotated[int, Field(ge=1, description="1 is one shot; each takes as much away as the others")] = 5
    round_to: Annotated[int, Field(ge=1, description="channels go in slices of so many")] = 8
    most: Share = Field(0.8, description="share of a layer's channels that may go at most")
    calibration: Annotated[int, Field(ge=8, description="training faces for the gradients of taylor")] = 256
    recover: Recovery | None = Field(None, description="training after each round")


class Sparsify(Table):
    """`do = "sparsify"`: single weights of least magnitude become zero; no runtime here gets faster by that."""

    do: Literal["sparsify"]
    amount: Share
    scope: Literal["global", "local"] = "global"
    rounds: Annotated[int, Field(ge=1)] = 1
    recover: Recovery | None = None


class Qat(Table):
    """`do = "qat"`: training with weights and activations rounded as int8 rounds them."""

    do: Literal["qat"]
    train: Recovery


class Defakeq(Table):
    """`do = "defakeq"`: our reading of DeFakeQ: bits by layer (HAQ), and a few channels kept and tuned (VEFT)."""

    do: Literal["defakeq"]
    bits: Annotated[float, Field(gt=0, le=8)] = Field(
        3.2, description="a weight: of the whole packed file with haq, else of each code, 2, 4 or 8"
    )
    haq: bool = Field(True, description="deal the bits out by layer; else all layers have the same")
    pin: bool = Field(True, description="leave stem, depthwise convolutions and classifier at 8 bits")
    veft: bool = Field(True, description="keep a few channels in float16 and tune what is float16, block by block")
    kept: Annotated[float, Field(ge=0, lt=1)] = Field(0.02, description="share of a block's channels that veft keeps")
    channels: Literal["random", "distinct"] = Field("random", description="which: any, or those least like the others")
    calibration: Annotated[int, Field(ge=8)] = Field(256, description="training faces, half of them fakes")
    epochs: Annotated[int, Field(ge=1)] = Field(10, description="times that veft sees them, for each block")
    contrast: Weight = Field(0.01, description="weight of veft's contrastive loss at the last block")

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if not self.haq and self.bits not in (2, 4, 8):
            raise ValueError("'bits' must be 2, 4 or 8 where 'haq' does not mix them")
        return self


class Fit(Table):
    """`do = "fit"`: fitting a classical classifier of scikit-learn."""

    do: Literal["fit"]
    on: Which = "faces"
    components: Annotated[int, Field(ge=1, description="of the pixels, by principal component analysis")] = 64


class Quantize(Table):
    """`do = "quantize"`: how the exported files are quantized; the last step of a recipe."""

    do: Literal["quantize"]
    method: Literal["static", "mixed", "dynamic", "weights", "fp16", "planned"] = Field(
        "static", description="planned: weights in the bits that 'defakeq' gave them, in tflite alone"
    )
    calibration: Annotated[int, Field(ge=8, description="training faces")] = 300
    auc_drop: float | None = Field(
        None, ge=0, le=1, description="most that may be lost, on validation faces: .01 with mixed, else .05"
    )
    flips: float | None = Field(
        None, ge=0, le=1, description="share of decisions that may change: .03 with mixed, else .2"
    )


Step = Annotated[Train | Prune | Sparsify | Qat | Defakeq | Fit | Quantize, Field(discriminator="do")]


class Recipe(Table):
    """One variant, as its TOML file says."""

    name: str = Field("", description="by default that of the file")
    family: str = Field("", description="recipes that are compared with each other, e.g. S3")
    note: str = Field("", description="what a reader of its figures must know")
    origin: str = Field("", alias="from", description="recipe whose outcome this one goes on from")
    parent: str = Field("", description="variant that it is compared with; by default the recipe of 'from'")
    backbone: str = Field("", description="of model_zoo/backbones/registry.py; or `from`")
    weights: str = Field("random", description="random, imagenet, or the file of a state dict, seen from the recipe")
    input: Input | None = Field(
        None, description="[input] of a manifest, but for what formats differ in; with a backbone"
    )
    steps: tuple[Step, ...] = Field((), description="[[steps]], in their order")
    exports: tuple[Format, ...] = Field(("onnx",), min_length=1, description="onnx, tflite, openvino")
    authors: tuple[AuthorFigure, ...] = Field((), description="[[authors]]: figures that others printed")

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if bool(self.backbone) == bool(self.origin):
            raise ValueError("a recipe names either a backbone or, as 'from', the recipe that it goes on from")
        if bool(self.backbone) != (self.input is not None):
            raise ValueError("a recipe with a backbone has an [input]; one with 'from' inherits it")
        for key in ("layout", "dtype", "scale", "zero_point"):
            if self.input and getattr(self.input, key) != Input.model_fields[key].default:
                raise ValueError(f"'input.{key}' is not a recipe's: each exported format has its own")
        for step in self.steps[:-1]:
            if isinstance(step, Quantize):
                raise ValueError("'quantize' works on exported files: it must be the last step")
        if len(set(self.exports)) < len(self.exports):
            raise ValueError("'exports' names a format twice")
        return self

    @property
    def quantization(self) -> Quantize | None:
        """How the files are quantized, None where they are not."""
        last = self.steps[-1] if self.steps else None
        return last if isinstance(last, Quantize) else None

    @property
    def net_steps(self) -> tuple[Step, ...]:
        """The steps that change the net itself."""
        return tuple(step for step in self.steps if not isinstance(step, Quantize))

    @property
    def needs(self) -> tuple[str, ...]:
        """The recipes whose outcome this one needs: its origin, then its teachers."""
        return tuple(dict.fromkeys(([self.origin] if self.origin else []) + list(self.teachers)))

    @property
    def variants(self) -> dict[str, Format]:
        """The format of each variant by its name: the recipe's own for ONNX, or else for the first format."""
        plain = "onnx" if "onnx" in self.exports else self.exports[0]
        return {self.name if kind == plain else f"{self.name}-{kind}": kind for kind in self.exports}

    @property
    def teachers(self) -> tuple[str, ...]:
        """The recipes whose outcome teaches this one, in the order of its steps."""
        return tuple(dict.fromkeys(teacher for step in self.steps for teacher in teachers(step)))


def trainings(step: Step) -> tuple[Train, ...]:
    """Return the trainings of a step: itself, or the one that is part of it."""
    found = (step, getattr(step, "recover", None), getattr(step, "train", None))
    return tuple(train for train in found if isinstance(train, Train))


def teachers(step: Step) -> tuple[str, ...]:
    """Return the recipes that teach in a step, or in the training that is part of it."""
    return tuple(train.teacher for train in trainings(step) if train.teacher)


def faces_of(step: Step) -> tuple[Which, ...]:
    """Return which faces a step looks at."""
    own: Which = getattr(step, "on", "faces")
    return tuple(dict.fromkeys((own, *(train.on for train in trainings(step)))))


def learned_from(step: Step) -> tuple[Which, ...]:
    """Return which faces change the weights in a step; those that only rank or calibrate are not among them."""
    if isinstance(step, Fit):
        return (step.on,)
    if isinstance(step, Defakeq):
        return ("faces",) if step.veft else ()
    return tuple(dict.fromkeys(train.on for train in trainings(step)))


def load(path: Path) -> Recipe:
    """Return the recipe of a file, named by it; raises ConfigError with the nearest known key or step."""
    data = toml.load(path)
    name = data.setdefault("name", path.stem)
    if name != Path(str(name)).name or name in ("", "..") or not name.isprintable():
        raise ConfigError(f"{path}: {name!r} is no name of a file, as that of a recipe must be.", "Leave 'name' out.")
    if not isinstance(data.get("steps", []), list):
        raise ConfigError(f"{path}: 'steps' is a list: each begins with [[steps]].")
    for step in data.get("steps", []):
        _known_step(step, path)
    recipe = toml.validated(Recipe, data, str(path))
    if recipe.weights in WORDS:
        return recipe
    return recipe.model_copy(update={"weights": str(path.parent / recipe.weights)})


def _known_step(step: Any, path: Path) -> None:
    """Refuse an unknown step with the nearest one, which pydantic's sentence on unions does not name."""
    if isinstance(step, dict) and str(step.get("do", "")) not in STEPS:
        word = str(step.get("do", ""))
        known = f"Known: {', '.join(STEPS)}."
        if not word:
            raise ConfigError(f"{path}: a step does not say what to 'do'.", known)
        raise ConfigError(f"{path}: there is no step '{word}'.", toml.nearest(word, STEPS) or known)


STEPS: dict[str, type[Table]] = {
    "train": Train,
    "prune": Prune,
    "sparsify": Sparsify,
    "qat": Qat,
    "defakeq": Defakeq,
    "fit": Fit,
    "quantize": Quantize,
}


def _stem(path: Path) -> str:
    return path.stem


def shelf(folders: Iterable[Path] = (SHIPPED,)) -> dict[str, Recipe]:
    """Return the recipes of some folders by name; of two with one name the later folder's counts."""
    found: dict[str, Recipe] = {}
    for folder in folders:
        found |= _of(folder.glob(f"*{SUFFIX}"))
    return found


def beside(file: Path) -> dict[str, Recipe]:
    """Return the recipe of a file and those in its folder, by name; what else is there, edgerig.toml say, is none."""
    begins = {"backbone", "from"}
    return _of(path for path in file.parent.glob(f"*{SUFFIX}") if path == file or begins & toml.load(path).keys())


def _of(paths: Iterable[Path]) -> dict[str, Recipe]:
    found: dict[str, Recipe] = {}
    files: dict[str, Path] = {}
    for path in sorted(paths, key=_stem):
        recipe = load(path)
        if recipe.name in found:
            raise ConfigError(
                f"both {files[recipe.name]} and {path} are called '{recipe.name}'.", "Rename one of them."
            )
        found[recipe.name], files[recipe.name] = recipe, path
    return found


def named(recipes: Mapping[str, Recipe], name: str) -> Recipe:
    """Return a recipe by name; raises ConfigError with the nearest one."""
    if name not in recipes:
        raise ConfigError(f"there is no recipe '{name}'.", toml.nearest(name, recipes) or "`edgerig zoo list` has all.")
    return recipes[name]


def lineage(recipes: Mapping[str, Recipe], name: str) -> list[Recipe]:
    """Return the recipes that one goes on from, the oldest first, itself last; raises ConfigError on a circle."""
    found: list[Recipe] = []
    while name:
        recipe = named(recipes, name)
        if recipe in found:
            raise ConfigError(f"the recipe '{name}' goes on from itself.")
        found.append(recipe)
        name = recipe.origin
    return found[::-1]


def needed(recipes: Mapping[str, Recipe], name: str, above: tuple[str, ...] = ()) -> list[Recipe]:
    """Return all recipes that one needs, ancestors and teachers before those who need them, itself last.

    Raises:
        ConfigError: one is unknown, or needs itself, be it through a teacher.
    """
    if name in above:
        circle = " -> ".join((*above[above.index(name) :], name))
        raise ConfigError(f"the recipe '{name}' needs itself: {circle}.", "Change 'from' or 'teacher' in one of them.")
    try:
        recipe = named(recipes, name)
    except ConfigError as error:
        who = f", which the recipe '{above[-1]}' needs" if above else ""
        raise ConfigError(f"{error.message.rstrip('.')}{who}.", error.hint) from error
    below = [found for need in recipe.needs for found in needed(recipes, need, (*above, name))]
    return list({found.name: found for found in [*below, recipe]}.values())


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a recipe's file."""
    return Recipe.model_json_schema()
