//! Tasks: a data set, an attack, a teacher and a budget; and the buffers that they are drawn from.

use rand::{Rng, RngExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tox_data::ranges::{self, OutOfRange};
use tox_nn::nets::wrn::{Shape, ShapeError};
use tox_robust::ball::Norm;
use tox_search::space::hint;

/// A data set, as far as the agent knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskData {
    /// Name, without a comma; evaluations are kept by it.
    pub name: String,
    /// Number of classes.
    #[schemars(range(min = 2))]
    pub classes: usize,
    /// Channels of an image.
    #[schemars(range(min = 1))]
    pub channels: usize,
    /// Height and width of an image.
    #[schemars(range(min = 1))]
    pub side: usize,
    /// Training images.
    #[schemars(range(min = 1))]
    pub images: usize,
}

/// An attack, as far as the agent knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TaskAttack {
    /// Short name, such as `pgd20`; evaluations are kept by it.
    pub name: String,
    /// How the perturbation is measured.
    pub norm: Norm,
    /// Its radius, where pixels lie in 0..=1.
    #[schemars(range(min = 0.0))]
    pub epsilon: f64,
    /// Steps of one attempt: gradients, or queries of a black-box attack.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// Attacks of an ensemble: 4 for AutoAttack, 1 for a single attack.
    #[schemars(range(min = 1))]
    pub members: usize,
    /// Whether it sees logits only.
    pub black_box: bool,
}

/// What a sub-network may cost at most.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// Multiply-accumulates of one image.
    Macs(#[schemars(range(min = 1))] u64),
    /// Share of the teacher's.
    Share(#[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))] f64),
}

impl Budget {
    /// In multiply-accumulates, for a teacher of so many.
    pub fn macs(self, teacher: u64) -> u64 {
        match self {
            Self::Macs(macs) => macs,
            Self::Share(share) => (share * teacher as f64).floor() as u64,
        }
    }

    /// Checks the number.
    ///
    /// # Errors
    /// A budget that nothing can be within, or a share that is none.
    pub fn check(self) -> Result<(), OutOfRange> {
        ranges::check(&self)
    }
}

/// One task: find the sub-network of `teacher` that is most robust to `attack` on `data` within
/// `budget`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Task {
    /// The data set.
    pub data: TaskData,
    /// The attack.
    pub attack: TaskAttack,
    /// The network to compress.
    pub teacher: Shape,
    /// What the sub-network may cost.
    pub budget: Budget,
}

/// Names of what is kept from meta-training, so that a target with it is unseen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct HeldOut {
    /// Data sets, by name.
    pub data: Vec<String>,
    /// Attacks, by name.
    pub attacks: Vec<String>,
    /// Teachers, written as [`Shape::parse`] reads them.
    pub teachers: Vec<String>,
}

/// What tasks are drawn from: every combination of what is not held out, equally likely.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Buffers {
    /// Data sets.
    pub data: Vec<TaskData>,
    /// Attacks.
    pub attacks: Vec<TaskAttack>,
    /// Teachers.
    pub teachers: Vec<Shape>,
    /// Budgets.
    pub budgets: Vec<Budget>,
    /// Of them those that are never drawn.
    #[serde(default)]
    pub held_out: HeldOut,
}

