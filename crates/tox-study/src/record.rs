//! What one trial measured. Reports read nothing else.

pub mod compress;
pub mod nas;

pub use compress::{CompressOutcome, TableOutcome};
pub use nas::NasOutcome;

use crate::files::{self, FileError};
use crate::plan::trial_id;
use crate::spec::TrialSpec;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use tox_bilevel::outcome::{BilevelOutcome, SyntheticOutcome};
pub use tox_search::enas::search::Epoch;
use tox_search::genotype::Genotype;

/// Version of the records that this program writes, the only one that it reads. Version 1 had the
/// outcome of ENAS without a `kind`.
const VERSION: u32 = 2;

/// One trial's measurements: `outcome` is deterministic, the rest says where it came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Version of this structure.
    pub version: u32,
    /// Id of the trial: the hash of `spec`.
    pub trial: String,
    /// The resolved spec.
    pub spec: TrialSpec,
    /// What was measured.
    pub outcome: Outcome,
    /// Where and with what.
    pub provenance: Provenance,
    /// How long it took; differs from run to run.
    pub timing: Timing,
    /// blake3 of the record without this field, so that a changed byte is noticed.
    pub digest: String,
}

/// What a trial measured, by its learner.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[allow(clippy::large_enum_variant, reason = "a trial has one")]
pub enum Outcome {
    /// What a search found.
    Enas(EnasOutcome),
    /// What poison did to a learned regularisation.
    Bilevel(BilevelOutcome),
    /// The maps of the synthetic example.
    Synthetic(SyntheticOutcome),
    /// What a search on poisoned data found.
    Nas(NasOutcome),
    /// What a compression found.
    RcNas(CompressOutcome),
    /// All sub-networks of a teacher.
    SubNetworks(TableOutcome),
}

/// What a search found. Errors are in percent. A number that is not finite is `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EnasOutcome {
    /// Full validation error of the best of the final candidates, shared weights.
    pub valid_error: f64,
    /// Its test error, shared weights.
    pub test_error: f64,
    /// Test error after training the genotype from scratch on clean weights; `None` if skipped.
    pub retrained_test_error: Option<f64>,
    /// Error of always answering the most frequent class of the test set.
    pub chance_error: f64,
    /// Child step (from 0) whose gradient norm was the first that is not finite.
    pub first_nonfinite_step: Option<u64>,
    /// Child step after which the first weight was not finite (policy `torch` only).
    pub first_nan_weight_step: Option<u64>,
    /// Child steps whose gradient norm was not finite. `guarded` skipped them.
    pub nonfinite_steps: u64,
    /// The same two for the retraining.
    pub retrain_first_nonfinite_step: Option<u64>,
    /// Child steps in all.
    pub steps: u64,
    /// One entry an epoch.
    pub epochs: Vec<Epoch>,
    /// The architecture found.
    pub genotype: Genotype,
    /// `bad_ops[n]`: how many of the final controller's samples have `n` layers with a poison op.
    pub bad_ops: Vec<u64>,
    /// Trainable parameters of the found network.
    pub parameters: u64,
    /// What the screen dropped, under the defence `screen`.
    pub screened: Vec<ScreenedOp>,
}

/// An op that the screen dropped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreenedOp {
    /// Short name of the op.
    pub op: String,
    /// The verdict, such as `no-information`.
    pub verdict: String,
    /// The measured reason, for people.
    pub reason: String,
    /// Whether it really was put there by the adversary.
    pub poison: bool,
}

/// The field that every version has.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// Where a record came from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Version of toxscreen.
    pub toxscreen: String,
    /// Content hash (blake3) of the data set as used: pixels, labels, splits.
    pub data_hash: String,
    /// What is unusual about this copy of the data, such as fewer images than the official one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub data_notes: Vec<String>,
    /// Device string, such as `cpu`.
    pub device: String,
    /// Threads of the trial.
    pub threads: usize,
    /// Operating system and architecture.
    pub platform: String,
    /// CPU instruction set that the kernels used, such as `avx512`.
    pub simd: String,
}

/// How long a trial took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// Seconds since the Unix epoch at the start.
    pub started_unix: u64,
    /// Wall seconds, over all resumed parts.
    pub seconds: f64,
    /// How often it was resumed.
    pub resumed: u32,
}

/// Why a record is not to be trusted.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not a record.
    #[error("{} is not a record: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        message: String,
    },
    /// Another version of toxscreen wrote it.
    #[error(
        "{} is a record of version {found}, expected version {VERSION}: another toxscreen wrote it; \
         read it with that one, or delete the trial's folder and run the study again",
        path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It was changed after it was written.
    #[error("{} was changed after it was written: {what}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        what: &'static str,
    },
    /// The measurements cannot be written down.
    #[error(
        "the outcome of trial {trial} has a number that is not finite where a record needs one"
    )]
    NotFinite {
        /// The trial.
        trial: String,
    },
}

impl Record {
    /// Seals measurements into a record: fills in the trial's id and the digest.
    ///
    /// # Errors
    /// When a number that must be finite is not.
    pub fn seal(
        spec: TrialSpec,
        outcome: Outcome,
        provenance: Provenance,
        timing: Timing,
    ) -> Result<Self, RecordError> {
        let mut record = Self {
            version: VERSION,
            trial: trial_id(&spec),
            spec,
            outcome,
            provenance,
            timing,
            digest: String::new(),
        };
        record.digest = record.fresh_digest();
        // JSON has no NaN: it would be written as null and could not be read again.
        match serde_json::from_str::<Self>(&record.to_json()) {
            Ok(again) if again == record => Ok(record),
            _ => Err(RecordError::NotFinite {
                trial: record.trial,
            }),
        }
    }

    /// The record as it is written: indented JSON, fields in their order of declaration.
    pub fn to_json(&self) -> String {
        // Plain data with string keys: its JSON has no way to fail.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }

    fn fresh_digest(&self) -> String {
        let mut blank = self.clone();
        blank.digest.clear();
        blake3::hash(blank.to_json().as_bytes())
            .to_hex()
            .to_string()
    }

    /// Reads a record and checks that no byte was changed since it was sealed: its text is the one
    /// that [`Record::to_json`] writes, the digest fits, and the id is the hash of the spec.
    ///
    /// # Errors
    /// When it cannot be read, is not a record, or was changed.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let text = files::read(path)?;
        let parse = |e: serde_json::Error| RecordError::Parse {
            path: path.to_owned(),
            message: e.to_string(),
        };
        let Version { version } = serde_json::from_str(&text).map_err(parse)?;
        if version != VERSION {
            return Err(RecordError::Version {
                path: path.to_owned(),
                found: version,
            });
        }
        let record: Self = serde_json::from_str(&text).map_err(parse)?;
        let wrong = if record.to_json() != text {
            "its text is not the one that toxscreen writes"
        } else if record.fresh_digest() != record.digest {
            "its digest does not fit its content"
        } else if trial_id(&record.spec) != record.trial {
            "its id is not the hash of its spec"
        } else {
            return Ok(record);
        };
        Err(RecordError::Changed {
            path: path.to_owned(),
            what: wrong,
        })
    }
}

impl Outcome {
    /// The bytes by which two runs of a trial are compared.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }

    /// What a search found, if one was run.
    pub fn enas(&self) -> Option<&EnasOutcome> {
        match self {
            Self::Enas(outcome) => Some(outcome),
            _ => None,
        }
    }
}
