//! `compress` and `attack`, and the recipes of RC-NAS, on the embedded digits: what is found can be loaded
//! and attacked again with the same numbers, what is killed goes on to the same record, and what cannot be
//! run is refused with a reason.
#![allow(clippy::unwrap_used)]

mod study;

use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tox_testkit::program::{Program, Said, folder, read, records};
use tox_testkit::recipes;

const TOXSCREEN: Program = Program(env!("CARGO_BIN_EXE_toxscreen"));

const TEACHER: &str = "d2,2,2-w2,2,2-b4";

/// A compression of seconds.
const SMALL: [&str; 25] = [
    "compress",
    "--arch",
    TEACHER,
    "--budget",
    "50%",
    "--data",
    "digits",
    "--train",
    "400",
    "--evaluations",
    "4",
    "--epochs",
    "1",
    "--final-epochs",
    "2",
    "--batch",
    "32",
    "--images",
    "64",
    "--judge",
    "fgsm,pgd20",
    "--set",
    "learner.candidate.images=64",
    "--epsilon",
    "16/255",
];

/// The options by which `attack` sees what `SMALL` judged.
const SAME: [&str; 10] = [
    "--data",
    "digits",
    "--train",
    "400",
    "--images",
    "64",
    "--attack",
    "fgsm,pgd20",
    "--epsilon",
    "16/255",
];

fn toxscreen(dir: &Path, args: &[&str]) -> Command {
    TOXSCREEN.saving(dir, args)
}

/// Exit code, stdout, stderr.
fn ended(dir: &Path, args: &[&str]) -> (i32, String, String) {
    Said::of(toxscreen(dir, args).output().unwrap()).parts()
}

fn json(dir: &Path, args: &[&str]) -> Value {
    let (code, stdout, stderr) = ended(dir, args);
    assert_eq!(code, 0, "{args:?}: {stderr}");
    serde_json::from_str(&stdout).unwrap()
}

fn outcome(folder: &Path) -> String {
    read(&folder.join("record.json"))["outcome"].to_string()
}

#[test]
fn what_is_found_is_attacked_again_with_the_judged_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let out = [&SMALL[..], &["--out", "a", "--threads", "2"]].concat();
    let (code, text, stderr) = ended(at, &out);
    assert_eq!(code, 0, "{stderr}");
    for word in [
        "teacher",
        "sub-network",
        "pgd20",
        "Lipschitz",
        "toxscreen attack",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }
    let network = read(&at.join("a/network.json"));
    let judged = read(&at.join("a/record.json"))["outcome"]["judged"].clone();
    let (arch, macs) = (network["arch"].as_str().unwrap(), &network["cost"]["macs"]);
    assert!(macs.as_u64() <= network["budget"]["macs"].as_u64());
    assert_eq!(judged[0]["shape"], "wrn-16-2-b4");
    for (i, name, arch) in [(0, "teacher", TEACHER), (1, "found", arch)] {
        let weights = format!("a/{name}.safetensors");
        let args = ["attack", "--json", "--weights", &weights, "--arch", arch];
        let found = json(at, &[&args[..], &SAME].concat());
        assert_eq!(found["evaluation"], judged[i]["evaluation"], "{name}");
        assert_eq!(found["macs"], judged[i]["cost"]["macs"]);

        // The file alone says of which network it is, and what that saw.
        let bare = ["attack", "--json", "--weights", &weights];
        let alone = json(at, &[&bare[..], &SAME[..2], &SAME[4..]].concat());
        assert_eq!(alone["evaluation"], judged[i]["evaluation"], "{name}");

        // Without room to move, what is classified correctly stays so.
        let zero = json(at, &[&args[..], &SAME[..8], &["--epsilon", "0"]].concat());
        let zero = &zero["evaluation"];
        assert_eq!(zero["worst_case"], zero["clean"]);
        assert_eq!(zero["attacks"][1]["accuracy"], zero["clean"]);
    }
    // With the other normalisation it is another network.
    let weights = [
        "attack",
        "--json",
        "--weights",
        "a/found.safetensors",
        "--arch",
        arch,
    ];
    let other = json(
        at,
        &[&weights[..], &SAME, &["--normalise", "none"]].concat(),
    );
    assert_ne!(
        other["evaluation"]["clean"],
        judged[1]["evaluation"]["clean"]
    );

    // The same command again reads the record; other options are another compression.
    let before = fs::read(at.join("a/record.json")).unwrap();
    assert_eq!(ended(at, &out).1, text);
    assert_eq!(fs::read(at.join("a/record.json")).unwrap(), before);
    let (code, _, stderr) = ended(at, &[&out[..], &["--seed", "1"]].concat());
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("another compression") && stderr.contains("--out"));

    // Weights in place of a training: the teacher is the same network.
    let given = ["--teacher", "a/teacher.safetensors", "--out", "b", "--json"];
    let (_, given, said) = ended(at, &[&SMALL[..], &given].concat());
    assert!(said.contains("of 40 validation images"), "{said}");
    let given: Value = serde_json::from_str(&given).unwrap();
    assert_eq!(given["judged"][0]["evaluation"], judged[0]["evaluation"]);
    assert_eq!(given["judged"][0]["epochs"], serde_json::json!([]));

    // A network that sees raw pixels.
    let raw = [
        "--normalise",
        "none",
        "--out",
        "c",
        "--method",
        "random",
        "--json",
    ];
    let raw = json(at, &[&SMALL[..], &raw].concat());
    assert_eq!(
        raw["network"]["normalise"]["mean"],
        serde_json::json!([0.0])
    );
    assert_eq!(raw["network"]["normalise"]["std"], serde_json::json!([1.0]));
    let arch = raw["network"]["arch"].as_str().unwrap();
    let args = [
        "attack",
        "--json",
        "--weights",
        "c/found.safetensors",
        "--arch",
        arch,
    ];
    let found = json(at, &[&args[..], &SAME, &["--normalise", "none"]].concat());
    assert_eq!(found["evaluation"], raw["judged"][1]["evaluation"]);
}

