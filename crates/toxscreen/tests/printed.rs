//! What is printed can be used as it is printed: commands, in folders whose names a shell would take apart;
//! and what others wrote (names, titles, messages) moves no terminal and is no formula.
#![cfg(unix)]
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::Duration;
use tox_study::store::Failure;
use tox_testkit::program::{Program, Said};
use tox_testkit::recipes;

const TOXSCREEN: Program = Program(env!("CARGO_BIN_EXE_toxscreen"));
const PROGRAM: &str = TOXSCREEN.0;

/// A folder's name that needs quotes, of both kinds.
const FOLDER: &str = "it's a \"folder\"";

fn recipe() -> String {
    let evaluation = "candidates = 2, final_candidates = 2, density_samples = 10";
    [
        recipes::head("small", &[0]),
        "title = \"TITLE\"\n".to_owned(),
        recipes::data("digits", [96, 64, 64]),
        recipes::enas([3, 4, 32, 1], [1, 1, 32], evaluation, 1),
        recipes::cell("clean", ""),
    ]
    .concat()
}

fn command(dir: &Path, args: &[&str]) -> Command {
    TOXSCREEN.command(dir, args)
}

/// Exit code, stdout, stderr.
fn ended(output: Output) -> (i32, String, String) {
    Said::of(output).parts()
}

fn toxscreen(dir: &Path, args: &[&str]) -> (i32, String, String) {
    TOXSCREEN.run(dir, args).parts()
}

/// What a shell in `dir` makes of a printed command line.
fn shell(dir: &Path, line: &str) -> (i32, String, String) {
    TOXSCREEN.shell(dir, line).parts()
}

/// The commands in a text: what begins with the program's name, to the end of the line or of the code.
fn printed(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for line in text.lines() {
        let whole = line.find(&format!("{PROGRAM} "));
        if let Some(at) = whole.or_else(|| line.find("toxscreen ")) {
            let end = line[at..].find('`').map_or(line.len(), |n| at + n);
            found.push(line[at..end].to_owned());
        }
    }
    found
}

fn one(text: &str) -> String {
    let mut all = printed(text);
    assert_eq!(all.len(), 1, "{text}");
    all.remove(0)
}

/// A folder with a difficult name, and what keeps it.
fn difficult() -> (tempfile::TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let at = root.path().join(FOLDER);
    fs::create_dir(&at).unwrap();
    (root, at)
}

/// A study that is done, in the folder `runs/it's` of a folder with a difficult name. Tests that change it
/// copy it.
fn study() -> &'static Path {
    static STUDY: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, at) = STUDY.get_or_init(|| {
        let (root, at) = difficult();
        fs::write(at.join("r.toml"), recipe()).unwrap();
        let (code, _, stderr) = toxscreen(&at, &["run", "r.toml", "--out", "runs/it's"]);
        assert_eq!(code, 0, "{stderr}");
        (root, at)
    });
    at
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[test]
fn the_recipe_that_init_writes_runs_as_it_says() {
    let (_root, at) = difficult();
    let (code, stdout, _) = toxscreen(&at, &["init", "--out", "a recipe's.toml"]);
    assert_eq!(code, 0);
    let line = one(&stdout);
    // Smaller, to end soon.
    let small = " --cells clean --seeds 0 --set learner.child.epochs=1 --set learner.retrain.epochs=1 \
                 --set data.train=96 --set data.valid=64 --set learner.child.layers=3 \
                 --set learner.child.channels=4";
    let (code, _, stderr) = shell(&at, &format!("{line}{small}"));
    assert_eq!(code, 0, "{line}: {stderr}");
}

#[test]
fn a_study_is_reproduced_by_the_commands_of_its_report_where_they_stand() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("runs/it's");
    copy(&study().join("runs/it's"), &folder);
    let html = fs::read_to_string(folder.join("report.html")).unwrap();
    let html = html
        .replace("&#x27;", "'")
        .replace("&#x2f;", "/")
        .replace("&quot;", "\"");
    let pre = html
        .split("<pre>")
        .nth(1)
        .unwrap()
        .split("</pre>")
        .next()
        .unwrap();
    let lines = printed(pre);
    assert_eq!(lines.len(), 2, "{pre}");
    for line in &lines {
        let (code, _, stderr) = shell(&folder, line);
        assert_eq!(code, 0, "{line}: {stderr}");
    }
    let mut there: Vec<_> = fs::read_dir(root.path().join("runs")).unwrap().collect();
    assert_eq!(there.len(), 2, "the study and its twin: {there:?}");
    there.retain(|e| e.as_ref().unwrap().file_name() != "it's");
    let again = there.remove(0).unwrap().path();
    assert!(!folder.join("runs").exists());
    let results = |folder: &Path| fs::read_to_string(folder.join("wide.csv")).unwrap();
    assert_eq!(results(&folder), results(&again));
}

