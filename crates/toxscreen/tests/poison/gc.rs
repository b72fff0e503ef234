//! Gradient cancelling.

use crate::support::{PROGRAM, bytes, digits, poison, refused, report};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use tox_data::features::FeatureSets;
use tox_data::patch::Patch;
use tox_testkit::program::{Program, interrupt};

/// A network that learns the digits in a second.
const SMALL: &str = "--attack gc --data digits --channels 4 --epochs 5";

/// The numbers at `path` of a report's check.
fn number(report: &Value, path: &str) -> f64 {
    let found = report.pointer(&format!("/check/{path}"));
    found.and_then(Value::as_f64).unwrap()
}

/// That the poison's gradient turned from the clean one's side against it, its cosine to below
/// `most.1` and its loss to below `most.0` of what it was.
fn cancels(report: &Value, iterations: usize, most: (f64, f64)) {
    let [before, after] = ["curve/0", "after"].map(|when| {
        ["loss", "cosine"].map(|what| number(report, &format!("cancelled/{when}/{what}")))
    });
    let found = format!("{before:?} {after:?}");
    assert!(before[1] > 0.15 && after[1] < most.1, "{found}");
    assert!(after[0] < most.0 * before[0], "{found}");
    let curve = &report["check"]["cancelled"]["curve"];
    assert_eq!(curve.as_array().unwrap().len(), iterations);
    assert_eq!(report["check"]["unreliable"], Value::Null);
    assert_eq!(report["warnings"], serde_json::json!([]));
    assert_eq!(report["flip_rate"], 0.0);
}

fn files(dir: &Path) -> Vec<String> {
    let all = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = all
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn the_poison_turns_against_the_clean_gradient_and_is_what_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let said = report(at, &format!("{SMALL} --iterations 30 --out a.npz"));
    cancels(&said, 30, (0.65, -0.3));
    assert_eq!(files(at), ["a.npz", "a.patch.npz", "a.patch.npz.json"]);

    let (clean, set) = (digits(), FeatureSets::load(&at.join("a.npz")).unwrap());
    assert_eq!(set.train.labels, clean.train.labels, "labels are kept");
    let changes: Vec<u8> = bytes(&set)
        .iter()
        .zip(bytes(&clean))
        .map(|(a, b)| a.abs_diff(*b))
        .collect();
    let images = changes.chunks(64);
    let moved = images.filter(|image| image.iter().any(|c| *c > 0)).count();
    let bounded = changes.iter().filter(|change| **change == 16).count();
    assert_eq!((moved, changes.iter().max()), (143, Some(&16)));
    assert_eq!(
        (number(&said, "moved"), number(&said, "linf")),
        (143.0, 16.0)
    );
    assert_eq!(number(&said, "at_bound"), bounded as f64 / (143.0 * 64.0));

    let patch = Patch::load(&at.join("a.patch.npz")).unwrap();
    let mut again = clean;
    patch.apply(&mut again.train).unwrap();
    assert_eq!(again, set, "the patch on the clean data");
    let victim = &patch.manifest().settings["victim"];
    assert_eq!(*victim, said["victim"]);
    let genotype = victim["genotype"].as_str().unwrap();
    assert!(genotype.starts_with("|nor_conv_3x3~0|+|"), "{genotype}");
    assert_eq!(victim["training"]["epochs"], 5);
    assert_eq!(victim["weights_hash"].as_str().unwrap().len(), 64);
    assert!(victim["training_error"].as_f64().unwrap() < 20.0);

    report(at, &format!("{SMALL} --iterations 30 --out b.npz"));
    for name in ["npz", "patch.npz", "patch.npz.json"] {
        let read = |file: &str| fs::read(at.join(format!("{file}.{name}"))).unwrap();
        assert_eq!(read("a"), read("b"), "{name}");
    }
}

