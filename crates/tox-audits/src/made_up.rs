//! Run folders of made-up records, for tests of every kind of study.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tox_report::ReportPaths;
use tox_report::run::Run;
use tox_report::verdict::{Case, Claim};
use tox_study::part::Part;
use tox_study::plan::trial_id;
use tox_study::record::{Provenance, Record, Timing};
use tox_study::spec::TrialSpec;
use tox_study::store::Failure;

pub use crate::REPORTS;

/// A part with every key of `T` resolved.
pub fn part<T: Serialize + DeserializeOwned>(written: serde_json::Value) -> Part {
    let part: Part = serde_json::from_value(written).unwrap();
    Part::new(&part.kind, &part.read::<T>().unwrap())
}

/// Changes a part as the structure that it is.
pub fn edit<T: Serialize + DeserializeOwned>(part: &mut Part, how: impl FnOnce(&mut T)) {
    let mut typed: T = part.read().unwrap();
    how(&mut typed);
    *part = Part::new(&part.kind, &typed);
}

/// A fixed pseudo-random number in [0, 1) for a key.
pub fn noise(key: u64) -> f64 {
    let mut x = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5851_f42d_4c95_7f2d;
    for _ in 0..3 {
        x ^= x >> 33;
        x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    }
    (x >> 11) as f64 / (1u64 << 53) as f64
}

/// A record of a trial that measured `outcome`.
pub fn seal(spec: &TrialSpec, outcome: Part) -> Record {
    seal_with(spec, outcome, |_| {})
}

/// As [`seal`], made elsewhere.
pub fn seal_with(spec: &TrialSpec, outcome: Part, edit: impl FnOnce(&mut Provenance)) -> Record {
    let mut provenance = Provenance {
        toxscreen: "0.1.0".into(),
        data_hash: "5f1d".repeat(16),
        data_notes: vec!["this copy of cifar10 is synthetic".into()],
        chance_error: None,
        device: "cpu".into(),
        adapter: None,
        threads: 1,
        platform: "linux x86_64".into(),
        simd: "avx512".into(),
    };
    let timing = Timing {
        started_unix: 1_700_000_000,
        seconds: 61.5,
        resumed: 0,
        parts: Default::default(),
    };
    edit(&mut provenance);
    Record::seal(spec.clone(), outcome, provenance, timing).unwrap()
}

/// Writes a record with a fresh digest.
pub fn reseal(path: &Path, r: Record) {
    let record = Record::seal(r.spec, r.outcome, r.provenance, r.timing).unwrap();
    std::fs::write(path, record.to_json()).unwrap();
}

/// The file of a trial's record.
pub fn path(dir: &Path, spec: &TrialSpec) -> PathBuf {
    dir.join("trials").join(trial_id(spec)).join("record.json")
}

/// Changes a record and seals it anew.
pub fn rewrite(path: &Path, edit: impl FnOnce(&mut Record)) {
    let mut record = Record::read(path).unwrap();
    edit(&mut record);
    reseal(path, record);
}

/// Changes what the trials of some specs measured.
pub fn change<T: Serialize + DeserializeOwned>(
    dir: &Path,
    specs: &[TrialSpec],
    how: impl Fn(&TrialSpec, &mut T),
) {
    for spec in specs {
        rewrite(&path(dir, spec), |r| edit(&mut r.outcome, |o| how(spec, o)));
    }
}

/// States for [`write`]: one trial failed, some are missing.
pub fn missing(i: usize, failed: usize, gone: RangeInclusive<usize>) -> u8 {
    match i {
        _ if i == failed => 1,
        _ if gone.contains(&i) => 2,
        _ => 0,
    }
}

/// [`write`] in a folder of its own.
pub fn folder(
    head: &str,
    specs: &[TrialSpec],
    record: impl Fn(&TrialSpec) -> Record,
    state: impl Fn(usize) -> u8,
) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), head, specs, record, state);
    dir
}

/// A report to look at, where `TOXSCREEN_REPORT_SAMPLE` says.
pub fn sample(
    name: &str,
    head: &str,
    specs: &[TrialSpec],
    record: impl Fn(&TrialSpec) -> Record,
    state: impl Fn(usize) -> u8,
) {
    let dir = std::env::var("TOXSCREEN_REPORT_SAMPLE").unwrap();
    let dir = Path::new(&dir).join(name);
    write(&dir, head, specs, record, state);
    report(&dir);
}

/// The run of a folder.
pub fn run(dir: &Path) -> Run {
    Run::load(&REPORTS, dir).unwrap()
}

/// Writes the report of a folder.
pub fn report(dir: &Path) -> ReportPaths {
    tox_report::write(&REPORTS, dir).unwrap()
}

/// Why a folder has no report.
pub fn refusal(dir: &Path) -> String {
    tox_report::write(&REPORTS, dir).unwrap_err().to_string()
}

