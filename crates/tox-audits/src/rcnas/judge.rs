//! Teacher and result, side by side.

use super::environment::Training;
use super::networks::Trained;
use super::outcome::{Judged, Role};
use crate::error::TrialError;
use crate::network::architectures::{Arch, Found};
use serde_json::json;
use std::path::Path;
use std::rc::Rc;
use tox_nn::nets::wrn::Shape;
use tox_rcnas::learner::{JudgeConfig, attacks};
use tox_robust::ball::{Ball, Norm};
use tox_robust::threat::EvasionThreat;

/// Trains the result, attacks both on test images, and leaves their weights in `dir`: `teacher.safetensors`
/// and `found.safetensors`.
pub fn judge(
    training: &mut Training<'_, '_>,
    config: &JudgeConfig,
    (teacher, found): (&Shape, &Shape),
    threat: Option<&EvasionThreat>,
    dir: &Path,
) -> Result<Vec<Judged>, TrialError> {
    let (set, candidate) = (&training.sets[0], training.bench.config);
    let given = training.teacher(set, teacher)?;
    let how = config.training.as_ref().unwrap_or(&candidate.training);
    let result = training.trained(set, (teacher, found), how)?;
    let shape = Box::new(*found);
    let result = result.map_err(|reason| TrialError::Found { shape, reason })?;
    let ball = threat.map_or(
        Ball {
            norm: Norm::Linf,
            epsilon: 8.0 / 255.0,
        },
        EvasionThreat::ball,
    );
    let attacks = attacks("judge.attacks", &config.attacks)?;
    let mut judged = Vec::new();
    let both: [(Role, &str, Rc<Trained>); 2] = [
        (Role::Teacher, "teacher", given),
        (Role::Found, "found", result),
    ];
    for (role, name, trained) in both {
        let (bench, shape) = (&training.bench, trained.config.shape);
        let about = Found::on(Arch::wrn(&shape), &set.data);
        about.save(&trained.state, &dir.join(format!("{name}.safetensors")))?;
        let key = json!([trained.key, ball, attacks, config.images]);
        let (evaluation, lipschitz) = training.steps.step(
            &format!("judge-{name}"),
            key,
            |_, hooks| -> Result<_, TrialError> {
                let on = (set, &set.data.test, config.images);
                let found = bench.attack(on, &trained, (ball, &attacks), hooks)?;
                Ok(found.map(|mut found| {
                    // Is not kept: a record must be the same when the step is read again.
                    (found.attacks.iter_mut()).for_each(|attack| attack.robust.clear());
                    (found, bench.lipschitz(set, &trained))
                }))
            },
        )?;
        judged.push(Judged {
            role,
            shape,
            cost: set.cost(&shape, bench.config),
            lipschitz,
            epochs: trained.epochs.clone(),
            evaluation,
        });
    }
    Ok(judged)
}
