//! Runs a target over its corpus and over damaged copies of it.

use crate::{memory, mutate};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{env, fs};
use tempfile::TempDir;
use tox_data::rng::stream;

/// The longest that one execution may take, on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Executions of a target in the default suite.
const RUNS: u64 = 300;

/// A folder in memory where there is one: executions write a file each.
pub fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// The kept files of a target: what it reads, and what once broke it.
pub fn kept(target: &str) -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parsers/corpus");
    let dir = dir.join(target);
    let mut files: Vec<PathBuf> = match fs::read_dir(&dir) {
        Ok(entries) => entries.map(|e| e.unwrap().path()).collect(),
        Err(_) => Vec::new(),
    };
    files.sort();
    files.iter().map(|f| fs::read(f).unwrap()).collect()
}

fn setting(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value}")))
}

/// Runs `parse`, which says whether it took what it was given, over `corpus` as it is, then damaged.
/// `words` are the format's own.
pub fn fuzz(
    target: &str,
    corpus: &[Vec<u8>],
    words: &[&str],
    mut parse: impl FnMut(&[u8]) -> bool,
) {
    let taken = corpus
        .iter()
        .filter(|f| execute(target, None, f, &mut parse).0);
    let taken = taken.count();
    assert!(taken > 0, "{target}: nothing of the corpus is read");
    let seconds = setting("TOXSCREEN_FUZZ_SECONDS");
    let runs = setting("TOXSCREEN_FUZZ_RUNS");
    let runs = runs.unwrap_or(if seconds.is_some() { u64::MAX } else { RUNS });
    let until = Duration::from_secs(seconds.unwrap_or(u64::from(u32::MAX)));
    let first = setting("TOXSCREEN_FUZZ_FIRST").unwrap_or(0);
    let start = Instant::now();
    let (mut done, mut read, mut most) = (0u64, 0u64, 0);
    while done < runs && start.elapsed() < until {
        let number = first + done;
        let mut rng = stream(0, &format!("fuzz/{target}"), &[number]);
        let from = rand::RngExt::random_range(&mut rng, 0..corpus.len());
        let input = mutate::damage(&mut rng, &corpus[from], corpus, words);
        let (ok, peak) = execute(target, Some(number), &input, &mut parse);
        (done, read, most) = (done + 1, read + u64::from(ok), most.max(peak));
    }
    println!(
        "{target}: {done} executions from number {first} in {:.1} s, {read} read, at most {:.1} MB; \
         {taken} of {} files of the corpus read",
        start.elapsed().as_secs_f64(),
        most as f64 / 1e6,
        corpus.len(),
    );
}

/// One execution: whether the input was taken, and the most memory it took.
fn execute(
    target: &str,
    number: Option<u64>,
    input: &[u8],
    parse: &mut impl FnMut(&[u8]) -> bool,
) -> (bool, isize) {
    let start = Instant::now();
    let work = || catch_unwind(AssertUnwindSafe(|| parse(input)));
    let (result, peak) = memory::peak_of(work);
    let took = start.elapsed();
    let wrong = match &result {
        Err(_) => "it panicked".to_owned(),
        Ok(_) if peak > memory::LIMIT => format!("it held {peak} bytes"),
        Ok(_) if took > PATIENCE => format!("it took {took:?}"),
        Ok(ok) => return (*ok, peak),
    };
    let path = env::temp_dir().join(format!("toxscreen-fuzz-{target}"));
    fs::write(&path, input).unwrap();
    panic!(
        "{target}, execution {number:?}: {wrong}; its input is in {}: keep it in tests/parsers/corpus/{target}",
        path.display()
    );
}
