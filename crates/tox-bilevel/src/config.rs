//! Every number of a bilevel study, as data. `check` turns one into a promise that a run can rely on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::ranges::{self, OutOfRange};

/// The box of the features, into which poison is projected. Each column of a table is brought to it by its
/// least and its largest value among the training rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Range {
    /// `[0, 1]`: pixel / 255 (MNIST and Fashion-MNIST in the paper).
    #[default]
    Unit,
    /// `[-1, 1]`: 2 pixel / 255 - 1 (CIFAR-10 in the paper).
    Symmetric,
}

/// The penalty in the training loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Penalty {
    /// `exp(lambda) / 2 * ||w||^2`.
    #[default]
    L2,
    /// `exp(lambda) * ||w||_1`, subgradient `sign(w)`.
    L1,
}

/// How the learner gets its lambda.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Victim {
    /// No regularisation.
    None,
    /// The constant `lambda.large`.
    Large,
    /// Chosen once by k-fold cross-validation on the clean training set (lambda_CLEAN).
    CrossValidated,
    /// Learned together with the attack, on the trusted validation set (lambda_RMD).
    #[default]
    Learned,
}

/// How many lambdas there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Groups {
    /// One for the whole model.
    #[default]
    One,
    /// One for each layer.
    PerLayer,
}

/// Beside what the penalty stands in the training loss.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// Beside the mean of the rows' losses: it is as strong on ten rows as on ten thousand.
    #[default]
    Mean,
    /// Beside their sum, that is, divided by the number of rows: a lambda is worth `lambda - ln n` of `mean`. The
    /// paper's largest constants make gradient descent diverge otherwise.
    Sum,
}

/// How a learned lambda is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Objective {
    /// By steps against the hypergradient of the trusted points' cross-entropy (Algorithm 2).
    #[default]
    Gradient,
    /// That of least cross-entropy on the trusted points among the `grid` values, each trained anew after each step
    /// of the poison.
    GridLoss,
    /// That of least error there; the smallest of equals.
    GridError,
}

/// What reverse mode keeps of the inner training. It changes time and memory, and the result in no
/// more than the last digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// All weights, and each row's first-layer sums (4 n h bytes a step for h units).
    #[default]
    Everything,
    /// All weights (4 m bytes a step for m parameters).
    States,
    /// The weights of about every sqrt(T)-th step; the steps between are trained again.
    Checkpoints,
}

/// The inner problem: full-batch gradient descent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Inner {
    /// T, steps of gradient descent.
    #[schemars(range(min = 1, max = 100_000))]
    pub steps: usize,
    /// eta, its learning rate.
    #[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// What the reverse pass keeps.
    pub keep: Keep,
}

impl Default for Inner {
    fn default() -> Self {
        Self {
            steps: 140,
            lr: 0.1,
            keep: Keep::Everything,
        }
    }
}

/// The hyper-parameters lambda.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Lambda {
    /// How many there are.
    pub groups: Groups,
    /// Whether biases are regularised too. The paper does not say; no is usual.
    pub bias: bool,
    /// Where learning starts, and starts again with each batch of poison; between `min` and `max`.
    #[schemars(range(min = -30.0, max = 30.0))]
    pub start: f64,
    /// Least lambda of the feasible box.
    #[schemars(range(min = -30.0, max = 30.0))]
    pub min: f64,
    /// Largest lambda of the feasible box, above `min`.
    #[schemars(range(min = -30.0, max = 30.0))]
    pub max: f64,
    /// Step of the projected descent: lambda moves by this against the hypergradient's sign.
    #[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// The constant of the victim `large`.
    #[schemars(range(min = -30.0, max = 30.0))]
    pub large: f64,
    /// Folds of the cross-validation.
    #[schemars(range(min = 2, max = 100))]
    pub folds: usize,
    /// Values between `min` and `max`, equally spaced, that the cross-validation, an objective by grid and `curve` try.
    #[schemars(range(min = 2, max = 1000))]
    pub grid: usize,
    /// Beside what the penalty stands.
    // A default is not written, so that trials keep the ids that they had before there was a choice.
    #[serde(skip_serializing_if = "tox_data::is_default")]
    pub scale: Scale,
    /// How the victim `learned` chooses.
    #[serde(skip_serializing_if = "tox_data::is_default")]
    pub objective: Objective,
    /// Retrain at each level with each of the `grid` values: loss and error against lambda on one finished poison.
    #[serde(skip_serializing_if = "tox_data::is_default")]
    pub curve: bool,
}

