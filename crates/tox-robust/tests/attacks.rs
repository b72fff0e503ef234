//! Gradient attacks on models whose answers are known: linear ones, where the best perturbation has a
//! closed form, and a small one with curves, in host arithmetic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod host;

use host::{Data, Host, SIZE, ball, dot};
use tox_robust::attacks::{ApgdCe, ApgdDlr, Attack, Cw, Fgsm, Found, Pgd, predicted};
use tox_robust::ball::{Ball, Norm};
use tox_robust::oracle::{Oracle, Points};

/// Runs an attack on points that the model gets right and holds what it found to its contract.
fn attack(attack: &Attack, oracle: &Host, points: Points<'_>, ball: Ball, seed: u64) -> Found {
    attack.check(ball, oracle.classes()).unwrap();
    oracle.rows.set((0, 0));
    let found = attack.run(oracle, points, ball, seed);
    let passes = (found.forward.iter().sum(), found.backward.iter().sum());
    assert_eq!(oracle.rows.get(), passes, "counted passes are those made");
    assert_eq!(found.fooled.len(), points.len());
    let pairs = found.pixels.chunks(SIZE).zip(points.pixels.chunks(SIZE));
    for (i, (x, clean)) in pairs.enumerate() {
        assert!(ball.allows(x, clean), "{} {i}", attack.name());
        let wrong = predicted(&oracle.row(x)) != Some(points.labels[i].into());
        assert_eq!(
            wrong,
            found.fooled[i],
            "{} {i}: the stored image",
            attack.name()
        );
    }
    found
}

/// Every gradient attack, strong enough to converge on a plane.
fn strong() -> Vec<Attack> {
    let apgd = ApgdCe {
        steps: 60,
        ..Default::default()
    };
    let targets = |targets| ApgdDlr {
        steps: 60,
        targets,
        ..Default::default()
    };
    vec![
        Fgsm {}.into(),
        Pgd::new(100).into(),
        Cw::new(100).into(),
        Attack::new(Pgd {
            random_start: false,
            ..Pgd::new(100)
        }),
        Attack::new(apgd),
        Attack::new(targets(9)),
        Attack::new(targets(0)),
    ]
}

/// The f32 farthest from `c` towards `up` that lies within epsilon of it and in 0..=1.
fn farthest(c: f32, up: bool, epsilon: f64) -> f32 {
    let end = f64::from(c) + if up { epsilon } else { -epsilon };
    let mut x = (end as f32).clamp(0.0, 1.0);
    while (f64::from(x) - f64::from(c)).abs() > epsilon {
        x = if up { x.next_down() } else { x.next_up() };
    }
    x
}

fn margin(oracle: &Host, x: &[f32], label: u16) -> f64 {
    let z = oracle.row(x);
    f64::from(z[1 - usize::from(label)]) - f64::from(z[usize::from(label)])
}

/// Strong attacks, each of which fools all that can be.
fn fooling(oracle: &Host, data: &Data, ball: Ball, can: &[bool]) -> Vec<(Attack, Found)> {
    let share = can.iter().filter(|&&can| can).count();
    assert!((50..250).contains(&share), "{share} of 300 can be fooled");
    let each = strong().into_iter().map(|kind| {
        let found = attack(&kind, oracle, data.points(), ball, 7);
        assert_eq!(found.fooled, can, "{}", kind.name());
        (kind, found)
    });
    each.collect()
}

