//! Trials of hyper-parameter learning under data poisoning: an audit on a data set, and the
//! synthetic example.

use super::{Finished, TrialContext, TrialError, load, with_hooks};
use crate::record::Outcome;
use crate::spec::{Threat, TrialSpec};
use tox_bilevel::audit::{self, AuditError, Inputs};
use tox_bilevel::config::{BilevelConfig, SyntheticConfig};
use tox_bilevel::sets::Sets;
use tox_data::isa;

/// Runs an audit.
pub fn execute(
    spec: &TrialSpec,
    config: &BilevelConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    let data = load(spec, &context)?;
    let sets = Sets::of(&data, config.range).map_err(AuditError::from)?;
    let inputs = Inputs {
        sets: &sets,
        config,
        attack: match &spec.threat {
            Threat::Bilevel(attack) => Some(attack),
            _ => None,
        },
        seed: spec.seed,
    };
    let run = |hooks: tox_data::checkpoint::Hooks<'_>| audit::run(&inputs, hooks);
    let finished = with_hooks(spec, context, &data.hash, run)?.ok_or(TrialError::Stopped)?;
    Ok(Finished {
        outcome: Outcome::Bilevel(finished.outcome),
        data_hash: data.hash,
        data_notes: data.notes,
        simd: instruction_set(),
    })
}

/// What decides the last digits: 8-bit rows are integers to one instruction set alone. There is nothing
/// plain about these learners.
fn instruction_set() -> String {
    match isa::integers() {
        true => format!("{} with vnni", isa::name()),
        false => isa::name().to_owned(),
    }
}

/// Runs the synthetic example, whose points come from the seed alone.
pub fn synthetic(
    spec: &TrialSpec,
    config: &SyntheticConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    const DRAWN: &str = "drawn from the seed";
    // A recipe has both numbers; a spec without is refused with 0 found.
    let train = spec.data.train.unwrap_or_default();
    let found = with_hooks(spec, context, DRAWN, |hooks| {
        tox_bilevel::synthetic::run(config, train, spec.data.valid, spec.seed, hooks)
    })?;
    Ok(Finished {
        outcome: Outcome::Synthetic(found.ok_or(TrialError::Stopped)?),
        data_hash: DRAWN.to_owned(),
        data_notes: Vec::new(),
        simd: "plain".to_owned(),
    })
}
