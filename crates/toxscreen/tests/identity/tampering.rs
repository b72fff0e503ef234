//! What was changed in a study's folder, and who says so. One finished study, a copy for each change.

use super::{Restored, copy, finished, replace, save_digits, toxscreen, trials};
use std::fs;
use std::path::Path;
use tox_study::record::Record;
use tox_testkit::recipes;

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

/// What `verify --no-rerun` says of a change; the report does not care.
const fn row(what: &'static str, change: fn(&Path), quick: Says) -> Tampering {
    Tampering {
        what,
        change,
        quick,
        full: None,
        report: (0, "report"),
    }
}

impl Tampering {
    /// Of which `verify` says more.
    const fn full(self, full: Says) -> Self {
        let full = Some(full);
        Self { full, ..self }
    }

    /// Of which the report speaks.
    const fn report(self, report: Says) -> Self {
        Self { report, ..self }
    }
}

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
    row("nothing", |_| {}, (0, "0 bad")).full((0, "0 bad; 4 the same")),
    row("a value of a record", another_value, DAMAGED).report((1, "delete the folder")),
    row(
        "white space in a record",
        |s| replace(&record(s, 0), "  \"version\"", "   \"version\""),
        DAMAGED,
    )
    .report((1, "changed after it was written")),
    row(
        "the digest of a record",
        |s| replace(&record(s, 0), "\"digest\": \"", "\"digest\": \"0"),
        DAMAGED,
    )
    .report((1, "changed after it was written")),
    row(
        "the seed in a record's spec, sealed anew",
        |s| reseal(s, |r| r.spec.seed = 77),
        (1, "another trial's"),
    )
    .report((1, "another trial's")),
    row(
        "two records, swapped",
        |s| {
            let (a, b) = (record(s, 0), record(s, 1));
            let kept = fs::read(&a).unwrap();
            fs::copy(&b, &a).unwrap();
            fs::write(b, kept).unwrap();
        },
        (1, "another trial's"),
    )
    .report((1, "another trial's")),
    row(
        "a record, removed",
        |s| fs::remove_file(record(s, 0)).unwrap(),
        (1, "1 missing"),
    )
    .report((0, "/2")),
    row(
        "a record, as a link",
        |s| {
            let path = record(s, 0);
            fs::rename(&path, s.join("elsewhere")).unwrap();
            std::os::unix::fs::symlink(s.join("elsewhere"), path).unwrap();
        },
        (1, "symbolic link"),
    )
    .report((1, "symbolic link")),
    row(
        "a setting of study.toml",
        |s| replace(&s.join("study.toml"), "steps = 5", "steps = 6"),
        EDITED,
    )
    .report(EDITED),
    row(
        "a label of study.toml",
        |s| replace(&s.join("study.toml"), "\"clean\"", "\"cleaned\""),
        EDITED,
    )
    .report(EDITED),
    row(
        "two labels of study.toml, swapped",
        |s| {
            let path = s.join("study.toml");
            replace(&path, "label = \"clean\"", "label = \"x\"");
            replace(&path, "label = \"poisoned\"", "label = \"clean\"");
            replace(&path, "label = \"x\"", "label = \"poisoned\"");
        },
        EDITED,
    )
    .report(EDITED),
    row(
        "a cell of study.toml, removed with its record left",
        |s| {
            let path = s.join("study.toml");
            let text = fs::read_to_string(&path).unwrap();
            let at = text.rfind("[[cell]]").unwrap();
            fs::write(&path, &text[..at]).unwrap();
        },
        EDITED,
    )
    .report(EDITED),
    row(
        "the title in study.toml",
        |s| {
            replace(
                &s.join("study.toml"),
                "name = \"tiny\"",
                "name = \"tiny\"\ntitle = \"t\"",
            )
        },
        EDITED,
    )
    .report(EDITED),
    row(
        "the paper in study.toml",
        |s| {
            replace(
                &s.join("study.toml"),
                "name = \"tiny\"",
                "name = \"tiny\"\npaper = \"bilevel\"",
            );
        },
        EDITED,
    )
    .report(EDITED),
    row(
        "the data, removed",
        |s| fs::remove_file(s.parent().unwrap().join("data.npz")).unwrap(),
        (4, "cannot be compared here"),
    )
    .full((4, "4 that cannot be told")),
    row(
        "the data",
        |s| save_digits(&s.parent().unwrap().join("data.npz"), 1),
        (1, "data.npz changed"),
    )
    .full((1, "FAILED"))
    .report((0, "data.npz changed")),
    // The report is not what this record gives.
    row(
        "a value of a record, sealed anew",
        |s| {
            another_value(s);
            let path = record(s, 0);
            let r: Record = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            let r = Record::seal(r.spec, r.outcome, r.provenance, r.timing).unwrap();
            fs::write(path, r.to_json()).unwrap();
        },
        (1, "results.csv"),
    )
    .full((1, "DIFFERS")),
    row(
        "the hash of the data in a record, sealed anew",
        |s| reseal(s, |r| r.provenance.data_hash = "5f1d".repeat(16)),
        (1, "its data have the hash"),
    ),
    // The report says which version it was.
    row(
        "the version in a record, sealed anew",
        |s| reseal(s, |r| r.provenance.toxscreen = "9.9.9".into()),
        (1, "made by toxscreen 9.9.9"),
    )
    .full((1, "toxscreen 9.9.9, now")),
    row(
        "the instruction set in a record, sealed anew",
        |s| reseal(s, |r| r.provenance.simd = "mmx".into()),
        (1, "report.html"),
    )
    .full((1, "instruction set mmx, now")),
    row(
        "the threads in a record, sealed anew",
        |s| reseal(s, |r| r.provenance.threads = 3),
        (1, "report.html"),
    ),
    row(
        "the time in a record, sealed anew",
        |s| reseal(s, |r| r.timing.seconds = 1e6),
        (1, "report.html"),
    ),
    row(
        "a line of plan.jsonl, removed",
        |s| {
            let path = s.join("plan.jsonl");
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.split_once('\n').unwrap().1).unwrap();
        },
        (1, "plan.jsonl"),
    )
    .report((0, "plan.jsonl was not what study.toml means")),
    row(
        "a line of plan.jsonl, doubled",
        |s| {
            let path = s.join("plan.jsonl");
            let text = fs::read_to_string(&path).unwrap();
            let first = text.lines().next().unwrap();
            fs::write(&path, format!("{text}{first}\n")).unwrap();
        },
        (1, "plan.jsonl"),
    )
    .report((0, "it was made again")),
    row(
        "a setting in plan.jsonl",
        |s| replace(&s.join("plan.jsonl"), "\"steps\":5", "\"steps\":500"),
        (1, "plan.jsonl"),
    )
    .report((0, "it was made again")),
    row(
        "results.csv",
        |s| replace(&s.join("results.csv"), "clean", "cleam"),
        (1, "results.csv"),
    ),
    row(
        "report.html",
        |s| replace(&s.join("report.html"), "toxscreen", "toxscream"),
        (1, "report.html"),
    ),
    row(
        "a figure",
        |s| {
            let figure = fs::read_dir(s.join("figures")).unwrap().next().unwrap();
            replace(&figure.unwrap().path(), "<svg", "<svG");
        },
        (1, "figures/"),
    ),
    row(
        "spec.json",
        |s| replace(&trials(s)[0].join("spec.json"), "\"seed\": ", "\"seed\": 1"),
        (1, "spec.json"),
    ),
    row(
        "events.jsonl",
        |s| {
            replace(
                &trials(s)[0].join("events.jsonl"),
                "\"seconds\":",
                "\"seconds\":9",
            )
        },
        (0, "torn by a kill or changed since"),
    ),
    row(
        "failure.json beside a record",
        |s| fs::write(trials(s)[0].join("failure.json"), "{}").unwrap(),
        (1, "failure.json"),
    ),
    row(
        "a trial that belongs to no cell",
        |s| copy(&trials(s)[0], &s.join("trials/0123456789abcdef")),
        (1, "belongs to no trial of study.toml"),
    ),
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
    let dir = super::scene(&enas());
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

fn enas() -> String {
    [
        recipes::head("enas", &[0]),
        recipes::data("digits", [160, 64, 64]),
        recipes::enas(
            [6, 4, 16, 1],
            [2, 3, 32],
            "candidates = 3, density_samples = 50",
            1,
        ),
        recipes::cell("clean", ""),
    ]
    .concat()
}
