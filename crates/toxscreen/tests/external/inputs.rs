//! What a learner found, attacked by its scores alone.

use super::*;

const ATTACKED: &str = "[[cell]]\nlabel = \"clean\"\n\
    [[cell]]\nlabel = \"both\"\nthreat.data = { kind = \"rlf\", budget = 0.2 }\n\
    threat.inputs = { kind = \"evasion\", attack = \"square60\", epsilon = \"64/255\" }\n\
    [[cell]]\nlabel = \"still\"\n\
    threat.inputs = { kind = \"evasion\", attack = \"square60\", epsilon = 0.0 }\n";

fn run(dir: &Path, mischief: &[&str], cells: &str) -> Output {
    let keys = format!("{}\npredict = true\n[judge]\nimages = 40", own(mischief));
    recipe(dir, &keys, cells);
    toxscreen(dir, &RUN)
}

#[test]
fn square_judges_any_learner() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run(dir.path(), &[], ATTACKED);
    assert!(ran.status.success(), "{}", text(&ran.stderr));
    let records = records(&dir.path().join("out"));
    let of = |cell: &str| &records.iter().find(|r| r.0 == cell).unwrap().2;
    // An attack that moves nothing is the clean trial, bit for bit.
    assert_eq!(of("clean"), of("still"));
    let attacked = &of("both")["attacked"];
    assert_eq!(attacked["images"], 40);
    let accuracy = |key: &str| attacked[key].as_f64().unwrap();
    assert!(
        accuracy("accuracy") < accuracy("clean") - 10.0,
        "{attacked}"
    );
    let queries = attacked["queries"].as_u64().unwrap();
    assert!((30..=70).contains(&queries), "{queries}");
    let page = fs::read_to_string(dir.path().join("out/report.html")).unwrap();
    assert!(page.contains("Under attack") && page.contains("Upper bounds"));
    done(dir.path(), &VERIFY);
}

#[test]
fn answers_that_are_none_are_seen() {
    for (mischief, says) in [
        ("mumble", "found \"well\""),
        ("refuse", "no more"),
        ("die", "it is too hard"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let ran = run(dir.path(), &[mischief], ATTACKED);
        let said = text(&ran.stderr);
        assert_eq!(ran.status.code(), Some(1), "{mischief}: {said}");
        assert!(
            said.contains("1 of 3 trials failed") && said.contains(says),
            "{mischief}: {said}"
        );
    }
}

#[test]
fn what_has_no_gradient_is_not_asked_for_one() {
    let dir = tempfile::tempdir().unwrap();
    let ran = run(dir.path(), &[], &ATTACKED.replace("square60", "pgd20"));
    let said = text(&ran.stderr);
    assert_eq!(ran.status.code(), Some(2), "{said}");
    assert!(
        said.contains("follows gradients") && said.contains("`square`"),
        "{said}"
    );
}
