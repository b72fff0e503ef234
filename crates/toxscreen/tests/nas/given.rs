//! Architectures that a recipe gives in the place of a search.

use super::{RECIPE, outcomes, refused, run, study, toxscreen};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The searches' recipe, what is found trained and attacked, with these cells.
fn trained(cells: &str) -> String {
    let grid = RECIPE.find("[[grid]]").unwrap();
    let recipe = RECIPE[..grid].replace("evaluate = \"none\"", "evaluate = \"train\"");
    let training = "[learner.train]\nchannels = 4\ncells = 1\nepochs = 5\nbatch = 64\ncrop = 1\n\
                    [threat.inputs]\nkind = \"evasion\"\nattack = \"pgd5\"\nepsilon = \"8/255\"\n\
                    [judge]\nimages = 20\n";
    format!("{recipe}{training}{cells}")
}

#[test]
fn a_given_architecture_is_trained_and_attacked_as_if_it_had_been_found() {
    let rlf = "threat.data = { kind = \"rlf\", budget = 0.5 }";
    let cells = format!(
        "[[cell]]\nlabel = \"random\"\n[[cell]]\nlabel = \"p-darts\"\nlearner.search = \"p-darts\"\n{rlf}\n"
    );
    let dir = study(&trained(&cells));
    run(dir.path(), "run", &["--jobs", "2"]);
    let found = outcomes(dir.path(), "run");
    let text = |cell: &str| {
        let genotype = &found[&format!("{cell} null")]["genotype"]["nasbench201"];
        genotype.as_str().unwrap().to_owned()
    };
    let (random, p_darts) = (text("random"), text("p-darts"));
    assert_ne!(random, p_darts);
    let mut cells = String::new();
    for (label, given, threat) in [
        ("random", format!("genotype = \"{random}\""), ""),
        ("poisoned", format!("genotype = \"{random}\""), rlf),
        ("p-darts", "genotype = \"found.txt#p_darts\"".to_owned(), ""),
    ] {
        let learner = format!("learner = {{ search = \"fixed\", fixed = {{ {given} }} }}");
        cells += &format!("[[cell]]\nlabel = \"{label}\"\n{learner}\n{threat}\n");
    }
    fs::write(dir.path().join("recipe.toml"), trained(&cells)).unwrap();
    let file = format!("# What was found.\nrandom = {random}\np_darts = {p_darts}\n");
    fs::write(dir.path().join("found.txt"), file).unwrap();
    run(dir.path(), "given", &[]);
    let given = outcomes(dir.path(), "given");
    let of = |outcomes: &BTreeMap<String, Value>, cell: &str, key: &str| {
        outcomes[&format!("{cell} null")][key].clone()
    };
    for key in ["genotype", "evaluation", "attacked"] {
        assert_ne!(of(&found, "random", key), Value::Null, "{key}");
        // Clean or poisoned, random or searched on flipped labels: what is trained is the same.
        assert_eq!(
            of(&given, "random", key),
            of(&found, "random", key),
            "{key}"
        );
        assert_eq!(
            of(&given, "poisoned", key),
            of(&found, "random", key),
            "{key}"
        );
        assert_eq!(
            of(&given, "p-darts", key),
            of(&found, "p-darts", key),
            "{key}"
        );
    }
    assert_eq!(of(&given, "random", "trace")["search"], "fixed");
    assert_eq!(of(&given, "poisoned", "poison")["check"]["flipped"], 718);
    // Nothing is said of a search.
    let page = fs::read_to_string(dir.path().join("given/report.html")).unwrap();
    assert!(page.contains("fixed architecture"));
    for claim in [
        "Clean searches beside random choice",
        "does not search",
        "fixed architecture on clean data",
    ] {
        assert!(!page.contains(claim), "{claim}");
    }
    let verified = toxscreen(dir.path(), &["verify", "given", "--sample", "3"]).output();
    let verified = verified.unwrap();
    let said = String::from_utf8_lossy(&verified.stdout);
    assert!(verified.status.success(), "{said}");
}

