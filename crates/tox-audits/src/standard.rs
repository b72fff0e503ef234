//! The standard report, as learners have it that have none of their own, and what it adds to those that
//! have.

use crate::made_up::{self, assert_balanced, assert_offline, edit, part, read};
use crate::{HOUSE, REPORTS};
use serde_json::json;
use tox_poison::data::threat::RlfThreat;
use tox_report::Reports;
use tox_study::spec::TrialSpec;

const HEAD: &str = "name = \"own\"\ntitle = \"A learner without a report\"\n";

/// Nobody has a report of their own.
const STANDARD: Reports = Reports {
    house: HOUSE,
    reporters: &[],
};

fn enas() -> Vec<TrialSpec> {
    let specs = crate::enas::report::synthetic::specs().into_iter();
    let known = |s: &TrialSpec| ["clean", "3b", "3c", "3d", "oneshot-2"].contains(&s.cell.as_str());
    specs.filter(known).collect()
}

#[test]
fn every_learner_has_tables_figures_and_verdicts() {
    let dir = tempfile::tempdir().unwrap();
    made_up::write(
        dir.path(),
        HEAD,
        &enas(),
        crate::enas::report::synthetic::record,
        |_| 0,
    );
    let paths = tox_report::write(&STANDARD, dir.path()).unwrap();
    assert_eq!(paths.wide, None);
    let html = read(&paths.html);
    assert_balanced(&html);
    assert_offline(&html);
    for part in [
        "Damage,<br>points",
        "What was found",
        "Test error before and behind defences",
    ] {
        assert!(html.contains(part), "{part}\n{html}");
    }
    assert_eq!(paths.figures.len(), 1, "errors against q");
    roxmltree::Document::parse(&read(&paths.figures[0])).unwrap();
    insta::assert_snapshot!(
        "headline",
        tox_report::headline(&STANDARD, dir.path()).unwrap()
    );
    let rows = read(&paths.csv);
    let first: Vec<&str> = rows.lines().take(3).collect();
    insta::assert_snapshot!("results_csv", first.join("\n"));
    assert!(tox_report::check(&STANDARD, dir.path()).unwrap().is_empty());
}

#[test]
fn every_kind_of_record_is_tidy() {
    use crate::{bilevel, nas};
    let bilevel = bilevel::report::synthetic::specs();
    let dir = tempfile::tempdir().unwrap();
    made_up::write(
        dir.path(),
        HEAD,
        &bilevel[..3],
        bilevel::report::synthetic::record,
        |_| 0,
    );
    let paths = tox_report::write(&STANDARD, dir.path()).unwrap();
    assert_eq!(paths.figures.len(), 1, "errors against numbers of points");
    assert!(
        read(&paths.csv).contains(",test_error,350,"),
        "{}",
        read(&paths.csv)
    );
    let nas = nas::report::synthetic::specs();
    let dir = tempfile::tempdir().unwrap();
    made_up::write(
        dir.path(),
        HEAD,
        &nas[..9],
        nas::report::synthetic::record,
        |_| 0,
    );
    let csv = read(&tox_report::write(&STANDARD, dir.path()).unwrap().csv);
    assert!(csv.contains(",evaluations,,"), "{csv}");
}

#[test]
fn what_a_report_knows_nothing_of_stands_beside_it() {
    let mut specs = enas();
    let rlf = part::<RlfThreat>(json!({"kind": "rlf", "budget": 0.1}));
    for mut spec in enas().into_iter().filter(|s| s.cell == "clean") {
        spec.cell = "flipped".to_owned();
        spec.threat.data = Some(rlf.clone());
        specs.push(spec);
    }
    let record = |spec: &TrialSpec| {
        let mut record = crate::enas::report::synthetic::record(spec);
        if spec.threat.data.is_some() {
            edit(
                &mut record.outcome,
                |o: &mut crate::enas::outcome::EnasOutcome| {
                    o.retrained_test_error = o.retrained_test_error.map(|e| e + 5.0);
                },
            );
        }
        made_up::seal(spec, record.outcome)
    };
    let dir = tempfile::tempdir().unwrap();
    made_up::write(dir.path(), HEAD, &specs, record, |_| 0);
    let before = tempfile::tempdir().unwrap();
    made_up::write(before.path(), HEAD, &enas(), record, |_| 0);
    let html = read(&tox_report::write(&REPORTS, dir.path()).unwrap().html);
    assert_balanced(&html);
    let sentence = "flipped (RLF 10\u{a0}%): test error rises by 5.00";
    assert!(html.contains(sentence), "{html}");
    // The report's own numbers are those of the study without the foreign cells.
    let own = tox_report::headline(&REPORTS, before.path()).unwrap();
    let with = tox_report::headline(&REPORTS, dir.path()).unwrap();
    assert!(with.starts_with(&own), "{own}\n{with}");
    assert!(with[own.len()..].contains("RLF 10 %"), "{with}");
}
