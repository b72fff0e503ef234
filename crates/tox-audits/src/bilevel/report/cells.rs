//! What is asked of bilevel cells, and which of them share a panel.

use crate::report_facts;
use tox_bilevel::config::{
    BilevelAttack, BilevelConfig, Groups, Lambda, Penalty, TargetLabels, Victim,
};
use tox_bilevel::outcome::{BilevelOutcome, Level};
use tox_report::stats::Interval;
use tox_report::svg::Ink;
use tox_study::part::Part;
use tox_study::spec::{Surface, TrialSpec};

tox_report::cells_of!(BilevelConfig, BilevelOutcome);

/// The level of a trial with so many poison points.
pub fn level(outcome: &BilevelOutcome, points: u64) -> Option<&Level> {
    outcome.levels.iter().find(|l| l.points == points)
}

/// The mean of numbers; `None` for none.
pub fn average(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Test error.
pub fn error(level: &Level) -> Option<f64> {
    Some(level.test_error)
}

/// The difference of a number at a level between two cells, by seed.
pub fn beside(
    cell: &Cell,
    other: &Cell,
    points: u64,
    of: impl Fn(&Level) -> Option<f64>,
) -> Option<Interval> {
    cell.above(other, |o| of(level(o, points)?))
}

impl<'a> Cell<'a> {
    /// The attack, if there is one.
    pub fn attack(&self) -> Option<BilevelAttack> {
        report_facts::threat(self.spec(), Surface::Data, "bilevel")
    }

    /// What the labels of the adversary's targets are, if it has any.
    pub fn target(&self) -> Option<TargetLabels> {
        Some(self.attack()?.target?.labels)
    }

    /// Poison points of each planned level; the first is 0.
    pub fn planned(&self) -> Vec<u64> {
        let (batch, batches) = self.attack().map_or((0, 0), |a| (a.batch, a.batches));
        (0..=batches).map(|n| (n * batch) as u64).collect()
    }

    /// Poison points of the last planned level.
    pub fn most(&self) -> u64 {
        self.planned().last().copied().unwrap_or(0)
    }

    /// The planned level at half of the poison (rounded up), between the first and the last.
    pub fn half_way(&self) -> Option<u64> {
        let planned = self.planned();
        (planned.len() > 2).then(|| planned[planned.len() / 2])
    }

    /// Share of the training set that so many points are, percent; `None` where neither a record nor
    /// the spec says how large that is.
    pub fn percent(&self, points: u64) -> Option<f64> {
        let found = self.records().find_map(|r| level(r.outcome, points));
        match (found, self.spec().data.train) {
            (Some(l), _) => Some(100.0 * l.fraction),
            (None, Some(n)) if n > 0 => Some(100.0 * points as f64 / n as f64),
            (None, _) => None,
        }
    }

    /// Mean of a number at a level.
    pub fn at(&self, points: u64, of: impl Fn(&Level) -> Option<f64>) -> Option<Interval> {
        self.mean(|o| of(level(o, points)?))
    }

    /// Mean of the differences of a number between two levels, trial by trial.
    pub fn growth(
        &self,
        from: u64,
        to: u64,
        of: impl Fn(&Level) -> Option<f64>,
    ) -> Option<Interval> {
        self.mean(|o| growth(o, from, to, &of))
    }

    /// Rise of the test error from the clean level to that of most poison.
    pub fn rise(&self) -> Option<Interval> {
        self.rise_to(self.most())
    }

    /// Rise of the test error from the clean level to another.
    pub fn rise_to(&self, points: u64) -> Option<Interval> {
        self.growth(0, points, |l| Some(l.test_error))
    }

    /// How the learner gets lambda, in a word or two.
    pub fn victim(&self) -> &'static str {
        match (self.config.victim, self.config.lambda.groups) {
            (Victim::None, _) => "none",
            (Victim::Large, _) => "large",
            (Victim::CrossValidated, Groups::One) => "clean CV",
            (Victim::CrossValidated, Groups::PerLayer) => "CV per layer",
            (Victim::Learned, Groups::One) => "learned",
            (Victim::Learned, Groups::PerLayer) => "per layer",
        }
    }

    /// Ink and dash of its lines.
    pub fn look(&self) -> (Ink, &'static str) {
        match (self.config.victim, self.config.lambda.groups) {
            (Victim::None, _) => (Ink::BadLine, ""),
            (Victim::Large, _) => (Ink::GoodLine, "2 4"),
            (Victim::CrossValidated, _) => (Ink::Dose(0), "8 4"),
            (Victim::Learned, Groups::One) => (Ink::Clean, ""),
            (Victim::Learned, Groups::PerLayer) => (Ink::Dose(3), "6 3"),
        }
    }
}

