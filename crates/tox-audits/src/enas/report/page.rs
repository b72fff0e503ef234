//! The page of an ENAS study: what its template is given.

use super::cells::{self, COLLAPSE_MARGIN, Cell, POLICIES, policy_name};
use super::paper::{self, Paper};
use super::{details, figures, findings, network, rows, settings, tables};
use crate::enas::outcome::EnasOutcome;
use minijinja::Value;
use tox_report::ReportError;
use tox_report::cells::Measured;
use tox_report::context;
use tox_report::figure::{self, Figure};
use tox_report::page;
use tox_report::provenance::{self, Fact};
use tox_report::run::Run;
use tox_report::svg::Svg;

const PAGE: (&str, &str) = ("enas.html", include_str!("templates/enas.html"));

/// All that is shown of a run.
pub struct Report<'a> {
    run: &'a Run,
    cells: Vec<Cell<'a>>,
    paper: Option<Paper>,
    figures: Vec<Figure>,
    networks: Vec<Network>,
}

/// A drawn network.
struct Network {
    file: String,
    title: String,
    words: String,
    group: String,
    svg: Svg,
}

impl<'a> Report<'a> {
    /// Draws everything.
    pub fn new(run: &'a Run) -> Self {
        let cells = cells::all(run);
        let paper = Paper::find(&run.head.paper);
        let figures = vec![
            figures::curves(&cells),
            figures::error_against_q(&cells, paper.as_ref()),
            figures::bad_ops(&cells),
            rows::death(&cells),
            rows::retraining(&cells),
        ];
        let networks = networks(&cells);
        Self {
            run,
            cells,
            paper,
            figures,
            networks,
        }
    }

    /// Name and content of every figure file.
    pub fn files(&self) -> Vec<(String, String)> {
        let networks = self.networks.iter();
        let networks = networks.map(|n| (format!("{}.svg", n.file), n.svg.file(&n.title)));
        figure::files(&self.figures)
            .into_iter()
            .chain(networks)
            .collect()
    }

    /// The page.
    pub fn html(&self) -> Result<String, ReportError> {
        let paper = self.paper.as_ref();
        let (first, rest): (Vec<_>, Vec<_>) = self
            .networks
            .iter()
            .partition(|n| n.group == "clean" || n.group == "P3+");
        let drawn = |list: Vec<&Network>| -> Vec<Value> {
            list.into_iter()
                .map(|n| {
                    context! {
                        title => n.title,
                        words => n.words,
                        svg => Value::from_safe_string(n.svg.inline(&n.file, &n.title)),
                    }
                })
                .collect()
        };
        let figures: Vec<Value> = self.figures.iter().map(Figure::value).collect();
        let policies: Vec<&str> = POLICIES
            .into_iter()
            .filter(|p| self.cells.iter().any(|c| c.policy() == *p))
            .map(policy_name)
            .collect();
        let mut facts = provenance::facts(self.run);
        let seeds = facts.iter().position(|f| f.key == "Seeds");
        let policy = |c: &Cell| policy_name(c.policy()).to_owned();
        let done = self.cells.iter().filter(|c| c.done() > 0);
        let fact = Fact::distinct("NaN policies", done.map(policy));
        facts.insert(seeds.unwrap_or(0), fact);
        let findings = findings::findings(self.run, &self.cells, paper);
        let own = context! {
            paper => paper.map(|p| context! {
                name => p.name,
                authors => p.authors,
                setting => p.setting,
                text => p.text,
            }),
            beside => tables::beside_some(&self.cells, paper),
            paper_notes => paper.map(|p| paper::notes(p, &self.cells)),
            table1 => tables::table1(&self.cells, paper),
            table2 => tables::table2(&self.cells, paper),
            control => tables::control(&self.cells),
            deaths => details::deaths(&self.cells),
            screened => details::screened(&self.cells),
            dropped => details::dropped(&self.cells),
            trials => details::trials(&self.cells),
            figures,
            margin => COLLAPSE_MARGIN,
            networks => drawn(first),
            more_networks => drawn(rest),
            differences => paper.map(|_| settings::differences(&self.cells)),
            policies,
        };
        page::render(PAGE, self.run, &findings, &facts, own)
    }
}

/// The best network of every cell; file names hold nothing but letters, digits and dashes.
fn networks(cells: &[Cell]) -> Vec<Network> {
    let mut out: Vec<Network> = Vec::new();
    for cell in cells {
        let Some(best) = cell.best() else { continue };
        let slug: String = cell
            .name
            .chars()
            .map(|c| {
                if c.is_ascii_alphanumeric() {
                    c.to_ascii_lowercase()
                } else {
                    '-'
                }
            })
            .take(60)
            .collect();
        let mut file = format!("network-{slug}");
        if out.iter().any(|n| n.file == file) {
            file = format!("{file}-{}", out.len());
        }
        out.push(Network {
            file,
            title: title(cell, &best),
            words: network::describe(&best.outcome.genotype),
            group: cell
                .poison()
                .map_or("clean".to_owned(), |p| p.set.to_string()),
            svg: network::draw(&best.outcome.genotype),
        });
    }
    out
}

fn title(cell: &Cell, best: &Measured<EnasOutcome>) -> String {
    let o = best.outcome;
    format!(
        "{} (threat {}), seed {}: {} of {} layers bad, validation error {:.2} %, test error {:.2} %",
        cell.name,
        cell.threat(),
        best.spec.seed,
        o.genotype.bad_ops(),
        o.genotype.layers.len(),
        o.valid_error,
        o.test_error
    )
}