#[test]
fn what_is_trained_on_the_searchs_rows_meets_their_poison() {
    let mut cells = String::new();
    for (label, threat) in [
        ("clean", ""),
        ("none", "threat.data = { kind = \"rlf\", budget = 0 }"),
        ("rlf", "threat.data = { kind = \"rlf\", budget = 0.5 }"),
        ("flipped", "threat.data = { kind = \"rlf\", budget = 1 }"),
    ] {
        for (variant, rows) in [("clean", ""), ("searched", ", train_on = \"searched\"")] {
            let given = format!("search = \"fixed\", fixed.genotype = \"{SKIPS}\"{rows}");
            cells += &format!(
                "[[cell]]\nlabel = \"{label}\"\nvariant = \"{variant}\"\nlearner = {{ {given} }}\n{threat}\n"
            );
        }
    }
    let dir = study(&trained(&cells));
    run(dir.path(), "run", &["--jobs", "2"]);
    let outcomes = outcomes(dir.path(), "run");
    let evaluation = |cell: &str| outcomes[cell]["evaluation"].clone();
    let clean = evaluation("clean clean");
    // No poison, or none that is let in: bit for bit the same.
    for cell in [
        "clean searched",
        "none clean",
        "none searched",
        "rlf clean",
        "flipped clean",
    ] {
        assert_eq!(evaluation(cell), clean, "{cell}");
        assert_eq!(
            outcomes[cell]["attacked"], outcomes["clean clean"]["attacked"],
            "{cell}"
        );
    }
    let accuracy = |cell: &str| evaluation(cell)["accuracy"].as_f64().unwrap();
    assert!(accuracy("rlf searched") < accuracy("clean clean"));
    // Every label is wrong: worse than chance.
    assert!(accuracy("flipped searched") < 10.0);
    assert_ne!(
        evaluation("rlf searched")["trained_on"],
        clean["trained_on"]
    );
    let page = fs::read_to_string(dir.path().join("run/report.html")).unwrap();
    assert!(page.contains("lost by search and training together"));
    let grid = RECIPE.find("[[grid]]").unwrap();
    let kept = RECIPE[..grid].replace("evaluate =", "train_on = \"searched\"\nevaluate =");
    let said = refused(&format!("{kept}[[cell]]\nlabel = \"a\"\n"));
    assert!(
        said.contains("else nothing is trained on the rows of the search"),
        "{said}"
    );
}

const SKIPS: &str = "|nor_conv_3x3~0|+|skip_connect~0|none~1|+|none~0|none~1|skip_connect~2|";

/// Trials of a recipe whose only cell is given like this.
fn given(dir: &Path, out: &str, table: &str) -> Vec<String> {
    let grid = RECIPE.find("[[grid]]").unwrap();
    let cell = format!(
        "[[cell]]\nlabel = \"given\"\nlearner = {{ search = \"fixed\", fixed = {{ {table} }} }}\n"
    );
    fs::write(
        dir.join("recipe.toml"),
        format!("{}{cell}", &RECIPE[..grid]),
    )
    .unwrap();
    run(dir, out, &[]);
    let trials = tox_testkit::program::trials(&dir.join(out)).into_iter();
    let name = |path: std::path::PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    trials.map(name).collect()
}

