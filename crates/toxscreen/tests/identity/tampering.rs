//! What was changed in a study's folder, and who says so. One finished study, a copy for each change.

use super::{Restored, copy, finished, replace, save_digits, toxscreen, trials};
use std::fs;
use std::path::Path;
use tox_study::record::Record;

/// What a command must say: its exit code and a part of its words.
type Says = (i32, &'static str);

struct Tampering {
    what: &'static str,
    /// Given the study's folder.
    change: fn(&Path),
    /// `verify --no-rerun`.
    quick: Says,
    /// `verify`, where it knows more.
    full: Option<Says>,
    /// `report`.
    report: Says,
}

const ROW: Tampering = Tampering {
    what: "",
    change: |_| {},
    quick: (0, "0 bad"),
    full: None,
    report: (0, "report"),
};

fn record(study: &Path, i: usize) -> std::path::PathBuf {
    trials(study)[i].join("record.json")
}

/// Changes a record and seals it anew, which needs no key.
fn reseal(study: &Path, change: fn(&mut Record)) {
    let path = record(study, 0);
    let mut r = Record::read(&path).unwrap();
    change(&mut r);
    let r = Record::seal(r.spec, r.outcome, r.provenance, r.timing).unwrap();
    fs::write(path, r.to_json()).unwrap();
}

/// Adds to the first error in percent of a record, on its text.
fn another_value(study: &Path) {
    let path = record(study, 0);
    replace(&path, "\"test_error\": ", "\"test_error\": 1");
}

const DAMAGED: Says = (1, "DAMAGED");
const EDITED: Says = (1, "study.toml was changed");

const TABLE: &[Tampering] = &[
    Tampering {
        what: "nothing",
        full: Some((0, "0 bad; 4 the same")),
        ..ROW
    },
    Tampering {
        what: "a value of a record",
        change: another_value,
        quick: DAMAGED,
        report: (1, "delete the folder"),
        ..ROW
    },
    Tampering {
        what: "white space in a record",
        change: |s| replace(&record(s, 0), "  \"version\"", "   \"version\""),
        quick: DAMAGED,
        report: (1, "changed after it was written"),
        ..ROW
    },
    Tampering {
        what: "the digest of a record",
        change: |s| replace(&record(s, 0), "\"digest\": \"", "\"digest\": \"0"),
        quick: DAMAGED,
        report: (1, "changed after it was written"),
        ..ROW
    },
    Tampering {
        what: "the seed in a record's spec, sealed anew",
        change: |s| reseal(s, |r| r.spec.seed = 77),
        quick: (1, "another trial's"),
        report: (1, "another trial's"),
        ..ROW
    },
    Tampering {
        what: "two records, swapped",
        change: |s| {
            let (a, b) = (record(s, 0), record(s, 1));
            let kept = fs::read(&a).unwrap();
            fs::copy(&b, &a).unwrap();
            fs::write(b, kept).unwrap();
        },
        quick: (1, "another trial's"),
        report: (1, "another trial's"),
        ..ROW
    },
    Tampering {
        what: "a record, removed",
        change: |s| fs::remove_file(record(s, 0)).unwrap(),
        quick: (1, "1 missing"),
        report: (0, "/2"),
        ..ROW
    },
    Tampering {
        what: "a record, as a link",
        change: |s| {
            let path = record(s, 0);
            fs::rename(&path, s.join("elsewhere")).unwrap();
            std::os::unix::fs::symlink(s.join("elsewhere"), path).unwrap();
        },
        quick: (1, "symbolic link"),
        report: (1, "symbolic link"),
        ..ROW
    },
    Tampering {
        what: "a setting of study.toml",
        change: |s| replace(&s.join("study.toml"), "steps = 5", "steps = 6"),
        quick: EDITED,
        report: EDITED,
        ..ROW
    },
    Tampering {
        what: "a label of study.toml",
        change: |s| replace(&s.join("study.toml"), "\"clean\"", "\"cleaned\""),
        quick: EDITED,
        report: EDITED,
        ..ROW
    },
    Tampering {
        what: "two labels of study.toml, swapped",
        change: |s| {
            let path = s.join("study.toml");
            replace(&path, "label = \"clean\"", "label = \"x\"");
            replace(&path, "label = \"poisoned\"", "label = \"clean\"");
            replace(&path, "label = \"x\"", "label = \"poisoned\"");
        },
        quick: EDITED,
        report: EDITED,
        ..ROW
    },
    Tampering {
        what: "a cell of study.toml, removed with its record left",
        change: |s| {
            let path = s.join("study.toml");
            let text = fs::read_to_string(&path).unwrap();
            let at = text.rfind("[[cell]]").unwrap();
            fs::write(&path, &text[..at]).unwrap();
        },
        quick: EDITED,
        report: EDITED,
        ..ROW
    },
    Tampering {
        what: "the title in study.toml",
        change: |s| {
            replace(
                &s.join("study.toml"),
                "name = \"tiny\"",
                "name = \"tiny\"\ntitle = \"t\"",
            )
        },
        quick: EDITED,
        report: EDITED,
        ..ROW
    },
    Tampering {
        what: "the paper in study.toml",
        change: |s| {
            replace(
                &s.join("study.toml"),
                "name = \"tiny\"",
                "name = \"tiny\"\npaper = \"bilevel\"",
            );
        },
        quick: EDITED,
        report: EDITED,
        ..ROW
    },
    Tampering {
        what: "the data, removed",
        change: |s| fs::remove_file(s.parent().unwrap().join("data.npz")).unwrap(),
        quick: (4, "cannot be compared here"),
        full: Some((1, "4 bad")),
        ..ROW
    },
    Tampering {
        what: "the data",
        change: |s| save_digits(&s.parent().unwrap().join("data.npz"), 1),
        quick: (1, "data.npz changed"),
        full: Some((1, "FAILED")),
        report: (0, "data.npz changed"),
    },
    Tampering {
        what: "a value of a record, sealed anew",
        change: |s| {
            another_value(s);
            let path = record(s, 0);
            let r: Record = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            let r = Record::seal(r.spec, r.outcome, r.provenance, r.timing).unwrap();
            fs::write(path, r.to_json()).unwrap();
        },
        // The report is not what this record gives.
        quick: (1, "results.csv"),
        full: Some((1, "DIFFERS")),
        ..ROW
    },
    Tampering {
        what: "the hash of the data in a record, sealed anew",
        change: |s| reseal(s, |r| r.provenance.data_hash = "5f1d".repeat(16)),
        quick: (1, "its data have the hash"),
        ..ROW
    },
    Tampering {
        what: "the version in a record, sealed anew",
        change: |s| reseal(s, |r| r.provenance.toxscreen = "9.9.9".into()),
        // The report says which version it was.
        quick: (1, "made by toxscreen 9.9.9"),
        full: Some((1, "toxscreen 9.9.9, now")),
        ..ROW
    },
    Tampering {
        what: "the instruction set in a record, sealed anew",
        change: |s| reseal(s, |r| r.provenance.simd = "mmx".into()),
        quick: (1, "report.html"),
        full: Some((1, "instruction set mmx, now")),
        ..ROW
    },
    Tampering {
        what: "the threads in a record, sealed anew",
        change: |s| reseal(s, |r| r.provenance.threads = 3),
        quick: (1, "report.html"),
        ..ROW
    },
    Tampering {
        what: "the time in a record, sealed anew",
        change: |s| reseal(s, |r| r.timing.seconds = 1e6),
        quick: (1, "report.html"),
        ..ROW
    },
    Tampering {
        what: "a line of plan.jsonl, removed",
        change: |s| {
            let path = s.join("plan.jsonl");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.split_once('\n').unwrap().1).unwrap();
        },
        quick: (1, "plan.jsonl"),
        report: (0, "plan.jsonl was not what study.toml means"),
        ..ROW
    },
    Tampering {
        what: "a line of plan.jsonl, doubled",
        change: |s| {
            let path = s.join("plan.jsonl");
            let text = fs::read_to_string(&path).unwrap();
            let first = text.lines().next().unwrap();
            fs::write(&path, format!("{text}{first}\n")).unwrap();
        },
        quick: (1, "plan.jsonl"),
        report: (0, "it was made again"),
        ..ROW
    },
    Tampering {
        what: "a setting in plan.jsonl",
        change: |s| replace(&s.join("plan.jsonl"), "\"steps\":5", "\"steps\":500"),
        quick: (1, "plan.jsonl"),
        report: (0, "it was made again"),
        ..ROW
    },
    Tampering {
        what: "results.csv",
        change: |s| replace(&s.join("results.csv"), "clean", "cleam"),
        quick: (1, "results.csv"),
        ..ROW
    },
    Tampering {
        what: "report.html",
        change: |s| replace(&s.join("report.html"), "toxscreen", "toxscream"),
        quick: (1, "report.html"),
        ..ROW
    },
    Tampering {
        what: "a figure",
        change: |s| {
            let figure = fs::read_dir(s.join("figures")).unwrap().next().unwrap();
            replace(&figure.unwrap().path(), "<svg", "<svG");
        },
        quick: (1, "figures/"),
        ..ROW
    },
    Tampering {
        what: "spec.json",
        change: |s| replace(&trials(s)[0].join("spec.json"), "\"seed\": ", "\"seed\": 1"),
        quick: (1, "spec.json"),
        ..ROW
    },
    Tampering {
        what: "events.jsonl",
        change: |s| {
            replace(
                &trials(s)[0].join("events.jsonl"),
                "\"seconds\":",
                "\"seconds\":9",
            )
        },
        quick: (0, "torn by a kill or changed since"),
        ..ROW
    },
    Tampering {
        what: "failure.json beside a record",
        change: |s| fs::write(trials(s)[0].join("failure.json"), "{}").unwrap(),
        quick: (1, "failure.json"),
        ..ROW
    },
    Tampering {
        what: "a trial that belongs to no cell",
        change: |s| copy(&trials(s)[0], &s.join("trials/0123456789abcdef")),
        quick: (1, "belongs to no trial of study.toml"),
        ..ROW
    },
];

