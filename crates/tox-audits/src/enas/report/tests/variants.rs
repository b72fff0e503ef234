//! A study with two variants of the learner.

use super::super::{cells, findings, synthetic};
use crate::made_up;
use tox_poison::space::{PoisonSet, SpacePoison};
use tox_search::enas::config::{EnasConfig, NanPolicy};
use tox_study::part::Part;
use tox_study::spec::TrialSpec;

const VARIANTS: [(&str, usize); 2] = [("of-the-laptop-narrow", 12), ("of-the-laptop-wide", 24)];

fn specs() -> Vec<TrialSpec> {
    let mut out = Vec::new();
    for (variant, channels) in VARIANTS {
        for (cell, set, q) in [
            ("clean", None, 0),
            ("3a", Some(PoisonSet::P3), 6),
            ("3d", Some(PoisonSet::P3), 300),
            ("one-shot", Some(PoisonSet::P3Plus), 1),
        ] {
            for policy in [NanPolicy::Torch, NanPolicy::Guarded] {
                for seed in 0..2 {
                    let poison = set.map(|set| SpacePoison { set: set.into(), q });
                    let mut spec = synthetic::spec(cell, poison, policy, false, seed);
                    spec.variant = Some(match policy {
                        NanPolicy::Guarded => format!("{variant}-guarded"),
                        NanPolicy::Torch | NanPolicy::Torch19 => variant.to_owned(),
                    });
                    let mut config: EnasConfig = spec.learner.read().unwrap();
                    config.child.channels = channels;
                    spec.learner = Part::new("enas", &config);
                    out.push(spec);
                }
            }
        }
    }
    out
}

#[test]
fn variants_of_the_learner_stand_apart() {
    let dir = made_up::folder(synthetic::HEAD, &specs(), synthetic::record, |_| 0);
    let run = made_up::run(dir.path());
    let cells = cells::all(&run);
    let found = findings::findings(&run, &cells, None).join("\n");
    let html = made_up::html(dir.path());
    let table2 = html.split("<caption>Table 2. ").nth(1).unwrap();
    let table2 = table2.split("</table>").next().unwrap();
    for (variant, _) in VARIANTS {
        let once = format!("one-shot ({variant}) under torch: collapsed in");
        assert_eq!(found.matches(&once).count(), 1, "{found}");
        let rise = format!("P3 ({variant}) up at");
        assert!(found.contains(&rise), "{found}");
        for cell in ["clean", "3d", "one-shot"] {
            let row = format!("{cell} ({variant})");
            assert_eq!(table2.matches(&row).count(), 1, "{row}: {table2}");
        }
        // Whole, where two differ at their ends alone.
        let label = format!("one-shot ({variant}), seed 0");
        assert!(html.contains(&label), "{label}");
    }
    assert!(!table2.contains("not planned"), "{table2}");
}

#[test]
fn a_terminal_shows_robust_accuracy_where_something_is_attacked() {
    use crate::enas::outcome::EnasOutcome;
    let mut specs = synthetic::specs();
    specs.truncate(3);
    let dir = made_up::folder(synthetic::HEAD, &specs, synthetic::record, |_| 0);
    assert!(!made_up::headline(dir.path()).contains("robust %"));
    made_up::change(dir.path(), &specs, |spec, o: &mut EnasOutcome| {
        o.attacked = Some(crate::rcnas::report::synthetic::attacked(spec));
    });
    let said = made_up::headline(dir.path());
    assert!(said.contains("robust %") && said.contains("30."), "{said}");
}
