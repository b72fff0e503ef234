//! How attacks are named and written, and which settings are refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use tox_robust::attack::{ApgdConfig, ApgdDlrConfig, Attack, AttackError, PgdConfig};
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
    let expected = PgdConfig {
        step: Some(0.25),
        ..PgdConfig::new(20)
    };
    assert_eq!(recipe(table).unwrap(), Attack::Pgd(expected));
    assert_eq!(recipe(r#"{"kind": "fgsm"}"#).unwrap(), Attack::Fgsm {});
    let table = r#"{"kind": "apgd-ce", "steps": 5}"#;
    let expected = ApgdConfig {
        steps: 5,
        ..Default::default()
    };
    assert_eq!(recipe(table).unwrap(), Attack::ApgdCe(expected));
    // The page's step at its epsilon.
    let step = PgdConfig::new(40).step(8.0 / 255.0);
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
            let error = refused(Attack::Fgsm {}, ball(norm, epsilon), 10);
            assert!(matches!(error, AttackError::Epsilon { .. }), "{error}");
        }
    }
    let error = refused(Attack::Fgsm {}, ball(Norm::Linf, 8.0), 10);
    assert!(error.to_string().contains("0.03137"), "{error}");
    Attack::Fgsm {}.check(ball(Norm::L2, 8.0), 10).unwrap();
    Attack::Fgsm {}.check(ball(Norm::L2, 0.0), 2).unwrap();

    let pgd = PgdConfig::new(20);
    let apgd = ApgdConfig::default();
    let dlr = ApgdDlrConfig::default();
    for (attack, key) in [
        (Attack::Pgd(PgdConfig { steps: 0, ..pgd }), "steps"),
        (Attack::Cw(PgdConfig { restarts: 0, ..pgd }), "restarts"),
        (
            Attack::Pgd(PgdConfig {
                step: Some(0.0),
                ..pgd
            }),
            "step",
        ),
        (
            Attack::Pgd(PgdConfig {
                step: Some(f64::NAN),
                ..pgd
            }),
            "step",
        ),
        (Attack::ApgdCe(ApgdConfig { rho: 1.5, ..apgd }), "rho"),
        (Attack::ApgdDlr(ApgdDlrConfig { steps: 0, ..dlr }), "steps"),
    ] {
        let error = refused(attack, usual, 10).to_string();
        assert!(error.contains(&format!("`{key}` is ")), "{error}");
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
    let untargeted = Attack::ApgdDlr(ApgdDlrConfig { targets: 0, ..dlr });
    untargeted.check(usual, 3).unwrap();
    assert!(untargeted.check(usual, 2).is_err());
}
