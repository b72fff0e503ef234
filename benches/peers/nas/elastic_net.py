"""Once-for-All's weight sharing on the small elastic space: subnets run on slices of the largest
network's weights, in float64, by autograd.

Weights, images and probes are not stored: they are hashes of their place, the same in the tests
(`value`). Of a gradient its norm and its product with such numbers are stored.
"""

import numpy as np
import torch
import torch.nn.functional as F

from fixture_files import SEARCH, write_numbers

WIDTHS = [8, 8, 8, 8, 8, 8, 48, 64]  # width 0.05
STRIDES = [1, 2, 2, 1, 2]
SQUEEZE = [False, True, False, True, True]
CLASSES = 3
IMAGES = (4, 3, 32, 32)
LABELS = [0, 2, 1, 2]
ARCHS = [
    {"ks": [7] * 20, "e": [6] * 20, "d": [4] * 5, "r": 32},
    {"ks": [3] * 10, "e": [3] * 10, "d": [2] * 5, "r": 24},
    {
        "ks": [5, 3, 7, 5, 5, 3, 3, 7, 5, 3, 5, 7, 3, 5],
        "e": [4, 6, 3, 3, 4, 6, 4, 4, 3, 6, 6, 3, 4, 6],
        "d": [3, 2, 4, 3, 2],
        "r": 28,
    },
]


def value(index, shape):
    """Numbers in [-0.5, 0.5) by a hash of tensor `index` and place."""
    n = int(np.prod(shape))
    u = np.arange(n, dtype=np.uint64) * 2654435761 + index * 40503 + 12345
    u &= 0xFFFFFFFF
    u ^= u >> 15
    u = (u * 2246822519) & 0xFFFFFFFF
    u ^= u >> 13
    return u.reshape(shape).astype(np.float64) / 2**32 - 0.5


