//! Rows that are likely mislabelled or poisoned, ranked by several methods.
//!
//! A [`Method`] is a file here and a line in [`METHODS`]; it gives every row a score, the label that it would
//! have, and why. Those that learn from rows whose labels somebody vouches for ([`Method::needs_trusted`]) are
//! left out where there are none: rows held out of those that are judged may be poisoned themselves.
//! [`find`] runs them, and orders the rows by the mean of their ranks. [`quality`] measures an order against a
//! poison that is known.

mod confident;
mod fit;
mod hypergradient;
mod knn;
mod loss;
pub mod quality;

pub use confident::{Doubt, doubt};

use crate::cleanse::CleanseError;
use fit::scaled;
use quality::ranks;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_bilevel::Points;
use tox_data::features::Features;
use tox_data::ranges::{self, OutOfRange};

/// All methods.
pub const METHODS: &[&dyn Method] = &[
    &knn::Knn,
    &loss::Loss,
    &confident::Confident,
    &hypergradient::Hypergradient,
];

/// What all methods together are called.
pub const COMBINED: &str = "combined";

/// A way to find suspects.
pub trait Method: Sync {
    /// Its word in commands and recipes.
    fn name(&self) -> &'static str;

    /// What it does, in a sentence without its end.
    fn about(&self) -> &'static str;

    /// Whether it learns from rows whose labels somebody vouches for.
    fn needs_trusted(&self) -> bool {
        false
    }

    /// Judges every row.
    ///
    /// # Errors
    /// Rows of no use, and training that diverges.
    fn judge(&self, case: &Case<'_>, go_on: &mut dyn FnMut(f64) -> bool) -> Judged;
}

/// What a method finds of every row; `None` if `go_on` said so.
pub type Judged = Result<Option<Found>, CleanseError>;

/// Numbers of the methods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// knn: neighbours.
    #[schemars(range(min = 1, max = 1000))]
    pub k: usize,
    /// Inverse strength of the penalty of every logistic regression, as scikit-learn's C.
    #[schemars(range(min = 1e-6, max = 1e6))]
    pub c: f64,
    /// confident and hypergradient: folds of the cross-validation. A row is judged by a model that did
    /// not see it.
    #[schemars(range(min = 2, max = 100))]
    pub folds: usize,
    /// hypergradient: steps of gradient descent that are differentiated. Few of them see what whole
    /// classes have in common; many fit single rows, and so do their derivatives.
    #[schemars(range(min = 1, max = 10_000))]
    pub steps: usize,
    /// hypergradient: most times that the weights of the rows are moved. Of these, as many are made as
    /// trusted rows that had no part in them ask for, by cross-validation.
    #[schemars(range(min = 1, max = 1000))]
    pub iterations: usize,
    /// hypergradient: the first move of a row whose derivative is larger than those of 95 % of the rows, of weights in [0, 1].
    #[schemars(range(min = 1e-9, max = 1.0))]
    pub rate: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            k: 10,
            c: 1.0,
            folds: 5,
            steps: 30,
            iterations: 20,
            rate: 0.3,
        }
    }
}

impl Settings {
    /// Whether every number is in its range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), CleanseError> {
        Ok(ranges::check(self)?)
    }
}

/// The rows that are judged, and what the methods know of them.
pub struct Case<'a> {
    /// As they came.
    pub rows: &'a Features,
    /// Rows whose labels somebody vouches for.
    pub trusted: Option<&'a Features>,
    pub settings: &'a Settings,
    /// Of all that is drawn.
    pub seed: u64,
    /// The rows, of features of about one size, and the trusted rows beside them.
    points: Points<f32>,
    trusted_points: Option<Points<f32>>,
}

impl<'a> Case<'a> {
    /// # Errors
    /// Settings out of range, fewer than two rows a fold, and trusted rows of other columns or classes.
    pub fn new(
        rows: &'a Features,
        trusted: Option<&'a Features>,
        settings: &'a Settings,
        seed: u64,
    ) -> Result<Self, CleanseError> {
        Self::check(rows, trusted, settings)?;
        let (points, trusted_points) = scaled(rows, trusted);
        Ok(Self {
            rows,
            trusted,
            settings,
            seed,
            points,
            trusted_points,
        })
    }

