//! The rows of the page's tables.

use super::cells::error;
use super::cells::{Cell, Setting, average};
use super::checks::{Check, check};
use minijinja::Value;
use tox_bilevel::config::{TargetLabels, Victim};
use tox_bilevel::outcome::{BilevelOutcome, Level};
use tox_report::cells::Measured;
use tox_report::columns::{Field, Table, values};
use tox_report::numbers::{NONE, show, signed};
use tox_report::run::Trial;
use tox_report::stats::Interval;

/// Error by victim and level: a table a setting.
pub fn grids(settings: &[Setting]) -> Vec<Value> {
    values(settings.iter().map(grid))
}

fn grid(setting: &Setting) -> Table {
    let lambda = |c: &Cell, points| show(c.at(points, |l| average(&l.lambda)));
    let victim = |c: &Cell| {
        let constant = match c.config.victim {
            Victim::Large => format!("λ {:.2}", c.config.lambda.large),
            Victim::CrossValidated if c.done() > 0 => format!("λ {}", lambda(c, 0)),
            Victim::CrossValidated | Victim::Learned | Victim::None => String::new(),
        };
        Field::text(c.victim()).small(constant)
    };
    let level = |c: &Cell, points: u64| {
        let error = c.at(points, error);
        let mut below = Vec::new();
        if error.is_some() && points > 0 {
            below.push(signed(c.rise_to(points)));
        }
        if error.is_some() && c.config.victim == Victim::Learned {
            below.push(format!("λ {}", lambda(c, points)));
        }
        Field::mean(error).small(below.join("\n"))
    };
    let caption = format!("Test error by share of poison, percent: {}", setting.title);
    let mut table = Table::of(caption, &setting.cells)
        .column("Cell", |c| Field::text(&c.name))
        .column("Lambda is", |c| victim(c))
        .column("Seeds", |c| Field::seeds(c));
    // All its cells have the same threat.
    for points in setting.cells[0].planned() {
        table = table.column(head(setting, points), |c| level(c, points));
    }
    table.table()
}

/// Success on the target set, and what becomes of the test rows: a table a setting whose adversary has targets.
pub fn targets(settings: &[Setting]) -> Vec<Value> {
    let aimed = |s: &&Setting| s.cells.iter().any(|c| c.target().is_some());
    values(settings.iter().filter(aimed).map(target))
}

fn target(setting: &Setting) -> Table {
    let hit = |l: &Level| Some(l.target?.success);
    let what = match setting.cells.iter().find_map(|c| c.target()) {
        Some(TargetLabels::Wanted) => "get the label that the adversary wants",
        Some(TargetLabels::True) | None => "are misclassified",
    };
    let rows = |c: &Cell| {
        let found = c.records().find_map(|r| r.outcome.target);
        let overlaps = c.records().filter_map(|r| r.outcome.target);
        let [train, test] = overlaps.fold([0, 0], |[train, test], target| {
            [train.max(target.also[0]), test.max(target.also[2])]
        });
        let also = format!("at most {train} also trained on,\n{test} in the test set");
        Field::of(found.map(|target| target.rows)).small(also)
    };
    let caption = format!("Target rows that {what}, percent: {}", setting.title);
    let mut table = Table::of(caption, &setting.cells)
        .column("Cell", |c| Field::text(&c.name))
        .column("Lambda is", |c| Field::text(c.victim()))
        .column("Seeds", |c| Field::seeds(c))
        .column("Target rows", move |c| rows(c));
    for points in setting.cells[0].planned() {
        table = table.column(head(setting, points), move |c| {
            let mut below = Vec::new();
            if points > 0 && c.at(points, hit).is_some() {
                below.push(signed(c.growth(0, points, hit)));
                below.push(format!("test error {}", signed(c.rise_to(points))));
            }
            Field::mean(c.at(points, hit)).small(below.join("\n"))
        });
    }
    table.table()
}

/// What stands above the column of a level.
fn head(setting: &Setting, points: u64) -> String {
    match setting.cells.iter().find_map(|c| c.percent(points)) {
        Some(_) if points == 0 => "clean".to_owned(),
        Some(p) => format!("{p:.1} %"),
        None => format!("{points} points"),
    }
}

