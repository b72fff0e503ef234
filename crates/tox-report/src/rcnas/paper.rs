//! The paper's tables, for studies at its scale.

use super::cells::Cell;
use super::task::attack_of;
use serde::Serialize;
use tox_robust::training::Method;
use tox_search::rcnas::Budget;

/// A line of the paper's tables: data set, budget in GMACs, method, and accuracy in percent on images
/// as they are and under PGD-20, CW-40 and AutoAttack.
type Line = (&'static str, f64, &'static str, [f64; 4]);

/// TRADES alone beside the compressed network.
const LINES: [Line; 8] = [
    ("cifar10", 5.0, "TRADES", [84.62, 55.90, 53.15, 51.66]),
    ("cifar10", 5.0, "RC-NAS", [86.32, 60.48, 58.34, 57.66]),
    ("cifar10", 10.0, "TRADES", [84.98, 56.45, 53.79, 52.12]),
    ("cifar10", 10.0, "RC-NAS", [86.84, 61.08, 60.45, 58.68]),
    ("cifar100", 5.0, "TRADES", [60.98, 32.79, 27.28, 24.94]),
    ("cifar100", 5.0, "RC-NAS", [62.33, 34.90, 29.95, 29.35]),
    ("cifar100", 10.0, "TRADES", [61.96, 33.47, 27.98, 25.89]),
    ("cifar100", 10.0, "RC-NAS", [63.15, 36.96, 30.55, 30.79]),
];

/// A line as it is shown.
#[derive(Serialize)]
pub struct Printed {
    /// Its method.
    pub method: &'static str,
    /// Accuracy on images as they are, percent.
    pub clean: f64,
    /// Under PGD-20, CW-40 and AutoAttack.
    pub robust: [f64; 3],
}

/// The paper's lines for a cell's data set and budget; none unless it has all classes and images at
/// their size, a published base of channels, candidates that are trained, and the perturbations of 8/255.
pub fn printed(cell: &Cell) -> Vec<Printed> {
    let (data, config) = (&cell.spec().data, cell.config);
    let whole = data.train.is_none() && data.resize.is_none() && data.classes.is_none();
    let whole = whole && config.teacher.base == 16 && config.table.is_none();
    let usual = attack_of(cell).is_none_or(|a| !a.name.contains("-eps") && !a.name.contains("-l2"));
    let Budget::Macs(macs) = config.budget else {
        return Vec::new();
    };
    let near = |g: f64| (macs as f64 / 1e9 - g).abs() < 0.05 * g;
    let lines = LINES.iter().filter(|l| l.0 == data.dataset && near(l.1));
    lines
        .filter(|_| whole && usual)
        .map(|(_, _, method, [clean, robust @ ..])| Printed {
            method,
            clean: *clean,
            robust: *robust,
        })
        .collect()
}

/// What the networks of the end have less of than the paper's, which were trained with TRADES for 100 epochs
/// and attacked on all test images.
pub fn reduced(cell: &Cell) -> String {
    let (data, config) = (&cell.spec().data, cell.config);
    let mut parts = Vec::new();
    let Some(judge) = &config.judge else {
        return String::new();
    };
    let training = judge.training.as_ref();
    let training = training.unwrap_or(&config.candidate.training);
    if training.epochs < 100 {
        parts.push(format!("{} epochs of 100", training.epochs));
    }
    if !matches!(training.method, Method::Trades { .. }) {
        parts.push("another training than TRADES".to_owned());
    }
    let images = judge.images.min(data.test.unwrap_or(10_000));
    if images < 10_000 {
        parts.push(format!("{images} test images of 10000"));
    }
    parts.join(", ")
}
