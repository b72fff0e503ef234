//! Subsets that fill gaps.

use super::*;

#[test]
fn subsets_fill_the_gaps() {
    // one candidate in the middle makes both gaps 5
    assert_eq!(
        select(&[0.0, 10.0], &[1.0, 5.0, 9.0, 2.0], 1, (0, 0)).unwrap(),
        [1]
    );
    // 1, 2, 3 between 0 and 4
    let candidates = [0.1, 1.0, 1.2, 3.9, 3.0, 0.2, 2.0, 2.4, 3.5];
    assert_eq!(
        select(&[4.0, 0.0], &candidates, 3, (0, 0)).unwrap(),
        [1, 4, 6]
    );
    assert_eq!(unevenness(&[4.0, 0.0], &candidates, &[1, 4, 6]), 0.0);
    // gaps 1 and 3, mean 2, deviation 1
    assert_eq!(unevenness(&[0.0, 4.0], &[1.0], &[0]), 1.0);
    assert_eq!(unevenness(&[], &[1.0], &[0]), 0.0);
    // fewer than asked for: all; none: none
    assert_eq!(select(&[0.0], &[3.0, 1.0], 5, (0, 0)).unwrap(), [0, 1]);
    assert_eq!(
        select(&[0.0], &[3.0, 1.0], 0, (0, 0)).unwrap(),
        Vec::<usize>::new()
    );
    assert_eq!(select(&[], &[], 3, (0, 0)).unwrap(), Vec::<usize>::new());
    // equal candidates are candidates all the same
    assert_eq!(select(&[1.0], &[1.0; 6], 4, (0, 0)).unwrap().len(), 4);
    assert!(select(&[0.0], &[f64::NAN, 1.0], 1, (0, 0)).is_err());
    assert!(select(&[INFINITY], &[0.0, 1.0], 1, (0, 0)).is_err());
}

#[test]
fn subsets_are_the_best_there_are() {
    let mut rng = stream(4, "candidates", &[]);
    for round in 0..5 {
        let front: Vec<f64> = (0..5).map(|_| rng.random_range(0.0..600.0)).collect();
        let candidates: Vec<f64> = (0..12).map(|_| rng.random_range(0.0..600.0)).collect();
        let all = (0..1_usize << 12).filter(|bits| bits.count_ones() == 4);
        let least = all
            .map(|bits| {
                let subset: Vec<usize> = (0..12).filter(|i| (bits >> i) & 1 == 1).collect();
                unevenness(&front, &candidates, &subset)
            })
            .fold(INFINITY, f64::min);
        let found = select(&front, &candidates, 4, (9, round)).unwrap();
        assert_eq!(found.len(), 4);
        assert!(found.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(unevenness(&front, &candidates, &found), least);
        assert_eq!(select(&front, &candidates, 4, (9, round)).unwrap(), found);
    }
    // forty candidates, as after NSGA-II: far better than a random choice
    let front: Vec<f64> = (0..10).map(|_| rng.random_range(0.0..600.0)).collect();
    let candidates: Vec<f64> = (0..40).map(|_| rng.random_range(0.0..600.0)).collect();
    let found = select(&front, &candidates, 8, (9, 9)).unwrap();
    let random: Vec<usize> = (0..8).collect();
    let (found, random) = (
        unevenness(&front, &candidates, &found),
        unevenness(&front, &candidates, &random),
    );
    assert!(found < 0.7 * random, "{found} beside {random}");
}
