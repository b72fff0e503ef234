//! Fig. 1 over made-up records.

use super::draw::boundary;
use super::findings::{claims, findings, lead, spread, turn};
use crate::made_up::{self, assert_balanced, noise, read, seal};
use tox_bilevel::config::SyntheticConfig;
use tox_bilevel::outcome::{Path, SyntheticOutcome};
use tox_report::stats::spearman;
use tox_study::part::Part;
use tox_study::record::Record;
use tox_study::spec::TrialSpec;

fn spec(seed: u64) -> TrialSpec {
    serde_json::from_value(serde_json::json!({
        "version": 1,
        "cell": "fig1",
        "data": {"dataset": "gaussians", "train": 64, "valid": 64},
        "learner": Part::new(
            "synthetic",
            &SyntheticConfig { grid: 21, ..SyntheticConfig::default() },
        ),
        "seed": seed,
    }))
    .unwrap()
}

fn record(spec: &TrialSpec) -> Record {
    let grid = 21;
    let at = |n: usize| -9.5 + 19.0 * n as f64 / 20.0;
    let over = |f: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
        (0..grid * grid)
            .map(|i| f(at(i % grid), at(i / grid)))
            .collect()
    };
    let hurt = |x: f64, y: f64| (x / 9.5).max(0.0) * (1.0 - y.abs() / 20.0);
    let path = |reach: f64, error, weights| Path {
        positions: (0..=10)
            .map(|i| (-3.0 + reach * i as f64, 0.1 * i as f64))
            .collect(),
        label: 1,
        clean_error: 3.1,
        error,
        weights,
    };
    let outcome = SyntheticOutcome {
        grid,
        half_side: 9.5,
        error_none: over(&|x, y| 3.0 + 50.0 * hurt(x, y)),
        error_fixed: over(&|x, y| 4.0 + 6.0 * hurt(x, y)),
        best_lambda: over(&|x, y| -8.0 + 14.0 * hurt(x, y)),
        train: (0..64)
            .map(|i| {
                let class = (i % 2) as u16;
                let centre = if class == 0 { -3.0 } else { 3.0 };
                let key = spec.seed * 1000 + i;
                (
                    centre + 4.0 * noise(key) - 2.0,
                    5.0 * noise(key + 500) - 2.5,
                    class,
                )
            })
            .collect(),
        clean_none: [1.5, 0.2, 0.1],
        clean_fixed: [0.1, 0.01, 0.0],
        attack_none: path(1.2, 53.0 + spec.seed as f64, [-0.4, 0.3, 0.2]),
        attack_fixed: path(1.1, 9.0, [0.08, 0.02, 0.0]),
    };
    seal(spec, Part::new("synthetic", &outcome))
}

const HEAD: &str = "name = \"fig1\"\ntitle = \"One poison point\"\npaper = \"bilevel\"\n";

#[test]
fn page_table_and_csv_of_the_example() {
    let dir = tempfile::tempdir().unwrap();
    let specs = [spec(0), spec(1)];
    made_up::write(dir.path(), HEAD, &specs, record, |_| 0);
    let paths = made_up::report(dir.path());
    let html = read(&paths.html);
    assert_balanced(&html);
    made_up::assert_offline(&html);
    assert_eq!(html.matches("data:image/png;base64,").count(), 6);
    assert_eq!(
        read(paths.wide.as_ref().unwrap()).lines().count(),
        1 + 2 * 21 * 21
    );
    let figure = read(&paths.figures[0]);
    roxmltree::Document::parse(&figure).unwrap();
    insta::assert_snapshot!("maps_headline", made_up::headline(dir.path()));
    let run = made_up::run(dir.path());
    let cells = super::all(&run);
    let mut found = findings(&run, &cells);
    found.extend(claims(&cells).iter().map(|c| format!("{c:?}")));
    let found = found.join("\n");
    insta::assert_snapshot!("maps_findings", found);
}

#[test]
fn a_map_of_another_size_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let short = |spec: &TrialSpec| {
        let mut record = record(spec);
        made_up::edit(&mut record.outcome, |o: &mut SyntheticOutcome| {
            o.error_fixed.pop();
        });
        seal(spec, record.outcome)
    };
    made_up::write(dir.path(), HEAD, &[spec(0)], short, |_| 0);
    let html = made_up::html(dir.path());
    assert_eq!(html.matches("data:image/png;base64,").count(), 4);
}

#[test]
fn ranks_leads_turns_and_spreads_by_hand() {
    assert_eq!(spearman(&[1.0, 2.0, 3.0], &[10.0, 20.0, 90.0]), Some(1.0));
    assert_eq!(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some(-1.0));
    assert_eq!(spearman(&[1.0, 1.0], &[1.0, 2.0]), None);
    // Ranks 0.5, 0.5, 2 against 0, 1, 2: covariance 1.5, variances 1.5 and 2.
    let tied = spearman(&[4.0, 4.0, 9.0], &[1.0, 2.0, 3.0]).unwrap();
    assert!((tied - 1.5 / 3f64.sqrt()).abs() < 1e-12);
    let error: Vec<f64> = (0..10).map(f64::from).collect();
    let lambda = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 9.0, 5.0];
    assert_eq!(lead(&error, &lambda), Some(4.0));
    assert!((turn(&[1.0, 0.0, 9.0], &[0.0, 2.0, -1.0]).unwrap() - 90.0).abs() < 1e-9);
    assert_eq!(turn(&[0.0, 0.0, 1.0], &[0.0, 2.0, -1.0]), None);
    assert_eq!(spread(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]), Some(2.0));
    assert_eq!(spread(&[]), None);
}

#[test]
fn a_boundary_is_cut_to_the_square() {
    // x = 1, and the diagonal.
    assert_eq!(
        boundary(&[2.0, 0.0, -2.0], 5.0),
        Some(((1.0, -5.0), (1.0, 5.0)))
    );
    let (a, b) = boundary(&[1.0, -1.0, 0.0], 5.0).unwrap();
    assert_eq!((a, b), ((-5.0, -5.0), (5.0, 5.0)));
    assert_eq!(boundary(&[1.0, 0.0, 50.0], 5.0), None);
    assert_eq!(boundary(&[0.0, 0.0, 1.0], 5.0), None);
}

/// Writes a report to look at, as the sample of ENAS does.
#[test]
#[ignore = "writes where TOXSCREEN_REPORT_SAMPLE says"]
fn sample() {
    made_up::sample("maps", HEAD, &[spec(0)], record, |_| 0);
}