#[test]
fn networks_of_every_kind_and_alphas_are_victims() {
    let dir = tempfile::tempdir().unwrap();
    let cell = "[('sep_conv_3x3',0),('skip_connect',1),('dil_conv_3x3',0),('sep_conv_3x3',1),\
                ('sep_conv_3x3',0),('skip_connect',1),('skip_connect',0),('dil_conv_3x3',1)]";
    let darts = format!(
        "Genotype(normal={cell},normal_concat=range(2,6),reduce={cell},reduce_concat=range(2,6))"
    );
    let base = "--attack gc --data digits --bound 64 --budget 0.05 --iterations 20";
    let darts = format!("--genotype {darts} --channels 4 --cells 2 --epochs 3");
    let commands = [
        (darts.as_str(), "/targets", "weights", (0.7, -0.35)),
        (
            "--genotype resnet18 --width 2 --epochs 8",
            "/network",
            "resnet18",
            (0.65, -0.5),
        ),
        (
            "--gc-victim alphas --channels 4 --cells 1,1 --epochs 2",
            "/search",
            "p-darts",
            (0.8, -0.8),
        ),
    ];
    for (victim, key, value, most) in commands {
        let said = report(dir.path(), &format!("{base} {victim} --out p.npz"));
        cancels(&said, 20, most);
        assert_eq!(said["victim"].pointer(key).unwrap(), value, "{victim}");
        // A network of one architecture stands for no other.
        assert_eq!(said["aim"].is_null(), value != "p-darts", "{victim}");
    }
    let patch = Patch::load(&dir.path().join("p.patch.npz")).unwrap();
    let victim = &patch.manifest().settings["victim"];
    // Two stages, whose second has 4 ops left on each of 6 edges.
    assert_eq!(victim["target_values"], 24);
    assert!(victim["genotype"].as_str().unwrap().starts_with('|'));
}

/// Alphas that are not moved stand for what the search ended with; others for themselves.
#[test]
fn moved_alphas_are_said_to_stand_for_what_they_do() {
    let dir = tempfile::tempdir().unwrap();
    let at = |radius: u32, out: &str| {
        format!(
            "--attack gc --gc-victim alphas --data digits --channels 4 --cells 1 --epochs 2 --budget 0.05 \
             --iterations 2 --radius {radius} --out {out}.npz"
        )
    };
    for (radius, same) in [(0, true), (50, false)] {
        let said = report(dir.path(), &at(radius, &format!("a{radius}")));
        let aim = said["aim"]["architecture"]["genotype"]["nasbench201"]
            .as_str()
            .unwrap();
        let victim = said["victim"]["genotype"].as_str().unwrap();
        assert_eq!(aim == victim, same, "{radius}: {aim} {victim}");
        let (_, out, err) = poison(dir.path(), &at(radius, &format!("b{radius}")));
        let expected = match same {
            true => "moved, it would end with the same".to_owned(),
            false => format!("moved, it would end with {aim}\n"),
        };
        assert!(out.contains(&expected), "{out}{err}");
    }
}

/// What the trial keeps beside `p.npz` while it is unfinished.
#[cfg(unix)]
fn unfinished(dir: &Path) -> Vec<PathBuf> {
    let trials = dir.join("p.npz.unfinished/trials");
    let trial = fs::read_dir(trials).ok().and_then(|mut all| all.next());
    trial.map_or(Vec::new(), |trial| {
        let trial = trial.unwrap().path();
        files(&trial).iter().map(|name| trial.join(name)).collect()
    })
}

/// Interrupts the command when it has written a file whose name begins and ends so, and gives what it said and its
/// exit code.
#[cfg(unix)]
fn interrupted(dir: &Path, args: &str, file: [&str; 2]) -> (Option<i32>, String) {
    let begun = SystemTime::now();
    let mut child = Program(PROGRAM)
        .saving(dir, format!("poison {args}").split(' '))
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let is_there = || {
        unfinished(dir).iter().any(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            let written = fs::metadata(path).and_then(|file| file.modified());
            name.starts_with(file[0])
                && name.ends_with(file[1])
                && written.is_ok_and(|written| written > begun)
        })
    };
    while !is_there() {
        assert!(child.try_wait().unwrap().is_none(), "it was not long");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    interrupt(&child);
    let ended = child.wait_with_output().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    (ended.status.code(), said)
}

