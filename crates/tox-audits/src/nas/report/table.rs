//! `wide.csv`: one row a trial, in plan order, nothing but what is deterministic.

use super::attacks::CANNOT_TELL;
use super::cells::budget;
use crate::nas::outcome::NasOutcome;
use crate::nas::outcome::{Evaluation, Place, Poison, RobustColumn};
use crate::report_facts::{defences, kind};
use crate::scene::Aimed;
use tox_poison::cleanse::Cleansed;
use tox_poison::data::Check;
use tox_poison::data::gc::Cancelled;
use tox_report::cells::variant;
use tox_report::csv;
use tox_report::run::Run;
use tox_search::nas::{NasConfig, SEARCHES};
use tox_search::table::Baseline;
use tox_study::record::Record;

/// A trial that is done.
struct Row<'a> {
    record: &'a Record,
    config: &'a NasConfig,
    outcome: &'a NasOutcome,
}

impl Row<'_> {
    fn evaluation<T: ToString>(&self, of: impl Fn(&Evaluation) -> T) -> String {
        text(self.outcome.evaluation.as_ref().map(of))
    }

    fn place<T: ToString>(&self, of: impl Fn(&Place) -> T) -> String {
        let place = self.outcome.evaluation.as_ref();
        text(place.and_then(|e| e.table.as_ref()).map(of))
    }

    fn random(
        &self,
        among: impl Fn(&Place) -> Option<Baseline>,
        of: impl Fn(Baseline) -> f64,
    ) -> String {
        let place = self.outcome.evaluation.as_ref();
        let place = place.and_then(|e| e.table.as_ref());
        text(place.and_then(among).map(|b| format!("{:.4}", of(b))))
    }

    fn poison<T: ToString>(&self, of: impl Fn(&Poison) -> Option<T>) -> String {
        text(self.outcome.poison.as_ref().and_then(of))
    }

    fn check<T: ToString>(&self, of: impl Fn(&Check) -> T) -> String {
        self.poison(|p| Some(of(&p.check)))
    }

    fn cleansed(&self, of: impl Fn(&Cleansed) -> Option<usize>) -> String {
        let each = self.outcome.cleansed.iter().filter_map(of);
        text(each.reduce(|a, b| a + b))
    }

    fn aimed(&self, of: impl Fn(&Aimed) -> Option<f64>) -> String {
        self.poison(|p| {
            let accuracy = of(p.aim.as_ref()?.architecture()?)?;
            Some(format!("{accuracy:.4}"))
        })
    }

    fn cancelled(&self, of: impl Fn(&Cancelled) -> f64) -> String {
        self.poison(|p| p.check.cancelled.as_ref().map(|c| exact(of(c))))
    }
}

fn text<T: ToString>(value: Option<T>) -> String {
    value.map_or(String::new(), |v| v.to_string())
}

fn exact(value: f64) -> String {
    format!("{value:.6e}")
}

