//! What a table shows, in sentences.

use super::gather::{Data, Gathered};
use super::ranks;
use tox_nn::nets::wrn::Shape;
use tox_report::findings::mixed;
use tox_report::run::{Run, State};

/// Sentences, most important first.
pub fn findings(run: &Run, all: &Gathered) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(mixed(run));
    out.extend(missing(run));
    out.extend(all.notes.clone());
    for data in all.data.iter().filter(|d| !d.nets.is_empty()) {
        out.push(ranges(data, &all.attacks));
    }
    out.extend(agree(
        "Between attacks, and none, on the same data set",
        &ranks::attacks(all),
    ));
    out.extend(agree(
        "Between data sets under the same attack",
        &ranks::data(all),
    ));
    out
}

fn missing(run: &Run) -> Option<String> {
    let planned = run.trials.len();
    let done = run.trials.iter().filter(|t| t.record().is_some()).count();
    let failed = |t: &&tox_report::run::Trial| matches!(t.state, State::Failed(_));
    let failed = run.trials.iter().filter(failed).count();
    (done < planned).then(|| {
        format!(
            "Incomplete: {done} of {planned} trials are done, {failed} failed. Their networks are \
             missing in the table, and a search refuses a table that lacks sub-networks of its teacher."
        )
    })
}

fn ranges(data: &Data, attacks: &[String]) -> String {
    let parts = attacks.iter().enumerate().filter_map(|(i, name)| {
        let best = best(data, i)?;
        Some(format!("{name} {:.1} to {:.1} %", best.least, best.robust))
    });
    let parts: Vec<String> = parts.collect();
    let diverged = match data.diverged {
        0 => String::new(),
        1 => "; 1 training diverged".to_owned(),
        n => format!("; {n} trainings diverged"),
    };
    format!(
        "{}: {} networks; robust accuracy of the worst to the best: {}{diverged}.",
        data.name,
        data.nets.len(),
        parts.join(", ")
    )
}

/// Range of correlations, and what it means.
fn agree(between: &str, matrices: &[ranks::Matrix]) -> Option<String> {
    let all: Vec<f64> = matrices.iter().flat_map(ranks::Matrix::off).collect();
    let low = all.iter().copied().reduce(f64::min)?;
    let high = all.iter().copied().reduce(f64::max)?;
    let mean = all.iter().sum::<f64>() / all.len() as f64;
    Some(format!(
        "{between} the order of the networks has a rank correlation of {mean:.2} on average ({low:.2} \
         to {high:.2}, {} pairs): what is learned on one carries over to the other that far.",
        all.len()
    ))
}

/// The most robust network of a data set under an attack.
pub struct Best {
    /// It.
    pub shape: Shape,
    /// Its multiply-accumulates.
    pub macs: u64,
    /// Its robust accuracy, percent.
    pub robust: f64,
    /// Mean over all networks.
    pub mean: f64,
    /// Of the least robust one.
    pub least: f64,
    /// Rank correlation with the accuracy on images as they are.
    pub with_clean: Option<f64>,
}

/// `None` without a network.
pub fn best(data: &Data, attack: usize) -> Option<Best> {
    let best = data
        .nets
        .iter()
        .reduce(|a, b| match b.robust[attack] > a.robust[attack] {
            true => b,
            false => a,
        })?;
    let values = || data.nets.iter().map(|n| n.robust[attack]);
    let pairs = data.nets.iter().map(|n| (n.clean, n.robust[attack]));
    Some(Best {
        shape: best.shape,
        macs: best.cost.macs,
        robust: best.robust[attack],
        mean: values().sum::<f64>() / data.nets.len() as f64,
        least: values().fold(f64::INFINITY, f64::min),
        with_clean: ranks::agreement(pairs),
    })
}
