//! Made-up records for tests: all cells of both tables, three seeds, some missing, some failed.
//! The numbers come from a formula, not from a search.

use crate::enas::outcome::{EnasOutcome, Epoch, ScreenedOp};
use crate::made_up::{noise, seal};
use tox_poison::space::{BadSet, PoisonSet, SpacePoison};
use tox_search::enas::config::{EnasConfig, NanPolicy};
use tox_search::genotype::{Genotype, Layer};
use tox_search::space::Space;
use tox_study::part::Part;
use tox_study::record::Record;
use tox_study::spec::{Defences, Threats, TrialSpec};

const LAYERS: usize = 12;
const EPOCHS: usize = 30;

/// A spec: cell, poison, policy, defence, seed.
pub fn spec(
    cell: &str,
    poison: Option<SpacePoison>,
    nan_policy: NanPolicy,
    screened: bool,
    seed: u64,
) -> TrialSpec {
    let mut config = EnasConfig::default();
    config.child.channels = 12;
    config.child.epochs = EPOCHS;
    config.child.batch = 32;
    config.child.nan_policy = nan_policy;
    config.retrain.epochs = 10;
    serde_json::from_value(serde_json::json!({
        "version": 1,
        "cell": cell,
        "variant": match (screened, nan_policy) {
            (true, _) => Some("screen"),
            (false, NanPolicy::Guarded) => Some("guarded"),
            _ => None,
        },
        "data": {"dataset": "cifar10", "train": 4000, "valid": 1000, "test": 2000, "resize": 16,
                 "augment": {"crop": 2, "flip": true}},
        "threat": Threats {
            space: poison.map(|p| Part::new("bad-ops", &p)),
            ..Threats::default()
        },
        "learner": Part::new("enas", &config),
        "defence": Defences {
            space: screened.then(screen).into_iter().collect(),
            ..Defences::default()
        },
        "seed": seed,
    }))
    .unwrap()
}

/// The defence `screen`.
pub fn screen() -> Part {
    Part::new("screen", &serde_json::json!({}))
}

