//! What an audit of somebody's learner says.

use super::*;

#[test]
fn a_learner_is_audited_in_any_language() {
    let dir = tempfile::tempdir().unwrap();
    let keys = format!(
        "{}\nretrain = true\ndefault = {{ shrink = 0.0 }}\nversion = [\"echo\", \"1.2\"]",
        own(&[])
    );
    recipe(dir.path(), &keys, CELLS);
    let both = ["run", "own.toml", "--out", "out", "--allow-commands"];
    done(dir.path(), &both);
    let out = dir.path().join("out");
    let records = records(&out);
    assert_eq!(records.len(), 6);
    let of = |cell: &str, seed: u64| {
        let mut found = records.iter().filter(|r| r.0 == cell && r.1 == seed);
        &found.next().unwrap().2
    };
    for seed in [0, 1] {
        // A budget of zero is the clean trial, bit for bit.
        assert_eq!(of("clean", seed), of("zero", seed));
        let (clean, rlf) = (of("clean", seed), of("rlf", seed));
        assert!(clean["poison"].is_null() && clean["kept"].is_null());
        assert_eq!(clean["version"], "1.2");
        assert!(
            clean["as_other_seed"].as_bool().unwrap(),
            "it draws nothing"
        );
        let error = |o: &Value, of: &str| o[of]["error"].as_f64().unwrap();
        // Class means stand 40 % of flips rather well, and its claim is by flipped rows.
        assert!(error(clean, "found") < 20.0, "{clean}");
        assert!(rlf["found"]["claimed_error"].as_f64().unwrap() > error(rlf, "found") + 10.0);
        for part in ["kept", "default"] {
            assert!(error(rlf, part) >= error(clean, "found"), "{rlf}");
        }
        // The best of its space is one of its candidates, none better than what it lists.
        let candidates = rlf["found"]["candidates"].as_array().unwrap();
        assert_eq!(candidates.len(), 3);
        assert_eq!(rlf["kept"]["choice"], clean["found"]["choice"]);
        assert_eq!(rlf["poison"]["check"]["flipped"], 104);
    }
    let page = fs::read_to_string(out.join("report.html")).unwrap();
    for word in [
        "Claim and truth",
        "Search and training",
        "gave the same results: neither the data nor the learner depend on the seed",
    ] {
        assert!(page.contains(word), "{word}");
    }
    let wide = fs::read_to_string(out.join("wide.csv")).unwrap();
    assert_eq!(wide.lines().count(), 7);
    let tidy = fs::read_to_string(out.join("results.csv")).unwrap();
    assert!(tidy.contains("error of the clean choice"), "{tidy}");
    let said = done(dir.path(), &VERIFY);
    assert!(said.contains("6 the same"), "{said}");
}

#[test]
fn imports_that_no_file_lists_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    write("mine.py", "import helper\n");
    write("helper.py", "");
    recipe(dir.path(), "python = \"mine:learn\"", CLEAN);
    let note = "imports helper.py, which `files` does not list";
    for args in [&["plan", "own.toml"][..], &["trust", "own.toml"]] {
        let ran = toxscreen(dir.path(), args);
        let said = text(&ran.stderr);
        assert!(ran.status.success() && said.contains(note), "{said}");
    }
    recipe(
        dir.path(),
        "python = \"mine:learn\"\nfiles = [\"helper.py\"]",
        CLEAN,
    );
    let ran = toxscreen(dir.path(), &["plan", "own.toml"]);
    assert!(!text(&ran.stderr).contains("does not list"));
}

/// A file that is gone is no fault of a record; one that changed is bad.
#[test]
fn a_learner_that_is_gone_cannot_be_told() {
    let dir = tempfile::tempdir().unwrap();
    let exe = learner();
    let own = dir.path().join("own-learner");
    fs::copy(&exe, &own).unwrap();
    recipe(dir.path(), &command_of(&["./own-learner"]), CLEAN);
    done(dir.path(), &RUN);
    assert!(done(dir.path(), &VERIFY).contains("0 bad; 1 the same"));
    let told = |code: i32, parts: &[&str]| {
        let ran = toxscreen(dir.path(), &VERIFY);
        let said = text(&ran.stdout);
        assert_eq!(ran.status.code(), Some(code), "{said}");
        for part in parts.iter().chain(&["own-learner"]) {
            assert!(said.contains(part), "{part}: {said}");
        }
    };
    fs::rename(&own, dir.path().join("away")).unwrap();
    told(4, &["0 bad", "1 that cannot be told", "No such file"]);
    fs::write(&own, "other").unwrap();
    told(1, &["FAILED", "changed: its hash is"]);
}