/// Whether some trial below a folder has begun.
fn begun(folder: &Path) -> bool {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|e| e.path()).any(|path| {
        let name = path.file_name().is_some_and(|name| name == "events.jsonl");
        name || path.is_dir() && begun(&path)
    })
}

/// Starts a command and sends it what Ctrl-C sends once a trial in `folder` has begun; its output.
fn interrupted(mut command: Command, folder: &Path) -> (i32, String, String) {
    let command = command.env("TOXSCREEN_CHECKPOINT_SECONDS", "0.01");
    let pipes = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().unwrap();
    for _ in 0..2000 {
        if begun(folder) || child.try_wait().unwrap().is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let id = child.id().to_string();
    let _ = Command::new("kill").args(["-INT", &id]).status();
    ended(child.wait_with_output().unwrap())
}

#[test]
fn what_was_stopped_goes_on_with_the_command_that_is_printed() {
    let (_root, at) = difficult();
    let long = recipe().replace("epochs = 1 }\ncontroller", "epochs = 400 }\ncontroller");
    fs::write(at.join("my recipe's.toml"), long).unwrap();
    let run = ["run", "my recipe's.toml", "--out", "runs of 'mine'"];
    let (code, stdout, stderr) = interrupted(command(&at, &run), &at.join("runs of 'mine'"));
    assert_eq!(code, 130, "{stderr}");
    let line = one(&stdout);
    // What goes on is this very study, which now may be seen to go on no further than its plan.
    let line = line.replacen(" run ", " plan ", 1);
    let line = line.split(" --out ").next().unwrap().to_owned();
    let (code, stdout, stderr) = shell(&at, &line);
    assert_eq!(code, 0, "{line}: {stderr}");
    assert!(stdout.contains("small: 1 trials in 1 cells"), "{stdout}");

    let small = [
        "compress",
        "--arch",
        "d2,2,2-w2,2,2-b4",
        "--budget",
        "50%",
        "--data",
        "digits",
        "--train",
        "200",
        "--evaluations",
        "2",
        "--epochs",
        "1",
        "--final-epochs",
        "1",
        "--batch",
        "32",
        "--images",
        "32",
        "--epsilon",
        "16/255",
        "--training",
        "standard",
        "--method",
        "random",
        "--attack",
        "fgsm",
        "--judge",
        "fgsm",
        "--set",
        "learner.candidate.images=32",
        "--threads",
        "1",
        "--out",
        "my runs/it's",
    ];
    let (code, _, stderr) = interrupted(command(&at, &small), &at.join("my runs/it's"));
    let stdout = match code {
        130 => {
            let line = one(&stderr);
            let (code, stdout, stderr) = shell(&at, &line);
            assert_eq!(code, 0, "{line}: {stderr}");
            stdout
        }
        // It was faster than the signal.
        code => {
            assert_eq!(code, 0, "{stderr}");
            toxscreen(&at, &small).1
        }
    };
    let line = one(&stdout);
    assert!(
        line.contains("--attack autoattack --images 10000"),
        "{line}"
    );
    let fast = line.replace("autoattack --images 10000", "fgsm --images 16");
    let (code, stdout, stderr) = shell(&at, &fast);
    assert_eq!(code, 0, "{fast}: {stderr}");
    assert!(stdout.contains("on 16 images of digits"), "{stdout}");
    let (code, _, stderr) = shell(&at, &format!("{fast} --json > /dev/full"));
    assert_eq!(code, 1, "{stderr}");
    assert!(
        stderr.contains("cannot write to the standard output"),
        "{stderr}"
    );
}

#[test]
fn data_that_are_missing_are_fetched_by_the_command_that_is_printed() {
    let (_root, at) = difficult();
    let recipe = recipe().replace("\"digits\"", "\"mnist\"");
    fs::write(at.join("r.toml"), recipe).unwrap();
    let args = ["run", "r.toml", "--data-dir", "none"];
    let (code, _, stderr) = toxscreen(&at, &args);
    assert_eq!(code, 3, "{stderr}");
    // Nobody listens there: the command is one that there is, and it tries.
    let line = format!(
        "TOXSCREEN_FETCH_BASE=http://127.0.0.1:9 {} --data-dir none",
        one(&stderr)
    );
    let (code, _, stderr) = shell(&at, &line);
    assert_eq!(code, 3, "{line}: {stderr}");
    assert!(
        stderr.contains("cannot download http://127.0.0.1:9"),
        "{stderr}"
    );
}

/// ESC, CSI, DEL and a mark that turns the direction of writing.
const EVIL: &str = "no\u{1b}[31m\u{9b}2J\u{7f}\u{202e}";

#[test]
fn control_characters_of_others_do_not_reach_a_terminal() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path();
    let title = recipe().replace("TITLE", r"a\u001b]0;title\u0007\u009b31m\u202e b");
    fs::write(at.join("title.toml"), &title).unwrap();
    let data = recipe().replace("\"digits\"", r#""a\u001b[31mb.npz""#);
    fs::write(at.join("data.toml"), data).unwrap();
    let syntax = format!("name = \"x\"\n{EVIL} = = 1\n");
    fs::write(at.join("syntax.toml"), syntax).unwrap();
    fs::write(at.join("op.toml"), "[[op]]\nop = \"\\u001b[31mconv\"\n").unwrap();
    fs::write(at.join(format!("{EVIL}.npz")), "not one").unwrap();
    fs::write(at.join(format!("{EVIL}.toml")), "name = 1").unwrap();
    copy(&study().join("runs/it's"), &at.join("done"));
    let trial = fs::read_dir(at.join("done/trials"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    fs::remove_file(trial.path().join("record.json")).unwrap();
    let id = trial.file_name().into_string().unwrap();
    let failure = Failure {
        trial: id,
        message: EVIL.into(),
        exit_code: Some(1),
        stderr: vec![EVIL.into()],
    };
    fs::write(trial.path().join("failure.json"), failure.to_json()).unwrap();

    let evil_data = format!("{EVIL}.npz");
    let evil_recipe = format!("{EVIL}.toml");
    let option = format!("--{EVIL}");
    let cases: [&[&str]; 17] = [
        &["run", "title.toml", "--out", "titled"],
        &["report", "titled"],
        &["plan", "data.toml"],
        &["plan", "data.toml", "--json"],
        &["run", "data.toml"],
        &["plan", "syntax.toml"],
        &["plan", &evil_recipe],
        &["plan", "title.toml", "--cells", EVIL],
        &["plan", "title.toml", "--set", &evil_recipe],
        &["screen", "op.toml"],
        &[
            "poison", "--attack", "rlf", "--data", &evil_data, "--out", "p.npz",
        ],
        &[
            "attack",
            "--weights",
            &evil_data,
            "--arch",
            "wrn-16-2",
            "--data",
            "digits",
        ],
        &["run", &option],
        &["status", "done"],
        &["status", "done", "--json"],
        &["verify", "done", "--no-rerun"],
        &["init", "--out", &evil_recipe],
    ];
    for args in cases {
        let (_, stdout, stderr) = toxscreen(at, args);
        let text = format!("{stdout}{stderr}");
        assert!(!text.is_empty(), "{args:?} says nothing");
        let raw = |c: char| c.is_control() && c != '\n' && c != '\t' || c == '\u{202e}';
        assert!(!text.contains(raw), "{args:?}: {text:?}");
        if args.contains(&"--json") {
            let _: Value = serde_json::from_str(&stdout).unwrap();
        }
    }
    let (_, stdout, _) = toxscreen(at, &["status", "done"]);
    assert!(
        stdout.contains(r"no\u{1b}[31m\u{9b}2J\u{7f}\u{202e}"),
        "{stdout}"
    );
    let (_, stdout, _) = toxscreen(at, &["status", "done", "--json"]);
    let status: Value = serde_json::from_str(&stdout).unwrap();
    assert!(
        status
            .to_string()
            .contains(&serde_json::json!(EVIL).to_string())
    );
    let (_, stdout, _) = toxscreen(at, &["run", "title.toml", "--out", "titled"]);
    assert!(
        stdout.starts_with(r"a\u{1b}]0;title\u{7}\u{9b}31m\u{202e} b"),
        "{stdout}"
    );
}

#[test]
fn what_could_not_be_printed_is_a_failure_and_a_reader_that_left_is_none() {
    let root = tempfile::tempdir().unwrap();
    let at = root.path();
    fs::write(at.join("r.toml"), recipe()).unwrap();
    copy(&study().join("runs/it's"), &at.join("runs/it's"));
    let cases: [&[&str]; 7] = [
        &["plan", "r.toml", "--json"],
        &["plan", "r.toml"],
        &["run", "r.toml", "--out", "runs/it's", "--json"],
        &["status", "runs/it's", "--json"],
        &["verify", "runs/it's", "--no-rerun", "--json"],
        &["report", "runs/it's", "--json"],
        &["data", "ls", "--json"],
    ];
    for args in cases {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = command(at, args).stdout(full).output().unwrap();
        let (code, _, stderr) = ended(output);
        assert_eq!(code, 1, "{args:?}: {stderr}");
        assert!(
            stderr.contains("cannot write to the standard output"),
            "{stderr}"
        );
        // A reader that is gone before anything is written.
        let mut child = command(at, args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let (code, _, stderr) = ended(child.wait_with_output().unwrap());
        assert_eq!((code, stderr.as_str()), (0, ""), "{args:?}");
    }
}
