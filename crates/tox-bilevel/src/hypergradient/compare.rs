//! The paper's Table II, measured: what each way to a hypergradient costs, and how far from the
//! truth it is, at several lengths of the inner training.

use super::reference::converged;
use super::{
    ConjugateGradient, Exact, ForwardMode, Hypergradient, Hypergradients, ReverseMode, Solve,
};
use crate::config::Keep;
use crate::inner::{Diverged, Problem};
use crate::kernels::Products;
use serde::{Deserialize, Serialize};
use std::time::Instant;
use tox_data::ranges::OutOfRange;

/// What is compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The lengths T of the inner training, each 1 to 100,000.
    pub steps: Vec<usize>,
    /// Conjugate gradient as it is compared.
    pub conjugate_gradient: ConjugateGradient,
    /// The exact inverse as it is compared; also the limit of the reference's.
    pub exact: Exact,
    /// Features of the poison that forward mode is run for, from 1; if there are more, its time is
    /// extrapolated. Those of largest hypergradient are taken.
    pub features: usize,
    /// Each time is the least of so many, from 1.
    pub repeats: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            steps: vec![35, 70, 140, 280, 560],
            conjugate_gradient: ConjugateGradient::default(),
            exact: Exact::default(),
            features: 4,
            repeats: 1,
        }
    }
}

/// A way to a hypergradient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Reverse mode, everything kept.
    Reverse,
    /// Reverse mode, weights kept.
    ReverseStates,
    /// Reverse mode, checkpoints kept.
    ReverseCheckpoints,
    /// Forward mode.
    Forward,
    /// Conjugate gradient.
    ConjugateGradient,
    /// The exact inverse.
    Exact,
}

/// All, in the order of a table.
const METHODS: [Method; 6] = [
    Method::Reverse,
    Method::ReverseStates,
    Method::ReverseCheckpoints,
    Method::Forward,
    Method::ConjugateGradient,
    Method::Exact,
];

impl Method {
    /// As a table names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reverse => "RMD",
            Self::ReverseStates => "RMD, weights kept",
            Self::ReverseCheckpoints => "RMD, checkpoints",
            Self::Forward => "FMD",
            Self::ConjugateGradient => "CG",
            Self::Exact => "exact",
        }
    }
}

/// What a line of the table took.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seconds {
    /// For the training and both hypergradients; `None` if it failed.
    pub whole: Option<f64>,
    /// For the training alone.
    pub training: f64,
}

/// A line of the table: one way at one T.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodRow {
    /// The way.
    pub method: Method,
    /// T.
    pub steps: usize,
    /// Features of the poison that were run, if the time is extrapolated from them; the errors are
    /// then over these alone.
    pub extrapolated_from: Option<usize>,
    /// Bytes of all buffers that it holds at its peak, for the whole hypergradient, counted from their
    /// lengths, without the data.
    pub peak_bytes: usize,
    /// `||g - e|| / ||e||` of the poison's hypergradient g, e being exact at convergence.
    pub error_poison: Option<f64>,
    /// The same of lambda's.
    pub error_lambda: Option<f64>,
    /// `||g - r|| / ||r||`, r being reverse mode's at the same T.
    pub off_reverse_poison: Option<f64>,
    /// The same of lambda's.
    pub off_reverse_lambda: Option<f64>,
    /// Relative residual of the implicit system.
    pub residual: Option<f64>,
    /// Products with the Hessian that solving it took.
    pub products: Option<usize>,
    /// Norm of the training loss's gradient at the weights where it was solved; it should be 0.
    pub slope: Option<f64>,
    /// Why there is no result.
    pub failure: Option<String>,
}

/// The table, and what it was measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// Training points, the poison among them.
    pub train: usize,
    /// Poison points.
    pub poison: usize,
    /// Validation points.
    pub valid: usize,
    /// Features of a point.
    pub features: usize,
    /// Parameters of the model.
    pub parameters: usize,
    /// Lambdas.
    pub lambdas: usize,
    /// Bits of a number: 32 or 64.
    pub bits: usize,
    /// Norm of the training loss's gradient where the reference was taken.
    pub reference_slope: Option<f64>,
    /// Why there is no reference, so that no error is known.
    pub no_reference: Option<String>,
    /// All ways at the first T, then at the next.
    pub rows: Vec<MethodRow>,
}

