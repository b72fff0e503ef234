//! The paper's claim, what we add to it (2 and 3), and what it observed (4), put to the numbers. Only cells count whose trials are all done.

use super::cells::{Cell, MARK, judged};
use super::shapes::{drawn, share, strength};
use super::task::{Task, When};
use crate::rcnas::outcome::CompressOutcome;
use crate::rcnas::outcome::Role;
use tox_rcnas::Method;
use tox_rcnas::observe::Topology;
use tox_report::stats::Interval;
use tox_report::verdict::{Case, Claim, Expect};

/// What counts as few evaluations.
pub const FEW: [usize; 3] = [3, 5, 10];

/// All claims for which the study has cells, in the paper's order.
pub fn all(tasks: &[Task]) -> Vec<Claim> {
    let claim = |number, words, cases| Claim {
        number,
        words,
        cases,
    };
    let scratch = Method::FromScratch;
    let random = Method::Random;
    let mut claims = vec![
        claim(
            "1",
            "on a task of which meta-training has not met all, RC-NAS has found a more robust \
             sub-network after a few evaluations than the same agent from scratch (difference of the \
             best so far)",
            early(tasks, scratch, true),
        ),
        claim(
            "1b",
            "RC-NAS is ahead of the agent from scratch after a few evaluations also where meta-training \
             has met every part of the task, which the paper does not claim",
            early(tasks, scratch, false),
        ),
        claim(
            "2a",
            "(ours, not the paper’s) after a few evaluations RC-NAS is ahead of random search",
            (early(tasks, random, true).into_iter())
                .chain(early(tasks, random, false))
                .collect(),
        ),
        claim(
            "2b",
            "(ours) RC-NAS is ahead of random search in the end (difference of the results’ robust \
             accuracies)",
            ends(tasks, Method::RcNas, random),
        ),
        claim(
            "2c",
            "(ours) RC-NAS is ahead of random search also of the networks trained as in the end, on test images (difference of the worst cases over \
             the attacks of the end)",
            judges(tasks, random),
        ),
        claim(
            "3a",
            "(ours) in the end RC-NAS is more robust than uniform compression",
            ends(tasks, Method::RcNas, Method::Uniform),
        ),
        claim(
            "3b",
            "(ours) in the end uniform compression is more robust than random search",
            ends(tasks, Method::Uniform, random),
        ),
        claim(
            "3c",
            "(ours) RC-NAS is more robust than uniform compression also of the networks trained as in the end, \
             on test images (difference of the worst cases over the attacks of the end)",
            judges(tasks, Method::Uniform),
        ),
        claim(
            "4a",
            "networks found under attack are deep early (share of the depth in the first two stages, \
             less the teacher’s, in percent)",
            shares(tasks, Expect::Up, |t| {
                100.0 * (t.early_depth - t.teacher_early_depth)
            }),
        ),
        claim(
            "4b",
            "networks found under attack have a last stage shallower than the mean of the others (its \
             depth over theirs, less 1)",
            shares(tasks, Expect::Down, |t| t.last_depth - 1.0),
        ),
        claim(
            "4c",
            "networks found under attack have a last stage narrower than the mean of the others (its \
             width multiplier over theirs, less 1)",
            shares(tasks, Expect::Down, |t| t.last_width - 1.0),
        ),
        claim(
            "4d",
            "a stronger attack wants more of the depth early than a weaker one or none (difference of \
             the shares, in percent)",
            stronger(tasks),
        ),
        claim(
            "4e",
            "a robust block is in the last stage and in no other more often than in the draws of random \
             search within the budget (difference of the shares, in percent)",
            blocks(tasks),
        ),
    ];
    claims.retain(|c| !c.cases.is_empty());
    claims
}

/// Complete cells of two methods on the same task.
fn pairs<'c, 'a>(
    task: &Task<'c, 'a>,
    one: Method,
    other: Method,
) -> Vec<(&'c Cell<'a>, &'c Cell<'a>)> {
    let complete = |c: &&Cell| c.complete();
    let Some(control) = task.of(other).find(complete) else {
        return Vec::new();
    };
    let cells = task.of(one).filter(complete);
    cells.map(|c| (c, control)).collect()
}

fn title(task: &Task, cell: &Cell) -> String {
    let unseen = match cell.unseen().as_slice() {
        parts @ [_, ..] if cell.method() == Method::RcNas => {
            format!(", unseen {}", parts.join(" + "))
        }
        _ => String::new(),
    };
    let label = match task.of(cell.method()).count() {
        1 => String::new(),
        _ if !unseen.is_empty() => String::new(),
        _ => format!(", {}", task.label(cell)),
    };
    format!("{}{unseen}{label}", task.title)
}

