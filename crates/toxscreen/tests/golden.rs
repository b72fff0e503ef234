//! Outcomes that the program once had, of every learner, threat and defence and of every command that
//! computes, byte for byte: golden/README.md. The binary alone is driven, so that code may move.
#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const RECIPES: [&str; 7] = [
    "bilevel",
    "enas",
    "nas",
    "nas-trained",
    "rc-nas",
    "sub-networks",
    "synthetic",
];

/// Instruction sets of which there are golden outcomes.
const SETS: [&str; 3] = ["avx512", "avx2", "portable"];

/// Lists with longer text are kept as their hash.
const LONGEST_LIST: usize = 500;

/// Texts of JSON by their names.
type Kept = BTreeMap<String, String>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Runs the program with an instruction set; `None` is the machine's.
fn toxscreen(dir: &Path, set: Option<&str>, words: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_toxscreen"));
    command
        .args(words.split(' '))
        .current_dir(dir)
        .stdin(Stdio::null());
    if let Some(set) = set {
        // What the best set is called has no word of its own.
        let word = if set == "avx512" { "" } else { set };
        command.env("TOXSCREEN_KERNELS", word);
    }
    command.output().unwrap()
}

/// A folder with what recipes and commands read beside the digits.
fn workplace(set: Option<&str>) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "toml") {
            fs::copy(&path, at.join(path.file_name().unwrap())).unwrap();
        }
    }
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../recipes/rcnas/table.csv");
    fs::copy(table, at.join("table.csv")).unwrap();
    fs::create_dir(at.join("nasbench201")).unwrap();
    fs::write(at.join("nasbench201/nasbench201_accuracies.csv"), cells()).unwrap();
    let words = "poison --attack rlf --data digits --budget 0.3 --out rows.npz";
    assert!(toxscreen(at, set, words).status.success());
    dir
}

/// A table of NAS-Bench-201 whose accuracies are made up.
fn cells() -> String {
    const OPS: [&str; 5] = [
        "none",
        "skip_connect",
        "nor_conv_1x1",
        "nor_conv_3x3",
        "avg_pool_3x3",
    ];
    let mut text = "arch,cifar10_test_200ep,cifar10_val_12ep\n".to_owned();
    for cell in 0..15_625 {
        let op = |edge: u32| OPS[cell / 5_usize.pow(edge) % 5];
        let [a, b, c, d, e, f] = [op(0), op(1), op(2), op(3), op(4), op(5)];
        let accuracy = |step: usize| 20.0 + (cell * step % 15_625) as f64 / 1000.0;
        let (test, valid) = (accuracy(7919), accuracy(6007));
        writeln!(
            text,
            "|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|,{test},{valid}"
        )
        .unwrap();
    }
    text
}

/// JSON without the white space between its tokens; numbers and the order of members stay as written.
fn compact(text: &str) -> String {
    let (mut inside, mut escaped) = (false, false);
    let kept = text.chars().filter(|&c| {
        let keep = inside || !c.is_ascii_whitespace();
        if c == '"' && !escaped {
            inside = !inside;
        }
        escaped = inside && c == '\\' && !escaped;
        keep
    });
    kept.collect()
}

/// Keys and values of a compact object, or the values of a list; `None` of anything else.
fn parts(text: &str) -> Option<Vec<(&str, &str)>> {
    let inner = match text.as_bytes() {
        [b'{', .., b'}'] | [b'[', .., b']'] => &text[1..text.len() - 1],
        _ => return None,
    };
    let mut found = Vec::new();
    let (mut start, mut colon, mut depth) = (0, None, 0);
    let (mut inside, mut escaped) = (false, false);
    for (i, c) in inner.bytes().enumerate() {
        let quote = c == b'"' && !escaped;
        escaped = inside && c == b'\\' && !escaped;
        inside ^= quote;
        match c {
            _ if inside => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            b':' if depth == 0 => colon = Some(i),
            b',' if depth == 0 => {
                found.push((start, colon.take(), i));
                start = i + 1;
            }
            _ => {}
        }
    }
    if !inner.is_empty() {
        found.push((start, colon, inner.len()));
    }
    let part = |(start, colon, end): (usize, Option<usize>, usize)| match colon {
        Some(colon) => (
            inner[start..colon].trim_matches('"'),
            &inner[colon + 1..end],
        ),
        None => ("", &inner[start..end]),
    };
    Some(found.into_iter().map(part).collect())
}

/// The compact value of a member.
fn member<'a>(text: &'a str, key: &str) -> &'a str {
    let found = parts(text).unwrap().into_iter().find(|part| part.0 == key);
    found
        .unwrap_or_else(|| panic!("no `{key}` in {text:.200}"))
        .1
}

