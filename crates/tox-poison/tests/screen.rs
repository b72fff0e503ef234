//! The screen on real images: every poison op found, no clean op accused, whatever the seed.

#![allow(clippy::unwrap_used)] // helpers of tests

mod sets;

use sets::SETS;
use std::path::Path;
use tox_data::spec::DataSpec;
use tox_data::{DataDir, Dataset, load};
use tox_nn::Device;
use tox_poison::screen::{OpReport, ScreenConfig, ScreenError, Verdict, screen, screened, table};
use tox_poison::space::PoisonSet;
use tox_search::space::{Op, Space, SpaceOp};

fn dataset(name: &str, dir: &Path) -> Dataset {
    let spec = DataSpec::of(name, 100);
    load(&spec, &DataDir::resolve(Some(dir)).unwrap()).unwrap()
}

fn digits() -> Dataset {
    dataset("digits", Path::new("unused"))
}

fn run(space: &Space, data: &Dataset, seed: u64) -> Vec<OpReport> {
    screen(space, data, &ScreenConfig::default(), seed, &Device::flex()).unwrap()
}

fn of(ops: &[Op]) -> Space {
    let ops = ops.iter().map(|&op| SpaceOp {
        op,
        count: 1,
        poison: false,
    });
    Space { ops: ops.collect() }
}

/// The clean ops and one branch of every op of every set.
fn every_op() -> Space {
    let mut space = Space::enas();
    for (op, _) in SETS.into_iter().flat_map(PoisonSet::members) {
        if space.ops.iter().all(|o| o.op != op) {
            space.ops.push(SpaceOp {
                op,
                count: 1,
                poison: true,
            });
        }
    }
    space
}

/// Every op judged rightly, and no measure near its threshold.
fn judged(data: &Dataset, seeds: std::ops::Range<u64>) {
    let space = every_op();
    assert_eq!(space.ops.len(), 12);
    let c = ScreenConfig::default();
    for seed in seeds {
        let reports = run(&space, data, seed);
        let text = table(&reports);
        for (op, r) in space.ops.iter().zip(&reports) {
            assert_eq!(op.op, r.op);
            assert_eq!(r.poisonous(), op.poison, "seed {seed}: {}\n{text}", r.op);
            assert_eq!(r.flagged(), op.poison, "seed {seed}: {}\n{text}", r.op);
            if !op.poison {
                let m = &r.measures;
                assert!(m.information > 3.0 * c.min_information, "{text}");
                assert!(m.gradient_output.max(m.gradient_input) < c.max_gradient / 5.0);
                assert!(m.gradient_input > 100.0 * c.min_gradient, "{text}");
                assert!(m.change_evaluation > 5.0 * c.min_change, "{text}");
                assert!(m.nonlinearity > 50.0 * c.min_nonlinearity, "{text}");
                assert_eq!((m.noise, m.disagreement, m.dead_taps), (0.0, 0.0, 0.0));
            }
        }
        let verdicts = |op: Op| {
            let report = reports.iter().find(|r| r.op == op).unwrap();
            report.verdicts()
        };
        use Verdict::*;
        assert_eq!(verdicts(Op::Identity), [NoEffect, NoNonlinearity]);
        assert_eq!(
            verdicts(Op::Gaussian { sigma: 10.0 }),
            [
                DrownedInNoise,
                NoEffect,
                TrainEvalDisagreement,
                NoNonlinearity
            ]
        );
        assert_eq!(
            verdicts(Op::Dropout { p: 1.0 }),
            [
                NoInformation,
                NoGradient,
                ExplodingGradient,
                NoEffect,
                TrainEvalDisagreement,
                NoNonlinearity
            ]
        );
        for k in [3, 5] {
            assert_eq!(verdicts(Op::Transposed { k }), [NoNonlinearity]);
        }
        let stretched = Op::Stretched {
            k: 3,
            padding: 50,
            dilation: 50,
        };
        assert_eq!(verdicts(stretched), [ExtentBeyondMap]);
        assert_eq!(screened(&space, &reports), Space::enas());
    }
}

#[test]
fn digits_are_judged_rightly_under_twenty_seeds() {
    judged(&digits(), 0..20);
}

#[test]
#[ignore = "needs ../shared/data"]
fn real_cifar10_is_judged_rightly_under_twenty_seeds() {
    let dir = tox_testkit::data::unpacked();
    let data = dataset("cifar10", dir.path());
    std::thread::scope(|s| {
        s.spawn(|| judged(&data, 0..10));
        judged(&data, 10..20);
    });
}