#[cfg(unix)]
#[test]
fn what_is_killed_or_stopped_goes_on_to_the_same_record() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let whole = [&SMALL[..], &["--out", "whole"]].concat();
    assert_eq!(ended(at, &whole).0, 0);
    let parts = [&SMALL[..], &["--out", "parts", "--threads", "1"]].concat();
    let mut kills = 0;
    for round in 0u64..40 {
        let mut child = toxscreen(at, &parts)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(300 + 150 * round));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        // SIGKILL, and once what Ctrl-C sends.
        if round == 1 {
            let id = child.id().to_string();
            Command::new("kill").args(["-INT", &id]).status().unwrap();
            let code = child.wait().unwrap().code();
            assert!(code == Some(130) || code == Some(0), "{code:?}");
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        kills += 1;
    }
    assert!(kills >= 2, "{kills}");
    assert_eq!(ended(at, &parts).0, 0);
    assert_eq!(outcome(&at.join("parts")), outcome(&at.join("whole")));
    for file in ["found.safetensors", "network.json"] {
        let bytes = |folder: &str| fs::read(at.join(folder).join(file)).unwrap();
        assert!(bytes("parts") == bytes("whole"), "{file}");
    }
}

/// A safetensors file with this header and `bytes` zeros behind it.
fn safetensors(path: &Path, header: &str, bytes: usize) {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(vec![0; bytes]);
    fs::write(path, file).unwrap();
}

