//! The page of a bilevel study: what its template is given.

use super::cells::{self, Cell, Setting};
use super::{claims, climb, curves, examples, figures, findings, settings, tables, valid};
use crate::reporter::Drawn;
use tox_report::ReportError;
use tox_report::context;
use tox_report::page;
use tox_report::paper::{Paper, followed};
use tox_report::provenance;
use tox_report::run::Run;
use tox_report::verdict;

/// What the paper is.
pub const FILE: &str = include_str!("paper.toml");

pub const PAGE: (&str, &str) = ("bilevel.html", include_str!("templates/bilevel.html"));

/// All that is shown of a run.
pub type Report<'a> = Drawn<'a, Cell<'a>>;

impl<'a> Report<'a> {
    /// Draws everything.
    pub fn new(run: &'a Run) -> Self {
        let cells = cells::all(run);
        let settings = Setting::all(&cells);
        let figures = vec![
            valid::figure(&settings),
            figures::errors(&settings),
            figures::lambdas(&settings),
            figures::norms(&settings),
            figures::stability(&settings),
            examples::figure(&settings),
            figures::flips(&settings),
            climb::losses(&settings),
            climb::lambdas(&settings),
            climb::cross_validation(&settings),
            curves::figure(&settings),
        ];
        let paper = followed::<Paper>(run, FILE).is_some();
        let figures = figures.into_iter();
        let figures = figures.map(|f| if paper { f } else { f.of_no_paper() });
        Self {
            run,
            figures: figures.collect(),
            cells,
        }
    }

    /// The page.
    pub fn html(&self) -> Result<String, ReportError> {
        let settings = Setting::all(&self.cells);
        let of: Option<Paper> = followed(self.run, FILE);
        let paper = of.is_some();
        // The paper's words are about attacks that aim at all rows.
        let mut indiscriminate = Setting::all(&self.cells);
        indiscriminate.retain(|s| s.cells.iter().all(|c| c.target().is_none()));
        let claims = match paper {
            true => claims::all(&indiscriminate),
            false => Vec::new(),
        };
        let findings = findings::findings(self.run, &self.cells, &settings, &claims);
        let measured: Vec<_> = claims.iter().filter(|c| c.measured().count() > 0).collect();
        let own = context! {
            paper => of,
            row => "a trial and level",
            like => verdict::LIKE,
            grids => tables::grids(&settings),
            targets => tables::targets(&settings),
            claims => measured,
            checks => tables::checks(&self.cells),
            folds => tables::folds(&self.cells),
            trials => tables::trials(&self.cells),
            figures => self.shown(),
            differences => settings::differences(&self.cells),
            choices => settings::choices(&self.cells),
        };
        let facts = provenance::facts(self.run);
        page::render(PAGE, self.run, &findings, &facts, own)
    }
}
