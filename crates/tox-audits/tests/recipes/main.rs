//! Recipes as users write them, and the messages they get back.

#![allow(clippy::unwrap_used)]

mod files;
mod own_ops;

use std::path::{Path, PathBuf};
use tox_audits::HOUSE;
use tox_bilevel::config::{BilevelAttack, BilevelConfig, Range, SyntheticConfig, Victim};
use tox_data::hashed::HashedFile;
use tox_poison::space::SpacePoison;
use tox_rcnas::learner::CompressConfig;
use tox_search::enas::config::{EnasConfig, NanPolicy};
use tox_study::part::Part;
use tox_study::plan::trial_id;
use tox_study::recipe::{Overrides, QUICKSTART, RecipeError, Setting, Study, schema};
use tox_study::spec::Threats;
use tox_testkit::recipes;

const SMALL: &str = r#"
name = "small"
seeds = [0, 1]
[data]
dataset = "digits"
valid = 300
[learner]
kind = "enas"
[learner.child]
layers = 6
epochs = 2
[[cell]]
label = "clean"
[[cell]]
label = "oneshot-2"
poison = "P3+"
q = 1
[[cell]]
label = "oneshot-2"
variant = "guarded"
poison = "P3+"
q = 1
seeds = [7]
learner.child.nan_policy = "guarded"
"#;

const BILEVEL: &str = r#"
name = "small"
paper = "bilevel"
seeds = [0, 1]
[data]
dataset = "mnist"
train = 1000
valid = 100
[learner]
kind = "bilevel"
inner = { steps = 20, lr = 0.5 }
[threat]
kind = "bilevel"
batch = 35
batches = 2
[[cell]]
label = "learned"
[[cell]]
label = "large"
learner = { victim = "large", lambda.large = 1.5 }
[[cell]]
label = "clean"
threat = { kind = "none" }
[[cell]]
label = "strong"
threat.batches = 4
data.valid = 50
learner.range = "symmetric"
data.dataset = "cifar10"
"#;

fn synthetic() -> String {
    [
        "\n".to_owned(),
        recipes::head("fig1", &[0]),
        recipes::synthetic([64, 64], "grid = 5"),
        recipes::cell("map", ""),
    ]
    .concat()
}

fn parse(text: &str, set: &[&str]) -> Result<Study, RecipeError> {
    let set = set
        .iter()
        .map(|s| Setting::parse(s))
        .collect::<Result<_, _>>()?;
    Study::parse(
        &HOUSE,
        "r.toml",
        text,
        &Overrides {
            set,
            ..Overrides::default()
        },
    )
}

/// The message and the hint of a refused recipe.
fn refusal(text: &str, set: &[&str]) -> String {
    let error = parse(text, set).unwrap_err();
    match error.hint() {
        Some(hint) => format!("{error} | {hint}"),
        None => error.to_string(),
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn cells_are_kept_by_label_variant_or_name() {
    let file = root().join("recipes/bilevel/fig2.toml");
    let kept = |cells: &[&str]| {
        let cells = cells.iter().map(|s| (*s).to_owned()).collect();
        let overrides = Overrides {
            cells,
            ..Overrides::default()
        };
        Study::load(&HOUSE, &file, &overrides)
    };
    let names = |cells: &[&str]| {
        let study = kept(cells).unwrap();
        assert_eq!(study.trials.len(), 10 * study.recipe.cells.len());
        let cells = study.recipe.cells.iter();
        cells
            .map(|c| c.variant.clone().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&["none"]), ["mnist", "fashion-mnist", "cifar10"]);
    assert_eq!(names(&["large (mnist-l?)"]), ["mnist-l2", "mnist-l1"]);
    assert_eq!(names(&["mnist*"]).len(), 7);
    assert_eq!(names(&["mnist", "*-l1"]).len(), 1 + 9);
    let error = kept(&["minst*"]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("no cell of bilevel-fig2 fits minst*"),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("learned (mnist-l1)"));
}

#[test]
fn cells_and_seeds_become_trials_with_overrides_resolved() {
    let study = parse(
        SMALL,
        &["data.dataset=cifar10", "learner.child.lr_max = 0.1"],
    )
    .unwrap();
    let trials = &study.trials;
    let short: Vec<_> = trials.iter().map(|t| (t.cell(), t.spec.seed)).collect();
    let expected = [
        ("clean", 0),
        ("clean", 1),
        ("oneshot-2", 0),
        ("oneshot-2", 1),
        ("oneshot-2 (guarded)", 7),
    ];
    assert_eq!(short, expected.map(|(c, s)| (c.to_owned(), s)));
    assert!(trials[0].spec.threat.is_none());
    let [first, last] = [0, 4].map(|i| trials[i].spec.learner.read::<EnasConfig>().unwrap());
    assert_eq!(
        (first.child.layers, first.child.lr_max, first.child.channels),
        (6, 0.1, 36)
    );
    assert_eq!(first.child.nan_policy, NanPolicy::Torch);
    assert_eq!(
        (last.child.layers, last.child.nan_policy),
        (6, NanPolicy::Guarded)
    );
    assert_eq!(trials[0].spec.data.dataset, "cifar10");
}

#[test]
fn ids_are_fixed_by_the_spec_alone() {
    let study = parse(SMALL, &[]).unwrap();
    // A change of this value orphans every record that exists: raise `TrialSpec::version` then.
    assert_eq!(study.trials[0].id, "39dc67e6e045bb3f");
    let mut ids: Vec<_> = study.trials.iter().map(|t| t.id.clone()).collect();
    assert!(study.trials.iter().all(|t| t.id == trial_id(&t.spec)));
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), study.trials.len());
    // Words that no trial depends on change no id.
    let titled = parse(&format!("title = \"t\"\n{SMALL}"), &[]).unwrap();
    assert_eq!(titled.trials, study.trials);
}