/// Writes the report of a folder: its page.
pub fn html(dir: &Path) -> String {
    read(&report(dir).html)
}

/// Writes the report of a folder: the learner's own table.
pub fn wide(dir: &Path) -> String {
    read(&report(dir).wide.unwrap())
}

/// The table for a terminal.
pub fn headline(dir: &Path) -> String {
    tox_report::headline(&REPORTS, dir).unwrap()
}

/// The cases of a claim, a line each.
pub fn cases(claim: &Claim) -> Vec<String> {
    let number = claim.number;
    let line = |case: &Case| {
        let (setting, evidence) = (&case.setting, &case.evidence);
        format!("  {number} {setting}: {evidence}: {:?}", case.verdict)
    };
    claim.cases.iter().map(line).collect()
}

/// The page, which is balanced, loads nothing, has no id twice and has these sections; every figure is SVG of
/// finite numbers.
pub fn page(dir: &Path, sections: &str) -> (ReportPaths, String) {
    let paths = report(dir);
    let html = read(&paths.html);
    assert_balanced(&html);
    assert_offline(&html);
    for id in sections.split(' ') {
        let section = format!("<section id=\"{id}\">");
        assert!(html.contains(&section), "no section {id}");
    }
    let ids = html.split(" id=\"").skip(1);
    let mut seen = BTreeSet::new();
    for id in ids.map(|s| s.split('"').next().unwrap()) {
        assert!(seen.insert(id), "the id {id} occurs twice");
    }
    for path in &paths.figures {
        let text = read(path);
        roxmltree::Document::parse(&text).unwrap();
        let bad = text.contains("NaN") || text.contains("inf,");
        assert!(!bad, "{}", path.display());
    }
    (paths, html)
}

/// The names of the figures, parted by blanks.
pub fn names(paths: &ReportPaths) -> String {
    let figures = paths.figures.iter();
    let names = figures.map(|p| p.file_stem().unwrap().to_str().unwrap());
    names.collect::<Vec<_>>().join(" ")
}

/// Panics if a script or an escape of what was written got into page, figures or terminal.
pub fn assert_escaped(dir: &Path) -> ReportPaths {
    let paths = report(dir);
    let html = read(&paths.html);
    assert!(!html.contains("<script") && html.contains("&lt;script&gt;"));
    assert_balanced(&html);
    for path in &paths.figures {
        roxmltree::Document::parse(&read(path)).unwrap();
    }
    assert!(!headline(dir).contains('\u{1b}'));
    paths
}

/// Writes a run folder; `state` says of a trial (by its place in the plan) whether it is done
/// (0), failed (1) or missing (2).
pub fn write(
    dir: &Path,
    head: &str,
    specs: &[TrialSpec],
    record: impl Fn(&TrialSpec) -> Record,
    state: impl Fn(usize) -> u8,
) {
    std::fs::create_dir_all(dir).unwrap();
    std::fs::write(dir.join("study.toml"), head).unwrap();
    let mut plan = String::new();
    for (i, spec) in specs.iter().enumerate() {
        let id = trial_id(spec);
        plan += &serde_json::json!({"trial": id, "spec": spec}).to_string();
        plan.push('\n');
        let trial = dir.join("trials").join(&id);
        std::fs::create_dir_all(&trial).unwrap();
        let (name, text) = match state(i) {
            0 => ("record.json", record(spec).to_json()),
            1 => {
                let failure = Failure {
                    trial: id,
                    message: "killed <b>".into(),
                    exit_code: Some(137),
                    stderr: Vec::new(),
                };
                ("failure.json", failure.to_json())
            }
            _ => continue,
        };
        std::fs::write(trial.join(name), text).unwrap();
    }
    std::fs::write(dir.join("plan.jsonl"), plan).unwrap();
}

/// A file's text.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

/// Tags that HTML never closes.
const VOID: [&str; 3] = ["meta", "br", "!DOCTYPE"];

/// Panics unless every tag is closed in order.
pub fn assert_balanced(html: &str) {
    let mut open: Vec<String> = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        let name = tag
            .trim_start_matches('/')
            .split([' ', '\n', '/'])
            .next()
            .unwrap();
        if VOID.contains(&name) || tag.ends_with('/') {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "before {:.80}", rest);
        } else {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

/// Panics if the page would load something.
pub fn assert_offline(html: &str) {
    for outside in [
        "http://", "https://", "src=", "<link", "url(", "@import", "<script",
    ] {
        assert!(!html.contains(outside), "{outside} in the page");
    }
}

/// Holds some lines of the learner's own table, the terminal's table and the findings against snapshots.
macro_rules! as_before {
    ($dir:expr, $csv:expr, $findings:expr) => {
        insta::assert_snapshot!("results_csv", $csv);
        insta::assert_snapshot!("headline", crate::made_up::headline($dir));
        insta::assert_snapshot!("findings", $findings);
    };
}
pub(crate) use as_before;
