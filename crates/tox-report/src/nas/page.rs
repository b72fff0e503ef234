//! The page of a study of searches: what its template is given.

use super::cells::{self, Cell};
use super::search::Search;
use super::{attacks, claims, curves, figures, findings, ops, settings, tables};
use crate::ReportError;
use crate::figure::{self, Figure};
use crate::page;
use crate::provenance;
use crate::run::Run;
use crate::verdict;
use minijinja::{Value, context};

/// Title and authors of the paper.
const PAPER: (&str, &str) = (
    "Hard Work Does Not Always Pay Off: Poisoning Attacks on Neural Architecture Search",
    "Z. Coalson et al.",
);

/// What recipes call it.
const KEY: &str = "nas";

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

    /// Name (without its end) and content of every figure file.
    pub fn files(&self) -> Vec<(String, String)> {
        figure::files(&self.figures)
    }

    /// The page.
    pub fn html(&self) -> Result<String, ReportError> {
        let searches = Search::all(self.run, &self.cells);
        let paper = self.run.follows(KEY);
        let claims = match paper {
            true => claims::all(&searches),
            false => Vec::new(),
        };
        let findings = findings::findings(self.run, &self.cells, &searches, &claims);
        let drawn = self.figures.iter().filter(|f| !f.panels.is_empty());
        let mut random: Vec<&str> = searches.iter().map(Search::random_is).collect();
        random.dedup();
        let own = context! {
            paper => paper.then(|| context! {
                name => PAPER.0,
                authors => PAPER.1,
                setting => "its accuracies are not printed beside ours",
            }),
            like => verdict::LIKE,
            mark => cells::MARK,
            claims => Value::from_serialize(&claims),
            grids => tables::grids(&searches),
            random => random.join(", or else "),
            footnotes => tables::footnotes(&self.cells),
            defended => tables::defended(&searches),
            found => tables::found(&searches),
            in_papers_space => paper && settings::in_papers_space(&searches),
            signals => tables::signals(&searches),
            checks => attacks::rows(&searches),
            trials => tables::trials(&searches),
            figures => drawn.map(Figure::value).collect::<Vec<Value>>(),
            differences => settings::differences(&searches),
        };
        let facts = provenance::facts(self.run);
        page::render("nas.html", self.run, &findings, &facts, own)
    }
}
