"""Fixtures of the networks and of P-DARTS: forward, gradients, two search steps, selection."""

import torch
import torch.nn.functional as F

import darts_net
import nb201_net
import pdarts_select
from darts_net import EDGES, PRIMITIVES
from fixture_files import (
    SEARCH,
    exact,
    gradients,
    randn,
    randomise,
    weights,
    write_numbers,
    write_tensors,
)
from pdarts_step import Searcher

CLASSES = 4
GENOTYPE = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_5x5', 0), "
    "('avg_pool_3x3', 2), ('sep_conv_5x5', 1), ('max_pool_3x3', 3), ('dil_conv_3x3', 2), "
    "('skip_connect', 0)], normal_concat=range(2, 6), reduce=[('max_pool_3x3', 0), "
    "('skip_connect', 1), ('sep_conv_3x3', 1), ('dil_conv_3x3', 2), ('avg_pool_3x3', 0), "
    "('sep_conv_5x5', 3), ('dil_conv_5x5', 1), ('skip_connect', 4)], reduce_concat=range(2, 6))"
)
CELL = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|avg_pool_3x3~0|none~1|nor_conv_3x3~2|"


def batch(seed):
    torch.manual_seed(seed)
    return randn(3, 3, 8, 8), torch.randint(0, CLASSES, (3,))


def set_alphas(network, scale):
    for alpha in network.arch_parameters():
        alpha.data = randn(*alpha.shape, scale=scale)


def stage_switches():
    """Three ops on every edge, all eight in turn, `none` on some edges and off on others."""
    normal = [[(op - edge) % 8 in (0, 3, 6) for op in range(8)] for edge in range(EDGES)]
    reduce = [[(op - 3 * edge) % 8 in (1, 2, 5) for op in range(8)] for edge in range(EDGES)]
    return normal, reduce


def case(network, images, labels, alphas=()):
    """Tensors of one network: data, weights, logits, loss gradients; alphas by (name, tensor)."""
    network.train()
    logits = network(images)
    logits = logits[0] if isinstance(logits, tuple) else logits
    loss = F.cross_entropy(logits, labels)
    names, parameters = zip(*[*network.named_parameters(), *alphas])
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    found = [torch.zeros_like(w) if g is None else g for w, g in zip(parameters, found)]
    tensors = {"images": images.float(), "labels": labels, "logits": logits}
    tensors |= weights(network) | gradients(names, found)
    for (name, alpha), g in zip(alphas, found[len(found) - len(alphas) :]):
        tensors |= {f"alphas.{name}": alpha, f"gradients.{name}": g}
    return tensors, loss.item()


def darts_alphas(network):
    return [("normal", network.alphas_normal), ("reduce", network.alphas_reduce)]


def darts_search(info):
    images, labels = batch(1)
    network = randomise(darts_net.SearchNetwork(2, CLASSES, 3))
    set_alphas(network, 0.5)
    tensors, loss = case(network, images, labels, darts_alphas(network))
    found = {k: tensors.pop(k) for k in list(tensors) if k.startswith("gradients.")}
    write_tensors(SEARCH / "darts_search.safetensors", tensors)
    write_tensors(SEARCH / "darts_search_gradients.safetensors", found)
    info["darts_search"] = {"channels": 2, "cells": 3, "classes": CLASSES, "loss": loss}


def stage_network(p=0.4):
    torch.manual_seed(2)
    normal, reduce = stage_switches()
    network = randomise(darts_net.SearchNetwork(4, CLASSES, 3, normal, reduce, p))
    set_alphas(network, 0.5)
    return network