#[test]
fn a_trial_of_a_given_architecture_is_named_by_its_content() {
    let dir = study(RECIPE);
    let at = dir.path();
    fs::create_dir(at.join("below")).unwrap();
    let spaced = SKIPS.replace('+', " + ");
    fs::write(at.join("one.txt"), SKIPS).unwrap();
    fs::write(
        at.join("below/many.txt"),
        format!(
            "other = {}\nskips = {spaced}",
            SKIPS.replace("none", "nor_conv_1x1")
        ),
    )
    .unwrap();
    let inline = given(at, "inline", &format!("genotype = \"{SKIPS}\""));
    assert_eq!(inline.len(), 1);
    assert_eq!(given(at, "one", "genotype = \"one.txt\""), inline);
    assert_eq!(
        given(at, "many", "genotype = \"below/many.txt#skips\""),
        inline
    );
    assert_ne!(
        given(at, "other", "genotype = \"below/many.txt#other\""),
        inline
    );
    // The file may go: the study has what it read.
    let spec =
        fs::read_to_string(at.join("many/trials").join(&inline[0]).join("spec.json")).unwrap();
    assert!(
        spec.contains("skip_connect~0") && !spec.contains("many.txt"),
        "{spec}"
    );
    fs::remove_dir_all(at.join("below")).unwrap();
    let verified = toxscreen(at, &["verify", "many", "--sample", "1"])
        .output()
        .unwrap();
    assert!(verified.status.success());
}

#[test]
fn a_wrong_architecture_is_refused_with_one_message() {
    let darts = "Genotype(normal=[('sep_conv_9x9', 0)], normal_concat=range(2, 6))";
    let two = format!("# Two.\na = {SKIPS}\nb = {SKIPS}\n");
    let broken = format!("# One.\n\na = {}\n", SKIPS.replace("none~1", "non~1"));
    let cases = [
        ("", "the architecture that is to be trained"),
        (
            "genotype = \"no.txt\"",
            "cannot read the architecture no.txt",
        ),
        (
            "genotype = \"shuffle\"",
            "a relative path is taken from the folder",
        ),
        ("genotype = \"two.txt\"", "has 2 architectures: a, b"),
        (
            "genotype = \"two.txt#c\"",
            "has no architecture `c`; it has a, b",
        ),
        ("genotype = \"broken.txt\"", "broken.txt: line 3, column"),
        ("genotype = \"DARTS\"", "no op is called `sep_conv_9x9`"),
        (
            "genotype = \"|none~0|\"",
            "an architecture is written as Genotype(",
        ),
        ("genotypes = \"SKIPS\"", "genotypes"),
        ("genotype = \"V2\"", "write space = \"darts\""),
        (
            "genotype = \"SKIPS\" }, direction = \"anti-search\", robot = { pool = 6",
            "no objective",
        ),
        (
            "genotype = \"SKIPS\" }, space = \"elastic\", robot = { pool = 6",
            "\"nsganetv2\" or \"random\"",
        ),
    ];
    let grid = RECIPE.find("[[grid]]").unwrap();
    for (table, part) in cases {
        let table = table.replace("SKIPS", SKIPS).replace("DARTS", darts);
        let table = table.replace("V2", tox_testkit::DARTS_V2);
        let cell = format!(
            "[[cell]]\nlabel = \"given\"\nlearner = {{ search = \"fixed\", fixed = {{ {table} }} }}\n"
        );
        let dir = study(&format!("{}{cell}", &RECIPE[..grid]));
        fs::write(dir.path().join("two.txt"), &two).unwrap();
        fs::write(dir.path().join("broken.txt"), &broken).unwrap();
        let ended = toxscreen(dir.path(), &["plan", "recipe.toml"])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(2), "{table}: {said}");
        assert!(said.contains(part), "{table}: {said}");
        assert_eq!(said.matches("error:").count(), 1, "{said}");
    }
    for (more, part) in [
        (
            "threat.space = { kind = \"bad-ops\", set = \"P5\", q = 1 }",
            "nothing is chosen from a space",
        ),
        (
            "defence = { kind = \"parts\", parts = 3 }",
            "random or given",
        ),
    ] {
        let cell = format!(
            "[[cell]]\nlabel = \"given\"\nlearner = {{ search = \"fixed\", fixed.genotype = \"{SKIPS}\" }}\n{more}\n"
        );
        let said = refused(&format!("{}{cell}", &RECIPE[..grid]));
        assert!(said.contains(part), "{said}");
    }
}
