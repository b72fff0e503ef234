//! Nearest neighbours: labels by hand, distances by brute force, digits and MNIST.

use super::support::{against, applied, assert_same, by_hand, digits, inputs, recipe};
use rand::RngExt;
use tox_data::rng::stream;
use tox_data::spec::{Augment, DataSpec};
use tox_data::{DataDir, Images, Normalise};
use tox_poison::cleanse::{Against, CleanseError, Points, majority, neighbours};
use tox_poison::data::flip;

/// Share of the flipped labels that are clean again.
fn restored(found: &Against) -> f64 {
    found.restored as f64 / found.flipped as f64
}

#[test]
fn a_label_needs_its_share_and_ties_go_to_the_own_then_to_the_nearest() {
    assert_eq!(majority(0, &[1, 1, 2], 0.5), 1);
    assert_eq!(majority(0, &[1, 1, 2], 2.0 / 3.0), 1);
    assert_eq!(majority(0, &[1, 1, 2], 0.7), 0);
    // 7 of 10 are a share of 0.7, though 10 * 0.7 is no exact product.
    assert_eq!(majority(0, &[1, 1, 1, 1, 1, 1, 1, 2, 2, 2], 0.7), 1);
    assert_eq!(majority(0, &[1, 1, 1, 1, 1, 1, 1, 2, 2, 2], 0.7000001), 0);
    assert_eq!(majority(2, &[1, 2, 1, 2], 0.5), 2);
    assert_eq!(majority(0, &[2, 1, 1, 2], 0.5), 2);
    assert_eq!(majority(0, &[1, 2, 1, 2], 0.5), 1);
    assert_eq!(majority(0, &[3, 1, 1, 2, 2], 0.4), 1);
}

