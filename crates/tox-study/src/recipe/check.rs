//! What must hold of a recipe beyond its types.

use super::error::RecipeError;
use super::keys::Keys;
use super::parts::WrittenThreats;
use super::source::{MOST_CELLS, Source, dotted, path};
use super::written::{Cell, Recipe};
use crate::gate::Rule;
use crate::house::{House, Learner};
use crate::spec::{Judge, TrialSpec};
use std::collections::BTreeSet;
use toml::Table;
use tox_data::ranges;
use tox_data::spec::{Augment, DataSpec, SplitKind};

/// Names of the study and of its cells.
pub fn names(source: &Source, recipe: &Recipe) -> Result<(), RecipeError> {
    let fits = |s: &str, more: &str| {
        !s.is_empty()
            && s.len() <= 64
            && s.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || more.contains(c))
    };
    if !fits(&recipe.name, "-") {
        let message = format!(
            "`name` = \"{}\" must be 1 to 64 lower-case letters, digits and dashes: it names a folder",
            recipe.name
        );
        return Err(source.refuse(&path(&["name"]), message, None));
    }
    if recipe.cells.is_empty() {
        let hint = Some("add [[cell]] with label = \"clean\"".into());
        return Err(source.refuse(&path(&["cell"]), "the recipe has no cell".into(), hint));
    }
    if recipe.cells.len() > MOST_CELLS {
        let message = format!(
            "the recipe has {} cells: at most {MOST_CELLS}",
            recipe.cells.len()
        );
        let hint = "split the study into several recipes";
        return Err(source.refuse(&path(&["cell"]), message, Some(hint.into())));
    }
    let mut seen = BTreeSet::new();
    for (i, cell) in recipe.cells.iter().enumerate() {
        for (key, value) in [
            ("label", Some(&cell.label)),
            ("variant", cell.variant.as_ref()),
        ] {
            let at = path(&["cell", &i.to_string(), key]);
            if value.is_some_and(|v| !fits(v, "-_.+")) {
                let message = format!(
                    "`{}` must be 1 to 64 lower-case letters, digits and any of - _ . +",
                    dotted(&at)
                );
                return Err(source.refuse(&at, message, None));
            }
        }
        if !seen.insert((&cell.label, &cell.variant)) {
            let at = path(&["cell", &i.to_string(), "label"]);
            let twin = match &cell.variant {
                Some(v) => format!("label \"{}\" and variant \"{v}\"", cell.label),
                None => format!("label \"{}\"", cell.label),
            };
            let hint = "give one of them another label, or tell them apart by `variant`";
            let message = format!("two cells have the {twin}");
            return Err(source.refuse(&at, message, Some(hint.into())));
        }
    }
    Ok(())
}

/// Whether every gate is a rule about a cell that there is.
pub fn gates(source: &Source, recipe: &Recipe) -> Result<(), RecipeError> {
    for (name, text) in &recipe.gate {
        let at = path(&["gate", name]);
        let rule = text.parse::<Rule>();
        let rule = rule.map_err(|e| source.refuse(&at, e.to_string(), None))?;
        if !recipe.cells.iter().any(|cell| cell.name() == rule.cell) {
            let cells: Vec<String> = recipe.cells.iter().map(Cell::name).collect();
            let message = format!(
                "`{}` names the cell \"{}\", which there is not",
                dotted(&at),
                rule.cell
            );
            let hint = format!("the cells are {}", cells.join(", "));
            return Err(source.refuse(&at, message, Some(hint)));
        }
    }
    Ok(())
}

/// Whether the numbers of the judge are in their ranges.
pub fn judge(source: &Source, judge: &Judge) -> Result<(), RecipeError> {
    let keys = Keys::new(source, path(&["judge"]), Table::new());
    ranges::check(judge).map_err(|e| keys.out_of_range(&e))
}

/// Most seeds of a cell, and most trials of a study.
const MOST_SEEDS: usize = 10_000;
const MOST_TRIALS: usize = 100_000;

/// How many trials the cells make.
pub fn trials<'a>(
    source: &Source,
    cells: impl Iterator<Item = &'a Cell>,
    seeds: &[u64],
) -> Result<(), RecipeError> {
    let count: usize = cells
        .map(|cell| cell.seeds.as_deref().unwrap_or(seeds).len())
        .sum();
    if count <= MOST_TRIALS {
        return Ok(());
    }
    let message = format!("cells and seeds make {count} trials: at most {MOST_TRIALS}");
    let hint = "take fewer seeds with --seeds, or split the study into several recipes";
    Err(source.refuse(&path(&["seeds"]), message, Some(hint.into())))
}

/// The seeds at `at`.
pub fn seeds(source: &Source, at: &[String], seeds: &[u64]) -> Result<(), RecipeError> {
    if seeds.len() > MOST_SEEDS {
        let message = format!(
            "`{}` has {} seeds: at most {MOST_SEEDS}",
            dotted(at),
            seeds.len()
        );
        return Err(source.refuse(at, message, None));
    }
    let unique: BTreeSet<_> = seeds.iter().collect();
    let problem = if seeds.is_empty() {
        "is empty: expected at least one seed"
    } else if unique.len() < seeds.len() {
        "names a seed twice: it would be the same trial"
    } else if seeds.iter().any(|&s| i64::try_from(s).is_err()) {
        "has a seed above 9223372036854775807"
    } else {
        return Ok(());
    };
    Err(source.refuse(at, format!("`{}` {problem}", dotted(at)), None))
}

