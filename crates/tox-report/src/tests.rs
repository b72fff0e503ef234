//! The standard report of a learner that is nobody's.

use crate::columns::{Field, Table};
use crate::{Made, ReportError, Reporter, Reports, run::Run, run::Types};
use schemars::{Schema, SchemaGenerator};
use serde_json::json;
use std::path::Path;
use tox_study::house::{House, Learner, Measure, Measures, Threat};
use tox_study::part::Part;
use tox_study::recipe::{Keys, RecipeError};
use tox_study::record::{Provenance, Record, Timing};
use tox_study::spec::{Surface, TrialSpec};
use tox_study::trial::{Failure, Finished, TrialContext};

struct Coin;

impl Learner for Coin {
    fn kind(&self) -> &'static str {
        "coin"
    }

    fn schema(&self, _generator: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }

    fn read(&self, _keys: &Keys<'_>) -> Result<Part, RecipeError> {
        Ok(Part::new("coin", &json!({})))
    }

    fn surface(&self, _config: &Part, _surface: Surface) -> Result<(), String> {
        Ok(())
    }

    fn title(&self, _config: &Part) -> String {
        "a coin".to_owned()
    }

    fn run(&self, _trial: &TrialSpec, _context: TrialContext<'_>) -> Result<Finished, Failure> {
        Err(Failure::usage("it is not tossed".to_owned()))
    }

    fn measures(&self, _trial: &TrialSpec, outcome: &Part) -> Measures {
        let of = |key: &str| outcome.get(key)?.as_f64();
        let robust = of("robust").map(|a| ("pgd20".to_owned(), a));
        let levels = [0, 10].map(|points| Measure {
            metric: "test_error",
            level: points.to_string(),
            value: of("error").unwrap_or(0.0) + f64::from(points),
            unit: "%",
        });
        Measures {
            clean_error: of("error"),
            claim: of("claim"),
            robust: robust.into_iter().collect(),
            evaluations: Some(3),
            found: Some("<heads>".to_owned()),
            others: levels.to_vec(),
            doubts: of("doubt")
                .map(|_| "it is bent".to_owned())
                .into_iter()
                .collect(),
            ..Measures::default()
        }
    }
}

struct Flips;

impl Threat for Flips {
    fn kind(&self) -> &'static str {
        "flips"
    }

    fn surface(&self) -> Surface {
        Surface::Data
    }

    fn schema(&self, _generator: &mut SchemaGenerator) -> Schema {
        Schema::default()
    }

    fn read(&self, _keys: &Keys<'_>) -> Result<Part, RecipeError> {
        Ok(Part::new("flips", &json!({})))
    }

    fn title(&self, config: &Part) -> String {
        format!("flips {}", self.budget(config).unwrap_or(0.0))
    }

    fn budget(&self, config: &Part) -> Option<f64> {
        config.get("budget")?.as_f64()
    }
}

/// A report that knows of no defence.
struct Own;

impl Reporter for Own {
    fn kind(&self) -> &'static str {
        "coin"
    }

    fn types(&self) -> Types {
        Types::of::<serde_json::Value, serde_json::Value>()
    }

    fn foreign(&self, spec: &TrialSpec) -> bool {
        !spec.defence.is_none()
    }

    fn make(&self, _house: &House, run: &Run) -> Result<Made, ReportError> {
        let page = ("own.html", "{% extends \"frame.html\" %}");
        let none = crate::context! {};
        Ok(Made {
            wide: "trial\n".to_owned(),
            html: crate::page::render(page, run, &[], &[], none)?,
            figures: Vec::new(),
        })
    }

    fn headline(&self, _house: &House, _run: &Run) -> String {
        "own\n".to_owned()
    }
}

const HOUSE: House = House {
    learners: &[&Coin],
    threats: &[&Flips],
    defences: &[],
    poison_set: "bad-ops",
};
const STANDARD: Reports = Reports {
    house: HOUSE,
    reporters: &[],
};
const WITH_OWN: Reports = Reports {
    house: HOUSE,
    reporters: &[&Own],
};

fn spec(cell: &str, budget: f64, defended: bool, seed: u64) -> TrialSpec {
    let mut spec: TrialSpec = serde_json::from_value(json!({
        "version": 3,
        "cell": cell,
        "data": {"dataset": "digits", "valid": 10, "augment": {"crop": 0, "flip": false}},
        "learner": {"kind": "coin"},
        "seed": seed,
    }))
    .unwrap();
    if budget > 0.0 {
        spec.threat.data = Some(Part::new("flips", &json!({ "budget": budget })));
    }
    if defended {
        spec.defence.data.push(Part::new("sieve", &json!({})));
    }
    spec
}

