//! What a study did differently from the paper.

use super::cells::Cell;
use std::f64::consts::PI;
use tox_report::settings::{Difference, Differences, leaves};
use tox_search::enas::config::{
    ChildConfig, ControllerConfig, EnasConfig, Pointwise, RewardGradient, SecondStep, Skips,
};
use tox_study::spec::TrialSpec;

/// What the paper ran. Its code has one group a channel in the 1x1 conv of separable convs, added skips in
/// place, drops the LSTM state after a layer's second step, and differentiates the entropy in the reward.
/// On CIFAR-100 it searched for 150 epochs.
fn paper_config(dataset: &str) -> EnasConfig {
    let epochs = if dataset == "cifar100" { 150 } else { 300 };
    EnasConfig {
        child: ChildConfig {
            epochs,
            pointwise: Pointwise::Reference,
            skips: Skips::InPlace,
            ..ChildConfig::default()
        },
        controller: ControllerConfig {
            second_step: SecondStep::Dropped,
            reward_gradient: RewardGradient::Entropy,
            ..ControllerConfig::default()
        },
        ..EnasConfig::default()
    }
}

/// The same keys of every config: those that are not written at their default are named by hand.
fn learner(config: &EnasConfig) -> Vec<(String, String)> {
    let mut bare = config.clone();
    bare.child.skips = Skips::Separate;
    let space = config.clean_space().ops.into_iter();
    let space: Vec<String> = space.map(|op| format!("{} {}", op.count, op.op)).collect();
    bare.space = None;
    let skips = match config.child.skips {
        Skips::Separate => "separate",
        Skips::InPlace => "in-place",
    };
    let mut all = leaves("learner", &bare);
    all.push(("learner.child.skips".to_owned(), skips.to_owned()));
    all.push(("learner.space".to_owned(), space.join(", ")));
    all
}

fn data(spec: &TrialSpec) -> Vec<(String, String)> {
    let d = &spec.data;
    let all = |n: Option<usize>| n.map_or("all".to_owned(), |n| n.to_string());
    let side = d.resize.map_or("as it is".to_owned(), |s| s.to_string());
    let mut out = [
        ("dataset", d.dataset.clone()),
        ("train", all(d.train)),
        ("valid", d.valid.to_string()),
        ("test", all(d.test)),
        ("resize", side),
        ("augment.crop", d.augment.crop.to_string()),
        ("augment.flip", d.augment.flip.to_string()),
        ("augment.cutout", d.augment.cutout.to_string()),
        ("augment.valid", d.augment.valid.to_string()),
    ]
    .map(|(key, value)| (format!("data.{key}"), value))
    .to_vec();
    if d.rgb {
        out.push(("data.rgb".to_owned(), "true".to_owned()));
    }
    out
}

/// What a cell on one of the paper's data sets has less of than the paper had.
pub fn reduced(cell: &Cell) -> Vec<String> {
    let (data, child) = (&cell.spec().data, &cell.config.child);
    let paper = paper_config(&data.dataset).child;
    let mut out = Vec::new();
    if let Some(side) = data.resize.filter(|side| *side < 32) {
        out.push(format!("{side}x{side} pixels of 32x32"));
    }
    for (ours, paper, what) in [
        (
            data.train.unwrap_or(50_000 - data.valid.min(50_000)),
            45_000,
            "training images",
        ),
        (data.valid, 5_000, "validation images"),
        (data.test.unwrap_or(10_000), 10_000, "test images"),
        (child.epochs, paper.epochs, "epochs"),
        (child.layers, paper.layers, "layers"),
        (child.channels, paper.channels, "channels"),
    ] {
        if ours < paper {
            out.push(format!("{ours} {what} of {paper}"));
        }
    }
    out
}

/// The learning rate of the last epoch in which a cell's search trained, from its first record; and
/// the paper's. The schedule has no restart, so the end of a search may lie near the maximum.
fn last_lr(cell: &Cell, paper: &ChildConfig) -> Option<(String, String, String)> {
    let ours = cell.records().find_map(|r| r.outcome.epochs.last())?.lr;
    let turn = (paper.epochs - 1) as f64 / paper.lr_period as f64;
    let above = (1.0 + (PI * turn).cos()) / 2.0;
    let paper = paper.lr_min + (paper.lr_max - paper.lr_min) * above;
    let show = |lr: f64| format!("{lr:.4}");
    Some((
        "learning rate of the last epoch".to_owned(),
        show(ours),
        show(paper),
    ))
}

/// The paper's side of [`data`].
fn paper_data(key: &str, dataset: &str) -> &'static str {
    match key {
        "data.dataset" if dataset == "cifar100" => "cifar100",
        "data.rgb" => "false",
        "data.dataset" => "cifar10",
        "data.train" => "45000",
        "data.valid" => "5000",
        "data.test" => "all",
        "data.resize" => "as it is",
        "data.augment.crop" => "4",
        "data.augment.cutout" => "0",
        _ => "true",
    }
}

/// All settings in which some planned trial differs from the paper.
pub fn differences(cells: &[Cell]) -> Vec<Difference> {
    let mut rows = Differences::default();
    for cell in cells {
        let dataset = &cell.spec().data.dataset;
        let mut config_then = paper_config(dataset);
        // How products are made is no setting of the paper's.
        config_then.child.conv = cell.config.child.conv;
        let lr = last_lr(cell, &config_then.child);
        let ours = learner(cell.config);
        let learner = ours.into_iter().zip(learner(&config_then));
        let learner = learner.map(|((key, ours), (_, paper))| (key, ours, paper));
        let data = data(cell.spec()).into_iter().map(|(key, ours)| {
            let mut paper = paper_data(&key, dataset);
            // "all that `valid` leaves" of CIFAR is what the paper has.
            if key == "data.train" && ours == "all" && cell.spec().data.valid == 5000 {
                paper = "all";
            }
            (key, ours, paper.to_owned())
        });
        for (key, ours, paper) in data.chain(learner).chain(lr) {
            rows.add(key, ours, paper, &cell.name);
        }
    }
    rows.finish(cells.len())
}