/// Whether the learner has every surface that is attacked or defended.
pub fn meaning(
    house: &House,
    source: &Source,
    spec: &TrialSpec,
    threats: &WrittenThreats,
    defence: &[String],
) -> Result<(), RecipeError> {
    let Some(refusal) = house.refuses(spec) else {
        return Ok(());
    };
    let (of, learner) = (format!("cell \"{}\"", spec.cell), &spec.learner.kind);
    let (at, message) = match refusal.defence {
        true => (
            defence,
            format!(
                "{of}: the defence \"{}\" cannot help the learner \"{learner}\"",
                refusal.kind
            ),
        ),
        false => (
            threats.place(refusal.surface).unwrap_or_default(),
            format!(
                "{of}: the learner \"{learner}\" cannot face the threat \"{}\"",
                refusal.kind
            ),
        ),
    };
    Err(source.refuse(at, message, Some(refusal.hint)))
}

/// The data at `at`, for this trial.
pub fn data(
    house: &House,
    source: &Source,
    at: &[String],
    spec: &TrialSpec,
) -> Result<(), RecipeError> {
    let data = &spec.data;
    let keys = Keys::new(source, at.to_vec(), Table::new());
    ranges::check(data).map_err(|e| keys.out_of_range(&e))?;
    let own = house.learner(&spec.learner.kind);
    let general = [
        ("dataset", data.dataset.is_empty(), "is empty"),
        (
            "valid",
            data.valid == 0 && own.is_none_or(|learner| learner.needs_valid()),
            "= 0: expected at least 1",
        ),
        (
            "classes",
            data.classes.as_ref().is_some_and(|c| !distinct(c)),
            "must name at least 2 classes, none of them twice, such as [0, 8]",
        ),
        (
            "split",
            data.split == SplitKind::Random && data.train.is_none(),
            "= \"random\" draws its training images: say how many with `train`",
        ),
        (
            "label",
            data.label.is_some() && !data.has_columns(),
            "names a column of a table (.csv, .tsv, .parquet), and the data are none: leave it out",
        ),
    ];
    let general = general.into_iter().filter(|(_, wrong, _)| *wrong);
    let general = general.map(|(key, _, problem)| (key, problem.to_owned()));
    let general = general.chain(of_rows(own, data));
    let general = general.chain(of_table(house, own, data));
    let general = general.chain(of_drawn(house, own, data));
    let own = own.map_or_else(Vec::new, |learner| learner.data(spec));
    let Some((key, problem)) = general.chain(own).next() else {
        return Ok(());
    };
    let at = [at, &path(&[key])].concat();
    // What to do about it may follow on a line of its own.
    let (problem, hint) = match problem.split_once('\n') {
        Some((problem, hint)) => (problem, Some(hint.to_owned())),
        None => (problem.as_str(), None),
    };
    Err(source.refuse(&at, format!("`{}` {problem}", dotted(&at)), hint))
}

/// Keys that cut and change rows, for a learner that takes them as they are.
fn of_rows(
    learner: Option<&dyn Learner>,
    data: &DataSpec,
) -> impl Iterator<Item = (&'static str, String)> + use<> {
    let rows = learner.is_some_and(|learner| learner.takes_rows());
    let keys = [
        ("train", data.train.is_some()),
        ("test", data.test.is_some()),
        ("split", data.split != SplitKind::Official),
        ("rgb", data.rgb),
        ("augment", data.augment != Augment::default()),
    ];
    let keys = keys.into_iter().filter(move |(_, there)| rows && *there);
    let words = "is of no use: the learner takes the rows as their file has them, and divides them itself\nleave it out";
    keys.map(|(key, _)| (key, words.to_owned()))
}

/// What is wrong with data that their name says to be a table.
fn of_table(
    house: &House,
    learner: Option<&dyn Learner>,
    data: &DataSpec,
) -> Vec<(&'static str, String)> {
    let mut wrong = Vec::new();
    if !data.is_table() {
        return wrong;
    }
    if learner.is_some_and(|learner| !learner.takes_table(data)) {
        let others = learners(house, |learner| learner.takes_table(data));
        wrong.push((
            "dataset",
            format!(
                "is a table of numbers, and the learner learns from images\nlearners that take tables: {others}"
            ),
        ));
    }
    let keys = [
        ("resize", data.resize.is_some()),
        ("rgb", data.rgb),
        ("augment", data.augment != Augment::default()),
    ];
    let keys = keys.into_iter().filter(|(_, there)| *there);
    let words = "is for images, and the data are a table, whose rows have no sides\nleave it out";
    wrong.extend(keys.map(|(key, _)| (key, words.to_owned())));
    wrong
}

/// What is wrong with points that a learner would have to draw.
fn of_drawn(
    house: &House,
    learner: Option<&dyn Learner>,
    data: &DataSpec,
) -> Option<(&'static str, String)> {
    let wrong = data.is_drawn() && learner.is_some_and(|learner| !learner.draws());
    wrong.then(|| {
        let others = learners(house, |learner| learner.draws());
        let problem = format!("= \"{}\" is for the learner {others} alone", data.dataset);
        ("dataset", problem)
    })
}

/// The kinds of some learners.
fn learners(house: &House, are: impl Fn(&dyn Learner) -> bool) -> String {
    let some = house.learners.iter().filter(|learner| are(**learner));
    let kinds: Vec<String> = some.map(|l| format!("\"{}\"", l.kind())).collect();
    kinds.join(", ")
}

/// Whether there are at least two, all different.
fn distinct(classes: &[u16]) -> bool {
    let unique: BTreeSet<_> = classes.iter().collect();
    classes.len() >= 2 && unique.len() == classes.len()
}
