//! What lies in a study's folder and does not belong there, and folders that cannot be used.

use super::{RECIPE, Restored, finished, replace, scene, toxscreen, trials};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tox_testkit::program::{Program, interrupt, silent};

#[test]
fn one_damaged_record_does_not_take_the_report_from_the_others() {
    let dir = finished();
    let at = dir.path();
    let record = trials(&at.join("s"))[2].join("record.json");
    replace(&record, "\"version\"", "\"versiom\"");
    let name = record.strip_prefix(at).unwrap().display().to_string();
    for words in ["run r.toml --out s", "report s"] {
        let said = toxscreen(at, words);
        said.must(
            1,
            &[
                &name,
                "delete the folder",
                "1/2",
                "2/2",
                "report   s/report.html",
            ],
        );
    }
    toxscreen(at, "run r.toml --out s").must(1, &["3 of 4 trials done"]);
    let page = fs::read_to_string(at.join("s/report.html")).unwrap();
    assert!(page.contains("its record cannot be read"));
    let status = toxscreen(at, "status s");
    status.must(0, &["damaged", &name]);
    let status: serde_json::Value =
        serde_json::from_str(&toxscreen(at, "status s --json").stdout).unwrap();
    let damaged = |cell: usize| status["cells"][cell]["damaged"].as_u64().unwrap();
    assert_eq!(damaged(0) + damaged(1), 1);
    // The remedy is one.
    fs::remove_dir_all(record.parent().unwrap()).unwrap();
    toxscreen(at, "run r.toml --out s").must(0, &["1 of them now"]);
    toxscreen(at, "verify s --no-rerun").must(0, &["0 bad"]);
}

#[test]
fn what_kills_left_is_removed() {
    let dir = finished();
    let study = dir.path().join("s");
    fs::create_dir_all(study.join("shared")).unwrap();
    let trial = trials(&study)[0].clone();
    let left = [
        study.join(".unfinished-study.toml-a1B2c3"),
        study.join("figures/.unfinished-x.svg-a1B2c3"),
        study.join("shared/.unfinished-x.npz-a1B2c3"),
        trial.join(".unfinished-record.json-a1B2c3"),
        trial.join("checkpoint.safetensors"),
        trial.join("failure.json"),
    ];
    left.iter()
        .for_each(|path| fs::write(path, "half").unwrap());
    toxscreen(dir.path(), "run r.toml --out s").must(0, &["0 of them now"]);
    for path in &left {
        assert!(!path.exists(), "{}", path.display());
    }
    assert!(trial.join("record.json").exists());
}

#[test]
fn a_folder_may_begin_with_a_dash() {
    let dir = scene(RECIPE);
    toxscreen(dir.path(), "run r.toml --out=-dash").must(0, &["4 of 4 trials done"]);
    toxscreen(dir.path(), "verify -- -dash").must(0, &["4 the same"]);
}

#[test]
fn folders_that_cannot_be_used_are_no_wrong_usage() {
    let dir = finished();
    let at = dir.path();
    fs::write(at.join("file"), "").unwrap();
    toxscreen(at, "run r.toml --out file/below").must(1, &["cannot create the folder", "--out"]);
    toxscreen(at, "status nowhere").must(2, &["no study.toml"]);
    // Trials whose study.toml is gone belong to nobody knows what.
    fs::remove_file(at.join("s/study.toml")).unwrap();
    toxscreen(at, "run r.toml --out s").must(2, &["no study.toml", "--out"]);
    assert_eq!(trials(&at.join("s")).len(), 4);
}

#[cfg(unix)]
#[test]
fn links_inside_of_a_study_are_refused() {
    use std::os::unix::fs::symlink;
    let made = Restored::finished();
    let study = made.again().join("s");
    let id = trials(&study)[0].file_name().unwrap().to_owned();
    let events = format!("trials/{}/events.jsonl", id.display());
    let whole = format!("trials/{}", id.display());
    for link in [&events, &whole, "figures", ".lock", "shared", "results.csv"] {
        let at = made.again();
        let (path, target) = (at.join("s").join(link), at.join("target"));
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            let _ = fs::remove_file(&path);
        }
        symlink(&target, &path).unwrap();
        for words in [
            "run r.toml --out s",
            "report s",
            "verify s --no-rerun",
            "status s",
        ] {
            toxscreen(at, words).must(1, &["symbolic link", &format!("s/{link}")]);
        }
        assert!(!target.exists(), "{link}");
    }
}