#[test]
fn the_resolved_recipe_means_the_same_trials() {
    let study = parse(SMALL, &["learner.child.epochs=3"]).unwrap();
    let text = study.to_toml();
    assert!(text.contains("channels = 36"), "{text}");
    assert_eq!(parse(&text, &[]).unwrap(), study);
}

#[test]
fn refusals_name_the_place_the_key_and_the_remedy() {
    let with = |from: &str, to: &str| SMALL.replacen(from, to, 1);
    let cases = [
        refusal(&with("epochs", "epoch"), &[]),
        refusal(&with("valid", "vaild"), &[]),
        refusal(&with("layers = 6", "layers = 2"), &[]),
        refusal(&with("layers = 6", "layers = \"six\""), &[]),
        refusal(&with("poison = \"P3+\"", "poison = \"P6\""), &[]),
        refusal(&with("\"enas\"", "\"enass\""), &[]),
        refusal(&with("kind = \"enas\"", ""), &[]),
        refusal(&with("q = 1", "q = 1000000"), &[]),
        refusal(&with("q = 1", ""), &[]),
        refusal(&with("q = 1", "q = -1"), &[]),
        refusal(&with("poison = \"P3+\"", ""), &[]),
        refusal(&with("variant = \"guarded\"", ""), &[]),
        refusal(&with("label = \"clean\"", "label = \"cl ean\""), &[]),
        refusal(&with("[0, 1]", "[]"), &[]),
        refusal(&with("[7]", "[7, 7]"), &[]),
        refusal(
            &with("nan_policy = \"guarded\"", "nan_polcy = \"guarded\""),
            &[],
        ),
        refusal(&with("name = \"small\"", "name = \"../small\""), &[]),
        refusal(&with("valid = 300", "valid = 0"), &[]),
        refusal(&with("seeds", "seeds = ["), &[]),
        refusal(SMALL, &["learner.child.epoch=3"]),
        refusal(SMALL, &["learner.child.epochs=0"]),
        refusal(SMALL, &["learner.child.epochs"]),
        refusal(SMALL, &["cell.q=3"]),
        refusal(SMALL, &["cell.0.q=5"]),
        refusal(SMALL, &["cell[0].q=5"]),
    ];
    insta::assert_snapshot!(cases.join("\n"));
}