/// Two clusters in the plane; row 3 lies in the first and has the label of the second, row 8, a
/// validation image, the other way round.
#[test]
fn a_flipped_label_in_a_cluster_is_corrected_or_dropped_as_worked_out_by_hand() {
    let rows: [(&[u8], u16); 10] = [
        (&[10, 10], 0),
        (&[12, 10], 0),
        (&[10, 13], 0),
        (&[11, 11], 1),
        (&[200, 200], 1),
        (&[203, 200], 1),
        (&[200, 204], 1),
        (&[9, 9], 0),
        (&[201, 201], 0),
        (&[202, 203], 1),
    ];
    let data = by_hand(2, 7, &rows);
    let augment = Augment::default();
    let (cleaned, report) = applied(
        &recipe(r#"{ kind = "knn", k = 3 }"#),
        &inputs(&data, &augment),
    )
    .unwrap();
    // Neighbours of row 3: 0 and 1 (squared distance 2 each), 2 (5). Those of row 8: 4, 9, 5.
    assert_eq!(cleaned.train.labels, [0, 0, 0, 0, 1, 1, 1]);
    assert_eq!(cleaned.valid.labels, [0, 1, 1]);
    assert_eq!(cleaned.train.images, data.train.images);
    assert_eq!((report.rows, report.relabelled, report.dropped), (10, 2, 0));
    assert_eq!((report.images_changed, report.largest_change), (0, 0));
    let drop = recipe(r#"{ kind = "knn", k = 3, action = "drop" }"#);
    let (cleaned, report) = applied(&drop, &inputs(&data, &augment)).unwrap();
    assert_eq!(cleaned.train.labels, [0, 0, 0, 1, 1, 1]);
    assert_eq!(cleaned.train.images.shape, [6, 1, 1, 2]);
    assert_eq!(
        cleaned.train.images.pixels,
        [10, 10, 12, 10, 10, 13, 200, 200, 203, 200, 200, 204]
    );
    assert_eq!(cleaned.valid.images.pixels, [9, 9, 202, 203]);
    assert_eq!((report.dropped, report.relabelled), (2, 0));
    assert_eq!((report.train_left, report.valid_left), (6, 2));
    // Of three neighbours of row 0, one (row 3) disagrees: nobody's neighbours are agreed on another
    // label but those of rows 3 and 8, so eta = 1 finds the same, and k = 9 sees both clusters.
    let strict = recipe(r#"{ kind = "knn", k = 3, eta = 1.0 }"#);
    assert_eq!(
        applied(&strict, &inputs(&data, &augment))
            .unwrap()
            .1
            .relabelled,
        2
    );
    let wide = recipe(r#"{ kind = "knn", k = 9, eta = 0.6 }"#);
    let (cleaned, report) = applied(&wide, &inputs(&data, &augment)).unwrap();
    assert_eq!(report.relabelled, 0);
    assert_same(&cleaned, &data);
}

/// As an oracle: all distances in f64, sorted by distance, then by index.
fn brute(rows: usize, k: usize, distance: impl Fn(usize, usize) -> f64) -> Vec<u32> {
    let mut all = Vec::new();
    for i in 0..rows {
        let others = (0..rows).filter(|j| *j != i);
        let mut others: Vec<(f64, usize)> = others.map(|j| (distance(i, j), j)).collect();
        others.sort_by(|a, b| a.partial_cmp(b).unwrap());
        all.extend(others[..k].iter().map(|(_, j)| *j as u32));
    }
    all
}

fn found(points: &Points, k: usize) -> Vec<u32> {
    neighbours(points, k, &mut |_| true).unwrap()
}

#[test]
fn blocked_distances_find_what_brute_force_in_f64_finds() {
    let mut rng = stream(1, "test", &[]);
    // Five blocks, the last of 76 rows; then far from the origin, where products in f32 drown the
    // distances; then so large that they overflow, and so small that they vanish.
    for (offset, scale) in [(0.0, 1.0f32), (5e3, 1.0), (0.0, 1e20), (0.0, 1e-25)] {
        let (rows, columns) = (1_100, 19);
        let values: Vec<f32> = (0..rows * columns)
            .map(|_| offset + scale * rng.random_range(-1.0..1.0f32))
            .collect();
        let distance = |a: usize, b: usize| {
            let row = |i: usize| &values[i * columns..][..columns];
            let square = |(a, b): (&f32, &f32)| (f64::from(*a) - f64::from(*b)).powi(2);
            row(a).iter().zip(row(b)).map(square).sum::<f64>()
        };
        for k in [1, 10] {
            let points = Points::floats(values.clone(), columns);
            assert_eq!(
                found(&points, k),
                brute(rows, k, distance),
                "{offset} {scale} {k}"
            );
        }
    }
}

/// Pixels of few values, so that many rows are equally far, and some are copies: ties go by index, as
/// whole numbers say, whatever the normalisation.
#[test]
fn ties_of_pixels_go_by_index() {
    let mut rng = stream(2, "test", &[]);
    let (rows, stride) = (700, 3 * 4);
    let mut pixels: Vec<u8> = (0..rows * stride).map(|_| rng.random_range(7..9)).collect();
    pixels[..200 * stride].fill(8);
    let normalise = Normalise {
        mean: vec![0.49, 0.48, 0.45],
        std: vec![0.247, 0.247, 0.247],
    };
    let images = Images {
        pixels: pixels.clone(),
        shape: [rows, 3, 2, 2],
    };
    let distance = |a: usize, b: usize| {
        let row = |i: usize| &pixels[i * stride..][..stride];
        let differ = row(a).iter().zip(row(b)).filter(|(a, b)| a != b);
        differ.count() as f64
    };
    let points = Points::pixels(images, &normalise);
    let expected = brute(rows, 7, distance);
    assert_eq!(found(&points, 7), expected);
    // Copies: the first others.
    assert_eq!(expected[..7], [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(expected[7 * 3..7 * 4], [0, 1, 2, 4, 5, 6, 7]);
    // A channel counts by its deviation: 2 / 0.5 in the first is more than 3 / 1 in the second.
    let images = Images {
        pixels: vec![100, 100, 102, 100, 100, 103],
        shape: [3, 2, 1, 1],
    };
    let normalise = Normalise {
        mean: vec![0.5, 0.5],
        std: vec![0.5, 1.0],
    };
    let points = Points::pixels(images, &normalise);
    assert_eq!(found(&points, 2), [2, 1, 0, 2, 0, 1]);
    assert!((points.distance(0, 1) - (4.0f64 / 255.0).powi(2)).abs() < 1e-12);
}

#[test]
fn neighbours_do_not_depend_on_threads_and_can_be_stopped() {
    let mut rng = stream(3, "test", &[]);
    let values: Vec<f32> = (0..3_000 * 16).map(|_| rng.random()).collect();
    let points = Points::floats(values, 16);
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| found(&points, 5))
    };
    assert_eq!(with(1), with(4));
    let mut told = Vec::new();
    let mut go_on = |done: f64| {
        told.push(done);
        told.len() < 2
    };
    assert_eq!(neighbours(&points, 5, &mut go_on), None);
    assert!(told[0] == 0.0 && told[1] > 0.0 && told[1] < 1.0, "{told:?}");
}

/// Of the digits' 1,797 images 360 are for test.
#[test]
fn most_flipped_digits_get_their_label_back_and_few_clean_ones_another() {
    let clean = digits();
    let rlf = flip::random(&clean.pool(), 0.1, 6).unwrap();
    let (_, _, report) = against(&clean, &rlf, r#"{ kind = "knn" }"#, None);
    let found = report.against.unwrap();
    eprintln!("{found:?}");
    assert_eq!((found.poisoned, found.flipped), (143, 143));
    assert!(found.recall().unwrap() > 0.95, "{found:?}");
    assert!(restored(&found) > 0.93, "{found:?}");
    assert!(found.clean_touched < 40, "{found:?}");
    assert_eq!(report.relabelled, found.caught + found.clean_touched);
    // At 6 x 6 pixels digits are still told apart.
    let small = r#"{ kind = "knn", action = "drop", space = { kind = "pixels", side = 6 } }"#;
    let (_, _, report) = against(&clean, &rlf, small, None);
    let found = report.against.unwrap();
    eprintln!("{found:?}");
    assert!(
        found.recall().unwrap() > 0.9 && found.restored == 0,
        "{found:?}"
    );
    assert_eq!(report.dropped, found.caught + found.clean_touched);
    assert_eq!(
        report.train_left + report.valid_left,
        1_437 - report.dropped
    );
}

#[test]
fn features_of_a_network_trained_on_the_poison_find_it() {
    let clean = digits();
    let rlf = flip::random(&clean.pool(), 0.1, 6).unwrap();
    let text =
        r#"{ kind = "knn", space = { kind = "features", width = 8, steps = 180, batch = 32 } }"#;
    let (_, _, report) = against(&clean, &rlf, text, None);
    let found = report.against.unwrap();
    eprintln!("{found:?}");
    assert!(restored(&found) > 0.85, "{found:?}");
    assert!(found.clean_touched < 60, "{found:?}");
}

#[test]
#[ignore = "needs ../shared/data"]
fn real_most_flipped_mnist_labels_are_restored() {
    let dir = tox_testkit::data::unpacked();
    let spec = DataSpec {
        train: Some(5_000),
        ..DataSpec::of("mnist", 1_000)
    };
    let folder = DataDir::resolve(Some(dir.path())).unwrap();
    let clean = tox_data::load(&spec, &folder).unwrap();
    let rlf = flip::random(&clean.pool(), 0.1, 6).unwrap();
    let (_, cleaned, report) = against(&clean, &rlf, r#"{ kind = "knn" }"#, None);
    let found = report.against.unwrap();
    eprintln!("{found:?}");
    assert_eq!(found.poisoned, 600);
    assert!(restored(&found) > 0.9, "{found:?}");
    assert!(found.clean_touched < 300, "{found:?}");
    let wrong = cleaned.pool().labels.into_iter().zip(clean.pool().labels);
    let wrong = wrong.filter(|(a, b)| a != b).count();
    // Each is a clean row touched, or a flipped one not restored.
    assert_eq!(wrong, found.clean_touched + found.flipped - found.restored);
}

#[test]
fn more_neighbours_than_rows_are_refused() {
    let data = by_hand(1, 2, &[(&[1], 0), (&[2], 1), (&[3], 0), (&[4], 1)]);
    let augment = Augment::default();
    let knn = recipe(r#"{ kind = "knn", k = 4 }"#);
    let error = applied(&knn, &inputs(&data, &augment)).unwrap_err();
    assert!(
        matches!(error, CleanseError::FewRows { k: 4, rows: 4 }),
        "{error}"
    );
}
