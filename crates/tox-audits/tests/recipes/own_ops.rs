//! A clean space and bad ops of one's own: by content, whatever the file is called and wherever it lies.

use super::{refusal, root};
use std::fs;
use tox_audits::HOUSE;
use tox_search::enas::config::EnasConfig;
use tox_study::recipe::{Overrides, Study};

const HEAD: &str = "name = \"own\"\nseeds = [0]\n[data]\ndataset = \"digits\"\nvalid = 300\n[learner]\nkind = \"enas\"\n";
const SPACE: &str = "[[op]]\nop = \"conv\"\nk = 3\n[[op]]\nop = \"sep\"\nk = 5\ncount = 2\n";
const BAD: &str = "[[op]]\nop = \"gaussian\"\nsigma = 1.9\n";

/// The study of a recipe that lies beside `files`.
fn study(text: &str, files: &[(&str, &str)]) -> Study {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let recipe = dir.path().join("r.toml");
    fs::write(&recipe, text).unwrap();
    Study::load(&HOUSE, &recipe, &Overrides::default()).unwrap()
}

fn ids(study: &Study) -> Vec<&str> {
    study.trials.iter().map(|t| t.id.as_str()).collect()
}

fn recipe(space: &str, set: &str) -> String {
    format!(
        "{HEAD}space = {space}\n[[cell]]\nlabel = \"clean\"\n[[cell]]\nlabel = \"long\"\n\
         threat.space = {{ kind = \"bad-ops\", set = {set}, q = 3 }}\n[[cell]]\nlabel = \"short\"\n\
         poison = {set}\nq = 3\n[[cell]]\nlabel = \"other\"\nlearner.space = {set}\n"
    )
}

#[test]
fn ops_are_a_part_of_the_trial_and_files_are_not() {
    let first = study(
        &recipe("\"space.toml\"", "\"bad.toml\""),
        &[("space.toml", SPACE), ("bad.toml", BAD)],
    );
    let moved = study(
        &recipe("\"s.toml\"", "\"b.toml\""),
        &[("s.toml", &format!("# mine\n{SPACE}")), ("b.toml", BAD)],
    );
    assert_eq!(ids(&first), ids(&moved));
    let inline = recipe(
        "[{ op = \"conv\", k = 3 }, { op = \"sep\", k = 5, count = 2 }]",
        "[{ op = \"gaussian\", sigma = 1.9 }]",
    );
    assert_eq!(ids(&first), ids(&study(&inline, &[])));
    let [space, bad] = [
        SPACE.replace("count = 2", "count = 3"),
        BAD.replace("1.9", "1.8"),
    ];
    let names = recipe("\"space.toml\"", "\"bad.toml\"");
    let changed = study(&names, &[("space.toml", &space), ("bad.toml", &bad)]);
    let both = ids(&first).into_iter().zip(ids(&changed));
    assert_eq!(both.filter(|(a, b)| a == b).count(), 0);

    let config: EnasConfig = first.trials[0].spec.learner.read().unwrap();
    let ops = config.clean_space().ops;
    let ops: Vec<String> = ops
        .iter()
        .map(|op| format!("{} {}", op.op, op.count))
        .collect();
    assert_eq!(ops, ["conv3 1", "sep5 2"]);
    let threats = |i: usize| HOUSE.threats_of(&first.trials[i].spec);
    assert_eq!([threats(1), threats(2)], ["gaussian(1.9) x 3"; 2]);
}

/// The files are gone by then.
#[test]
fn the_resolved_recipe_holds_the_ops() {
    let files = [("space.toml", SPACE), ("bad.toml", BAD)];
    let study = study(&recipe("\"space.toml\"", "\"bad.toml\""), &files);
    let text = study.to_toml();
    assert!(
        !text.contains("space.toml") && !text.contains("bad.toml"),
        "{text}"
    );
    let again = Study::parse(&HOUSE, "study.toml", &text, &Overrides::default()).unwrap();
    assert_eq!(again, study);
}

#[test]
fn the_papers_six_ops_written_out_are_the_papers_trial() {
    let own = fs::read_to_string(root().join("recipes/ssp/space-clean.toml")).unwrap();
    let cell = "[[cell]]\nlabel = \"clean\"\n";
    let plain = study(&format!("{HEAD}{cell}"), &[]);
    let written = study(
        &format!("{HEAD}space = \"s.toml\"\n{cell}"),
        &[("s.toml", &own)],
    );
    assert_eq!(plain.trials, written.trials);
    let read = Study::parse(
        &HOUSE,
        "study.toml",
        &written.to_toml(),
        &Overrides::default(),
    );
    assert_eq!(read.unwrap().trials, plain.trials);
}

#[test]
fn what_is_no_space_is_refused_with_the_place_and_the_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |text: &str, recipe: String| {
        fs::write(dir.path().join("own.toml"), text).unwrap();
        let path = dir.path().join("r.toml");
        fs::write(&path, recipe).unwrap();
        let error = Study::load(&HOUSE, &path, &Overrides::default()).unwrap_err();
        format!("{error} | {}", error.hint().unwrap_or_default())
    };
    let cell = "[[cell]]\nlabel = \"c\"\n";
    let space = || format!("{HEAD}space = \"own.toml\"\n{cell}");
    let set = |q: usize| {
        format!(
            "{HEAD}{cell}threat.space = {{ kind = \"bad-ops\", set = \"own.toml\", q = {q} }}\n"
        )
    };
    for (text, recipe, words) in [
        ("", space(), &["r.toml:8", "no op found", "[[op]]"][..]),
        ("[[op", space(), &["is not a search space", "[[op]]"]),
        (
            "[[op]]\nop = \"skip\"\n",
            space(),
            &["unknown variant `skip`", "conv"],
        ),
        (
            "[[op]]\nop = \"conv\"\nk = 4\n",
            space(),
            &["op 1", "k = 4", "odd"],
        ),
        (
            "poison = \"P1\"\nq = 6\n",
            space(),
            &["a poison set of its own", "the threat"],
        ),
        ("", set(1), &["no op found"]),
        (
            "[[op]]\nop = \"dropout\"\np = 2.0\n",
            set(1),
            &["p = 2", "0 to 1"],
        ),
        (
            BAD,
            set(100_000),
            &["q = 100000", "gaussian(1.9)", "0 to 99994"],
        ),
        (
            BAD,
            space().replace("own.toml", "other.toml"),
            &["cannot read", "other.toml", "folder of the recipe"],
        ),
        (
            BAD,
            set(1).replace("own.toml", "P9"),
            &["no poison set \"P9\"", "P3+", "FILE.toml"],
        ),
    ] {
        let said = refused(text, recipe);
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
    }
    // What fits beside six ops may not fit beside more.
    let full = "[[op]]\nop = \"conv\"\nk = 3\ncount = 99990\n";
    fs::write(dir.path().join("full.toml"), full).unwrap();
    let said = refused(
        BAD,
        set(11).replace(
            "kind = \"enas\"\n",
            "kind = \"enas\"\nspace = \"full.toml\"\n",
        ),
    );
    assert!(said.contains("0 to 10"), "{said}");
    let inline = refusal(
        &format!("{HEAD}space = [{{ op = \"conv\", k = 3, kk = 4 }}]\n{cell}"),
        &[],
    );
    assert!(inline.contains("kk"), "{inline}");
}
