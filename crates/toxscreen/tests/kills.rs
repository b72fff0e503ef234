//! kill -9 of a run, of its trials, or of both, at any moment, over all learners and commands that resume: the
//! same command goes on and ends with the same files, byte for byte, and no others; no process outlives its
//! runner. `thirty_kills` is in the default suite, `a_thousand_kills` is long (docs/guide/long-tests.md).
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use rand::RngExt;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tox_data::rng::stream;
use tox_testkit::program::{Program, read, silent};
use tox_testkit::recipes;

const TOXSCREEN: Program = Program(env!("CARGO_BIN_EXE_toxscreen"));

fn digits() -> String {
    recipes::data("digits", [320, 64, 64])
}

fn enas() -> String {
    let evaluation = "candidates = 3, density_samples = 50";
    let [clean, random] = [
        recipes::cell("clean", ""),
        recipes::cell(
            "random",
            "poison = \"P2\"
q = 2
learner.strategy = \"random\"
",
        ),
    ];
    recipes::enas([6, 4, 16, 3], [2, 3, 32], evaluation, 2) + &clean + &random
}

const BILEVEL: &str = r#"
[data]
dataset = "digits"
classes = [3, 8]
split = "random"
train = 160
valid = 50
test = 100
[learner]
kind = "bilevel"
hyperiterations = 5
kuncheva = [5]
[threat]
kind = "bilevel"
batch = 5
batches = 3
[[cell]]
label = "learned"
[[cell]]
label = "net"
learner = { hidden = [8], kuncheva = [], lambda.groups = "per-layer" }
"#;

fn synthetic() -> String {
    let keys = "steps = 100\nlambdas = 4\ngrid = 12";
    recipes::synthetic([64, 64], keys) + &recipes::cell("maps", "")
}

const NAS: &str = concat!(
    include_str!("recipes/searches.toml"),
    include_str!("recipes/grid.toml")
);

const RC_NAS: &str = include_str!("recipes/rc-nas.toml");

fn sub_networks() -> String {
    let space = "space = { robust = \"as-teacher\" }
";
    recipes::sub_networks("d2,2,1-w1,1,1-b2", space, 32) + &recipes::cell("all", "")
}

/// What is killed: a name, the recipe beside it if any, the command.
struct Case {
    name: &'static str,
    recipe: Option<String>,
    command: &'static str,
}

fn cases(long: bool) -> Vec<Case> {
    const RUN: &str = "run recipe.toml --out run --jobs 2";
    let study = |name, parts: &[&str]| Case {
        name,
        recipe: Some(recipes::head(name, &[4]) + &parts.concat()),
        command: RUN,
    };
    let alone = |name, command| Case {
        name,
        recipe: None,
        command,
    };
    let nas = match long {
        true => RUN,
        false => "run recipe.toml --out run --jobs 2 --cells gc*p-darts* --cells rlf*nsganetv2*",
    };
    vec![
        study("enas", &[&digits(), &enas()]),
        study("bilevel", &[BILEVEL]),
        study("synthetic", &[&synthetic()]),
        Case {
            command: nas,
            ..study("nas", &[NAS])
        },
        study("rc-nas", &[&digits(), recipes::EVASION, RC_NAS]),
        study(
            "sub-networks",
            &[&digits(), recipes::EVASION, &sub_networks()],
        ),
        alone(
            "poison-gc",
            "poison --attack gc --data digits --channels 2 --epochs 1 --iterations 8 --budget 0.05 --out p.npz",
        ),
        alone(
            "poison-clf",
            "poison --attack clf --data digits --budget 0.1 --width 2 --epochs 1 --out p.npz",
        ),
        alone(
            "poison-bilevel",
            "poison --data digits --classes 3,8 --budget 0.05 --hyperiterations 8 --steps 100 --out p.npz",
        ),
        alone(
            "harden",
            "harden --data digits --classes 3,8 --valid 60 --splits 2 --hyperiterations 20 --current 10000 --out run",
        ),
        alone("suspects", "suspects --data digits --out run"),
        alone(
            "hypergradients",
            "hypergradients --steps 50,100,200 --repeats 1 --out run",
        ),
        alone(
            "compress",
            "compress --arch d2,1,1-w1,1,1-b4 --budget 80% --data digits --train 300 --evaluations 2 --epochs 1 \
             --final-epochs 1 --batch 32 --images 32 --judge fgsm --set learner.candidate.images=32 --epsilon 16/255 \
             --out run",
        ),
        Case {
            command: "report run",
            ..study("report", &[BILEVEL])
        },
    ]
}

fn command(dir: &Path, words: &str, checkpoint: &str) -> Command {
    let mut command = TOXSCREEN.command(dir, words.split_whitespace());
    silent(command.env("TOXSCREEN_CHECKPOINT_SECONDS", checkpoint));
    command
}

fn finish(case: &Case, dir: &Path) {
    let ended = command(dir, case.command, "30")
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(fine(ended.status), "{}: {said}", case.name);
}

/// Whether a command ended well; one that advises may have no advice.
fn fine(status: ExitStatus) -> bool {
    matches!(status.code(), Some(0 | 4))
}