def divisible(v):
    new = max(8, int(v + 4) // 8 * 8)
    return new + 8 if new < 0.9 * v else new


def shapes():
    """Names and shapes of the supernet's weights."""
    found = {}

    def conv_bn(name, conv, bn, shape):
        found[f"{name}.{conv}.weight"] = shape
        for part in ("weight", "bias"):
            found[f"{name}.{bn}.{part}"] = (shape[0],)

    conv_bn("first_conv", "conv", "bn", (WIDTHS[0], 3, 3, 3))
    c = WIDTHS[0]
    conv_bn("blocks.0.mobile_inverted_conv.depth_conv", "conv", "bn", (c, 1, 3, 3))
    conv_bn("blocks.0.mobile_inverted_conv.point_linear", "conv", "bn", (c, c, 1, 1))
    for stage in range(5):
        for i in range(4):
            name = f"blocks.{1 + 4 * stage + i}.mobile_inverted_conv"
            out, hidden = WIDTHS[1 + stage], divisible(6 * c)
            names = ("conv.conv", "bn.bn")
            conv_bn(f"{name}.inverted_bottleneck", *names, (hidden, c, 1, 1))
            conv_bn(f"{name}.depth_conv", *names, (hidden, 1, 7, 7))
            conv_bn(f"{name}.point_linear", *names, (out, hidden, 1, 1))
            found[f"{name}.depth_conv.conv.7to5_matrix"] = (25, 25)
            found[f"{name}.depth_conv.conv.5to3_matrix"] = (9, 9)
            if SQUEEZE[stage]:
                mid = divisible(hidden // 4)
                fc = f"{name}.depth_conv.se.fc"
                found[f"{fc}.reduce.weight"] = (mid, hidden, 1, 1)
                found[f"{fc}.reduce.bias"] = (mid,)
                found[f"{fc}.expand.weight"] = (hidden, mid, 1, 1)
                found[f"{fc}.expand.bias"] = (hidden,)
            c = out
    conv_bn("final_expand_layer", "conv", "bn", (WIDTHS[6], c, 1, 1))
    found["feature_mix_layer.conv.weight"] = (WIDTHS[7], WIDTHS[6], 1, 1)
    found["classifier.linear.weight"] = (CLASSES, WIDTHS[7])
    found["classifier.linear.bias"] = (CLASSES,)
    return found


def weights():
    found = {}
    for index, (name, shape) in enumerate(sorted(shapes().items())):
        v = value(index, shape)
        if name.endswith("_matrix"):
            w = np.eye(shape[0]) + 0.2 * v
        elif len(shape) > 1:
            w = v * np.sqrt(24 / np.prod(shape[1:]))
        elif "bn.weight" in name:
            w = 1 + 0.4 * v
        else:
            w = 0.4 * v
        found[name] = torch.tensor(w.astype(np.float32).astype(np.float64), requires_grad=True)
    return found


def kernel(w, name, channels, size):
    filters = w[f"{name}.conv.weight"][:channels]
    for source, target in ((7, 5), (5, 3)):
        if size <= target:
            edge = (source - target) // 2
            middle = filters[:, :, edge : edge + target, edge : edge + target]
            flat = middle.reshape(channels, target * target)
            flat = F.linear(flat, w[f"{name}.{source}to{target}_matrix"])
            filters = flat.reshape(channels, 1, target, target)
    return filters


def norm(w, name, x):
    c = x.shape[1]
    weight, bias = w[f"{name}.weight"][:c], w[f"{name}.bias"][:c]
    return F.batch_norm(x, None, None, weight, bias, training=True)


def layer(w, name, x, out, k, e, stride, act, squeeze):
    hidden = divisible(e * x.shape[1])
    y = F.conv2d(x, w[f"{name}.inverted_bottleneck.conv.conv.weight"][:hidden, : x.shape[1]])
    y = act(norm(w, f"{name}.inverted_bottleneck.bn.bn", y))
    filters = kernel(w, f"{name}.depth_conv.conv", hidden, k)
    y = F.conv2d(y, filters, stride=stride, padding=k // 2, groups=hidden)
    y = act(norm(w, f"{name}.depth_conv.bn.bn", y))
    if squeeze:
        fc, mid = f"{name}.depth_conv.se.fc", divisible(hidden // 4)
        s = y.mean((2, 3), keepdim=True)
        reduce = w[f"{fc}.reduce.weight"][:mid, :hidden]
        s = F.relu(F.conv2d(s, reduce, w[f"{fc}.reduce.bias"][:mid]))
        expand = w[f"{fc}.expand.weight"][:hidden, :mid]
        y = y * F.hardsigmoid(F.conv2d(s, expand, w[f"{fc}.expand.bias"][:hidden]))
    y = F.conv2d(y, w[f"{name}.point_linear.conv.conv.weight"][:out, :hidden])
    y = norm(w, f"{name}.point_linear.bn.bn", y)
    return y + x if stride == 1 and x.shape[1] == out else y


def forward(w, arch, x):
    side = arch["r"]
    if x.shape[-1] != side:
        x = F.interpolate(x, (side, side), mode="bilinear", antialias=True)
    x = F.conv2d(x, w["first_conv.conv.weight"], padding=1)
    x = F.hardswish(norm(w, "first_conv.bn", x))
    name = "blocks.0.mobile_inverted_conv"
    y = F.conv2d(x, w[f"{name}.depth_conv.conv.weight"], padding=1, groups=x.shape[1])
    y = F.relu(norm(w, f"{name}.depth_conv.bn", y))
    y = F.conv2d(y, w[f"{name}.point_linear.conv.weight"])
    x = x + norm(w, f"{name}.point_linear.bn", y)
    ks, es = iter(arch["ks"]), iter(arch["e"])
    for stage, depth in enumerate(arch["d"]):
        act = F.hardswish if stage >= 2 else F.relu
        for i in range(depth):
            name = f"blocks.{1 + 4 * stage + i}.mobile_inverted_conv"
            stride = STRIDES[stage] if i == 0 else 1
            out = WIDTHS[1 + stage]
            x = layer(w, name, x, out, next(ks), next(es), stride, act, SQUEEZE[stage])
    x = F.conv2d(x, w["final_expand_layer.conv.weight"])
    x = F.hardswish(norm(w, "final_expand_layer.bn", x)).mean((2, 3), keepdim=True)
    x = F.hardswish(F.conv2d(x, w["feature_mix_layer.conv.weight"])).flatten(1)
    return F.linear(x, w["classifier.linear.weight"], w["classifier.linear.bias"])


def probed(w, loss):
    """Norm of each gradient, and its product with hashed numbers; matrices of smaller kernels that no
    subnet uses have none."""
    names = sorted(w)
    tensors = [w[name] for name in names]
    found = torch.autograd.grad(loss, tensors, retain_graph=True, allow_unused=True)
    rows = {}
    for index, (name, g) in enumerate(zip(names, found)):
        if g is None:
            continue
        probe = torch.tensor(value(5000 + index, tuple(g.shape)))
        rows[name] = [g.norm().item(), (g * probe).sum().item()]
    return rows


def main():
    w = weights()
    x = torch.tensor((4 * value(9999, IMAGES)).astype(np.float32).astype(np.float64))
    labels = torch.tensor(LABELS)
    logits = [forward(w, arch, x) for arch in ARCHS]
    hard = sum(F.cross_entropy(y, labels) for y in logits)
    teacher = logits[0].detach().softmax(1)
    soft = F.cross_entropy(logits[0], labels)
    soft = soft + sum(F.cross_entropy(y, teacher) for y in logits[1:])
    write_numbers(
        SEARCH / "elastic.json",
        {
            "classes": CLASSES,
            "images": list(IMAGES),
            "labels": LABELS,
            "archs": ARCHS,
            "logits": logits,
            "gradients": probed(w, hard),
            "distilled": probed(w, soft),
        },
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
