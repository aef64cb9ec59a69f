"""Manifests: what a model file is, what it is fed and how its answer is read.

A manifest is `NAME.toml` beside its model file. `extends` names another TOML file, the family, whose keys it
inherits table by table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from edgerig import digest, preprocess, toml
from edgerig.errors import ConfigError, ModelError

FORMATS = {".onnx": "onnx", ".tflite": "tflite", ".xml": "openvino", ".null": "null"}
FAMILY_SUFFIX = ".family.toml"

Three = Annotated[tuple[float, ...], Field(min_length=3, max_length=3)]


class Table(BaseModel):
    """Base of the manifest's tables: immutable, and no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Input(Table):
    """[input]: how pixels become the tensor; see `edgerig.preprocess.InputSpec`."""

    size: Annotated[tuple[int, ...], Field(min_length=2, max_length=2, description="height, width in pixels")]
    layout: Literal["NCHW", "NHWC"] = "NCHW"
    colour: Literal["RGB", "BGR"] = "RGB"
    dtype: Literal["float32", "float16", "uint8", "int8"] = "float32"
    mean: Three = (0.0, 0.0, 0.0)
    std: Three = (1.0, 1.0, 1.0)
    resize: Literal["area", "linear"] = "area"
    fit: Literal["stretch", "crop"] = "stretch"
    scale: float | None = None
    zero_point: int = 0

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if min(self.size) < 1 or max(self.size) > 4096:
            raise ValueError("size must be between 1 and 4096 pixels")
        if 0 in self.std:
            raise ValueError("std must not be 0")
        return self

    def spec(self) -> preprocess.InputSpec:
        """Return the same as the record that the agent is sent."""
        values = self.model_dump(exclude={"size"})
        return preprocess.InputSpec(height=self.size[0], width=self.size[1], **values)

    def __str__(self) -> str:
        return f"{self.size[0]}x{self.size[1]} {self.colour} {self.layout} {self.dtype}"


class Output(Table):
    """[output]: how the answer becomes the score; see `edgerig.preprocess.OutputSpec`."""

    kind: Literal["logits", "softmax", "probability"] = "logits"
    index: Annotated[int, Field(ge=0)] = 1
    inverted: bool = False
    scale: float | None = None
    zero_point: int = 0
    name: str = Field("", description="of the output tensor; the first one by default")


class AuthorFigure(Table):
    """[[authors]]: a figure that the model's authors printed, with the data that it was measured on."""

    figure: str
    value: str
    data: str
    source: str = ""


class Training(Table):
    """[training]: where the weights come from."""

    data: str
    faces: str = Field("", description="digest of the pictures and labels of --faces, where steps looked at them")
    other_faces: str = Field("", description="the same of --other-faces")
    seed: int | None = None
    command: str = ""
    note: str = ""
    recipe: str = Field("", description="of `edgerig zoo build`, that it was built by")
    extras: tuple[str, ...] = Field((), description="what its steps wrote beside the model: files called NAME.EXTRA")
    figures: Mapping[str, float] = Field({}, description="found out while it was built, on validation faces of data")


