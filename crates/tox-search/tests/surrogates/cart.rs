//! Regression trees and their ensemble.

use super::*;
use tox_data::rng::stream;
use tox_search::surrogate::SurrogateError;
use tox_search::surrogate::cart::{Carts, Tree};

#[test]
fn tree_worked_out_by_hand() {
    // squared error left by the thresholds 1.5, 2.5, 6.5: 32, 8, 10.7; then 5 | 9 at 6.5
    let tree = Tree::fit(&column(&[1.0, 2.0, 3.0, 10.0]), &[1.0, 1.0, 5.0, 9.0]).unwrap();
    assert_eq!(tree.leaves(), 3);
    let found = tree
        .predict(&column(&[-9.0, 2.5, 2.6, 6.5, 6.6, 99.0]))
        .unwrap();
    assert_eq!(found, [1.0, 1.0, 5.0, 5.0, 9.0, 9.0]);
    // the second column splits better
    let rows = [
        vec![0.0, 0.0],
        vec![1.0, 0.0],
        vec![0.0, 1.0],
        vec![1.0, 1.0],
    ];
    let tree = Tree::fit(&rows, &[0.0, 1.0, 10.0, 11.0]).unwrap();
    assert_eq!(
        tree.predict(&[vec![0.6, 0.4], vec![0.4, 0.6]]).unwrap(),
        [1.0, 10.0]
    );
    // neither split of an exclusive or helps by itself, and still it is learned
    let xor = Tree::fit(&rows, &[0.0, 1.0, 1.0, 0.0]).unwrap();
    assert_eq!(xor.predict(&rows).unwrap(), [0.0, 1.0, 1.0, 0.0]);
}

#[test]
fn trees_of_degenerate_samples() {
    let one = Tree::fit(&[vec![1.0]], &[0.1]).unwrap();
    assert_eq!(
        (one.leaves(), one.predict(&[vec![9.0]]).unwrap()),
        (1, vec![0.1])
    );
    let flat = Tree::fit(&column(&[1.0, 2.0, 3.0]), &[0.1; 3]).unwrap();
    assert_eq!(
        (flat.leaves(), flat.predict(&[vec![9.0]]).unwrap()),
        (1, vec![0.1])
    );
    // equal rows with different targets share a leaf
    let twice = Tree::fit(&column(&[1.0, 1.0, 2.0]), &[1.0, 3.0, 9.0]).unwrap();
    assert_eq!(twice.leaves(), 2);
    assert_eq!(twice.predict(&column(&[1.0, 2.0])).unwrap(), [2.0, 9.0]);
    // neighbours without a number between them
    let close = [1.0, 1.0 + f64::EPSILON];
    let close_tree = Tree::fit(&column(&close), &[0.0, 1.0]).unwrap();
    assert_eq!(close_tree.predict(&column(&close)).unwrap(), [0.0, 1.0]);
    let none = Tree::fit(&[vec![], vec![]], &[1.0, 3.0]).unwrap();
    assert_eq!(none.predict(&[vec![]]).unwrap(), [2.0]);
}

#[test]
fn tree_is_scikit_learns() {
    let case = fixture("tree");
    let tree = Tree::fit(&rows(&case["rows"]), &list(&case["targets"])).unwrap();
    assert_eq!(tree.leaves() as u64, case["leaves"].as_u64().unwrap());
    let found = tree.predict(&rows(&case["queries"])).unwrap();
    assert_close("tree", &found, &list(&case["predictions"]), 1e-12);
}

