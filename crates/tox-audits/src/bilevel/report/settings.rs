//! What a study did differently from the paper, and what it chose where the paper says nothing.

use super::cells::Cell;
use tox_bilevel::config::{Best, BilevelConfig, Objective, SyntheticConfig, Victim};
use tox_data::spec::DataSpec;
use tox_report::settings::{Difference, Differences, data, leaves};
use tox_study::spec::TrialSpec;

/// What the paper says of a key for a cell; `None` where it says nothing. What it says of its data sets
/// is not said of others.
fn said(key: &str, spec: &TrialSpec, net: bool) -> Option<String> {
    let (cifar, fashion) = match spec.data.dataset.as_str() {
        "cifar10" => (true, false),
        "fashion-mnist" => (false, true),
        _ => (false, false),
    };
    let known = cifar || fashion || spec.data.dataset == "mnist";
    let steps = match (net, cifar, fashion) {
        (false, false, false) => 140,
        (false, false, true) => 160,
        (false, true, _) => 500,
        (true, false, false) => 700,
        (true, _, _) => 800,
    };
    let of_data = [
        "data.valid",
        "data.classes",
        "learner.range",
        "learner.hidden",
        "learner.inner.steps",
    ];
    if !known && of_data.contains(&key) {
        return None;
    }
    let train = spec.data.train.unwrap_or(0);
    let value = match key {
        "data.dataset" if known => spec.data.dataset.clone(),
        "data.dataset" => "mnist, fashion-mnist, cifar10".to_owned(),
        "data.train" => "10000".to_owned(),
        "data.valid" => (train / if cifar { 5 } else { 10 }).to_string(),
        "data.split" => "random".to_owned(),
        "data.classes" => match (cifar, fashion) {
            (true, _) => "[0,6]".to_owned(),
            (_, true) => "[1,2]".to_owned(),
            _ => "[0,8]".to_owned(),
        },
        "data.resize" => "as it is".to_owned(),
        "data.rgb" => "false".to_owned(),
        "learner.range" => if cifar { "symmetric" } else { "unit" }.to_owned(),
        "learner.hidden" if net => if cifar { "[64,32]" } else { "[32,8]" }.to_owned(),
        "learner.inner.steps" => steps.to_string(),
        "learner.lambda.folds" => "5".to_owned(),
        "threat.batch" => "350".to_owned(),
        "threat.batches" => "5".to_owned(),
        _ => return None,
    };
    Some(value)
}

/// Whether a cell's victim reads a key; the others have a value too, but it changes nothing.
fn read(key: &str, config: &BilevelConfig) -> bool {
    let victim = config.victim;
    match key {
        "learner.leak" | "learner.bias_start" => !config.hidden.is_empty(),
        "learner.lambda.large" => victim == Victim::Large,
        "learner.lambda.folds" => victim == Victim::CrossValidated,
        "learner.lambda.grid" => {
            victim == Victim::CrossValidated
                || config.lambda.curve
                || (victim == Victim::Learned && config.lambda.objective != Objective::Gradient)
        }
        "learner.lambda.start" | "learner.lambda.lr" | "learner.lambda.objective" => {
            victim == Victim::Learned
        }
        "learner.lambda.min" | "learner.lambda.max" => {
            matches!(victim, Victim::CrossValidated | Victim::Learned)
        }
        key if key.starts_with("learner.lambda.") => victim != Victim::None,
        _ => true,
    }
}

/// The keys of a cell's spec that it reads, with its values.
fn ours(cell: &Cell) -> Vec<(String, String)> {
    let mut out = data(&cell.spec().data);
    let learner = leaves("learner", cell.config);
    out.extend(
        learner
            .into_iter()
            .filter(|(key, _)| read(key, cell.config)),
    );
    if let Some(attack) = cell.attack() {
        out.extend(leaves("threat", &attack));
    }
    out
}

/// Settings in which some planned trial differs from what the paper says.
pub fn differences(cells: &[Cell]) -> Vec<Difference> {
    let mut rows = Differences::default();
    for cell in cells {
        let net = !cell.config.hidden.is_empty();
        for (key, ours) in ours(cell) {
            if let Some(paper) = said(&key, cell.spec(), net) {
                rows.add(key, ours, paper, &cell.name);
            }
        }
        let seeds = cell.trials.len().to_string();
        rows.add("repetitions".to_owned(), seeds, "10".to_owned(), &cell.name);
    }
    rows.finish(cells.len())
}

/// Keys that say what is compared, and so are no choice.
const COMPARED: [&str; 4] = [
    "learner.victim",
    "learner.penalty",
    "learner.lambda.groups",
    "learner.hidden",
];

/// The learner's and the adversary's settings of which the paper says nothing.
pub fn choices(cells: &[Cell]) -> Vec<Difference> {
    let mut rows = Differences::default();
    for cell in cells {
        let net = !cell.config.hidden.is_empty();
        for (key, ours) in ours(cell) {
            let open = !key.starts_with("data.") && !COMPARED.contains(&key.as_str());
            if open && said(&key, cell.spec(), net).is_none() {
                rows.add(key, ours, "not stated".to_owned(), &cell.name);
            }
        }
    }
    rows.finish(cells.len())
}

/// Keys of the synthetic example of which the paper says nothing.
const OPEN: [&str; 3] = ["hyperiterations", "lambdas", "grid"];

/// Settings in which the synthetic example differs from the paper's, and those of which it says
/// nothing; `cells` are names, data and numbers.
pub fn synthetic<'a>(
    cells: &[(&'a str, &'a DataSpec, &'a SyntheticConfig)],
) -> (Vec<Difference>, Vec<Difference>) {
    let (mut differ, mut chosen) = (Differences::default(), Differences::default());
    for (name, data, config) in cells {
        for (key, ours) in [("data.train", data.train), ("data.valid", Some(data.valid))] {
            let ours = ours.map_or("all".to_owned(), |n| n.to_string());
            differ.add(key.to_owned(), ours, "64".to_owned(), name);
        }
        // The defaults are the paper's numbers.
        let paper = leaves("learner", &SyntheticConfig::default());
        for (key, ours) in leaves("learner", *config) {
            let said = paper.iter().find(|(said, _)| *said == key);
            let open = OPEN.iter().any(|o| key.strip_prefix("learner.") == Some(o));
            match said {
                Some((_, paper)) if !open => differ.add(key, ours, paper.clone(), name),
                _ => chosen.add(key, ours, "not stated".to_owned(), name),
            }
        }
        if config.best == Best::Loss {
            differ.add(
                "learner.best".to_owned(),
                "loss".to_owned(),
                "error".to_owned(),
                name,
            );
        }
    }
    (differ.finish(cells.len()), chosen.finish(cells.len()))
}
