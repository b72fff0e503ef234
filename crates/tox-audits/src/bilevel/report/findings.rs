//! What the data show, in sentences: warnings, whether the attack attacked, what each victim lost, and
//! how many of the paper's claims held.

use super::cells::error;
use super::cells::{Cell, Setting, average, level};
use super::checks::{Check, check};
use super::valid::families;
use tox_bilevel::config::{Groups, TargetLabels, Victim};
use tox_bilevel::outcome::{BilevelOutcome, Level};
use tox_report::findings::{elsewhere, missing, mixed};
use tox_report::run::Run;
use tox_report::verdict::{Claim, summary};

/// Names that a sentence spells out; more are counted.
const NAMES: usize = 5;

/// Sentences, most important first.
pub fn findings(run: &Run, cells: &[Cell], settings: &[Setting], claims: &[Claim]) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(mixed(run));
    out.extend(missing(run, cells));
    out.extend(diverged(cells));
    out.extend(nothing_learned(cells));
    let checks: Vec<(&Cell, Check)> = cells.iter().filter_map(|c| Some((c, check(c)?))).collect();
    out.extend(idle(&checks));
    out.extend(attacked(&checks));
    out.extend(settings.iter().filter_map(hits));
    out.extend(losses(settings));
    if claims.iter().any(|c| c.measured().count() > 0) {
        out.extend(elsewhere(
            cells,
            &["mnist", "fashion-mnist", "cifar10"],
            &[],
        ));
        out.extend(summary(claims));
    }
    out.extend(edges(cells));
    out.extend(rounded(&checks));
    out
}

/// Where lambda, chosen or learned, lies on an edge of its box. One from cross-validation is the same at
/// every level.
fn edges(cells: &[Cell]) -> Option<String> {
    let at = |with: &str, victims: &[Victim], most: bool| {
        let fits = |c: &&Cell| victims.contains(&c.config.victim) && c.done() > 0;
        let mut names = Vec::new();
        for cell in cells.iter().filter(fits) {
            let b = &cell.config.lambda;
            let edge = |v: f64| (v - b.min).abs() < 1e-9 || (v - b.max).abs() < 1e-9;
            let points = if most { cell.most() } else { 0 };
            let levels: Vec<&Level> = cell
                .records()
                .filter_map(|r| level(r.outcome, points))
                .collect();
            let on = |l: &&&Level| l.lambda.iter().any(|v| edge(*v));
            match levels.iter().filter(on).count() {
                0 => {}
                n if n == levels.len() => names.push(cell.name.clone()),
                n => names.push(format!("{} ({n} of {} trials)", cell.name, levels.len())),
            }
        }
        let all = cells.iter().filter(fits).count();
        match names.len() {
            0 => None,
            n if n > NAMES => Some(format!("{with} in {n} of {all} cells")),
            _ => Some(format!("{with} in {}", names.join(", "))),
        }
    };
    let parts = [
        at(
            "without poison",
            &[Victim::CrossValidated, Victim::Learned],
            false,
        ),
        at("with the most poison", &[Victim::Learned], true),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| {
        format!(
            "Lambda lies on an edge of the box that the recipe allows it (lambda.min to lambda.max) {}; \
             a wider box could give another.",
            parts.join("; ")
        )
    })
}

/// Cells whose training stopped being finite, and where it did so.
fn diverged(cells: &[Cell]) -> Option<String> {
    let mut names = Vec::new();
    let mut stops = Vec::new();
    for cell in cells {
        let before = stops.len();
        stops.extend(cell.records().filter_map(|r| {
            let d = r.outcome.divergence.as_ref()?;
            Some(format!(
                "{}, seed {} in {} with {} poison points, step {}",
                cell.name, r.spec.seed, d.training, d.points, d.step
            ))
        }));
        if stops.len() > before {
            names.push(format!(
                "{} ({} of {})",
                cell.name,
                stops.len() - before,
                cell.done()
            ));
        }
    }
    let others = match stops.len() {
        1 => "",
        _ => "; the others are in the table of every trial",
    };
    Some(format!(
        "Warning: training diverged in trials of {}, which have no later levels; means there are over \
         the other seeds. The first: {}{others}. A smaller learner.inner.lr or lambda.max may help.",
        names.join(", "),
        stops.first()?,
    ))
}

