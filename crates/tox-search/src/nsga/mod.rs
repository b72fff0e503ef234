//! The multi-objective part of NSGANetV2 (Lu et al. 2020): non-dominated sorting and crowding
//! ([`sort`]), hypervolume ([`hypervolume`]), NSGA-II over integer genomes ([`search`]), and which
//! candidates to train next ([`subset`]).
//!
//! All objectives are minimised and must be finite. The operators are those of pymoo 0.4.1, which
//! NSGANetV2's published code runs.

use tox_data::ranges::OutOfRange;

mod breed;
pub mod hypervolume;
pub mod search;
pub mod sort;
pub mod subset;
pub mod variation;

/// An encoded architecture: gene `g` is the index of one of the `g`-th choice's options.
pub type Genome = Vec<usize>;

/// Why points could not be compared or a search not begun.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NsgaError {
    #[error(
        "objective {objective} of point {point} is not a finite number, so points cannot be \
         ranked; leave the point out, or give it the objective's worst value"
    )]
    NotFinite { point: usize, objective: usize },
    #[error("point {point} has {found} objectives, expected {expected}")]
    Objectives {
        point: usize,
        found: usize,
        expected: usize,
    },
    #[error("the hypervolume of {found} objectives was asked for, expected 2 or 3")]
    Dimensions { found: usize },
    #[error(
        "NSGA-II was given no genome to start from; give it at least one, such as the front so far"
    )]
    NoStart,
    #[error("genome {genome} has {found} genes, expected {expected}, one for each choice")]
    Length {
        genome: usize,
        found: usize,
        expected: usize,
    },
    #[error("gene {gene} of genome {genome} is {found}, expected less than {options}, its options")]
    Gene {
        genome: usize,
        gene: usize,
        found: usize,
        options: usize,
    },
    #[error("{found} results came back for {expected} genomes, expected one for each")]
    Results { found: usize, expected: usize },
    #[error(transparent)]
    Setting(#[from] OutOfRange),
}