#[test]
fn on_a_plane_every_attack_finds_the_best_linf_perturbation() {
    let oracle = Host::linear(1, 4);
    let data = Data::new(&oracle, 300, 0.0..=1.0);
    let ball = ball(Norm::Linf, 16.0 / 255.0);
    let best = |i: usize| -> Vec<f32> {
        let label = usize::from(data.labels[i]);
        let up = |j: usize| oracle.weights[1 - label][j] - oracle.weights[label][j];
        let clean = data.pixels[i * SIZE..][..SIZE].iter().enumerate();
        clean
            .map(|(j, &c)| match up(j) {
                0.0 => c,
                slope => farthest(c, slope > 0.0, ball.epsilon),
            })
            .collect()
    };
    let can: Vec<bool> = (0..300)
        .map(|i| predicted(&oracle.row(&best(i))) != Some(data.labels[i].into()))
        .collect();
    for (kind, found) in fooling(&oracle, &data, ball, &can) {
        for (i, x) in found.pixels.chunks(SIZE).enumerate() {
            if found.fooled[i] && kind != Attack::new(Fgsm {}) {
                continue; // It left at the first error, wherever that was.
            }
            // To the last bit where one step does it; elsewhere an image that is a rounding away may
            // have had the same f32 margin first.
            let slack = if kind == Attack::new(Fgsm {}) {
                0.0
            } else {
                1e-7
            };
            for (j, (x, best)) in x.iter().zip(best(i)).enumerate() {
                let free = j == 5 && slack > 0.0;
                let near = (x - best).abs() <= slack;
                assert!(free || near, "{} {i} {j}: {x} {best}", kind.name());
            }
        }
    }
}

#[test]
fn on_a_plane_every_attack_finds_the_best_l2_perturbation() {
    let oracle = Host::linear(2, 4);
    // No change of length 0.08 meets the image range.
    let data = Data::new(&oracle, 300, 0.3..=0.7);
    let ball = ball(Norm::L2, 0.08);
    let w = &oracle.weights[1];
    let gain = 2.0 * ball.epsilon * dot(w, w).sqrt();
    let best: Vec<f64> = (0..300)
        .map(|i| margin(&oracle, &data.pixels[i * SIZE..][..SIZE], data.labels[i]) + gain)
        .collect();
    assert!(best.iter().all(|m| m.abs() > 1e-4), "none is on the edge");
    let can: Vec<bool> = best.iter().map(|&m| m > 0.0).collect();
    for (kind, found) in fooling(&oracle, &data, ball, &can) {
        for (i, x) in found.pixels.chunks(SIZE).enumerate() {
            if !found.fooled[i] || kind == Attack::new(Fgsm {}) {
                let m = margin(&oracle, x, data.labels[i]);
                assert!(
                    (m - best[i]).abs() < 2e-6,
                    "{} {i}: {m} {}",
                    kind.name(),
                    best[i]
                );
            }
        }
    }
}

#[test]
fn without_room_nothing_is_fooled() {
    for oracle in [Host::linear(1, 4), Host::curved(1)] {
        let data = Data::new(&oracle, 40, 0.0..=1.0);
        for norm in [Norm::Linf, Norm::L2] {
            for kind in strong() {
                let found = attack(&kind, &oracle, data.points(), ball(norm, 0.0), 7);
                assert_eq!(found.fooled, [false; 40], "{}", kind.name());
                assert_eq!(found.pixels, data.pixels);
            }
        }
    }
}

#[test]
fn more_room_never_fools_fewer_on_a_plane() {
    let oracle = Host::linear(4, 4);
    let data = Data::new(&oracle, 100, 0.0..=1.0);
    for norm in [Norm::Linf, Norm::L2] {
        for kind in strong() {
            let mut before = vec![false; 100];
            for room in [0.01, 0.03, 0.1, 0.3] {
                let fooled = attack(&kind, &oracle, data.points(), ball(norm, room), 7).fooled;
                let lost = before
                    .iter()
                    .zip(&fooled)
                    .any(|(before, now)| *before && !now);
                assert!(!lost, "{} {norm:?} {room}", kind.name());
                before = fooled;
            }
            assert!(before.contains(&true));
        }
    }
}

