//! How the engine's own errors end a command.

use crate::child::ChildError;
use crate::executors::EngineError;
use crate::files::FileError;
use crate::part::PartError;
use crate::recipe::{RecipeError, SourceError};
use crate::record::RecordError;
use crate::store::StoreError;
use crate::trial::{Exit, Failure};
use tox_data::{DataError, FetchError};

impl Failure {
    /// With what to do about it.
    pub fn hinted(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        let exit = match matches!(error, DataError::Write { .. }) {
            true => Exit::Failed,
            false => Exit::Data,
        };
        Self::new(exit, &error)
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        Self::new(Exit::Data, &error)
    }
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::new(Exit::Data, &error)
    }
}

/// A spec says what its kind does not mean.
impl From<PartError> for Failure {
    fn from(error: PartError) -> Self {
        Self::new(Exit::Usage, &error)
    }
}

impl From<FileError> for Failure {
    fn from(error: FileError) -> Self {
        Self::new(Exit::Failed, &error)
    }
}

impl From<RecipeError> for Failure {
    fn from(error: RecipeError) -> Self {
        Self {
            hint: error.hint(),
            ..Self::new(Exit::Usage, &error)
        }
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Self {
        let failure = Self::new(Exit::Failed, &error);
        match error {
            RecordError::Changed { .. } | RecordError::Parse { .. } => {
                failure.hinted("delete the trial's folder and run the study again to make it anew")
            }
            RecordError::File(_) | RecordError::Version { .. } | RecordError::NotFinite { .. } => {
                failure
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let exit = match &error {
            StoreError::File(_) | StoreError::Edited { .. } | StoreError::Busy { .. } => {
                Exit::Failed
            }
            StoreError::OtherData { .. } => Exit::Data,
            StoreError::Recipe(_)
            | StoreError::NoStudy { .. }
            | StoreError::Headless { .. }
            | StoreError::Occupied { .. }
            | StoreError::Kernels { .. }
            | StoreError::Changed { .. } => Exit::Usage,
        };
        Self {
            hint: error.hint(),
            ..Self::new(exit, &error)
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let exit = match &error {
            EngineError::File(_) | EngineError::Refused { .. } => Exit::Failed,
            EngineError::Setting { .. } | EngineError::Template { .. } => Exit::Usage,
        };
        Self {
            hint: error.hint(),
            ..Self::new(exit, &error)
        }
    }
}

impl From<ChildError> for Failure {
    fn from(error: ChildError) -> Self {
        match error {
            ChildError::Trial(failure) => failure,
            ChildError::Record(error) => error.into(),
            ChildError::File(_) | ChildError::Spec { .. } | ChildError::Busy { .. } => {
                Self::new(Exit::Failed, &error)
            }
        }
    }
}
