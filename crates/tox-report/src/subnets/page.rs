//! The page of a study that makes a table: what its template is given.

use super::gather::Gathered;
use super::{effects, figures, findings, ranks};
use crate::ReportError;
use crate::figure::{self, Figure};
use crate::page::{self, count, state};
use crate::provenance;
use crate::run::Run;
use minijinja::{Value, context};

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

    /// Name (without its end) and content of every figure file.
    pub fn files(&self) -> Vec<(String, String)> {
        figure::files(&self.figures)
    }

    /// The page.
    pub fn html(&self) -> Result<String, ReportError> {
        let all = &self.all;
        let drawn = self.figures.iter().filter(|f| !f.panels.is_empty());
        let best = |d: &super::gather::Data| -> Vec<Value> {
            let each = (0..all.attacks.len()).filter_map(|i| findings::best(d, i));
            each.zip(&all.attacks)
                .map(|(best, attack)| {
                    context! { attack, macs => count(best.macs), best => Value::from_serialize(&best) }
                })
                .collect()
        };
        let counts: Vec<Value> = all
            .data
            .iter()
            .map(|d| {
                let trials = self.run.trials.iter();
                let own = trials.filter(|t| t.spec.data.dataset == d.name);
                let done = own.clone().filter(|t| t.record().is_some()).count();
                context! {
                    name => d.name,
                    trials => own.count(),
                    done,
                    nets => d.nets.len(),
                    diverged => d.diverged,
                    best => best(d),
                }
            })
            .collect();
        let trials = self.run.trials.iter().map(|t| {
            context! {
                id => t.id.chars().take(12).collect::<String>(),
                cell => t.spec.cell,
                data => t.spec.data.dataset,
                seed => t.spec.seed,
                state => state(&t.state),
            }
        });
        let own = context! {
            attacks => all.attacks,
            counts,
            effects => effects::all(all),
            between_attacks => ranks::attacks(all),
            between_data => ranks::data(all),
            figures => drawn.map(Figure::value).collect::<Vec<Value>>(),
            trials => trials.collect::<Vec<Value>>(),
        };
        let facts = provenance::facts(self.run);
        let findings = findings::findings(self.run, all);
        page::render("subnets.html", self.run, &findings, &facts, own)
    }
}