impl Default for Lambda {
    fn default() -> Self {
        Self {
            groups: Groups::One,
            bias: false,
            start: -6.0,
            min: -10.0,
            max: 3.0,
            lr: 0.2,
            large: 2.0,
            folds: 5,
            grid: 14,
            scale: Scale::Mean,
            objective: Objective::Gradient,
            curve: false,
        }
    }
}

/// Training of the victim on the finished poison, from a fresh initialisation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Retrain {
    /// Full-batch steps (the paper's epochs); default: `inner.steps`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub epochs: Option<usize>,
    /// Learning rate; default: `inner.lr`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0.0))]
    pub lr: Option<f64>,
}

/// `[learner] kind = "bilevel"`: a classifier whose regularisation is a hyper-parameter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BilevelConfig {
    /// Widths of the hidden layers; none = logistic regression.
    #[schemars(length(max = 16), inner(range(min = 1, max = 4096)))]
    pub hidden: Vec<usize>,
    /// Slope of Leaky ReLU below 0.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub leak: f64,
    /// Constant that biases start from (networks; logistic regression starts from zeros).
    #[schemars(range(min = -10.0, max = 10.0))]
    pub bias_start: f64,
    /// The box of the features.
    pub range: Range,
    /// The penalty.
    pub penalty: Penalty,
    /// How the learner gets lambda.
    pub victim: Victim,
    /// Outer steps of Algorithm 2 for each batch of poison (and without poison, for lambda alone).
    #[schemars(range(min = 1, max = 100_000))]
    pub hyperiterations: usize,
    /// The inner problem.
    pub inner: Inner,
    /// The hyper-parameters.
    pub lambda: Lambda,
    /// The final training.
    pub retrain: Retrain,
    /// Top-k sizes at which Kuncheva's index is measured, each below the number of features.
    pub kuncheva: Vec<usize>,
}

impl Default for BilevelConfig {
    fn default() -> Self {
        Self {
            hidden: Vec::new(),
            leak: 0.01,
            bias_start: 0.01,
            range: Range::Unit,
            penalty: Penalty::L2,
            victim: Victim::Learned,
            hyperiterations: 50,
            inner: Inner::default(),
            lambda: Lambda::default(),
            retrain: Retrain::default(),
            kuncheva: Vec::new(),
        }
    }
}

/// What the hypergradient of the poison is divided by before a step. The paper says "their norm".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// Each point's by its own L2 norm: every point moves by `lr`.
    #[default]
    Point,
    /// All of the batch's by their joint L2 norm.
    Batch,
}

/// What the labels of a target set are. The paper leaves the attacker's objective A of its Eq. 2 open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TargetLabels {
    /// The true ones: the adversary raises the loss on them, so that the rows are misclassified. With the trusted rows
    /// as targets it is Eq. 3, the paper's indiscriminate attack.
    #[default]
    True,
    /// Those that the adversary wants the rows to get: it lowers the loss on them.
    Wanted,
}

/// The target rows of the adversary (the paper's Eq. 2). The learner still learns lambda on its trusted rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetSet {
    /// An `.npz` file: its training rows are the targets. Labels are names of the classes that are learned.
    pub path: String,
    /// BLAKE3 of the file. A recipe's reader fills it in; a trial refuses another file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// What its labels are.
    #[serde(default)]
    pub labels: TargetLabels,
}

/// `[threat] kind = "bilevel"`: poison by projected hypergradient ascent (Algorithm 2).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BilevelAttack {
    /// Points that are optimised together; each replaces a clean training point.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub batch: usize,
    /// Cumulative batches: a finished one is frozen, the next replaces remaining clean points.
    #[schemars(range(min = 0, max = 1000))]
    pub batches: usize,
    /// alpha, step of the projected ascent, in units of the features.
    #[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// How a step is normalised.
    pub norm: Norm,
    /// Rows that the adversary aims at; default: the trusted rows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<TargetSet>,
}

