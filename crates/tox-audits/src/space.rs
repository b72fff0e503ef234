//! The search space of a trial: poisoned, screened.

use crate::defences;
use crate::error::TrialError;
use serde::{Deserialize, Serialize};
use tox_data::Dataset;
use tox_nn::Device;
use tox_poison::screen::{OpReport, ScreenConfig, screen, screen_cells, screened, screened_cells};
use tox_poison::space::{BadSet, SpacePoison};
use tox_search::space::{OwnOps, PoisonedSpace, Space};
use tox_study::spec::TrialSpec;

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

/// The bad ops that an adversary puts in.
///
/// # Errors
/// Keys of another threat, or a file that nobody read.
pub fn bad_ops(spec: &TrialSpec) -> Result<Option<SpacePoison>, TrialError> {
    let part = spec.threat.space.as_ref();
    let poison: Option<SpacePoison> = part.map(|part| part.read()).transpose()?;
    match poison.as_ref().map(|poison| &poison.set) {
        Some(BadSet::Own(own)) => is_read("threat.space.set", own)?,
        Some(BadSet::Paper(_)) | None => {}
    }
    Ok(poison)
}

/// Refuses a spec that names a file of ops: it is in no id, and nothing of it would be in the space.
///
/// # Errors
/// That it does.
pub fn is_read(key: &str, own: &OwnOps) -> Result<(), TrialError> {
    match own {
        OwnOps::Ops(_) => Ok(()),
        OwnOps::File(name) => Err(TrialError::Unfit(format!(
            "`{key}` of the trial's spec names the file {name}, expected its ops, which `toxscreen run` puts there"
        ))),
    }
}

/// Whether the screen stands before the space.
pub fn is_screened(spec: &TrialSpec) -> bool {
    spec.defence
        .space
        .iter()
        .any(|d| d.kind == defences::screen::KIND)
}

/// An op as a record tells of its end.
fn dropped(op: String, report: &OpReport, poison: bool) -> Option<ScreenedOp> {
    report.poisonous().then(|| ScreenedOp {
        op,
        verdict: report.verdict_names(),
        reason: report.reasons(),
        poison,
    })
}

/// The macro space without what the screen finds poisonous, and what that was.
///
/// # Errors
/// When the data cannot be screened on, or nothing is left.
pub fn screen_space(
    space: &Space,
    data: &Dataset,
    seed: u64,
    device: &Device,
) -> Result<(Space, Vec<ScreenedOp>), TrialError> {
    let reports = screen(space, data, &ScreenConfig::default(), seed, device)?;
    let all = space.ops.iter().zip(&reports);
    let found = all.filter_map(|(op, report)| dropped(op.op.to_string(), report, op.poison));
    let found = found.collect();
    let space = screened(space, &reports);
    match space.ops.is_empty() {
        true => Err(TrialError::NothingLeft),
        false => Ok((space, found)),
    }
}

/// The space of cells without what the screen finds poisonous beside the published ops, and what that was.
///
/// # Errors
/// When the data cannot be screened on.
pub fn screen_cell_space(
    space: &PoisonedSpace,
    data: &Dataset,
    seed: u64,
    device: &Device,
) -> Result<(PoisonedSpace, Vec<ScreenedOp>), TrialError> {
    let reports = screen_cells(space, data, &ScreenConfig::default(), seed, device)?;
    let all = space.bad.iter().zip(&reports);
    let found = all.filter_map(|(bad, report)| dropped(bad.op.op().to_string(), report, true));
    let found = found.collect();
    Ok((screened_cells(space, &reports), found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_that_names_a_file_of_ops_is_refused() {
        let file = OwnOps::File("x.toml".to_owned());
        let refused = is_read("learner.space", &file).unwrap_err().to_string();
        assert!(
            refused.contains("`learner.space`") && refused.contains("x.toml"),
            "{refused}"
        );
        is_read("learner.space", &OwnOps::Ops(Space::enas().ops)).unwrap();
    }
}