#[test]
fn restarts_never_fool_fewer_and_sometimes_more() {
    let oracle = Host::curved(2);
    let data = Data::new(&oracle, 200, 0.0..=1.0);
    let ball = ball(Norm::Linf, 0.15);
    let one = Pgd {
        step: Some(0.001),
        ..Pgd::new(1)
    };
    let apgd = ApgdCe {
        steps: 1,
        ..Default::default()
    };
    let dlr = ApgdDlr {
        steps: 1,
        targets: 1,
        ..Default::default()
    };
    let kinds: [fn(usize, _, _, _) -> Attack; 5] = [
        |restarts, pgd: Pgd, _: ApgdCe, _: ApgdDlr| Attack::new(Pgd { restarts, ..pgd }),
        |restarts, pgd, _, _| {
            Attack::new(Pgd {
                restarts,
                random_start: false,
                ..pgd
            })
        },
        |restarts, pgd, _, _| Cw(Pgd { restarts, ..pgd }).into(),
        |restarts, _, apgd, _| Attack::new(ApgdCe { restarts, ..apgd }),
        |restarts, _, _, dlr| Attack::new(ApgdDlr { restarts, ..dlr }),
    ];
    for kind in kinds {
        let fooled = |restarts| {
            let kind = kind(restarts, one, apgd, dlr);
            attack(&kind, &oracle, data.points(), ball, 7).fooled
        };
        let (few, many) = (fooled(1), fooled(6));
        assert!(few.iter().zip(&many).all(|(few, many)| !few || *many));
        let count = |fooled: &[bool]| fooled.iter().filter(|&&f| f).count();
        assert!(
            count(&many) > count(&few),
            "{} {}",
            count(&many),
            count(&few)
        );
    }
}

#[test]
fn what_is_found_depends_on_seed_and_row_only() {
    let oracle = Host::curved(3);
    let data = Data::new(&oracle, 50, 0.0..=1.0);
    for norm in [Norm::Linf, Norm::L2] {
        let ball = ball(norm, if norm == Norm::Linf { 0.06 } else { 0.15 });
        for kind in strong() {
            let all = attack(&kind, &oracle, data.points(), ball, 7);
            let share = all.fooled.iter().filter(|&&f| f).count();
            assert!(
                (5..45).contains(&share),
                "{} {norm:?}: {share} of 50",
                kind.name()
            );
            for size in [1, 7] {
                let mut parts = attack(&kind, &oracle, data.part(0..0), ball, 7);
                for start in (0..50).step_by(size) {
                    let part = data.part(start..50.min(start + size));
                    let found = attack(&kind, &oracle, part, ball, 7);
                    parts.pixels.extend(found.pixels);
                    parts.fooled.extend(found.fooled);
                    parts.forward.extend(found.forward);
                    parts.backward.extend(found.backward);
                }
                assert_eq!(parts, all, "{} in parts of {size}", kind.name());
            }
            let other = attack(&kind, &oracle, data.points(), ball, 8);
            let pgd = kind.downcast_ref::<Pgd>();
            let from_clean = pgd.is_some_and(|pgd| !pgd.random_start);
            let drawn = kind != Attack::new(Fgsm {}) && !from_clean;
            assert_eq!(other.pixels != all.pixels, drawn, "{}", kind.name());
        }
    }
}

#[test]
fn stronger_attacks_fool_what_weaker_ones_do_on_a_curve() {
    let oracle = Host::curved(5);
    let data = Data::new(&oracle, 300, 0.0..=1.0);
    let count = |kind: &Attack| {
        let found = attack(kind, &oracle, data.points(), ball(Norm::Linf, 0.08), 7);
        found.fooled.iter().filter(|&&f| f).count()
    };
    let fgsm = count(&Fgsm {}.into());
    let pgd = count(&"pgd20".parse().unwrap());
    let apgd = count(&"apgd-ce".parse().unwrap());
    let dlr = count(&"apgd-dlr".parse().unwrap());
    assert!(
        fgsm < pgd && pgd <= apgd && apgd <= dlr,
        "{fgsm} {pgd} {apgd} {dlr}"
    );
}

/// Class 1 where the first pixel exceeds 1/2.
fn threshold(classes: usize) -> Host {
    let mut oracle = Host::linear(1, classes);
    oracle.weights.iter_mut().for_each(|w| w.fill(0.0));
    oracle.weights[1][0] = 1.0;
    (oracle.bias[0], oracle.bias[1]) = (0.0, -0.5);
    oracle
}