/// A tree's prediction by the definition: at each node every threshold of every column is tried.
fn grown(rows: &[&Vec<f64>], targets: &[f64], query: &[f64]) -> f64 {
    let error = |targets: &[f64]| {
        let mean = targets.iter().sum::<f64>() / targets.len() as f64;
        targets.iter().map(|t| (t - mean).powi(2)).sum::<f64>()
    };
    let mut best: Option<(f64, usize, f64)> = None;
    for column in 0..query.len() {
        let mut values: Vec<f64> = rows.iter().map(|row| row[column]).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        for pair in values.windows(2) {
            let threshold = (pair[0] + pair[1]) / 2.0;
            let side = |below| -> Vec<f64> {
                let pairs = rows.iter().zip(targets);
                let pairs = pairs.filter(|(row, _)| (row[column] <= threshold) == below);
                pairs.map(|(_, t)| *t).collect()
            };
            let left = error(&side(true)) + error(&side(false));
            if best.is_none_or(|(least, ..)| left < least - 1e-9) {
                best = Some((left, column, threshold));
            }
        }
    }
    match best {
        Some((_, column, threshold)) if error(targets) > 1e-9 => {
            let below = query[column] <= threshold;
            let here = rows.iter().zip(targets);
            let here = here.filter(|(row, _)| (row[column] <= threshold) == below);
            let (rows, targets): (Vec<&Vec<f64>>, Vec<f64>) = here.map(|(r, t)| (*r, *t)).unzip();
            grown(&rows, &targets, query)
        }
        _ => targets.iter().sum::<f64>() / targets.len() as f64,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn tree_is_its_definition(
        rows in points(14, 2),
        targets in prop::collection::vec(-9.0..9.0, 14),
        queries in points(6, 2),
    ) {
        let tree = Tree::fit(&rows, &targets).unwrap();
        let references: Vec<&Vec<f64>> = rows.iter().collect();
        for (query, found) in queries.iter().zip(tree.predict(&queries).unwrap()) {
            let expected = grown(&references, &targets, query);
            prop_assert!((found - expected).abs() < 1e-9, "{found}, expected {expected}");
        }
    }
}

#[test]
fn an_ensemble_averages_trees_on_some_columns() {
    let case = fixture("matern");
    let (rows, targets) = (rows(&case["rows"]), list(&case["targets"]));
    let fit = |trees, seed| {
        let carts = Carts::fit(&rows, &targets, trees, &mut stream(seed, "trees", &[])).unwrap();
        carts.predict(&super::rows(&case["queries"])).unwrap()
    };
    assert_eq!(fit(50, 1), fit(50, 1));
    assert_ne!(fit(50, 1), fit(50, 2), "columns are drawn");
    // with one column each tree is the tree
    let single: Vec<Vec<f64>> = rows.iter().map(|row| vec![row[0]]).collect();
    let carts = Carts::fit(&single, &targets, 7, &mut stream(0, "trees", &[])).unwrap();
    let tree = Tree::fit(&single, &targets).unwrap();
    let (found, expected) = (carts.predict(&single), tree.predict(&single));
    assert_close("one column", &found.unwrap(), &expected.unwrap(), 1e-12);
    // with two it is the first, the second, or both in either order, which decides between equally
    // good splits: each a quarter of the trees
    let two: Vec<Vec<f64>> = rows.iter().map(|row| vec![row[0], row[1]]).collect();
    let swapped: Vec<Vec<f64>> = rows.iter().map(|row| vec![row[1], row[0]]).collect();
    let second: Vec<Vec<f64>> = rows.iter().map(|row| vec![row[1]]).collect();
    let tree = |rows: &[Vec<f64>], query: &[f64]| {
        Tree::fit(rows, &targets)
            .unwrap()
            .predict(&[query.to_vec()])
            .unwrap()[0]
    };
    let (x, y) = (0.31, -0.77);
    let all = [
        tree(&single, &[x]),
        tree(&second, &[y]),
        tree(&two, &[x, y]),
        tree(&swapped, &[y, x]),
    ];
    let expected = all.iter().sum::<f64>() / 4.0;
    let carts = Carts::fit(&two, &targets, 4000, &mut stream(3, "trees", &[])).unwrap();
    let found = carts.predict(&[vec![x, y]]).unwrap();
    assert_close("two columns", &found, &[expected], 0.02);
    let none = Carts::fit(&two, &targets, 0, &mut stream(0, "trees", &[]));
    assert!(matches!(none, Err(SurrogateError::Setting { .. })));
}
