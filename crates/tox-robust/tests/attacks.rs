//! Gradient attacks on models whose answers are known: linear ones, where the best perturbation has a
//! closed form, and a small one with curves, in host arithmetic.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use rand::Rng;
use std::cell::Cell;
use tox_data::rng::stream;
use tox_robust::attack::{
    ApgdConfig, ApgdDlrConfig, Attack, AttackError, Found, PgdConfig, apgd, fgsm, pgd, predicted,
};
use tox_robust::ball::{Ball, Norm};
use tox_robust::oracle::{Oracle, Points};

const SIZE: usize = 12;

/// Logits W x + b, or W tanh(6 V (x - 1/2)) + b; sums in f64.
struct Host {
    /// Rows of `SIZE` weights, one a hidden unit; none: a linear model.
    hidden: Option<Vec<[f64; SIZE]>>,
    /// A row a class.
    weights: Vec<Vec<f64>>,
    bias: Vec<f64>,
    /// Rows of pixels that passes were asked for: (forward, backward).
    rows: Cell<(u32, u32)>,
}

impl Host {
    /// Classes 0 and 1 on either side of a plane; two more, where asked for, that are always far
    /// below, so that DLR has its classes and every loss its largest slope along the plane's normal.
    fn linear(seed: u64, classes: usize) -> Self {
        let mut rng = stream(seed, "test/linear", &[]);
        let mut w = vec![0.0; SIZE];
        for (j, w) in w.iter_mut().enumerate() {
            let sign = if rng.random() { 1.0 } else { -1.0 };
            // A pixel that does not matter is among them.
            *w = if j == 5 {
                0.0
            } else {
                sign * rng.random_range(0.1..1.0)
            };
        }
        let bias = -0.5 * w.iter().sum::<f64>();
        let mut weights = vec![vec![0.0; SIZE]; classes];
        weights[0] = w.iter().map(|w| -w).collect();
        weights[1] = w;
        let mut all = vec![-100.0; classes];
        (all[0], all[1]) = (-bias, bias);
        Self {
            hidden: None,
            weights,
            bias: all,
            rows: Cell::new((0, 0)),
        }
    }

    fn curved(seed: u64) -> Self {
        let mut rng = stream(seed, "test/curved", &[]);
        let mut draw = || rng.random_range(-1.0..1.0);
        let hidden = (0..10).map(|_| std::array::from_fn(|_| draw())).collect();
        let weights = (0..5).map(|_| (0..10).map(|_| draw()).collect()).collect();
        Self {
            hidden: Some(hidden),
            weights,
            bias: vec![0.0; 5],
            rows: Cell::new((0, 0)),
        }
    }

    fn features(&self, x: &[f32]) -> Vec<f64> {
        let wide = x.iter().map(|&x| f64::from(x));
        match &self.hidden {
            None => wide.collect(),
            Some(hidden) => {
                let x: Vec<f64> = wide.map(|x| 6.0 * (x - 0.5)).collect();
                hidden.iter().map(|v| dot(v, &x).tanh()).collect()
            }
        }
    }

    fn row(&self, x: &[f32]) -> Vec<f32> {
        let features = self.features(x);
        let rows = self.weights.iter().zip(&self.bias);
        rows.map(|(w, b)| (dot(w, &features) + b) as f32).collect()
    }
}

impl Oracle for Host {
    fn shape(&self) -> [usize; 3] {
        [1, 3, SIZE / 3]
    }

    fn classes(&self) -> usize {
        self.bias.len()
    }

    fn logits(&self, pixels: &[f32]) -> Vec<f32> {
        let (forward, backward) = self.rows.get();
        self.rows
            .set((forward + (pixels.len() / SIZE) as u32, backward));
        pixels.chunks(SIZE).flat_map(|x| self.row(x)).collect()
    }

