//! Why a trial did not end with an outcome, and how its process then ends.

use crate::external::error::ExternalError;
use crate::network::architectures::{LIVE, NetworkError};
use crate::suspects::outcome::OtherRows;
use crate::target::TargetError;
use tox_bilevel::advice::AdviceError;
use tox_bilevel::audit::AuditError;
use tox_bilevel::outcome::Divergence;
use tox_bilevel::own::OwnError;
use tox_data::DataError;
use tox_data::checkpoint::CheckpointError;
use tox_data::hashed::HashedError;
use tox_data::patch::PatchError;
use tox_data::ranges::OutOfRange;
use tox_nn::device::DeviceError;
use tox_nn::layers::WeightsError;
use tox_nn::nets::wrn::Shape;
use tox_poison::cleanse::CleanseError;
use tox_poison::data::PoisonError;
use tox_poison::screen::ScreenError;
use tox_poison::space::QError;
use tox_rcnas::RcnasError;
use tox_rcnas::learner::NormaliseError;
use tox_rcnas::subnetwork::InheritError;
use tox_rcnas::table::TableError as SubNetworksError;
use tox_robust::attack::AttackError;
use tox_robust::evaluation::EvaluationError;
use tox_search::final_training::FinalError;
use tox_search::nas::NasError;
use tox_search::space::SpaceError;
use tox_search::table::TableError;
use tox_study::files::FileError;
use tox_study::part::PartError;
use tox_study::steps::StepError;
use tox_study::trial::{Exit, Failure};

