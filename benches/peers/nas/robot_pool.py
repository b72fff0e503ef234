"""How RoBoT draws the genotypes of its pool, and DARTS reads a genotype off alphas.

A draw is 28 rows (14 edges of the normal, then of the reduction cell) of 7 uniform numbers in
[0, 1). Every row goes through a softmax; column 0 stands for `none` and is never chosen, column k
for PRIMITIVES[k]. An edge's strength is its largest column but the first. Every node keeps its two
strongest edges (the first of equals), the stronger first, with the op of that column.

Seven columns leave dil_conv_5x5, the eighth primitive, out of the published pool. `columns=8` puts
it in; with alphas instead of uniform numbers that is how DARTS discretises.
"""

import numpy as np

from darts_net import PRIMITIVES, Genotype

FIRST_EDGE = [0, 2, 5, 9]


def draw(rng, columns=7):
    """`rng`: a numpy RandomState; the published one is seeded with the run's seed."""
    return rng.random_sample((28, columns)).reshape(2, 14, columns)


def softmax(rows):
    e = np.exp(rows - rows.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def entries(rows):
    found = []
    for node, first in enumerate(FIRST_EDGE):
        choices = rows[first : first + node + 2, 1:]
        for source in sorted(range(node + 2), key=lambda e: -choices[e].max())[:2]:
            found.append((PRIMITIVES[1 + int(choices[source].argmax())], source))
    return found


def genotype(weights):
    normal, reduce = (entries(softmax(rows)) for rows in weights)
    return Genotype(normal, range(2, 6), reduce, range(2, 6))
