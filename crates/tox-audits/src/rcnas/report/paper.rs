//! The paper's tables, for studies at its scale.

use super::cells::Cell;
use super::task::attack_of;
use serde::{Deserialize, Serialize};
use tox_rcnas::Budget;
use tox_robust::training::Method;

/// Its numbers.
pub const FILE: &str = include_str!("paper.toml");

#[derive(Deserialize)]
struct Lines {
    line: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    data: String,
    gmacs: f64,
    #[serde(flatten)]
    printed: Printed,
}

/// A line as it is shown.
#[derive(Clone, Deserialize, Serialize)]
pub struct Printed {
    pub method: String,
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
    let Ok(Lines { line: lines }) = toml::from_str(FILE) else {
        return Vec::new();
    };
    let own = lines.into_iter();
    let own = own.filter(|l| whole && usual && l.data == data.dataset && near(l.gmacs));
    own.map(|l| l.printed).collect()
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