#[test]
fn every_tampering_has_its_verdict() {
    let made = Restored::finished();
    let mut wrong = Vec::new();
    for row in TABLE {
        let mut hold = |command: &str, (code, part): Says| {
            let at = made.again();
            (row.change)(&at.join("s"));
            let said = toxscreen(at, command);
            if said.code != code || !said.all().contains(part) {
                wrong.push(format!(
                    "{}: {command}: {} {}",
                    row.what,
                    said.code,
                    said.all()
                ));
            }
        };
        hold("verify s --no-rerun", row.quick);
        if let Some(full) = row.full {
            hold("verify s", full);
        }
        hold("report s", row.report);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(TABLE.len() >= 30, "{}", TABLE.len());
}

/// The numbers of a report are those of the records, whatever stands in `plan.jsonl`.
#[test]
fn a_report_of_a_changed_plan_is_that_of_the_plan_before() {
    let dir = finished();
    let study = dir.path().join("s");
    let whole = fs::read(study.join("results.csv")).unwrap();
    let plan = fs::read_to_string(study.join("plan.jsonl")).unwrap();
    let first = plan.lines().next().unwrap();
    fs::write(study.join("plan.jsonl"), format!("{first}\n{first}\n")).unwrap();
    toxscreen(dir.path(), "report s").must(0, &["warning: s/plan.jsonl was not"]);
    assert_eq!(fs::read(study.join("results.csv")).unwrap(), whole);
    assert_eq!(fs::read_to_string(study.join("plan.jsonl")).unwrap(), plan);
    toxscreen(dir.path(), "verify s --no-rerun").must(0, &["0 bad"]);
}

/// A study that was moved is the same study.
#[test]
fn a_copy_under_another_name_verifies() {
    let dir = finished();
    fs::rename(dir.path().join("s"), dir.path().join("moved")).unwrap();
    toxscreen(dir.path(), "verify moved").must(0, &["0 bad; 4 the same"]);
}

/// Case 20: what is explained by the instruction set is no fault, and is not called the same.
#[test]
fn another_instruction_set_cannot_be_compared_bit_for_bit() {
    let dir = super::scene(ENAS);
    let at = dir.path();
    let run = |kernels: Option<&str>, words: &str| {
        let mut command = std::process::Command::new(super::PROGRAM);
        command.args(words.split(' ')).current_dir(at);
        if let Some(kernels) = kernels {
            command.env("TOXSCREEN_KERNELS", kernels);
        }
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.code().unwrap_or(-1), text)
    };
    assert_eq!(run(None, "run r.toml --out here").0, 0);
    let (code, text) = run(Some("portable"), "verify here");
    let open = text.contains("close") || text.contains("cannot tell");
    assert!(
        code == 4 && open && text.contains("now portable"),
        "{code} {text}"
    );
    assert!(
        text.contains("0 bad; 0 the same when run again, 1 that cannot"),
        "{text}"
    );
    // A record of an older machine is run again as that machine would.
    assert_eq!(run(Some("portable"), "run r.toml --out older").0, 0);
    let (code, text) = run(None, "verify older");
    assert!(code == 0 && text.contains("1 the same"), "{code} {text}");
}

const ENAS: &str = r#"
name = "enas"
seeds = [0]
[data]
dataset = "digits"
train = 160
valid = 64
test = 64
[learner]
kind = "enas"
child = { layers = 6, channels = 4, batch = 16, epochs = 1 }
controller = { steps = 2, aggregate = 3, batch = 32 }
evaluation = { candidates = 3, density_samples = 50 }
retrain = { epochs = 1 }
[[cell]]
label = "clean"
"#;
