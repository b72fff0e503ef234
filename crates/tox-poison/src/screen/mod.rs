//! A training-free screen of a search space: it finds poisonous ops before a search.
//!
//! Real batches go through the stem of a fresh supernet and then through each op, with a few
//! initial values, in training and in evaluation mode. A [`Verdict`] follows from what was
//! measured there, never from the op's name, and its reason quotes the number. The thresholds are
//! fields of [`ScreenConfig`], each with why it is what it is.
//!
//! Judgements that could have been others: noise and dropout as *ops of a layer* are the identity
//! when the search scores them, so `gaussian(0.01)` and `dropout(0.5)` have [`Verdict::NoEffect`]
//! and [`Verdict::NoNonlinearity`]; they do not drown the signal (dropout does above `p = 0.8`,
//! Gaussian noise above `sigma = 2`). Large kernels and dilations within reach of the map are fine.

mod cells;
mod measure;
mod probe;
mod table;

pub use cells::{screen_cells, screened_cells};
pub use table::table;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use tox_data::Dataset;
use tox_data::ranges::{self, OutOfRange};
use tox_nn::Device;
use tox_search::space::{Op, Space, SpaceOp};

/// How much is measured, and from where on an op is poisonous.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ScreenConfig {
    /// Supernets with initial values of their own.
    #[schemars(range(min = 1))]
    pub inits: usize,
    /// Batches through each.
    #[schemars(range(min = 1))]
    pub batches: usize,
    /// Images a batch; fewer if the training split has fewer.
    #[schemars(range(min = 2))]
    pub batch: usize,
    /// Channels of the maps, an even number. Nothing measured depends on it much; 16 is quick.
    #[schemars(range(min = 2, max = 4096))]
    pub channels: usize,
    /// Least information, see [`Measures::information`]. A constant output has 0; ReLU and pooling
    /// keep more than 0.2.
    pub min_information: f64,
    /// Largest share of noise. 0.8 is a signal-to-noise ratio of 1/4 (-6 dB): dropout of 0.5, as
    /// strong as networks use it, has 0.5; Gaussian noise of sigma 10 has 0.99.
    pub max_noise: f64,
    /// Least gradient at the input. Twelve layers of 7e-4 underflow f32.
    pub min_gradient: f64,
    /// Largest gradient at output or input. Twelve layers of 40 make a norm whose square
    /// overflows f32; behind a constant map BN multiplies by 316.
    pub max_gradient: f64,
    /// Least relative change of the input in evaluation. A change below a twentieth is no op: the
    /// layer is then no more than its BN.
    pub min_change: f64,
    /// Least nonlinearity. Rounding of linear ops stays below 1e-6; ReLU makes more than 0.3.
    pub min_nonlinearity: f64,
    /// Largest share of kernel taps that see only padding. Any such tap means a kernel extent of
    /// more than twice the map's side.
    pub max_dead_taps: f64,
    /// Largest disagreement of training and evaluation; on the scale of `max_noise`.
    pub max_disagreement: f64,
}

impl Default for ScreenConfig {
    fn default() -> Self {
        Self {
            inits: 2,
            batches: 2,
            batch: 32,
            channels: 16,
            min_information: 0.05,
            max_noise: 0.8,
            min_gradient: 7e-4,
            max_gradient: 40.0,
            min_change: 0.05,
            min_nonlinearity: 1e-3,
            max_dead_taps: 0.0,
            max_disagreement: 0.8,
        }
    }
}

/// What the screen measured of one op; means over all initial values and batches. JSON has `null`
/// where a number is not finite.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Measures {
    /// Share of the output's energy that differs between images, against that of the input; the
    /// smaller of training and evaluation. 0 = the output is the same for every image.
    pub information: f64,
    /// Share of the training output's power that differs between two passes over the same batch,
    /// 0 to 1; the signal-to-noise ratio is `1 / noise - 1`.
    pub noise: f64,
    /// Norm at the op's input of a random gradient that has norm 1 behind the layer's BN.
    pub gradient_input: f64,
    /// Its norm at the op's output, which is what skip connections pass on.
    pub gradient_output: f64,
    /// `|output - input| / |input|` in training.
    pub change_training: f64,
    /// The same in evaluation.
    pub change_evaluation: f64,
    /// `|op(a + 2b) - op(a) - 2 op(b)|` in evaluation against the norms of the three, 0 to 1.
    pub nonlinearity: f64,
    /// Share of the taps of a kernel that get a gradient of exactly zero, 0 to 1.
    pub dead_taps: f64,
    /// Share of the training output's power that the evaluation output does not explain, 0 to 1.
    pub disagreement: f64,
}

impl Measures {
    fn fields(&mut self) -> [&mut f64; 9] {
        [
            &mut self.information,
            &mut self.noise,
            &mut self.gradient_input,
            &mut self.gradient_output,
            &mut self.change_training,
            &mut self.change_evaluation,
            &mut self.nonlinearity,
            &mut self.dead_taps,
            &mut self.disagreement,
        ]
    }

