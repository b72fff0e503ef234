//! How the description of an architecture, or of the network around it, can be wrong.

use std::fmt;
use thiserror::Error;
use tox_data::ranges::OutOfRange;

/// A place in a text, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    pub line: usize,
    /// The character of the line.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why an architecture was refused. Each message says what was expected, what was found and where.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum SpaceError {
    /// The text does not have the form.
    #[error("{place}: expected {expected}, found {found}; write it as {form}")]
    Syntax {
        expected: String,
        found: String,
        place: Place,
        form: &'static str,
    },
    /// No op of the space has this name.
    #[error("{place}: no op is called `{found}`{hint}; the ops are {known}")]
    UnknownOp {
        found: String,
        place: Place,
        hint: String,
        known: String,
    },
    /// `Genotype(...)` has a key that it should not.
    #[error(
        "{place}: no part of a genotype is called `{found}`{hint}; expected normal, normal_concat, \
         reduce and reduce_concat"
    )]
    UnknownPart {
        found: String,
        place: Place,
        hint: String,
    },
    /// `Genotype(...)` has a key twice.
    #[error("{place}: `{part}` is given a second time; remove one of them")]
    RepeatedPart { part: &'static str, place: Place },
    /// `Genotype(...)` lacks a key.
    #[error(
        "the genotype has no `{part}`; expected all of normal, normal_concat, reduce and \
         reduce_concat"
    )]
    MissingPart { part: &'static str },
    /// A DARTS cell with too few or too many edges.
    #[error(
        "`{part}` has {found} edges, expected 8: two for each of the four nodes, in the nodes' \
         order"
    )]
    Edges { part: &'static str, found: usize },
    /// An edge that reads what is not computed yet.
    #[error(
        "edge {edge} (counted from 0), ('{op}', {input}), reads state {input} but belongs to node \
         {node}, which may read 0 to {}; 0 and 1 are the cell's inputs, 2 to 5 its nodes",
        node - 1
    )]
    LaterInput {
        edge: usize,
        op: &'static str,
        input: usize,
        node: usize,
    },
    /// An error within one cell of a genotype.
    #[error("`{part}`: {source}")]
    Part {
        part: &'static str,
        source: Box<SpaceError>,
    },
    /// A cell whose output is not all of its nodes.
    #[error(
        "`{part}` is {found}, expected range(2, 6), which is [2, 3, 4, 5]: a cell of the DARTS \
         space puts out all four nodes"
    )]
    Concat { part: &'static str, found: String },
    /// An index that no cell of a finite space has.
    #[error("no cell has index {found}; the space has {count} cells, 0 to {}", count - 1)]
    Index { found: usize, count: usize },
    /// An integer encoding of the wrong length.
    #[error("the encoding has {found} genes, expected {expected}: {layout}")]
    Genes {
        found: usize,
        expected: usize,
        layout: &'static str,
    },
    /// A gene out of range.
    #[error("gene {gene} (counted from 0), {meaning}, is {found}, expected 0 to {highest}")]
    Gene {
        gene: usize,
        meaning: &'static str,
        found: usize,
        highest: usize,
    },
    /// An elastic architecture whose lists do not fit its depths.
    #[error(
        "`{list}` has {found} values, expected {expected}: one for each layer, since the depths \
         `d` add up to {expected}"
    )]
    Layers {
        list: &'static str,
        found: usize,
        expected: usize,
    },
    /// A value that the space does not have.
    #[error("{what} is {found}, expected one of {allowed:?}")]
    Choice {
        what: String,
        found: usize,
        allowed: Vec<usize>,
    },
    /// An op that cannot stand in a cell.
    #[error("the bad op `{op}` cannot stand on an edge of a cell: expected {expected}")]
    BadOp { op: String, expected: &'static str },
    /// A network that cannot be built around a cell.
    #[error("the network's {what} is {found}, expected {expected}")]
    Network {
        what: &'static str,
        found: String,
        expected: String,
    },
    /// A size of such a network, by the key that sets it.
    #[error("the network's {what} is {found}, expected {expected}")]
    Size {
        key: &'static str,
        what: &'static str,
        found: usize,
        expected: String,
    },
    /// A number of an elastic space.
    #[error("the elastic space: {0}")]
    Elastic(#[from] OutOfRange),
}

/// `, did you mean ...?` if one of `known` is near `found`, else nothing.
pub fn hint(found: &str, known: &[&str]) -> String {
    let near = known
        .iter()
        .map(|name| (strsim::jaro_winkler(found, name), name));
    let best = near
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or_else(String::new, |(_, name)| format!(", did you mean `{name}`?"))
}

/// Refuses a number of a network, what the key sets, outside of `range`.
pub(crate) fn within(
    (key, what): (&'static str, &'static str),
    found: usize,
    range: std::ops::RangeInclusive<usize>,
) -> Result<(), SpaceError> {
    if range.contains(&found) {
        return Ok(());
    }
    Err(SpaceError::Size {
        key,
        what,
        found,
        expected: format!("{} to {}", range.start(), range.end()),
    })
}

/// Refuses an input (C, H, W) that cannot be halved twice without a remainder.
pub(super) fn input_shape(input: [usize; 3]) -> Result<(), SpaceError> {
    let [channels, height, width] = input;
    within(("input", "number of input channels"), channels, 1..=MAX)?;
    if [height, width]
        .iter()
        .all(|side| (1..=MAX).contains(side) && side % 4 == 0)
    {
        return Ok(());
    }
    Err(SpaceError::Network {
        what: "input size",
        found: format!("{height} x {width}"),
        expected: format!(
            "multiples of 4 up to {MAX}, since the maps are halved twice; resize the images"
        ),
    })
}

/// Most channels, cells, classes or pixels on a side that a network here may have.
pub(super) const MAX: usize = 4096;
