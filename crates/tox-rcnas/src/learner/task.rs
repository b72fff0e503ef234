//! Data sets and attacks as the agent knows them.

use crate::{TaskAttack, TaskData};
use tox_data::Dataset;
use tox_robust::attack::Attack;
use tox_robust::ball::Norm;
use tox_robust::threat::EvasionThreat;

/// A loaded data set.
pub fn data(name: &str, data: &Dataset) -> TaskData {
    let [_, channels, side, _] = data.train.images.shape;
    TaskData {
        name: name.to_owned(),
        classes: data.classes,
        channels,
        side,
        images: data.train.len(),
    }
}

/// An attack; its name says all that is not as usual (L-inf, 8/255, the attack's own settings), since
/// evaluations are kept by it: `pgd20`, `pgd20-eps16`.
pub fn attack(threat: &EvasionThreat) -> TaskAttack {
    let usual = threat
        .attack
        .name()
        .parse()
        .is_ok_and(|usual: Attack| usual == threat.attack);
    let standard = EvasionThreat::new(threat.attack.clone());
    let mut name = threat.attack.name();
    if !usual {
        let text = serde_json::to_string(&threat.attack).unwrap_or_default();
        name += &format!("-{}", &blake3::hash(text.as_bytes()).to_hex()[..8]);
    }
    if threat.norm != Norm::Linf {
        name += "-l2";
    }
    if threat.epsilon != standard.epsilon {
        // In 255ths, as such radii are written.
        let pixels = (threat.epsilon * 255.0 * 1e6).round() / 1e6;
        name += &format!("-eps{pixels}");
    }
    let facts = threat.attack.facts();
    TaskAttack {
        name,
        norm: threat.norm,
        epsilon: threat.epsilon,
        steps: facts.steps,
        members: threat.attack.parts(usize::MAX).len(),
        black_box: facts.black_box(),
    }
}
