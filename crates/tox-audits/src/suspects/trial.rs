//! A trial: the rows are judged, and listed.

use super::outcome::{Known, SuspectsOutcome, poisoned};
use super::{KIND, SuspectsConfig, TABLES, table};
use crate::error::TrialError;
use crate::rows::Source;
use std::path::Path;
use tox_bilevel::own::complete;
use tox_data::patch::Patch;
use tox_poison::suspects::{Case, find, named};
use tox_study::files;
use tox_study::spec::TrialSpec;
use tox_study::steps::StepError;
use tox_study::trial::{Finished, TrialContext, with_hooks};

/// The poison that is known, which must be the spec's.
pub fn known(config: &SuspectsConfig) -> Result<Option<Patch>, TrialError> {
    let Some(file) = &config.known else {
        return Ok(None);
    };
    file.unchanged()?;
    Ok(Some(Patch::load(Path::new(&file.path))?))
}

/// Runs the trial. Stopped, it begins anew.
pub fn run(
    spec: &TrialSpec,
    config: &SuspectsConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    let known = known(config)?;
    let source = Source::of(spec, config.trusted.as_ref(), context.data_dir)?;
    let (rows, trusted) = (&source.data.sets.train, source.trusted.as_ref());
    complete(rows).map_err(TrialError::Rows)?;
    let poisoned = known.map(|patch| poisoned(&patch, rows)).transpose()?;
    let (hash, folder) = (source.data.hash(), context.dir);
    let judged = || {
        let methods = named(&config.method)?;
        let case = Case::new(rows, trusted, &config.settings, spec.seed)?;
        with_hooks(spec, context, &hash, |hooks| {
            find(&case, &methods, &mut |done, what| {
                (hooks.progress)(done, what);
                !(hooks.stop)()
            })
        })
    };
    let found = judged().map_err(TrialError::Suspects)?;
    let found = found.ok_or(StepError::Stopped)?;
    let tables = [
        Some(table::csv(rows, &found)),
        table::probabilities(rows, &found),
    ];
    for (name, text) in TABLES.iter().zip(tables) {
        if let Some(text) = text {
            files::write_atomic(&folder.join(name), text.as_bytes())?;
        }
    }
    let known = poisoned.map(|poisoned| Known::of(&poisoned, &found));
    let outcome = SuspectsOutcome::of(rows, trusted, &found, known);
    source.finished(KIND, &outcome, hash)
}
