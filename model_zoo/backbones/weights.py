"""Weights that a net begins with: a user's file of a state dict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from edgerig.errors import ConfigError
from model_zoo.backbones import heads

_WRAPPERS = ("state_dict", "model", "state", "net")  # keys under which training scripts keep it


def load(net: Any, path: Path, name: str) -> None:
    """Put the weights of a file into a net; a classifier of other classes begins anew.

    Args:
        net: is changed in place.
        path: of a state dict, as torch.save or safetensors write it.
        name: of the backbone, for people.

    Raises:
        ConfigError: the file is none, or is of another net.
    """
    found, own = _read(path), net.state_dict()
    fitting = {key: value for key, value in own.items() if key in found and found[key].shape == value.shape}
    head = f"{heads.name_of(net)}."
    for key in own:
        if key not in fitting and not key.startswith(head) and not key.endswith("num_batches_tracked"):
            other = f"[{', '.join(map(str, found[key].shape))}]" if key in found else "not there"
            raise ConfigError(
                f"the weights {path} are not of {name}: {key} is {other} instead of {list(own[key].shape)}.",
                'Give the state dict of this very net, or weights = "random".',
            )
    net.load_state_dict(own | {key: found[key] for key in fitting})
    if not all(key in fitting for key in own if key.startswith(head)):
        heads.quiet(net)


def _read(path: Path) -> Mapping[str, Any]:
    """Return the tensors of a file by name, without running anything that lies in it."""
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file  # noqa: PLC0415 - comes with timm

            found: Any = load_file(path)
        else:
            found = torch.load(path, weights_only=True, map_location="cpu")
    except Exception as error:
        raise ConfigError(
            f"{path} holds no weights that can be read: {_first_line(error)}",
            "Wanted: a state dict, written by torch.save(net.state_dict(), ...) or by safetensors.",
        ) from error
    inner = next((found[key] for key in _WRAPPERS if isinstance(_entry(found, key), Mapping)), found)
    if not isinstance(inner, Mapping) or not any(map(torch.is_tensor, inner.values())):
        raise ConfigError(f"{path} holds no state dict.", "Wanted: torch.save(net.state_dict(), ...).")
    return {str(key).removeprefix("module."): value for key, value in inner.items() if torch.is_tensor(value)}


def _entry(found: Any, key: str) -> Any:
    return found.get(key) if isinstance(found, Mapping) else None


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]