    fn pullback(
        &self,
        pixels: &[f32],
        cotangent: &mut dyn FnMut(&[f32]) -> Vec<f32>,
    ) -> (Vec<f32>, Vec<f32>) {
        let logits = self.logits(pixels);
        let (forward, backward) = self.rows.get();
        self.rows
            .set((forward, backward + (pixels.len() / SIZE) as u32));
        let cotangent = cotangent(&logits);
        let mut gradient = Vec::new();
        for (x, d) in pixels.chunks(SIZE).zip(cotangent.chunks(self.classes())) {
            let mut by_feature = vec![0.0; self.weights[0].len()];
            for (w, &d) in self.weights.iter().zip(d) {
                by_feature
                    .iter_mut()
                    .zip(w)
                    .for_each(|(f, w)| *f += f64::from(d) * w);
            }
            match &self.hidden {
                None => gradient.extend(by_feature.iter().map(|&g| g as f32)),
                Some(hidden) => {
                    let features = self.features(x);
                    gradient.extend((0..SIZE).map(|j| {
                        let units = hidden.iter().zip(&features).zip(&by_feature);
                        units
                            .map(|((v, t), f)| 6.0 * v[j] * (1.0 - t * t) * f)
                            .sum::<f64>() as f32
                    }));
                }
            }
        }
        (logits, gradient)
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Images with the classes that the model sees in them.
struct Data {
    pixels: Vec<f32>,
    labels: Vec<u16>,
    rows: Vec<u32>,
}

impl Data {
    fn new(oracle: &Host, n: usize, range: std::ops::RangeInclusive<f32>) -> Self {
        let mut rng = stream(3, "test/images", &[]);
        let mut pixels: Vec<f32> = (0..n * SIZE)
            .map(|_| rng.random_range(range.clone()))
            .collect();
        if *range.start() == 0.0 {
            // Corners of the image range, where clipping binds.
            pixels.iter_mut().step_by(7).for_each(|x| *x = x.round());
        }
        let label = |x| predicted(&oracle.row(x)).unwrap() as u16;
        let labels = pixels.chunks(SIZE).map(label).collect();
        let rows = (100..100 + n as u32).collect();
        Self {
            pixels,
            labels,
            rows,
        }
    }

    fn points(&self) -> Points<'_> {
        self.part(0..self.labels.len())
    }

    fn part(&self, part: std::ops::Range<usize>) -> Points<'_> {
        Points {
            pixels: &self.pixels[part.start * SIZE..part.end * SIZE],
            labels: &self.labels[part.clone()],
            rows: &self.rows[part],
        }
    }
}

fn ball(norm: Norm, epsilon: f64) -> Ball {
    Ball { norm, epsilon }
}

