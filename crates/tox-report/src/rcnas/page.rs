//! The page of a study of compressions: what its template is given.

use super::cells::{self, Cell};
use super::task::Task;
use super::{claims, cost, figures, findings, judged, settings, shapes, tables};
use crate::ReportError;
use crate::figure::{self, Figure};
use crate::page;
use crate::provenance;
use crate::run::Run;
use minijinja::{Value, context};

/// Title and authors of the paper.
const PAPER: (&str, &str) = (
    "Reinforced Compressive Neural Architecture Search for Versatile Adversarial Robustness",
    "Wang et al.",
);

/// What recipes call it.
const KEY: &str = "rcnas";

/// All that is shown of a run.
pub struct Report<'a> {
    run: &'a Run,
    cells: Vec<Cell<'a>>,
    figures: Vec<Figure>,
}

impl<'a> Report<'a> {
    /// Draws everything.
    pub fn new(run: &'a Run) -> Self {
        let cells = cells::all(run);
        let figures = vec![figures::best_so_far(&Task::all(&cells))];
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
        let tasks = Task::all(&self.cells);
        let paper = self.run.follows(KEY);
        let claims = match paper {
            true => claims::all(&tasks),
            false => Vec::new(),
        };
        let findings = findings::findings(self.run, &self.cells, &tasks, &claims);
        let drawn = self.figures.iter().filter(|f| !f.panels.is_empty());
        let own = context! {
            paper => paper.then(|| context! {
                name => PAPER.0,
                authors => PAPER.1,
                setting => "GPU-weeks on CIFAR and Tiny-ImageNet; its accuracies are printed beside \
                            ours only where a study is at that scale",
            }),
            mark => cells::MARK,
            claims => Value::from_serialize(&claims),
            grids => tables::grids(&tasks),
            costs => cost::all(&tasks),
            shapes => shapes::all(&tasks),
            judged => judged::all(&tasks, paper),
            trials => tables::trials(&tasks),
            figures => drawn.map(Figure::value).collect::<Vec<Value>>(),
            differences => settings::differences(&self.cells),
        };
        let facts = provenance::facts(self.run);
        page::render("rcnas.html", self.run, &findings, &facts, own)
    }
}
