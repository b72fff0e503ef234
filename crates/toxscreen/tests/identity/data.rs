//! Data that change under a study.

use super::{RECIPE, save_digits, scene, toxscreen, trials};
use std::fs;
use std::path::Path;

/// The hashes in a refusal: the old one and the new one.
fn hashes(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_hexdigit());
    words.filter(|w| w.len() == 64).collect()
}

#[test]
fn data_that_changed_under_a_study_are_refused_by_run_and_called_bad_by_verify() {
    let dir = scene(RECIPE);
    let at = dir.path();
    toxscreen(at, "run r.toml --out s").must(0, &["4 of them now"]);
    let plan = toxscreen(at, "plan r.toml --json").stdout;
    let ids: Vec<String> = trials(&at.join("s"))
        .iter()
        .map(|t| t.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    assert!(ids.iter().all(|id| plan.contains(id)), "{plan}");
    toxscreen(at, "verify s").must(0, &["0 bad; 4 the same"]);

    let old = fs::read(at.join("data.npz")).unwrap();
    save_digits(&at.join("data.npz"), 1);
    for words in [
        "run r.toml --out s",
        "run r.toml --out s --seeds 0..3",
        "run s/study.toml --out s",
    ] {
        let said = toxscreen(at, words);
        said.must(3, &["data.npz", "--out", "put the old"]);
        let found = hashes(&said.stderr);
        assert!(found.len() == 2 && found[0] != found[1], "{}", said.stderr);
    }
    toxscreen(at, "verify s --no-rerun").must(1, &["data.npz", "DAMAGED", "changed"]);
    toxscreen(at, "verify s").must(1, &["FAILED", "data.npz changed"]);
    fs::rename(at.join("data.npz"), at.join("away.npz")).unwrap();
    toxscreen(at, "verify s").must(4, &["0 bad", "4 that cannot be told", "data.npz"]);
    fs::rename(at.join("away.npz"), at.join("data.npz")).unwrap();
    toxscreen(at, "report s").must(
        0,
        &["warning: the data", "data.npz changed", "the old ones"],
    );
    // The trial itself looks too.
    let trial = trials(&at.join("s"))[0].clone();
    fs::remove_file(trial.join("record.json")).unwrap();
    let spec = trial.join("spec.json");
    let words = format!("trial {} --out {}", spec.display(), trial.display());
    toxscreen(at, &words).must(3, &["data.npz changed"]);
    // In a folder of their own they are a study like any other.
    let plan = toxscreen(at, "plan r.toml --json").stdout;
    assert!(!ids.iter().any(|id| plan.contains(id)), "{plan}");
    toxscreen(at, "run r.toml --out other").must(0, &["4 of them now"]);
    // The old file goes on where it was.
    fs::write(at.join("data.npz"), old).unwrap();
    toxscreen(at, "run r.toml --out s --seeds 0..3").must(0, &["6 of 6 trials done"]);
    toxscreen(at, "verify s --no-rerun").must(0, &["0 bad"]);
}

#[test]
fn the_hash_is_of_the_content_and_not_of_the_file() {
    let dir = scene(RECIPE);
    let at = dir.path();
    let id = |words: &str| {
        let plan = toxscreen(at, words);
        plan.must(0, &[]);
        let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
        let spec = &plan["trials"][0]["spec"];
        spec["data"]["hash"].as_str().unwrap().to_owned()
    };
    let first = id("plan r.toml --json");
    assert_eq!(first.len(), 64);
    // Of a set that is known by its name too.
    let digits = id("plan r.toml --json --set data.dataset=digits");
    assert_ne!(first, digits);
    assert_ne!(
        digits,
        id("plan r.toml --json --set data.dataset=digits --set data.classes=[3,8]")
    );
    // Cut otherwise it is the same content.
    assert_eq!(first, id("plan r.toml --json --set data.train=50"));
}

#[test]
fn a_plan_says_which_data_are_missing_and_run_starts_nothing_without_them() {
    let dir = scene(&RECIPE.replace("data.npz", "cifar10"));
    let at = dir.path();
    let words = "--data-dir nowhere";
    toxscreen(at, &format!("plan r.toml {words}")).must(
        0,
        &[
            "4 trials",
            "ids are not final",
            "toxscreen data fetch cifar10",
        ],
    );
    let plan = toxscreen(at, &format!("plan r.toml {words} --json"));
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!(plan["unread"].as_array().unwrap().len(), 1);
    fs::write(
        at.join("spec.json"),
        serde_json::to_string(&plan["trials"][0]["spec"]).unwrap(),
    )
    .unwrap();
    toxscreen(at, "trial spec.json --out t").must(2, &["does not name cifar10 by content"]);
    toxscreen(at, &format!("run r.toml {words}")).must(3, &["toxscreen data fetch cifar10"]);
    assert!(!at.join("runs").exists());
}

fn picture(path: &Path, shade: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let pixels: Vec<u8> = (0..64).map(|i| shade.wrapping_add(3 * i)).collect();
    image::save_buffer(path, &pixels, 8, 8, image::ColorType::L8).unwrap();
}

#[test]
fn a_picture_that_changed_in_a_folder_is_noticed() {
    let small = RECIPE
        .replace("data.npz", "pictures")
        .replace("train = 60\nvalid = 20\ntest = 20", "train = 12\nvalid = 4");
    let dir = scene(&small);
    let at = dir.path();
    for class in ["a", "b"] {
        for i in 0..12 {
            let shade = if class == "a" { i } else { 100 + i };
            picture(&at.join(format!("pictures/{class}/{i}.png")), shade);
        }
    }
    toxscreen(at, "run r.toml --out s").must(0, &["4 of 4 trials done"]);
    picture(&at.join("pictures/a/3.png"), 200);
    toxscreen(at, "run r.toml --out s").must(3, &["pictures", "hash", "--out"]);
    toxscreen(at, "verify s --no-rerun").must(1, &["pictures", "DAMAGED"]);
    picture(&at.join("pictures/a/3.png"), 3);
    toxscreen(at, "run r.toml --out s").must(0, &["0 of them now"]);
    // A file more is another set too.
    picture(&at.join("pictures/b/new.png"), 7);
    toxscreen(at, "run r.toml --out s").must(3, &["pictures"]);
}

/// Data that meta-training reads, and those that a compression reads.
#[test]
fn other_sets_of_a_trial_are_named_by_content_too() {
    let dir = scene("");
    let at = dir.path();
    let words = "compress --arch d1,1,2-w2,2,1-r000-b4 --budget 90% --data digits --evaluations 1 --epochs 1 \
                 --final-epochs 1 --batch 32 --images 20 --train 64 --epsilon 16/255 --training standard \
                 --method random --attack fgsm --judge fgsm --threads 1 --out c";
    let own = words.replace("--data digits", "--data data.npz");
    toxscreen(at, &own).must(0, &[]);
    toxscreen(at, &own).must(0, &[]);
    save_digits(&at.join("data.npz"), 1);
    let said = toxscreen(at, &own);
    said.must(3, &["data.npz", "--out"]);
    assert_eq!(hashes(&said.stderr).len(), 2, "{}", said.stderr);

    fs::write(
        at.join("meta.toml"),
        r#"
name = "meta"
seeds = [0]
[data]
dataset = "digits"
train = 64
valid = 20
[learner]
kind = "rc-nas"
teacher = "d1,1,2-w2,2,1-r000-b4"
budget = { share = 0.9 }
search.method = "rc-nas"
[[learner.meta.data]]
dataset = "data.npz"
train = 60
valid = 20
[[cell]]
label = "rc-nas"
[[cell]]
label = "random"
learner.search.method = "random"
"#,
    )
    .unwrap();
    let plan = || {
        let said = toxscreen(at, "plan meta.toml --json");
        said.must(0, &[]);
        let plan: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
        ["0", "1"].map(|i| plan["trials"][i.parse::<usize>().unwrap()].clone())
    };
    let [first, control] = plan();
    save_digits(&at.join("data.npz"), 2);
    let [second, same] = plan();
    let hash =
        |trial: &serde_json::Value| trial["spec"]["learner"]["meta"]["data"][0]["hash"].clone();
    assert!(hash(&first).is_string() && hash(&first) != hash(&second));
    assert_ne!(first["trial"], second["trial"]);
    // What a control does not read is no part of it, nor need it be there.
    assert_eq!(control["trial"], same["trial"]);
    fs::remove_file(at.join("data.npz")).unwrap();
    assert_eq!(plan()[1]["trial"], same["trial"]);
}
