//! `report.html`: what the template is given. Everything that comes from a recipe or a record goes
//! through the template's escaping; only drawings, whose texts [`crate::svg`] escapes, pass as they are.

use crate::ReportError;
use crate::cells::{COLLAPSE_MARGIN, Cell, budget, clean_of, collapsed, policy_name, searched};
use crate::figures::{self, Figure};
use crate::paper::Paper;
use crate::run::Record;
use crate::run::{Run, State};
use crate::stats::{self, Interval};
use crate::svg::{self, Ink, Svg};
use crate::{findings, network, settings};
use minijinja::{Environment, Value, context};
use serde::Serialize;
use tox_poison::space::PoisonSet;
use tox_search::enas::config::NanPolicy;
use tox_study::record::EnasOutcome as Outcome;

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

/// A row of Table 1.
#[derive(Serialize)]
struct Row {
    cell: String,
    threat: String,
    share: String,
    seeds: String,
    complete: bool,
    valid: String,
    paper_valid: String,
    test: String,
    paper_test: String,
    above: String,
    retrained: String,
    bar: Value,
}

/// A row of the control: a search beside the random search on the same space.
#[derive(Serialize)]
struct Control {
    cell: String,
    threat: String,
    seeds: String,
    complete: bool,
    shared: [String; 3],
    retrained: [String; 3],
}

/// One policy's half of a row of Table 2.
#[derive(Serialize)]
struct Half {
    seeds: String,
    complete: bool,
    valid: String,
    test: String,
    collapsed: String,
}

/// A row of Table 2.
#[derive(Serialize)]
struct Pair {
    cell: String,
    threat: String,
    paper: String,
    torch: Option<Half>,
    guarded: Option<Half>,
}

/// A row of the table of deaths.
#[derive(Serialize)]
struct Death {
    cell: String,
    policy: &'static str,
    collapsed: String,
    share: String,
    gradient: String,
    weight: String,
    survived: usize,
    nonfinite: String,
    retrain: String,
}

/// What the screen did in a cell.
#[derive(Serialize)]
struct Screened {
    cell: String,
    threat: String,
    seeds: String,
    clean: String,
    unscreened: String,
    screened: String,
    missed: String,
    ops: Vec<Dropped>,
}

/// An op that the screen dropped.
#[derive(Serialize)]
struct Dropped {
    op: String,
    verdict: String,
    reason: String,
    poison: bool,
    trials: usize,
}

/// A row of the table of trials.
#[derive(Serialize)]
struct TrialRow {
    id: String,
    cell: String,
    seed: u64,
    state: String,
    valid: String,
    test: String,
    retrained: String,
    collapsed: &'static str,
    gradient: String,
    weight: String,
    bad: String,
}

/// The mark of an absent number.
const NONE: &str = "–";

fn show(interval: Option<Interval>) -> String {
    interval.map_or(NONE.to_owned(), |i| i.to_string())
}

/// A difference with its sign.
fn signed(interval: Option<Interval>) -> String {
    interval.map_or(NONE.to_owned(), |i| format!("{i:+}"))
}

fn number(value: Option<f64>) -> String {
    value.map_or(NONE.to_owned(), |v| format!("{v:.2}"))
}

fn step(value: Option<u64>) -> String {
    value.map_or(NONE.to_owned(), |v| v.to_string())
}

fn seeds(cell: &Cell) -> String {
    format!("{}/{}", cell.done(), cell.trials.len())
}

fn share(k: usize, n: usize) -> String {
    let (low, high) = stats::wilson(k, n);
    format!("{:.0} to {:.0} %", 100.0 * low, 100.0 * high)
}

fn one_shot(cell: &Cell) -> bool {
    cell.poison().is_some_and(|p| p.set == PoisonSet::P3Plus)
}