/// The exact hypergradient at convergence, or why there is none.
pub type Reference = Result<Hypergradients<f64>, String>;

/// What ways are held against: exact at the minimum that Newton's method reaches in f64 from the weights of the
/// largest T.
///
/// # Errors
/// When a setting is out of range.
pub fn reference<F: Products>(
    problem: &Problem<'_, F>,
    settings: &Settings,
) -> Result<Reference, OutOfRange> {
    check(settings)?;
    let longest = settings.steps.iter().copied().max().unwrap_or(1);
    Ok(converged(problem, longest, settings.exact))
}

/// Measures all ways on `problem` at T = `steps`, which its own `steps` are not used for. What fails is a row that
/// says why. `begin` hears the share that is done and the way that begins; if it says no, there is no result.
pub fn measure<F: Products>(
    problem: &Problem<'_, F>,
    settings: &Settings,
    (steps, reference): (usize, &Reference),
    begin: &mut dyn FnMut(f64, Method) -> bool,
) -> Option<Vec<(MethodRow, Seconds)>> {
    let problem = Problem {
        steps,
        ..problem.clone()
    };
    let mut bench = Bench {
        training: timed(settings.repeats, || problem.train()).0,
        problem: &problem,
        settings,
        exact: reference.as_ref().ok(),
        reverse: None,
    };
    let mut rows = Vec::new();
    for (i, method) in METHODS.into_iter().enumerate() {
        if !begin(i as f64 / METHODS.len() as f64, method) {
            return None;
        }
        rows.push(bench.row(method));
    }
    Some(rows)
}

/// What was measured on `problem`, in one.
pub fn comparison<F: Products>(
    problem: &Problem<'_, F>,
    reference: Reference,
    rows: Vec<MethodRow>,
) -> Comparison {
    let slope = |r: &Hypergradients<f64>| r.solve.map(|s| s.slope);
    Comparison {
        train: problem.train.len(),
        poison: problem.train.poison.len(),
        valid: problem.valid.len(),
        features: problem.model.features,
        parameters: problem.model.parameters(),
        lambdas: problem.regulariser.as_ref().map_or(0, |r| r.lambda.len()),
        bits: 8 * size_of::<F>(),
        reference_slope: reference.as_ref().ok().and_then(slope),
        no_reference: reference.err(),
        rows,
    }
}

fn check(settings: &Settings) -> Result<(), OutOfRange> {
    let Settings {
        steps,
        features,
        repeats,
        ..
    } = settings;
    let fits = !steps.is_empty() && steps.iter().all(|t| (1..=100_000).contains(t));
    let expected = "at least one, each 1 to 100000";
    OutOfRange::unless(fits, "steps", format!("{steps:?}"), expected)?;
    OutOfRange::unless(*features > 0, "features", features, "at least 1")?;
    OutOfRange::unless(*repeats > 0, "repeats", repeats, "at least 1")
}

/// One T.
struct Bench<'b, 'a, F> {
    problem: &'b Problem<'a, F>,
    settings: &'b Settings,
    training: f64,
    exact: Option<&'b Hypergradients<f64>>,
    /// Reverse mode's, once it is known.
    reverse: Option<Hypergradients<F>>,
}

/// A measurement: seconds, result, and for forward mode the poison's features that it is of.
type Measured<F> = (f64, Result<Hypergradients<F>, String>, Option<Vec<usize>>);