    /// As [`Case::new`], before anything is computed.
    ///
    /// # Errors
    /// As [`Case::new`].
    pub fn check(
        rows: &Features,
        trusted: Option<&Features>,
        settings: &Settings,
    ) -> Result<(), CleanseError> {
        settings.check()?;
        let k = settings.k.max(2 * settings.folds - 1);
        if rows.rows <= k {
            let rows = rows.rows;
            return Err(CleanseError::FewToJudge { k, rows });
        }
        trusted.map_or(Ok(()), |trusted| fits(trusted, rows))
    }

    fn classes(&self) -> usize {
        self.rows.class_names.len()
    }

    /// The trusted rows, scaled, or why there are none.
    fn trusted_points(&self) -> Result<&Points<f32>, CleanseError> {
        self.trusted_points.as_ref().ok_or(CleanseError::Trusted {
            what: "there are none, and this method learns from them".into(),
        })
    }

    /// The name of a class, for people.
    fn class(&self, label: usize) -> &str {
        &self.rows.class_names[label]
    }
}

/// Whether the trusted rows are of the kind of these rows.
fn fits(trusted: &Features, rows: &Features) -> Result<(), CleanseError> {
    let refuse = |what: String| Err(CleanseError::Trusted { what });
    let describe = |set: &Features| {
        let bytes = matches!(set.values, tox_data::features::Values::Bytes(_));
        let kind = if bytes { "8-bit" } else { "float" };
        match set.shape {
            Some([c, h, w]) => format!("{kind} images of {c} x {h} x {w}"),
            None => format!("rows of {} {kind} columns", set.columns),
        }
    };
    let (expected, found) = (describe(rows), describe(trusted));
    let classes = rows.class_names.len();
    match trusted.labels.iter().find(|l| usize::from(**l) >= classes) {
        _ if expected != found => refuse(format!("{found}, expected {expected}")),
        _ if trusted.rows < 2 => refuse(format!("{} rows, expected at least 2", trusted.rows)),
        Some(label) => refuse(format!("label {label}, expected one below {classes}")),
        None => Ok(()),
    }
}

/// Numbers of one kind, one a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    pub name: &'static str,
    pub values: Vec<f64>,
    /// Whether a low number is the suspicious one.
    pub low: bool,
}

impl Score {
    /// The numbers, of which the larger is the more suspicious.
    pub fn suspicion(&self) -> Vec<f64> {
        let sign = if self.low { -1.0 } else { 1.0 };
        self.values.iter().map(|value| sign * value).collect()
    }
}

/// What a method finds, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Found {
    /// The first is what it ranks by.
    pub scores: Vec<Score>,
    /// The label that a row would have; its own where nothing speaks for another.
    pub suggested: Vec<u16>,
    /// In words.
    pub reasons: Vec<String>,
    /// Probabilities of every class by models that did not see the row, row-major; of methods that have them.
    pub probabilities: Option<Vec<f64>>,
}

/// All that was found.
#[derive(Clone, Debug)]
pub struct Suspects {
    /// What each method found, by its name.
    pub found: Vec<(&'static str, Found)>,
    /// Methods that could not be asked, for want of trusted rows.
    pub left_out: Vec<&'static str>,
    /// Mean of the rows' ranks by the methods, from 1, of equal rows the mean of theirs; low is suspicious.
    pub combined: Vec<f64>,
    /// The rows, the most suspicious first, of equal ones the first.
    pub order: Vec<usize>,
    /// The label that most methods give a row; of equally many that of the method listed last.
    pub suggested: Vec<u16>,
}

impl Suspects {
    /// All scores, each method's in its order, and the combined rank.
    pub fn scores(&self) -> Vec<Score> {
        let of_methods = self.found.iter().flat_map(|(_, found)| &found.scores);
        let combined = Score {
            name: COMBINED,
            values: self.combined.clone(),
            low: true,
        };
        of_methods.cloned().chain([combined]).collect()
    }