/// Why there is no task.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TaskError {
    #[error(
        "no {what} is left to draw meta-training tasks from: {listed} listed, {held_out} held out; \
         list one more or hold out fewer"
    )]
    Empty {
        what: &'static str,
        listed: usize,
        held_out: usize,
    },
    #[error("the {what} `{found}` is held out, but none is called so{hint}; listed are {known}")]
    Unknown {
        what: &'static str,
        found: String,
        hint: String,
        known: String,
    },
    #[error("the {what} `{name}` is listed twice; remove one of them")]
    Twice { what: &'static str, name: String },
    #[error("a task: {0}")]
    Number(#[from] OutOfRange),
    #[error(transparent)]
    Teacher(#[from] ShapeError),
}

impl Task {
    /// Checks every number.
    ///
    /// # Errors
    /// The first that no task can have.
    pub fn check(&self) -> Result<(), TaskError> {
        ranges::check(self)?;
        named([&self.data.name, &self.attack.name])?;
        Ok(self.teacher.check()?)
    }
}

/// Refuses an empty name.
fn named<'a>(names: impl IntoIterator<Item = &'a String>) -> Result<(), OutOfRange> {
    let full = names.into_iter().all(|name| !name.is_empty());
    OutOfRange::unless(full, "name", "empty", "at least one character")
}

impl Buffers {
    /// Checks that every number can be, that no name is there twice, that what is held out is listed,
    /// and that something is left.
    ///
    /// # Errors
    /// The first of these that does not hold.
    pub fn check(&self) -> Result<(), TaskError> {
        ranges::check(self)?;
        named(self.data.iter().map(|data| &data.name))?;
        named(self.attacks.iter().map(|attack| &attack.name))?;
        self.teachers.iter().try_for_each(Shape::check)?;
        let held = &self.held_out;
        // Other spellings of a teacher are the same teacher.
        let teachers: Result<Vec<String>, ShapeError> =
            held.teachers.iter().map(|t| canonical(t)).collect();
        check_names(
            "data set",
            names(&self.data, |d| d.name.clone()),
            &held.data,
        )?;
        check_names(
            "attack",
            names(&self.attacks, |a| a.name.clone()),
            &held.attacks,
        )?;
        check_names(
            "teacher",
            names(&self.teachers, Shape::to_string),
            &teachers?,
        )?;
        check_names("budget", names(&self.budgets, |b| format!("{b:?}")), &[])
    }

    /// What meta-training may draw from.
    fn open(&self) -> (Vec<&TaskData>, Vec<&TaskAttack>, Vec<&Shape>) {
        (
            self.data.iter().filter(|d| !self.holds_data(d)).collect(),
            self.attacks
                .iter()
                .filter(|a| !self.holds_attack(a))
                .collect(),
            self.teachers
                .iter()
                .filter(|t| !self.holds_teacher(t))
                .collect(),
        )
    }

    fn holds_data(&self, data: &TaskData) -> bool {
        self.held_out.data.contains(&data.name)
    }

    fn holds_attack(&self, attack: &TaskAttack) -> bool {
        self.held_out.attacks.contains(&attack.name)
    }

    fn holds_teacher(&self, teacher: &Shape) -> bool {
        let mut held = self.held_out.teachers.iter();
        held.any(|text| Shape::parse(text).is_ok_and(|shape| shape == *teacher))
    }

    /// All tasks that meta-training may draw, in the order of the buffers.
    pub fn all(&self) -> Vec<Task> {
        let (data, attacks, teachers) = self.open();
        let mut tasks = Vec::new();
        for data in data {
            for attack in &attacks {
                for teacher in &teachers {
                    tasks.extend(self.budgets.iter().map(|budget| Task {
                        data: data.clone(),
                        attack: (*attack).clone(),
                        teacher: **teacher,
                        budget: *budget,
                    }));
                }
            }
        }
        tasks
    }

    /// One of [`Buffers::all`]; none if there is none.
    pub fn draw(&self, rng: &mut impl Rng) -> Option<Task> {
        let mut all = self.all();
        (!all.is_empty()).then(|| all.swap_remove(rng.random_range(0..all.len())))
    }

    /// Which parts of `target` meta-training never drew: some of `data`, `attack` and `teacher`.
    pub fn unseen(&self, target: &Task) -> Vec<String> {
        let (data, attacks, teachers) = self.open();
        let seen = [
            ("data", data.iter().any(|d| d.name == target.data.name)),
            (
                "attack",
                attacks.iter().any(|a| a.name == target.attack.name),
            ),
            ("teacher", teachers.contains(&&target.teacher)),
        ];
        let unseen = seen.iter().filter(|(_, seen)| !seen);
        unseen.map(|(part, _)| (*part).to_owned()).collect()
    }
}

fn canonical(teacher: &str) -> Result<String, ShapeError> {
    Ok(Shape::parse(teacher)?.to_string())
}

fn names<T>(of: &[T], name: impl Fn(&T) -> String) -> Vec<String> {
    of.iter().map(name).collect()
}

fn check_names(what: &'static str, listed: Vec<String>, held: &[String]) -> Result<(), TaskError> {
    for (i, name) in listed.iter().enumerate() {
        if listed[..i].contains(name) {
            let name = name.clone();
            return Err(TaskError::Twice { what, name });
        }
    }
    if let Some(found) = held.iter().find(|name| !listed.contains(name)) {
        let known: Vec<&str> = listed.iter().map(String::as_str).collect();
        return Err(TaskError::Unknown {
            what,
            found: found.clone(),
            hint: hint(found, &known),
            known: known.join(", "),
        });
    }
    if listed.iter().all(|name| held.contains(name)) {
        return Err(TaskError::Empty {
            what,
            listed: listed.len(),
            held_out: held.len(),
        });
    }
    Ok(())
}
