//! Kendall's tau.

use super::*;
use tox_search::surrogate::kendall::tau_b;

#[test]
fn tau_of_small_cases() {
    let tau = |pairs: &[(i32, i32)]| {
        let pairs: Vec<(f64, f64)> = pairs.iter().map(|&(a, b)| (a.into(), b.into())).collect();
        tau_b(&pairs)
    };
    assert_eq!(tau(&[(1, 10), (2, 20), (3, 30)]), Some(1.0));
    assert_eq!(tau(&[(1, 3), (2, 2), (3, 1)]), Some(-1.0));
    // of three pairs of pairs two agree
    assert_close(
        "one swap",
        &[tau(&[(1, 1), (2, 3), (3, 2)]).unwrap()],
        &[1.0 / 3.0],
        1e-15,
    );
    // a tie on the right: 5 concordant of 6, one tied: 5 / sqrt(6 * 5)
    let tied = tau(&[(1, 1), (2, 2), (3, 2), (4, 3)]).unwrap();
    assert_close("a tie", &[tied], &[(5.0_f64 / 6.0).sqrt()], 1e-15);
    // ties on both sides, of one pair of pairs at once: 1 - 1 concordant of 3
    let both = tau(&[(1, 1), (1, 1), (2, 0)]).unwrap();
    assert_close("both tied", &[both], &[-1.0], 1e-15);
    assert_eq!(tau(&[]), None);
    assert_eq!(tau(&[(1, 1)]), None);
    assert_eq!(tau(&[(1, 5), (2, 5)]), None, "constant on the right");
    assert_eq!(tau(&[(5, 1), (5, 2)]), None, "constant on the left");
    assert_eq!(tau_b(&[(1.0, 2.0), (f64::NAN, 3.0)]), None);
    assert_eq!(
        tau_b(&[(-0.0, 1.0), (0.0, 2.0)]),
        None,
        "the zeros are one value"
    );
    let infinite = [(f64::NEG_INFINITY, 0.0), (0.0, 1.0), (f64::INFINITY, 2.0)];
    assert_eq!(tau_b(&infinite), Some(1.0));
}

#[test]
fn tau_is_scipys() {
    for case in fixture("kendall").as_array().unwrap() {
        let pairs = list(&case["left"]).into_iter().zip(list(&case["right"]));
        let tau = tau_b(&pairs.collect::<Vec<_>>()).unwrap();
        assert_close("tau", &[tau], &[number(&case["tau"])], 1e-12);
    }
}

/// The definition, all pairs of pairs.
fn tau_by_definition(pairs: &[(f64, f64)]) -> Option<f64> {
    let (mut score, mut left, mut right) = (0.0, 0.0, 0.0);
    for (i, p) in pairs.iter().enumerate() {
        for q in &pairs[..i] {
            let sign = |a: f64, b: f64| f64::from(i8::from(a > b) - i8::from(a < b));
            let (a, b) = (sign(p.0, q.0), sign(p.1, q.1));
            score += a * b;
            left += a * a;
            right += b * b;
        }
    }
    (left * right > 0.0).then(|| score / f64::sqrt(left * right))
}

proptest! {
    #[test]
    fn tau_is_its_definition(pairs in prop::collection::vec((0..8_i32, 0..8_i32), 0..40)) {
        let pairs: Vec<(f64, f64)> = pairs.iter().map(|&(a, b)| (a.into(), b.into())).collect();
        match (tau_b(&pairs), tau_by_definition(&pairs)) {
            (Some(fast), Some(slow)) => prop_assert!((fast - slow).abs() < 1e-12),
            (fast, slow) => prop_assert_eq!(fast, slow),
        }
    }
}
