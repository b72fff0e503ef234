//! Searches on poisoned data, on real digits: what no poison can reach stays as it is, steps that
//! trials share change nothing, and what cannot be run is refused. What is killed goes on: `kills.rs`.
#![allow(clippy::unwrap_used)]

mod given;

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use tox_testkit::program::{Program, folder, records};

const TOXSCREEN: Program = Program(env!("CARGO_BIN_EXE_toxscreen"));

const RECIPE: &str = concat!(
    "name = \"nas\"\nseeds = [3]\n",
    include_str!("../recipes/searches.toml"),
    include_str!("../recipes/grid.toml")
);

fn toxscreen(dir: &Path, args: &[&str]) -> Command {
    TOXSCREEN.saving(dir, args)
}

fn study(recipe: &str) -> tempfile::TempDir {
    folder("recipe.toml", recipe)
}

fn run(dir: &Path, out: &str, options: &[&str]) {
    let args = [&["run", "recipe.toml", "--out", out], options].concat();
    let ended = toxscreen(dir, &args).output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{out} {options:?}: {said}");
}

/// What `run recipe.toml` says of a recipe that it refuses.
fn refused(recipe: &str) -> String {
    let dir = study(recipe);
    let ended = toxscreen(dir.path(), &["run", "recipe.toml", "--data-dir", "."]).output();
    let ended = ended.unwrap();
    assert!(!ended.status.success(), "{recipe}");
    assert!(!dir.path().join("runs").exists(), "a folder was made");
    String::from_utf8(ended.stderr).unwrap()
}

/// Outcomes by cell.
fn outcomes(dir: &Path, out: &str) -> BTreeMap<String, Value> {
    let outcome = |mut record: Value| {
        let spec = &record["spec"];
        let name = format!("{} {}", spec["cell"], spec["variant"]).replace('"', "");
        (name, record["outcome"].take())
    };
    records(&dir.join(out)).into_iter().map(outcome).collect()
}

#[test]
fn label_poison_does_not_reach_a_search_without_labels() {
    let dir = study(RECIPE);
    run(dir.path(), "run", &["--jobs", "2"]);
    let outcomes = outcomes(dir.path(), "run");
    assert_eq!(outcomes.len(), 16);
    let found = |cell: &str| {
        let outcome = &outcomes[cell];
        serde_json::to_string(&[&outcome["genotype"], &outcome["trace"]]).unwrap()
    };
    // TE-NAS, byte for byte.
    assert_eq!(found("clean te-nas"), found("rlf te-nas"));
    assert_eq!(found("clean te-nas"), found("clf te-nas"));
    for change in outcomes["rlf te-nas"]["diagnostics"]["changes"]
        .as_array()
        .unwrap()
    {
        assert_eq!(change["clean"], change["poisoned"]);
    }
    // The others read them.
    for search in ["p-darts", "robot", "nsganetv2"] {
        for attack in ["rlf", "clf"] {
            let poisoned = found(&format!("{attack} {search}"));
            assert_ne!(found(&format!("clean {search}")), poisoned);
        }
    }
    // What the checks say: 1797 digits, 360 of them for tests.
    let check = |cell: &str| outcomes[cell]["poison"]["check"].clone();
    assert_eq!(check("rlf p-darts")["flipped"], 718);
    assert_eq!(check("rlf p-darts"), check("rlf robot"));
    assert_eq!(check("clf p-darts")["flipped"], 718);
    assert!(
        outcomes["clf robot"]["poison"]["classifier_accuracy"]
            .as_f64()
            .unwrap()
            > 0.1
    );
    for search in ["p-darts", "te-nas", "robot", "nsganetv2"] {
        let check = check(&format!("gc {search}"));
        assert_eq!(
            (&check["points"], &check["flipped"]),
            (&143.into(), &0.into())
        );
        assert!(check["linf"].as_f64().unwrap() <= 16.0);
        let curve = check["cancelled"]["curve"].as_array().unwrap();
        assert_eq!(curve.len(), 2);
        let victim = &outcomes[&format!("gc {search}")]["poison"]["victim"];
        assert_eq!(*victim, outcomes[&format!("clean {search}")]["genotype"]);
        let aim = &outcomes[&format!("gc {search}")]["poison"]["aim"];
        match search {
            "p-darts" => assert!(aim["architecture"]["genotype"]["nasbench201"].is_string()),
            _ => assert!(
                aim["cannot_tell"]
                    .as_str()
                    .unwrap()
                    .contains("no architecture parameters")
            ),
        }
    }
    // A clean trial has no poison to tell of.
    assert_eq!(outcomes["clean robot"]["poison"], Value::Null);

    // Steps that trials shared are made again by `verify`, each for itself.
    let verified = toxscreen(dir.path(), &["verify", "run", "--sample", "16"]).output();
    let verified = verified.unwrap();
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success(), "{said}");
}

