"""From the words of a command line to variants: shipped names, manifests, model files, folders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from edgerig import toml
from edgerig.errors import ConfigError, ModelError
from model_zoo import manifest
from model_zoo.manifest import Variant

SHIPPED = Path(__file__).parent / "variants"
NO_MANIFESTS = ("edgerig.toml", "pyproject.toml")  # whoever else writes TOML into folders of models
EVERYTHING = "shipped"  # the word for all of them
STARTERS = (
    "mobilenetv3-small-fp32",
    "mobilenetv3-small-pruned-int8",
    "mobilenetv3-small-int8-openvino",
    "mobilenetv3-small-int8-tflite",
    "mobilenetv3-half-distilled-int8",
    "mobilenetv4-small-distilled-int8",
)  # what a run without a word measures: a trade-off in about three minutes


def shipped() -> list[Variant]:
    """Return the variants that come with edgerig, by name."""
    return _in_folder(SHIPPED)


def variants(words: Sequence[str]) -> list[Variant]:
    """Return the variants that `words` name, in their order, each once; STARTERS for no words.

    A word is the name of a shipped variant, a manifest, a model file with its manifest beside it, a folder of these, or
    "shipped" for all that come with edgerig.

    Raises:
        ConfigError: a word names nothing, or two variants share a name.
        ModelError: a model has no manifest, or is not the one that its manifest describes.
    """
    found = [variant for word in words or STARTERS for variant in _named(word)]
    unique = {variant.path.resolve(): variant for variant in found}
    _refuse_doubles(unique.values())
    return list(unique.values())


def _refuse_doubles(found: Iterable[Variant]) -> None:
    seen: dict[str, Variant] = {}
    for variant in found:
        if variant.name in seen:
            raise ConfigError(
                f"two variants are called '{variant.name}': {seen[variant.name].path} and {variant.path}.",
                "Give one of them another name in its manifest.",
            )
        seen[variant.name] = variant


def _named(word: str) -> list[Variant]:
    path = Path(word)
    if path.is_dir():
        return _in_folder(path)
    if path.suffix == ".toml":
        return [manifest.load(path)]
    if path.suffix in manifest.FORMATS:
        return [_of_model(path)]
    return shipped() if word == EVERYTHING else [_shipped_one(word)]


def _in_folder(folder: Path) -> list[Variant]:
    manifests = manifests_in(folder)
    if not manifests:
        raise ModelError(f"no manifest is in {folder}.", f"`edgerig variants init {folder}` writes them.")
    return [manifest.load(path) for path in manifests]


def manifests_in(folder: Path) -> list[Path]:
    """Return the manifests in a folder, families left out, by name."""
    return sorted(
        path
        for path in folder.glob("*.toml")
        if not path.name.endswith(manifest.FAMILY_SUFFIX) and path.name not in NO_MANIFESTS
    )


def _of_model(path: Path) -> Variant:
    if not path.is_file():
        raise ModelError(f"there is no model file {path}.")
    for candidate in manifests_in(path.parent):
        if toml.load(candidate).get("file") == path.name:
            return manifest.load(candidate)
    raise ModelError(
        f"{path} has no manifest, so nobody knows what to feed it.",
        f"`edgerig variants init {path.parent} --faces DIR` finds out and writes it.",
    )


def _shipped_one(word: str) -> Variant:
    path = SHIPPED / f"{word}.toml"
    if path.is_file() and Path(word).name == word:
        return manifest.load(path)
    known = [shipped_path.stem for shipped_path in manifests_in(SHIPPED)]
    hint = (
        toml.nearest(word, [*known, EVERYTHING])
        or f"Shipped: {', '.join(known)}; or the path of a model, manifest or folder."
    )
    raise ConfigError(f"there is no variant '{word}'.", hint)
