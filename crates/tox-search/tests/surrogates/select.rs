//! Adaptive switching, and what all predictors refuse.

use super::*;
use tox_data::rng::stream;
use tox_search::surrogate::select::{self, Score};
use tox_search::surrogate::{Kind, Predictor, PredictorConfig, SurrogateError};

fn config() -> PredictorConfig {
    PredictorConfig {
        trees: 60,
        ..PredictorConfig::default()
    }
}

/// Genomes of `width` genes of three options.
fn genomes(n: usize, width: usize) -> Vec<Vec<f64>> {
    use rand::RngExt;
    let mut rng = stream(5, "genomes", &[]);
    let mut gene = || f64::from(rng.random_range(0..3_u8));
    (0..n)
        .map(|_| (0..width).map(|_| gene()).collect())
        .collect()
}

#[test]
fn merit_is_mean_less_deviation() {
    let score = |taus: &[f64]| Score {
        kind: Kind::Gp,
        taus: taus.to_vec(),
        failure: None,
    };
    let steady = score(&[0.5, 0.5, 0.5]);
    let wild = score(&[1.0, 1.0, 0.1]);
    assert_eq!((steady.mean(), steady.merit()), (0.5, 0.5));
    assert_close(
        "wild",
        &[wild.mean(), wild.merit()],
        &[0.7, 0.7 - 0.18_f64.sqrt()],
        1e-12,
    );
    assert!(steady.merit() > wild.merit() && wild.mean() > steady.mean());
    assert_eq!(score(&[]).merit(), f64::NEG_INFINITY);
}

#[test]
fn the_kind_that_ranks_best_is_chosen() {
    let rows = genomes(60, 6);
    // linear, without ties: both smooth models rank it perfectly, and the first of them is taken
    let slopes = [81.0, 9.0, 3.0, 27.0, 1.0, 243.0];
    let line = |row: &Vec<f64>| row.iter().zip(slopes).map(|(x, s)| x * s).sum();
    let targets: Vec<f64> = rows.iter().map(line).collect();
    let chosen = select::fit(&Kind::ALL, &rows, &targets, &config(), 1, 0).unwrap();
    assert_eq!(chosen.winner, Kind::Rbf);
    assert_eq!(chosen.scores.len(), 3);
    for score in &chosen.scores[..2] {
        assert!(score.taus.iter().all(|t| *t > 0.99), "{score:?}");
    }
    assert!(chosen.scores[2].mean() < 0.99);
    let predicted = chosen.model.predict(&rows).unwrap();
    assert_close("fitted to all", &predicted, &targets, 1e-3);
    // a value in a peak of two genes: trees
    let peak =
        |row: &Vec<f64>| f64::from(u8::from(row[1] == 1.0)) * (1.0 + row[4] * (2.0 - row[4]));
    let targets: Vec<f64> = rows.iter().map(peak).collect();
    let chosen = select::fit(&Kind::ALL, &rows, &targets, &config(), 1, 0).unwrap();
    assert_eq!(chosen.winner, Kind::Carts, "{:?}", chosen.scores);
    // the order of the pool decides nothing else
    let pool = [Kind::Carts, Kind::Gp, Kind::Rbf];
    let other = select::fit(&pool, &rows, &targets, &config(), 1, 0).unwrap();
    assert_eq!(other.winner, chosen.winner);
    assert_eq!(
        other.scores.iter().rev().collect::<Vec<_>>(),
        chosen.scores.iter().collect::<Vec<_>>()
    );
    assert_eq!(
        other.model.predict(&rows).unwrap(),
        chosen.model.predict(&rows).unwrap()
    );
    // seed and round key the folds
    let again = |seed, round| select::fit(&Kind::ALL, &rows, &targets, &config(), seed, round);
    assert_eq!(again(1, 0).unwrap().scores, chosen.scores);
    assert_ne!(again(2, 0).unwrap().scores, chosen.scores);
    assert_ne!(again(1, 1).unwrap().scores, chosen.scores);
}

