//! Tasks with known answers.

use tox_nn::nets::wrn::{Shape, WrnConfig};
use tox_rcnas::config::Compression;
use tox_rcnas::{
    Budget, Buffers, Cache, Cost, Environment, Evaluated, Failure, HeldOut, Inputs, Measured,
    Method, Outcome, RcnasConfig, Task, TaskAttack, TaskData, run,
};
use tox_robust::ball::Norm;

pub const METHODS: [Method; 5] = [
    Method::RcNas,
    Method::FromScratch,
    Method::Random,
    Method::Uniform,
    Method::Evolution,
];

pub fn data(name: &str, classes: usize, side: usize) -> TaskData {
    TaskData {
        name: name.to_owned(),
        classes,
        channels: 3,
        side,
        images: 5000,
    }
}

pub fn attack(name: &str, steps: usize, members: usize, black_box: bool) -> TaskAttack {
    TaskAttack {
        name: name.to_owned(),
        norm: Norm::Linf,
        epsilon: 8.0 / 255.0,
        steps,
        members,
        black_box,
    }
}

/// How strong an attack is in the synthetic world.
fn strength(attack: &TaskAttack) -> f64 {
    match attack.name.as_str() {
        "fgsm" => 0.2,
        "pgd20" => 0.6,
        "square500" => 0.4,
        _ => 1.0,
    }
}

pub fn teacher() -> Shape {
    Shape {
        base: 4,
        ..Shape::new([3, 3, 3], [4, 4, 4], [false; 3])
    }
}

/// A world whose tasks share a structure, that of the paper's observation: depth early and a robust block
/// last pay, a wide last stage does not, the more the stronger the attack.
#[derive(Clone, Default)]
pub struct World {
    /// So far.
    pub evaluations: usize,
    /// Stop when asked for one more.
    pub stop_after: Option<usize>,
    /// Shapes whose training diverges.
    pub diverges: Option<fn(&Shape) -> bool>,
}

pub fn robust(task: &Task, shape: &Shape) -> f64 {
    let s = strength(&task.attack);
    let depth = shape.stages.map(|s| s.depth as f64 / 3.0);
    let width = shape.stages.map(|s| s.width as f64 / 4.0);
    let robust = shape.stages.map(|s| f64::from(s.robust));
    let gain = 12.0 * depth[0]
        + 8.0 * depth[1]
        + 2.0 * (1.0 - s) * depth[2]
        + 3.0 * width[0].sqrt()
        + 3.0 * width[1].sqrt()
        + (4.0 - 8.0 * s) * width[2]
        + 6.0 * s * robust[2]
        - 3.0 * robust[0]
        - robust[1];
    // Rough, but a fixed function of the task and the shape.
    let key = format!("{} {} {shape}", task.data.name, task.attack.name);
    let noise = f64::from(hashed(&key)) / 255.0;
    let base = 40.0 - 20.0 * s + 100.0 / task.data.classes as f64;
    base + gain + noise
}

/// FNV-1a, a byte of it.
fn hashed(text: &str) -> u8 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash >> 32) as u8
}

pub fn cost(task: &Task, shape: &Shape) -> Cost {
    let config = WrnConfig::new(*shape, task.data.channels, task.data.classes);
    Cost {
        macs: config.macs(task.data.side, task.data.side),
        parameters: config.parameters(),
    }
}

impl Environment for World {
    fn cost(&self, task: &Task, shape: &Shape) -> Result<Cost, Failure> {
        Ok(cost(task, shape))
    }

    fn evaluate(&mut self, task: &Task, shape: &Shape) -> Result<Option<Evaluated>, Failure> {
        if self.stop_after == Some(self.evaluations) {
            return Ok(None);
        }
        self.evaluations += 1;
        if self.diverges.is_some_and(|diverges| diverges(shape)) {
            let reason = "loss is NaN in epoch 3".to_owned();
            return Ok(Some(Evaluated::Failed { reason }));
        }
        let robust = robust(task, shape);
        Ok(Some(Evaluated::Measured(Measured {
            clean: (robust + 20.0).min(100.0),
            robust,
            lipschitz: 2.0,
        })))
    }
}

pub fn buffers() -> Buffers {
    Buffers {
        data: vec![
            data("digits", 10, 8),
            data("mnist", 10, 16),
            data("cifar10", 20, 16),
        ],
        attacks: vec![
            attack("fgsm", 1, 1, false),
            attack("pgd20", 20, 1, false),
            attack("square500", 500, 1, true),
            attack("autoattack", 100, 4, false),
        ],
        teachers: vec![teacher()],
        budgets: vec![Budget::Share(0.3), Budget::Share(0.5)],
        held_out: HeldOut {
            data: vec!["cifar10".to_owned()],
            attacks: vec!["autoattack".to_owned()],
            teachers: Vec::new(),
        },
    }
}

pub fn target() -> Task {
    let tasks = buffers();
    Task {
        data: tasks.data[2].clone(),
        attack: tasks.attacks[3].clone(),
        teacher: teacher(),
        budget: Budget::Share(0.4),
    }
}

pub fn config(method: Method) -> RcnasConfig {
    let mut config = RcnasConfig {
        method,
        evaluations: 15,
        ..RcnasConfig::default()
    };
    config.reward.compression = Compression::Budget;
    config.meta.rounds = 60;
    config
}

pub fn search(
    config: &RcnasConfig,
    seed: u64,
    world: &mut World,
    cache: &mut Cache,
) -> Option<Outcome> {
    let (tasks, target) = (buffers(), target());
    let inputs = Inputs {
        config,
        tasks: &tasks,
        target: &target,
        seed,
    };
    run(&inputs, world, cache, &mut |_, _| {}).unwrap()
}

pub fn fresh(config: &RcnasConfig, seed: u64) -> Outcome {
    search(config, seed, &mut World::default(), &mut Cache::default()).unwrap()
}
