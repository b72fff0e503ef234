//! Every number of an RC-NAS search. What the paper leaves open is an option here, with the reason for
//! its default.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::ranges::{self, OutOfRange};

/// How the sub-network is searched. All methods spend the same number of distinct evaluations on the
/// target task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The agent, meta-trained on sampled tasks, then fine-tuned on the target.
    #[default]
    RcNas,
    /// The same agent without meta-training, as N2N (Ashok et al. 2018): the control that says what
    /// meta-training is worth.
    FromScratch,
    /// Sub-networks drawn uniformly; those over the budget are thrown away uncounted.
    Random,
    /// Every stage compressed by the same factors, from the largest that the budget allows downwards.
    Uniform,
    /// Regularised evolution (Real et al. 2019).
    Evolution,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::RcNas,
        Self::FromScratch,
        Self::Random,
        Self::Uniform,
        Self::Evolution,
    ];

    /// Its name in a recipe.
    pub const fn word(self) -> &'static str {
        match self {
            Self::RcNas => "rc-nas",
            Self::FromScratch => "from-scratch",
            Self::Random => "random",
            Self::Uniform => "uniform",
            Self::Evolution => "evolution",
        }
    }

    /// Its name in reports.
    pub const fn title(self) -> &'static str {
        match self {
            Self::RcNas => "RC-NAS",
            Self::FromScratch => "from scratch",
            Self::Random => "random",
            Self::Uniform => "uniform",
            Self::Evolution => "evolution",
        }
    }
}

/// Which evaluated sub-network within the budget is the result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// The most robust; of equals the cheapest. The default: the budget already says what compression is
    /// wanted.
    #[default]
    Robust,
    /// The one of the highest reward, as in N2N.
    Reward,
}

/// Which sub-networks have robust blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RobustBlocks {
    /// Every stage with or without one, as the paper.
    #[default]
    Free,
    /// Those of the teacher.
    AsTeacher,
}

/// Which sub-networks there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SpaceConfig {
    /// Depths of a stage are the multiples of this up to the teacher's, and the teacher's. 1 is all of
    /// them.
    #[schemars(range(min = 1, max = 256))]
    pub depth_step: usize,
    /// The same of widths.
    #[schemars(range(min = 1, max = 128))]
    pub width_step: usize,
    /// Robust blocks.
    pub robust: RobustBlocks,
}

impl Default for SpaceConfig {
    fn default() -> Self {
        Self {
            depth_step: 1,
            width_step: 1,
            robust: RobustBlocks::Free,
        }
    }
}

/// What the reward makes of compression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// `C (2 - C)`, as the paper (after N2N): of two sub-networks as robust, the smaller is better, also
    /// within the budget.
    #[default]
    N2n,
    /// 1: the budget alone says what compression is wanted. Use it where the result is judged by its
    /// robust accuracy, for `n2n` prefers sub-networks well below the budget.
    Budget,
}

/// What happens to a draw that is over the budget.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OverBudget {
    /// It has the reward -1 and is not evaluated: its cost is known without training it. The default:
    /// it is N2N's reward from round 15 on, and no evaluation is spent on what cannot be the result.
    #[default]
    Skip,
    /// N2N's annealed constraint: `R = (e - 1) + e R`, `e = max(0, (1 - round/15)^4)`, rounds of
    /// meta-training and steps of fine-tuning counted on. While `e > 0` the draw is evaluated, which is
    /// one of the search's evaluations.
    Anneal,
    /// It is drawn again, uncounted: the policy is one over what the budget allows, and its gradient is
    /// of what remains. A penalty of -1 is so far below the differences between sub-networks that an
    /// agent learns to stay away from the budget, where the robust ones are; random sub-networks
    /// and evolution are drawn so too. After [`FineTuneConfig::patience`] draws for each
    /// sub-network that is wanted, -1 is learnt from all the same.
    Redraw,
}

/// The reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RewardConfig {
    /// What it makes of compression.
    pub compression: Compression,
    /// What it makes of draws over the budget.
    pub over_budget: OverBudget,
    /// Rounds over which [`OverBudget::Anneal`] goes to its full penalty.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub anneal_rounds: usize,
}

impl Default for RewardConfig {
    fn default() -> Self {
        Self {
            compression: Compression::N2n,
            over_budget: OverBudget::Skip,
            anneal_rounds: 15,
        }
    }
}