#[test]
fn a_cell_overrides_keys_of_learner_threat_and_data() {
    let study = parse(BILEVEL, &[]).unwrap();
    let of = |cell: &str| {
        let trial = study.trials.iter().find(|t| t.spec.cell == cell).unwrap();
        let config: BilevelConfig = trial.spec.learner.read().unwrap();
        (trial.spec.data.clone(), trial.spec.threat.clone(), config)
    };
    let attack = |batches| {
        let attack = BilevelAttack {
            batch: 35,
            batches,
            ..BilevelAttack::default()
        };
        Threats {
            data: Some(Part::new("bilevel", &attack)),
            ..Threats::default()
        }
    };
    let (data, threat, config) = of("learned");
    assert_eq!((data.valid, data.train), (100, Some(1000)));
    assert_eq!(threat, attack(2));
    assert_eq!((config.victim, config.inner.steps), (Victim::Learned, 20));
    let (_, threat, config) = of("large");
    assert_eq!(threat, attack(2));
    assert_eq!((config.victim, config.lambda.large), (Victim::Large, 1.5));
    assert_eq!(config.lambda.folds, 5);
    assert!(of("clean").1.is_none());
    let (data, threat, config) = of("strong");
    assert_eq!((data.valid, data.train), (50, Some(1000)));
    assert_eq!((data.dataset.as_str(), threat), ("cifar10", attack(4)));
    assert_eq!(config.range, Range::Symmetric);
    // A change of this value orphans every record that exists: raise `TrialSpec::version` then.
    assert_eq!(study.trials[0].id, "9a1853f22f4994ba");

    let text = study.to_toml();
    assert!(
        text.contains("batch = 35") && text.contains("folds = 5"),
        "{text}"
    );
    assert_eq!(parse(&text, &[]).unwrap(), study);
    let synthetic = parse(&synthetic(), &["learner.lambda=2"]).unwrap();
    assert_eq!(parse(&synthetic.to_toml(), &[]).unwrap(), synthetic);
    let config: SyntheticConfig = synthetic.trials[0].spec.learner.read().unwrap();
    assert_eq!((config.grid, config.lambda), (5, 2.0));
}

#[test]
fn learners_refuse_threats_data_and_keys_that_are_not_theirs() {
    let with = |from: &str, to: &str| {
        assert!(BILEVEL.contains(from), "{from}");
        refusal(&BILEVEL.replacen(from, to, 1), &[])
    };
    let fig1 = |from: &str, to: &str| {
        assert!(synthetic().contains(from), "{from}");
        refusal(&synthetic().replacen(from, to, 1), &[])
    };
    let enas = |more: &str| refusal(&format!("{SMALL}{more}"), &[]);
    let cases = [
        // Keys and numbers of the learner.
        with("inner = {", "iner = {"),
        with("steps = 20", "steps = 0"),
        with("lr = 0.5", "lr = nan"),
        with("\"large\", ", "\"huge\", "),
        with("lambda.large = 1.5", "lambda.large = 31"),
        with("lambda.large = 1.5", "kind = \"enas\""),
        with(
            "learner.range = \"symmetric\"",
            "learner.range = \"signed\"",
        ),
        refusal(BILEVEL, &["learner.lambda.start=-11"]),
        // The threat.
        with("batch = 35", "bach = 35"),
        with("batch = 35", "batch = 0"),
        with("batch = 35", "batch = 600"),
        with(
            "[threat]\nkind = \"bilevel\"",
            "[threat]\nkind = \"bilvel\"",
        ),
        with("[threat]\nkind = \"bilevel\"", "[threat]"),
        with("{ kind = \"none\" }", "{ kind = \"none\", batch = 3 }"),
        with("threat.batches = 4", "threat.batches = 40"),
        with("threat.batches = 4", "threat.batches = 4000"),
        with("threat.batches = 4", "poison = \"P1\"\nq = 6"),
        with(
            "threat = { kind = \"none\" }",
            "threat = { kind = \"none\" }\npoison = \"P1\"\nq = 6",
        ),
        refusal(
            &BILEVEL
                .replace("[threat]\nkind = \"bilevel\"\nbatch = 35\nbatches = 2", "")
                .replace("threat.batches = 4", "poison = \"P1\"\nq = 6"),
            &[],
        ),
        with("threat.batches = 4", "defence = \"screen\""),
        enas("[threat]\nkind = \"bilevel\"\n"),
        enas("threat = { kind = \"bilevel\" }\n"),
        enas("[[cell]]\nlabel = \"x\"\nthreat = { kind = \"bilevel\" }\n"),
        // The data.
        with("valid = 100", "valid = 100\naugment = { flip = true }"),
        with("\"mnist\"", "\"gaussians\""),
        with("data.valid = 50", "data.classes = [3, 3]"),
        with("data.valid = 50", "data.classes = [3]"),
        with("data.valid = 50", "data.split = \"randon\""),
        with(
            "train = 1000\nvalid = 100",
            "split = \"random\"\nvalid = 100",
        ),
        fig1("train = 64", "train = 64\nclasses = [0, 1]"),
        fig1("train = 64", "train = 64\nsplit = \"random\""),
        with("data.valid = 50", "data.vaild = 50"),
        with("data.valid = 50", "data.valid = 0"),
        with("data.valid = 50", "data.valid = true"),
        // The synthetic example.
        fig1("gaussians", "digits"),
        fig1("train = 64\n", ""),
        fig1("train = 64", "train = 63"),
        fig1("valid = 64", "valid = 64\nresize = 8"),
        fig1("grid = 5", "grid = 1"),
        fig1("grid = 5", "lambda_min = 7"),
        fig1("\"map\"", "\"map\"\nthreat = { kind = \"bilevel\" }"),
        fig1("\"map\"", "\"map\"\ndefence = \"screen\""),
    ];
    insta::assert_snapshot!(cases.join("\n"));
}

