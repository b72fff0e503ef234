//! The paper's synthetic example (Fig. 1): maps over the position of one poison point.

mod draw;
mod findings;
#[cfg(test)]
mod tests;

use crate::bilevel::report::{FILE, PAGE, settings};
use crate::reporter::{Drawn, reporter};
use minijinja::Value;
use tox_bilevel::config::SyntheticConfig;
use tox_bilevel::outcome::{Path, SyntheticOutcome};
use tox_report::ReportError;
use tox_report::columns::{Field, Table};
use tox_report::context;
use tox_report::csv;
use tox_report::page;
use tox_report::paper::{Paper, followed};
use tox_report::provenance;
use tox_report::run::{Run, Trial};
use tox_report::terminal::{INCOMPLETE, show, table};

reporter! {
    SyntheticReport, "synthetic", SyntheticConfig, SyntheticOutcome;
    wide: |run| Ok(Report::new(run).csv());
    headline: headline;
}

tox_report::cells_of!(SyntheticConfig, SyntheticOutcome);

/// All that is shown of a run.
pub type Report<'a> = Drawn<'a, Cell<'a>>;

impl<'a> Report<'a> {
    /// Draws everything.
    pub fn new(run: &'a Run) -> Self {
        let cells = all(run);
        let figure = draw::figure(&cells);
        let figures = match followed::<Paper>(run, FILE).is_some() {
            true => vec![figure],
            false => vec![figure.of_no_paper()],
        };
        Self {
            run,
            cells,
            figures,
        }
    }

    /// The page.
    pub fn html(&self) -> Result<String, ReportError> {
        let named = self.cells.iter();
        let named: Vec<_> = named
            .map(|c| (c.name.as_str(), &c.spec().data, c.config))
            .collect();
        let (differences, choices) = settings::synthetic(&named);
        let of: Option<Paper> = followed(self.run, FILE);
        let paper = of.is_some();
        let claims = match paper {
            true => findings::claims(&self.cells),
            false => Vec::new(),
        };
        let own = context! {
            paper => of.map(|p| Paper { setting: "Fig. 1".to_owned(), ..p }),
            synthetic => true,
            row => "a trial and position",
            claims,
            trials => self.trials(),
            figures => self.shown(),
            differences,
            choices,
        };
        let found = findings::findings(self.run, &self.cells);
        let facts = provenance::facts(self.run);
        page::render(PAGE, self.run, &found, &facts, own)
    }

    fn trials(&self) -> Value {
        let mut rows: Vec<(&Cell, &Trial, Option<&SyntheticOutcome>)> = Vec::new();
        for cell in &self.cells {
            rows.extend(cell.trials.iter().map(|t| (cell, *t, t.outcome())));
        }
        let show = |r: &(&Cell, &Trial, Option<&SyntheticOutcome>), of: fn(&Path) -> f64| {
            let none = r.2.map(|o| of(&o.attack_none));
            (none, r.2.map(|o| of(&o.attack_fixed)))
        };
        Table::of("Every trial", &rows)
            .column("Cell", |r| Field::text(&r.0.name))
            .column("Seed", |r| Field::of(Some(r.1.spec.seed)))
            .column("Trial", |r| Field::text(r.1.short_id()).code())
            .column("Clean error", |r| {
                Field::value(show(r, |p| p.clean_error).0)
            })
            .column("Error, no\nregularisation", |r| {
                Field::value(show(r, |p| p.error).0)
            })
            .column("Error, fixed\nlambda", |r| {
                Field::value(show(r, |p| p.error).1)
            })
            .column("State", |r| Field::state(&r.1.state))
            .table()
            .value()
    }

    /// `wide.csv`: one row a trial and position. Errors are in percent.
    pub fn csv(&self) -> String {
        let mut out = String::from("trial,cell,seed,x,y,error_none,error_fixed,best_lambda\n");
        let done = self.run.trials.iter();
        let done = done.filter_map(|t| t.measured::<SyntheticConfig, SyntheticOutcome>());
        for (record, _, o) in done {
            let maps = o.error_none.iter().zip(&o.error_fixed).zip(&o.best_lambda);
            for (i, ((none, fixed), lambda)) in maps.enumerate() {
                let (x, y) = position(o, i);
                out.push_str(&csv::row([
                    record.trial.clone(),
                    record.spec.cell.clone(),
                    record.spec.seed.to_string(),
                    format!("{x:.4}"),
                    format!("{y:.4}"),
                    format!("{none:.4}"),
                    format!("{fixed:.4}"),
                    format!("{lambda:.4}"),
                ]));
            }
        }
        out
    }
}

/// Where position `i` of a map is.
fn position(o: &SyntheticOutcome, i: usize) -> (f64, f64) {
    let grid = o.grid.max(1);
    let step = 2.0 * o.half_side / (grid - 1).max(1) as f64;
    let at = |n: usize| -o.half_side + step * n as f64;
    (at(i % grid), at(i / grid))
}

/// The table for a terminal: validation error without the point and with it, percent, under both
/// learners, and where the best lambda lies.
pub fn headline(run: &Run) -> String {
    let cells = all(run);
    let mut rows = vec![[
        "cell".to_owned(),
        "seeds".to_owned(),
        "clean error %".to_owned(),
        "poisoned %".to_owned(),
        "fixed: clean %".to_owned(),
        "poisoned %".to_owned(),
        "best lambda".to_owned(),
    ]];
    for cell in &cells {
        let lambdas = || {
            cell.records()
                .flat_map(|r| r.outcome.best_lambda.iter().copied())
        };
        let (low, high) = (lambdas().reduce(f64::min), lambdas().reduce(f64::max));
        rows.push([
            cell.name.clone(),
            cell.seeds(),
            show(cell.mean(|o| Some(o.attack_none.clean_error))),
            show(cell.mean(|o| Some(o.attack_none.error))),
            show(cell.mean(|o| Some(o.attack_fixed.clean_error))),
            show(cell.mean(|o| Some(o.attack_fixed.error))),
            match (low, high) {
                (Some(low), Some(high)) => format!("{low:.2} to {high:.2}"),
                _ => "-".to_owned(),
            },
        ]);
    }
    let mut out = table(run, rows);
    out.push_str("mean ± half of the 95 % t-interval over seeds, validation error\n");
    if cells.iter().any(|c| !c.complete()) {
        out.push_str(INCOMPLETE);
    }
    out
}