/// How a task's data set and attack reach the state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Embedding {
    /// By what they are: classes, channels, side, images and the teacher's clean accuracy; norm, radius,
    /// steps, members, black box and the teacher's robust accuracy. The default: one that was held out
    /// has an embedding that means something.
    #[default]
    Features,
    /// By name, one row each of a learned table. One that was held out has the row of zeros.
    Ids,
}

/// What a logit of depth or width stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sizes {
    /// A share of the teacher's: each head gives logits at equal distances on (0, 1], between which those
    /// of the options are interpolated. The default: it carries over to a teacher of another size.
    #[default]
    Relative,
    /// A number of blocks, or a width, masked to the teacher's. Sizes that no teacher of meta-training
    /// had keep the logits they began with.
    Absolute,
}

/// The agent's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// Units of a stage's encoding, and of the embeddings of data set and attack each.
    #[schemars(range(min = 1, max = 1024))]
    pub encoding: usize,
    /// Units of each direction of the LSTM.
    #[schemars(range(min = 1, max = 1024))]
    pub hidden: usize,
    /// Units of the hidden layer and of the output of each stage's MLP.
    #[schemars(range(min = 1, max = 1024))]
    pub mlp: usize,
    /// How data set and attack reach the state.
    pub embedding: Embedding,
    /// Whether the stage vectors are divided by typical values (stride 2, depth and width 16): as they
    /// are, depths of 16 saturate the encoding.
    pub normalise: bool,
    /// What a logit stands for.
    pub sizes: Sizes,
    /// Logits of a head for depth or width with [`Sizes::Relative`].
    #[schemars(range(min = 2, max = 256))]
    pub knots: usize,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            encoding: 16,
            hidden: 32,
            mlp: 32,
            embedding: Embedding::Features,
            normalise: true,
            sizes: Sizes::Relative,
            knots: 8,
        }
    }
}

/// What is subtracted from rewards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// A moving average for each task. The default: rewards differ between tasks more than within one.
    #[default]
    PerTask,
    /// One moving average, as in ENAS and N2N.
    MovingAverage,
    /// 0: vanilla REINFORCE, unbiased, of the largest variance.
    None,
}

/// REINFORCE.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ReinforceConfig {
    /// Learning rate of Adam.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub lr: f64,
    /// Adam's betas.
    #[schemars(inner(range(min = 0.0, max = 0.999_999)))]
    pub betas: [f64; 2],
    /// What is subtracted from rewards. Where there is none yet, a sample's baseline is the mean of the
    /// batch's others.
    pub baseline: Baseline,
    /// Share of the moving average that is kept, a batch.
    #[schemars(range(min = 0.0, max = 0.999_999))]
    pub baseline_decay: f64,
    /// Weight of the policy's entropy (nats) in what is maximised; it keeps the policy from settling on
    /// what it met first.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub entropy: f64,
    /// Global gradient norm above which a gradient is scaled down.
    #[schemars(range(min = 1e-12, max = 1e30))]
    pub grad_clip: f64,
}

impl Default for ReinforceConfig {
    fn default() -> Self {
        Self {
            lr: 3e-3,
            betas: [0.9, 0.999],
            baseline: Baseline::PerTask,
            baseline_decay: 0.8,
            entropy: 3e-3,
            grad_clip: 5.0,
        }
    }
}

/// How a round of meta-training changes the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MetaUpdate {
    /// One step of Adam along the mean policy gradient of the round's tasks. The default: the state
    /// knows the task, so that one policy can be right for all, and every evaluation counts at once.
    #[default]
    Joint,
    /// First-order meta-learning (Reptile, Nichol et al. 2018): for each of the round's tasks a copy of
    /// the agent takes `inner_steps` steps of its own, then the agent moves towards the mean of the
    /// copies. For tasks whose best policies contradict each other; it costs `inner_steps` times the
    /// evaluations.
    Reptile,
}

