//! What the data show, in sentences: warnings, what methods found, what meta-training cost, and how the
//! paper's claims fared.

use super::cells::{Cell, MARK, judged, regret, result, unreliable, untested};
use super::claims::FEW;
use super::task::{Task, When};
use crate::rcnas::outcome::Role;
use tox_data::majority::{NoBetter, no_better_than};
use tox_rcnas::Method;
use tox_report::findings::{NAMES, elsewhere, few, missing, mixed, with_seeds};
use tox_report::run::Run;
use tox_report::verdict::{Claim, Expect, Verdict, judge, tally};

/// Sentences, most important first.
pub fn findings(run: &Run, cells: &[Cell], tasks: &[Task], claims: &[Claim]) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(mixed(run));
    out.extend(missing(run, cells));
    out.extend(doubts(cells));
    out.extend(bounds(cells));
    out.extend(constant(cells));
    out.extend(failures(cells));
    out.extend(compared(tasks));
    if tasks.len() <= 2 * NAMES {
        out.extend(tasks.iter().filter_map(ended));
    }
    out.extend(paid(tasks));
    let tallies: Vec<String> = claims.iter().filter_map(|c| tally(c, MARK)).collect();
    if !tallies.is_empty() {
        out.extend(elsewhere(cells, &["cifar10", "cifar100"], &[]));
    }
    out.extend(tallies);
    out
}

/// Networks whose robust accuracy is not to be trusted.
fn doubts(cells: &[Cell]) -> Option<String> {
    let mut names = Vec::new();
    for cell in cells.iter().filter(|c| c.doubtful()) {
        let n = cell.records().filter(|r| unreliable(r.outcome)).count();
        names.push(format!("{}, {n} of {} trials", cell.name, cell.done()));
    }
    few(&names, " cells").map(|names| {
        format!(
            "Warning: robust accuracies of the end failed the evaluation’s own checks in {names}. \
             They are marked {MARK}, and are upper bounds that are likely to be loose; what was found \
             stands below them."
        )
    })
}

/// Networks whose robust accuracy nothing speaks against, since nothing strong enough was tried.
fn bounds(cells: &[Cell]) -> Option<String> {
    let mut names = Vec::new();
    let mut first = None;
    for cell in cells {
        let open = |o| !unreliable(o) && !untested(o).is_empty();
        let n = cell.records().filter(|r| open(r.outcome)).count();
        if n > 0 {
            names.push(format!("{}, {n} of {} trials", cell.name, cell.done()));
            let reason = cell
                .records()
                .find_map(|r| untested(r.outcome).first().copied());
            first = first.or(reason);
        }
    }
    let (names, first) = (few(&names, " cells")?, first?);
    Some(format!(
        "Robust accuracies of the end are upper bounds, whose reliability was not tested, in {names}: {first}."
    ))
}

/// Networks of the end that answer no better than one class does.
fn constant(cells: &[Cell]) -> Option<String> {
    let mut names = Vec::new();
    for cell in cells {
        for (role, what) in [(Role::Teacher, "teacher"), (Role::Found, "what was found")] {
            let judged = cell.records().filter_map(|r| judged(r.outcome, role));
            let idle = judged.filter_map(|j| {
                let of = &j.evaluation;
                no_better_than(100.0 - of.clean, 100.0 - of.majority, of.images)
            });
            let idle: Vec<NoBetter> = idle.collect();
            if let Some(first) = idle.first() {
                names.push(format!(
                    "{what} of {}, {} of {} trials (clean accuracy {:.1} %, that class {:.1} %)",
                    cell.name,
                    idle.len(),
                    cell.done(),
                    100.0 - first.error,
                    100.0 - first.majority
                ));
            }
        }
    }
    few(&names, "").map(|names| {
        format!(
            "Warning: networks of the end answer no better than always naming the most frequent class, as \
             far as the images tell, so their robust accuracies say nothing of robustness: {names}."
        )
    })
}

/// Evaluations that failed.
fn failures(cells: &[Cell]) -> Option<String> {
    let mut all = (0, 0);
    let mut reason = None;
    for record in cells.iter().flat_map(|c| c.records()) {
        for evaluation in &record.outcome.search.evaluations {
            all.1 += 1;
            if let Some(why) = &evaluation.failed {
                all.0 += 1;
                reason.get_or_insert(why);
            }
        }
    }
    let reason = reason?;
    Some(format!(
        "{} of {} evaluations failed and count as spent; the first: {reason}.",
        all.0, all.1
    ))
}

/// On how many tasks RC-NAS is better after a few evaluations, and in the end.
fn compared(tasks: &[Task]) -> Option<String> {
    let mut parts = Vec::new();
    let controls = Method::ALL.into_iter().filter(|m| *m != Method::RcNas);
    for control in controls {
        // The first and the last of what counts as few.
        let words: Vec<String> = [FEW[0], FEW[FEW.len() - 1]]
            .into_iter()
            .map(When::After)
            .chain([When::End])
            .filter_map(|when| {
                let mut counts = [0usize; 3];
                for task in tasks {
                    let agents = task.of(Method::RcNas);
                    let late = matches!(when, When::After(n) if n > task.evaluations());
                    for agent in agents.filter(|_| !late) {
                        let gain = task.of(control).next().map(|c| task.gain(agent, c, when));
                        let Some(gain @ Some(_)) = gain else {
                            continue;
                        };
                        counts[match judge(gain, Expect::Up) {
                            Verdict::Held => 0,
                            Verdict::NotHeld => 1,
                            Verdict::CannotTell => 2,
                        }] += 1;
                    }
                }
                let [better, worse, open] = counts;
                let when = match when {
                    When::After(n) => format!("after {n}"),
                    When::End => "in the end".to_owned(),
                };
                (better + worse + open > 0)
                    .then(|| format!("{when} better {better}, worse {worse}, cannot tell {open}"))
            })
            .collect();
        if !words.is_empty() {
            parts.push(format!("than {}: {}", control.title(), words.join("; ")));
        }
    }
    (!parts.is_empty()).then(|| {
        format!(
            "RC-NAS over its controls, number of tasks by paired 95 % intervals; {}.",
            parts.join(". ")
        )
    })
}

/// What each method has in the end.
fn ended(task: &Task) -> Option<String> {
    let of = |c: &&Cell| {
        let found = c.mean(result)?;
        let below = match c.mean(regret) {
            Some(below) => format!(", {:.2} below the best", below.mean),
            None => String::new(),
        };
        Some(format!("{} {}{below}", task.label(c), with_seeds(found)))
    };
    let parts: Vec<String> = task.cells.iter().filter_map(of).collect();
    (!parts.is_empty()).then(|| {
        format!(
            "{}: robust accuracy of the result: {}.",
            task.title,
            parts.join("; ")
        )
    })
}

/// What meta-training cost.
fn paid(tasks: &[Task]) -> Option<String> {
    let agents = || tasks.iter().flat_map(|t| t.of(Method::RcNas));
    let costs: Vec<usize> = agents()
        .flat_map(|c| c.records())
        .filter_map(|r| Some(r.outcome.search.meta.as_ref()?.evaluations))
        .collect();
    let (least, most) = (costs.iter().min()?, costs.iter().max()?);
    let mean = costs.iter().sum::<usize>() as f64 / costs.len() as f64;
    let target = tasks.iter().map(Task::evaluations).max()?;
    Some(format!(
        "What RC-NAS saves on a task it has paid for before: meta-training took {mean:.0} distinct \
         evaluations ({least} to {most}), the search on the task {target}. It is worth it only where \
         many tasks share one agent, or meta-training’s evaluations are cheaper than the task’s."
    ))
}