/// The difference of a number between two levels of a trial.
pub fn growth(
    outcome: &BilevelOutcome,
    from: u64,
    to: u64,
    of: impl Fn(&Level) -> Option<f64>,
) -> Option<f64> {
    Some(of(level(outcome, to)?)? - of(level(outcome, from)?)?)
}

/// Cells that differ in the victim alone: what one panel compares. A learner without regularisation
/// has no penalty, so its cell stands in the settings of both.
pub struct Setting<'c, 'a> {
    /// Data set, penalty and what else tells it from the study's other settings.
    pub title: String,
    /// Its cells, in plan order; never empty.
    pub cells: Vec<&'c Cell<'a>>,
    /// What its cells have in common.
    key: TrialSpec,
}

impl<'c, 'a> Setting<'c, 'a> {
    /// The settings of a study, in plan order.
    pub fn all(cells: &'c [Cell<'a>]) -> Vec<Self> {
        let mut settings: Vec<Self> = Vec::new();
        let regular = |c: &&Cell| c.config.victim != Victim::None;
        let bare = |spec: &TrialSpec| with_penalty(spec.clone(), Penalty::L2);
        // Those with a penalty say which settings there are.
        for cell in cells
            .iter()
            .filter(regular)
            .chain(cells.iter().filter(|c| !regular(c)))
        {
            let key = key(cell.spec());
            let penalised = regular(&cell);
            let fits = |s: &Self| match penalised {
                true => s.key == key,
                false => bare(&s.key) == bare(&key),
            };
            if !settings.iter().any(fits) {
                settings.push(Self {
                    title: String::new(),
                    cells: Vec::new(),
                    key: key.clone(),
                });
            }
            for setting in settings.iter_mut().filter(|s| fits(s)) {
                setting.cells.push(cell);
            }
        }
        let place = |c: &Cell| cells.iter().position(|other| std::ptr::eq(other, c));
        for setting in &mut settings {
            let exact = |c: &&Cell| !regular(c) && key(c.spec()) == setting.key;
            // A study may run one for each penalty all the same.
            if setting.cells.iter().any(&exact) {
                let own = setting.cells.iter().copied();
                setting.cells = own.filter(|c| regular(c) || exact(c)).collect();
            }
            setting.cells.sort_by_key(|c| place(c));
        }
        // The data sets beside each other, a row for each penalty.
        settings.sort_by_key(|s| {
            (
                s.penalty() == Penalty::L1,
                s.cells.iter().map(|c| place(c)).min(),
            )
        });
        let keys: Vec<TrialSpec> = settings.iter().map(|s| s.key.clone()).collect();
        let sizes = |setting: &Self| {
            let data = &setting.key.data;
            let others = keys.iter().map(|k| &k.data);
            others
                .filter(|d| d.dataset == data.dataset)
                .any(|d| d.valid != data.valid)
        };
        for setting in &mut settings {
            let cell = setting.cells[0];
            let mut parts = vec![
                dataset(&cell.spec().data.dataset).to_owned(),
                penalty(setting.penalty()).to_owned(),
            ];
            if !cell.config.hidden.is_empty() {
                let widths: Vec<String> = cell.config.hidden.iter().map(usize::to_string).collect();
                parts.push(format!("net {}", widths.join("-")));
            }
            if sizes(setting) {
                parts.push(format!("{} valid.", cell.spec().data.valid));
            }
            if cell.target().is_some() {
                parts.push("aimed at a target set".to_owned());
            }
            setting.title = parts.join(", ");
        }
        let titles: Vec<String> = settings.iter().map(|s| s.title.clone()).collect();
        for setting in &mut settings {
            if titles.iter().filter(|t| **t == setting.title).count() > 1 {
                setting.title = format!("{}, {}", setting.title, setting.cells[0].name);
            }
        }
        settings
    }

    /// The first cell with this victim that has a record; one lambda before one for each layer.
    pub fn victim(&self, victim: Victim) -> Option<&'c Cell<'a>> {
        let fit = |c: &&&Cell| c.config.victim == victim && c.done() > 0;
        let cells = self.cells.iter().filter(fit);
        let cells = cells.copied();
        cells.min_by_key(|c| c.config.lambda.groups == Groups::PerLayer)
    }

    /// The first cell that learns one lambda (or one for each layer) and has a record.
    pub fn learned(&self, groups: Groups) -> Option<&'c Cell<'a>> {
        let fit = |c: &&Cell| {
            c.config.victim == Victim::Learned && c.config.lambda.groups == groups && c.done() > 0
        };
        self.cells.iter().copied().find(|c| fit(c))
    }

    /// Whether it is `other` but for what `change` makes equal.
    pub fn twin(&self, other: &Self, change: impl Fn(&mut TrialSpec)) -> bool {
        let bare = |setting: &Self| {
            let mut spec = setting.key.clone();
            change(&mut spec);
            spec
        };
        bare(self) == bare(other)
    }

    /// The penalty.
    pub fn penalty(&self) -> Penalty {
        let config = self.key.learner.read::<BilevelConfig>();
        config.map_or_else(|_| Penalty::default(), |c| c.penalty)
    }

    /// The title without the penalty, for what is about no regularisation.
    pub fn without_penalty(&self) -> String {
        let name = penalty(self.penalty());
        let parts = self.title.split(", ").filter(|part| *part != name);
        parts.collect::<Vec<_>>().join(", ")
    }

    /// Whether it is `other` but for the penalty.
    pub fn twin_but_penalty(&self, other: &Self) -> bool {
        let bare = |s: &Self| with_penalty(s.key.clone(), Penalty::L2);
        bare(self) == bare(other)
    }

    /// A label for each cell: the victim, or the cell's name where several have the same.
    pub fn label(&self, cell: &Cell) -> String {
        let alike = self.cells.iter().filter(|c| c.victim() == cell.victim());
        if alike.count() > 1 {
            tox_report::figure::short(&cell.name)
        } else {
            cell.victim().to_owned()
        }
    }
}