/// A clean cell, two that are poisoned and one that is defended, two seeds each.
fn folder(dir: &Path) {
    let cells = [
        ("clean", 0.0, false, 10.0),
        ("a little", 0.1, false, 15.0),
        ("more", 0.2, false, 20.0),
        ("sieved", 0.2, true, 12.0),
    ];
    let mut plan = String::new();
    for (cell, budget, defended, error) in cells {
        for seed in 0..2u64 {
            let spec = spec(cell, budget, defended, seed);
            let id = tox_study::plan::trial_id(&spec);
            plan += &format!("{}\n", json!({"trial": id, "spec": spec}));
            let mut outcome = json!({
                "error": error + seed as f64 + budget * seed as f64,
                "claim": 9.0,
                "robust": 40.0,
            });
            if cell == "more" {
                outcome["doubt"] = json!(1);
            }
            let provenance: Provenance = serde_json::from_value(json!({
                "toxscreen": "0.1.0", "data_hash": "ab".repeat(32), "device": "cpu", "threads": 1,
                "platform": "linux x86_64", "simd": "plain",
            }))
            .unwrap();
            let timing = Timing {
                started_unix: 1,
                seconds: 1.0,
                resumed: 0,
                parts: Default::default(),
            };
            let outcome = Part::new("coin", &outcome);
            let record = Record::seal(spec, outcome, provenance, timing).unwrap();
            let trial = dir.join("trials").join(&id);
            std::fs::create_dir_all(&trial).unwrap();
            std::fs::write(trial.join("record.json"), record.to_json()).unwrap();
        }
    }
    std::fs::write(dir.join("plan.jsonl"), plan).unwrap();
    std::fs::write(dir.join("study.toml"), "name = \"coins\"\n").unwrap();
}

#[test]
fn a_learner_without_a_report_has_the_standard_one() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path());
    let paths = crate::write(&STANDARD, dir.path()).unwrap();
    assert_eq!(paths.wide, None);
    assert_eq!(paths.figures.len(), 2, "error by budget, error by level");
    let html = std::fs::read_to_string(&paths.html).unwrap();
    for part in [
        "more (flips 0.2): test error rises by 10.10",
        "Damage,<br>points",
        "&lt;heads&gt;",
        "it is bent",
        "pgd20",
        "2 of 2 trials are doubtful",
        "Defended above<br>undefended, points",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    let csv = std::fs::read_to_string(&paths.csv).unwrap();
    let row = "more,,1,digits,a coin,none,0,flips,0.2,none,0,none,clean_error,,21.2,%";
    assert!(csv.lines().any(|line| line.ends_with(row)), "{csv}");
    // Error, claim, attack, evaluations, two levels.
    assert_eq!(csv.lines().count(), 1 + 8 * 6);
    let headline = crate::headline(&STANDARD, dir.path()).unwrap();
    assert!(headline.starts_with("coins\ncell "), "{headline}");
    assert!(headline.contains("flips 0.1"), "{headline}");
    assert_eq!(crate::check(&STANDARD, dir.path()).unwrap(), []);
}

/// Errors of a clean and a poisoned cell by seed, the error of guessing, and whether data differ by seed.
fn gated(dir: &Path, errors: [[f64; 3]; 2], chance: Option<f64>, random: bool) -> Vec<String> {
    let mut plan = String::new();
    for ((cell, budget), errors) in [("clean", 0.0), ("flipped", 0.1)].into_iter().zip(errors) {
        for (seed, error) in errors.into_iter().enumerate() {
            let spec = spec(cell, budget, false, seed as u64);
            let id = tox_study::plan::trial_id(&spec);
            plan += &format!("{}\n", json!({"trial": id, "spec": spec}));
            let hash = if random {
                seed.to_string()
            } else {
                "a".to_owned()
            };
            let mut provenance = json!({
                "toxscreen": "0.1.0", "data_hash": hash, "device": "cpu", "threads": 1,
                "platform": "linux x86_64", "simd": "plain",
            });
            if let Some(chance) = chance {
                provenance["chance_error"] = json!(chance);
            }
            let provenance: Provenance = serde_json::from_value(provenance).unwrap();
            let timing = Timing {
                started_unix: 1 + seed as u64,
                seconds: 1.0,
                resumed: 0,
                parts: Default::default(),
            };
            let outcome = Part::new(
                "coin",
                &json!({"error": error, "claim": 9.0, "robust": 40.0}),
            );
            let record = Record::seal(spec, outcome, provenance, timing).unwrap();
            let trial = dir.join("trials").join(&id);
            std::fs::create_dir_all(&trial).unwrap();
            std::fs::write(trial.join("record.json"), record.to_json()).unwrap();
        }
    }
    std::fs::write(dir.join("plan.jsonl"), plan).unwrap();
    let study = "name = \"coins\"\n[gate]\nmild = 'damage(\"flipped\") <= 2'\nright = 'robust(\"clean\") >= 30'\n";
    std::fs::write(dir.join("study.toml"), study).unwrap();
    let told = crate::gates::told(&STANDARD, dir).unwrap();
    told.gates.iter().map(|gate| gate.sentence()).collect()
}