#[test]
fn an_edited_study_is_refused_as_a_recipe_too() {
    let dir = finished();
    let at = dir.path();
    replace(&at.join("s/study.toml"), "steps = 5", "steps = 6");
    let says = ["was changed after toxscreen wrote it", "edit your recipe"];
    toxscreen(at, "run s/study.toml --out other").must(2, &says);
    toxscreen(at, "run r.toml --out s").must(1, &says);
    // Without its first line it is a recipe.
    let text = fs::read_to_string(at.join("s/study.toml")).unwrap();
    fs::write(at.join("own.toml"), text.split_once('\n').unwrap().1).unwrap();
    toxscreen(at, "run own.toml --out other").must(0, &["4 of them now"]);
}

/// A long trial of ENAS, stopped somewhere.
const LONG: &str = "name = \"long\"\n\
    seeds = [0, 1]\n\
    [data]\ndataset = \"digits\"\ntrain = 640\nvalid = 64\n\
    [learner]\nkind = \"enas\"\nchild = { layers = 6, channels = 4, batch = 16, epochs = 200 }\ncontroller = { steps = 2, aggregate = 3, batch = 32 }\n\
    [[cell]]\nlabel = \"clean\"\n";

fn begin(at: &Path) {
    let args = ["run", "r.toml", "--out", "s", "--jobs", "1"];
    let mut run = silent(&mut Program(super::PROGRAM).command(at, args))
        .spawn()
        .unwrap();
    let begun = || {
        let Ok(entries) = fs::read_dir(at.join("s/trials")) else {
            return false;
        };
        entries.flatten().any(|trial| {
            let log = fs::read_to_string(trial.path().join("events.jsonl"));
            log.is_ok_and(|log| log.matches("\"progress\"").count() > 3)
        })
    };
    for _ in 0..400 {
        if begun() {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(begun());
    let status: serde_json::Value =
        serde_json::from_str(&toxscreen(at, "status s --json").stdout).unwrap();
    assert_eq!(status["cells"][0]["running"], 1, "{status}");
    interrupt(&run);
    assert_eq!(run.wait().unwrap().code(), Some(130));
}

#[cfg(unix)]
#[test]
fn status_tells_what_stopped_from_what_is_missing() {
    let dir = scene(LONG);
    let at = dir.path();
    begin(at);
    let said = toxscreen(at, "status s");
    said.must(0, &["stopped at ", " % after ", "clean seed"]);
    let status: serde_json::Value =
        serde_json::from_str(&toxscreen(at, "status s --json").stdout).unwrap();
    let cell = &status["cells"][0];
    assert_eq!(
        (&cell["stopped"], &cell["missing"], &cell["running"]),
        (&1.into(), &1.into(), &0.into())
    );
    let begun = &status["begun"][0];
    let done = begun["done"].as_f64().unwrap();
    assert!(
        0.0 < done && done < 0.5 && begun["running"] == false,
        "{status}"
    );
    assert!(begun["seconds"].as_f64().unwrap() > 0.0);
}

#[cfg(unix)]
#[test]
#[ignore = "half a minute: without memory a process takes its time to die"]
fn a_trial_that_ran_out_of_memory_is_told_from_others() {
    let dir = scene(LONG);
    let words = format!(
        "{} run r.toml --out s; {} status s",
        super::PROGRAM,
        super::PROGRAM
    );
    let program = dir.path().join("limited.sh");
    fs::write(&program, format!("ulimit -v {LIMIT}\n{words}\n")).unwrap();
    let output = Command::new("sh")
        .arg(&program)
        .current_dir(dir.path())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("out of memory"), "{text}");
    assert!(
        text.contains("--jobs") && !text.contains("RUST_BACKTRACE"),
        "{text}"
    );
}

/// KiB of address space, in which the program starts and no trial runs.
const LIMIT: u32 = 60_000;
