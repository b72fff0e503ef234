//! The poison sets of the paper, and P3+.

use tox_poison::space::PoisonSet;

pub const SETS: [PoisonSet; 6] = [
    PoisonSet::P1,
    PoisonSet::P2,
    PoisonSet::P3,
    PoisonSet::P4,
    PoisonSet::P5,
    PoisonSet::P3Plus,
];
