//! Robust accuracies against those of torchattacks, see `benches/peers/rcnas/make_attack_fixtures.py`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod cnn;

use cnn::Fixture;
use serde::Deserialize;
use tox_robust::attacks::{ApgdCe, ApgdDlr, Attack, AutoAttack, Cw, Fab, Fgsm, Pgd, Square};
use tox_robust::ball::{Ball, Norm};
use tox_robust::evaluation::{Evaluation, Inputs, evaluate};
use tox_testkit::stops::undisturbed;

#[derive(Deserialize)]
struct Theirs {
    clean: f64,
    square_queries: usize,
    balls: Vec<Found>,
}

/// Robust accuracies in percent; of PGD and CW from a random start those of the last iterate and of
/// any.
#[derive(Deserialize)]
struct Found {
    norm: Norm,
    epsilon: f64,
    fgsm: Option<f64>,
    pgd_from_clean: f64,
    pgd: [f64; 2],
    cw: [f64; 2],
    apgd_ce: f64,
    apgd_dlr: f64,
    fab: f64,
    square_few: f64,
    square: f64,
    autoattack: f64,
}

fn theirs() -> Theirs {
    serde_json::from_str(include_str!("fixtures/attacks.json")).unwrap()
}

fn ours(fixture: &Fixture, ball: Ball, attacks: &[Attack], seed: u64) -> Evaluation {
    let model = fixture.model();
    let rows: Vec<u32> = (0..fixture.images.len() as u32).collect();
    let inputs = Inputs {
        oracle: &model,
        split: (&fixture.images).into(),
        rows: &rows,
        ball,
        attacks,
        seed,
    };
    undisturbed(|hooks| evaluate(&inputs, hooks)).unwrap()
}

/// Compares accuracies of attacks, means over seeds, with their peers', within so many points.
fn compare(fixture: &Fixture, found: &Found, seeds: &[u64], cases: Vec<(Attack, f64, f64)>) {
    let ball = Ball {
        norm: found.norm,
        epsilon: found.epsilon,
    };
    let attacks: Vec<Attack> = cases.iter().map(|(attack, ..)| attack.clone()).collect();
    let start = std::time::Instant::now();
    let runs = seeds
        .iter()
        .map(|&seed| ours(fixture, ball, &attacks, seed));
    let runs: Vec<Evaluation> = runs.collect();
    let mut far = Vec::new();
    for (i, (attack, theirs, tolerance)) in cases.into_iter().enumerate() {
        let each: Vec<f64> = runs.iter().map(|run| run.attacks[i].accuracy).collect();
        let ours = each.iter().sum::<f64>() / each.len() as f64;
        let attacked = &runs[0].attacks[i];
        let line = format!(
            "{:?} {}: {each:.2?} ours, {theirs:.2} theirs, 8-bit {:.0?} %, {:.0} forward passes {:?}",
            found.norm,
            attack.name(),
            attacked.eight_bit,
            attacked.queries.mean_forward,
            attacked.parts,
        );
        println!("{line}");
        if (ours - theirs).abs() > tolerance {
            far.push(line);
        }
    }
    println!("{:.1} s", start.elapsed().as_secs_f64());
    assert!(far.is_empty(), "{far:#?}");
    for run in &runs {
        assert!((run.clean - self::theirs().clean).abs() < 0.01);
        assert_eq!(run.warnings, []);
    }
}

/// Within three of 600 images.
#[test]
fn accuracies_under_steps_along_the_gradient_are_those_of_torchattacks() {
    let fixture = Fixture::load();
    for found in &theirs().balls {
        let from_clean = Pgd {
            random_start: false,
            ..Pgd::new(20)
        };
        let mut cases = vec![
            (from_clean.into(), found.pgd_from_clean, 0.5),
            (Cw::new(40).into(), found.cw[1], 0.5),
        ];
        match found.fgsm {
            Some(fgsm) => {
                cases.push((Fgsm {}.into(), fgsm, 0.5));
                cases.push((Pgd::new(20).into(), found.pgd[1], 0.5));
            }
            // In L2 its starts lie nearer to the clean image, at uniform distances, than uniform
            // points of the ball do, and 20 steps do not make up for that.
            None => cases.push((Pgd::new(20).into(), found.pgd[1], 2.0)),
        }
        compare(&fixture, found, &[1, 2, 3], cases);
    }
}

/// Within six of 600 images.
#[test]
fn accuracies_under_the_parts_of_autoattack_are_those_of_torchattacks() {
    let (fixture, theirs) = (Fixture::load(), theirs());
    for found in &theirs.balls {
        let square = Square {
            queries: theirs.square_queries,
            ..Default::default()
        };
        let mut cases = vec![
            (ApgdCe::default().into(), found.apgd_ce, 1.0),
            (square.into(), found.square_few, 1.0),
        ];
        // The same in L2 takes as long again; see below.
        if found.norm == Norm::Linf {
            cases.push((ApgdDlr::default().into(), found.apgd_dlr, 1.0));
            cases.push((Fab::default().into(), found.fab, 1.0));
        }
        compare(&fixture, found, &[1], cases);
    }
}

#[test]
#[ignore = "minutes: 5000 queries of Square"]
fn autoattack_is_that_of_torchattacks() {
    let (fixture, theirs) = (Fixture::load(), theirs());
    for found in &theirs.balls {
        let square = Square::default();
        // Torchattacks shrinks squares along the budget here too.
        let autoattack = AutoAttack {
            square,
            ..Default::default()
        };
        let cases = vec![
            (square.into(), found.square, 1.0),
            (autoattack.into(), found.autoattack, 1.0),
            (ApgdDlr::default().into(), found.apgd_dlr, 1.0),
            (Fab::default().into(), found.fab, 1.0),
        ];
        compare(&fixture, found, &[1], cases);
    }
}