#[test]
fn a_recipe_with_a_program_is_not_run_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let exe = learner();
    fs::copy(&exe, dir.path().join("own-learner")).unwrap();
    recipe(dir.path(), &command_of(&["./own-learner"]), CLEAN);
    let run = || toxscreen(dir.path(), &RUN[..6]);
    let refused = run();
    assert_eq!(refused.status.code(), Some(2));
    let said = text(&refused.stderr);
    assert!(
        said.contains("./own-learner") && said.contains("toxscreen trust"),
        "{said}"
    );
    assert!(!dir.path().join("out").exists());
    let plan = toxscreen(dir.path(), &["plan", "own.toml"]);
    assert!(text(&plan.stdout).contains("it starts: ./own-learner"));
    done(dir.path(), &["trust", "own.toml"]);
    assert!(run().status.success());
    // Another content of the same name is not what was trusted, and not the same trial.
    let before = fs::read_to_string(dir.path().join("out/plan.jsonl")).unwrap();
    let mut bytes = fs::read(&exe).unwrap();
    bytes.push(0);
    fs::write(dir.path().join("own-learner"), bytes).unwrap();
    assert_eq!(run().status.code(), Some(2));
    let mut anew = RUN;
    anew[5] = "again";
    done(dir.path(), &anew);
    let after = fs::read_to_string(dir.path().join("again/plan.jsonl")).unwrap();
    assert_ne!(before, after);
    done(dir.path(), &["trust", "own.toml", "--revoke"]);
    assert_eq!(run().status.code(), Some(2));
}

#[test]
fn what_does_not_repeat_itself_has_a_tolerance() {
    let dir = tempfile::tempdir().unwrap();
    let keys = format!("{}\ndeterministic = false\ntolerance = 2.5", own(&[]));
    recipe(dir.path(), &keys, CLEAN);
    done(dir.path(), &RUN);
    done(dir.path(), &VERIFY);
}

/// Every data threat and defence that asks for no more than the rows applies.
#[test]
fn threats_and_defences_apply() {
    let dir = tempfile::tempdir().unwrap();
    let cells = "[[cell]]\nlabel = \"clean\"\n\
        [[cell]]\nlabel = \"noise\"\nthreat = { kind = \"noise\", budget = 0.2 }\n\
        [[cell]]\nlabel = \"optimal\"\nthreat = { kind = \"bilevel-transfer\", budget = 0.1, hyperiterations = 3 }\n\
        [[cell]]\nlabel = \"knn\"\nthreat = { kind = \"rlf\", budget = 0.1 }\ndefence = \"knn\"\n";
    recipe(dir.path(), &own(&[]), cells);
    done(dir.path(), &RUN);
    let records = records(&dir.path().join("out"));
    let optimal = &records.iter().find(|r| r.0 == "optimal").unwrap().2["poison"];
    assert_eq!(optimal["check"]["points"], 26, "{optimal}");
    let transferred = &optimal["transferred"];
    assert_eq!(transferred["victim"], "logistic regression");
    let error = |key: &str| transferred[key].as_f64().unwrap();
    assert!(error("error") > error("clean_error"), "{transferred}");
    let page = fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert!(page.contains("Transferred: the poison of optimal"));
}

/// A search space is handed over, with bad ops in it that nobody marks, and screened where that is asked for.
#[test]
fn a_space_is_poisoned_and_screened() {
    let dir = tempfile::tempdir().unwrap();
    let loot = dir.path().join("loot");
    fs::create_dir(&loot).unwrap();
    let space = "[[op]]\nop = \"conv\"\nk = 3\n\n[[op]]\nop = \"sep\"\nk = 3\n";
    fs::write(dir.path().join("space.toml"), space).unwrap();
    let keys = format!(
        "{}\nspace = \"space.toml\"\ncontrol = false",
        behind(&format!("cp space.json {}/$$", loot.display()))
    );
    let cells = "[[cell]]\nlabel = \"clean\"\n\
        [[cell]]\nlabel = \"bad\"\npoison = \"P1\"\nq = 3\n\
        [[cell]]\nlabel = \"bad\"\nvariant = \"screened\"\npoison = \"P1\"\nq = 3\ndefence = \"screen\"\n";
    recipe(dir.path(), &keys, cells);
    done(dir.path(), &[&RUN[..], &["--jobs", "1"]].concat());
    let mut handed: Vec<Value> = Vec::new();
    for entry in fs::read_dir(&loot).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        handed.push(serde_json::from_str(&text).unwrap());
    }
    handed.sort_by_key(|space| space["ops"].as_array().unwrap().len());
    // The screened space is the clean one, and no learner is asked twice.
    assert_eq!(handed.len(), 2, "{handed:?}");
    let clean =
        serde_json::json!([{"op": "conv", "k": 3, "count": 1}, {"op": "sep", "k": 3, "count": 1}]);
    assert_eq!(handed[0]["ops"], clean);
    assert_eq!(
        handed[1]["ops"][2],
        serde_json::json!({"op": "identity", "count": 3})
    );
    let records = records(&dir.path().join("out"));
    assert_eq!(records[2].2["screened"][0]["op"], "identity");
    assert_eq!(records[2].2["found"], records[0].2["found"]);
}

/// The quickstart of the guide, by whatever Python is here.
#[test]
fn the_quickstart_runs_where_there_is_numpy() {
    let numpy = Command::new("python3")
        .args(["-c", "import numpy"])
        .output();
    if !numpy.is_ok_and(|found| found.status.success()) {
        println!("NOT RUN: there is no python3 with numpy here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let recipe =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/external/quickstart.toml");
    let mut run = RUN;
    run[1] = recipe.to_str().unwrap();
    done(dir.path(), &run);
    let records = records(&dir.path().join("out"));
    let error = |cell: &str| {
        let found = records.iter().find(|r| r.0 == cell).unwrap();
        found.2["found"]["error"].as_f64().unwrap()
    };
    assert!(error("clean") < 15.0 && error("rlf-50") > error("clean"));
}