    fn add(&mut self, other: &Self) {
        let mut other = other.clone();
        for (sum, value) in self.fields().into_iter().zip(other.fields()) {
            *sum += *value;
        }
    }

    fn divide(&mut self, by: f64) {
        self.fields().into_iter().for_each(|v| *v /= by);
    }
}

/// What is wrong with an op.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The output is the same for every image.
    NoInformation,
    /// Noise in training is far stronger than what it is added to.
    DrownedInNoise,
    /// No gradient reaches the layers before.
    NoGradient,
    /// The gradient grows so much that it overflows over a network's layers.
    ExplodingGradient,
    /// The output is the input when the search scores the op.
    NoEffect,
    /// The kernel is far larger than the map.
    ExtentBeyondMap,
    /// What is trained is not what is evaluated.
    TrainEvalDisagreement,
    /// The op is linear: a layer of it is no more than its BN.
    NoNonlinearity,
    /// Copies give the op more than its fair share of the sampling odds.
    Duplicates,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoInformation => "no-information",
            Self::DrownedInNoise => "drowned-in-noise",
            Self::NoGradient => "no-gradient",
            Self::ExplodingGradient => "exploding-gradient",
            Self::NoEffect => "no-effect",
            Self::ExtentBeyondMap => "extent-beyond-map",
            Self::TrainEvalDisagreement => "train-eval-disagreement",
            Self::NoNonlinearity => "no-nonlinearity",
            Self::Duplicates => "duplicates",
        })
    }
}

/// A verdict and the measured reason.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finding {
    /// What is wrong.
    pub verdict: Verdict,
    /// The measured reason, for people.
    pub reason: String,
}

/// What the screen says of one op of a space.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OpReport {
    #[serde(serialize_with = "name")]
    pub op: Op,
    /// Its branches in the controller, those of equal ops elsewhere in the space included.
    pub count: usize,
    /// Its share of all branches, 0 to 1.
    pub share: f64,
    /// What its share would be if every op had one branch.
    pub fair_share: f64,
    /// What was measured.
    pub measures: Measures,
    /// Everything that is wrong with it, in the order of [`Verdict`].
    pub findings: Vec<Finding>,
}

fn name<S: serde::Serializer>(op: &Op, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(op)
}

impl OpReport {
    /// Whether the op itself is bad; copies of a good op are only [`OpReport::flagged`].
    pub fn poisonous(&self) -> bool {
        self.findings
            .iter()
            .any(|f| f.verdict != Verdict::Duplicates)
    }

    /// Whether anything is wrong, the number of copies included.
    pub fn flagged(&self) -> bool {
        !self.findings.is_empty()
    }

    /// The verdicts alone.
    pub fn verdicts(&self) -> Vec<Verdict> {
        self.findings.iter().map(|f| f.verdict).collect()
    }

    /// The names of the verdicts, separated by commas.
    pub fn verdict_names(&self) -> String {
        let names: Vec<_> = self
            .findings
            .iter()
            .map(|f| f.verdict.to_string())
            .collect();
        names.join(", ")
    }

    /// The reasons, separated by semicolons.
    pub fn reasons(&self) -> String {
        let reasons: Vec<_> = self.findings.iter().map(|f| f.reason.as_str()).collect();
        reasons.join("; ")
    }
}

/// Why a space cannot be screened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScreenError {
    /// Nothing to compare.
    #[error(
        "cannot screen with data set '{dataset}': expected at least 2 training images, found {found}"
    )]
    Images {
        /// The data set.
        dataset: String,
        /// Its training images.
        found: usize,
    },
    /// Nothing to lose.
    #[error(
        "cannot screen with data set '{dataset}': expected a batch of images that differ, found one of equal images"
    )]
    Constant {
        /// The data set.
        dataset: String,
    },
    /// A number outside its range.
    #[error("the screen: {0}")]
    Config(#[from] OutOfRange),
    /// No op.
    #[error("cannot screen an empty search space: expected at least one op")]
    Empty,
}

/// Screens every op of `space` on training images of `data`: one report an op, in order. The same
/// arguments give the same reports.
///
/// # Errors
/// When the space is empty, a number of `config` is out of range, or the images are too few or
/// all the same.
pub fn screen(
    space: &Space,
    data: &Dataset,
    config: &ScreenConfig,
    seed: u64,
    device: &Device,
) -> Result<Vec<OpReport>, ScreenError> {
    screen_beside((0, space), (data, seed, device), config)
}