/// Without an ascent the poison aims at what the clean search found, whose accuracy is the table's; far uphill at
/// something else. A victim of another seed is what the clean search of that seed leaves.
#[test]
fn gradient_cancelling_says_what_it_aims_at() {
    let grid = RECIPE.find("[[grid]]").unwrap();
    let recipe = RECIPE[..grid].replace("evaluate = \"none\"", "");
    let gc = |label: &str, keys: &str| {
        format!(
            "  {{ label = \"{label}\", threat = {{ kind = \"gc\", budget = 0.1, cancelling = {{ iterations = 1 }}, {keys} }} }},\n"
        )
    };
    let cells = [
        gc("at-rest", "radius = 0"),
        gc("far", "radius = 50"),
        gc("other", "radius = 0, victim_seed = 4"),
    ];
    let cells = format!(
        "[[grid]]\nrows = [\n  {{ label = \"clean\" }},\n{}]\ncolumns = [{{ variant = \"p-darts\", learner.search = \"p-darts\" }}]\n",
        cells.concat()
    );
    let dir = study(&format!("{recipe}{cells}"));
    fs::create_dir(dir.path().join("nasbench201")).unwrap();
    let table = dir.path().join("nasbench201/nasbench201_accuracies.csv");
    fs::write(table, accuracies()).unwrap();
    run(dir.path(), "run", &["--jobs", "2", "--data-dir", "."]);
    let found = outcomes(dir.path(), "run");
    let clean = &found["clean p-darts"];
    let aim = |cell: &str| &found[&format!("{cell} p-darts")]["poison"]["aim"]["architecture"];
    assert_eq!(aim("at-rest")["genotype"], clean["genotype"]);
    for key in ["accuracy", "victim_accuracy"] {
        assert_eq!(aim("at-rest")[key], clean["evaluation"]["accuracy"]);
    }
    assert_ne!(aim("far")["genotype"], clean["genotype"]);
    assert_ne!(aim("far")["accuracy"], aim("far")["victim_accuracy"]);
    assert_eq!(
        aim("far")["victim_accuracy"],
        clean["evaluation"]["accuracy"]
    );

    let recipe = format!("{recipe}{cells}").replace("seeds = [3]", "seeds = [4]");
    fs::write(dir.path().join("recipe.toml"), recipe).unwrap();
    let options = ["--cells", "clean", "--data-dir", "."];
    run(dir.path(), "four", &options);
    let four = &outcomes(dir.path(), "four")["clean p-darts"]["genotype"];
    assert_ne!(*four, clean["genotype"]);
    assert_eq!(found["other p-darts"]["poison"]["victim"], *four);
    assert_eq!(aim("other")["genotype"], *four);
}