fn early(tasks: &[Task], control: Method, unseen: bool) -> Vec<Case> {
    let mut cases = Vec::new();
    for task in tasks {
        for (cell, control) in pairs(task, Method::RcNas, control) {
            if cell.unseen().is_empty() == unseen {
                continue;
            }
            for n in FEW.into_iter().filter(|n| *n <= task.evaluations()) {
                let found = task.gain(cell, control, When::After(n));
                let setting = format!("{}, after {n}", title(task, cell));
                cases.push(Case::of(&setting, found, Expect::Up, " points"));
            }
        }
    }
    cases
}

fn ends(tasks: &[Task], one: Method, other: Method) -> Vec<Case> {
    let mut cases = Vec::new();
    for task in tasks {
        for (cell, control) in pairs(task, one, other) {
            let found = task.gain(cell, control, When::End);
            cases.push(Case::of(&title(task, cell), found, Expect::Up, " points"));
        }
    }
    cases
}

/// By what the evaluation of the end says, with its mark where that is not to be trusted.
fn judges(tasks: &[Task], control: Method) -> Vec<Case> {
    let mut cases = Vec::new();
    for task in tasks {
        for (cell, control) in pairs(task, Method::RcNas, control) {
            if cell.config.judge.is_none() || control.config.judge != cell.config.judge {
                continue;
            }
            let worst = |o: &CompressOutcome| Some(judged(o, Role::Found)?.evaluation.worst_case);
            let setting = match control.doubtful() {
                true => format!("{} {MARK}", title(task, cell)),
                false => cell.marked(&title(task, cell)),
            };
            let found = cell.above(control, worst);
            cases.push(Case::of(&setting, found, Expect::Up, " points"));
        }
    }
    cases
}

/// Complete cells of RC-NAS on tasks with an attack.
fn attacked<'t, 'c, 'a>(tasks: &'t [Task<'c, 'a>]) -> Vec<(&'t Task<'c, 'a>, &'c Cell<'a>)> {
    let under = |t: &&Task| strength(t.cells[0]).is_some_and(|s| s.0 > 0);
    let cells = tasks.iter().filter(under).flat_map(|t| {
        let own = t.of(Method::RcNas).filter(|c| c.complete());
        own.map(move |c| (t, c))
    });
    cells.collect()
}

fn shares(tasks: &[Task], expect: Expect, of: fn(&Topology) -> f64) -> Vec<Case> {
    let case = |(task, cell): (&Task, &Cell)| {
        let found = cell.mean(|o| Some(of(o.search.topology.as_ref()?)));
        Case::of(&title(task, cell), found, expect, "")
    };
    attacked(tasks)
        .into_iter()
        .map(|(t, c)| case((t, c)))
        .collect()
}

/// The strongest attack beside the weakest, where all else is the same.
fn stronger(tasks: &[Task]) -> Vec<Case> {
    let rc = |t: &&Task| t.of(Method::RcNas).any(|c| c.complete());
    let mut left: Vec<&Task> = tasks.iter().filter(rc).collect();
    let mut cases = Vec::new();
    while let Some(first) = left.first().copied() {
        let same = |t: &&Task| {
            let (a, b) = (first.cells[0], t.cells[0]);
            a.spec().data == b.spec().data
                && (a.config.teacher, a.config.budget) == (b.config.teacher, b.config.budget)
                && a.config.table.is_some() == b.config.table.is_some()
        };
        let (mut group, rest): (Vec<&Task>, Vec<&Task>) = left.into_iter().partition(same);
        left = rest;
        group.retain(|t| strength(t.cells[0]).is_some());
        group.sort_by_key(|t| strength(t.cells[0]));
        let (Some(weak), Some(strong)) = (group.first(), group.last()) else {
            continue;
        };
        if strength(weak.cells[0]) == strength(strong.cells[0]) {
            continue;
        }
        let cell = |t: &Task<'_, '_>| t.of(Method::RcNas).position(|c| c.complete());
        let (Some(a), Some(b)) = (cell(strong), cell(weak)) else {
            continue;
        };
        let found = strong.of(Method::RcNas).nth(a).and_then(|a| {
            let b = weak.of(Method::RcNas).nth(b)?;
            a.above(b, |o| Some(100.0 * o.search.topology?.early_depth))
        });
        let setting = format!("{} beside {}", strong.title, weak.title);
        cases.push(Case::of(&setting, found, Expect::Up, ""));
    }
    cases
}

fn blocks(tasks: &[Task]) -> Vec<Case> {
    let mut cases = Vec::new();
    for (task, cell) in attacked(tasks) {
        let Some(random) = task.of(Method::Random).find(|c| c.complete()) else {
            continue;
        };
        let differences: Vec<f64> = cell
            .records()
            .filter_map(|r| {
                let twin = random.records().find(|t| t.spec.seed == r.spec.seed)?;
                let drawn = drawn(twin.outcome);
                let base = share(&drawn, |t| t.robust_last)?;
                let own = f64::from(u8::from(r.outcome.search.topology?.robust_last));
                Some(100.0 * (own - base))
            })
            .collect();
        let found: Option<Interval> = tox_report::stats::mean(&differences);
        cases.push(Case::of(&title(task, cell), found, Expect::Up, ""));
    }
    cases
}