/// Why a trial did not end with an outcome.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    #[error(transparent)]
    Step(#[from] StepError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Hashed(#[from] HashedError),
    #[error("the trial's spec: {0}")]
    Part(#[from] PartError),
    /// JSON has no NaN: it would be written as null and could not be read again.
    #[error("the outcome has a number that is not finite where a record needs one")]
    NotFinite,
    /// A combination that a recipe would have refused.
    #[error("{0}; correct the recipe")]
    Unfit(String),
    /// What works on images alone, on a table.
    #[error(
        "the data are a table of numbers, and what the recipe asks for works on images alone; correct the \
         recipe"
    )]
    NotImages,
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    Device(#[from] DeviceError),
    #[error("the trial's learner: {0}; correct the recipe")]
    Config(#[from] OutOfRange),
    #[error("the trial's threat: {0}; correct the recipe")]
    Threat(#[from] QError),
    #[error("the trial's threat: {0}")]
    Own(#[from] OwnError),
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// A user's rows that cannot be divided.
    #[error(transparent)]
    Rows(OwnError),
    #[error(transparent)]
    Target(#[from] TargetError),
    #[error(transparent)]
    Advice(#[from] AdviceError),
    /// Training stopped being finite, so that there is no poison to write.
    #[error(
        "training diverged with {} poison points, at {}, after step {} of gradient descent: expected weights \
         that stay finite",
        .0.points, .0.training, .0.step
    )]
    Diverged(Divergence),
    /// Rows that cannot be judged.
    #[error(transparent)]
    Suspects(CleanseError),
    #[error(transparent)]
    OtherRows(#[from] OtherRows),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Screen(#[from] ScreenError),
    #[error(transparent)]
    Nas(#[from] NasError),
    #[error("the final training: {0}")]
    Final(#[from] FinalError),
    #[error(transparent)]
    Space(#[from] SpaceError),
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    External(Box<ExternalError>),
    #[error("the trial's threat: {0}")]
    Poison(#[from] PoisonError),
    #[error("the trial's defence: {0}")]
    Cleanse(#[from] CleanseError),
    #[error("the trial's threat: {0}")]
    Patch(#[from] PatchError),
    #[error(transparent)]
    Weights(#[from] WeightsError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error("`candidate.normalise`: {0}")]
    Normalise(#[from] NormaliseError),
    #[error(transparent)]
    Inherit(#[from] InheritError),
    #[error("the trial's threat: {0}")]
    Attack(#[from] AttackError),
    #[error(transparent)]
    Evaluation(#[from] EvaluationError),
    /// Without a teacher there is nothing to compress.
    #[error(
        "the teacher {shape} cannot be used: {reason}; lower `candidate.training.lr`, or give its \
         `weights`"
    )]
    Teacher { shape: Box<Shape>, reason: String },
    #[error(transparent)]
    Rcnas(#[from] RcnasError),
    #[error(transparent)]
    SubNetworks(#[from] SubNetworksError),
    /// What was found cannot be trained.
    #[error(
        "the sub-network {shape} that was found cannot be judged: {reason}; lower \
         `judge.training.lr`"
    )]
    Found { shape: Box<Shape>, reason: String },
    /// Every op was found poisonous.
    #[error(
        "the screen found every op of the search space poisonous, so nothing is left to search; \
         run `toxscreen screen` on the space, or leave `defence` out"
    )]
    NothingLeft,
}

impl TrialError {
    /// How the process ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Step(StepError::Stopped) => Exit::Stopped,
            // What cannot be written is no fault of the data.
            Self::Data(DataError::Write { .. })
            | Self::Patch(PatchError::Write { .. } | PatchError::Data(DataError::Write { .. })) => {
                Exit::Failed
            }
            Self::Data(_)
            | Self::Own(_)
            | Self::Rows(_)
            | Self::Target(_)
            | Self::OtherRows(_)
            | Self::Table(_)
            | Self::Patch(_)
            | Self::Hashed(_)
            | Self::Nas(NasError::Supernet(_)) => Exit::Data,
            Self::External(error) => error.exit(),
            Self::Audit(error) => error.exit(),
            Self::Advice(error) => error.exit(),
            Self::Suspects(error) => error.exit(),
            Self::Poison(error) => error.exit(),
            Self::Weights(error) => error.exit(),
            Self::Network(error) => error.exit(),
            Self::Device(_)
            | Self::Config(_)
            | Self::Threat(_)
            | Self::Attack(_)
            | Self::Normalise(_)
            | Self::Rcnas(
                RcnasError::Config(_)
                | RcnasError::Task(_)
                | RcnasError::NoTasks
                | RcnasError::Budget { .. },
            )
            | Self::Part(_)
            | Self::NotImages
            | Self::Unfit(_) => Exit::Usage,
            Self::Step(StepError::File(_) | StepError::Damaged { .. })
            | Self::File(_)
            | Self::NotFinite
            | Self::Diverged(_)
            | Self::Checkpoint(_)
            | Self::Screen(_)
            | Self::Nas(_)
            | Self::Final(_)
            | Self::Space(_)
            | Self::Cleanse(_)
            | Self::Inherit(_)
            | Self::Evaluation(_)
            | Self::Teacher { .. }
            | Self::Rcnas(_)
            | Self::SubNetworks(_)
            | Self::Found { .. }
            | Self::NothingLeft => Exit::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = if let Self::Rcnas(RcnasError::Teacher { .. }) = self {
            "try it with `toxscreen attack`: weights from elsewhere may need another `normalise`, a \
             teacher trained here more epochs"
        } else if let Self::Diverged(_) = self {
            "leave --lr out for a rate that is stable with logistic regression, or lower it (or \
             --lambda); --scale minmax or standard brings features to about one size"
        } else {
            return None;
        };
        Some(hint.to_owned())
    }
}

/// How a command ends by an error of a floor below, in that error's own words.
pub trait Fails: ToString + Sized {
    fn exit(&self) -> Exit;

    /// What to do about it.
    fn hint(&self) -> Option<String> {
        None
    }

    fn fails(self) -> Failure {
        Failure {
            hint: self.hint(),
            ..Failure::new(self.exit(), &self)
        }
    }
}

impl Fails for AuditError {
    fn exit(&self) -> Exit {
        match self {
            Self::Sets(_) | Self::TooFewPoints { .. } => Exit::Data,
            Self::Config(_) | Self::TopK { .. } | Self::Folds { .. } | Self::Lambdas { .. } => {
                Exit::Usage
            }
            Self::NoLambda { .. } | Self::Checkpoint(_) => Exit::Failed,
        }
    }
}

impl Fails for AdviceError {
    fn exit(&self) -> Exit {
        match self {
            Self::Audit(error) => error.exit(),
            Self::Diverged(..) => Exit::Failed,
        }
    }
}

/// Of rows that are judged.
impl Fails for CleanseError {
    fn exit(&self) -> Exit {
        match self {
            Self::Range(_) => Exit::Usage,
            Self::FewToJudge { .. } | Self::Trusted { .. } => Exit::Data,
            Self::FewRows { .. }
            | Self::Table(_)
            | Self::Known { .. }
            | Self::FewLeft { .. }
            | Self::ClassGone { .. }
            | Self::Classifier(_) => Exit::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Range(error) => {
                let key = error.key.as_str();
                let option = key.strip_prefix("settings.").unwrap_or(key);
                format!("change --{option}")
            }
            Self::FewToJudge { .. } => "lower --k or --folds".to_owned(),
            Self::Trusted { .. } => {
                "bring rows that somebody has looked at, with --trusted".to_owned()
            }
            Self::FewRows { .. }
            | Self::Table(_)
            | Self::Known { .. }
            | Self::FewLeft { .. }
            | Self::ClassGone { .. }
            | Self::Classifier(_) => return None,
        };
        Some(hint)
    }
}

impl Fails for OwnError {
    fn exit(&self) -> Exit {
        Exit::Data
    }
}

impl Fails for PoisonError {
    fn exit(&self) -> Exit {
        match self {
            Self::Budget { .. } | Self::NoPoints { .. } | Self::Range(_) | Self::Keys(_) => {
                Exit::Usage
            }
            Self::NotImages { .. } | Self::OneClass { .. } => Exit::Data,
            // A file that cannot be used is no wrong usage.
            Self::Confidences { .. }
            | Self::Victim { .. }
            | Self::Diverged(_)
            | Self::Checkpoint(_)
            | Self::Patch(_) => Exit::Failed,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Budget { .. } | Self::NoPoints { .. } => "change --budget",
            Self::Range(error) => {
                let option = match error.key.trim_start_matches("fit.") {
                    "lr" => "gc-lr".to_owned(),
                    "batch" => "gc-batch".to_owned(),
                    key => key.replace('_', "-"),
                };
                return Some(format!("change --{option}"));
            }
            Self::NotImages { .. } => "--attack rlf works on any rows",
            Self::Keys(_) => "leave --epochs and --width out",
            Self::Victim { .. } => {
                "try another --seed, --epochs or --genotype, or a smaller --radius"
            }
            Self::OneClass { .. }
            | Self::Confidences { .. }
            | Self::Diverged(_)
            | Self::Checkpoint(_)
            | Self::Patch(_) => return None,
        };
        Some(hint.to_owned())
    }
}

impl Fails for WeightsError {
    /// They are of another network, or damaged.
    fn exit(&self) -> Exit {
        match self {
            Self::Names { .. } | Self::Shape { .. } => Exit::Usage,
            Self::Io { .. } | Self::Format { .. } | Self::Type { .. } | Self::Value { .. } => {
                Exit::Data
            }
        }
    }
}

impl Fails for NetworkError {
    fn exit(&self) -> Exit {
        match self {
            Self::Weights(error) => error.exit(),
            Self::Unknown { .. } | Self::Images { .. } | Self::Other { .. } => Exit::Usage,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Weights(_) => None,
            Self::Unknown { .. } => Some(format!(
                "`toxscreen attack --help` says what is taken; {LIVE}"
            )),
            Self::Images { .. } => Some("give images that it was trained for".to_owned()),
            Self::Other { .. } => Some("leave --arch (`arch`) out".to_owned()),
        }
    }
}

impl Fails for PatchError {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

impl Fails for CheckpointError {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

impl Fails for EvaluationError {
    fn exit(&self) -> Exit {
        Exit::Failed
    }
}

/// What went wrong outside is much longer than what goes wrong here.
impl From<ExternalError> for TrialError {
    fn from(error: ExternalError) -> Self {
        Self::External(Box::new(error))
    }
}

impl From<TrialError> for Failure {
    fn from(error: TrialError) -> Self {
        Self {
            hint: error.hint(),
            ..Self::new(error.exit(), &error)
        }
    }
}
