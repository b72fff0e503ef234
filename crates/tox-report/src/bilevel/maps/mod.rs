//! The paper's synthetic example (Fig. 1): maps over the position of one poison point.

mod draw;
mod findings;
#[cfg(test)]
mod tests;

use super::page::{KEY, PAPER};
use super::settings;
use crate::ReportError;
use crate::cells;
use crate::csv;
use crate::figure::{self, Figure};
use crate::page::{self, NONE};
use crate::provenance;
use crate::run::Run;
use crate::terminal::{INCOMPLETE, show, table};
use minijinja::{Value, context};
use tox_bilevel::config::SyntheticConfig;
use tox_bilevel::outcome::SyntheticOutcome;
use tox_study::record::Outcome;
use tox_study::spec::Learner;

/// A cell of synthetic trials.
pub type Cell<'a> = cells::Cell<'a, SyntheticConfig, SyntheticOutcome>;

fn all(run: &Run) -> Vec<Cell<'_>> {
    fn config(learner: &Learner) -> Option<&SyntheticConfig> {
        match learner {
            Learner::Synthetic(config) => Some(config),
            _ => None,
        }
    }
    fn outcome(outcome: &Outcome) -> Option<&SyntheticOutcome> {
        match outcome {
            Outcome::Synthetic(outcome) => Some(outcome),
            _ => None,
        }
    }
    Cell::group(run, config, outcome)
}

/// All that is shown of a run.
pub struct Report<'a> {
    run: &'a Run,
    cells: Vec<Cell<'a>>,
    figures: Vec<Figure>,
}

impl<'a> Report<'a> {
    /// Draws everything.
    pub fn new(run: &'a Run) -> Self {
        let cells = all(run);
        let figure = draw::figure(&cells);
        let figures = match run.follows(KEY) {
            true => vec![figure],
            false => vec![figure.of_no_paper()],
        };
        Self {
            run,
            cells,
            figures,
        }
    }

    /// Name (without its end) and content of every figure file.
    pub fn files(&self) -> Vec<(String, String)> {
        figure::files(&self.figures)
    }

    /// The page.
    pub fn html(&self) -> Result<String, ReportError> {
        let named = self.cells.iter();
        let named: Vec<_> = named
            .map(|c| (c.name.as_str(), &c.spec().data, c.config))
            .collect();
        let (differences, choices) = settings::synthetic(&named);
        let drawn = self.figures.iter().filter(|f| !f.panels.is_empty());
        let paper = self.run.follows(KEY);
        let claims = match paper {
            true => findings::claims(&self.cells),
            false => Vec::new(),
        };
        let own = context! {
            paper => paper.then(|| context! { name => PAPER.0, authors => PAPER.1, setting => "Fig. 1" }),
            synthetic => true,
            row => "a trial and position",
            claims => Value::from_serialize(claims),
            trials => self.trials(),
            figures => drawn.map(Figure::value).collect::<Vec<Value>>(),
            differences,
            choices,
        };
        let found = findings::findings(self.run, &self.cells);
        let facts = provenance::facts(self.run);
        page::render("bilevel.html", self.run, &found, &facts, own)
    }

    fn trials(&self) -> Vec<Value> {
        let mut out = Vec::new();
        for cell in &self.cells {
            for trial in &cell.trials {
                let found = cell.records().find(|r| r.spec.seed == trial.spec.seed);
                let show = |of: fn(&SyntheticOutcome) -> f64| {
                    let found = found.as_ref();
                    found.map_or(NONE.to_owned(), |r| format!("{:.2}", of(r.outcome)))
                };
                out.push(context! {
                    id => trial.id.chars().take(12).collect::<String>(),
                    cell => cell.name,
                    seed => trial.spec.seed,
                    levels => show(|o| o.attack_none.clean_error),
                    clean => show(|o| o.attack_none.error),
                    last => show(|o| o.attack_fixed.error),
                    divergence => "",
                    state => page::state(&trial.state),
                });
            }
        }
        out
    }

    /// `results.csv`: one row a trial and position. Errors are in percent.
    pub fn csv(&self) -> String {
        let mut out = String::from("trial,cell,seed,x,y,error_none,error_fixed,best_lambda\n");
        for record in self.run.trials.iter().filter_map(|t| t.record()) {
            let Outcome::Synthetic(o) = &record.outcome else {
                continue;
            };
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