#[test]
fn a_learner_that_guesses_has_no_damage_to_hold() {
    let dir = tempfile::tempdir().unwrap();
    let guesses = [[50.0, 49.0, 51.0], [50.5, 49.5, 51.5]];
    let said = gated(dir.path(), guesses, Some(50.0), true);
    for (said, gate) in said.iter().zip(["mild", "right"]) {
        assert!(
            said.starts_with(gate) && said.contains(": cannot tell, "),
            "{said}"
        );
        assert!(
            said.contains("50.00 % of always answering the most frequent class"),
            "{said}"
        );
    }
    let paths = crate::write(&STANDARD, dir.path()).unwrap();
    let html = std::fs::read_to_string(&paths.html).unwrap();
    assert!(
        html.contains("is not known to have learned anything"),
        "{html}"
    );
    // Where nobody wrote down what guessing errs in, that is said; a learner that learns is believed.
    let said = gated(dir.path(), guesses, None, true);
    assert!(
        said[0].contains(": held, ") && said[0].contains("do not say what guessing"),
        "{}",
        said[0]
    );
    let learns = [[10.0, 11.0, 12.0], [10.5, 11.0, 12.5]];
    let said = gated(dir.path(), learns, Some(50.0), true);
    assert!(
        said[0].contains(": held, ") && !said[0].contains("guessing"),
        "{}",
        said[0]
    );
}

#[test]
fn seeds_that_change_nothing_are_one_observation() {
    let dir = tempfile::tempdir().unwrap();
    let same = [[10.0; 3], [11.0; 3]];
    let said = gated(dir.path(), same, Some(50.0), false);
    let why = "cannot tell, 1.00, and the 3 seeds gave the same results";
    assert!(said[0].contains(why), "{}", said[0]);
    let headline = crate::headline(&STANDARD, dir.path()).unwrap();
    assert!(
        headline.contains("flipped: the 3 seeds gave the same results"),
        "{headline}"
    );
    assert!(!headline.contains("± 0.00"), "{headline}");
    // Seeds that draw other data, or change the learner, measure anew, whatever they find.
    assert!(gated(dir.path(), same, Some(50.0), true)[0].contains(": held, 1.00 ± 0.00"));
    let none = [[10.0, 11.0, 12.0]; 2];
    assert!(gated(dir.path(), none, Some(50.0), false)[0].contains(": held, 0.00 ± 0.00"));
}

#[test]
fn what_a_report_of_its_own_knows_nothing_of_is_shown_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path());
    let paths = crate::write(&WITH_OWN, dir.path()).unwrap();
    let html = std::fs::read_to_string(&paths.html).unwrap();
    let sentence = "sieved (flips 0.2, behind sieve): test error rises by 2.10";
    assert!(html.contains(sentence), "{html}");
    assert!(
        !html.contains("more (flips"),
        "the report’s own cells are its own to tell"
    );
    let headline = crate::headline(&WITH_OWN, dir.path()).unwrap();
    assert!(
        headline.starts_with("own\n") && headline.contains("sieved"),
        "{headline}"
    );
    assert!(!headline.contains("a little"), "{headline}");
}

#[test]
fn columns_without_a_number_are_left_out_and_marks_are_shown() {
    let rows = [(1.0, "why <so>"), (2.0, "")];
    let table = || {
        Table::of("Some <numbers>", &rows)
            .column("Number", |r| Field::value(Some(r.0)).doubt(r.1))
            .short("number")
            .column("Nothing", |_| Field::value(None))
            .column("Left\nof it", |r| {
                Field::text("x").small(format!("{}\nbelow", r.0))
            })
            .group("Both")
            .table()
    };
    assert_eq!(table().columns(), 2);
    assert_eq!(table().terminal(), "number\n1.00\n2.00\n");
    let mut env = minijinja::Environment::new();
    env.add_filter("typeset", |text: &str| text.to_owned());
    env.add_template("parts.html", include_str!("templates/parts.html"))
        .unwrap();
    let page = "{% from \"parts.html\" import grid %}{{ grid(t) }}";
    env.add_template("page.html", page).unwrap();
    let page = env.get_template("page.html").unwrap();
    let html = page
        .render(crate::context! { t => table().value() })
        .unwrap();
    for part in [
        "<caption>Some &lt;numbers&gt;</caption>",
        "title=\"why &lt;so&gt;\">†</span>",
        "Left<br>of it",
        "<br><small> 1</small><br><small> below</small>",
        "colspan=\"1\" scope=\"colgroup\">Both",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
}
