//! The page of a study of compressions: what its template is given.

use super::cells::{self, Cell};
use super::task::Task;
use super::{claims, cost, figures, findings, judged, paper, settings, shapes, tables};
use crate::reporter::Drawn;
use tox_report::ReportError;
use tox_report::context;
use tox_report::page;
use tox_report::paper::{Paper, followed};
use tox_report::provenance;
use tox_report::run::Run;

const PAGE: (&str, &str) = ("rcnas.html", include_str!("templates/rcnas.html"));

/// All that is shown of a run.
pub type Report<'a> = Drawn<'a, Cell<'a>>;

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

    /// The page.
    pub fn html(&self) -> Result<String, ReportError> {
        let tasks = Task::all(&self.cells);
        let of: Option<Paper> = followed(self.run, paper::FILE);
        let follows = of.is_some();
        let claims = match follows {
            true => claims::all(&tasks),
            false => Vec::new(),
        };
        let findings = findings::findings(self.run, &self.cells, &tasks, &claims);
        let own = context! {
            paper => of,
            mark => cells::MARK,
            own_robust => true,
            claims,
            grids => tables::grids(&tasks),
            costs => cost::table(&tasks),
            shapes => shapes::all(&tasks),
            judged => judged::all(&tasks, follows),
            trials => tables::trials(&tasks),
            figures => self.shown(),
            differences => settings::differences(&self.cells),
        };
        let facts = provenance::facts(self.run);
        page::render(PAGE, self.run, &findings, &facts, own)
    }
}
