//! What a report says of a learner that somebody brings, beside what it says of every learner: its claim
//! and the truth, and what searching, training and the choice each have to do with the damage.

use super::outcome::{ExternalOutcome, Scored};
use super::{ExternalConfig, KIND};
use serde_json::Value;
use std::collections::BTreeSet;
use tox_report::columns::{Field, Table};
use tox_report::findings::few;
use tox_report::run::{Run, Types};
use tox_report::standard::{self, Own, Section};
use tox_report::stats::Interval;
use tox_report::{Made, ReportError, Reporter, csv};
use tox_study::house::House;

/// Made by this module.
pub struct ExternalReport;

impl Reporter for ExternalReport {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn types(&self) -> Types {
        Types::of::<ExternalConfig, ExternalOutcome>()
    }

    fn make(&self, house: &House, run: &Run) -> Result<Made, ReportError> {
        let cells = all(run);
        let add = Own {
            findings: findings(&cells),
            sections: vec![claims(&cells), choices(&cells)],
            wide: wide(house, run),
            row: "a trial",
            ..Own::default()
        };
        standard::with(run, add)
    }

    fn headline(&self, _house: &House, run: &Run) -> String {
        standard::headline(run)
    }
}

tox_report::cells_of!(ExternalConfig, ExternalOutcome);

fn error(scored: &Option<Scored>) -> Option<f64> {
    Some(scored.as_ref()?.error)
}

/// How far the claimed error lies above the true one: below 0 it believes too much of itself.
fn gap(o: &ExternalOutcome) -> Option<f64> {
    Some(o.found.claimed_error? - o.found.error)
}

/// What searching again on these rows gains over training the clean rows' choice on them.
fn gain(o: &ExternalOutcome) -> Option<f64> {
    Some(error(&o.kept)? - o.found.error)
}

/// How far its choice lies above the best of its space.
fn missed(o: &ExternalOutcome) -> Option<f64> {
    Some(o.found.error - o.found.best()?)
}

/// Percent of the trials for which `same` is false.
fn changed(same: Option<bool>) -> Option<f64> {
    same.map(|same| if same { 0.0 } else { 100.0 })
}

/// The cell that has the same data and learner, and nobody who poisons or defends.
fn clean<'c, 'a>(cells: &'c [Cell<'a>], cell: &Cell<'a>) -> Option<&'c Cell<'a>> {
    let spec = cell.spec();
    cells.iter().find(|c| {
        let c = c.spec();
        let plain = c.threat.is_none() && c.defence.is_none();
        plain && c.data == spec.data && c.learner == spec.learner
    })
}

fn claims(cells: &[Cell<'_>]) -> Section {
    let rows: Vec<&Cell<'_>> = cells.iter().collect();
    let drop = |c: &&Cell<'_>| {
        let clean = clean(cells, c).filter(|clean| !std::ptr::eq(*clean, *c))?;
        c.above(clean, |o| Some(o.found.error))
    };
    let table = Table::of("", &rows)
        .column("Cell", |c| Field::text(&c.name))
        .column("Seeds", |c| Field::seeds(c))
        .column("Claimed\nerror, %", |c| {
            Field::mean(c.mean(|o| o.found.claimed_error))
        })
        .column("True\nerror, %", |c| {
            Field::mean(c.mean(|o| Some(o.found.error)))
        })
        .column("Claimed less\ntrue, points", |c| {
            Field::difference(c.mean(gap))
        })
        .column("Rise of the\ntrue error", |c| Field::difference(drop(c)))
        .column("Log loss,\nnats", |c| {
            Field::mean(c.mean(|o| o.found.log_loss))
        })
        .column("The attack's own\nvictim, clean, %", |c| {
            Field::mean(c.mean(|o| Some(o.victim()?.clean_error)))
        })
        .column("poisoned, %", |c| {
            Field::mean(c.mean(|o| Some(o.victim()?.error)))
        })
        .table();
    Section {
        title: "Claim and truth",
        table,
        note: "The claim is what the learner believes of its own result, by rows that may be poisoned; the \
               truth is measured by toxscreen on clean test rows whose labels the learner was not given. A \
               claim above the truth is a learner that poison scares, one below is a learner that it \
               fools. The rise is paired by seed with the clean cell. A poison that was crafted against a \
               built-in victim is transferred: what it does to its victim stands beside.",
    }
}