#[test]
fn what_cannot_be_run_is_refused_before_anything_is_trained() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    // A network of one epoch, to be misused.
    let made = ["--evaluations", "1", "--final-epochs", "1", "--out", "a"];
    let made: Vec<&str> = SMALL[..9].iter().copied().chain(made).collect();
    let fast = [
        "--epochs", "1", "--batch", "32", "--images", "8", "--judge", "fgsm",
    ];
    let method = ["--method", "random", "--set", "learner.candidate.images=32"];
    let (code, _, stderr) = ended(at, &[&made[..], &fast, &method].concat());
    assert_eq!(code, 0, "{stderr}");
    let whole = fs::read(at.join("a/teacher.safetensors")).unwrap();
    fs::write(at.join("cut.safetensors"), &whole[..whole.len() - 100]).unwrap();
    fs::write(at.join("stub.safetensors"), &whole[..300]).unwrap();
    let tensor = |shape: &str, end: usize| {
        format!(r#"{{"conv1.weight":{{"dtype":"F32","shape":{shape},"data_offsets":[0,{end}]}}}}"#)
    };
    // Offsets beyond the file; a shape that is not that of the bytes; one that overflows.
    safetensors(
        &at.join("far.safetensors"),
        &tensor("[4,1,3,3]", 1 << 40),
        144,
    );
    safetensors(
        &at.join("shape.safetensors"),
        &tensor("[400,1,3,3]", 144),
        144,
    );
    let huge = tensor("[4294967296,4294967296,4294967296]", 144);
    safetensors(&at.join("huge.safetensors"), &huge, 144);

    let compress = ["compress", "--data", "digits", "--out", "never"];
    let teacher = ["--arch", TEACHER, "--budget", "50%", "--teacher"];
    let attack = [
        "attack",
        "--data",
        "digits",
        "--attack",
        "fgsm",
        "--weights",
    ];
    let good = "a/teacher.safetensors";
    let cases: &[(&[&[&str]], i32, &str)] = &[
        (
            &[&compress, &["--arch", TEACHER, "--budget", "1k"]],
            2,
            "the cheapest",
        ),
        (
            &[&compress, &["--arch", TEACHER, "--budget", "101%"]],
            2,
            "at most 1",
        ),
        (
            &[&compress, &["--arch", TEACHER, "--budget", "lots"]],
            2,
            "1.0G",
        ),
        (
            &[&compress, &["--arch", "wrn-5", "--budget", "50%"]],
            2,
            "wrn-5",
        ),
        (
            &[&compress, &teacher, &["cut.safetensors"]],
            3,
            "not a safetensors file",
        ),
        (
            &[&compress, &teacher, &["missing.safetensors"]],
            3,
            "cannot read the weights",
        ),
        (
            &[&compress, &teacher, &[good, "--epsilon", "8"]],
            2,
            "8/255",
        ),
        (
            &[&compress, &teacher, &[good, "--attack", "pdg"]],
            2,
            "names no attack",
        ),
        (
            &[&compress, &teacher, &[good, "--judge", "pgd0"]],
            2,
            "steps",
        ),
        (
            &[&compress, &teacher, &[good, "--evaluations", "0"]],
            2,
            "evaluations",
        ),
        (
            &[&compress, &teacher, &[good, "--set", "learner.serach=1"]],
            2,
            "serach",
        ),
        (
            &[
                &compress,
                &teacher,
                &[good, "--classes", "3,8", "--judge", "apgd-dlr"],
            ],
            2,
            "classes",
        ),
        (
            &[&attack, &[good, "--arch", "wrn-10-1-b4"]],
            2,
            "is of --arch wrn-16-2-b4, and --arch wrn-10-1-b4 was asked for",
        ),
        (
            &[&attack, &[good, "--arch", "d2,2,2-w2,2,3-b4"]],
            2,
            "is of --arch wrn-16-2-b4",
        ),
        (
            &[&attack, &[good, "--arch", TEACHER, "--rgb"]],
            2,
            "conv1.weight",
        ),
        (
            &[&attack, &[good, "--arch", TEACHER, "--classes", "3,8"]],
            2,
            "fc.",
        ),
        (&[&attack, &[good, "--arch", "vgg11"]], 2, "vgg11"),
        (
            &[&attack, &["cut.safetensors", "--arch", TEACHER]],
            3,
            "not a safetensors",
        ),
        (
            &[&attack, &["stub.safetensors", "--arch", TEACHER]],
            3,
            "not a safetensors",
        ),
        (
            &[&attack, &["far.safetensors", "--arch", TEACHER]],
            3,
            "not a safetensors",
        ),
        (
            &[&attack, &["shape.safetensors", "--arch", TEACHER]],
            3,
            "not a safetensors",
        ),
        (
            &[&attack, &["huge.safetensors", "--arch", TEACHER]],
            3,
            "not a safetensors",
        ),
        (
            &[&attack, &[good, "--arch", TEACHER, "--epsilon", "-8/255"]],
            2,
            "at least 0",
        ),
        (
            &[&attack, &[good, "--arch", TEACHER, "--epsilon", "nan"]],
            2,
            "at least 0",
        ),
        (
            &[&attack, &[good, "--arch", TEACHER, "--epsilon", "8"]],
            2,
            "every image",
        ),
        (
            &[&attack, &[good, "--arch", TEACHER, "--images", "0"]],
            2,
            "no image",
        ),
    ];
    for (args, expected, reason) in cases {
        let (code, stdout, stderr) = ended(at, &args.concat());
        assert_eq!(
            (code, stdout.as_str()),
            (*expected, ""),
            "{args:?}: {stderr}"
        );
        // Weights that we wrote say what their network saw, which is noted.
        let mut said = stderr.lines().filter(|line| !line.starts_with("note: "));
        assert!(
            said.next().is_some_and(|line| line.starts_with("error: ")) && stderr.contains(reason),
            "{args:?}: {stderr}"
        );
        assert!(!at.join("never").exists(), "{args:?}: a folder was made");
    }
}

#[test]
fn candidates_that_diverge_are_counted_and_the_search_ends() {
    let dir = tempfile::tempdir().unwrap();
    let wild = [
        "--set",
        "learner.candidate.training.lr=1000000",
        "--set",
        "learner.candidate.training.grad_clip=0",
        "--set",
        "learner.candidate.warm=false",
        "--out",
        "a",
        "--json",
    ];
    let (code, stdout, stderr) = ended(dir.path(), &[&SMALL[..], &wild].concat());
    let found: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(found["evaluations"], 4, "{stderr}");
    let record = read(&dir.path().join("a/record.json"));
    let evaluations = record["outcome"]["search"]["evaluations"]
        .as_array()
        .unwrap();
    let failed = evaluations.iter().filter(|e| e["measured"].is_null());
    assert_eq!(found["failed"], failed.count());
    assert!(found["failed"].as_u64().unwrap() > 0, "{found}");
    // Only where all failed is there nothing.
    let nothing = found["network"].is_null();
    assert_eq!(nothing, found["failed"] == 4);
    assert_eq!(code, i32::from(nothing), "{stderr}");
}