/// Meta-training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MetaConfig {
    /// Rounds. On tables of a few thousand sub-networks the policy still improves at 100; most draws of
    /// late rounds were evaluated before.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub rounds: usize,
    /// Tasks drawn in a round.
    #[schemars(range(min = 1, max = 10_000))]
    pub tasks: usize,
    /// Sub-networks drawn for a task in a round, or in an inner step; those met before cost nothing.
    #[schemars(range(min = 2, max = 10_000))]
    pub samples: usize,
    /// How a round changes the agent.
    pub update: MetaUpdate,
    /// Reptile's steps of a copy.
    #[schemars(range(min = 1, max = 10_000))]
    pub inner_steps: usize,
    /// Share of the way to the copies' mean that Reptile goes.
    #[schemars(range(min = 1e-6, max = 1.0))]
    pub step: f64,
}

impl Default for MetaConfig {
    fn default() -> Self {
        Self {
            rounds: 200,
            tasks: 4,
            samples: 5,
            update: MetaUpdate::Joint,
            inner_steps: 3,
            step: 0.5,
        }
    }
}

/// Fine-tuning on the target; also all the training of [`Method::FromScratch`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FineTuneConfig {
    /// Steps (the paper's `M`), at most `evaluations`; these are split evenly among them, the first steps having one
    /// more where they do not divide.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub steps: usize,
    /// Learning rate. Larger than that of meta-training: a few steps must be enough.
    #[schemars(range(min = 0.0, max = 1e3))]
    pub lr: f64,
    /// Draws of a step, as a multiple of its evaluations, after which its remaining evaluations are of
    /// sub-networks drawn uniformly within the budget: a policy that is sure of itself draws the same
    /// again and again, and all methods spend the same number of evaluations.
    #[schemars(range(min = 1, max = 10_000))]
    pub patience: usize,
}

impl Default for FineTuneConfig {
    fn default() -> Self {
        Self {
            steps: 5,
            lr: 1e-2,
            patience: 20,
        }
    }
}

/// Regularised evolution.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EvolutionConfig {
    /// Sub-networks alive; the first so many are drawn uniformly, later each birth kills the oldest.
    #[schemars(range(min = 2, max = 100_000))]
    pub population: usize,
    /// Of them those that compete to be a parent, at most all.
    #[schemars(range(min = 1, max = 100_000))]
    pub tournament: usize,
    /// Probability of a second parent (two-point crossover) before the mutation of one gene. 0 is the
    /// published algorithm.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub crossover: f64,
}

impl Default for EvolutionConfig {
    fn default() -> Self {
        Self {
            population: 8,
            tournament: 3,
            crossover: 0.5,
        }
    }
}

/// Every number of a search.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RcnasConfig {
    /// How the sub-network is searched.
    pub method: Method,
    /// Distinct sub-networks that are evaluated on the target, or all within the budget if there are
    /// fewer. The same for every method.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub evaluations: usize,
    /// Which of them is the result.
    pub select: Select,
    /// Which sub-networks there are.
    pub space: SpaceConfig,
    /// The reward.
    pub reward: RewardConfig,
    /// The agent's network.
    pub agent: AgentConfig,
    /// How it learns.
    pub learn: ReinforceConfig,
    /// Meta-training.
    pub meta: MetaConfig,
    /// Fine-tuning.
    pub fine_tune: FineTuneConfig,
    /// The evolutionary control.
    pub evolution: EvolutionConfig,
}

impl Default for RcnasConfig {
    fn default() -> Self {
        Self {
            method: Method::RcNas,
            evaluations: 25,
            select: Select::Robust,
            space: SpaceConfig::default(),
            reward: RewardConfig::default(),
            agent: AgentConfig::default(),
            learn: ReinforceConfig::default(),
            meta: MetaConfig::default(),
            fine_tune: FineTuneConfig::default(),
            evolution: EvolutionConfig::default(),
        }
    }
}

impl RcnasConfig {
    pub fn check(&self) -> Result<(), OutOfRange> {
        ranges::check(self)?;
        let (steps, evaluations) = (self.fine_tune.steps, self.evaluations);
        let expected = format!("1 to {evaluations}, the evaluations");
        OutOfRange::unless(steps <= evaluations, "fine_tune.steps", steps, expected)?;
        let EvolutionConfig {
            population,
            tournament,
            ..
        } = self.evolution;
        let expected = format!("1 to {population}, the population");
        let fits = tournament <= population;
        OutOfRange::unless(fits, "evolution.tournament", tournament, expected)
    }
}