fn choices(cells: &[Cell<'_>]) -> Section {
    let rows: Vec<&Cell<'_>> = cells.iter().collect();
    let table = Table::of("", &rows)
        .column("Cell", |c| Field::text(&c.name))
        .column("Its choice,\n%", |c| {
            Field::mean(c.mean(|o| Some(o.found.error)))
        })
        .column("The clean choice,\ntrained here, %", |c| {
            Field::mean(c.mean(|o| error(&o.kept)))
        })
        .column("Choosing again\ngains, points", |c| {
            Field::difference(c.mean(gain))
        })
        .column("Best of its\nspace, %", |c| {
            Field::mean(c.mean(|o| o.found.best()))
        })
        .column("Choice above\nthe best, points", |c| {
            Field::difference(c.mean(missed))
        })
        .column("The default,\n%", |c| {
            Field::mean(c.mean(|o| error(&o.default)))
        })
        .column("Choice changed\nby these rows, %", |c| {
            Field::of(share(c, |o| o.as_clean))
        })
        .column("by another\nseed alone, %", |c| {
            let clean = clean(cells, c);
            Field::of(clean.and_then(|clean| share(clean, |o| o.as_other_seed)))
        })
        .column("Different\nchoices", |c| Field::of(different(c)))
        .table();
    Section {
        title: "Search and training",
        table,
        note: "The clean choice is what the learner chose on the clean rows of the same seed, trained on \
               these rows: the rest of the damage is training's, and what choosing again gains is the \
               search's. A choice that changes says nothing alone: beside it stands how often another \
               seed of the learner's changes it on the same clean rows.",
    }
}

/// Percent of a cell's trials in which something changed.
fn share(cell: &Cell<'_>, same: impl Fn(&ExternalOutcome) -> Option<bool>) -> Option<String> {
    let mean = cell.mean(|o| changed(same(o)))?;
    Some(format!("{:.0}", mean.mean))
}

/// Number of different choices.
fn different(cell: &Cell<'_>) -> Option<usize> {
    let choices = cell
        .records()
        .filter_map(|r| r.outcome.found.choice.as_ref());
    let choices: BTreeSet<String> = choices.map(Value::to_string).collect();
    (!choices.is_empty()).then_some(choices.len())
}

fn findings(cells: &[Cell<'_>]) -> Vec<String> {
    let mut said = Vec::new();
    let records = cells.iter().flat_map(|c| c.records());
    let versions: BTreeSet<&str> = records
        .filter_map(|r| r.outcome.version.as_deref())
        .collect();
    if versions.len() > 1 {
        let names: Vec<String> = versions.into_iter().map(str::to_owned).collect();
        said.push(format!(
            "Warning: the trials were run with different versions of the learner: {}.",
            few(&names, "").unwrap_or_default()
        ));
    }
    let told = |interval: Interval| interval.excludes_zero() == Some(true);
    for cell in cells {
        let Some(gap) = cell.mean(gap).filter(|gap| told(*gap)) else {
            continue;
        };
        let (size, word) = (
            Interval {
                mean: gap.mean.abs(),
                ..gap
            },
            if gap.mean > 0.0 { "more" } else { "less" },
        );
        said.push(format!(
            "{}: the learner claims {size} points {word} error than it has.",
            cell.name
        ));
    }
    let attacked = |c: &&Cell<'_>| c.records().any(|r| r.outcome.attacked.is_some());
    let names: Vec<String> = cells
        .iter()
        .filter(attacked)
        .map(|c| c.name.clone())
        .collect();
    if let Some(names) = few(&names, " cells") {
        said.push(format!(
            "Upper bounds: in {names} inputs are attacked by the learner's scores alone; an attack that follows \
             its gradient may fool it more often."
        ));
    }
    let transferred = |c: &&Cell<'_>| {
        let threat = c.spec().threat.data.as_ref();
        threat
            .is_some_and(|threat| ["clf", "gc", "bilevel-transfer"].contains(&threat.kind.as_str()))
    };
    let names: Vec<String> = cells
        .iter()
        .filter(transferred)
        .map(|c| c.name.clone())
        .collect();
    if let Some(names) = few(&names, " cells") {
        said.push(format!(
            "Transferred: the poison of {names} was crafted against a learner of toxscreen's, not against \
             this one; little damage here does not say that one crafted against it would do little."
        ));
    }
    said
}

/// `wide.csv`: a row a trial. Errors are in percent.
fn wide(house: &House, run: &Run) -> String {
    let mut out = String::from(
        "trial,cell,variant,seed,threat,defence,error,claimed_error,log_loss,kept_error,default_error,\
         best_error,changed,changed_by_other_seed,victim_clean_error,victim_error,evaluations,choice,\
         found,version\n",
    );
    let number = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.4}"));
    let word = |value: Option<bool>| value.map_or(String::new(), |same| (!same).to_string());
    let done = run.trials.iter();
    let done = done.filter_map(|t| t.measured::<ExternalConfig, ExternalOutcome>());
    for (record, _, o) in done {
        let spec = &record.spec;
        out.push_str(&csv::row([
            record.trial.clone(),
            spec.cell.clone(),
            spec.variant.clone().unwrap_or_default(),
            spec.seed.to_string(),
            house.threats_of(spec),
            house.defences_of(spec),
            number(Some(o.found.error)),
            number(o.found.claimed_error),
            number(o.found.log_loss),
            number(error(&o.kept)),
            number(error(&o.default)),
            number(o.found.best()),
            word(o.as_clean),
            word(o.as_other_seed),
            number(o.victim().map(|v| v.clean_error)),
            number(o.victim().map(|v| v.error)),
            o.found.evaluations.map_or(String::new(), |n| n.to_string()),
            o.found
                .choice
                .as_ref()
                .map_or(String::new(), Value::to_string),
            o.found.found.clone().unwrap_or_default(),
            o.version.clone().unwrap_or_default(),
        ]));
    }
    out
}
