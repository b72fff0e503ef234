//! The page of a study that makes a table: what its template is given.

use super::gather::Gathered;
use super::{figures, findings, tables};
use minijinja::Value;
use tox_report::ReportError;
use tox_report::context;
use tox_report::figure::{self, Figure};
use tox_report::page;
use tox_report::provenance;
use tox_report::run::Run;

const PAGE: (&str, &str) = ("subnets.html", include_str!("templates/subnets.html"));

/// All that is shown of a run.
pub struct Report<'a> {
    run: &'a Run,
    all: Gathered,
    figures: Vec<Figure>,
}

impl<'a> Report<'a> {
    /// Draws everything.
    pub fn new(run: &'a Run) -> Self {
        let all = Gathered::new(run);
        let figures = vec![figures::cost(&all)];
        Self { run, all, figures }
    }

    /// Name and content of every figure file.
    pub fn files(&self) -> Vec<(String, String)> {
        figure::files(&self.figures)
    }

    /// The page.
    pub fn html(&self) -> Result<String, ReportError> {
        let all = &self.all;
        let drawn = self.figures.iter().filter(|f| !f.panels.is_empty());
        let own = context! {
            networks => tables::networks(self.run, all),
            effects => tables::effects(all),
            agreement => tables::agreement(all),
            figures => drawn.map(Figure::value).collect::<Vec<Value>>(),
            trials => tables::trials(self.run),
        };
        let facts = provenance::facts(self.run);
        let findings = findings::findings(self.run, all);
        page::render(PAGE, self.run, &findings, &facts, own)
    }
}