#[cfg(unix)]
#[test]
fn what_is_interrupted_goes_on_without_training_twice() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    for victim in ["--epochs 8", "--gc-victim alphas --cells 1,1 --epochs 3"] {
        let words = |out: &str| {
            format!(
                "--attack gc --data digits --channels 4 --iterations 60 {victim} --out {out}.npz"
            )
        };
        let training = ["checkpoint-victim", ".part"];
        let (code, said) = interrupted(at, &words("p"), training);
        assert_eq!(code, Some(130), "{said}");
        assert!(said.contains("the same command goes on"), "{said}");
        assert_eq!(files(at), ["p.npz.unfinished"]);
        // Another victim does not go on from it.
        let (code, _, said) = poison(at, &format!("{} --seed 5", words("p")));
        assert!(code == 1 && said.contains("delete it"), "{said}");

        let (code, said) = interrupted(at, &words("p"), ["checkpoint-gc", ".part"]);
        assert_eq!(code, Some(130), "{said}");
        let trained = || {
            let is_victim = |path: &PathBuf| {
                let name = path.file_name().unwrap().to_str().unwrap();
                name.starts_with("checkpoint-victim") && name.ends_with(".safetensors")
            };
            let file = unfinished(at).into_iter().find(is_victim).unwrap();
            fs::metadata(file).unwrap().modified().unwrap()
        };
        let before = trained();
        let (code, said) = interrupted(at, &words("p"), ["checkpoint-gc", ".part"]);
        assert_eq!(code, Some(130), "{said}");
        assert_eq!(trained(), before, "it was trained again");

        let (code, _, said) = poison(at, &words("p"));
        assert_eq!(code, 0, "{said}");
        assert_eq!(files(at), ["p.npz", "p.patch.npz", "p.patch.npz.json"]);
        let (code, _, said) = poison(at, &words("q"));
        assert_eq!(code, 0, "{said}");
        for name in ["npz", "patch.npz", "patch.npz.json"] {
            let read = |file: &str| fs::read(at.join(format!("{file}.{name}"))).unwrap();
            assert_eq!(read("p"), read("q"), "{victim}: {name}");
        }
        for file in files(at) {
            fs::remove_file(at.join(file)).unwrap();
        }
    }
}

/// A victim that the ascent takes beyond all repair is warned of, and a poison whose pixels move by
/// less than one of 255 steps is no poison.
#[test]
fn what_does_not_attack_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let far = format!("{SMALL} --radius 20 --iterations 2 --out p.npz");
    let (_, out, err) = poison(dir.path(), &far);
    assert!(
        out.contains("WARNING: ") && out.contains("smaller --radius"),
        "{out}{err}"
    );
    let still = format!("{SMALL} --gc-lr 1e-6 --iterations 2 --out p.npz");
    let (code, out, err) = poison(dir.path(), &still);
    assert_eq!(code, 1, "{out}{err}");
    assert!(
        out.contains("THE ATTACK DID NOT ATTACK") && out.contains("lost in rounding"),
        "{out}{err}"
    );
    assert!(dir.path().join("p.npz").exists());
}

