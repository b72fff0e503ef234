//! The multi-objective part of NSGANetV2 (Lu et al. 2020): non-dominated sorting and crowding
//! ([`sort`]), hypervolume ([`hypervolume`]), NSGA-II over integer genomes ([`search`]), and which
//! candidates to train next ([`subset`]).
//!
//! All objectives are minimised and must be finite. The operators are those of pymoo 0.4.1, which
//! NSGANetV2's published code runs.

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
    /// NaN or infinity.
    #[error(
        "objective {objective} of point {point} is not a finite number, so points cannot be \
         ranked; leave the point out, or give it the objective's worst value"
    )]
    NotFinite {
        /// Index of the point.
        point: usize,
        /// Index of the objective.
        objective: usize,
    },
    /// Points with different numbers of objectives.
    #[error("point {point} has {found} objectives, expected {expected}")]
    Objectives {
        /// Index of the point.
        point: usize,
        /// Its objectives.
        found: usize,
        /// Those of the first point, or of the reference.
        expected: usize,
    },
    /// A hypervolume in other than two or three dimensions.
    #[error("the hypervolume of {found} objectives was asked for, expected 2 or 3")]
    Dimensions {
        /// Objectives.
        found: usize,
    },
    /// A search with nothing to start from.
    #[error(
        "NSGA-II was given no genome to start from; give it at least one, such as the front so far"
    )]
    NoStart,
    /// A genome of another length.
    #[error("genome {genome} has {found} genes, expected {expected}, one for each choice")]
    Length {
        /// Index of the genome.
        genome: usize,
        /// Its genes.
        found: usize,
        /// Choices.
        expected: usize,
    },
    /// A gene that is not an option.
    #[error("gene {gene} of genome {genome} is {found}, expected less than {options}, its options")]
    Gene {
        /// Index of the genome.
        genome: usize,
        /// Index of the gene.
        gene: usize,
        /// Its value.
        found: usize,
        /// Options of that choice.
        options: usize,
    },
    /// An evaluation that did not answer for each genome.
    #[error("{found} results came back for {expected} genomes, expected one for each")]
    Results {
        /// Results.
        found: usize,
        /// Genomes.
        expected: usize,
    },
    /// A setting out of its range.
    #[error("{setting} is {found}, expected {expected}")]
    Setting {
        /// Name of the setting.
        setting: &'static str,
        /// What it may be.
        expected: &'static str,
        /// What it is.
        found: f64,
    },
}