/// All files below `dir` with what two runs must agree on: their bytes; of a record the outcome; nothing of
/// logs and of pages that show times. A file that should not be there is a difference.
fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    fn below(root: &Path, dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(root, &path, found);
                continue;
            }
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let bytes = match path.file_name().unwrap().to_str().unwrap() {
                "record.json" => read(&path)["outcome"].to_string().into_bytes(),
                ".lock" | "events.jsonl" | "report.html" => Vec::new(),
                _ => fs::read(&path).unwrap(),
            };
            found.insert(name, bytes);
        }
    }
    let mut found = BTreeMap::new();
    below(dir, dir, &mut found);
    // A lock's file is made when it is first needed, and says nothing.
    found.retain(|name, _| !name.ends_with(".lock"));
    found
}

/// A process that lives, by its id and the time of its start.
#[derive(Clone, PartialEq)]
struct Process(String, String);

impl Process {
    fn of(pid: &str) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the name, which may hold anything: the state, and in the 20th place the start.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        (fields[0] != "Z").then(|| Self(pid.to_owned(), fields[19].to_owned()))
    }

    fn lives(&self) -> bool {
        Self::of(&self.0).as_ref() == Some(self)
    }

    fn kill(&self) {
        let _ = Command::new("kill")
            .args(["-9", &self.0])
            .stderr(Stdio::null())
            .status();
    }
}

fn children(parent: &Child) -> Vec<Process> {
    let path = format!("/proc/{0}/task/{0}/children", parent.id());
    let list = fs::read_to_string(path).unwrap_or_default();
    list.split_whitespace().filter_map(Process::of).collect()
}

/// Kills a command after `delay`: the run, its trials, or both. Whether it still ran.
fn killed(case: &Case, dir: &Path, delay: Duration, what: usize, checkpoint: &str) -> bool {
    let mut run = command(dir, case.command, checkpoint).spawn().unwrap();
    std::thread::sleep(delay);
    if let Some(status) = run.try_wait().unwrap() {
        assert!(fine(status), "{}: {status}", case.name);
        return false;
    }
    let trials = children(&run);
    let parent = what != 1 || trials.is_empty();
    if parent {
        let _ = run.kill();
    }
    if what != 0 {
        trials.iter().for_each(Process::kill);
    }
    run.wait().unwrap();
    // A trial whose runner is gone ends by itself.
    let since = Instant::now();
    while trials.iter().any(Process::lives) {
        let waited = since.elapsed() < Duration::from_secs(30);
        assert!(waited, "{}: a trial outlives its killed runner", case.name);
        std::thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Kills `count` runs, spread over the cases.
fn kill(count: usize, long: bool) {
    let cases = cases(long);
    let mut rng = stream(0, "kills", &[count as u64]);
    for (i, case) in cases.iter().enumerate() {
        let quota = count / cases.len() + usize::from(i < count % cases.len());
        let begun = tempfile::tempdir().unwrap();
        if let Some(recipe) = &case.recipe {
            fs::write(begun.path().join("recipe.toml"), recipe).unwrap();
        }
        if case.name == "report" {
            let run = "run recipe.toml --out run";
            assert!(command(begun.path(), run, "30").status().unwrap().success());
        }
        let copy = || {
            let dir = tempfile::tempdir().unwrap();
            let from = format!("{}/.", begun.path().display());
            let copied = Command::new("cp")
                .arg("-r")
                .arg(from)
                .arg(dir.path())
                .status();
            assert!(copied.unwrap().success());
            dir
        };
        let whole = copy();
        let start = Instant::now();
        finish(case, whole.path());
        let took = start.elapsed();
        let expected = files(whole.path());
        let mut within = took;
        let (mut kills, mut rounds) = (0, 0);
        while kills < quota {
            rounds += 1;
            assert!(
                rounds <= 4 * quota + 10,
                "{}: over before it was killed",
                case.name
            );
            let dir = copy();
            let mut told = Vec::new();
            // A folder is killed in until it is done, at most a few times.
            while kills < quota && told.len() < 6 {
                let delay = within.mul_f64(rng.random());
                let what = rng.random_range(0..3);
                let checkpoint = ["0", "0.05", "30"][rng.random_range(0..3)];
                told.push((delay, ["run", "trials", "both"][what], checkpoint));
                if !killed(case, dir.path(), delay, what, checkpoint) {
                    // The undisturbed run was a slow one, or little was left to do.
                    within = within.mul_f64(0.9);
                    break;
                }
                kills += 1;
            }
            finish(case, dir.path());
            let found = files(dir.path());
            let besides = |a: &BTreeMap<String, Vec<u8>>, b: &BTreeMap<String, Vec<u8>>| {
                let names = a.keys().filter(|name| !b.contains_key(*name));
                names.cloned().collect::<Vec<String>>()
            };
            let differ = (besides(&found, &expected), besides(&expected, &found));
            let none = (Vec::new(), Vec::new());
            assert_eq!(
                differ, none,
                "{}: left over, missing; after {told:?}",
                case.name
            );
            for (name, bytes) in &found {
                assert!(
                    *bytes == expected[name],
                    "{}: {name} differs after {told:?}",
                    case.name
                );
            }
        }
        let took = took.as_secs_f64();
        println!(
            "{}: {kills} kills in {rounds} folders; undisturbed {took:.1} s",
            case.name
        );
    }
}

#[test]
fn thirty_kills() {
    kill(30, false);
}

#[test]
#[ignore = "long: half an hour and more; TOXSCREEN_KILLS says another count"]
fn a_thousand_kills() {
    let count = std::env::var("TOXSCREEN_KILLS").map(|n| n.parse().unwrap());
    kill(count.unwrap_or(1000), true);
}
