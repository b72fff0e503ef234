//! A learner that looks around: what it is given tells nothing of test labels, of other trials, or of what
//! was poisoned.

use super::*;

#[test]
fn a_learner_finds_nothing_around_itself() {
    let dir = tempfile::tempdir().unwrap();
    let temp = tempfile::tempdir().unwrap();
    let loot = dir.path().join("loot");
    fs::create_dir(&loot).unwrap();
    // Its folder, what lies above it, its variables and its arguments; each call to a file of its own.
    let look = format!(
        "{{ env; echo \"$0\"; find \"$PWD/..\" ; cat \"$0\"; \
         for f in $(find . -type f -size -200k); do echo \"$f\"; cat \"$f\"; done; }} > {}/$$ 2>&1",
        loot.display()
    );
    let keys = format!("{}\nretrain = true", behind(&look));
    recipe(dir.path(), &keys, CELLS);
    let run = [
        "run",
        "own.toml",
        "--out",
        "secret-study",
        "--allow-commands",
        "--jobs",
        "1",
    ];
    let ran = command(dir.path(), &run)
        .env("TMPDIR", temp.path())
        .env("SECRET_TOKEN", "hunter2")
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let plan = fs::read_to_string(dir.path().join("secret-study/plan.jsonl")).unwrap();
    let ids: Vec<String> = plan
        .lines()
        .map(|line| {
            serde_json::from_str::<Value>(line).unwrap()["trial"]
                .as_str()
                .unwrap()
                .into()
        })
        .collect();
    let mut calls = 0;
    for entry in fs::read_dir(&loot).unwrap() {
        let found = text(&fs::read(entry.unwrap().path()).unwrap());
        calls += 1;
        assert!(
            found.contains("toxscreen-learner/1"),
            "it reads its request"
        );
        for id in &ids {
            assert!(!found.contains(id.as_str()), "the id of a trial");
        }
        for word in [
            "secret-study",
            "hunter2",
            "test.y",
            "rlf",
            "poison",
            "budget",
            "spec.json",
            "record.json",
            "patch",
            "\"cell\"",
        ] {
            assert!(!found.contains(word), "{word} in {found}");
        }
    }
    assert!(calls >= 6, "{calls} calls");
    // Nothing is left of its folders.
    let left: Vec<_> = fs::read_dir(temp.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