impl<'a> Report<'a> {
    /// Draws everything.
    pub fn new(run: &'a Run) -> Self {
        let cells = Cell::all(run);
        let paper = Paper::find(&run.head.paper);
        let figures = vec![
            figures::curves(&cells),
            figures::error_against_q(&cells, paper.as_ref()),
            figures::bad_ops(&cells),
            figures::death(&cells),
            figures::retraining(&cells),
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

    /// Name (without its end) and content of every figure file.
    pub fn files(&self) -> Vec<(String, String)> {
        let figures = self.figures.iter().filter(|f| !f.panels.is_empty());
        figures
            .map(|f| (f.name.to_owned(), f.whole().file(f.title)))
            .chain(
                self.networks
                    .iter()
                    .map(|n| (n.file.clone(), n.svg.file(&n.title))),
            )
            .collect()
    }

    /// The page. `folder` is the run folder's name.
    pub fn html(&self, folder: &str) -> Result<String, ReportError> {
        let mut env = Environment::new();
        env.add_template("report.html", include_str!("templates/report.html"))?;
        let head = &self.run.head;
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
        let figures: Vec<Value> = self.figures.iter().map(figure).collect();
        let policies: Vec<&str> = [NanPolicy::Torch, NanPolicy::Guarded]
            .into_iter()
            .filter(|p| self.cells.iter().any(|c| c.policy() == *p))
            .map(policy_name)
            .collect();
        Ok(env.get_template("report.html")?.render(context! {
            title => if head.title.is_empty() { &head.name } else { &head.title },
            name => head.name,
            description => head.description,
            figure_style => Value::from_safe_string(svg::style()),
            planned => self.run.trials.len(),
            done => self.run.trials.iter().filter(|t| t.record().is_some()).count(),
            findings => findings::findings(self.run, &self.cells, paper),
            paper => paper.map(|p| context! {
                name => p.name,
                authors => p.authors,
                setting => p.setting,
                text => p.text,
            }),
            table1 => self.table1(),
            table2 => self.table2(),
            control => self.control(),
            deaths => self.deaths(),
            screened => self.screened(),
            trials => self.trials(),
            figures,
            margin => COLLAPSE_MARGIN,
            networks => drawn(first),
            more_networks => drawn(rest),
            differences => paper.map(|_| settings::differences(&self.cells)),
            facts => settings::provenance(self.run),
            policies,
            folder,
        })?)
    }

    /// Cells without a defence, but for the one-shot sets, the `guarded` twins of others and the
    /// random searches.
    fn table1(&self) -> Vec<Row> {
        let twin = |cell: &Cell| {
            cell.policy() == NanPolicy::Guarded
                && self.cells.iter().any(|c| {
                    c.policy() == NanPolicy::Torch
                        && c.random() == cell.random()
                        && c.spec().threat == cell.spec().threat
                })
        };
        self.cells
            .iter()
            .filter(|c| !c.screened() && !c.random() && !one_shot(c) && !twin(c))
            .map(|c| self.row(c))
            .collect()
    }

    fn row(&self, cell: &Cell) -> Row {
        let printed = self.paper.as_ref();
        let printed = printed.map(|p| p.cell(&cell.spec().data.dataset, cell.label()));
        let printed = printed.unwrap_or_default();
        let (valid, test) = (cell.valid(), cell.test());
        let clean = clean_of(&self.cells, cell).filter(|_| cell.poison().is_some());
        let above = clean.and_then(|clean| cell.test_above(clean));
        Row {
            cell: cell.name.clone(),
            threat: cell.threat(),
            share: format!("{:.0} %", 100.0 * budget(cell.poison())),
            seeds: seeds(cell),
            complete: cell.complete(),
            valid: show(valid),
            paper_valid: number(printed.valid),
            test: show(test),
            paper_test: number(printed.test),
            above: above.map_or(String::new(), |i| signed(Some(i))),
            retrained: show(cell.retrained()),
            bar: Value::from_safe_string(bar(test, printed.test)),
        }
    }

    /// Every random search with the search that it is the control of.
    fn control(&self) -> Vec<Control> {
        let random = self.cells.iter().filter(|c| c.random());
        random
            .map(|c| {
                let search = searched(&self.cells, c);
                let beside = |of: fn(&Outcome) -> Option<f64>| {
                    [
                        show(search.and_then(|s| s.mean(of))),
                        show(c.mean(of)),
                        signed(search.and_then(|s| s.above(c, of))),
                    ]
                };
                Control {
                    cell: c.label().to_owned(),
                    threat: c.threat(),
                    seeds: format!("{}, {}", search.map_or(NONE.to_owned(), seeds), seeds(c)),
                    complete: c.complete() && search.is_some_and(Cell::complete),
                    shared: beside(|o| Some(o.test_error)),
                    retrained: beside(|o| o.retrained_test_error),
                }
            })
            .collect()
    }

    /// The clean cell and those that ran under both policies or hold a one-shot set.
    fn table2(&self) -> Vec<Pair> {
        let plain = || self.cells.iter().filter(|c| !c.screened() && !c.random());
        if !plain().any(|c| one_shot(c) || c.policy() == NanPolicy::Guarded) {
            return Vec::new();
        }
        let mut rows: Vec<Pair> = Vec::new();
        let mut seen: Vec<&Cell> = Vec::new();
        for cell in plain() {
            let like = |c: &Cell| c.label() == cell.label() && c.spec().data == cell.spec().data;
            if seen.iter().any(|c| like(c)) {
                continue;
            }
            seen.push(cell);
            let under = |policy| plain().find(|c| like(c) && c.policy() == policy);
            let (torch, guarded) = (under(NanPolicy::Torch), under(NanPolicy::Guarded));
            let in_paper = cell.poison().is_none() || cell.label() == "3d" || one_shot(cell);
            if !in_paper && (torch.is_none() || guarded.is_none()) {
                continue;
            }
            let paper = self.paper.as_ref();
            let printed = paper.map(|p| p.cell(&cell.spec().data.dataset, cell.label()));
            let printed = printed.unwrap_or_default();
            rows.push(Pair {
                cell: cell.label().to_owned(),
                threat: cell.threat(),
                paper: format!("{} / {}", number(printed.valid), number(printed.test)),
                torch: torch.map(half),
                guarded: guarded.map(half),
            });
        }
        rows
    }

    fn deaths(&self) -> Vec<Death> {
        let met = |o: &Outcome| {
            o.first_nonfinite_step.is_some()
                || o.first_nan_weight_step.is_some()
                || o.retrain_first_nonfinite_step.is_some()
        };
        self.cells
            .iter()
            .filter(|c| c.done() > 0)
            .filter(|c| one_shot(c) || c.records().any(|r| met(&r.outcome)))
            .map(|c| {
                let list = |of: fn(&Outcome) -> Option<u64>| {
                    let steps: Vec<String> = c.records().map(|r| step(of(&r.outcome))).collect();
                    steps.join(", ")
                };
                let total = |of: fn(&Outcome) -> u64| c.records().map(|r| of(&r.outcome)).sum();
                let (bad, all): (u64, u64) = (total(|o| o.nonfinite_steps), total(|o| o.steps));
                let broken = c
                    .records()
                    .filter(|r| r.outcome.first_nan_weight_step.is_some());
                Death {
                    cell: c.name.clone(),
                    policy: policy_name(c.policy()),
                    collapsed: format!("{}/{}", c.collapses(), c.done()),
                    share: share(c.collapses(), c.done()),
                    gradient: list(|o| o.first_nonfinite_step),
                    weight: list(|o| o.first_nan_weight_step),
                    survived: broken.filter(|r| !collapsed(&r.outcome)).count(),
                    nonfinite: format!("{bad} of {all}"),
                    retrain: list(|o| o.retrain_first_nonfinite_step),
                }
            })
            .collect()
    }

    fn screened(&self) -> Vec<Screened> {
        let screened = self.cells.iter().filter(|c| c.screened());
        screened
            .map(|c| Screened {
                cell: c.name.clone(),
                threat: c.threat(),
                seeds: seeds(c),
                clean: show(clean_of(&self.cells, c).and_then(Cell::test)),
                unscreened: show(findings::unscreened(&self.cells, c).and_then(Cell::test)),
                screened: if findings::is_clean_again(&self.cells, c) {
                    "identical to clean, seed by seed: the screen gave the clean space back"
                        .to_owned()
                } else {
                    show(c.test())
                },
                missed: findings::missed(c).join(", "),
                ops: findings::dropped(c)
                    .into_iter()
                    .map(|(op, trials)| Dropped {
                        op: op.op.clone(),
                        verdict: op.verdict.clone(),
                        reason: op.reason.clone(),
                        poison: op.poison,
                        trials,
                    })
                    .collect(),
            })
            .collect()
    }

    fn trials(&self) -> Vec<TrialRow> {
        let row = |cell: &Cell, trial: &crate::run::Trial| {
            let o = trial.record().map(|r| &r.outcome);
            TrialRow {
                id: trial.id.chars().take(12).collect(),
                cell: cell.name.clone(),
                seed: trial.spec.seed,
                state: match &trial.state {
                    State::Done(_) => "done".to_owned(),
                    State::Failed(why) => format!("failed: {why}"),
                    State::Missing => "missing".to_owned(),
                },
                valid: number(o.map(|o| o.valid_error)),
                test: number(o.map(|o| o.test_error)),
                retrained: number(o.and_then(|o| o.retrained_test_error)),
                collapsed: o.map_or(NONE, |o| if collapsed(o) { "yes" } else { "no" }),
                gradient: step(o.and_then(|o| o.first_nonfinite_step)),
                weight: step(o.and_then(|o| o.first_nan_weight_step)),
                bad: o.map_or(NONE.to_owned(), |o| {
                    format!("{}/{}", o.genotype.bad_ops(), o.genotype.layers.len())
                }),
            }
        };
        let cells = self.cells.iter();
        cells
            .flat_map(|c| c.trials.iter().map(move |t| row(c, t)))
            .collect()
    }
}

fn half(cell: &Cell) -> Half {
    let (k, n) = (cell.collapses(), cell.done());
    Half {
        seeds: seeds(cell),
        complete: cell.complete(),
        valid: show(cell.valid()),
        test: show(cell.test()),
        collapsed: if n == 0 {
            NONE.to_owned()
        } else {
            format!("{k}/{n} ({})", share(k, n))
        },
    }
}

/// A bar for our test error with the paper's as a tick; the numbers stand beside it in the table.
fn bar(test: Option<Interval>, paper: Option<f64>) -> String {
    let mut svg = Svg::new(104.0, 14.0);
    let x = |error: f64| 2.0 + error.clamp(0.0, 100.0);
    svg.line((2.0, 7.0), (102.0, 7.0), Ink::Grid, 1.0, "");
    if let Some(test) = test {
        svg.line((2.0, 7.0), (x(test.mean), 7.0), Ink::Dose(2), 5.0, "");
    }
    if let Some(paper) = paper {
        svg.line((x(paper), 1.0), (x(paper), 13.0), Ink::Text, 1.8, "");
    }
    svg.decoration()
}

fn figure(figure: &Figure) -> Value {
    let panels: Vec<Value> = figure
        .panels
        .iter()
        .enumerate()
        .map(|(i, panel)| {
            let id = format!("{}-{i}", figure.name);
            Value::from_safe_string(panel.inline(&id, figure.title))
        })
        .collect();
    context! {
        name => figure.name,
        title => figure.title,
        caption => figure.caption,
        wide => figure.panels.len() == 1,
        panels,
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
            title: title(cell, best),
            words: network::describe(&best.outcome.genotype),
            group: cell
                .poison()
                .map_or("clean".to_owned(), |p| p.set.to_string()),
            svg: network::draw(&best.outcome.genotype),
        });
    }
    out
}

fn title(cell: &Cell, best: &Record) -> String {
    let o = &best.outcome;
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