/// The text with each member or item that `change` accepts, and what it becomes.
fn changed(text: &str, change: &dyn Fn(&str, &str) -> Option<String>) -> String {
    let Some(parts) = parts(text) else {
        return text.to_owned();
    };
    let object = text.starts_with('{');
    let items = parts.into_iter().filter_map(|(key, value)| {
        let value = change(key, value)?;
        Some(if object {
            format!("\"{key}\":{value}")
        } else {
            value
        })
    });
    let items = items.collect::<Vec<_>>().join(",");
    if object {
        format!("{{{items}}}")
    } else {
        format!("[{items}]")
    }
}

/// With hashes in the place of long lists.
fn short(text: &str) -> String {
    if text.starts_with('[') && text.len() > LONGEST_LIST {
        return format!("\"{} of {} bytes\"", hash(text.as_bytes()), text.len());
    }
    changed(text, &|_, value| Some(short(value)))
}

/// Without what two runs on one machine need not have alike, and the version; members in the order of
/// their names.
fn steady(text: &str) -> String {
    let steady = |key: &str, value: &str| {
        let varies = key.ends_with("seconds") || ["peak_bytes", "version"].contains(&key);
        (!varies).then(|| steady(value))
    };
    match parts(text) {
        Some(mut members) if text.starts_with('{') => {
            members.sort();
            let kept = members.into_iter();
            let kept =
                kept.filter_map(|(key, value)| Some(format!("\"{key}\":{}", steady(key, value)?)));
            format!("{{{}}}", kept.collect::<Vec<_>>().join(","))
        }
        _ => changed(text, &steady),
    }
}

fn hash(bytes: &[u8]) -> String {
    let hash = blake3::hash(bytes).to_hex();
    format!("blake3 {}", &hash[..32])
}

/// The first place in which two texts differ.
fn difference(path: &str, expected: &str, found: &str) -> String {
    if let (Some(old), Some(new)) = (parts(expected), parts(found)) {
        let same = |((old, _), (new, _)): (&(&str, &str), &(&str, &str))| old == new;
        if old.len() == new.len() && old.iter().zip(&new).all(same) {
            let pairs = old.iter().zip(&new).enumerate();
            for (i, ((key, old), (_, new))) in pairs {
                if old != new {
                    let key = if key.is_empty() {
                        i.to_string()
                    } else {
                        (*key).to_owned()
                    };
                    return difference(&format!("{path}/{key}"), old, new);
                }
            }
        }
    }
    format!("{path}: expected {expected:.300}, found {found:.300}")
}

/// Name and outcome of each trial of a recipe.
fn outcomes(recipe: &str, set: Option<&str>) -> Kept {
    let dir = workplace(set);
    let words = format!("run {recipe}.toml --out run --jobs 1 --data-dir .");
    let ended = toxscreen(dir.path(), set, &words);
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{recipe}: {said}");
    let record = |path: &Path| {
        let text = compact(&fs::read_to_string(path.join("record.json")).unwrap());
        let spec: Value = serde_json::from_str(member(&text, "spec")).unwrap();
        let variant = match spec["variant"].as_str() {
            Some(variant) => format!(" ({variant})"),
            None => String::new(),
        };
        let cell = spec["cell"].as_str().unwrap();
        let name = format!("{cell}{variant} seed {}", spec["seed"]);
        (name, short(member(&text, "outcome")))
    };
    let trials = fs::read_dir(dir.path().join("run/trials")).unwrap();
    let trials: Vec<PathBuf> = trials.map(|trial| trial.unwrap().path()).collect();
    let kept: Kept = trials.iter().map(|trial| record(trial)).collect();
    assert_eq!(kept.len(), trials.len(), "{recipe}: two trials of one name");
    kept
}

/// Exit code, JSON and written files of each command of `commands.txt`.
fn commands(set: Option<&str>) -> Kept {
    let dir = workplace(set);
    let mut before = files(dir.path());
    let mut kept = Kept::new();
    for line in fs::read_to_string(folder().join("commands.txt"))
        .unwrap()
        .lines()
        .filter(|line| !line.starts_with('#'))
    {
        let (name, words) = line.split_once(": ").unwrap();
        let ended = toxscreen(dir.path(), set, &format!("{words} --json"));
        let said = String::from_utf8_lossy(&ended.stderr);
        let code = ended.status.code().unwrap();
        // A screen that finds something ends with 1, a `harden` without advice with 4.
        assert!([0, 1, 4].contains(&code), "{name}: {said}");
        let json = compact(&String::from_utf8(ended.stdout).unwrap());
        assert!(parts(&json).is_some(), "{name}: {json}{said}");
        let after = files(dir.path());
        let new = after
            .iter()
            .filter(|(name, hash)| before.get(*name) != Some(hash))
            .map(|(name, hash)| format!("\"{name}\":\"{hash}\""));
        let new: Vec<String> = new.collect();
        let text = format!(
            "{{\"code\":{code},\"json\":{},\"files\":{{{}}}}}",
            changed(&steady(&json), &|_, value| Some(short(value))),
            new.join(",")
        );
        assert!(kept.insert(name.to_owned(), text).is_none(), "{name}");
        before = after;
    }
    kept
}