#[test]
fn every_set_at_every_q_gives_the_clean_space_back() {
    let data = digits();
    for set in SETS {
        for q in [0, 1, 6] {
            let space = set.poison(&Space::enas(), q).unwrap();
            let reports = run(&space, &data, 7);
            for (op, r) in space.ops.iter().zip(&reports) {
                assert_eq!(r.poisonous(), op.poison, "{set} x {q}: {}", r.op);
                // Six copies of each op of a set; the clean ones have one.
                let copies = q == 6 || op.count > 1;
                assert_eq!(
                    r.verdicts().contains(&Verdict::Duplicates),
                    op.poison && copies,
                    "{set} x {q}: {}",
                    r.op
                );
            }
            assert_eq!(screened(&space, &reports), Space::enas(), "{set} x {q}");
        }
    }
}

#[test]
fn healthy_exotic_ops_are_left_alone() {
    let ops = [
        Op::Conv { k: 1 },
        Op::Conv { k: 7 },
        Op::Sep { k: 7 },
        Op::Stretched {
            k: 3,
            padding: 2,
            dilation: 2,
        },
        // The outer taps reach from corner to corner, no further.
        Op::Stretched {
            k: 3,
            padding: 7,
            dilation: 7,
        },
    ];
    let data = digits();
    for seed in 0..5 {
        let reports = run(&of(&ops), &data, seed);
        assert!(reports.iter().all(|r| !r.flagged()), "{}", table(&reports));
    }
}

#[test]
fn extreme_ops_are_judged_as_documented() {
    use Verdict::*;
    let far = Op::Stretched {
        k: 3,
        padding: 8,
        dilation: 8,
    };
    let expected: [(Op, &[Verdict]); 7] = [
        (Op::Gaussian { sigma: 0.01 }, &[NoEffect, NoNonlinearity]),
        (Op::Gaussian { sigma: 1.0 }, &[NoEffect, NoNonlinearity]),
        (
            Op::Gaussian { sigma: 3.0 },
            &[
                DrownedInNoise,
                NoEffect,
                TrainEvalDisagreement,
                NoNonlinearity,
            ],
        ),
        (Op::Dropout { p: 0.5 }, &[NoEffect, NoNonlinearity]),
        (
            Op::Dropout { p: 0.95 },
            &[
                DrownedInNoise,
                NoEffect,
                TrainEvalDisagreement,
                NoNonlinearity,
            ],
        ),
        (Op::Transposed { k: 1 }, &[NoNonlinearity]),
        (far, &[ExtentBeyondMap]),
    ];
    let reports = run(&of(&expected.map(|(op, _)| op)), &digits(), 3);
    for ((op, verdicts), r) in expected.iter().zip(&reports) {
        assert_eq!(r.verdicts(), *verdicts, "{op}\n{}", table(&reports));
    }
}

#[test]
fn measures_are_what_theory_says() {
    let ops = [
        Op::Gaussian { sigma: 1.0 },
        Op::Dropout { p: 0.5 },
        Op::Dropout { p: 1.0 },
        Op::Identity,
        Op::Stretched {
            k: 3,
            padding: 50,
            dilation: 50,
        },
    ];
    let reports = run(&of(&ops), &digits(), 1);
    let close = |found: f64, expected: f64, within: f64| {
        assert!(
            (found - expected).abs() <= within,
            "{found} is not {expected}\n{}",
            table(&reports)
        );
    };
    let m = |i: usize| &reports[i].measures;
    // Noise as strong as the signal: half of the power is noise; a change of 1.
    close(m(0).noise, 0.5, 0.02);
    close(m(0).disagreement, 0.5, 0.02);
    close(m(0).change_training, 1.0, 0.02);
    close(m(1).noise, 0.5, 0.02);
    close(m(1).change_training, 1.0, 0.02);
    close(m(2).information, 0.0, 0.0);
    // BN divides by the root of a variance of zero and its epsilon; only means are taken off.
    close(m(2).gradient_output, 1e5f64.sqrt(), 5.0);
    close(m(2).gradient_input, 0.0, 0.0);
    close(m(3).change_evaluation, 0.0, 0.0);
    close(m(3).information, 1.0, 1e-9);
    close(m(4).dead_taps, 8.0 / 9.0, 1e-9);
}

#[test]
fn the_same_seed_gives_the_same_reports_and_another_seed_others() {
    let data = digits();
    let space = every_op();
    assert_eq!(run(&space, &data, 5), run(&space, &data, 5));
    assert_ne!(run(&space, &data, 5), run(&space, &data, 6));
}