def darts_stage(info):
    network = stage_network()
    images, labels = batch(3)
    network.set_p(0.0)
    tensors, loss = case(network, images, labels, darts_alphas(network))
    network.set_p(0.4)
    for name, module in network.named_modules():
        if isinstance(module, darts_net.SkipDropout):
            edge = name.split(".m_ops")[0]
            hook = module.register_forward_pre_hook(
                lambda module, inputs: setattr(module, "mask", torch.rand_like(inputs[0]) >= 0.4)
            )
            module.note = (f"masks.{edge}", hook)
    logits = network(images)
    dropped = F.cross_entropy(logits, labels)
    found = torch.autograd.grad(dropped, network.arch_parameters())
    tensors |= {"dropped_logits": logits}
    tensors |= {"dropped_gradients.normal": found[0], "dropped_gradients.reduce": found[1]}
    for module in network.skip_dropouts():
        name, hook = module.note
        hook.remove()
        tensors[name] = module.mask.to(torch.uint8)
    write_tensors(SEARCH / "darts_stage.safetensors", tensors)
    normal, reduce = stage_switches()
    info["darts_stage"] = {"channels": 4, "cells": 3, "classes": CLASSES, "loss": loss}
    info["darts_stage"] |= {"skip_dropout": 0.4, "dropped_loss": dropped.item()}
    names = [[[n for n, on in zip(PRIMITIVES, row) if on] for row in s] for s in (normal, reduce)]
    info["darts_stage"] |= {"normal": names[0], "reduce": names[1]}


def genotype_network():
    torch.manual_seed(4)
    genotype = darts_net.read_genotype(GENOTYPE)
    return randomise(darts_net.Network(4, CLASSES, 4, genotype))


def darts_genotype(info):
    network = genotype_network()
    images, labels = batch(5)
    tensors, loss = case(network, images, labels)
    # The one forward so far moved the running statistics from (0, 1) by a tenth.
    for name, buffer in network.named_buffers():
        if "running" in name:
            tensors[f"statistics.{name}"] = buffer.clone()
    network.eval()
    tensors["eval_logits"] = network(images)[0]
    network.train()
    masks = (torch.rand(4, 8, 3) >= 0.3).to(torch.uint8)
    logits = network(images, 0.3, masks)[0]
    tensors |= {"drop_path_masks": masks, "dropped_logits": logits}
    write_tensors(SEARCH / "darts_genotype.safetensors", tensors)
    info["darts_genotype"] = {"channels": 4, "cells": 4, "classes": CLASSES, "loss": loss}
    info["darts_genotype"] |= {"genotype": GENOTYPE, "drop_path": 0.3}
    info["darts_genotype"] |= {"dropped_loss": F.cross_entropy(logits, labels).item()}


def formula_weight(shape, tensor):
    """((37 i + 11 tensor) mod 101 - 50) / 50 for flat index i, times sqrt(2 / fan-in)."""
    i = torch.arange(torch.Size(shape).numel())
    values = ((37 * i + 11 * tensor) % 101 - 50).double() / 50
    fan_in = torch.Size(shape[1:]).numel()
    return (values * (2 / fan_in) ** 0.5).view(shape)


def auxiliary_head(info):
    """Too big to store: weights follow a formula, gradients are given by sums and some entries."""
    torch.manual_seed(6)
    head = darts_net.AuxiliaryHead(4, CLASSES).double()
    images, labels = randn(3, 4, 8, 8).requires_grad_(), torch.randint(0, CLASSES, (3,))
    names = [name for name, _ in head.named_parameters()]
    with torch.no_grad():
        for t, (name, w) in enumerate(head.named_parameters()):
            if w.dim() > 1:
                w.copy_(formula_weight(w.shape, t))
            else:
                w.fill_(1.0 if name.endswith("weight") else 0.0)
    logits = head(images)
    loss = F.cross_entropy(logits, labels)
    found = torch.autograd.grad(loss, [images, *head.parameters()])
    write_tensors(
        SEARCH / "auxiliary_head.safetensors",
        {"input": images.float(), "labels": labels, "logits": logits, "grad_input": found[0]},
    )
    checks = {}
    for name, g in zip(names, found[1:]):
        flat = g.flatten()
        at = [int(i) for i in torch.linspace(0, flat.numel() - 1, 5)]
        checks[name] = {"shape": list(g.shape), "norm": flat.norm(), "at": at, "values": flat[at]}
    info["auxiliary_head"] = {"channels": 4, "classes": CLASSES, "loss": loss.item()}
    info["auxiliary_head"] |= {"names": names, "gradients": checks}