/// Cells that answer hardly better than one class does, before any poison.
fn nothing_learned(cells: &[Cell]) -> Option<String> {
    let idle: Vec<String> = cells
        .iter()
        .filter_map(|c| {
            let error = c.at(0, error)?.mean;
            let chance = c.mean(|o: &BilevelOutcome| Some(o.chance_error))?.mean;
            (error > 0.8 * chance)
                .then(|| format!("{} ({error:.1} %, chance {chance:.1} %)", c.name))
        })
        .collect();
    (!idle.is_empty()).then(|| {
        format!(
            "Warning: without poison already, these cells err hardly less than always answering one \
             class does: {}. Their lambda is too large, or the training too short, for them to say \
             anything of poison.",
            idle.join(", ")
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
            "Warning: the adversary's objective did not rise over its batches in these cells; where the \
             poison does not beat flipped labels either, they give a lower bound of its strength at \
             most. {}.",
            idle.join(". ")
        )
    })
}

/// Whether the attack attacked, and what optimising adds to flipped labels.
fn attacked(checks: &[(&Cell, Check)]) -> Option<String> {
    let rose: usize = checks.iter().map(|(_, c)| c.rose).sum();
    let batches: usize = checks.iter().map(|(_, c)| c.batches).sum();
    let beats: usize = checks.iter().map(|(_, c)| c.beats).sum();
    let compared: usize = checks.iter().map(|(_, c)| c.compared).sum();
    if batches == 0 {
        return None;
    }
    let aimed = checks.iter().filter(|(cell, _)| cell.target().is_some());
    let objective = match aimed.count() {
        0 => "the validation loss",
        n if n == checks.len() => "on its target rows",
        _ => "the validation loss or that on its target rows",
    };
    let climbed = format!(
        "The attack raised its objective, {objective}, in {rose} of {batches} batches of poison."
    );
    if compared == 0 {
        return Some(climbed);
    }
    let gains = checks.iter().filter_map(|(cell, c)| Some((cell, c.gain?)));
    let doubtful: Vec<String> = gains
        .clone()
        .filter(|(_, gain)| gain.mean <= 0.0 || gain.excludes_zero() != Some(true))
        .map(|(cell, gain)| format!("{} ({gain:+} points)", cell.name))
        .collect();
    let single = gains.clone().all(|(_, gain)| gain.half.is_none());
    let rest = match doubtful.len() {
        0 => "; in every cell the mean difference is above 0 by more than chance".to_owned(),
        _ if single => String::new(),
        n if n > NAMES => format!(
            "; the mean difference is not above 0 by more than chance in {n} of {} cells",
            gains.count()
        ),
        _ => format!(
            "; the mean difference is not above 0 by more than chance in {}",
            doubtful.join(", ")
        ),
    };
    Some(format!(
        "{climbed} The optimised last batch does more harm than its flipped labels alone in {beats} of \
         {compared} trials{rest}."
    ))
}

/// What becomes of the target rows with the most poison, by victim.
fn hits(setting: &Setting) -> Option<String> {
    let what = match setting.cells[0].target()? {
        TargetLabels::Wanted => "get the label that the adversary wants",
        TargetLabels::True => "are misclassified",
    };
    let hit = |l: &Level| Some(l.target?.success);
    let parts: Vec<String> = (setting.cells.iter())
        .filter_map(|c| {
            let (clean, end) = (c.at(0, hit)?, c.at(c.most(), hit)?);
            let rise = c.growth(0, c.most(), hit)?;
            Some(format!(
                "{} {:.1} to {:.1} % ({rise:+})",
                words(setting, c),
                clean.mean,
                end.mean
            ))
        })
        .collect();
    (!parts.is_empty()).then(|| {
        format!(
            "Target rows that {what}, clean to most poison: {}.",
            parts.join("; ")
        )
    })
}