/// Name of a column and its value for a trial.
type Column = (&'static str, fn(&Row) -> String);

/// All but the metrics.
const COLUMNS: [Column; 64] = [
    ("trial", |r| r.record.trial.clone()),
    ("cell", |r| r.record.spec.cell.clone()),
    ("variant", |r| variant(&r.record.spec).to_owned()),
    ("search", |r| r.config.search.kind().to_owned()),
    ("direction", |r| word(&r.config.direction)),
    ("space", |r| word(&r.config.space)),
    ("threat", |r| kind(r.record.spec.threat.data.as_ref())),
    ("budget", |r| {
        text(budget(r.record.spec.threat.data.as_ref()))
    }),
    ("dataset", |r| r.record.spec.data.dataset.clone()),
    ("defence", |r| defences(&r.record.spec)),
    ("seed", |r| r.record.spec.seed.to_string()),
    ("evaluate", |r| word(&r.config.evaluate)),
    ("genotype", |r| r.outcome.genotype.to_string()),
    ("accuracy", |r| {
        r.evaluation(|e| format!("{:.4}", e.accuracy))
    }),
    ("params", |r| r.evaluation(|e| e.counts.params)),
    ("macs", |r| r.evaluation(|e| e.counts.macs)),
    ("column", |r| r.place(|p| p.column.clone())),
    ("rank", |r| r.place(|p| p.rank.rank)),
    ("tied", |r| r.place(|p| p.rank.tied)),
    ("of", |r| r.place(|p| p.rank.of)),
    ("best", |r| r.place(|p| format!("{:.4}", p.best))),
    ("random_mean", |r| {
        r.place(|p| format!("{:.4}", p.random.mean))
    }),
    ("random_sd", |r| r.place(|p| format!("{:.4}", p.random.sd))),
    ("draws", |r| r.place(|p| p.draws)),
    ("random_search_mean", |r| {
        r.place(|p| format!("{:.4}", p.random_search.mean))
    }),
    ("random_search_sd", |r| {
        r.place(|p| format!("{:.4}", p.random_search.sd))
    }),
    ("connected_mean", |r| r.random(|p| p.connected, |b| b.mean)),
    ("connected_sd", |r| r.random(|p| p.connected, |b| b.sd)),
    ("reachable_mean", |r| r.random(|p| p.reachable, |b| b.mean)),
    ("reachable_sd", |r| r.random(|p| p.reachable, |b| b.sd)),
    ("own_random_search_mean", |r| {
        r.random(|p| p.own?.random_search, |b| b.mean)
    }),
    ("own_random_search_sd", |r| {
        r.random(|p| p.own?.random_search, |b| b.sd)
    }),
    ("own_tau", |r| {
        let place = r.outcome.evaluation.as_ref();
        let place = place.and_then(|e| e.table.as_ref());
        text(place.and_then(|p| p.own?.tau).map(exact))
    }),
    ("evaluated", |r| r.outcome.trace.evaluated().to_string()),
    ("poison_rows", |r| r.check(|c| c.rows)),
    ("poison_points", |r| r.check(|c| c.points)),
    ("flipped", |r| r.check(|c| c.flipped)),
    ("moved", |r| r.check(|c| c.moved)),
    ("linf", |r| r.check(|c| c.linf)),
    ("at_bound", |r| r.poison(|p| p.check.at_bound.map(exact))),
    ("unreliable", |r| r.poison(|p| p.check.unreliable.clone())),
    ("classifier_accuracy", |r| {
        r.poison(|p| p.classifier_accuracy.map(exact))
    }),
    ("gc_victim", |r| r.poison(|p| p.victim.clone())),
    ("gc_victim_accuracy", |r| r.aimed(|a| a.victim_accuracy)),
    ("gc_aim", |r| {
        r.poison(|p| {
            let aim = p.aim.as_ref()?;
            let aimed = aim.architecture().map(|a| a.genotype.to_string());
            Some(aimed.unwrap_or_else(|| CANNOT_TELL.to_owned()))
        })
    }),
    ("gc_aim_accuracy", |r| r.aimed(|a| a.accuracy)),
    ("gc_ascent", |r| r.cancelled(|c| c.ascent)),
    ("gc_clean_loss", |r| r.cancelled(|c| c.clean_loss)),
    ("gc_clean_gradient", |r| r.cancelled(|c| c.clean_gradient)),
    ("gc_cosine_before", |r| r.cancelled(|c| c.before().cosine)),
    ("gc_cosine_after", |r| r.cancelled(|c| c.after.cosine)),
    ("gc_loss_before", |r| r.cancelled(|c| c.before().loss)),
    ("gc_loss_after", |r| r.cancelled(|c| c.after.loss)),
    ("gc_snapshot", |r| {
        r.poison(|p| p.check.cancelled.as_ref().map(|c| c.snapshot))
    }),
    ("gc_iterations", |r| {
        r.poison(|p| p.check.cancelled.as_ref().map(|c| c.curve.len()))
    }),
    ("rows_dropped", |r| r.cleansed(|c| Some(c.dropped))),
    ("rows_relabelled", |r| r.cleansed(|c| Some(c.relabelled))),
    ("images_changed", |r| r.cleansed(|c| Some(c.images_changed))),
    ("poison_caught", |r| {
        r.cleansed(|c| c.against.map(|a| a.caught))
    }),
    ("clean_touched", |r| {
        r.cleansed(|c| c.against.map(|a| a.clean_touched))
    }),
    ("labels_restored", |r| {
        r.cleansed(|c| c.against.map(|a| a.restored))
    }),
    ("parts", |r| {
        let parts = r.outcome.parts.len();
        text((parts > 0).then_some(parts))
    }),
    ("best_epoch_accuracy", |r| {
        let training = r
            .outcome
            .evaluation
            .as_ref()
            .and_then(|e| e.training.as_ref());
        text(training.map(|t| format!("{:.4}", t.best_accuracy)))
    }),
    ("alpha_cosine", |r| {
        let diagnostics = r.outcome.diagnostics.as_ref();
        text(diagnostics.and_then(|d| d.alpha_cosine).map(exact))
    }),
];

/// The robust accuracies of what a trial found.
fn columns(outcome: &NasOutcome) -> impl Iterator<Item = &RobustColumn> {
    let evaluation = outcome.evaluation.as_ref();
    let robustness = evaluation.and_then(|e| e.robustness.as_ref());
    robustness.into_iter().flat_map(|found| &found.columns)
}

/// The rows of all trials that are done. Accuracies are in percent; an absent number is empty. Of
/// each metric that a search goes by: its value on the clean and on the poisoned rows. Robust accuracies, in
/// percent, where any were looked up.
pub fn csv(run: &Run) -> String {
    let metrics = || {
        SEARCHES
            .iter()
            .rev()
            .flat_map(|search| search.facts().signals)
    };
    let names = COLUMNS.iter().map(|(name, _)| (*name).to_owned());
    let both = metrics().flat_map(|name| {
        ["clean", "poisoned"].map(|side| format!("{}_{side}", name.replace(' ', "_")))
    });
    let mut robust: Vec<&str> = Vec::new();
    for (.., outcome) in run
        .trials
        .iter()
        .filter_map(|t| t.measured::<NasConfig, NasOutcome>())
    {
        let new = columns(outcome).map(|found| &*found.column);
        for name in new {
            if !robust.contains(&name) {
                robust.push(name);
            }
        }
    }
    let asked = robust.iter().map(|name| (*name).to_owned());
    let mut out = csv::row(names.chain(both).chain(asked));
    for (record, config, outcome) in run.trials.iter().filter_map(|t| t.measured()) {
        let row = Row {
            record,
            config,
            outcome,
        };
        let diagnostics = outcome.diagnostics.as_ref();
        let changes = diagnostics.map_or(&[][..], |d| &d.changes);
        let both = metrics().flat_map(|name| {
            let change = changes.iter().find(|c| c.name == *name);
            [
                change.and_then(|c| c.clean),
                change.and_then(|c| c.poisoned),
            ]
            .map(|v| text(v.map(exact)))
        });
        let values = COLUMNS.iter().map(|(_, of)| of(&row));
        let asked = robust.iter().map(|name| {
            let found = columns(outcome).find(|found| found.column == *name);
            text(found.map(|found| format!("{:.4}", found.accuracy)))
        });
        out.push_str(&csv::row(values.chain(both).chain(asked)));
    }
    out
}

/// A choice as a recipe writes it.
pub fn word(choice: &impl serde::Serialize) -> String {
    let value = serde_json::to_value(choice).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
