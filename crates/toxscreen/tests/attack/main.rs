//! `attack` on weights and data as people bring them: few classes, names with a prefix, a normalisation of the
//! model's own; what it says is what it did, and what `compress` prints can be run.
#![allow(clippy::unwrap_used)]

mod examples;
mod found;

use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tox_testkit::program::Program;

const TOXSCREEN: &str = env!("CARGO_BIN_EXE_toxscreen");
const PROGRAM: Program = Program(TOXSCREEN);

fn toxscreen(dir: &Path, args: &[&str]) -> Command {
    PROGRAM.command(dir, args)
}

fn run(dir: &Path, args: &[&str]) -> (i32, String, String) {
    PROGRAM.run(dir, args).parts()
}

/// Runs a compression of a second on `classes` into `out`, with further options.
fn compressed(dir: &Path, classes: &str, out: &str, more: &[&str]) -> (String, String) {
    let fixed = "compress --arch d2,1,1-w1,1,1-b4 --budget 95% --data digits --evaluations 1 --epochs 1 \
                 --final-epochs 3 --batch 32 --lr 0.05 --images 12 --training standard --method random \
                 --attack fgsm --set learner.candidate.images=16 --classes";
    let args: Vec<&str> = fixed.split(' ').chain([classes]).collect();
    let out = format!("--out={out}");
    let (code, stdout, stderr) = run(dir, &[&args[..], &[&out], more].concat());
    assert_eq!(code, 0, "{stderr}");
    (stdout, stderr)
}

/// The stdout and stderr of a command that ended well, the first with these words.
fn shown((code, text, stderr): (i32, String, String), words: [&str; 2]) -> (String, String) {
    assert_eq!(code, 0, "{stderr}");
    assert!(words.iter().all(|word| text.contains(word)), "{text}");
    (text, stderr)
}

/// The command that is printed behind `next`, on a few images, as a shell runs it.
fn next(dir: &Path, said: &str) -> (i32, String, String) {
    let line = said.lines().find(|line| line.starts_with("next")).unwrap();
    let line = line.trim_start_matches("next").trim();
    assert!(line.ends_with("--images 10000"), "{line}");
    let few = line.replace("--images 10000", "--images 6");
    PROGRAM.shell(dir, &few).parts()
}

#[cfg(unix)]
#[test]
fn defaults_and_printed_commands_work_on_two_and_three_classes() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    // The defaults of `compress`, AutoAttack among them.
    let (said, _) = compressed(at, "4,6", "my runs/it's two", &[]);
    assert!(
        said.contains("autoattack") && said.contains("without APGD-DLR"),
        "{said}"
    );
    let (text, _) = shown(next(at, &said), ["apgd-ce"; 2]);
    assert!(!text.contains("apgd-dlr "), "{text}");
    // Three classes: the untargeted DLR.
    let (said, _) = compressed(at, "0,1,2", "-three", &["--judge", "fgsm,pgd20"]);
    assert!(said.contains("worst case (upper bound)"), "{said}");
    assert!(
        said.contains("reliable: not tested") && said.contains("add autoattack"),
        "{said}"
    );
    shown(
        next(at, &said),
        ["apgd-dlr-untargeted", "untargeted DLR loss"],
    );
    // The defaults of `attack`; the shape is that of the file.
    let common = "attack --weights ./-three/found.safetensors --data digits --classes 0,1,2";
    let common: Vec<&str> = common.split(' ').collect();
    let ran = run(at, &[&common[..], &["--images", "4"]].concat());
    let (_, stderr) = shown(ran, ["cw40", "autoattack"]);
    assert!(stderr.contains("is of --arch "), "{stderr}");
    // Asked for by name, it names what works.
    let (code, _, stderr) = run(at, &[&common[..], &["--attack", "apgd-dlr"]].concat());
    assert_eq!(code, 2, "{stderr}");
    for word in ["4 classes", "fab", "square", "apgd-dlr-untargeted"] {
        assert!(stderr.contains(word), "{word}: {stderr}");
    }
}

