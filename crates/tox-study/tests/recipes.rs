//! What a recipe means to the engine, which knows no learner, threat or defence of its own.

#![allow(clippy::unwrap_used)]

#[path = "../fake/house.rs"]
mod house;

use house::{Config, house};
use tox_study::recipe::{Overrides, RecipeError, Setting, Study, schema};
use tox_study::spec::Surface;

const SMALL: &str = r#"
name = "small"
seeds = [0, 1]
[data]
dataset = "gaussians"
valid = 10
[learner]
kind = "fake"
chain.rate = 0.5
[threat.data]
kind = "flips"
q = 3
[[cell]]
label = "flips"
[[cell]]
label = "both"
poison = "P1"
q = 6
threat.data.q = 4
defence = ["screen", { kind = "knn", q = 2 }]
[[cell]]
label = "clean"
seeds = [7]
threat = { kind = "none" }
learner.steps = 9
defence.knn.q = 1
"#;

fn parse(text: &str, set: &[&str]) -> Result<Study, RecipeError> {
    let set = set.iter().map(|s| Setting::parse(s));
    let overrides = Overrides {
        set: set.collect::<Result<_, _>>()?,
        ..Overrides::default()
    };
    Study::parse(&house(), "r.toml", text, &overrides)
}

fn refusal(text: &str, set: &[&str]) -> String {
    let error = parse(text, set).unwrap_err();
    match error.hint() {
        Some(hint) => format!("{error} | {hint}"),
        None => error.to_string(),
    }
}

#[test]
fn a_cell_has_a_threat_and_defences_for_each_surface() {
    let study = parse(SMALL, &[]).unwrap();
    let told: Vec<String> = (study.trials.iter())
        .map(|t| {
            let kinds = |s| {
                t.spec
                    .defence
                    .get(s)
                    .iter()
                    .map(|d| d.kind.as_str())
                    .collect::<Vec<_>>()
            };
            let q = t
                .spec
                .threat
                .data
                .as_ref()
                .and_then(|p| p.get("q")?.as_u64());
            let steps = t.spec.learner.read::<Config>().unwrap().steps;
            let (space, data) = (kinds(Surface::Space), kinds(Surface::Data));
            let threats = house().threats_of(&t.spec);
            format!(
                "{} {} {threats} {q:?} {space:?} {data:?} {steps}",
                t.cell(),
                t.spec.seed
            )
        })
        .collect();
    let expected = [
        "flips 0 FLIPS Some(3) [] [] 5",
        "flips 1 FLIPS Some(3) [] [] 5",
        "both 0 OPS + FLIPS Some(4) [\"screen\"] [\"knn\"] 5",
        "both 1 OPS + FLIPS Some(4) [\"screen\"] [\"knn\"] 5",
        "clean 7 none None [] [\"knn\"] 9",
    ];
    assert_eq!(told, expected);
}

#[test]
fn the_resolved_recipe_means_the_same_trials() {
    let study = parse(SMALL, &["learner.steps=3"]).unwrap();
    let text = study.to_toml();
    assert!(text.contains("course = \"quick\""), "{text}");
    assert_eq!(parse(&text, &[]).unwrap(), study);
    // Words that no trial depends on change no id.
    let titled = parse(&format!("title = \"t\"\n{SMALL}"), &["learner.steps=3"]).unwrap();
    assert_eq!(titled.trials, study.trials);
}

#[test]
fn refusals_name_the_place_the_key_and_the_remedy() {
    let with = |from: &str, to: &str| {
        assert!(SMALL.contains(from), "{from}");
        refusal(&SMALL.replacen(from, to, 1), &[])
    };
    let cases = [
        with("\"fake\"", "\"fakes\""),
        with("rate", "rat"),
        with("learner.steps = 9", "learner.steps = 0"),
        with("learner.steps = 9", "learner.kind = \"other\""),
        with("\"flips\"\nq", "\"flip\"\nq"),
        with("threat.data.q = 4", "threat.data.kind = \"ops\""),
        with("threat.data.q = 4", "threat.space.kind = \"ops\""),
        with("threat.data.q = 4", "threat.inputs.kind = \"evasion\""),
        with("poison = \"P1\"\n", ""),
        with("q = 6\n", ""),
        with("\"screen\"", "\"scren\""),
        with("defence.knn.q = 1", "defence.knn.q = -1"),
        with("seeds = [7]", "seeds = [7, 7]"),
        refusal(SMALL, &["learner.step=3"]),
    ];
    insta::assert_snapshot!(cases.join("\n"));
}

#[test]
fn the_schema_has_what_is_registered() {
    let schema = schema(&house());
    for word in ["\"fake\"", "\"flips\"", "\"knn\"", "\"steps\""] {
        assert!(schema.contains(word), "{word}");
    }
}
