"""What the fixture writers share: seeds, exact random numbers, and the two kinds of files.

Random numbers are rounded to float32, then computed with in float64, so that inputs and weights
stored as float32 are exactly those of the computation.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[3]
SEARCH = ROOT / "crates/tox-search/tests/fixtures/nas"
POISON = ROOT / "crates/tox-poison/tests/fixtures"


def exact(tensor):
    return tensor.float().double()


def randn(*shape, scale=1.0):
    return exact(torch.randn(*shape, dtype=torch.float64) * scale)


def randomise(network):
    """Weights of a sensible size everywhere, so that no gradient vanishes; float64."""
    network.double()
    with torch.no_grad():
        for name, w in network.named_parameters():
            if w.dim() > 1:
                w.copy_(randn(*w.shape, scale=(2 / w[0].numel()) ** 0.5))
            elif name.endswith("weight"):
                w.copy_(exact(1 + 0.2 * randn(*w.shape)))
            else:
                w.copy_(randn(*w.shape, scale=0.2))
    return network


def weights(network):
    return {f"weights.{k}": w.float() for k, w in network.named_parameters()}


def gradients(names, grads):
    """float32; rounding noise (below 1e-13) is written as 0, and so is what is not reached."""
    found = {}
    for name, g in zip(names, grads):
        found[f"gradients.{name}"] = torch.where(g.abs() < 1e-13, 0.0, g).float()
    return found


def write_tensors(path, tensors):
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {k: t.detach().clone().contiguous() for k, t in sorted(tensors.items())}
    save_file(tensors, path)


def rounded(value):
    """JSON values with thirteen significant digits."""
    if isinstance(value, float):
        return float(f"{value:.13g}")
    if isinstance(value, torch.Tensor):
        return rounded(value.tolist())
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(v) for v in value]
    return value


def write_numbers(path, numbers):
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in rounded(numbers).items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