/// A safetensors file with other names and further tensors of f32.
fn rewritten(from: &Path, to: &Path, rename: impl Fn(&str) -> String, more: &[(&str, &[f32])]) {
    let bytes = fs::read(from).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let old: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let mut data = bytes[8 + header..].to_vec();
    let mut new = serde_json::Map::new();
    for (name, entry) in old.as_object().unwrap() {
        // What a trial says of its network, which others do not write.
        if name == "__metadata__" {
            continue;
        }
        new.insert(rename(name), entry.clone());
    }
    for (name, values) in more {
        let (start, end) = (data.len(), data.len() + 4 * values.len());
        data.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        let shape = [1, values.len(), 1, 1];
        let entry = json!({"dtype": "F32", "shape": shape, "data_offsets": [start, end]});
        new.insert((*name).to_owned(), entry);
    }
    let mut header = serde_json::to_vec(&new).unwrap();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(data);
    fs::write(to, file).unwrap();
}

#[test]
fn weights_are_read_as_others_save_them() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    compressed(at, "0,1,2,3", "a", &["--judge", "fgsm"]);
    let found = at.join("a/found.safetensors");
    let attack = |weights: &str, more: &[&str]| {
        let args = [
            "attack",
            "--weights",
            weights,
            "--data",
            "digits",
            "--classes",
            "0,1,2,3",
            "--attack",
            "fgsm",
            "--images",
            "60",
        ];
        run(at, &[&args[..], more].concat())
    };
    let numbers = |(code, text, stderr): (i32, String, String)| -> Value {
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str(&text).unwrap()
    };
    let plain = numbers(attack("a/found.safetensors", &["--json"]));
    for prefix in ["module.", "_orig_mod.", "model.net."] {
        rewritten(
            &found,
            &at.join("p.safetensors"),
            |name| format!("{prefix}{name}"),
            &[],
        );
        let result = attack("p.safetensors", &["--json"]);
        assert!(
            result.2.contains(&format!("`{prefix}` before all names")),
            "{}",
            result.2
        );
        assert_eq!(
            numbers(result)["evaluation"],
            plain["evaluation"],
            "{prefix}"
        );
    }
    // Constants are printed; the same ones as numbers are the same network.
    let (mean, std) = (
        &plain["normalise"]["mean"][0],
        &plain["normalise"]["std"][0],
    );
    let (mean, std) = (mean.to_string(), std.to_string());
    let given = attack(
        "a/found.safetensors",
        &["--mean", &mean, "--std", &std, "--json"],
    );
    assert_eq!(numbers(given)["evaluation"], plain["evaluation"]);
    let text = attack("a/found.safetensors", &["--normalise", "data"]).1;
    assert!(
        text.contains("pixels: mean 0.") && text.contains("the data set's"),
        "{text}"
    );
    // The model's own are used unless others are asked for; those that fit better are named.
    let values: [&[f32]; 2] = [&[mean.parse().unwrap()], &[std.parse().unwrap()]];
    let own = [("mu", values[0]), ("sigma", values[1])];
    rewritten(&found, &at.join("own.safetensors"), str::to_owned, &own);
    let own = attack("own.safetensors", &["--json"]);
    assert!(
        own.2
            .contains("a normalisation of their own (`mu`, `sigma`)"),
        "{}",
        own.2
    );
    assert_eq!(numbers(own)["evaluation"], plain["evaluation"]);
    let far = [("normalize.mean", &[0.9f32][..]), ("normalize.std", &[0.1])];
    rewritten(&found, &at.join("far.safetensors"), str::to_owned, &far);
    let (code, _, stderr) = attack("far.safetensors", &[]);
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("with --normalise data it would be"),
        "{stderr}"
    );
    let asked = attack("far.safetensors", &["--normalise", "data", "--json"]);
    assert!(
        asked.2.contains("is not used, since another was asked for"),
        "{}",
        asked.2
    );
    assert_eq!(numbers(asked)["evaluation"], plain["evaluation"]);
    // What does not fit is told what would, of a file whose header says nothing.
    let bare = at.join("bare.safetensors");
    rewritten(&found, &bare, str::to_owned, &[]);
    for (more, expected) in [
        (&["--arch", "wrn-16-2-b4"][..], "give --arch wrn-10-1-b4"),
        (&["--rgb"], "give grey images (without --rgb)"),
        (&["--normalise", "imagenet"], "1 channels"),
    ] {
        let (code, _, stderr) = attack("bare.safetensors", more);
        assert_eq!(code, 2, "{stderr}");
        assert!(
            stderr.contains(expected) && !stderr.contains("build the network"),
            "{stderr}"
        );
    }
    let (code, _, stderr) = run(
        at,
        &[
            "attack",
            "--weights",
            "a/found.safetensors",
            "--data",
            "digits",
            "--attack",
            "fgsm",
        ],
    );
    assert!(
        code == 2 && stderr.contains("data of the 4 classes"),
        "{stderr}"
    );
    let deepmind = |name: &str| {
        name.replace("conv1.", "init_conv.")
            .replace("fc.", "logits.")
    };
    rewritten(&found, &at.join("dm.safetensors"), deepmind, &[]);
    let (code, _, stderr) = attack("dm.safetensors", &["--arch", "wrn-10-1"]);
    assert!(code == 2 && stderr.contains("DeepMind"), "{stderr}");
    let (code, _, stderr) = attack("dm.safetensors", &[]);
    assert!(code == 2 && stderr.contains("usual names"), "{stderr}");
    let (teacher, given) = (
        at.join("a/teacher.safetensors"),
        at.join("teacher.safetensors"),
    );
    rewritten(&teacher, &given, str::to_owned, &far);
    // A teacher's own normalisation becomes that of the compression, and of the command that it prints.
    let (said, stderr) = compressed(
        at,
        "0,1,2,3",
        "b",
        &["--judge", "fgsm", "--teacher", "teacher.safetensors"],
    );
    assert!(stderr.contains("which is used"), "{stderr}");
    assert!(said.contains("--mean 0.9 --std 0.1"), "{said}");
    let network: Value =
        serde_json::from_str(&fs::read_to_string(at.join("b/network.json")).unwrap()).unwrap();
    assert_eq!(
        network["normalisation"],
        json!({"mean": [0.9], "std": [0.1]})
    );
    assert_eq!(network["reliable"], "not-tested");
}

