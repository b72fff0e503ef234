//! Settings beside the paper's.

use super::*;

#[test]
fn settings_that_differ_are_named_and_others_are_not() {
    let dir = folder(HEAD, |_| 2);
    let run = tox_report::run::Run::load(&crate::made_up::REPORTS, dir.path()).unwrap();
    let cells = super::super::cells::all(&run);
    let differences = super::super::settings::differences(&cells);
    let find = |key: &str| differences.iter().find(|d| d.key == key);
    let epochs = find("learner.child.epochs").unwrap();
    assert_eq!((epochs.paper.as_str(), epochs.ours.as_str()), ("300", "30"));
    assert_eq!(epochs.cells, "");
    assert_eq!(find("data.augment.crop").unwrap().ours, "2");
    let policy = find("learner.child.nan_policy").unwrap();
    assert!(policy.cells.contains("oneshot-2") && !policy.cells.contains("1a"));
    assert!(find("learner.child.layers").is_none() && find("data.augment.flip").is_none());
}

#[test]
fn the_paper_side_is_that_of_the_data_set() {
    let mut specs = synthetic::specs();
    specs.truncate(2);
    specs[1].data.dataset = "cifar100".into();
    specs[1].data.rgb = true;
    let dir = tempfile::tempdir().unwrap();
    made_up::write(dir.path(), HEAD, &specs, synthetic::record, |_| 0);
    let run = tox_report::run::Run::load(&crate::made_up::REPORTS, dir.path()).unwrap();
    let differences = super::super::settings::differences(&super::super::cells::all(&run));
    let of = |key: &str| -> Vec<(&str, &str, &str)> {
        let rows = differences.iter().filter(|d| d.key == key);
        rows.map(|d| (d.paper.as_str(), d.ours.as_str(), d.cells.as_str()))
            .collect()
    };
    let (ten, hundred) = ("clean, cifar10", "clean, cifar100");
    assert_eq!(of("data.dataset"), []);
    assert_eq!(of("data.rgb"), [("false", "true", hundred)]);
    assert_eq!(
        of("learner.child.epochs"),
        [("300", "30", ten), ("150", "30", hundred)]
    );
    // 29.9 and 14.9 half periods: near the maximum and near the minimum.
    assert_eq!(
        of("learning rate of the last epoch"),
        [("0.0488", "0.0500", ten), ("0.0017", "0.0500", hundred)]
    );
}