/// The name of a data set as papers write it.
pub fn dataset(key: &str) -> &str {
    match key {
        "mnist" => "MNIST",
        "fashion-mnist" => "Fashion-MNIST",
        "cifar10" => "CIFAR-10",
        other => other,
    }
}

/// The name of a penalty.
pub fn penalty(penalty: Penalty) -> &'static str {
    match penalty {
        Penalty::L1 => "L1",
        Penalty::L2 => "L2",
    }
}

/// A spec without what may differ within a panel: names, seed, victim and what only some victims
/// use.
fn key(spec: &TrialSpec) -> TrialSpec {
    let mut key = spec.clone();
    key.cell = String::new();
    key.variant = None;
    key.seed = 0;
    change(&mut key, |config| {
        config.victim = Victim::None;
        config.lambda = Lambda {
            scale: config.lambda.scale,
            ..Lambda::default()
        };
        config.hyperiterations = 1;
        config.kuncheva = Vec::new();
    });
    key
}

fn change(spec: &mut TrialSpec, how: impl FnOnce(&mut BilevelConfig)) {
    if let Ok(mut config) = spec.learner.read::<BilevelConfig>() {
        how(&mut config);
        spec.learner = Part::new(&spec.learner.kind, &config);
    }
}

fn with_penalty(mut spec: TrialSpec, penalty: Penalty) -> TrialSpec {
    change(&mut spec, |config| config.penalty = penalty);
    spec
}