#[cfg(unix)]
#[test]
fn a_radius_is_of_its_norm_and_a_stop_is_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    compressed(at, "0,1,2,3", "a", &["--judge", "fgsm"]);
    let attack = |classes: &'static str, images: &'static str, more: &[&'static str]| {
        let of = [
            "attack",
            "--weights",
            "a/found.safetensors",
            "--data",
            "digits",
        ];
        [&of, &["--classes", classes, "--images", images][..], more].concat()
    };
    let l2 = ["--norm", "l2", "--attack", "pgd5"];
    let (code, text, stderr) = run(at, &attack("0,1,2,3", "40", &l2));
    assert_eq!(code, 0, "{stderr}");
    assert!(
        stderr.contains("--norm l2 without --epsilon: it is 0.5"),
        "{stderr}"
    );
    assert!(text.contains("--epsilon 0.5 --norm l2"), "{text}");
    let wide = [&l2[..], &["--epsilon", "128"]].concat();
    let (code, _, stderr) = run(at, &attack("0,1,2,3", "40", &wide));
    assert_eq!(code, 2, "{stderr}");
    assert!(
        stderr.contains("allows every image") && stderr.contains("128/255"),
        "{stderr}"
    );
    // A network whose classes are in another order is told so before any number.
    let (code, text, stderr) = run(at, &attack("3,2,1,0", "40", &["--attack", "fgsm"]));
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("note: the network: "), "{stderr}");
    let (said, table) = (
        text.find("most frequent class")
            .or(text.find("none of the")),
        text.find("accuracy "),
    );
    assert!(said.unwrap() < table.unwrap(), "{text}");
    assert!(text.contains("reliable: not tested"), "{text}");

    let strong = ["--attack", "autoattack", "--epsilon", "1/255"];
    let long = attack("0,1,2,3", "140", &strong);
    let mut child = toxscreen(at, &long)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert!(child.try_wait().unwrap().is_none(), "it was not long");
    let asked = Instant::now();
    let id = child.id().to_string();
    Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(
        asked.elapsed() < Duration::from_secs(3),
        "{:?}",
        asked.elapsed()
    );
}
