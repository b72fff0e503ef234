//! Studies of compressions and of tables of sub-networks.

use super::*;

fn recipe() -> String {
    recipes::head("tiny", &[1]) + &recipes::data("digits", [200, 64, 64]) + recipes::EVASION
}

fn study(recipe: &str) -> (tempfile::TempDir, Vec<Value>) {
    let dir = folder("recipe.toml", recipe);
    let (code, _, stderr) = ended(dir.path(), &["run", "recipe.toml", "--out", "run"]);
    assert_eq!(code, 0, "{stderr}");
    let records = records(&dir.path().join("run"));
    (dir, records)
}

#[test]
fn a_study_of_rc_nas_runs_and_is_verified() {
    let recipe = format!(
        r#"{}
[learner]
kind = "rc-nas"
teacher = "d2,1,1-w2,1,1-b4"
budget = {{ share = 0.8 }}
[learner.search]
evaluations = 3
fine_tune = {{ steps = 2 }}
meta = {{ rounds = 2, tasks = 1, samples = 2 }}
space = {{ robust = "as-teacher" }}
[learner.meta]
budgets = [{{ share = 0.9 }}]
[learner.candidate]
images = 32
training = {{ epochs = 1, batch = 32, validation = {{ images = 0 }} }}
[learner.judge]
attacks = ["fgsm"]
images = 32
{}{}"#,
        recipe(),
        recipes::cell("rc-nas", ""),
        recipes::cell("random", "learner.search.method = \"random\"\n"),
    );
    let (dir, records) = study(&recipe);
    assert_eq!(records.len(), 2);
    for record in &records {
        let outcome = &record["outcome"];
        assert_eq!(outcome["kind"], "rc-nas");
        assert_eq!(outcome["judged"].as_array().unwrap().len(), 2);
        let meta = record["spec"]["cell"] == "rc-nas";
        assert_eq!(outcome["search"]["meta"].is_null(), !meta);
    }
    let (code, stdout, stderr) = ended(dir.path(), &["verify", "run"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
}

#[test]
fn a_table_has_a_row_for_every_sub_network() {
    let learner = recipes::sub_networks("d2,1,1-w1,1,1-b2", "", 32);
    let recipe = recipe() + &learner + &recipes::cell("all", "");
    let (_dir, records) = study(&recipe);
    let outcome = &records[0]["outcome"];
    let rows = outcome["rows"].as_array().unwrap();
    // Two depths of the first stage, and each stage with or without a robust block.
    assert_eq!(rows.len(), 16, "{:?}", outcome["failed"]);
    let mut shapes: Vec<&str> = rows.iter().map(|r| r["shape"].as_str().unwrap()).collect();
    shapes.sort_unstable();
    shapes.dedup();
    assert_eq!(shapes.len(), 16);
    assert_eq!(outcome["attacks"].as_array().unwrap().len(), 2);
    for row in rows {
        let clean = row["clean"].as_f64().unwrap();
        let robust = row["robust"].as_array().unwrap();
        assert_eq!(robust.len(), 2);
        assert!(robust.iter().all(|r| r.as_f64().unwrap() <= clean), "{row}");
    }
}
