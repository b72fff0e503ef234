//! The default learning rate on data as they come: gradient descent descends, whatever the poison is.

use proptest::prelude::*;
use tox_bilevel::config::{BilevelConfig, Penalty, Victim};
use tox_bilevel::own::{Division, Own, OwnError};
use tox_bilevel::scale::Scaling;
use tox_bilevel::steady::{Concern, steady_lambda};
use tox_bilevel::victim::{Poison, retrain};
use tox_data::features::{FeatureSets, Features, Layout, Values};

fn data(values: Vec<f32>, columns: usize, labels: Vec<u16>) -> FeatureSets {
    let classes = labels.iter().max().map_or(0, |&most| usize::from(most) + 1);
    let train = Features {
        rows: labels.len(),
        values: Values::Floats(values),
        columns,
        shape: None,
        layout: Layout::Columns,
        labels,
        class_names: (0..classes).map(|class| class.to_string()).collect(),
    };
    FeatureSets { train, test: None }
}

fn own(data: &FeatureSets, scaling: Option<Scaling>) -> Result<Own, OwnError> {
    let division = Division {
        hold_out: 10,
        seed: 3,
        fold: 0,
        scaling,
    };
    Own::new(data, None, division)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Poison in the corners of boxes of any size and place, at any share, with either penalty at its
    /// largest.
    #[test]
    fn the_default_rate_descends_for_any_poison_in_the_box(
        sides in prop::collection::vec((-3.0f32..3.0, 0.0f32..3.0, any::<bool>()), 1..6),
        raw in prop::collection::vec(0.0f32..1.0, 60 * 6),
        classes in 2u16..4,
        share in 0.01f64..0.9,
        corners in prop::collection::vec(any::<bool>(), 6),
        penalised in any::<bool>(),
    ) {
        let columns = sides.len();
        let value = |(at, x): (usize, f32)| {
            let (low, size, sparse) = sides[at % columns];
            // Sparse rows are short, and their box is far larger than they are.
            let x = if sparse { x.powi(8) } else { x };
            10f32.powf(size) * (x + low)
        };
        let values: Vec<f32> = raw.iter().take(60 * columns).copied().enumerate().map(value).collect();
        let labels = (0..60).map(|i| i % classes).collect();
        let own = own(&data(values, columns, labels), None).unwrap();
        let sets = &own.sets;
        let points = tox_data::share::of(share, sets.train.len()).max(1);
        let mut poison = Poison::flipped(sets, points, 1);
        for (at, x) in poison.values.iter_mut().enumerate() {
            let j = at % columns;
            *x = if corners[j] { sets.high[j] } else { sets.low[j] };
        }
        let lr = own.steady_rate(points);
        let mut config = BilevelConfig {
            victim: if penalised { Victim::Large } else { Victim::None },
            penalty: Penalty::L2,
            ..BilevelConfig::default()
        };
        (config.inner.lr, config.inner.steps) = (lr, 60);
        let found = retrain(sets, &config, &[steady_lambda(lr)], &poison, 0, 1);
        prop_assert!(found.is_ok(), "{found:?} at {lr}");
    }
}

/// Sparse rows in [0, 1], as counts of words are: short beside their box.
fn sparse() -> FeatureSets {
    let labels: Vec<u16> = (0..300).map(|i| i % 2).collect();
    let values = (0..300 * 40).map(|at| {
        let (row, column) = (at / 40, at % 40);
        let hit = (row * 31 + column * 17) % 23 == 0 || (column < 3 && labels[row] == 1);
        if hit {
            ((row + column) % 7 + 1) as f32 / 7.0
        } else {
            0.0
        }
    });
    data(values.collect(), 40, labels)
}

#[test]
fn a_rate_from_clean_rows_alone_diverges_where_the_default_does_not() {
    let own = own(&sparse(), None).unwrap();
    let sets = &own.sets;
    let points = tox_data::share::of(0.3, sets.train.len());
    let mut poison = Poison::flipped(sets, points, 1);
    // All in one corner, as many of each class: there the loss is flat, and as curved as can be.
    poison.values.copy_from_slice(&sets.high.repeat(points));
    for (at, label) in poison.labels.iter_mut().enumerate() {
        *label = (at % 2) as u16;
    }
    let mut config = BilevelConfig {
        victim: Victim::None,
        ..BilevelConfig::default()
    };
    let mut rate = |lr: f64| {
        (config.inner.lr, config.inner.steps) = (lr, 400);
        retrain(sets, &config, &[], &poison, 0, 1)
    };
    let square = |i| {
        sets.train
            .row(i)
            .iter()
            .map(|x| f64::from(*x).powi(2))
            .sum::<f64>()
    };
    let clean = (0..sets.train.len()).map(square).sum::<f64>() / sets.train.len() as f64;
    assert!(clean < 5.0, "{clean}");
    let before = rate(8.0 / (1.0 + clean));
    let now = rate(own.steady_rate(points));
    assert!(before.is_err(), "{before:?}");
    assert!(now.is_ok(), "{now:?}");
    // As far as before on clean rows: the product of steps and rate is kept.
    let (lr, steps) = (
        own.steady_rate(points),
        own.steps_at(own.steady_rate(points), 300, 3000),
    );
    assert!((steps as f64 * lr - 300.0 * 8.0 / (1.0 + clean)).abs() <= lr);
    assert_eq!(own.steps_at(1e-9, 300, 3000), 3000);
}