#[test]
fn passes_by_hand() {
    let oracle = threshold(2);
    let mut pixels = vec![0.0; 3 * SIZE];
    // Near the edge; far from it; wrong already.
    (pixels[0], pixels[SIZE], pixels[2 * SIZE]) = (0.4375, 0.0, 0.75);
    let points = Points {
        pixels: &pixels,
        labels: &[0, 0, 0],
        rows: &[0, 1, 2],
    };
    let ball = ball(Norm::Linf, 0.25);
    let pgd = |steps, restarts| {
        let config = Pgd {
            steps,
            step: Some(0.03125),
            restarts,
            random_start: false,
        };
        attack(&config.into(), &oracle, points, ball, 7)
    };
    // 0.4375, 0.46875, 0.5 (a tie is won by class 0), 0.53125: the fourth image fools.
    let found = pgd(5, 1);
    assert_eq!(found.fooled, [true, false, true]);
    assert_eq!(found.forward, [4, 6, 1]);
    assert_eq!(found.backward, [4, 5, 1]);
    let first = |i: usize| found.pixels[i * SIZE];
    assert_eq!([first(0), first(1), first(2)], [0.53125, 0.15625, 0.75]);
    // Three steps: the fourth image is the last, which needs no gradient.
    let found = pgd(3, 1);
    assert_eq!(
        (found.forward, found.backward),
        (vec![4, 4, 1], vec![3, 3, 1])
    );
    // The second restart is for what the first left.
    let found = pgd(5, 2);
    assert_eq!(
        (found.forward, found.backward),
        (vec![4, 12, 1], vec![4, 10, 1])
    );

    let found = attack(&Fgsm {}.into(), &oracle, points, ball, 7);
    assert_eq!(
        (found.forward, found.backward),
        (vec![2, 2, 1], vec![1, 1, 1])
    );
    assert_eq!(found.fooled, [true, false, true]);

    let apgd = Attack::new(ApgdCe {
        steps: 10,
        restarts: 2,
        ..Default::default()
    });
    let found = attack(&apgd, &oracle, points, ball, 7);
    assert_eq!((found.forward[1], found.backward[1]), (22, 20));

    // One pass to order the targets; of nine targets there are three.
    let oracle = threshold(4);
    let dlr = ApgdDlr {
        steps: 10,
        restarts: 2,
        ..Default::default()
    };
    let found = attack(&Attack::new(dlr), &oracle, points, ball, 7);
    assert_eq!((found.forward[1], found.backward[1]), (1 + 3 * 22, 3 * 20));
    assert_eq!((found.forward[2], found.backward[2]), (1, 0));
}

#[test]
fn models_that_are_not_finite_break_no_attack() {
    let data = Data::new(&Host::linear(1, 4), 10, 0.0..=1.0);
    for norm in [Norm::Linf, Norm::L2] {
        let ball = ball(norm, 0.1);
        for kind in strong() {
            // No logit at all: an error, found by the first pass.
            let mut oracle = Host::linear(1, 4);
            oracle.bias[3] = f64::NAN;
            let found = attack(&kind, &oracle, data.points(), ball, 7);
            assert_eq!((found.fooled, found.forward), (vec![true; 10], vec![1; 10]));
            // A gradient that is nowhere finite: no step is made of it.
            let mut oracle = Host::linear(1, 4);
            let label = &data.labels;
            oracle.weights.iter_mut().for_each(|w| w.fill(0.0));
            oracle.bias = vec![f64::INFINITY, 0.0, 0.0, 0.0];
            let found = attack(&kind, &oracle, data.points(), ball, 7);
            let wrong: Vec<bool> = label.iter().map(|&y| y != 0).collect();
            assert_eq!(found.fooled, wrong, "{}", kind.name());
        }
    }
}

#[test]
fn nothing_to_attack_is_nothing_found() {
    let oracle = Host::linear(1, 4);
    let data = Data::new(&oracle, 1, 0.0..=1.0);
    for kind in strong() {
        let found = attack(&kind, &oracle, data.part(0..0), ball(Norm::L2, 1.0), 7);
        assert!(found.pixels.is_empty() && found.fooled.is_empty());
    }
}
