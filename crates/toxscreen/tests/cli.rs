//! What users see: messages, hints, exit codes.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::process::Command;
use tox_testkit::program::{self, Program};

const PROGRAM: &str = env!("CARGO_BIN_EXE_toxscreen");

/// Runs toxscreen in `dir`: exit code, stdout, stderr.
fn toxscreen(dir: &Path, args: &[&str]) -> (i32, String, String) {
    Program(PROGRAM).run(dir, args).parts()
}

const RECIPE: &str = "name = \"small\"\nseeds = [0]\n[data]\ndataset = \"digits\"\nvalid = 300\n\
    [learner]\nkind = \"enas\"\nchild.epochs = 1\n[[cell]]\nlabel = \"clean\"\n\
    [[cell]]\nlabel = \"1a\"\npoison = \"P1\"\nq = 6\n";

fn folder(recipe: &str) -> tempfile::TempDir {
    program::folder("r.toml", recipe)
}

#[test]
fn wrong_usage_and_wrong_recipes_end_with_2_and_one_message() {
    let dir = folder(&RECIPE.replace("epochs", "epoch"));
    let at = dir.path();
    fs::write(at.join("q.toml"), RECIPE.replace("q = 6", "q = 200000")).unwrap();
    fs::write(at.join("ok.toml"), RECIPE).unwrap();
    fs::write(at.join("file"), "").unwrap();
    let cases: [&[&str]; 10] = [
        &["run", "r.toml"],
        &["run", "q.toml"],
        &["run", "none.toml"],
        &["run", "ok.toml", "--seeds", "3..1"],
        &["run", "ok.toml", "--set", "data.trian=3"],
        &["plan", "ok.toml", "--set", "learner.child.layers=1"],
        &["status", "nowhere"],
        &["report", "nowhere"],
        &["verify", "nowhere"],
        &["init", "--out", "ok.toml"],
    ];
    let (code, _, stderr) = toxscreen(at, &["run", "ok.toml", "--out", "file/below"]);
    assert_eq!(
        code, 1,
        "a folder that cannot be made is no wrong usage: {stderr}"
    );
    assert!(
        stderr.contains("cannot create the folder file/below"),
        "{stderr}"
    );
    let mut seen = String::new();
    for args in cases {
        let (code, stdout, stderr) = toxscreen(at, args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
        assert!(stderr.starts_with("error: "), "{stderr}");
        seen.push_str(&format!("$ toxscreen {}\n{stderr}", args.join(" ")));
    }
    insta::assert_snapshot!(seen);
    assert!(
        !at.join("runs").exists(),
        "a refused recipe leaves no folder"
    );
    for wrong in [
        &["run", "--device", "gpu"][..],
        &["run", "--jobs", "0"],
        &["frobnicate"],
    ] {
        assert_eq!(toxscreen(at, wrong).0, 2, "{wrong:?}");
    }
}

#[test]
fn plans_are_tables_or_json() {
    let dir = folder(RECIPE);
    let (code, stdout, _) = toxscreen(dir.path(), &["plan", "r.toml", "--seeds", "0..2"]);
    assert_eq!(code, 0);
    // Ids are hashes of all defaults: any new key changes them.
    let ids = stdout.lines().filter_map(|l| l.split("  ").next());
    let mut plain = stdout.clone();
    for id in ids.filter(|w| w.len() == 16 && w.bytes().all(|b| b.is_ascii_hexdigit())) {
        plain = plain.replace(id, "0123456789abcdef");
    }
    insta::assert_snapshot!(plain);
    let (_, stdout, _) = toxscreen(dir.path(), &["plan", "r.toml", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(plan["trials"][1]["spec"]["threat"]["space"]["q"], 6);
    assert_eq!(plan["price"]["core_hours"].to_string(), "0.0");
    let (code, stdout, _) = toxscreen(dir.path(), &["plan"]);
    assert!(
        code == 0 && stdout.contains("oneshot-2 (guarded)"),
        "{stdout}"
    );
}

#[test]
fn the_written_recipe_and_all_of_the_repository_plan() {
    let dir = tempfile::tempdir().unwrap();
    let (code, stdout, _) = toxscreen(dir.path(), &["init", "--out", "my.toml"]);
    assert_eq!(
        (code, stdout.as_str()),
        (0, "wrote my.toml; run it with: toxscreen run my.toml\n")
    );
    assert_eq!(toxscreen(dir.path(), &["plan", "my.toml"]).0, 0);
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes");
    let mut count = 0;
    for folder in [recipes.clone(), recipes.join("ssp")] {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            // Search spaces are for `screen`.
            let name = path.file_name().unwrap().to_str().unwrap();
            if name.ends_with(".toml") && !name.starts_with("space-") {
                let (code, _, stderr) = toxscreen(dir.path(), &["plan", path.to_str().unwrap()]);
                assert_eq!(code, 0, "{stderr}");
                count += 1;
            }
        }
    }
    assert!(count >= 6, "{count} recipes");
}

#[test]
fn every_command_has_help_with_an_example() {
    let dir = tempfile::tempdir().unwrap();
    let (_, top, _) = toxscreen(dir.path(), &["--help"]);
    assert!(top.contains("Exit codes"), "{top}");
    let commands: [&[&str]; 18] = [
        &["trial"],
        &["trust"],
        &["suspects"],
        &["clean"],
        &["compress"],
        &["attack"],
        &["screen"],
        &["hypergradients"],
        &["poison"],
        &["harden"],
        &["run"],
        &["plan"],
        &["status"],
        &["report"],
        &["verify"],
        &["init"],
        &["data", "ls"],
        &["data", "fetch"],
    ];
    for command in commands {
        let (code, help, _) = toxscreen(dir.path(), &[command, &["--help"]].concat());
        assert!(code == 0 && help.contains("Example"), "{command:?}: {help}");
    }
}

#[test]
fn data_sets_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let (code, stdout, _) = toxscreen(dir.path(), &["data", "ls", "--data-dir", "here"]);
    assert!(
        code == 0 && stdout.contains("digits") && stdout.contains("not here"),
        "{stdout}"
    );
    let wrong = ["data", "fetch", "cifar11", "--data-dir", "here"];
    let (code, _, stderr) = toxscreen(dir.path(), &wrong);
    assert!(code == 3 && stderr.contains("cifar10"), "{stderr}");
}

/// A file size limit of 0 stands in for a full disk: each write fails with an error.
#[cfg(unix)]
#[test]
fn a_full_output_folder_is_an_error_with_a_remedy() {
    let dir = folder(RECIPE);
    let script = format!("trap '' XFSZ; ulimit -f 0; exec {PROGRAM} run r.toml");
    let mut sh = Command::new("sh");
    let output = sh
        .args(["-c", &script])
        .current_dir(dir.path())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let expected = "error: cannot write runs/small/study.toml: File too large";
    assert!(
        stderr.starts_with(expected) && stderr.contains("hint: "),
        "{stderr}"
    );
    assert!(!dir.path().join("runs/small/study.toml").exists());
}

/// The same of an archive, which is begun and cannot be finished.
#[cfg(unix)]
#[test]
fn an_archive_that_does_not_fit_is_one_error() {
    let dir = tempfile::tempdir().unwrap();
    let poison = "poison --attack rlf --data digits --out p.npz";
    let script = format!("trap '' XFSZ; ulimit -f 16; exec {PROGRAM} {poison}");
    let mut sh = Command::new("sh");
    let output = sh.args(["-c", &script]).current_dir(dir.path()).output();
    let output = output.unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let line = stderr.lines().collect::<Vec<_>>();
    assert!(
        line.len() == 1 && line[0].starts_with("error: ") && line[0].contains("free space"),
        "{stderr}"
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_screen_ends_with_1_if_something_is_poisonous() {
    let dir = tempfile::tempdir().unwrap();
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/ssp");
    let space = |name: &str| recipes.join(name).to_str().unwrap().to_owned();
    let run = |args: &[&str]| toxscreen(dir.path(), &[&["screen"], args].concat());
    let (code, text, _) = run(&[&space("space-clean.toml")]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("nothing poisonous in 6 ops"), "{text}");
    let (code, text, _) = run(&[&space("space-p5.toml"), "--json", "--seed", "3"]);
    assert_eq!(code, 1, "{text}");
    let reports: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(reports.as_array().unwrap().len(), 11);
    assert_eq!(reports[7]["findings"][0]["verdict"], "drowned-in-noise");

    fs::write(dir.path().join("bad.toml"), "[[op]]\nop = 'conv'\nk = 4\n").unwrap();
    let refused: [(&[&str], i32, &str); 5] = [
        (&["bad.toml"], 2, "bad.toml, op 1: k = 4 is out of range"),
        (&["none.toml"], 2, "cannot read search space none.toml"),
        (&[&space("table1.toml")], 2, "is not a search space"),
        (
            &[&space("space-p5.toml"), "--device", "gpu"],
            2,
            "unknown device 'gpu'",
        ),
        (&[&space("space-p5.toml"), "--data", "digit"], 3, "digit"),
    ];
    for (args, expected, message) in refused {
        let (code, stdout, stderr) = run(args);
        assert_eq!((code, stdout.as_str()), (expected, ""), "{stderr}");
        assert!(stderr.contains(message), "{stderr}");
    }
}

/// As in `toxscreen ... 2>&1 | head`: the exit code when each write fails with a broken pipe. A
/// panic would make it 70 or 134.
#[cfg(unix)]
fn unread(dir: &Path, args: &str) -> String {
    // `true` ends without reading.
    let run = format!("{{ sleep 0.2; {PROGRAM} {args}; echo $? >&3; }} 2>&1");
    let output = Command::new("sh")
        .args(["-c", &format!("exec 3>&1; ({run}) | true; wait")])
        .current_dir(dir)
        .output();
    let code = String::from_utf8(output.unwrap().stdout).unwrap();
    code.trim().to_owned()
}

#[cfg(unix)]
#[test]
fn a_run_tells_each_reason_once_even_to_nobody_and_verify_finds_what_is_missing() {
    let dir = folder(RECIPE);
    let at = dir.path();
    let (_, plan, _) = toxscreen(at, &["plan", "r.toml", "--json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    let trial = |i: usize| {
        let id = plan["trials"][i]["trial"].as_str().unwrap();
        at.join("runs/small/trials").join(id)
    };
    for i in [0, 1] {
        // No log can be written there: the trial fails, and its reason has a path in it.
        fs::create_dir_all(trial(i).join("events.jsonl")).unwrap();
    }
    let (code, stdout, stderr) = toxscreen(at, &["run", "r.toml"]);
    assert_eq!(code, 1, "{stderr}");
    assert!(stdout.contains("0 of 2 trials done"), "{stdout}");
    let errors: Vec<_> = stderr.lines().filter(|l| l.starts_with("error:")).collect();
    assert_eq!(errors.len(), 1, "{stderr}");
    assert!(
        errors[0].starts_with("error: 2 of 2 trials failed") && errors[0].contains("events.jsonl"),
        "{stderr}"
    );
    for (args, expected) in [("run r.toml", "1"), ("run none.toml", "2"), ("plan", "0")] {
        assert_eq!(unread(at, args), expected, "{args}");
    }

    fs::write(trial(1).join("record.json"), "{}").unwrap();
    let (code, stdout, _) = toxscreen(at, &["verify", "runs/small", "--no-rerun"]);
    assert_eq!(code, 1, "{stdout}");
    for part in ["DAMAGED", "delete the folder", "missing", "it failed: "] {
        assert!(stdout.contains(part), "{part}: {stdout}");
    }
    fs::remove_dir_all(trial(1)).unwrap();
    let (code, stdout, _) = toxscreen(at, &["verify", "runs/small"]);
    let remedy = "incomplete: 2 of 2 trials have no record; run again: \
                  toxscreen run runs/small/study.toml --out runs/small\n";
    assert!(code == 1 && stdout.ends_with(remedy), "{stdout}");
}

#[test]
fn a_run_that_cannot_work_starts_nothing() {
    let dir = folder(RECIPE);
    let mut cases = vec![
        (
            "--set data.dataset=cifar10 --data-dir nowhere",
            3,
            "fetch cifar10",
        ),
        ("--set data.dataset=absent.npz", 3, "absent.npz"),
        ("--set data.valid=100000", 3, "100000"),
    ];
    if cfg!(not(feature = "vulkan")) {
        cases.push(("--device vulkan:0", 2, "vulkan"));
    }
    for (args, expected, message) in cases {
        let args: Vec<_> = ["run", "r.toml"]
            .into_iter()
            .chain(args.split(' '))
            .collect();
        let (code, stdout, stderr) = toxscreen(dir.path(), &args);
        assert_eq!(
            (code, stdout.as_str()),
            (expected, ""),
            "{args:?}: {stderr}"
        );
        assert!(
            stderr.starts_with("error: ") && stderr.contains(message),
            "{stderr}"
        );
        assert_eq!(stderr.matches("error: ").count(), 1, "{stderr}");
        assert!(!dir.path().join("runs").exists(), "{args:?}");
    }
}

#[test]
fn variables_that_say_nothing_are_refused() {
    let seconds = "TOXSCREEN_CHECKPOINT_SECONDS";
    for (variable, value, expected) in [
        (
            "TOXSCREEN_KERNELS",
            "fast",
            "expected plain, avx2 or portable",
        ),
        (seconds, "abc", "expected seconds from 0 to 1000000"),
        (seconds, "-1", "expected seconds from 0 to 1000000"),
        (seconds, "nan", "expected seconds from 0 to 1000000"),
        (seconds, "inf", "expected seconds from 0 to 1000000"),
    ] {
        let output = Command::new(PROGRAM)
            .env(variable, value)
            .args(["data", "ls"])
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(variable) && text.contains(expected), "{text}");
        assert!(text.contains("unset it"), "{text}");
    }
}