/// A table of NAS-Bench-201 whose accuracies tell the cells apart.
fn accuracies() -> String {
    let ops = [
        "none",
        "skip_connect",
        "nor_conv_1x1",
        "nor_conv_3x3",
        "avg_pool_3x3",
    ];
    let mut text = "arch,cifar10_test_200ep,cifar10_val_12ep\n".to_owned();
    for cell in 0..15_625_usize {
        let op = |edge: u32| ops[cell / 5_usize.pow(edge) % 5];
        let [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map(op);
        let accuracy = 20.0 + cell as f64 / 1000.0;
        text += &format!("|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|,{accuracy},{accuracy}\n");
    }
    text
}

#[test]
fn a_defended_search_says_what_the_defence_did() {
    let grid = RECIPE.find("[[grid]]").unwrap();
    let cells = r#"
[[grid]]
rows = [
  { label = "knn", defence = { kind = "knn" } },
  { label = "filter", defence = { kind = "loss-filter", trusted = 100, drop = 0.3, network = { width = 4, steps = 60 } } },
  { label = "denoise", defence = { kind = "denoise", method = "median" } },
  { label = "parts", defence = { kind = "parts", parts = 3 } },
]
columns = [{ learner.search = "robot", threat = { kind = "rlf", budget = 0.3 } }]
"#;
    let recipe = format!("{}{cells}", &RECIPE[..grid]);
    let dir = study(&recipe);
    run(dir.path(), "run", &["--jobs", "2"]);
    let outcomes = outcomes(dir.path(), "run");
    let of = |cell: &str| &outcomes[&format!("{cell} null")];
    // 1797 digits, 360 of them for tests; 431 flipped.
    let against = |cell: &str, key: &str| of(cell)["cleansed"]["against"][key].as_u64().unwrap();
    for cell in ["knn", "filter"] {
        assert_eq!(against(cell, "poisoned"), 431);
        // By chance, as many of the poisoned as of all that are touched.
        let (caught, clean) = (against(cell, "caught"), against(cell, "clean_touched"));
        assert!(
            caught > 250 && caught > 2 * clean,
            "{cell}: {caught} {clean}"
        );
    }
    assert!(against("knn", "restored") > 250);
    assert_eq!(of("filter")["cleansed"]["dropped"], 431);
    assert_eq!(of("denoise")["cleansed"]["dropped"], 0);
    assert!(
        of("denoise")["cleansed"]["images_changed"]
            .as_u64()
            .unwrap()
            > 1400
    );
    // Three searches, and of each edge what most of them have.
    let text = |found: &Value| found["nasbench201"].as_str().unwrap().to_owned();
    let parts: Vec<String> = of("parts")["parts"]
        .as_array()
        .unwrap()
        .iter()
        .map(text)
        .collect();
    assert_eq!(parts.len(), 3);
    let edges = |cell: &str| -> Vec<String> {
        cell.split(['|', '+'])
            .filter(|op| !op.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let votes: Vec<Vec<String>> = parts.iter().map(|part| edges(part)).collect();
    for (i, op) in edges(&text(&of("parts")["genotype"])).iter().enumerate() {
        let count = |op: &String| votes.iter().filter(|vote| vote[i] == *op).count();
        assert!(votes.iter().all(|vote| count(&vote[i]) <= count(op)));
    }
}

#[test]
fn what_is_found_is_trained_on_clean_data() {
    let grid = RECIPE.find("[[grid]]").unwrap();
    let recipe = RECIPE[..grid].replace("evaluate = \"none\"", "evaluate = \"train\"");
    let cells = r#"
[learner.train]
channels = 4
cells = 1
epochs = 4
batch = 64
crop = 1
[[grid]]
rows = [{ label = "clean" }, { label = "noise", threat = { kind = "noise", budget = 1 } }]
columns = [{ }]
"#;
    let dir = study(&format!("{recipe}{cells}"));
    run(dir.path(), "run", &["--jobs", "2"]);
    let outcomes = outcomes(dir.path(), "run");
    let evaluation = |cell: &str| &outcomes[&format!("{cell} null")]["evaluation"];
    // The same random architecture, and the poison never reaches its final training.
    assert_eq!(evaluation("clean"), evaluation("noise"));
    let accuracy = evaluation("clean")["accuracy"].as_f64().unwrap();
    assert!(accuracy > 50.0, "{accuracy}");
    assert_eq!(
        evaluation("clean")["training"]["epochs"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
}

#[test]
fn a_poison_made_by_the_command_line_is_the_same_poison() {
    // The rows that a trial learns from, in file order, are all training digits.
    let dir = study(&RECIPE.replace("seeds = [3]", "seeds = [0]"));
    let args = "poison --attack rlf --data digits --budget 0.5 --out p.npz";
    let words: Vec<&str> = args.split(' ').collect();
    assert!(toxscreen(dir.path(), &words).status().unwrap().success());
    let file = "threat = { kind = \"file\", path = \"p.patch.npz\" }";
    let rlf = "threat = { kind = \"rlf\", budget = 0.5 }";
    let recipe = fs::read_to_string(dir.path().join("recipe.toml")).unwrap();
    let recipe = recipe.replace(
        "{ label = \"clean\" }",
        &format!("{{ label = \"file\", {file} }}"),
    );
    assert!(recipe.contains(rlf));
    fs::write(dir.path().join("recipe.toml"), &recipe).unwrap();
    run(dir.path(), "run", &["--cells", "file", "--cells", "rlf"]);
    let outcomes = outcomes(dir.path(), "run");
    for search in ["p-darts", "te-nas", "robot"] {
        let [file, rlf] = ["file", "rlf"].map(|cell| &outcomes[&format!("{cell} {search}")]);
        assert_eq!(file, rlf);
    }
    // Another poison under the same name.
    let hash = recipe.replace(
        "p.patch.npz\"",
        &format!("p.patch.npz\", hash = \"{}\"", "0".repeat(64)),
    );
    fs::write(dir.path().join("recipe.toml"), hash).unwrap();
    let ended = toxscreen(dir.path(), &["run", "recipe.toml"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("the trial's is 000"), "{said}");
    // The same poison for other rows.
    fs::write(
        dir.path().join("recipe.toml"),
        recipe.replace("valid = 700", "train = 500\nvalid = 700"),
    )
    .unwrap();
    let args = ["run", "recipe.toml", "--out", "other", "--cells", "file"];
    let ended = toxscreen(dir.path(), &args).output().unwrap();
    assert!(!ended.status.success());
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("made for another training set"), "{said}");
}

#[test]
fn what_cannot_be_run_is_refused_with_its_line() {
    for (from, to, part) in [
        (
            "evaluate = \"none\"",
            "evaluate = \"none\"\nspace = \"elastic\"",
            "learner.search",
        ),
        (
            "evaluate = \"none\"",
            "evaluate = \"train\"\ntrain = { epochs = 0 }",
            "learner.train.epochs",
        ),
        ("initial = 5", "initial = 3", "learner.nsganetv2.initial"),
        (
            "label = \"clean\"",
            "label = \"clean\", defence = { kind = \"knn\", k = 0 }",
            "expected 1 to 1000",
        ),
        (
            "label = \"clean\"",
            "label = \"clean\", defence = { kind = \"parts\", parts = 1 }",
            "expected 2 to 100",
        ),
        (
            "label = \"clean\"",
            "label = \"clean\", defence = { kind = \"wash\" }",
            "unknown defence",
        ),
        (
            "label = \"clean\"",
            "label = \"clean\", defence = \"wash\"",
            "loss-filter",
        ),
        (
            "iterations = 2",
            "iterations = 2, radius = 0.3",
            "own `radius`",
        ),
        (
            "search = \"random\"\nevaluate = \"none\"",
            "search = \"nsganetv2\"\nevaluate = \"none\"\nspace = \"elastic\"\nsupernet = { path = \"no.safetensors\" }",
            "no.safetensors",
        ),
        ("budget = 0.5 } }", "budget = -0.1 } }", "expected 0 to 1"),
        ("budget = 0.5 } }", "budget = 1.5 } }", "expected 0 to 1"),
        (
            "budget = 0.5 } }",
            "budget = 0.5, rate = 1 } }",
            "unknown key `rate`",
        ),
        (
            "kind = \"rlf\"",
            "kind = \"flip\"",
            "unknown threat \"flip\"",
        ),
        ("iterations = 2", "iterations = 0", "expected 1 to 1e6"),
        ("width = 2", "width = 0", "expected 1 to 1024"),
        ("pool = 6", "pool = 0", "learner.robot.pool"),
        ("repeats = 1", "repeats = 0", "learner.te-nas.repeats"),
        (
            "channels = 2\nbatch = 64",
            "channels = 0\nbatch = 64",
            "learner.p-darts.channels",
        ),
        ("ops = 3", "ops = 6", "learner.p-darts.stages.ops"),
        (
            "evaluate = \"none\"",
            "space = \"darts\"",
            "the table has cells of NAS-Bench-201",
        ),
        ("evaluate = \"none\"", "", "nasbench201_accuracies.csv"),
        (
            "evaluate = \"none\"",
            "column = \"cifar10_test_300ep\"",
            "cifar10_test_200ep",
        ),
        ("search = \"te-nas\"", "search = \"tenas\"", "te-nas"),
        (
            "label = \"clean\"",
            "label = \"clean\", poison = \"P1\", q = 1001",
            "cannot face the threat",
        ),
        (
            "label = \"clean\"",
            "label = \"clean\", defence = \"shield\"",
            "the defence cannot be",
        ),
    ] {
        assert!(RECIPE.contains(from), "{from}");
        let said = refused(&RECIPE.replacen(from, to, 1));
        assert!(said.contains(part), "{to}: {said}");
    }
    // The line is that of the row, though the cell has no line of its own.
    let said = refused(&RECIPE.replacen("budget = 0.5 } }", "budget = 2 } }", 1));
    let line = RECIPE
        .lines()
        .position(|l| l.contains("label = \"rlf\""))
        .unwrap()
        + 1;
    assert!(said.contains(&format!("recipe.toml:{line}")), "{said}");
}
