//! Files that recipes name.

use super::*;

#[test]
fn every_recipe_of_the_repository_loads() {
    let count = |file: &str| {
        let study = Study::load(&HOUSE, &root().join(file), &Overrides::default()).unwrap();
        let cells: Vec<String> = study.recipe.cells.iter().map(|c| c.label.clone()).collect();
        (cells, study.trials.len())
    };
    let grid: Vec<String> = std::iter::once("clean".to_owned())
        .chain(
            "12345"
                .chars()
                .flat_map(|n| "abcd".chars().map(move |l| format!("{n}{l}"))),
        )
        .collect();
    assert_eq!(count("recipes/ssp/table1.toml"), (grid.clone(), 63));
    assert_eq!(count("recipes/ssp/table2.toml").1, 15);
    assert_eq!(count("recipes/ssp/cifar100.toml").1, 6);
    // The grid on a laptop, each cell more than once; then cells of its own.
    let (laptop, trials) = count("recipes/ssp/laptop.toml");
    assert_eq!(laptop[..21], grid);
    for one_shot in ["oneshot-6", "oneshot-2"] {
        let policies = laptop[21..].iter().filter(|l| *l == one_shot).count();
        assert!(policies >= 2, "{one_shot}: {laptop:?}");
    }
    assert!(trials >= 2 * laptop.len(), "{trials}");
    // Three data sets, seven cells each, ten repetitions; Fig. 4: four sizes of three cells.
    let of = |file: &str| count(&format!("recipes/bilevel/{file}.toml"));
    assert_eq!((of("fig1").1, of("fig2").1, of("fig6").1), (40, 210, 210));
    assert_eq!((of("fig4").1, of("map").1), (360, 52));
    assert_eq!((of("laptop").1, of("laptop-net").1), (21, 24));
    assert_eq!(of("quickstart").1, 40);
    let quickstart = Study::parse(&HOUSE, "quickstart", QUICKSTART, &Overrides::default()).unwrap();
    assert_eq!(quickstart.trials.len(), 9);
}

fn compress() -> String {
    let keys = r#"
[learner]
kind = "rc-nas"
teacher = "d2,2,1-w2,2,2-b4"
budget = { share = 0.5 }
table = { path = "table.csv" }
[learner.candidate]
training = { epochs = 1 }
[threat]
kind = "evasion"
attack = "fgsm"
"#;
    [
        recipes::head("paths", &[0]),
        recipes::data("digits", [900, 200, 200]),
        keys.to_owned(),
        recipes::cell("all", ""),
    ]
    .concat()
}

fn table(study: &Study) -> HashedFile {
    let config: CompressConfig = study.trials[0].spec.learner.read().unwrap();
    config.table.unwrap()
}

#[test]
fn relative_paths_are_of_the_recipes_folder() {
    let none = Overrides::default();
    let [a, b] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    for dir in [&a, &b] {
        let path = dir.path().join("my recipe.toml");
        std::fs::write(&path, compress()).unwrap();
        let error = Study::load(&HOUSE, &path, &none).unwrap_err();
        let (message, hint) = (error.to_string(), error.hint().unwrap());
        let wanted = dir.path().join("table.csv");
        let expected = format!("cannot read the table {}", wanted.display());
        assert!(message.contains(&expected), "{message}");
        assert!(hint.contains("folder of the recipe"), "{hint}");
        std::fs::write(wanted, "what is in it is not asked yet").unwrap();
    }
    let [first, second] = [&a, &b].map(|dir| {
        let path = dir.path().join("my recipe.toml");
        let study = Study::load(&HOUSE, &path, &none).unwrap();
        let found = dir.path().join("table.csv").display().to_string();
        assert_eq!(table(&study).path, found);
        assert_eq!(study.notes, [""; 0]);
        study
    });
    // The same content elsewhere is the same trial; the study's own file says where it lies, wherever the
    // study is.
    assert_eq!(first.trials[0].id, second.trials[0].id);
    let again = Study::parse(&HOUSE, "study.toml", &first.to_toml(), &none).unwrap();
    assert_eq!(again.trials, first.trials);
    std::fs::write(b.path().join("table.csv"), "another").unwrap();
    let other = Study::load(&HOUSE, &b.path().join("my recipe.toml"), &none).unwrap();
    assert_ne!(other.trials[0].id, first.trials[0].id);
}

#[test]
fn what_lies_in_the_current_folder_is_taken_with_a_note_and_without_one_from_the_command_line() {
    // Tests run in the crate's folder.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.toml");
    std::fs::write(&path, compress().replace("table.csv", "Cargo.toml")).unwrap();
    let here = std::env::current_dir().unwrap().join("Cargo.toml");
    let study = Study::load(&HOUSE, &path, &Overrides::default()).unwrap();
    assert_eq!(table(&study).path, here.display().to_string());
    assert_eq!(study.notes.len(), 1);
    assert!(study.notes[0].contains("Cargo.toml is not in the recipe's folder"));
    std::fs::write(&path, compress()).unwrap();
    let overrides = Overrides {
        set: vec![
            Setting::parse("learner.table.path=Cargo.toml").unwrap(),
            Setting::parse("data.dataset=src").unwrap(),
        ],
        ..Overrides::default()
    };
    let study = Study::load(&HOUSE, &path, &overrides).unwrap();
    assert_eq!(table(&study).path, here.display().to_string());
    assert_eq!(study.notes, [""; 0]);
    let data = &study.trials[0].spec.data;
    let src = std::env::current_dir().unwrap().join("src");
    assert_eq!(
        (&*data.dataset, data.name()),
        (src.to_str().unwrap(), "src")
    );
}
