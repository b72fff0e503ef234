//! How attacks are named and written, and which settings are refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use tox_robust::attacks::{ApgdCe, ApgdDlr, Attack, AttackError, Cw, Fgsm, KINDS, Pgd, names};
use tox_robust::ball::{Ball, Norm};

fn ball(norm: Norm, epsilon: f64) -> Ball {
    Ball { norm, epsilon }
}

#[derive(serde::Deserialize)]
struct Recipe {
    #[serde(deserialize_with = "Attack::written")]
    attack: Attack,
}

fn recipe(attack: &str) -> Result<Attack, String> {
    let read: Result<Recipe, _> = serde_json::from_str(&format!("{{\"attack\": {attack}}}"));
    read.map(|recipe| recipe.attack).map_err(|e| e.to_string())
}

#[test]
fn names_and_tables() {
    for (written, name) in [
        ("fgsm", "fgsm"),
        ("PGD", "pgd20"),
        ("pgd-10", "pgd10"),
        ("pgd7", "pgd7"),
        ("cw", "cw40"),
        ("cw-100", "cw100"),
        ("apgd-ce", "apgd-ce"),
        ("apgd-t", "apgd-dlr"),
        ("apgd-dlr", "apgd-dlr"),
        ("fab", "fab"),
        ("square", "square"),
        ("AutoAttack", "autoattack"),
    ] {
        let attack: Attack = written.parse().unwrap();
        assert_eq!(attack.name(), name);
        assert_eq!(recipe(&format!("\"{written}\"")).unwrap(), attack);
        let table = serde_json::to_string(&attack).unwrap();
        assert_eq!(recipe(&table).unwrap(), attack, "{table}");
        attack.check(ball(Norm::Linf, 8.0 / 255.0), 10).unwrap();
    }
    let table = r#"{"kind": "pgd", "steps": 20, "step": 0.25}"#;
    let expected = Pgd {
        step: Some(0.25),
        ..Pgd::new(20)
    };
    assert_eq!(recipe(table).unwrap(), expected.into());
    assert_eq!(recipe(r#"{"kind": "fgsm"}"#).unwrap(), Fgsm {}.into());
    let table = r#"{"kind": "apgd-ce", "steps": 5}"#;
    let expected = ApgdCe {
        steps: 5,
        ..Default::default()
    };
    assert_eq!(recipe(table).unwrap(), expected.into());
    // The page's step at its epsilon.
    let step = Pgd::new(40).step(8.0 / 255.0);
    assert!((step - 0.8 / 255.0).abs() < 1e-15);

    for wrong in [
        "pgdx",
        "pgd-",
        "pgd+3",
        "pgd--3",
        "deepfool",
        "",
        "pgd99999999999999999999",
    ] {
        let error = wrong.parse::<Attack>().unwrap_err().to_string();
        assert!(
            error.contains(&format!("`{wrong}` names no attack")),
            "{error}"
        );
        assert!(
            recipe(&format!("\"{wrong}\""))
                .unwrap_err()
                .contains("names no attack")
        );
    }
    for (table, word) in [
        (r#"{"kind": "pgd", "steps": 3, "stepp": 1}"#, "stepp"),
        (r#"{"kind": "fgsm", "steps": 3}"#, "steps"),
        (r#"{"kind": "pgd"}"#, "steps"),
        (r#"{"kind": "deepfool"}"#, "deepfool"),
        ("7", "pgd20"),
    ] {
        let error = recipe(table).unwrap_err();
        assert!(error.contains(word), "{table}: {error}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_with_the_reason() {
    let usual = ball(Norm::Linf, 8.0 / 255.0);
    let refused =
        |attack: Attack, ball, classes| -> AttackError { attack.check(ball, classes).unwrap_err() };
    for epsilon in [-0.1, f64::NAN, f64::INFINITY] {
        for norm in [Norm::Linf, Norm::L2] {
            let error = refused(Fgsm {}.into(), ball(norm, epsilon), 10);
            assert!(matches!(error, AttackError::Ball(_)), "{error}");
        }
    }
    let error = refused(Fgsm {}.into(), ball(Norm::Linf, 8.0), 10);
    assert!(error.to_string().contains("0.03137"), "{error}");
    Attack::new(Fgsm {}).check(ball(Norm::L2, 8.0), 10).unwrap();
    Attack::new(Fgsm {}).check(ball(Norm::L2, 0.0), 2).unwrap();

    let pgd = Pgd::new(20);
    let apgd = ApgdCe::default();
    let dlr = ApgdDlr::default();
    for (attack, key) in [
        (Pgd { steps: 0, ..pgd }.into(), "steps"),
        (Cw(Pgd { restarts: 0, ..pgd }).into(), "restarts"),
        (
            Pgd {
                step: Some(0.0),
                ..pgd
            }
            .into(),
            "step",
        ),
        (
            Pgd {
                step: Some(f64::NAN),
                ..pgd
            }
            .into(),
            "step",
        ),
        (ApgdCe { rho: 1.5, ..apgd }.into(), "rho"),
        (ApgdDlr { steps: 0, ..dlr }.into(), "steps"),
    ] {
        let error = refused(attack, usual, 10).to_string();
        assert!(error.contains(&format!("`{key}` = ")), "{error}");
    }
    let classes = |attack: &str, classes| attack.parse::<Attack>().unwrap().check(usual, classes);
    assert!(
        classes("apgd-dlr", 3)
            .unwrap_err()
            .to_string()
            .contains("at least 4 classes")
    );
    // AutoAttack does what it can on few classes, and says what that is.
    for (n, dlr) in [
        (2, None),
        (3, Some("apgd-dlr-untargeted")),
        (4, Some("apgd-dlr")),
    ] {
        classes("autoattack", n).unwrap();
        let autoattack: Attack = "autoattack".parse().unwrap();
        let names: Vec<String> = autoattack.parts(n).iter().map(Attack::name).collect();
        let expected = [Some("apgd-ce"), dlr, Some("fab"), Some("square5000")];
        assert_eq!(names, expected.into_iter().flatten().collect::<Vec<_>>());
        assert_eq!(autoattack.note(n).is_some(), n < 4);
    }
    classes("apgd-dlr", 4).unwrap();
    assert!(
        classes("pgd20", 1)
            .unwrap_err()
            .to_string()
            .contains("at least 2 classes")
    );
    let untargeted = Attack::new(ApgdDlr { targets: 0, ..dlr });
    untargeted.check(usual, 3).unwrap();
    assert!(untargeted.check(usual, 2).is_err());
}

/// Ids of trials and evaluations that were kept go by these bytes.
#[test]
fn tables_are_written_as_they_always_were() {
    for (name, table) in [
        ("fgsm", r#"{"kind":"fgsm"}"#),
        (
            "pgd20",
            r#"{"kind":"pgd","steps":20,"restarts":1,"random_start":true}"#,
        ),
        (
            "cw40",
            r#"{"kind":"cw","steps":40,"restarts":1,"random_start":true}"#,
        ),
        (
            "apgd-ce",
            r#"{"kind":"apgd-ce","steps":100,"restarts":1,"rho":0.75}"#,
        ),
        (
            "apgd-dlr-untargeted",
            r#"{"kind":"apgd-dlr","steps":100,"restarts":1,"targets":0,"rho":0.75}"#,
        ),
        (
            "fab",
            r#"{"kind":"fab","steps":100,"restarts":1,"targets":9,"alpha_max":0.1,"eta":1.05,"beta":0.9}"#,
        ),
        (
            "square",
            r#"{"kind":"square","queries":5000,"restarts":1,"p_init":0.8,"rescale":true}"#,
        ),
        (
            "autoattack",
            r#"{"kind":"autoattack","apgd_ce":{"steps":100,"restarts":1,"rho":0.75},"apgd_dlr":{"steps":100,"restarts":1,"targets":9,"rho":0.75},"fab":{"steps":100,"restarts":1,"targets":9,"alpha_max":0.1,"eta":1.05,"beta":0.9},"square":{"queries":5000,"restarts":1,"p_init":0.8,"rescale":false}}"#,
        ),
    ] {
        let attack: Attack = name.parse().unwrap();
        assert_eq!(serde_json::to_string(&attack).unwrap(), table);
    }
    let step = Pgd {
        step: Some(1.0),
        ..Pgd::new(7)
    };
    let table = r#"{"kind":"pgd","steps":7,"step":1.0,"restarts":1,"random_start":true}"#;
    assert_eq!(serde_json::to_string(&Attack::new(step)).unwrap(), table);
}

#[test]
fn every_kind_reads_its_names() {
    for kind in KINDS {
        for name in kind.names {
            let attack: Attack = name.parse().unwrap();
            assert_eq!(
                (attack.facts().kind, attack.name().as_str()),
                (kind.name, *name)
            );
            assert_eq!(attack.shortened(3).facts().kind, kind.name);
        }
    }
}

#[test]
fn help_and_schema_list_every_kind() {
    let schema = serde_json::to_value(schemars::schema_for!(Attack)).unwrap();
    let kinds = schema["oneOf"].as_array().unwrap().iter();
    let kinds: Vec<&str> = kinds
        .map(|kind| kind["properties"]["kind"]["const"].as_str().unwrap())
        .collect();
    let known: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    assert_eq!(kinds, known);
    for name in KINDS.iter().flat_map(|kind| kind.names) {
        assert!(names().contains(name));
    }
}