impl<F: Products> Bench<'_, '_, F> {
    fn row(&mut self, method: Method) -> (MethodRow, Seconds) {
        let reverse = |keep| ReverseMode { keep };
        let (peak_bytes, (seconds, found, features)) = match method {
            Method::Reverse => self.measure(&reverse(Keep::Everything)),
            Method::ReverseStates => self.measure(&reverse(Keep::States)),
            Method::ReverseCheckpoints => self.measure(&reverse(Keep::Checkpoints)),
            Method::Forward => (ForwardMode::default().bytes(self.problem), self.forward()),
            Method::ConjugateGradient => self.measure(&self.settings.conjugate_gradient),
            Method::Exact => self.measure(&self.settings.exact),
        };
        let mut row = MethodRow {
            method,
            steps: self.problem.steps,
            extrapolated_from: features.as_ref().map(Vec::len),
            peak_bytes,
            error_poison: None,
            error_lambda: None,
            off_reverse_poison: None,
            off_reverse_lambda: None,
            residual: None,
            products: None,
            slope: None,
            failure: None,
        };
        let mut took = Seconds {
            whole: None,
            training: self.training,
        };
        match found {
            Err(failure) => row.failure = Some(failure),
            Ok(found) => {
                took.whole = Some(seconds);
                if let Some(exact) = self.exact {
                    let theirs = pick(&exact.poison, &features);
                    row.error_poison = distance(&found.poison, &theirs);
                    row.error_lambda = distance(&found.lambda, &exact.lambda);
                }
                if let Some(reverse) = &self.reverse {
                    let theirs = pick(&reverse.poison, &features);
                    row.off_reverse_poison = distance(&found.poison, &theirs);
                    row.off_reverse_lambda = distance(&found.lambda, &reverse.lambda);
                }
                row.residual = found.solve.map(|s: Solve| s.residual);
                row.products = found.solve.map(|s| s.products);
                row.slope = found.solve.map(|s| s.slope);
                if method == Method::Reverse {
                    self.reverse = Some(found);
                }
            }
        }
        (row, took)
    }

    fn measure<M: Hypergradient<F>>(&self, method: &M) -> (usize, Measured<F>) {
        let (seconds, found) = timed(self.settings.repeats, || method.of(self.problem));
        let found = found.map_err(|e| e.to_string());
        (method.bytes(self.problem), (seconds, found, None))
    }

    /// Forward mode, of a few features of the poison if there are many.
    fn forward(&self) -> Measured<F> {
        let run = |method: &ForwardMode| {
            let (seconds, found): (f64, Result<_, Diverged>) =
                timed(self.settings.repeats, || method.of(self.problem));
            (seconds, found.map_err(|e| e.to_string()))
        };
        let all = self.problem.train.poison.len() * self.problem.model.features;
        let few = self.settings.features;
        let Some(reverse) = self.reverse.as_ref().filter(|_| all > few) else {
            let (seconds, found) = run(&ForwardMode::default());
            return (seconds, found, None);
        };
        let size = |i: usize| reverse.poison[i].abs().wide();
        let mut features: Vec<usize> = (0..all).collect();
        features.sort_by(|&a, &b| size(b).total_cmp(&size(a)));
        features.truncate(few);
        let poison = Some(features.clone());
        let (with, found) = run(&ForwardMode { poison });
        let (without, _) = run(&ForwardMode::lambda());
        let each = (with - without).max(0.0) / few as f64;
        (without + each * all as f64, found, Some(features))
    }
}

/// The least time of `repeats` runs, and what the last returned.
fn timed<T>(repeats: usize, mut f: impl FnMut() -> T) -> (f64, T) {
    let mut once = || {
        let start = Instant::now();
        let result = f();
        (start.elapsed().as_secs_f64(), result)
    };
    let (mut least, mut result) = once();
    for _ in 1..repeats {
        let (seconds, next) = once();
        (least, result) = (least.min(seconds), next);
    }
    (least, result)
}

fn pick<F: Products>(values: &[F], at: &Option<Vec<usize>>) -> Vec<F> {
    match at {
        Some(at) => at.iter().map(|&i| values[i]).collect(),
        None => values.to_vec(),
    }
}

/// `||a - b|| / ||b||`; `None` if there is nothing to compare or b is 0.
fn distance<F: Products, G: Products>(a: &[F], b: &[G]) -> Option<f64> {
    let size: f64 = b.iter().map(|b| b.wide().powi(2)).sum();
    let terms = a.iter().zip(b).map(|(a, b)| (a.wide() - b.wide()).powi(2));
    let distance = (terms.sum::<f64>() / size).sqrt();
    distance.is_finite().then_some(distance)
}
