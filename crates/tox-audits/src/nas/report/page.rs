//! The page of a study of searches: what its template is given.

use super::cells::{self, Cell};
use super::search::Search;
use super::{attacks, baselines, claims, curves, figures, findings, ops, robust, settings, tables};
use crate::reporter::Drawn;
use tox_report::ReportError;
use tox_report::context;
use tox_report::page;
use tox_report::paper::{Paper, followed};
use tox_report::provenance;
use tox_report::run::Run;
use tox_report::verdict;

const PAGE: (&str, &str) = ("nas.html", include_str!("templates/nas.html"));

/// All that is shown of a run.
pub type Report<'a> = Drawn<'a, Cell<'a>>;

impl<'a> Report<'a> {
    /// Draws everything.
    pub fn new(run: &'a Run) -> Self {
        let cells = cells::all(run);
        let searches = Search::all(run, &cells);
        let figures = vec![
            figures::accuracy(&searches),
            figures::left(&searches),
            ops::figure(&searches),
            curves::learning(&searches),
            curves::cancelling(&searches),
        ];
        Self {
            run,
            cells,
            figures,
        }
    }

    /// The page.
    pub fn html(&self) -> Result<String, ReportError> {
        let searches = Search::all(self.run, &self.cells);
        let of: Option<Paper> = followed(self.run, ops::PAPER);
        let paper = of.is_some();
        let claims = match paper {
            true => claims::all(&searches),
            false => Vec::new(),
        };
        let findings = findings::findings(self.run, &self.cells, &searches, &claims);
        let mut random: Vec<&str> = searches.iter().map(Search::random_is).collect();
        random.dedup();
        let beside = paper && settings::in_papers_space(&searches);
        let own = context! {
            paper => of,
            like => verdict::LIKE,
            mark => cells::MARK,
            claims,
            baselines => baselines::table(&searches),
            grids => tables::grids(&searches),
            random => random.join(", or else "),
            footnotes => tables::footnotes(&self.cells),
            robust => robust::tables(&searches),
            defended => tables::defended(&searches),
            found => tables::found(&searches, beside),
            in_papers_space => beside,
            signals => tables::signals(&searches),
            checks => attacks::tables(&searches),
            trials => tables::trials(&searches),
            figures => self.shown(),
            differences => settings::differences(&searches),
        };
        let facts = provenance::facts(self.run);
        page::render(PAGE, self.run, &findings, &facts, own)
    }
}