/// As [`screen`], of ops that stand beside so many other branches, which are not judged.
fn screen_beside(
    (others, space): (usize, &Space),
    (data, seed, device): (&Dataset, u64, &Device),
    config: &ScreenConfig,
) -> Result<Vec<OpReport>, ScreenError> {
    config.check()?;
    if space.ops.is_empty() {
        return Err(ScreenError::Empty);
    }
    if data.train.len() < 2 {
        return Err(ScreenError::Images {
            dataset: data.name.clone(),
            found: data.train.len(),
        });
    }
    let measures = probe::probe(space, data, config, seed, device)?;
    let [_, _, h, w] = data.train.images.shape;
    let distinct = (0..space.ops.len()).filter(|&i| first(space, i)).count();
    let reports = space.ops.iter().zip(measures).map(|(o, measures)| {
        let equal = space.ops.iter().filter(|other| other.op == o.op);
        let count = equal.map(|other| other.count).sum();
        let mut report = OpReport {
            op: o.op,
            count,
            share: count as f64 / (space.branches() + others).max(1) as f64,
            fair_share: 1.0 / (distinct + others) as f64,
            measures,
            findings: Vec::new(),
        };
        report.findings = findings(&report, config, h.max(w));
        report
    });
    Ok(reports.collect())
}

/// The space without its poisonous ops, and one branch for each op that is left. It may be empty.
/// `reports` are those of [`screen`] for this space.
pub fn screened(space: &Space, reports: &[OpReport]) -> Space {
    let good = |i: usize| first(space, i) && !reports[i].poisonous();
    let ops = space.ops.iter().enumerate().filter(|(i, _)| good(*i));
    Space {
        ops: ops.map(|(_, o)| SpaceOp { count: 1, ..*o }).collect(),
    }
}

/// Whether no op before `i` is the same.
fn first(space: &Space, i: usize) -> bool {
    space.ops[..i].iter().all(|o| o.op != space.ops[i].op)
}

impl ScreenConfig {
    fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let even = self.channels.is_multiple_of(2);
        OutOfRange::unless(even, "channels", self.channels, "an even number")
    }
}

/// The verdicts. Comparisons are such that NaN is a finding.
fn findings(r: &OpReport, c: &ScreenConfig, side: usize) -> Vec<Finding> {
    let m = &r.measures;
    let mut found = Vec::new();
    let mut judge = |ok: bool, verdict, reason: String| {
        if !ok {
            found.push(Finding { verdict, reason });
        }
    };
    judge(
        m.information >= c.min_information,
        Verdict::NoInformation,
        format!(
            "output constant over the batch: {} of the input's variance share between images is left",
            number(m.information)
        ),
    );
    judge(
        m.noise <= c.max_noise,
        Verdict::DrownedInNoise,
        format!(
            "two training passes over the same batch differ: signal-to-noise ratio {}",
            number(1.0 / m.noise - 1.0)
        ),
    );
    judge(
        m.gradient_input >= c.min_gradient,
        Verdict::NoGradient,
        format!(
            "a gradient of norm 1 behind the layer's BN has norm {} at the input",
            number(m.gradient_input)
        ),
    );
    let gain = if m.gradient_output.is_nan() {
        m.gradient_output
    } else {
        m.gradient_output.max(m.gradient_input)
    };
    judge(
        gain <= c.max_gradient,
        Verdict::ExplodingGradient,
        format!(
            "a gradient of norm 1 behind the layer's BN has norm {} before it",
            number(gain)
        ),
    );
    judge(
        m.change_evaluation >= c.min_change,
        Verdict::NoEffect,
        format!(
            "output equals input in evaluation: relative change {} ({} in training)",
            number(m.change_evaluation),
            number(m.change_training)
        ),
    );
    judge(
        m.dead_taps <= c.max_dead_taps,
        Verdict::ExtentBeyondMap,
        format!(
            "{:.0} % of the kernel's taps see only padding: it reaches beyond twice the map's side of {side}",
            100.0 * m.dead_taps
        ),
    );
    judge(
        m.disagreement <= c.max_disagreement,
        Verdict::TrainEvalDisagreement,
        format!(
            "{:.0} % of the training output's power is not in the evaluation output",
            100.0 * m.disagreement
        ),
    );
    judge(
        m.nonlinearity >= c.min_nonlinearity,
        Verdict::NoNonlinearity,
        format!(
            "op(a + 2b) = op(a) + 2 op(b) up to {}: the layer is bare, without BN or ReLU of its own",
            number(m.nonlinearity)
        ),
    );
    judge(
        r.share <= r.fair_share * (1.0 + 1e-9),
        Verdict::Duplicates,
        format!(
            "{} branches are {:.1} % of the sampling odds; one would be {:.1} %",
            r.count,
            100.0 * r.share,
            100.0 * r.fair_share
        ),
    );
    found
}

/// Three places, or powers of ten where they would say nothing.
fn number(v: f64) -> String {
    if v == 0.0 || (0.001..10_000.0).contains(&v.abs()) {
        format!("{v:.3}")
    } else {
        format!("{v:.1e}")
    }
}