/// Runs an attack on points that the model gets right and holds what it found to its contract.
fn attack(attack: &Attack, oracle: &Host, points: Points<'_>, ball: Ball, seed: u64) -> Found {
    attack.check(ball, oracle.classes()).unwrap();
    oracle.rows.set((0, 0));
    let found = match attack {
        Attack::Fgsm {} => fgsm::run(oracle, points, ball),
        Attack::Pgd(config) => pgd::run(oracle, points, ball, config, seed),
        Attack::Cw(config) => pgd::cw(oracle, points, ball, config, seed),
        Attack::ApgdCe(config) => apgd::cross_entropy(oracle, points, ball, config, seed),
        Attack::ApgdDlr(config) => apgd::dlr(oracle, points, ball, config, seed),
        other => panic!("{} is tested elsewhere", other.name()),
    };
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
    let apgd = ApgdConfig {
        steps: 60,
        ..Default::default()
    };
    let targets = |targets| ApgdDlrConfig {
        steps: 60,
        targets,
        ..Default::default()
    };
    vec![
        Attack::Fgsm {},
        Attack::Pgd(PgdConfig::new(100)),
        Attack::Cw(PgdConfig::new(100)),
        Attack::Pgd(PgdConfig {
            random_start: false,
            ..PgdConfig::new(100)
        }),
        Attack::ApgdCe(apgd),
        Attack::ApgdDlr(targets(9)),
        Attack::ApgdDlr(targets(0)),
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
    let share = can.iter().filter(|&&can| can).count();
    assert!((50..250).contains(&share), "{share} of 300 can be fooled");
    for kind in strong() {
        let found = attack(&kind, &oracle, data.points(), ball, 7);
        assert_eq!(found.fooled, can, "{}", kind.name());
        for (i, x) in found.pixels.chunks(SIZE).enumerate() {
            if found.fooled[i] && kind != (Attack::Fgsm {}) {
                continue; // It left at the first error, wherever that was.
            }
            // To the last bit where one step does it; elsewhere an image that is a rounding away may
            // have had the same f32 margin first.
            let slack = if kind == (Attack::Fgsm {}) { 0.0 } else { 1e-7 };
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
    let share = can.iter().filter(|&&can| can).count();
    assert!((50..250).contains(&share), "{share} of 300 can be fooled");
    for kind in strong() {
        let found = attack(&kind, &oracle, data.points(), ball, 7);
        assert_eq!(found.fooled, can, "{}", kind.name());
        for (i, x) in found.pixels.chunks(SIZE).enumerate() {
            if !found.fooled[i] || kind == (Attack::Fgsm {}) {
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
    let one = PgdConfig {
        step: Some(0.001),
        ..PgdConfig::new(1)
    };
    let apgd = ApgdConfig {
        steps: 1,
        ..Default::default()
    };
    let dlr = ApgdDlrConfig {
        steps: 1,
        targets: 1,
        ..Default::default()
    };
    let kinds: [fn(usize, _, _, _) -> Attack; 5] = [
        |restarts, pgd: PgdConfig, _: ApgdConfig, _: ApgdDlrConfig| {
            Attack::Pgd(PgdConfig { restarts, ..pgd })
        },
        |restarts, pgd, _, _| {
            Attack::Pgd(PgdConfig {
                restarts,
                random_start: false,
                ..pgd
            })
        },
        |restarts, pgd, _, _| Attack::Cw(PgdConfig { restarts, ..pgd }),
        |restarts, _, apgd, _| Attack::ApgdCe(ApgdConfig { restarts, ..apgd }),
        |restarts, _, _, dlr| Attack::ApgdDlr(ApgdDlrConfig { restarts, ..dlr }),
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
                let mut parts = Found {
                    pixels: Vec::new(),
                    fooled: Vec::new(),
                    forward: Vec::new(),
                    backward: Vec::new(),
                };
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
            let drawn = !matches!(kind, Attack::Fgsm {})
                && !matches!(
                    kind,
                    Attack::Pgd(PgdConfig {
                        random_start: false,
                        ..
                    })
                );
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
    let fgsm = count(&Attack::Fgsm {});
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
        let config = PgdConfig {
            steps,
            step: Some(0.03125),
            restarts,
            random_start: false,
        };
        attack(&Attack::Pgd(config), &oracle, points, ball, 7)
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

    let found = attack(&Attack::Fgsm {}, &oracle, points, ball, 7);
    assert_eq!(
        (found.forward, found.backward),
        (vec![2, 2, 1], vec![1, 1, 1])
    );
    assert_eq!(found.fooled, [true, false, true]);

    let apgd = Attack::ApgdCe(ApgdConfig {
        steps: 10,
        restarts: 2,
        ..Default::default()
    });
    let found = attack(&apgd, &oracle, points, ball, 7);
    assert_eq!((found.forward[1], found.backward[1]), (22, 20));

    // One pass to order the targets; of nine targets there are three.
    let oracle = threshold(4);
    let dlr = ApgdDlrConfig {
        steps: 10,
        restarts: 2,
        ..Default::default()
    };
    let found = attack(&Attack::ApgdDlr(dlr), &oracle, points, ball, 7);
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
    assert!(
        classes("autoattack", 3)
            .unwrap_err()
            .to_string()
            .contains("at least 4 classes")
    );
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
