//! The gates of a study: whether what a recipe asks for holds, for a page, a terminal, and the files that a
//! CI job reads.

use crate::common::{self, Cell, Common, poisoned};
use crate::run::Run;
use crate::stats::Interval;
use crate::svg;
use crate::{ReportError, Reports};
use std::path::Path;
use tox_study::gate::{Held, Quantity, Rule, Side};

/// A gate, judged.
pub struct Gate {
    /// As the recipe calls it.
    pub name: String,
    pub rule: Rule,
    pub held: Held,
    /// What is measured; none where there is nothing yet.
    pub value: Option<Interval>,
    /// Why the interval alone does not decide, or what was not looked at; may be empty.
    pub doubt: String,
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
                (None, _) if value.n > 1 => {
                    format!(
                        "{:.2}, and the {} seeds {}",
                        value.mean,
                        value.n,
                        common::SAME
                    )
                }
                (None, of) if of.is_empty() => format!("{:.2}, of one seed", value.mean),
                (None, of) => format!("{:.2}, of one{of} seeds", value.mean),
            },
        };
        let (name, rule, held) = (&self.name, &self.rule, self.held.word());
        let doubt = match self.doubt.is_empty() {
            true => String::new(),
            false => format!("; {}", self.doubt),
        };
        format!("{name}: {rule}: {held}, {why}{doubt}")
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
        let judged = rule.judge(ends);
        let (guesses, doubt) = common.doubt(&rule, judged);
        let held = match judged {
            // Trials that failed or diverged may be those that would not hold.
            Held::Yes if !all => Held::CannotTell,
            Held::Yes | Held::No if guesses => Held::CannotTell,
            held => held,
        };
        let name = name.clone();
        Some(Gate {
            name,
            rule,
            held,
            value,
            doubt,
            planned,
        })
    };
    run.head.gate.iter().filter_map(judged).collect()
}

impl<'a> Common<'a> {
    fn named(&self, name: &str) -> Option<&Cell<'a>> {
        self.cells.iter().find(|c| {
            let spec = c.spec();
            tox_study::plan::cell_name(&spec.cell, spec.variant.as_deref()) == name
        })
    }

    /// Whether a verdict says only that a learner which learned nothing has nothing to lose, and what there is to say of
    /// that: little damage to one that guesses, or right answers under attack of one that always gives the same.
    fn doubt(&self, rule: &Rule, judged: Held) -> (bool, String) {
        let little = match (rule.quantity, rule.side, judged) {
            (Quantity::Damage, Side::AtMost, Held::Yes)
            | (Quantity::Damage, Side::AtLeast, Held::No)
            | (Quantity::Robust, Side::AtLeast, Held::Yes) => true,
            (
                Quantity::Error
                | Quantity::Damage
                | Quantity::Claim
                | Quantity::Overclaim
                | Quantity::Robust,
                Side::AtMost | Side::AtLeast,
                Held::Yes | Held::No | Held::CannotTell,
            ) => false,
        };
        let Some(cell) = self.named(&rule.cell).filter(|_| little) else {
            return (false, String::new());
        };
        let measured = match rule.quantity {
            Quantity::Robust => Some(cell),
            Quantity::Error | Quantity::Damage | Quantity::Claim | Quantity::Overclaim => {
                self.clean(cell)
            }
        };
        let Some(measured) = measured.filter(|c| Self::error(c).is_some()) else {
            return (false, String::new());
        };
        match common::learned(measured) {
            Some(true) => (false, String::new()),
            Some(false) => (true, common::unlearned(measured).unwrap_or_default()),
            None => (
                false,
                "whether the learner does better than guessing is not known: its records do not say what guessing errs \
                 in"
                    .to_owned(),
            ),
        }
    }

    /// What a gate is about, and how many seeds the study has for it.
    fn quantity(&self, quantity: Quantity, name: &str) -> (Option<Interval>, usize) {
        let Some(cell) = self.named(name) else {
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
