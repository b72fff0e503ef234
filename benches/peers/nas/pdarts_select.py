"""How P-DARTS goes from alphas to fewer ops and, at last, to a genotype.

`switches` are 14 rows of 8 booleans (edges x PRIMITIVES); the probabilities of an edge are the
softmax over its ops that are on, in the order of PRIMITIVES.

Between stages the 3 (then 2) least probable ops of every edge are switched off, `none` among them
if it is weak. After the last stage (3 ops left) `none` goes in any case, the weakest of the others
with it, so that one op stays; if `none` was off already, the two weakest go. An edge's strength is
its largest probability, `none` aside. Node 2 keeps both edges, nodes 3 to 5 their two strongest (of
equals, the later edge). The genotype lists edges in ascending order.

Skips of the normal cell are then limited: as long as too many skips are kept, the kept skip of the
lowest probability (the first of equals) gets probability 0, and ops and edges are chosen again from
the switches before the last choice.
"""

import copy

import torch

from darts_net import EDGES, PRIMITIVES, Genotype

SKIP = PRIMITIVES.index("skip_connect")
FIRST_EDGE = [0, 2, 5, 9]


def probabilities(alphas):
    return torch.softmax(torch.as_tensor(alphas, dtype=torch.float64), -1).tolist()


def ops_on(row):
    return [op for op, on in enumerate(row) if on]


def weakest(values, count):
    """Positions of the `count` lowest values, the first of equals first."""
    return sorted(range(len(values)), key=lambda i: values[i])[:count]


def drop_ops(switches, probs, count):
    """The switches of the next stage."""
    switches = copy.deepcopy(switches)
    for row, p in zip(switches, probs):
        on = ops_on(row)
        for position in weakest(p, count):
            row[on[position]] = False
    return switches


def keep_one(switches, probs):
    """One op on every edge, never `none`."""
    switches = copy.deepcopy(switches)
    for row, p in zip(switches, probs):
        on = ops_on(row)
        candidates = [i for i, op in enumerate(on) if op != 0]
        # The later ones of equals stay, as they do when the weakest are removed one by one.
        best = max(candidates, key=lambda i: (p[i], i))
        for i, op in enumerate(on):
            row[op] = i == best
    return switches


def without_none(switches, probs):
    return [[0.0 if op == 0 else q for op, q in zip(ops_on(row), p)]
            for row, p in zip(switches, probs)]  # fmt: skip


def keep_two_edges(switches, probs):
    """Clears all but the two strongest edges of every node; `probs` has `none` at 0."""
    switches = copy.deepcopy(switches)
    for node, first in enumerate(FIRST_EDGE):
        edges = range(first, first + node + 2)
        kept = sorted(edges, key=lambda e: max(probs[e]))[-2:]
        for edge in edges:
            if edge not in kept:
                switches[edge] = [False] * len(PRIMITIVES)
    return switches


def skips(switches):
    return sum(row[SKIP] for row in switches)


def final(switches, alphas, max_skips=None):
    """One cell's switches after the last stage; `max_skips` limits the kept skips."""
    probs = without_none(switches, probabilities(alphas))
    chosen = keep_two_edges(keep_one(switches, probs), probs)
    while max_skips is not None and skips(chosen) > max_skips:
        where = {e: ops_on(switches[e]).index(SKIP) for e in range(EDGES) if chosen[e][SKIP]}
        edge = min(where, key=lambda e: (probs[e][where[e]], e))
        probs[edge][where[edge]] = 0.0
        chosen = keep_two_edges(keep_one(switches, probs), probs)
    return chosen


def entries(switches):
    found = []
    for node, first in enumerate(FIRST_EDGE):
        for source in range(node + 2):
            found += [(PRIMITIVES[op], source) for op in ops_on(switches[first + source])]
    return found


def genotype(normal, reduce):
    """The Genotype of two cells' final switches."""
    return Genotype(entries(normal), range(2, 6), entries(reduce), range(2, 6))