#[test]
fn giants_are_refused_with_the_bound() {
    let seeds: Vec<String> = (0..10_001).map(|n| n.to_string()).collect();
    let seeds = format!("seeds = [{}]", seeds.join(", "));
    let grid = |n: usize| {
        let part = |what: &str| {
            let items = (0..n).map(|i| format!("{{ {what} = \"{what}{i}\" }}"));
            items.collect::<Vec<_>>().join(", ")
        };
        let (rows, columns) = (part("label"), part("variant"));
        format!("{SMALL}\n[[grid]]\nrows = [{rows}]\ncolumns = [{columns}]\n")
    };
    let many = SMALL.replace("seeds = [0, 1]", &seeds);
    let third: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
    let third = format!("seeds = [{}]", third.join(", "));
    for (text, expected) in [
        (many, "has 10001 seeds: at most 10000"),
        (grid(1000), "the grids make 1000003 cells: at most 4000"),
        (
            grid(10).replace("seeds = [0, 1]", &third),
            "make 510001 trials: at most 100000",
        ),
    ] {
        let found = refusal(&text, &[]);
        assert!(found.contains(expected), "{found}");
    }
    let dir = tempfile::tempdir().unwrap();
    let long = dir.path().join("long.toml");
    std::fs::write(&long, format!("# {}", "x".repeat(4 << 20))).unwrap();
    let mut never_ends = vec![long];
    if cfg!(unix) {
        never_ends.push("/dev/zero".into());
    }
    for path in never_ends {
        let error = Study::load(&HOUSE, &path, &Overrides::default()).unwrap_err();
        assert!(error.to_string().contains("longer than 4 MiB"), "{error}");
    }
}

/// The odds of a poison op that the paper gives for each column of its Table 1.
#[test]
fn the_multiplicities_of_table_1_give_the_papers_odds() {
    let study = Study::load(
        &HOUSE,
        &root().join("recipes/ssp/table1.toml"),
        &Overrides::default(),
    )
    .unwrap();
    let clean = tox_search::space::Space::enas();
    for trial in &study.trials {
        let Some(poison) = &trial.spec.threat.space else {
            continue;
        };
        let poison: SpacePoison = poison.read().unwrap();
        let column = trial.spec.cell.chars().last().unwrap();
        let odds = match column {
            'a' => 0.5,
            'b' => 0.857,
            'c' => 0.952,
            _ => 0.980,
        };
        assert!(
            (poison.budget(&clean) - odds).abs() < 5e-4,
            "{}",
            trial.spec.cell
        );
    }
}

#[test]
fn the_published_schema_is_current() {
    let file = root().join("recipes/schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&file, schema(&HOUSE)).unwrap();
    }
    let published = std::fs::read_to_string(file).unwrap_or_default();
    assert!(
        published == schema(&HOUSE),
        "run this test with UPDATE_SCHEMA=1 and commit the file"
    );
}