#[test]
fn choices_of_degenerate_samples() {
    let rows = genomes(12, 3);
    let flat = select::fit(&Kind::ALL, &rows, &[0.5; 12], &config(), 0, 0).unwrap();
    assert_eq!(flat.winner, Kind::Rbf);
    assert!(
        flat.scores.iter().all(|s| s.taus == vec![0.0; 6]),
        "twelve samples have six folds"
    );
    assert_close(
        "flat",
        &flat.model.predict(&rows[..1]).unwrap(),
        &[0.5],
        1e-9,
    );
    let few = select::fit(&Kind::ALL, &rows[..3], &[1.0, 2.0, 3.0], &config(), 0, 0);
    assert!(matches!(few, Err(SurrogateError::TooFew { found: 3, .. })));
    let four = select::fit(
        &Kind::ALL,
        &rows[..4],
        &[1.0, 2.0, 3.0, 4.0],
        &config(),
        0,
        0,
    );
    assert_eq!(four.unwrap().scores[0].taus.len(), 2);
    let empty = select::fit(&[], &rows, &[0.5; 12], &config(), 0, 0);
    assert!(matches!(empty, Err(SurrogateError::NoneFits { .. })));
    // a kind that cannot be fitted is out, and says why; alone it is an error
    let mut twice = rows.clone();
    twice
        .iter_mut()
        .skip(6)
        .for_each(|row| *row = rows[0].clone());
    let exact = PredictorConfig {
        eta: 0.0,
        ..config()
    };
    let targets: Vec<f64> = (0..12).map(f64::from).collect();
    let chosen = select::fit(&[Kind::Rbf, Kind::Carts], &twice, &targets, &exact, 0, 0).unwrap();
    assert_eq!(chosen.winner, Kind::Carts);
    assert!(
        chosen.scores[0]
            .failure
            .as_ref()
            .unwrap()
            .contains("are the same")
    );
    let alone = select::fit(&[Kind::Rbf], &twice, &targets, &exact, 0, 0);
    assert!(matches!(alone, Err(SurrogateError::NoneFits { .. })));
}

#[test]
fn bad_samples_are_refused_by_number() {
    let rows = column(&[0.0, 1.0, 2.0, 3.0]);
    let targets = [0.0, 1.0, 0.0, 1.0];
    for kind in Kind::ALL {
        let fit = |rows: &[Vec<f64>], targets: &[f64]| {
            Predictor::fit(kind, rows, targets, &config(), 0, &[]).map(|_| ())
        };
        assert!(matches!(
            fit(&[], &[]),
            Err(SurrogateError::TooFew { found: 0, .. })
        ));
        let unpaired = SurrogateError::Lengths {
            rows: 4,
            targets: 3,
        };
        assert_eq!(fit(&rows, &targets[..3]), Err(unpaired));
        let nan = [0.0, f64::NAN, 0.0, 1.0];
        let expected = SurrogateError::NotFinite {
            what: "target",
            row: 1,
        };
        assert_eq!(fit(&rows, &nan), Err(expected));
        let infinite = column(&[0.0, 1.0, f64::INFINITY, 3.0]);
        let expected = SurrogateError::NotFinite {
            what: "row",
            row: 2,
        };
        assert_eq!(fit(&infinite, &targets), Err(expected));
        let mut ragged = rows.clone();
        ragged[3] = vec![1.0, 2.0];
        let expected = SurrogateError::Width {
            row: 3,
            found: 2,
            expected: 1,
        };
        assert_eq!(fit(&ragged, &targets), Err(expected));
        let model = Predictor::fit(kind, &rows, &targets, &config(), 0, &[]).unwrap();
        let expected = SurrogateError::Width {
            row: 0,
            found: 2,
            expected: 1,
        };
        assert_eq!(model.predict(&[vec![0.0, 0.0]]), Err(expected));
        let expected = SurrogateError::NotFinite {
            what: "row",
            row: 0,
        };
        assert_eq!(model.predict(&[vec![f64::NAN]]), Err(expected));
        // numbers too large for the equations: an error or numbers, no panic
        let _ = fit(
            &column(&[1e200, -1e200, 0.0, 1e150]),
            &[1e300, -1e300, 0.0, 1.0],
        );
    }
}