class Manifest(Table):
    """One variant, as its TOML file says."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    file: str
    extra_files: tuple[str, ...] = ()
    format: Literal["onnx", "tflite", "openvino", "null"] | None = None
    task: str = "deepfake-face"
    classes: tuple[str, ...] = ("real", "fake")
    positive: str = "fake"
    threshold: Annotated[float, Field(ge=0, le=1)] = 0.5
    parent: str = ""
    techniques: tuple[str, ...] = ()
    parameters: int | None = None
    macs: int | None = None
    bytes: int | None = None
    packed_bytes: int | None = Field(
        None, ge=1, description="of the weights, packed with as few bits as each has: storage, not what is loaded"
    )
    sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    note: str = ""
    input: Input
    output: Output = Output()
    training: Training | None = None
    authors: tuple[AuthorFigure, ...] = ()

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not self.name.isprintable():
            raise ValueError("name must be printable")
        if self.positive not in self.classes:
            raise ValueError(f"positive is '{self.positive}', which is not among the classes {list(self.classes)}")
        for name in (self.file, *self.extra_files):
            if Path(name).name != name:
                raise ValueError(f"file '{name}' must lie beside its manifest")
        return self


@dataclass(frozen=True)
class Variant:
    """A model file and its manifest.

    Attributes:
        manifest: what the manifest says, inherited keys included.
        path: the model file.
        sha256: of the model file.
        bytes: of the model file and the files that belong to it.
    """

    manifest: Manifest
    path: Path
    sha256: str
    bytes: int

    @property
    def name(self) -> str:
        """The variant's name, any printable text."""
        return self.manifest.name

    @property
    def format(self) -> str:
        """Onnx, tflite, openvino or null."""
        return self.manifest.format or FORMATS[self.path.suffix]

    @property
    def files(self) -> list[Path]:
        """The model file first, then those that belong to it."""
        return [self.path, *belonging(self.manifest, self.path)]

    @property
    def identity(self) -> str:
        """Sha256 of the model file; of all files' digests where several make the model.

        An .xml alone does not tell a model: trained again, it has other weights and the same graph.
        """
        return self.sha256 if len(self.files) == 1 else digest.of_json([digest.of_file(path) for path in self.files])

    def output_spec(self) -> preprocess.OutputSpec:
        """Return how the answer is read, as the record that the agent is sent."""
        return preprocess.OutputSpec(**self.manifest.output.model_dump(), threshold=self.manifest.threshold)


def belonging(manifest: Manifest, model: Path) -> list[Path]:
    """Return the files that belong to a model: those that its manifest names, and the .bin with the weights of .xml."""
    weights = [model.with_suffix(".bin").name] if model.suffix == ".xml" else []
    return [model.with_name(name) for name in dict.fromkeys([*manifest.extra_files, *weights])]


def load(path: Path) -> Variant:
    """Return the variant of a manifest file, its model file checked against it.

    Raises:
        ConfigError: the manifest is missing, no TOML, or says something impossible.
        ModelError: the model file is missing, empty, or not the one that the manifest describes.
    """
    manifest = toml.validated(Manifest, _inherited(path, ()), str(path))
    model = path.parent / manifest.file
    if manifest.format is None and model.suffix not in FORMATS:
        raise ConfigError(f"{path}: '{manifest.file}' has no known suffix.", f"Known: {', '.join(FORMATS)}.")
    return _checked(manifest, model)


def _checked(manifest: Manifest, model: Path) -> Variant:
    files = [model, *belonging(manifest, model)]
    for file in files:
        if not file.is_file():
            raise ModelError(f"the model file {file} of variant '{manifest.name}' is missing.")
    size, sha256 = model.stat().st_size, digest.of_file(model)
    if size == 0:
        raise ModelError(f"the model file {model} is empty.")
    if manifest.sha256 and sha256 != manifest.sha256:
        was = f"{manifest.bytes:,} bytes" if manifest.bytes else "other content"
        raise ModelError(
            f"{model} is not the file that its manifest describes ({size:,} bytes here, {was} there).",
            "It is damaged or was replaced: restore it, or take sha256 and bytes out of the manifest.",
        )
    return Variant(manifest, model, sha256, sum(file.stat().st_size for file in files))


def _inherited(path: Path, seen: tuple[Path, ...]) -> dict[str, Any]:
    """Return the keys of a manifest, those of the files that it extends beneath."""
    if path.resolve() in seen:
        raise ConfigError(f"{path} extends itself.")
    own = toml.load(path)
    parent = own.pop("extends", None)
    if parent is None:
        return own
    if not isinstance(parent, str):
        raise ConfigError(f"{path}: 'extends' must be the name of a file, not {parent!r}.")
    return merged(_inherited(path.parent / parent, (*seen, path.resolve())), own)


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the keys of `over` put on top, table by table."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        result[key] = merged(below, value) if both else value  # type: ignore[arg-type]
    return result


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a manifest's file; what it leaves to the file that it extends is not required."""
    schema = Manifest.model_json_schema()
    schema["properties"]["extends"] = {"type": "string", "description": "the family, a TOML file beside this one"}
    required = schema.pop("required")
    schema |= {"if": {"not": {"required": ["extends"]}}, "then": {"required": required}}
    schema["$defs"]["Input"].pop("required")
    return schema
