"""Found networks as modules of PyTorch, under the names that their published code gives to weights."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn as nn

from . import darts, enas, nasbench201

__all__ = ["build", "load"]


class _Darts(darts.Network):
    """Logits alone, but in training with an auxiliary head: then also those of the head."""

    def forward(self, x: torch.Tensor, drop_prob: float = 0.0, masks: Any = None) -> Any:
        logits, auxiliary = super().forward(x, drop_prob, masks)
        return logits if auxiliary is None else (logits, auxiliary)


def build(
    genotype: Any,
    *,
    classes: int = 10,
    inputs: int = 3,
    channels: int | None = None,
    cells: int | None = None,
    weights: str | os.PathLike[str] | None = None,
    **more: Any,
) -> nn.Module:
    """The network of a genotype, with fresh weights or those of a .safetensors file.

    genotype: the text `Genotype(normal=[...], ...)` of DARTS, the text `|op~0|+|...|` of NAS-Bench-201, the `genotype` of a
        record of `enas`, or the record itself.
    classes, inputs: classes, and channels of the images.
    channels: those of the first cell (36; 16; 36).
    cells: in all (DARTS, 20), or of each of the three stages (NAS-Bench-201, 5).
    more: `auxiliary=True` for DARTS; `keep_prob`, `pointwise` and `skips` for ENAS.
    """
    found = _genotype(genotype)
    network: nn.Module
    if isinstance(found, str) and found.startswith("Genotype("):
        network = _Darts(channels or 36, classes, cells or 20, darts.read_genotype(found), inputs=inputs, **more)
    elif isinstance(found, str):
        network = nasbench201.Network(channels or 16, cells or 5, classes, nasbench201.read_cell(found), inputs=inputs)
    else:
        layers = [{"op": layer["op"], "skips": layer["skips"]} for layer in found["layers"]]
        if cells not in (None, len(layers)):
            raise ValueError(f"the genotype has {len(layers)} layers, not {cells}")
        network = enas.Network(layers, channels=channels or 36, inputs=inputs, classes=classes, **more)
    if weights is not None:
        load(network, weights)
    return network


def _genotype(given: Any) -> Any:
    """The genotype in a record, or what was given."""
    if isinstance(given, Mapping) and "outcome" in given:
        given = given["outcome"].get("genotype") or given["outcome"].get("found")
    if isinstance(given, Mapping) and "layers" not in given:
        # Tagged by its space: the text is its only value.
        texts = [value for value in given.values() if isinstance(value, str) and value.startswith(("Genotype(", "|"))]
        given = texts[0] if texts else None
    if isinstance(given, str) and given.strip().startswith(("Genotype(", "|")):
        return given.strip()
    if isinstance(given, Mapping):
        return given
    raise ValueError(f"{given!r} is no genotype: expected Genotype(...), |op~0|+..., or layers of ENAS")


def load(network: nn.Module, weights: str | os.PathLike[str]) -> nn.Module:
    """Reads weights from a .safetensors file. A prefix that all names share (`module.`, `weights.`) is taken off.

    Statistics of batch norms may be missing: then they stay as they are. Those of a child of ENAS, which a trial's
    `found.safetensors` has, are used in evaluation. Any other name too few or too many is refused.
    """
    from safetensors.torch import load_file

    found = load_file(os.fspath(weights))
    for prefix in ("module.", "model.", "_orig_mod.", "network.", "weights."):
        if found and all(name.startswith(prefix) for name in found):
            found = {name[len(prefix) :]: tensor for name, tensor in found.items()}
    # A module's name has no dot, the numbers of an op may.
    found = {re.sub(r"\(.*\)", lambda numbers: numbers[0].replace(".", "_"), name): t for name, t in found.items()}
    for name, module in list(network.named_modules()):
        if isinstance(module, enas.BatchNorm) and f"{name}.running_mean" in found:
            module.fix()
    statistics = {name for name, _ in network.named_buffers()}
    missing, unexpected = network.load_state_dict(found, strict=False)
    lacking = [name for name in missing if name not in statistics]
    if lacking or unexpected:
        raise ValueError(
            f"{os.fspath(weights)} is of another network: it lacks {', '.join(lacking[:5]) or 'nothing'}, "
            f"and has {', '.join(unexpected[:5]) or 'nothing'} too much"
        )
    return network