#[test]
fn rows_all_alike_and_columns_far_apart_are_named() {
    let labels: Vec<u16> = (0..100).map(|i| i % 2).collect();
    let same = data(vec![2.0; 400], 4, labels.clone());
    let error = own(&same, None).unwrap_err();
    assert!(matches!(error, OwnError::Alike { rows: 70 }), "{error}");
    assert!(error.to_string().contains("alike"), "{error}");

    let wide: Vec<f32> = (0..300)
        .map(|at| match at % 3 {
            0 => (at % 7) as f32,
            1 => (at % 11) as f32 * 500.0,
            _ => 9.0,
        })
        .collect();
    let wide = data(wide, 3, labels.clone());
    let found = own(&wide, None).unwrap().concerns();
    let Some(Concern::Spread {
        narrow,
        wide: widest,
    }) = found.first().copied()
    else {
        panic!("{found:?}");
    };
    assert_eq!((narrow, widest), ((0, 6.0), (1, 5000.0)));
    // A constant column is none of the narrow ones, and scaling settles the rest.
    for scaling in [Scaling::Minmax, Scaling::Standard] {
        assert!(own(&wide, Some(scaling)).unwrap().concerns().is_empty());
    }
    let far: Vec<f32> = (0..200).map(|at| 1000.0 + (at % 5) as f32).collect();
    let found = own(&data(far, 2, labels), None).unwrap().concerns();
    assert!(
        matches!(found[..], [Concern::Flat { times }] if times > 1e5),
        "{found:?}"
    );
}

#[test]
fn scaling_is_fitted_on_training_rows_applied_to_all_and_undone() {
    let values: Vec<f32> = (0..300)
        .map(|at| match at % 3 {
            0 => (at * 37 % 101) as f32 * 3.0 - 50.0,
            1 => 7.25,
            _ => (at * 53 % 89) as f32 / 1000.0,
        })
        .collect();
    let data = data(values, 3, (0..100).map(|i| i % 2).collect());
    let plain = own(&data, None).unwrap();
    for scaling in [Scaling::Minmax, Scaling::Standard] {
        let own = own(&data, Some(scaling)).unwrap();
        let scale = own.scale.as_ref().unwrap();
        // A constant column becomes 0 and stays finite.
        assert_eq!((scale.offset[1], scale.factor[1]), (7.25, 1.0));
        let (sets, n) = (&own.sets, own.sets.train.len());
        let column = |j: usize| (0..n).map(move |i| f64::from(sets.train.row(i)[j]));
        for j in [0, 2] {
            let (low, high) =
                column(j).fold((f64::MAX, f64::MIN), |(l, h), x| (l.min(x), h.max(x)));
            let mean = column(j).sum::<f64>() / n as f64;
            let deviation = (column(j).map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64).sqrt();
            match scaling {
                Scaling::Minmax => assert!(low == 0.0 && (high - 1.0).abs() < 1e-6),
                Scaling::Standard => assert!(mean.abs() < 1e-5 && (deviation - 1.0).abs() < 1e-5),
            }
            assert_eq!(
                (f64::from(sets.low[j]), f64::from(sets.high[j])),
                (low, high)
            );
        }
        // Test and trusted rows by the same numbers.
        for (scaled, raw) in [
            (&sets.test, &plain.sets.test),
            (&sets.valid, &plain.sets.valid),
        ] {
            for (j, (a, b)) in scaled.row(3).iter().zip(raw.row(3)).enumerate() {
                assert_eq!(*a, scale.to(j, b));
            }
        }
        // Back: what did not move is the row's own to the bit, and nothing leaves its column's values.
        let mut poison = Poison::flipped(sets, 5, 1);
        let back = own.in_own_units(&data.train, &poison);
        let raw: Vec<f32> = poison
            .indices
            .iter()
            .flat_map(|&i| plain.sets.train.row(i))
            .collect();
        assert_eq!(back, raw);
        for (at, x) in poison.values.iter_mut().enumerate() {
            *x = sets.high[at % 3];
        }
        let back = own.in_own_units(&data.train, &poison);
        for (at, x) in back.iter().enumerate() {
            let most = plain.sets.high[at % 3];
            assert!(
                *x <= most && (most - x).abs() <= 1e-5 * most.abs(),
                "{x} {most}"
            );
        }
    }
}
