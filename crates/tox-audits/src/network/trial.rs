//! A trial: the weights are read, and attacked.

use super::architectures::Images;
use super::images::{self, Each};
use super::outcome::NetworkOutcome;
use super::{KIND, NetworkConfig, norms};
use crate::error::TrialError;
use std::path::Path;
use tox_nn::nets::file::WeightsFile;
use tox_robust::ball::{Ball, Norm};
use tox_robust::evaluation::{EvaluationError, Inputs, evaluate_each};
use tox_robust::threat::EvasionThreat;
use tox_study::spec::TrialSpec;
use tox_study::steps::StepError;
use tox_study::trial::{Finished, TrialContext, load, with_hooks};

/// Refuses weights that are not those of the spec.
pub fn unchanged(config: &NetworkConfig) -> Result<(), TrialError> {
    Ok(config.weights.unchanged()?)
}

/// Runs the trial.
pub fn run(
    spec: &TrialSpec,
    config: &NetworkConfig,
    context: TrialContext<'_>,
) -> Result<Finished, TrialError> {
    unchanged(config)?;
    let Some(arch) = &config.arch else {
        return Err(TrialError::Unfit("the network has no `arch`".into()));
    };
    let mut data = load(spec, &context)?;
    config
        .normalise
        .clone()
        .unwrap_or_default()
        .apply(&mut data)?;
    let split = config.split.of(&data);
    if split.is_empty() {
        return Err(EvaluationError::NoImages.into());
    }
    let [_, c, h, w] = split.images.shape;
    let of = Images {
        shape: [c, h, w],
        classes: data.classes,
    };
    let file = WeightsFile::read(Path::new(&config.weights.path))?;
    let taken = arch.take(&file, of)?;

    let mut attacks = config.attacks().map_err(TrialError::Unfit)?;
    // An epsilon of 0 is asked about too: the evaluation says that it leaves no room.
    let ball = match &spec.threat.inputs {
        Some(threat) => {
            let threat: EvasionThreat = threat.read()?;
            if attacks.is_empty() {
                attacks.push(threat.attack.clone());
            }
            threat.ball()
        }
        None => {
            attacks.clear();
            Ball {
                norm: Norm::Linf,
                epsilon: 0.0,
            }
        }
    };
    for attack in &attacks {
        attack.check(ball, data.classes)?;
    }
    let device = tox_nn::device::parse(context.device)?;
    let machine = crate::machine(context.device, true)?;
    let oracle = taken.network.oracle(&data.normalise, of, device);
    let count = spec.judge.images.unwrap_or(usize::MAX).min(split.len());
    let rows: Vec<u32> = (0..count as u32).collect();
    let inputs = Inputs {
        oracle: &*oracle,
        split: split.into(),
        rows: &rows,
        ball,
        attacks: &attacks,
        seed: spec.seed,
    };
    let dir = context.dir;
    let found = with_hooks(spec, context, &data.hash, |hooks| {
        evaluate_each(&inputs, hooks)
    })?;
    let (mut evaluation, found) = found.ok_or(StepError::Stopped)?;
    let each = Each {
        split,
        attacks: &attacks,
        found: &found,
    };
    each.write_table(&dir.join(images::TABLE))?;
    if config.examples {
        each.write_examples(&dir.join(images::EXAMPLES))?;
    }
    // Which images stand is not kept in the record.
    let attacked = evaluation.attacks.iter_mut();
    attacked.for_each(|attack| attack.robust.clear());
    let outcome = NetworkOutcome {
        parameters: taken.parameters,
        macs: taken.macs,
        evaluation,
    };
    let chance = tox_data::majority::error(&split.labels);
    let mut notes = data.notes.clone();
    notes.extend(norms::untouched(Path::new(&config.weights.path)));
    Ok(crate::finished(KIND, &outcome, (data.hash, notes), machine)?.guessing(chance))
}