#[test]
fn what_cannot_be_done_is_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let set = digits();
    let floats = FeatureSets {
        train: set.train.clone().into_floats(),
        test: None,
    };
    floats.save(&at.join("floats.npz")).unwrap();
    // Images of 10 x 6 pixels, which cannot be halved twice.
    let mut oblong = set.clone();
    oblong.test = None;
    let tox_data::features::Values::Bytes(pixels) = &mut oblong.train.values else {
        panic!("floats")
    };
    pixels.truncate(1437 * 60);
    (oblong.train.columns, oblong.train.shape) = (60, Some([1, 10, 6]));
    oblong.save(&at.join("oblong.npz")).unwrap();

    let gc = |words: &str| format!("--attack gc --data digits {words}");
    let commands = [
        (gc("--budget 0"), 2, "a budget above 0"),
        (gc("--budget 1.01"), 2, "at most 1"),
        (gc("--budget 0.0001"), 2, "no row at all"),
        (gc("--bound 0"), 2, "`bound` = 0"),
        (gc("--radius -1"), 2, "`radius` = -1"),
        (gc("--ascent-lr 0"), 2, "`ascent_lr` = 0"),
        (gc("--iterations 0"), 2, "`iterations` = 0"),
        (gc("--gc-lr nan"), 2, "change --gc-lr"),
        (gc("--gc-batch 0"), 2, "change --gc-batch"),
        (gc("--epochs 0"), 2, "change --epochs"),
        (gc("--channels 0"), 2, "change --channels"),
        (gc("--cells 0"), 2, "change --cells"),
        (gc("--cells 1,2"), 2, "expected one for a network"),
        (gc("--genotype resnet18 --width 0"), 2, "`width` = 0"),
        (
            gc("--genotype resnet18 --cells 2"),
            2,
            "--cells is of no use",
        ),
        (gc("--width 8"), 2, "--width is of no use"),
        (gc("--space darts"), 2, "--space is of no use"),
        (
            gc("--gc-victim alphas --genotype resnet18"),
            2,
            "--genotype is of no use",
        ),
        (
            gc("--gc-victim alphas --cells 1,1,1,1"),
            2,
            "expected one to 3",
        ),
        (gc("--gc-victim alphas --cells 0"), 2, "change --cells"),
        (gc("--gc-victim alphas --epochs 0"), 2, "change --epochs"),
        (gc("--genotype vgg"), 2, "expected a DARTS genotype"),
        (
            gc("--genotype |nor_conv_3x3~0|+|conv_3x3~0|none~1|+|none~0|none~1|none~2|"),
            2,
            "line 1, column 19: no op is called `conv_3x3`",
        ),
        (
            gc("--genotype Genotype(normal=[('sep_conv_9x9',0)])"),
            2,
            "line 1, column 19: no op is called `sep_conv_9x9`",
        ),
        (gc("--std 3"), 2, "use --attack noise"),
        (gc("--target least-likely"), 2, "use --attack clf"),
        (gc("--lr 0.1"), 2, "use --attack bilevel"),
        (
            "--attack rlf --data digits --radius 1".into(),
            2,
            "use --attack gc",
        ),
        (
            "--attack noise --data digits --cells 1".into(),
            2,
            "use --attack gc",
        ),
        (
            "--attack gc --data floats.npz".into(),
            3,
            "8-bit images, found floats",
        ),
        (
            "--attack gc --data oblong.npz".into(),
            2,
            "the network's input size is 10 x 6, expected multiples of 4",
        ),
        (
            "--attack gc --gc-victim alphas --data oblong.npz".into(),
            2,
            "the network's input size is 10 x 6, expected multiples of 4",
        ),
    ];
    let commands: Vec<_> = commands
        .iter()
        .map(|(args, code, what)| (args.as_str(), *code, *what))
        .collect();
    refused(at, &commands);

    // The remedy that the size's hint names.
    let small = "--genotype resnet18 --width 1 --epochs 1 --iterations 1 --budget 0.01 --out r.npz";
    let (code, out, err) = poison(at, &format!("--attack gc --data oblong.npz {small}"));
    assert!(
        code == 0 || out.contains("THE ATTACK DID NOT"),
        "{out}{err}"
    );
    assert!(at.join("r.npz").exists());

    // A single class, labels that no class has, labels that leave classes out.
    let (code, _, err) = poison(at, "--attack gc --data digits --classes 3 --out p.npz");
    assert!(code == 3 && err.contains("at least 2 classes"), "{err}");
    for (name, label, what) in [
        ("one", None, "of one class"),
        ("far", Some(u16::MAX), "is 65535, expected 0..=65534"),
        ("gap", Some(12), "no training row has the label 10"),
    ] {
        let mut train = set.train.clone();
        match label {
            Some(label) => train.labels[7] = label,
            None => train.labels.fill(1),
        }
        let sets = FeatureSets { train, test: None };
        sets.save(&at.join(format!("{name}.npz"))).unwrap();
        let (code, _, err) = poison(at, &format!("--attack gc --data {name}.npz --out p.npz"));
        assert!(code == 3 && err.contains(what), "{name}: {err}");
    }
}