#[test]
fn copies_of_good_ops_are_flagged_and_counted_once() {
    let mut space = Space::enas();
    space.ops[2].count = 3;
    space.ops.push(space.ops[0]); // conv3 twice, as two entries
    let reports = run(&space, &digits(), 0);
    for (i, r) in reports.iter().enumerate() {
        assert!(!r.poisonous());
        assert_eq!(r.flagged(), [0, 2, 6].contains(&i), "{}", r.op);
        assert_eq!(r.fair_share, 1.0 / 6.0);
    }
    assert_eq!((reports[0].count, reports[6].count), (2, 2));
    assert_eq!(reports[2].share, 3.0 / 9.0);
    assert_eq!(screened(&space, &reports), Space::enas());
    let text = table(&reports);
    let rows = text.lines().filter(|line| line.starts_with("conv3 "));
    assert_eq!(rows.count(), 1, "{text}");
    assert!(text.contains("no op of 6 is poisonous"), "{text}");
    // The same count for all moves no odds.
    let mut even = Space::enas();
    even.ops.iter_mut().for_each(|o| o.count = 4);
    assert!(run(&even, &digits(), 0).iter().all(|r| !r.flagged()));
}

#[test]
fn what_cannot_be_screened_is_refused() {
    let data = digits();
    let device = Device::flex();
    let with = |space: &Space, data: &Dataset, config: &ScreenConfig| {
        screen(space, data, config, 0, &device).unwrap_err()
    };
    let config = ScreenConfig::default();
    let empty = Space { ops: Vec::new() };
    assert_eq!(with(&empty, &data, &config), ScreenError::Empty);
    for config in [
        ScreenConfig {
            inits: 0,
            ..config.clone()
        },
        ScreenConfig {
            batches: 0,
            ..config.clone()
        },
        ScreenConfig {
            batch: 1,
            ..config.clone()
        },
        ScreenConfig {
            channels: 3,
            ..config.clone()
        },
    ] {
        let error = with(&Space::enas(), &data, &config);
        assert!(matches!(error, ScreenError::Config { .. }), "{error}");
    }
    let mut blank = data.clone();
    blank.train.images.pixels.fill(9);
    let error = with(&Space::enas(), &blank, &config);
    assert!(matches!(error, ScreenError::Constant { .. }), "{error}");
    let mut equal = data.clone();
    let first = equal.train.images.pixels[..64].to_vec();
    for image in equal.train.images.pixels.chunks_exact_mut(64) {
        image.copy_from_slice(&first);
    }
    let error = with(&Space::enas(), &equal, &config);
    assert!(matches!(error, ScreenError::Constant { .. }), "{error}");
    let mut one = data.clone();
    one.train.images.shape[0] = 1;
    one.train.images.pixels.truncate(64);
    one.train.labels.truncate(1);
    let error = with(&Space::enas(), &one, &config);
    assert!(
        matches!(error, ScreenError::Images { found: 1, .. }),
        "{error}"
    );
}

#[test]
fn a_smaller_split_than_a_batch_will_do() {
    let mut few = digits();
    few.train.images.shape[0] = 10;
    few.train.images.pixels.truncate(640);
    few.train.labels.truncate(10);
    let space = every_op();
    for (op, r) in space.ops.iter().zip(run(&space, &few, 0)) {
        assert_eq!(r.poisonous(), op.poison, "{}", r.op);
    }
}

#[test]
fn the_table_and_json_name_op_verdict_and_reason() {
    let space = PoisonSet::P5.poison(&Space::enas(), 6).unwrap();
    let reports = run(&space, &digits(), 0);
    let text = table(&reports);
    assert!(text.starts_with("op"), "{text}");
    for part in [
        "drowned-in-noise",
        "12 branches are 28.6 % of the sampling odds; one would be 9.1 %",
        "5 of 11 ops are poisonous; a uniform sampler takes one of them 85.7 % of the time",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let json = serde_json::to_value(&reports).unwrap();
    assert_eq!(json[6]["op"], "identity");
    assert_eq!(json[6]["findings"][0]["verdict"], "no-effect");
    assert_eq!(json[7]["count"], 12);
}

#[test]
fn example_files_are_what_they_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/ssp");
    let clean = tox_poison::space_file::read(&root.join("space-clean.toml")).unwrap();
    assert_eq!(clean, Space::enas());
    let p5 = tox_poison::space_file::read(&root.join("space-p5.toml")).unwrap();
    let mut expected = PoisonSet::P5.poison(&clean, 6).unwrap();
    // A file with its ops written out does not say which are poison.
    expected.ops.iter_mut().for_each(|o| o.poison = false);
    assert_eq!(p5, expected);
}
