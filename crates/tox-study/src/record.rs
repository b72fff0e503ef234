//! What one trial measured. Reports read nothing else.

use crate::files::{self, FileError};
use crate::part::Part;
use crate::plan::trial_id;
use crate::spec::TrialSpec;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

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
    /// What was measured, in the words of the trial's learner.
    pub outcome: Part,
    /// Where and with what.
    pub provenance: Provenance,
    /// How long it took; differs from run to run.
    pub timing: Timing,
    /// blake3 of the record without this field, so that a changed byte is noticed.
    pub digest: String,
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
    /// Error in percent of always answering the most frequent class of the test rows; none of a learner that is not
    /// scored on any, and of records that were made before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chance_error: Option<f64>,
    /// Device string, such as `cpu`.
    pub device: String,
    /// What that is, where it is no CPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<Adapter>,
    /// Threads of the trial.
    pub threads: usize,
    /// Operating system and architecture.
    pub platform: String,
    /// CPU instruction set that the kernels used, such as `avx512`.
    pub simd: String,
}

/// What a device is that is no CPU.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adapter {
    /// What its driver calls it.
    pub name: String,
    /// Its driver, with its version.
    pub driver: String,
    /// What kernels were written in for it.
    pub compiler: String,
}

impl std::fmt::Display for Adapter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, driver, compiler) = (&self.name, &self.driver, &self.compiler);
        write!(f, "{name}, driver {driver}, {compiler}")
    }
}

impl Provenance {
    /// The device, and what it is.
    pub fn place(&self) -> String {
        match &self.adapter {
            Some(adapter) => format!("{} ({adapter})", self.device),
            None => self.device.clone(),
        }
    }
}

/// Wall seconds of parts of a trial by their names, which differ from run to run.
pub type Parts = BTreeMap<String, f64>;

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
    /// Of what the learner itself has timed.
    #[serde(default, skip_serializing_if = "Parts::is_empty")]
    pub parts: Parts,
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
        path: PathBuf,
        /// Its version.
        found: u32,
    },
    /// It was changed after it was written.
    #[error("{} was changed after it was written: {what}", path.display())]
    Changed {
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
        outcome: Part,
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