/// Errors without and with the most poison by victim, a sentence a setting. Of settings that differ
/// in the size of the validation set alone, that with the largest speaks for all.
fn losses(settings: &[Setting]) -> Vec<String> {
    let families = families(settings);
    let spoken_for = |s: &Setting| {
        families.iter().any(|family| {
            let (last, others) = (family.len() - 1, family.iter());
            others.take(last).any(|other| std::ptr::eq(*other, s))
        })
    };
    let shown = settings.iter().filter(|s| !spoken_for(s));
    shown.filter_map(|s| loss(s)).collect()
}

fn loss(setting: &Setting) -> Option<String> {
    let measured: Vec<&Cell> = setting
        .cells
        .iter()
        .copied()
        .filter(|c| c.done() > 0)
        .collect();
    let percent = measured.iter().find_map(|c| c.percent(c.most()))?;
    let most = measured.iter().map(|c| c.done()).max()?;
    let parts: Vec<String> = measured
        .iter()
        .filter_map(|c| {
            let clean = c.at(0, error)?;
            let seeds = match c.done() {
                n if n == most => String::new(),
                1 => ", one seed".to_owned(),
                n => format!(", {n} seeds"),
            };
            let (Some(end), Some(rise)) = (c.at(c.most(), error), c.rise()) else {
                return Some(format!("{} {:.1} % clean", words(setting, c), clean.mean));
            };
            let moved = lambda(c).map_or(String::new(), |text| format!(", {text}"));
            Some(format!(
                "{} {:.1} to {:.1} % ({rise:+}{moved}{seeds})",
                words(setting, c),
                clean.mean,
                end.mean
            ))
        })
        .collect();
    let seeds = match most {
        1 => "one seed, so no intervals".to_owned(),
        n => format!("{n} seeds"),
    };
    (!parts.is_empty()).then(|| {
        format!(
            "Test error on {}, clean to {percent:.1} % poison ({seeds}): {}.",
            setting.title,
            parts.join("; ")
        )
    })
}

/// Where a learned lambda went.
fn lambda(cell: &Cell) -> Option<String> {
    let of = |l: &Level| average(&l.lambda);
    let (a, b) = (cell.at(0, of)?, cell.at(cell.most(), of)?);
    (cell.config.victim == Victim::Learned)
        .then(|| format!("lambda {:.1} to {:.1}", a.mean, b.mean))
}

/// A cell's victim in words, or its label where several have the same.
fn words(setting: &Setting, cell: &Cell) -> String {
    let label = setting.label(cell);
    if label != cell.victim() {
        return label;
    }
    let words = match (cell.config.victim, cell.config.lambda.groups) {
        (Victim::None, _) => "no regularisation",
        (Victim::Large, _) => "large lambda",
        (Victim::CrossValidated, _) => "lambda from clean cross-validation",
        (Victim::Learned, Groups::One) => "learned lambda",
        (Victim::Learned, Groups::PerLayer) => "a learned lambda per layer",
    };
    words.to_owned()
}

/// What 8 bits leave of the poison.
fn rounded(checks: &[(&Cell, Check)]) -> Option<String> {
    let changes = || checks.iter().filter_map(|(_, c)| Some(c.rounding?.mean));
    let (low, high) = (changes().reduce(f64::min)?, changes().reduce(f64::max)?);
    let range = match (format!("{low:+.2}"), format!("{high:+.2}")) {
        (low, high) if low == high => low,
        (low, high) => format!("{low} to {high}"),
    };
    Some(format!(
        "Rounding the poison to 8 bits, as an image file does, changes the test error at the most \
         poison by {range} points (means of cells)."
    ))
}