    /// Why a row is where it is, in words.
    pub fn reason(&self, row: usize) -> String {
        let reasons = self.found.iter().map(|(_, found)| &found.reasons[row][..]);
        reasons.collect::<Vec<_>>().join("; ")
    }
}

/// The methods that can be asked, and those that are left out for want of trusted rows.
///
/// # Errors
/// None that can be asked.
pub fn askable(
    methods: &[&'static dyn Method],
    trusted: bool,
) -> Result<[Vec<&'static dyn Method>; 2], CleanseError> {
    let (asked, left_out): (Vec<_>, Vec<_>) = methods
        .iter()
        .partition(|method| trusted || !method.needs_trusted());
    if asked.is_empty() {
        let names: Vec<_> = methods.iter().map(|method| method.name()).collect();
        return Err(CleanseError::Trusted {
            what: format!("there are none, and {} learns from them", names.join(", ")),
        });
    }
    Ok([asked, left_out])
}

/// Asks `methods` about every row of `case`; `go_on` is told the share of the work done and its name, and says
/// whether to go on. `None` if not.
///
/// # Errors
/// No method that can be asked, and the first that fails.
pub fn find(
    case: &Case<'_>,
    methods: &[&'static dyn Method],
    go_on: &mut dyn FnMut(f64, &str) -> bool,
) -> Result<Option<Suspects>, CleanseError> {
    let [asked, left_out] = askable(methods, case.trusted.is_some())?;
    let mut found = Vec::new();
    for (i, method) in asked.iter().enumerate() {
        let mut part = |done: f64| go_on((i as f64 + done) / asked.len() as f64, method.name());
        if !part(0.0) {
            return Ok(None);
        }
        let Some(judged) = method.judge(case, &mut part)? else {
            return Ok(None);
        };
        found.push((method.name(), judged));
    }
    let rows = case.rows.rows;
    let mut combined = vec![0.0; rows];
    for (_, judged) in &found {
        for (sum, rank) in combined
            .iter_mut()
            .zip(ranks(&judged.scores[0].suspicion()))
        {
            *sum += rank / found.len() as f64;
        }
    }
    let mut order: Vec<usize> = (0..rows).collect();
    order.sort_by(|a, b| combined[*a].total_cmp(&combined[*b]));
    let suggested = (0..rows).map(|row| {
        let votes: Vec<u16> = found.iter().map(|(_, f)| f.suggested[row]).collect();
        most_voted(&votes, case.rows.labels[row])
    });
    Ok(Some(Suspects {
        suggested: suggested.collect(),
        left_out: left_out.iter().map(|method| method.name()).collect(),
        found,
        combined,
        order,
    }))
}

/// The most frequent of `votes`; of equally many the last. Without votes `own`.
fn most_voted(votes: &[u16], own: u16) -> u16 {
    let count = |label: u16| votes.iter().filter(|vote| **vote == label).count();
    votes
        .iter()
        .copied()
        .max_by_key(|label| count(*label))
        .unwrap_or(own)
}

/// Every word for one of the methods, and for all.
pub fn words() -> Vec<&'static str> {
    let names = METHODS.iter().map(|method| method.name());
    names.chain([COMBINED]).collect()
}

/// The methods of these names, in the list's order; none named means all.
///
/// # Errors
/// A name that no method has.
pub fn named(names: &[impl AsRef<str>]) -> Result<Vec<&'static dyn Method>, OutOfRange> {
    let known = |name: &str| METHODS.iter().any(|method| method.name() == name);
    let names: Vec<&str> = names.iter().map(AsRef::as_ref).collect();
    let named: Vec<&str> = names.iter().copied().filter(|n| *n != COMBINED).collect();
    if let Some(name) = named.iter().find(|name| !known(name)) {
        return Err(OutOfRange::new("method", name, words().join(", ")));
    }
    let all = named.is_empty();
    let chosen = METHODS.iter().copied();
    Ok(chosen
        .filter(|method| all || named.contains(&method.name()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_votes_win_and_of_equally_many_the_last() {
        assert_eq!(most_voted(&[3, 5, 3, 7], 1), 3);
        assert_eq!(most_voted(&[3, 5], 1), 5);
        assert_eq!(most_voted(&[3, 3, 5, 5], 1), 5);
        assert_eq!(most_voted(&[], 1), 1);
    }

    #[test]
    fn methods_are_named_or_all() {
        let names =
            |of: &[&str]| -> Vec<_> { named(of).unwrap().iter().map(|m| m.name()).collect() };
        assert_eq!(names(&[]).len(), METHODS.len());
        assert_eq!(names(&["combined"]).len(), METHODS.len());
        assert_eq!(names(&["loss", "knn"]), ["knn", "loss"]);
        let error = named(&["nose"]).err().unwrap().to_string();
        assert!(
            error.contains("nose") && error.contains("hypergradient"),
            "{error}"
        );
    }
}
