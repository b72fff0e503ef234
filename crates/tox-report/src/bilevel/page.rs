//! The page of a bilevel study: what its template is given.

use super::cells::{self, Cell, Setting};
use super::{claims, climb, examples, figures, findings, settings, tables, valid};
use crate::ReportError;
use crate::figure::{self, Figure};
use crate::page;
use crate::provenance;
use crate::run::Run;
use crate::verdict;
use minijinja::{Value, context};

/// Title and authors of the paper.
pub const PAPER: (&str, &str) = (
    "Hyperparameter Learning under Data Poisoning: Analysis of the Influence of Regularization via \
     Multiobjective Bilevel Optimization",
    "J. Carnerero-Cano, L. Muñoz-González, P. Spencer, E. C. Lupu",
);

/// What recipes call it.
pub const KEY: &str = "bilevel";

/// Settings beyond which the claims are counted first.
const MANY: usize = 8;

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
        ];
        let paper = run.follows(KEY);
        let figures = figures.into_iter();
        let figures = figures.map(|f| if paper { f } else { f.of_no_paper() });
        Self {
            run,
            figures: figures.collect(),
            cells,
        }
    }

    /// Name (without its end) and content of every figure file.
    pub fn files(&self) -> Vec<(String, String)> {
        figure::files(&self.figures)
    }

    /// The page.
    pub fn html(&self) -> Result<String, ReportError> {
        let settings = Setting::all(&self.cells);
        let drawn = self.figures.iter().filter(|f| !f.panels.is_empty());
        let paper = self.run.follows(KEY);
        let claims = match paper {
            true => claims::all(&settings),
            false => Vec::new(),
        };
        let findings = findings::findings(self.run, &self.cells, &settings, &claims);
        let measured: Vec<_> = claims.iter().filter(|c| c.measured().count() > 0).collect();
        let own = context! {
            paper => paper.then(|| {
                context! { name => PAPER.0, authors => PAPER.1, setting => "curves, no tables" }
            }),
            row => "a trial and level",
            like => verdict::LIKE,
            grids => tables::grids(&settings),
            claims => Value::from_serialize(&measured),
            many_settings => settings.len() > MANY,
            checks => tables::checks(&self.cells),
            folds => tables::folds(&self.cells),
            trials => tables::trials(&self.cells),
            figures => drawn.map(Figure::value).collect::<Vec<Value>>(),
            differences => settings::differences(&self.cells),
            choices => settings::choices(&self.cells),
        };
        let facts = provenance::facts(self.run);
        page::render("bilevel.html", self.run, &findings, &facts, own)
    }
}