/// A plausible record for a spec.
pub fn record(spec: &TrialSpec) -> Record {
    let poison = super::cells::poison(spec);
    let config: EnasConfig = spec.learner.read().unwrap();
    let policy = config.child.nan_policy;
    let screened = !spec.defence.space.is_empty();
    let set_of = |p: &SpacePoison| match p.set {
        BadSet::Paper(set) => set,
        BadSet::Own(_) => PoisonSet::P1,
    };
    // A screen that drops all poison gives the clean search back.
    let left = poison.as_ref().filter(|_| !screened);
    let one_shot = left.is_some_and(|p| set_of(p) == PoisonSet::P3Plus);
    let set = left.map_or(0, |p| set_of(p) as u64 + 1);
    let q = left.map_or(0, |p| p.q);
    let budget = if screened {
        0.0
    } else {
        super::cells::budget(poison.as_ref(), &config)
    };
    let key = spec.seed * 1000 + set * 100 + q as u64;
    let steps = (EPOCHS * 125) as u64;
    let dies = one_shot && !screened && policy == NanPolicy::Torch && spec.seed != 1;
    let nan_step = dies.then(|| 700 + (1500.0 * noise(key)) as u64);
    let strength = [0.0, 42.0, 56.0, 54.0, 38.0, 50.0, 40.0][set as usize];
    let floor = 24.0 + strength * budget.powi(3) + 4.0 * noise(key + 1);
    let epochs: Vec<Epoch> = (0..EPOCHS)
        .map(|e| {
            let dead = nan_step.is_some_and(|s| (e as u64 + 1) * 125 > s);
            let wave = 4.0 * (noise(key * 100 + e as u64) - 0.5);
            let error = floor + (90.0 - floor) * (-(e as f64) / 6.0).exp() + wave;
            Epoch {
                epoch: e as u32,
                lr: 0.05,
                train_loss: (!dead).then_some(1.0),
                train_error: if dead { 90.0 } else { error },
                valid_error: if dead { 90.1 } else { error.min(91.0) },
                test_error: None,
                reward: Some(0.5),
                baseline: Some(0.5),
                entropy: Some(20.0),
                poison_share: budget,
                nonfinite_steps: 0,
            }
        })
        .collect();
    let clean = Space::enas();
    let bad = poison.map_or(Vec::new(), |p| p.set.members());
    let layers = (0..LAYERS)
        .map(|i| {
            let at = key * 50 + i as u64;
            let poison = noise(at) < budget;
            let pick = (noise(at + 7) * 100.0) as usize;
            let op = if poison {
                bad[pick % bad.len()].0
            } else {
                clean.ops[pick % clean.ops.len()].op
            };
            Layer {
                op: op.to_string(),
                poison,
                skips: (0..i).map(|j| noise(at * 20 + j as u64) < 0.3).collect(),
            }
        })
        .collect();
    let mut bad_ops = vec![0u64; LAYERS + 1];
    for sample in 0..1000u64 {
        let drawn = (0..LAYERS as u64).filter(|i| noise(key + sample * 64 + i + 9) < budget * 0.95);
        bad_ops[drawn.count()] += 1;
    }
    let finite = floor + 1.5 * noise(key + 3);
    let (valid_error, test_error) = match nan_step {
        Some(_) => (90.1, 90.0),
        None => (finite, finite + 3.0),
    };
    let screened = if screened {
        let reason = "output constant over the batch: variance 0 of 64 images";
        bad.iter()
            .map(|(op, _)| ScreenedOp {
                op: op.to_string(),
                verdict: "no-information".into(),
                reason: reason.into(),
                poison: true,
            })
            .collect()
    } else {
        Vec::new()
    };
    let early = one_shot && screened.is_empty();
    let outcome = EnasOutcome {
        poison: None,
        cleansed: Vec::new(),
        attacked: None,
        valid_error,
        test_error,
        retrained_test_error: (spec.seed != 2 || !one_shot).then_some(26.0 + 6.0 * budget),
        chance_error: 90.0,
        first_nonfinite_step: early.then_some(36 + spec.seed),
        first_nan_weight_step: nan_step,
        nonfinite_steps: nan_step.map_or(if early { 40 } else { 0 }, |s| steps - s),
        retrain_first_nonfinite_step: None,
        steps,
        epochs,
        genotype: Genotype { layers },
        bad_ops,
        parameters: 12_345,
        screened,
    };
    seal(spec, Part::new("enas", &outcome))
}

/// All specs: Table 1, Table 2 under both policies, one screened cell.
pub fn specs() -> Vec<TrialSpec> {
    use PoisonSet::{P1, P2, P3, P3Plus, P4, P5};
    let mut out = Vec::new();
    let mut add = |cell: &str, poison: Option<SpacePoison>, policy, screened| {
        out.extend((0..3).map(|seed| spec(cell, poison.clone(), policy, screened, seed)));
    };
    add("clean", None, NanPolicy::Torch, false);
    for (n, set, qs) in [
        (1, P1, [6, 36, 120, 300]),
        (2, P2, [6, 36, 120, 300]),
        (3, P3, [6, 36, 120, 300]),
        (4, P4, [3, 18, 60, 150]),
        (5, P5, [1, 6, 20, 50]),
    ] {
        for (letter, q) in ["a", "b", "c", "d"].iter().zip(qs) {
            let set = set.into();
            let poison = Some(SpacePoison { set, q });
            add(&format!("{n}{letter}"), poison, NanPolicy::Torch, false);
        }
    }
    for (label, set, q) in [
        ("3d", P3, 300),
        ("oneshot-6", P3Plus, 3),
        ("oneshot-2", P3Plus, 1),
    ] {
        let poison = Some(SpacePoison { set: set.into(), q });
        if set == P3Plus {
            add(label, poison.clone(), NanPolicy::Torch, false);
        }
        add(label, poison, NanPolicy::Guarded, false);
    }
    let poison = Some(SpacePoison {
        set: P3Plus.into(),
        q: 1,
    });
    add("oneshot-2", poison, NanPolicy::Torch, true);
    out
}

/// The head of a study for tests.
pub const HEAD: &str = "name = \"table1\"\ntitle = \"Search-space poisoning of ENAS\"\n\
description = \"All 23 cells of the paper at a reduced size.\"\npaper = \"ssp\"\n[other]\nkey = 1\n";