/// The attack's self-checks, a row a cell with poison.
pub fn checks(cells: &[Cell]) -> Value {
    let fine = |i: Option<Interval>| match i {
        None => NONE.to_owned(),
        Some(i) => match i.half {
            Some(half) => format!("{:+.3} ± {half:.3}", i.mean),
            None => format!("{:+.3}", i.mean),
        },
    };
    let loss = |c: &Cell| {
        let at = |points| c.at(points, |l| Some(l.valid_loss));
        let (from, to) = (at(0)?, at(c.most())?);
        Some(format!("{:.3} to {:.3}", from.mean, to.mean))
    };
    let rows = cells.iter().filter_map(|c| Some((c, check(c)?)));
    let rows: Vec<(&Cell, Check)> = rows.collect();
    Table::of("Self-checks of the attack", &rows)
        .column("Cell", |(c, _)| Field::text(&c.name))
        .column("Batches whose\nloss rose", |(_, k)| {
            Field::number(format!("{}/{}", k.rose, k.batches))
        })
        .column("Mean rise\nover a batch", |(_, k)| {
            Field::number(fine(k.rise)).warning(k.mark)
        })
        .column("Validation loss,\nclean to most", |(c, _)| {
            Field::of(loss(c))
        })
        .column("Points moved\nby (L2)", |(_, k)| Field::mean(k.moved))
        .column("Trials that\nbeat flips", |(_, k)| {
            Field::number(format!("{}/{}", k.beats, k.compared))
        })
        .column("Error above\nflips, points", |(_, k)| {
            Field::difference(k.gain)
        })
        .column("Change by\n8 bits, points", |(_, k)| {
            Field::difference(k.rounding)
        })
        .table()
        .value()
}

/// Lambdas tried, the held-out loss, and in how many seeds each was chosen: a table a cell.
pub fn folds(cells: &[Cell]) -> Vec<Value> {
    let best = |o: &BilevelOutcome| {
        let finite = o.cross_validation.iter().filter(|c| c.loss.is_some());
        let least = finite.min_by(|a, b| {
            let of = |c: &Option<f64>| c.unwrap_or(f64::INFINITY);
            of(&a.loss).total_cmp(&of(&b.loss))
        });
        least.map(|c| c.lambda)
    };
    let loss = |cell: &Cell, lambda: f64| {
        let loss = cell.mean(|o| {
            let folds = &o.cross_validation;
            folds.iter().find(|c| c.lambda == lambda)?.loss
        });
        match loss {
            None => "diverged".to_owned(),
            Some(l) if l.n == cell.done() => format!("{:.4}", l.mean),
            Some(l) => format!("{:.4} ({} seeds diverged)", l.mean, cell.done() - l.n),
        }
    };
    values(cells.iter().filter_map(|cell| {
        let first = cell.records().next()?;
        let chosen = |lambda| {
            let chosen = |r: &Measured<_>| best(r.outcome) == Some(lambda);
            cell.records().filter(chosen).count()
        };
        let table = Table::of(&cell.name, &first.outcome.cross_validation)
            .column("Lambda", |tried| {
                Field::text(format!("{:.2}", tried.lambda))
            })
            .column("Held-out loss", |tried| {
                Field::number(loss(cell, tried.lambda))
            })
            .column("Chosen in so many seeds", |tried| {
                Field::of(Some(chosen(tried.lambda)))
            })
            .table();
        Some(table)
    }))
}

/// Every planned trial.
pub fn trials(cells: &[Cell]) -> Value {
    let mut rows: Vec<(&Cell, &Trial, Option<&BilevelOutcome>)> = Vec::new();
    for cell in cells {
        rows.extend(cell.trials.iter().map(|t| (cell, *t, t.outcome())));
    }
    let error = |l: Option<&Level>| Field::value(l.map(|l| l.test_error));
    let diverged = |o: &BilevelOutcome| {
        let d = o.divergence.as_ref()?;
        Some(format!(
            "{}, {} points, step {}",
            d.training, d.points, d.step
        ))
    };
    Table::of("Every trial", &rows)
        .column("Cell", |r| Field::text(&r.0.name))
        .column("Seed", |r| Field::of(Some(r.1.spec.seed)))
        .column("Trial", |r| Field::text(r.1.short_id()).code())
        .column("Levels", |(c, _, o)| {
            Field::of(o.map(|o| format!("{}/{}", o.levels.len(), c.planned().len())))
        })
        .column("Clean error", |(.., o)| {
            error(o.and_then(|o| o.levels.first()))
        })
        .column("Last error", |(.., o)| {
            error(o.and_then(|o| o.levels.last()))
        })
        .column("Diverged in", |(.., o)| {
            Field::text(o.and_then(diverged).unwrap_or_default())
        })
        .column("State", |r| Field::state(&r.1.state))
        .table()
        .value()
}