impl Default for BilevelAttack {
    fn default() -> Self {
        Self {
            batch: 350,
            batches: 5,
            lr: 0.5,
            norm: Norm::Point,
            target: None,
        }
    }
}

/// The lambda that counts as the best at a position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Best {
    /// That of least cross-entropy on the validation points.
    #[default]
    Loss,
    /// That of least error on them, as in the paper's Appendix A; the smallest of equals. The paper does not say which.
    SmallestByError,
    /// That of least error, the largest of equals.
    LargestByError,
}

/// `[learner] kind = "synthetic"`: the paper's Fig. 1, one poison point against logistic regression
/// on two Gaussians, as maps over the point's position. Its data set is `gaussians`, whose `train`
/// and `valid` count both classes together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SyntheticConfig {
    /// T, steps of gradient descent.
    #[schemars(range(min = 1, max = 100_000))]
    pub steps: usize,
    /// eta.
    #[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0.0))]
    pub lr: f64,
    /// alpha, step of the poison's ascent.
    #[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0.0))]
    pub poison_lr: f64,
    /// Steps of the ascent.
    #[schemars(range(min = 1, max = 100_000))]
    pub hyperiterations: usize,
    /// Learning rate of the training whose error is shown.
    #[schemars(range(max = 1e6), extend("exclusiveMinimum" = 0.0))]
    pub retrain_lr: f64,
    /// Its full-batch steps.
    #[schemars(range(min = 1, max = 100_000))]
    pub retrain_epochs: usize,
    /// The fixed lambda of the second map; the paper's is ln 20.
    #[schemars(range(min = -30.0, max = 30.0))]
    pub lambda: f64,
    /// Least lambda that the third map tries.
    #[schemars(range(min = -30.0, max = 30.0))]
    pub lambda_min: f64,
    /// Largest lambda that the third map tries, above `lambda_min`; the paper's is ln 500.
    #[schemars(range(min = -30.0, max = 30.0))]
    pub lambda_max: f64,
    /// Values of lambda that the third map tries.
    #[schemars(range(min = 2, max = 1000))]
    pub lambdas: usize,
    /// By what the third map chooses among them.
    #[serde(skip_serializing_if = "tox_data::is_default")]
    pub best: Best,
    /// Half the side of the square of positions; the paper's is 9.5.
    #[schemars(range(max = 1e3), extend("exclusiveMinimum" = 0.0))]
    pub half_side: f64,
    /// Positions along a side.
    #[schemars(range(min = 2, max = 500))]
    pub grid: usize,
}

impl Default for SyntheticConfig {
    fn default() -> Self {
        Self {
            steps: 500,
            lr: 0.2,
            poison_lr: 0.4,
            hyperiterations: 50,
            retrain_lr: 0.2,
            retrain_epochs: 100,
            lambda: 20f64.ln(),
            lambda_min: -8.0,
            lambda_max: 500f64.ln(),
            lambdas: 30,
            best: Best::Loss,
            half_side: 9.5,
            grid: 39,
        }
    }
}

impl BilevelConfig {
    /// Whether every number is in its range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let l = &self.lambda;
        OutOfRange::unless(l.min < l.max, "lambda.max", l.max, "above lambda.min")?;
        let within = (l.min..=l.max).contains(&l.start);
        OutOfRange::unless(
            within,
            "lambda.start",
            l.start,
            "from lambda.min to lambda.max",
        )?;
        let each = match l.objective {
            Objective::Gradient => return Ok(()),
            Objective::GridLoss => "grid-loss",
            Objective::GridError => "grid-error",
        };
        OutOfRange::unless(
            l.groups == Groups::One,
            "lambda.objective",
            each,
            "gradient, where each layer has a lambda of its own",
        )
    }
}

impl BilevelAttack {
    /// Whether every number is in its range. That the points fit into the training set is checked
    /// when it is known.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)
    }

    /// Points in all.
    pub fn points(&self) -> usize {
        self.batch * self.batches
    }
}

impl SyntheticConfig {
    /// Whether every number is in its range.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let (min, max) = (self.lambda_min, self.lambda_max);
        OutOfRange::unless(min < max, "lambda_max", max, "above lambda_min")
    }
}
