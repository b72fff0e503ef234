//! Networks that trials found, and networks of others that are no WideResNets.

use super::{PROGRAM, rewritten, run};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tox_testkit::program::{folder, read, trials};

/// The recipe of one of `recipes/compose` with these cells, one attack of five steps, on few images.
fn recipe(text: &str, cells: &str) -> String {
    let end = ["[[grid]]", "[[cell]]"]
        .iter()
        .filter_map(|table| text.find(table))
        .min()
        .unwrap();
    let text = text[..end].replace("\"autoattack\"", "\"pgd5\"");
    assert!(text.contains("pgd5"));
    format!("{text}{cells}")
}

/// Every network that the trials of a recipe found is attacked again, from its file alone.
fn attacked_again(recipe: &str, images: &str, train: &str, names: &[&str]) {
    let dir = folder("r.toml", recipe);
    let at = dir.path();
    PROGRAM.words(at, "run r.toml --out s").must(0, &[]);
    let mut seen = Vec::new();
    for trial in trials(&at.join("s")) {
        let outcome = read(&trial.join("record.json"))["outcome"].clone();
        let weights = trial.join("found.safetensors");
        let args = |weights: &Path| {
            format!(
                "attack --weights {} --data digits --train {train} --valid 100 --attack pgd5 --epsilon 8/255 \
                 --images {images}",
                weights.display()
            )
        };
        let again = PROGRAM.json(at, &args(&weights), 0);
        assert_eq!(
            again["evaluation"],
            outcome["attacked"],
            "{}",
            weights.display()
        );
        let counted = match &outcome["parameters"] {
            Value::Null => &outcome["evaluation"]["counts"]["params"],
            counted => counted,
        };
        assert_eq!(again["parameters"], *counted);
        if let Some(macs) = outcome["evaluation"]["counts"].get("macs") {
            assert_eq!(again["macs"], *macs);
        }
        // Without what the trial wrote into it, it is said what the file does not say.
        let (plain, arch) = (
            at.join("plain.safetensors"),
            again["arch"].as_str().unwrap(),
        );
        rewritten(&weights, &plain, str::to_owned, &[]);
        let name = arch.split(':').next().unwrap();
        PROGRAM
            .words(at, &args(&plain))
            .must(2, &["give --arch", name]);
        let words = args(&plain);
        let words: Vec<&str> = words.split(' ').chain(["--json", "--arch", arch]).collect();
        let (code, text, stderr) = run(at, &words);
        assert_eq!(code, 0, "{stderr}");
        let given: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(given["evaluation"], outcome["attacked"]);
        seen.push(name.to_owned());
    }
    seen.sort();
    assert_eq!(seen, names);
    PROGRAM.words(at, "verify s").must(0, &[]);
    // A file that was changed is no longer what the trial leaves.
    let file = trials(&at.join("s"))[0].join("found.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&file, bytes).unwrap();
    PROGRAM
        .words(at, "verify s --sample 9")
        .must(1, &["is not what the trial leaves"]);
}

#[test]
fn cells_that_a_trial_found_are_attacked_again() {
    let cells = r#"
[[cell]]
label = "nasbench201"
learner.search = "random"
[[cell]]
label = "darts"
learner = { search = "random", space = "darts", random.cells = 3, train = { channels = 2, cells = 3, auxiliary_weight = 0 }, te-nas.prune = 6, robot.cells = 3, nsganetv2.cells = 3, p-darts.stages = [{ cells = 3, ops = 8, skip_dropout = 0.1 }, { cells = 3, ops = 3, skip_dropout = 0.4 }] }
"#;
    let text = include_str!("../../../../recipes/compose/nas-attack.toml");
    attacked_again(&recipe(text, cells), "30", "300", &["darts", "nasbench201"]);
    // An elastic network has no cells.
    let bare = text.replace("channels = 6\ncells = 1\n", "");
    assert_ne!(bare, text);
    let elastic = r#"
[[cell]]
label = "elastic"
learner = { search = "random", space = "elastic", elastic = { width = 0.1, resolutions = [8, 12], small = true } }
"#;
    attacked_again(&recipe(&bare, elastic), "30", "300", &["elastic"]);
}

#[test]
fn children_of_enas_are_attacked_again() {
    let cells = "[[cell]]\nlabel = \"clean\"\n[[cell]]\nlabel = \"space\"\n\
                 threat.space = { kind = \"bad-ops\", set = \"P1\", q = 20 }\n";
    let text = include_str!("../../../../recipes/compose/enas-surfaces.toml");
    attacked_again(&recipe(text, cells), "40", "400", &["enas", "enas"]);
}

/// The network of the fixture, which PyTorch's own is held against in `tox-nn`.
#[test]
fn a_resnet_is_taken_with_the_names_of_both_usual_codes() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let fixture =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../tox-nn/tests/fixtures/resnet.safetensors");
    rewritten(
        &fixture,
        &at.join("torchvision.safetensors"),
        str::to_owned,
        &[],
    );
    let others = |name: &str| {
        format!(
            "module.{}",
            name.replace("fc.", "linear.")
                .replace(".downsample.", ".shortcut.")
        )
    };
    rewritten(&fixture, &at.join("cifar.safetensors"), others, &[]);
    let attack = |weights: &str, more: &str| {
        let words = format!(
            "attack --weights {weights}.safetensors --data digits --classes 0,1,2,3,4 --rgb --attack pgd5 --images 40{more}"
        );
        PROGRAM.json(at, &words, 0)
    };
    let ours = attack("torchvision", "");
    assert_eq!(ours["arch"], "resnet-18");
    assert_eq!(attack("cifar", "")["evaluation"], ours["evaluation"]);
    assert_eq!(
        attack("cifar", " --arch resnet18")["evaluation"],
        ours["evaluation"]
    );
    let grey = "attack --weights cifar.safetensors --data digits --classes 0,1,2 --attack fgsm";
    PROGRAM
        .words(at, grey)
        .must(2, &["give --rgb", "data of the 5 classes"]);
}
