//! What is written where: no command writes over what it reads, over its own files, or over those of somebody else.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use tox_testkit::program::{Program, folder};

const TOXSCREEN: Program = Program(env!("CARGO_BIN_EXE_toxscreen"));

/// Two clouds as a table of text, the last column their class.
fn rows() -> String {
    let rows = (0..60).map(|i| {
        let class = i % 2;
        let of = |seed: usize| (i * seed % 17) as f64 / 17.0 + 2.0 * f64::from(class as u8);
        format!("{:.3},{:.3},{}\n", of(5), of(11), ["no", "yes"][class])
    });
    format!("a,b,y\n{}", rows.collect::<String>())
}

const RECIPE: &str = "name = \"own\"\nseeds = [0]\n[data]\ndataset = \"digits\"\nvalid = 300\n\
    [learner]\nkind = \"enas\"\nchild.epochs = 1\n[[cell]]\nlabel = \"clean\"\n";

#[test]
fn what_is_read_is_never_written() {
    let dir = folder("d.csv", &rows());
    let at = |name: &str| dir.path().join(name);
    fs::write(at("r.toml"), RECIPE).unwrap();
    fs::write(at("space.toml"), "[[op]]\nop = \"conv3\"\n").unwrap();
    fs::write(at("s.csv"), "row\n1\n").unwrap();
    for command in [
        "suspects --data d.csv --sarif d.csv",
        "suspects --data d.csv --sarif ./d.csv",
        "clean --data d.csv --suspects s.csv --out d.csv",
        "screen space.toml --sarif space.toml",
        "run r.toml --junit r.toml",
        "run r.toml --summary r.toml",
        "poison --attack rlf --data d.csv --budget 0.1 --out d.csv.npz --out study",
    ] {
        let before = fs::read(at("d.csv")).unwrap();
        let said = TOXSCREEN.words(dir.path(), command);
        if command.starts_with("poison") {
            said.must(0, &["wrote d.csv.npz"]);
        } else {
            said.must(2, &["would overwrite", "which is read", "another name"]);
        }
        assert_eq!(fs::read(at("d.csv")).unwrap(), before, "{command}");
        assert_eq!(fs::read_to_string(at("r.toml")).unwrap(), RECIPE);
    }
    let said = TOXSCREEN.words(
        dir.path(),
        "attack --weights d.csv.npz --data d.csv.npz --out d.csv.npz",
    );
    said.must(2, &["--out would overwrite d.csv.npz, which is read"]);
}

/// What a recipe reads is read, and what a study keeps is its own, wherever it lies.
#[test]
fn what_trials_read_or_left_is_never_written() {
    let dir = folder("d.csv", &rows());
    let at = |name: &str| dir.path().join(name);
    let recipe = "name = \"own\"\nseeds = [0]\n[data]\ndataset = \"d.csv\"\nvalid = 10\n[learner]\nkind = \"bilevel\"\n\
        [[cell]]\nlabel = \"clean\"\n";
    fs::write(at("r.toml"), recipe).unwrap();
    let said = TOXSCREEN.words(dir.path(), "plan r.toml --out s");
    said.must(0, &[]);
    for command in [
        "run r.toml --out s --junit d.csv",
        "run r.toml --summary ./d.csv",
        "report s --latex d.csv",
    ] {
        let said = TOXSCREEN.words(dir.path(), command);
        said.must(2, &["would overwrite", "d.csv, which is read"]);
        assert_eq!(read(dir.path(), "d.csv"), rows());
    }
    let trial = tox_testkit::program::trials(&at("s")).remove(0);
    let spec = trial.join("spec.json");
    let before = fs::read(&spec).unwrap();
    let latex = spec.strip_prefix(dir.path()).unwrap().display().to_string();
    let said = TOXSCREEN.words(dir.path(), &format!("report s --latex {latex}"));
    said.must(2, &["would overwrite", "a file of the study"]);
    assert_eq!(fs::read(&spec).unwrap(), before);
}

#[cfg(unix)]
#[test]
fn a_link_to_what_is_read_is_not_written_either() {
    let dir = folder("d.csv", &rows());
    std::os::unix::fs::symlink("d.csv", dir.path().join("l.csv")).unwrap();
    let said = TOXSCREEN.words(dir.path(), "suspects --data d.csv --sarif l.csv");
    said.must(2, &["--sarif would overwrite l.csv, which is read"]);
    // A link to anything else stays, and what it points to is written.
    std::os::unix::fs::symlink("found.sarif", dir.path().join("latest")).unwrap();
    let said = TOXSCREEN.words(dir.path(), "suspects --data d.csv --sarif latest");
    said.must(0, &[]);
    assert!(dir.path().join("latest").is_symlink());
    let found = fs::read_to_string(dir.path().join("found.sarif")).unwrap();
    assert!(found.contains("2.1.0"), "{found}");
}

#[test]
fn two_outputs_are_two_files_in_folders_that_exist() {
    let dir = folder("r.toml", RECIPE);
    let run = |options: &str| TOXSCREEN.words(dir.path(), &format!("run r.toml {options}"));
    run("--summary a --junit ./a").must(2, &["--summary and --junit both write ./a"]);
    run("--junit none/a").must(2, &["there is no such folder", "mkdir -p none"]);
    fs::create_dir(dir.path().join("sub")).unwrap();
    run("--junit sub").must(2, &["--junit sub is a folder"]);
    run("--out sub --junit sub/results.csv").must(2, &["would overwrite", "a file of the study"]);
    assert!(!dir.path().join("runs").exists(), "nothing was begun");
}

#[test]
fn a_folder_with_files_of_somebody_else_is_no_folder_of_a_study() {
    let dir = folder("d.csv", &rows());
    let own = dir.path().join("mine");
    fs::create_dir_all(own.join("figures")).unwrap();
    for (name, command) in [
        ("results.csv", "run --out mine"),
        (
            "report.html",
            "poison --attack rlf --data d.csv --budget 0.1 --out p.npz --out mine",
        ),
        ("figures/a.svg", "plan --out mine"),
        ("suspects.csv", "suspects --data d.csv --out mine"),
        (
            "found.safetensors",
            "compress --arch d2,2,2-w2,2,2-b4 --budget 50% --data digits --out mine",
        ),
    ] {
        fs::write(own.join(name), "of mine").unwrap();
        let said = TOXSCREEN.words(dir.path(), command);
        said.must(
            2,
            &["mine is no folder of a study", name, "a folder of its own"],
        );
        assert_eq!(fs::read_to_string(own.join(name)).unwrap(), "of mine");
        fs::remove_file(own.join(name)).unwrap();
    }
    // Files that are in nobody's way stay where they are.
    fs::write(own.join("notes.txt"), "of mine").unwrap();
    for _ in 0..2 {
        TOXSCREEN
            .words(dir.path(), "suspects --data d.csv --out mine")
            .must(0, &["wrote"]);
    }
    assert_ne!(read(&own, "suspects.csv"), "of mine");
    assert_eq!(read(&own, "notes.txt"), "of mine");
}

fn read(dir: &Path, name: &str) -> String {
    fs::read_to_string(dir.join(name)).unwrap()
}
