//! The example's model and attack, neither of which the crate knows, in an evaluation.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../examples/attack_my_model.rs"]
mod example;

use example::{RandomSigns, evaluated};
use tox_robust::Attack;
use tox_robust::evaluation::Gap;

#[test]
fn an_attack_of_ones_own_is_evaluated() {
    let own = Attack::new(RandomSigns { tries: 50 });
    let alone = evaluated(std::slice::from_ref(&own)).unwrap().unwrap();
    let [of_own] = &alone.attacks[..] else {
        panic!("one attack was asked for");
    };
    assert!(of_own.accuracy < alone.clean, "it fools some");
    assert_eq!(of_own.queries.backward, 0);
    assert!(of_own.queries.forward <= 50 * 200);
    assert!(alone.untested.iter().any(|u| u.gap == Gap::WeakAttacks));
    let json = serde_json::to_value(&alone).unwrap();
    let table = serde_json::json!({ "kind": "random-signs", "tries": 50 });
    assert_eq!(json["attacks"][0]["attack"], table);

    // Beside AutoAttack, whose numbers it does not change.
    let autoattack: Attack = "autoattack".parse().unwrap();
    let both = evaluated(&[own, autoattack.clone()]).unwrap().unwrap();
    let known = evaluated(&[autoattack]).unwrap().unwrap();
    assert_eq!(&both.attacks[0], of_own);
    assert_eq!(both.attacks[1], known.attacks[0]);
    assert!(known.attacks[0].accuracy <= of_own.accuracy);
}

#[test]
fn the_example_runs() {
    example::main().unwrap();
}
