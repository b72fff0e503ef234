//! The page's tables.

use super::effects::{self, Effects};
use super::findings::{Best, best};
use super::gather::{Data, Gathered};
use super::ranks::{self, Matrix};
use minijinja::Value;
use tox_report::columns::{Field, Table, values};
use tox_report::numbers::count;
use tox_report::run::Run;

/// A row a data set and attack.
pub fn networks(run: &Run, all: &Gathered) -> Value {
    let mut rows: Vec<(&Data, &str, Option<Best>)> = Vec::new();
    for data in &all.data {
        let before = rows.len();
        for (i, attack) in all.attacks.iter().enumerate() {
            let found = best(data, i);
            rows.extend(found.map(|found| (data, attack.as_str(), Some(found))));
        }
        if rows.len() == before {
            rows.push((data, "", None));
        }
    }
    let trials = |data: &Data| {
        let own = run
            .trials
            .iter()
            .filter(|t| t.spec.data.dataset == data.name);
        let done = own.clone().filter(|t| t.record().is_some()).count();
        let planned = own.count();
        let field = Field::number(format!("{done}/{planned}"));
        field.warning(if done < planned { "incomplete" } else { "" })
    };
    let one = |v: Option<f64>| Field::of(v.map(|v| format!("{v:.1}")));
    Table::of("Networks", &rows)
        .column("Data set", |(d, ..)| Field::text(&d.name))
        .column("Trials", |(d, ..)| trials(d))
        .column("Networks", |(d, ..)| Field::of(Some(d.nets.len())))
        .column("Trainings that\ndiverged", |(d, ..)| {
            Field::of(Some(d.diverged))
        })
        .column("Attack", |(_, attack, _)| Field::text(*attack))
        .column("Worst", |(.., b)| one(b.as_ref().map(|b| b.least)))
        .column("Mean", |(.., b)| one(b.as_ref().map(|b| b.mean)))
        .column("Best", |(.., b)| one(b.as_ref().map(|b| b.robust)))
        .column("The best", |(.., b)| {
            Field::text(b.as_ref().map_or(String::new(), |b| b.shape.to_string())).code()
        })
        .column("MACs", |(.., b)| {
            Field::of(b.as_ref().map(|b| count(b.macs)))
        })
        .column("Correlation\nwith clean", |(.., b)| {
            correlation(b.as_ref().and_then(|b| b.with_clean))
        })
        .table()
        .value()
}

fn correlation(value: Option<f64>) -> Field {
    Field::value(value)
}

/// Every planned trial.
pub fn trials(run: &Run) -> Value {
    Table::of("Every trial", &run.trials)
        .column("Cell", |t| Field::text(&t.spec.cell))
        .column("Data set", |t| Field::text(&t.spec.data.dataset))
        .column("Seed", |t| Field::of(Some(t.spec.seed)))
        .column("Trial", |t| Field::text(t.short_id()).code())
        .column("State", |t| Field::state(&t.state))
        .table()
        .value()
}

/// Main effects: a table a data set.
pub fn effects(all: &Gathered) -> Vec<Value> {
    let table = |e: &Effects| {
        let caption = format!(
            "{}: mean accuracy of all networks that share a number",
            e.title
        );
        let factor = |first: bool, name: &str| {
            if first {
                name.to_owned()
            } else {
                String::new()
            }
        };
        let mut table = Table::of(caption, &e.levels)
            .column("Part", |l| Field::text(factor(l.first, &l.factor)).blank())
            .column("Its number", |l| Field::number(&l.level))
            .column("Networks", |l| Field::of(Some(l.nets)))
            .column("clean", |l| Field::value(Some(l.clean)));
        for (i, attack) in all.attacks.iter().enumerate() {
            table = table.column(attack, |l| Field::value(l.robust.get(i).copied()));
        }
        table.table()
    };
    values(effects::all(all).iter().map(table))
}

/// Rank correlations: a table a data set, then a table an attack.
pub fn agreement(all: &Gathered) -> Vec<Value> {
    let between = |what: &'static str| {
        move |m: &Matrix| {
            let caption = format!("{}: rank correlation between {what}", m.title);
            let rows: Vec<usize> = (0..m.names.len()).collect();
            let mut table = Table::of(caption, &rows).column("", |i| Field::text(&m.names[*i]));
            for (j, name) in m.names.iter().enumerate() {
                table = table.column(name, |i| match m.rows[*i].get(j) {
                    Some(value) if *i == j => correlation(*value).faint(),
                    Some(value) => correlation(*value),
                    None => Field::number("").blank(),
                });
            }
            table.table()
        }
    };
    let attacks = ranks::attacks(all);
    let data = ranks::data(all);
    let attacks = attacks.iter().map(between("attacks"));
    values(attacks.chain(data.iter().map(between("data sets"))))
}
