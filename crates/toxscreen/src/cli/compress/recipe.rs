//! The recipe of one trial that the command line stands for.

use super::{Compress, Teacher};
use crate::cli::{Result, bug, single};
use serde_json::json;
use tox_audits::rcnas;
use tox_audits::threats::evasion;
use tox_data::DataDir;
use tox_data::hashed::HashedFile;
use tox_data::spec::{Augment, DataSpec};
use tox_rcnas::config::FineTuneConfig;
use tox_rcnas::learner::{CandidateConfig, CompressConfig, JudgeConfig, MetaTasks};
use tox_rcnas::{Method, RcnasConfig};
use tox_robust::attack::Attack;
use tox_robust::ball::Ball;
use tox_robust::threat::EvasionThreat;
use tox_robust::training::{InnerAttack, Method as Training, TrainingConfig, Validation};
use tox_study::recipe::Study;

/// Its study of one trial.
pub fn study(args: &Compress, teacher: &Teacher, dir: &DataDir) -> Result<Study> {
    let mut learner =
        serde_json::to_value(config(args, teacher)?).map_err(|e| bug(&e.to_string()))?;
    learner["kind"] = rcnas::KIND.into();
    let threat = json!({
        "kind": evasion::KIND,
        "attack": args.attack,
        "norm": args.radius.norm,
        "epsilon": args.radius.epsilon(),
    });
    let recipe = json!({
        "name": "compress",
        "seeds": [args.session.seed],
        "data": data(args, &args.images_of.set.data)?,
        "learner": learner,
        "threat": threat,
        "cell": [{ "label": "compress" }],
    });
    single::study(&recipe, args.session.seed, dir, &args.set)
}

/// A data set, with the usual augmentation of small photographs.
fn data(args: &Compress, dataset: &str) -> Result<DataSpec> {
    let mut spec = args.images_of.spec(dataset)?;
    if dataset.starts_with("cifar") {
        spec.augment = Augment {
            // Padding of 4 on 32 pixels.
            crop: args.images_of.set.resize.map_or(4, |side| side / 8),
            flip: true,
            ..Augment::default()
        };
    }
    Ok(spec)
}

fn config(args: &Compress, teacher: &Teacher) -> Result<CompressConfig> {
    let weights = args.teacher.as_ref().map(HashedFile::unread);
    let other = |dataset: &String| data(args, dataset);
    let meta = MetaTasks {
        data: args.meta_data.iter().map(other).collect::<Result<_>>()?,
        attacks: args.meta_attacks.iter().map(|a| threat(args, a)).collect(),
        teachers: args
            .meta_teachers
            .iter()
            .flat_map(|s| s.0.clone())
            .collect(),
        ..MetaTasks::default()
    };
    let alone = meta == MetaTasks::default();
    let usual = if alone {
        Method::FromScratch
    } else {
        Method::RcNas
    };
    let fine_tune = FineTuneConfig::default();
    let long = training(args, args.final_epochs, Validation::default().images);
    Ok(CompressConfig {
        teacher: teacher.shape,
        weights,
        budget: args.budget,
        search: RcnasConfig {
            method: args.method.unwrap_or(usual),
            evaluations: args.evaluations,
            fine_tune: FineTuneConfig {
                steps: fine_tune.steps.min(args.evaluations.max(1)),
                ..fine_tune
            },
            ..RcnasConfig::default()
        },
        table: None,
        meta,
        unseen: Vec::new(),
        candidate: CandidateConfig {
            // Candidates are attacked when they are trained.
            training: training(args, args.epochs, 0),
            teacher: Some(long.clone()),
            normalise: teacher.normalisation.clone(),
            ..CandidateConfig::default()
        },
        judge: Some(JudgeConfig {
            training: Some(long),
            attacks: args.judge.iter().map(Attack::name).collect(),
            images: args.images,
        }),
    })
}

fn threat(args: &Compress, attack: &Attack) -> EvasionThreat {
    EvasionThreat {
        attack: attack.clone(),
        norm: args.radius.norm,
        epsilon: args.radius.epsilon(),
    }
}

/// A training against an adversary in the ball of the task, whose steps are a quarter of the radius, as 2 of
/// 8 usually are; `followed` validation images are attacked after the last epoch.
fn training(args: &Compress, epochs: usize, followed: usize) -> TrainingConfig {
    let usual = TrainingConfig::default();
    let epsilon = args.radius.epsilon();
    let method = match args.training.as_str() {
        "standard" => Training::Standard,
        "sat" => Training::Sat,
        "mart" => Training::Mart { beta: 5.0 },
        _ => Training::Trades { beta: 6.0 },
    };
    TrainingConfig {
        method,
        epochs,
        batch: args.batch,
        lr: args.lr,
        attack: InnerAttack {
            ball: Ball {
                norm: args.radius.norm,
                epsilon,
            },
            step_size: epsilon / 4.0,
            ..usual.attack
        },
        validation: Validation {
            images: followed,
            every: 0,
            step_size: epsilon / 10.0,
            ..usual.validation
        },
        ..usual
    }
}