def nb201_search(info):
    torch.manual_seed(7)
    network = randomise(nb201_net.SearchNetwork(4, 1, CLASSES))
    set_alphas(network, 0.5)
    images, labels = batch(8)
    tensors, loss = case(network, images, labels, [("cell", network.alphas)])
    write_tensors(SEARCH / "nb201_search.safetensors", tensors)
    info["nb201_search"] = {"channels": 4, "n": 1, "classes": CLASSES, "loss": loss}


def cell_network():
    torch.manual_seed(9)
    return randomise(nb201_net.Network(4, 1, CLASSES, nb201_net.read_cell(CELL)))


def nb201_cell(info):
    network = cell_network()
    images, labels = batch(10)
    tensors, loss = case(network, images, labels)
    write_tensors(SEARCH / "nb201_cell.safetensors", tensors)
    info["nb201_cell"] = {"channels": 4, "n": 1, "classes": CLASSES, "loss": loss, "cell": CELL}


def pdarts_steps(info):
    """From the weights and alphas of darts_stage, nothing dropped.

    The clip acts on the weights, on both, or on neither.
    """
    batches = [batch(seed) for seed in (11, 12, 13, 14)]
    tensors = {}
    for i, (images, labels) in enumerate(batches):
        name = f"{['valid', 'train'][i % 2]}.{i // 2}"
        tensors |= {f"images.{name}": images.float(), f"labels.{name}": labels}
    runs = {}
    for name, clip in (("clip 5", 5.0), ("clip 0.3", 0.3), ("clip 100", 100.0)):
        network = stage_network(p=0.0)
        searcher = Searcher(network, clip=clip)
        reports = []
        for step in range(2):
            reports.append(searcher.step(batches[2 * step + 1], batches[2 * step]))
            for cell, alpha in darts_alphas(network):
                tensors[f"{name}.alphas.{cell}.{step}"] = alpha.detach().clone()
        checks = {}
        for key, w in network.named_parameters():
            flat = w.flatten()
            checks[key] = [flat.sum(), flat.norm(), flat[0], flat[-1]]
        runs[name] = {"clip": clip, "steps": reports, "weights_after": checks}
    write_tensors(SEARCH / "pdarts_steps.safetensors", tensors)
    settings = {"lr": 0.025, "momentum": 0.9, "decay": 3e-4, "alpha_lr": 6e-4}
    settings |= {"alpha_betas": [0.5, 0.999], "alpha_decay": 1e-3}
    write_numbers(SEARCH / "pdarts_steps.json", settings | runs)


def pdarts_selection():
    """Random alphas of three stages: switches after each, genotypes for every limit of skips."""
    torch.manual_seed(15)
    cases = []
    for _ in range(6):
        switches = [[[True] * 8 for _ in range(EDGES)] for _ in range(2)]
        stages = []
        for ops, drop in ((8, 3), (5, 2)):
            alphas = exact(torch.randn(2, EDGES, ops))
            pairs = zip(switches, map(pdarts_select.probabilities, alphas))
            switches = [pdarts_select.drop_ops(s, p, drop) for s, p in pairs]
            names = [[[PRIMITIVES[o] for o in pdarts_select.ops_on(r)] for r in s]
                     for s in switches]  # fmt: skip
            stages.append({"alphas": alphas, "kept": names})
        alphas = exact(torch.randn(2, EDGES, 3))
        reduce = pdarts_select.final(switches[1], alphas[1])
        genotypes = {}
        for limit in range(8, -1, -1):
            normal = pdarts_select.final(switches[0], alphas[0], limit)
            genotypes[str(limit)] = str(pdarts_select.genotype(normal, reduce))
        cases.append({"stages": stages, "last_alphas": alphas, "genotype_of_max_skips": genotypes})
    write_numbers(SEARCH / "pdarts_selection.json", {"primitives": PRIMITIVES, "cases": cases})


def main():
    info = {}
    darts_search(info)
    darts_stage(info)
    darts_genotype(info)
    auxiliary_head(info)
    nb201_search(info)
    nb201_cell(info)
    write_numbers(SEARCH / "networks.json", info)
    pdarts_steps(info)
    pdarts_selection()
