//! The gates of a study: whether what a recipe asks for holds, for a page, a terminal, and the files that a
//! CI job reads.

use crate::common::{self, Cell, Common, poisoned};
use crate::run::Run;
use crate::stats::Interval;
use crate::svg;
use crate::{ReportError, Reports};
use std::path::Path;
use tox_study::gate::{Held, Quantity, Rule};

/// A gate, judged.
pub struct Gate {
    /// As the recipe calls it.
    pub name: String,
    pub rule: Rule,
    pub held: Held,
    /// What is measured; none where there is nothing yet.
    pub value: Option<Interval>,
    /// Seeds that the study has for it.
    pub planned: usize,
}

impl Gate {
    /// Such as `mild: damage("rlf-10") <= 2 is NOT HELD: 5.1 ± 1.2`.
    pub fn sentence(&self) -> String {
        let of = |n: usize| match n == self.planned {
            true => String::new(),
            false => format!(" of {}", self.planned),
        };
        let why = match self.value {
            None => "nothing is measured".to_owned(),
            Some(value) => match (value.half, of(value.n)) {
                (Some(half), of) => {
                    format!("{:.2} ± {half:.2} ({}{of} seeds)", value.mean, value.n)
                }
                (None, of) if of.is_empty() => format!("{:.2}, of one seed", value.mean),
                (None, of) => format!("{:.2}, of one{of} seeds", value.mean),
            },
        };
        let (name, rule, held) = (&self.name, &self.rule, self.held.word());
        format!("{name}: {rule}: {held}, {why}")
    }
}

/// What a CI job is told of a study.
pub struct Told {
    pub gates: Vec<Gate>,
    pub markdown: String,
    pub junit: String,
}

/// Reads the study in `run_dir`.
///
/// # Errors
/// When the folder cannot be read or holds a file that does not parse.
pub fn told(reports: &Reports, run_dir: &Path) -> Result<Told, ReportError> {
    let run = Run::load(reports, run_dir)?;
    Ok(Told {
        gates: gates(&run),
        markdown: markdown(&run),
        junit: junit(&run),
    })
}

/// The gates of a run, in the order of their names.
pub fn gates(run: &Run) -> Vec<Gate> {
    if run.head.gate.is_empty() {
        return Vec::new();
    }
    let measures = common::measures(run);
    let common = Common::new(run, &measures);
    let judged = |(name, rule): (&String, &String)| {
        let rule: Rule = rule.parse().ok()?;
        let (value, planned) = common.quantity(rule.quantity, &rule.cell);
        let ends = value.and_then(|v| Some((v.mean - v.half?, v.mean + v.half?)));
        let all = value.is_some_and(|v| v.n == planned);
        let held = match rule.judge(ends) {
            // Trials that failed or diverged may be those that would not hold.
            Held::Yes if !all => Held::CannotTell,
            held => held,
        };
        let name = name.clone();
        Some(Gate {
            name,
            rule,
            held,
            value,
            planned,
        })
    };
    run.head.gate.iter().filter_map(judged).collect()
}

impl Common<'_> {
    /// What a gate is about, and how many seeds the study has for it.
    fn quantity(&self, quantity: Quantity, name: &str) -> (Option<Interval>, usize) {
        let named = |c: &&Cell| {
            let spec = c.spec();
            tox_study::plan::cell_name(&spec.cell, spec.variant.as_deref()) == name
        };
        let Some(cell) = self.cells.iter().find(named) else {
            return (None, 0);
        };
        let all = cell.trials.len();
        match quantity {
            Quantity::Error => (cell.mean(|m| m.clean_error), all),
            Quantity::Damage if poisoned(cell.spec()) || !cell.spec().defence.is_none() => {
                (self.damage(cell), self.pairs(cell))
            }
            // The clean cell itself.
            Quantity::Damage => (None, all),
            Quantity::Claim => (cell.mean(|m| m.claim), all),
            Quantity::Overclaim => (cell.mean(|m| Some(m.clean_error? - m.claim?)), all),
            Quantity::Robust => (cell.mean(common::worst), all),
        }
    }
}

/// Lines for a terminal.
pub fn lines(run: &Run) -> String {
    let gates = gates(run);
    gates
        .iter()
        .map(|gate| format!("gate {}\n", gate.sentence()))
        .collect()
}

/// The table of the cells and the gates in Markdown, such as `$GITHUB_STEP_SUMMARY` shows.
pub fn markdown(run: &Run) -> String {
    let measures = common::measures(run);
    let common = Common::new(run, &measures);
    let title = if run.head.title.is_empty() {
        &run.head.name
    } else {
        &run.head.title
    };
    let done = run.trials.iter().filter(|t| t.record().is_some()).count();
    let mut out = format!("## {}\n\n", line(title));
    for gate in gates(run) {
        let mark = match gate.held {
            Held::Yes => "✅",
            Held::No => "❌",
            Held::CannotTell => "❔",
        };
        out.push_str(&format!("- {mark} {}\n", line(&gate.sentence())));
    }
    out.push_str(&format!("\n{}\n", common.table().markdown()));
    out.push_str(&format!(
        "{done} of {} trials. Mean ± half of the 95 % t-interval over seeds; damage: points above the clean \
         cell.\n",
        run.trials.len()
    ));
    out
}

/// Text that stays one line and no markup.
fn line(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace('<', "&lt;")
}

/// The gates as JUnit's XML: a gate that is not held is a failure, one that cannot be told is skipped, and a
/// trial that failed is an error.
pub fn junit(run: &Run) -> String {
    let gates = gates(run);
    let case = |gate: &Gate| {
        let words = svg::escape(&gate.sentence());
        let inside = match gate.held {
            Held::Yes => String::new(),
            Held::No => format!("<failure message=\"{words}\"/>"),
            Held::CannotTell => format!("<skipped message=\"cannot tell: {words}\"/>"),
        };
        let name = svg::escape(&gate.name);
        format!("    <testcase classname=\"gates\" name=\"{name}\">{inside}</testcase>\n")
    };
    let mut cases: String = gates.iter().map(case).collect();
    let mut errors = 0;
    for trial in &run.trials {
        if let crate::run::State::Failed(why) = &trial.state {
            errors += 1;
            let name = format!("{} seed {}", trial.spec.cell, trial.spec.seed);
            cases.push_str(&format!(
                "    <testcase classname=\"trials\" name=\"{}\"><error message=\"{}\"/></testcase>\n",
                svg::escape(&name),
                svg::escape(why)
            ));
        }
    }
    let count = |held: Held| gates.iter().filter(|gate| gate.held == held).count();
    let (name, failures, skipped) = (
        svg::escape(&run.head.name),
        count(Held::No),
        count(Held::CannotTell),
    );
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n  <testsuite name=\"{name}\" tests=\"{}\" \
         failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\">\n{cases}  </testsuite>\n\
         </testsuites>\n",
        gates.len() + errors
    )
}
