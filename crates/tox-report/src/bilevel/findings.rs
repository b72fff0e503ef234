//! What the data show, in sentences: warnings, whether the attack attacked, then the paper's claims.

use super::cells::{Cell, Setting};
use super::checks::{Check, check};
use super::claims;
use super::verdict::Claim;
use crate::findings::{missing, mixed, with_seeds};
use crate::run::Run;
use crate::stats::Interval;

/// Sentences, most important first.
pub fn findings(run: &Run, cells: &[Cell], settings: &[Setting]) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(mixed(run));
    out.extend(missing(run, cells));
    out.extend(cells.iter().filter_map(diverged));
    let checks: Vec<(&Cell, Check)> = cells.iter().filter_map(|c| Some((c, check(c)?))).collect();
    out.extend(idle(&checks));
    out.extend(settings.iter().filter_map(extremes));
    out.extend(claims::all(settings).iter().map(Claim::sentence));
    out.extend(worth(&checks));
    out.extend(rounded(&checks));
    out
}

/// Which trials of a cell stopped being finite, and where.
fn diverged(cell: &Cell) -> Option<String> {
    let stops: Vec<String> = cell
        .records()
        .filter_map(|r| {
            let d = r.outcome.divergence.as_ref()?;
            Some(format!(
                "seed {} in {} with {} poison points, step {}",
                r.spec.seed, d.training, d.points, d.step
            ))
        })
        .collect();
    (!stops.is_empty()).then(|| {
        format!(
            "Warning: training diverged in {} of {} trials of {}, which have no later levels: {}. \
             Means at those levels are over the other seeds. A smaller inner.lr or lambda.max may \
             help.",
            stops.len(),
            cell.done(),
            cell.name,
            stops.join("; ")
        )
    })
}

/// Cells whose attack did nothing.
fn idle(checks: &[(&Cell, Check)]) -> Option<String> {
    let idle: Vec<String> = checks
        .iter()
        .filter(|(_, c)| !c.mark.is_empty())
        .map(|(cell, c)| format!("{}: {}", cell.name, c.mark))
        .collect();
    (!idle.is_empty()).then(|| {
        format!(
            "Warning: the adversary's objective did not rise over its batches in these cells, so \
             what they say of the poison's strength is a lower bound at most. {}.",
            idle.join(". ")
        )
    })
}

/// Errors without and with the most poison, by victim.
fn extremes(setting: &Setting) -> Option<String> {
    let parts: Vec<String> = setting
        .cells
        .iter()
        .filter_map(|c| {
            let clean = c.at(0, claims::error)?;
            let label = setting.label(c);
            let most = c.at(c.most(), claims::error).filter(|_| c.most() > 0);
            Some(match (most, c.percent(c.most())) {
                (Some(most), Some(percent)) => format!(
                    "{label} {} clean, {} at {percent:.1} % poison",
                    short(clean),
                    with_seeds(most)
                ),
                _ => format!("{label} {} clean", with_seeds(clean)),
            })
        })
        .collect();
    (!parts.is_empty()).then(|| format!("Test error on {}: {}.", setting.title, parts.join("; ")))
}

fn short(interval: Interval) -> String {
    match interval.half {
        Some(half) => format!("{:.1} ± {half:.1} %", interval.mean),
        None => format!("{:.1} %", interval.mean),
    }
}

/// What optimising adds to flipped labels.
fn worth(checks: &[(&Cell, Check)]) -> Option<String> {
    let beats: usize = checks.iter().map(|(_, c)| c.beats).sum();
    let compared: usize = checks.iter().map(|(_, c)| c.compared).sum();
    let gains = checks.iter().filter_map(|(cell, c)| Some((cell, c.gain?)));
    let doubtful: Vec<String> = gains
        .filter(|(_, gain)| gain.mean <= 0.0 || gain.excludes_zero() != Some(true))
        .map(|(cell, gain)| format!("{} ({gain:+} points)", cell.name))
        .collect();
    let rest = if doubtful.is_empty() {
        "In every cell the mean difference is above 0 by more than chance".to_owned()
    } else {
        format!(
            "The mean difference is not above 0 by more than chance in {}",
            doubtful.join(", ")
        )
    };
    (compared > 0).then(|| {
        format!(
            "The optimised last batch does more harm than its flipped labels alone in {beats} of \
             {compared} trials. {rest}."
        )
    })
}

/// What 8 bits leave of the poison.
fn rounded(checks: &[(&Cell, Check)]) -> Option<String> {
    let changes = || checks.iter().filter_map(|(_, c)| Some(c.rounding?.mean));
    let (low, high) = (changes().reduce(f64::min)?, changes().reduce(f64::max)?);
    Some(format!(
        "Rounding the poison to 8 bits changes the test error at the most poison by {low:+.2} to \
         {high:+.2} points (lowest and highest mean of a cell)."
    ))
}