/// Hashes of the files below `dir`: of JSON of what is steady, of a record of its outcome. Files that
/// repeat the recipe, logs and locks are left out.
fn files(dir: &Path) -> Kept {
    fn below(root: &Path, dir: &Path, found: &mut Kept) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                below(root, &path, found);
                continue;
            }
            let file = path.file_name().unwrap().to_str().unwrap();
            let json = || compact(&fs::read_to_string(&path).unwrap());
            let bytes = match file {
                "spec.json" | "recipe.toml" | "events.jsonl" | ".lock" => continue,
                "record.json" => member(&json(), "outcome").to_owned().into_bytes(),
                _ if file.ends_with(".json") => steady(&json()).into_bytes(),
                _ => fs::read(&path).unwrap(),
            };
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            found.insert(name.to_owned(), hash(&bytes));
        }
    }
    let mut found = Kept::new();
    below(dir, dir, &mut found);
    found
}

/// The instruction set of this machine, as a record calls it, if there are golden outcomes of it.
fn machine() -> Option<&'static str> {
    let dir = workplace(None);
    let words = "run bilevel.toml --out run --jobs 1 --cells no-batch";
    assert!(toxscreen(dir.path(), None, words).status.success());
    let mut trials = fs::read_dir(dir.path().join("run/trials")).unwrap();
    let record = trials.next().unwrap().unwrap().path().join("record.json");
    let text = compact(&fs::read_to_string(record).unwrap());
    let simd = member(member(&text, "provenance"), "simd").trim_matches('"');
    // Where bytes are not multiplied as integers, `bilevel` has other bits than here.
    let simd = match simd {
        "avx512 with vnni" => "avx512",
        "avx512" => "",
        other => other,
    };
    SETS.into_iter().find(|set| *set == simd)
}

/// Compares with what was kept, or keeps it anew.
fn check(name: &str, set: &str) {
    let found = match name {
        "commands" => commands(Some(set)),
        recipe => outcomes(recipe, Some(set)),
    };
    let path = folder().join(format!("{name}.{set}.json"));
    if std::env::var_os("TOXSCREEN_GOLDEN").is_some_and(|word| word == "write") {
        let lines: Vec<String> = found
            .iter()
            .map(|(name, text)| format!("\"{name}\": {text}"))
            .collect();
        fs::write(path, format!("{{\n{}\n}}\n", lines.join(",\n"))).unwrap();
        return;
    }
    let text = fs::read_to_string(&path).unwrap();
    let line = |line: &str| {
        let (name, text) = line.strip_prefix('"')?.split_once("\": ")?;
        let text = text.strip_suffix(',').unwrap_or(text);
        Some((name.to_owned(), text.to_owned()))
    };
    let expected: Kept = text.lines().filter_map(line).collect();
    let mut differences = Vec::new();
    for (cell, expected) in &expected {
        match found.get(cell) {
            Some(found) if found == expected => {}
            Some(found) => differences.push(difference(cell, expected, found)),
            None => differences.push(format!("{cell}: missing")),
        }
    }
    let new = found.keys().filter(|cell| !expected.contains_key(*cell));
    differences.extend(new.map(|cell| format!("{cell}: not among the golden outcomes")));
    assert!(
        differences.is_empty(),
        "{name}, {set}: {} of {} differ\n{}",
        differences.len(),
        found.len(),
        differences.join("\n")
    );
}

fn here(name: &str) {
    check(name, machine().unwrap_or("portable"));
}

fn all(set: &str) {
    for name in RECIPES.into_iter().chain(["commands"]) {
        check(name, set);
    }
}

#[test]
fn bilevel_ends_as_before() {
    here("bilevel");
}

#[test]
fn enas_ends_as_before() {
    here("enas");
}

#[test]
fn nas_ends_as_before() {
    here("nas");
}

#[test]
fn nas_that_trains_ends_as_before() {
    here("nas-trained");
}

#[test]
fn rc_nas_ends_as_before() {
    here("rc-nas");
}

#[test]
fn sub_networks_end_as_before() {
    here("sub-networks");
}

#[test]
fn synthetic_ends_as_before() {
    here("synthetic");
}

#[test]
fn commands_end_as_before() {
    here("commands");
}

#[test]
#[ignore = "needs AVX2; all golden outcomes again"]
fn avx2_ends_as_before() {
    all("avx2");
}

#[test]
#[ignore = "all golden outcomes again, without instruction sets"]
fn portable_ends_as_before() {
    all("portable");
}
