//! Outcomes on other machines: beside another C library, on another CPU whose instruction set has the
//! same name, with other caches, and begun on a machine with another instruction set.
//!
//! The tests of CPUs and caches are long or need rights, and are ignored; docs/guide/long-tests.md has
//! their commands.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tox_audits::HOUSE;
use tox_data::DataDir;
use tox_study::recipe::{Overrides, Study};

const PROGRAM: &str = env!("CARGO_BIN_EXE_toxscreen");

/// Tiny trials of every learner.
const RECIPES: [&str; 6] = [
    r#"
name = "enas"
seeds = [1]
[data]
dataset = "digits"
train = 96
valid = 32
test = 32
augment = { crop = 1, flip = true, valid = true }
[learner]
kind = "enas"
child = { layers = 4, channels = 4, batch = 16, epochs = 2 }
controller = { steps = 2, aggregate = 3, batch = 16 }
evaluation = { candidates = 3, density_samples = 20 }
retrain = { epochs = 1 }
[[cell]]
label = "enas"
poison = "P5"
q = 1
"#,
    r#"
name = "bilevel"
seeds = [1]
[data]
dataset = "digits"
classes = [0, 8]
train = 128
valid = 64
test = 64
split = "random"
[learner]
kind = "bilevel"
hyperiterations = 3
inner = { steps = 10, lr = 0.2 }
kuncheva = [5]
[threat]
kind = "bilevel"
batch = 8
batches = 2
[[cell]]
label = "lr"
[[cell]]
label = "net"
learner.hidden = [8, 4]
"#,
    r#"
name = "synthetic"
seeds = [0]
[data]
dataset = "gaussians"
train = 64
valid = 64
[learner]
kind = "synthetic"
grid = 3
lambdas = 3
hyperiterations = 3
steps = 20
[[cell]]
label = "synthetic"
"#,
    concat!(
        "name = \"nas\"\nseeds = [3]\n",
        include_str!("recipes/searches.toml"),
        r#"
[[cell]]
label = "gc"
variant = "p-darts"
learner.search = "p-darts"
threat = { kind = "gc", budget = 0.1, radius = 0.1, cancelling = { iterations = 2 } }
[[cell]]
label = "clf"
variant = "te-nas"
learner.search = "te-nas"
threat = { kind = "clf", budget = 0.5, classifier = { width = 2, fit = { epochs = 1, lr_max = 0.05 } } }
[[cell]]
label = "gc"
variant = "robot"
learner.search = "robot"
threat = { kind = "gc", budget = 0.1, radius = 0.1, cancelling = { iterations = 2 }, victim = { channels = 2, cells = 1, fit = { epochs = 1 } } }
[[cell]]
label = "clean"
variant = "nsganetv2"
learner.search = "nsganetv2"
"#
    ),
    concat!(
        r#"
name = "rc-nas"
seeds = [1]
[data]
dataset = "digits"
train = 200
valid = 64
test = 64
[threat]
kind = "evasion"
attack = "pgd3"
epsilon = "16/255"
"#,
        include_str!("recipes/rc-nas.toml")
    ),
    r#"
name = "sub-networks"
seeds = [1]
[data]
dataset = "digits"
train = 64
valid = 32
test = 32
[threat]
kind = "evasion"
attack = "pgd3"
epsilon = "16/255"
[learner]
kind = "sub-networks"
teacher = "d1,1,1-w1,1,1-b2"
attacks = ["fgsm"]
space = { robust = "as-teacher" }
[learner.candidate]
warm = false
images = 16
training = { epochs = 1, batch = 32, validation = { images = 0 } }
[[cell]]
label = "sub-networks"
"#,
];

/// The specs of [`RECIPES`] whose names `wanted` accepts: name and file.
fn specs(dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<(String, PathBuf)> {
    let mut specs = Vec::new();
    let data = DataDir::resolve(Some(dir)).unwrap();
    for recipe in RECIPES {
        let study = Study::parse(&HOUSE, "recipe.toml", recipe, &Overrides::default());
        let (study, faults) = study.unwrap().resolved(&HOUSE, &data).unwrap();
        assert!(faults.is_empty(), "{faults:?}");
        for trial in study.trials {
            let name = format!(
                "{}-{}",
                trial.spec.learner.kind,
                trial.cell().replace(' ', "-").replace(['(', ')'], "")
            );
            let path = dir.join(format!("{name}.json"));
            if wanted(&name) {
                fs::write(&path, serde_json::to_string(&trial.spec).unwrap()).unwrap();
                specs.push((name, path));
            }
        }
    }
    specs
}

/// Outcome and instruction set of a trial that `before`, such as an emulator, runs with `variables`.
fn outcome(
    (name, spec): &(String, PathBuf),
    before: &[&str],
    variables: &[(&str, &str)],
) -> (String, String) {
    let out = tempfile::tempdir().unwrap();
    let ended = words(before)
        .arg("trial")
        .arg(spec)
        .arg("--out")
        .arg(out.path())
        .args(["--data-dir", "."])
        .envs(variables.iter().copied())
        .current_dir(out.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{name} {before:?}: {said}");
    measured(out.path())
}

fn words(before: &[&str]) -> Command {
    match before {
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(PROGRAM);
            command
        }
        [] => Command::new(PROGRAM),
    }
}

fn measured(dir: &Path) -> (String, String) {
    let text = fs::read_to_string(dir.join("record.json")).unwrap();
    let record: Value = serde_json::from_str(&text).unwrap();
    let simd = record["provenance"]["simd"].as_str().unwrap();
    (record["outcome"].to_string(), simd.to_owned())
}

/// Every function of `tox_data::functions`, rounded badly.
fn other_libm(dir: &Path) -> PathBuf {
    let one = "acos acosh asin asinh atan atanh cbrt cos cosh erf erfc exp exp2 exp10 expm1 log log10 \
               log1p log2 sin sinh tan tanh lgamma tgamma";
    let mut source = String::from(
        "#include <stdio.h>\n#include <stdlib.h>\n\
         __attribute__((constructor)) static void here(void) {\n\
         const char *path = getenv(\"SHIM\");\nif (path) { FILE *f = fopen(path, \"w\"); if (f) fclose(f); }\n}\n",
    );
    for name in one.split_whitespace() {
        source += &format!("double {name}(double x) {{ return 0.1 + 0.01 * x; }}\n");
        source += &format!("float {name}f(float x) {{ return 0.1f + 0.01f * x; }}\n");
    }
    for name in ["atan2", "hypot", "pow"] {
        source += &format!("double {name}(double x, double y) {{ return 0.1 + x - y; }}\n");
        source += &format!("float {name}f(float x, float y) {{ return 0.1f + x - y; }}\n");
    }
    for (name, of) in [("sincos", "double"), ("sincosf", "float")] {
        source += &format!("void {name}({of} x, {of} *s, {of} *c) {{ *s = x; *c = x; }}\n");
    }
    let (c, shim) = (dir.join("shim.c"), dir.join("shim.so"));
    fs::write(&c, source).unwrap();
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-fno-builtin", "-w", "-o"])
        .args([&shim, &c])
        .status();
    assert!(status.unwrap().success());
    shim
}

/// A C library whose `exp`, `tanh` and so on are nonsense changes no outcome: none of them is called.
#[test]
fn outcomes_do_not_depend_on_the_c_library() {
    let dir = tempfile::tempdir().unwrap();
    let shim = other_libm(dir.path());
    let here = dir.path().join("loaded");
    let variables = [
        ("LD_PRELOAD", shim.to_str().unwrap()),
        ("SHIM", here.to_str().unwrap()),
    ];
    for spec in specs(dir.path(), |_| true) {
        let ours = outcome(&spec, &[], &[]);
        assert_eq!(outcome(&spec, &[], &variables), ours, "{}", spec.0);
        fs::remove_file(&here).unwrap();
    }
}

/// What the program still asks of the C library's mathematics has one right result.
#[test]
fn nothing_inexact_is_asked_of_the_c_library() {
    let exact = "ceil ceilf copysign fabs floor floorf fma fmaf fmod fmodf ldexp ldexpf modf nearbyint rint \
                 rintf round roundf roundeven roundevenf scalbn sqrt sqrtf trunc truncf";
    let exact: Vec<&str> = exact.split_whitespace().collect();
    let libm = Command::new("sh")
        .args(["-c", "nm -D --defined-only \"$(ldd /bin/sh | sed -n 's:.*=> \\(/.*\\)/libc\\.so.*:\\1:p')\"/libm.so.6"])
        .output()
        .unwrap();
    let names = |text: &[u8]| -> Vec<String> {
        let text = String::from_utf8_lossy(text).into_owned();
        let name = |line: &str| {
            let word = line.split_whitespace().last()?;
            word.split('@').next().map(str::to_owned)
        };
        text.lines().filter_map(name).collect()
    };
    let libm = names(&libm.stdout);
    assert!(
        libm.iter().any(|name| name == "tanhf"),
        "libm.so.6 was not found"
    );
    let asked = Command::new("nm")
        .args(["-D", "--undefined-only", PROGRAM])
        .output()
        .unwrap();
    let asked = names(&asked.stdout);
    assert!(asked.iter().any(|name| name == "malloc" || name == "write"));
    let inexact = asked
        .iter()
        .filter(|name| libm.contains(name) && !exact.contains(&name.as_str()));
    assert_eq!(inexact.collect::<Vec<_>>(), Vec::<&String>::new());
}

/// Stops a trial once `file` is in its folder, or at once.
fn begin(spec: &Path, out: &Path, set: &str, file: Option<&str>) {
    let mut child = Command::new(PROGRAM)
        .arg("trial")
        .arg(spec)
        .arg("--out")
        .arg(out)
        .args(["--data-dir", ".", "--stop-with-stdin"])
        .env("TOXSCREEN_KERNELS", set)
        .env("TOXSCREEN_CHECKPOINT_SECONDS", "0")
        .current_dir(out.parent().unwrap())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while let Some(file) = file {
        let there = fs::read_dir(out).is_ok_and(|entries| {
            let mut names = entries.map(|e| e.unwrap().file_name().into_string().unwrap());
            names.any(|name| name.starts_with(file) && name.ends_with(".json"))
        });
        if there || child.try_wait().unwrap().is_some() {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no {file}");
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(child.stdin.take());
    child.wait().unwrap();
}

/// A trial that another instruction set began ends as if it had begun here, says so, and leaves nothing
/// of it behind; where the first machine comes back, it goes on.
#[test]
fn what_another_instruction_set_began_begins_anew() {
    let dir = tempfile::tempdir().unwrap();
    // The names of shared steps have the instruction set in them: others are not looked at.
    for (name, file, noted) in [
        ("enas-enas", None, true),
        ("bilevel-lr", None, true),
        ("nas-clean-nsganetv2", None, true),
        ("rc-nas-rc-nas", Some("checkpoint-network"), false),
    ] {
        let spec = specs(dir.path(), |found| found == name).remove(0);
        let expected = outcome(&spec, &[], &[]);
        let out = dir.path().join(name);
        begin(&spec.1, &out, "portable", file);
        assert!(!out.join("record.json").exists(), "{name} was too fast");
        let ended = Command::new(PROGRAM)
            .arg("trial")
            .arg(&spec.1)
            .arg("--out")
            .arg(&out)
            .args(["--data-dir", "."])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{name}: {said}");
        let log = fs::read_to_string(out.join("events.jsonl")).unwrap();
        assert_eq!(
            log.contains("portable, and this is"),
            noted,
            "{name}: {log}"
        );
        assert_eq!(measured(&out), expected, "{name}");
        let left = fs::read_dir(&out).unwrap();
        let mut left = left.map(|e| e.unwrap().file_name().into_string().unwrap());
        assert!(left.all(|name| !name.starts_with("checkpoint")), "{name}");
    }
}

/// One flipped bit in what a stopped trial left is found, with the file and the remedy.
#[test]
fn a_flipped_bit_in_what_was_left_is_found() {
    let dir = tempfile::tempdir().unwrap();
    for (name, file) in [
        ("enas-enas", None),
        ("bilevel-lr", None),
        ("nas-gc-p-darts", Some("checkpoint-clean-search")),
    ] {
        let spec = specs(dir.path(), |found| found == name).remove(0);
        let out = dir.path().join(name);
        begin(&spec.1, &out, "", file);
        let left = fs::read_dir(&out).unwrap().map(|e| e.unwrap().path());
        let left = left.filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with("checkpoint")
        });
        let left: Vec<PathBuf> = left.collect();
        assert!(!left.is_empty(), "{name}");
        for path in left {
            let whole = fs::read(&path).unwrap();
            for at in [9, whole.len() / 2, whole.len() - 1] {
                let mut bytes = whole.clone();
                bytes[at] ^= 1;
                fs::write(&path, &bytes).unwrap();
                let ended = Command::new(PROGRAM)
                    .arg("trial")
                    .arg(&spec.1)
                    .arg("--out")
                    .arg(&out)
                    .args(["--data-dir", "."])
                    .output()
                    .unwrap();
                let said = String::from_utf8_lossy(&ended.stderr);
                let file = path.file_name().unwrap().to_str().unwrap();
                assert_eq!(ended.status.code(), Some(1), "{file}, byte {at}: {said}");
                assert!(said.contains(file) && said.contains("delete it"), "{said}");
            }
            fs::write(&path, &whole).unwrap();
        }
    }
}

/// The name of an instruction set is the same if, and only if, the outcomes are.
#[test]
#[ignore = "every learner under QEMU (qemu-user): minutes"]
fn an_emulated_cpu_gives_the_outcomes_of_its_instruction_set() {
    let dir = tempfile::tempdir().unwrap();
    for spec in specs(dir.path(), |_| true) {
        for (cpu, set) in [
            ("Haswell", "avx2"),
            ("EPYC", "avx2"),
            ("Nehalem", "portable"),
        ] {
            let theirs = outcome(&spec, &["qemu-x86_64", "-cpu", cpu], &[]);
            let ours = outcome(&spec, &[], &[("TOXSCREEN_KERNELS", set)]);
            println!("{} {cpu}: {} {}", spec.0, theirs.1, theirs == ours);
            assert_eq!(theirs, ours, "{} on {cpu}", spec.0);
        }
    }
}

/// The loader of another glibc, in the folder that the variable names, runs every learner.
#[test]
#[ignore = "needs another glibc, unpacked where TOXSCREEN_OTHER_LIBC says"]
fn another_glibc_changes_nothing() {
    let libc = std::env::var("TOXSCREEN_OTHER_LIBC").expect("TOXSCREEN_OTHER_LIBC");
    let (dir, loader) = (
        tempfile::tempdir().unwrap(),
        format!("{libc}/ld-linux-x86-64.so.2"),
    );
    // What is not of glibc comes from here.
    let path = format!("{libc}:{}", dir.path().display());
    fs::copy(
        "/lib/x86_64-linux-gnu/libgcc_s.so.1",
        dir.path().join("libgcc_s.so.1"),
    )
    .unwrap();
    for spec in specs(dir.path(), |_| true) {
        let theirs = outcome(&spec, &[&loader, "--library-path", &path], &[]);
        assert_eq!(theirs, outcome(&spec, &[], &[]), "{}", spec.0);
    }
}

/// Eight descriptions of caches: sizes of L1, L2, L3 and ways of L1.
#[test]
#[ignore = "mounts descriptions of caches over those of the system: needs root"]
fn caches_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let caches = [
        ["32K", "256K", "8M", "8"],
        ["32K", "1M", "22M", "8"],
        ["48K", "1280K", "480M", "12"],
        ["32K", "512K", "32M", "8"],
        ["64K", "1M", "32M", "4"],
        ["128K", "2M", "32M", "8"],
        ["192K", "2M", "32M", "6"],
        ["4096K", "8M", "64M", "8"],
    ];
    let scripts: Vec<PathBuf> = caches
        .iter()
        .enumerate()
        .map(|(i, [l1, l2, l3, ways])| {
            let fake = dir.path().join(format!("cache{i}"));
            for (index, (kind, level, size, ways)) in [
                ("Data", "1", l1, *ways),
                ("Instruction", "1", l1, *ways),
                ("Unified", "2", l2, "8"),
                ("Unified", "3", l3, "16"),
            ]
            .into_iter()
            .enumerate()
            {
                let at = fake.join(format!("index{index}"));
                fs::create_dir_all(&at).unwrap();
                for (file, text) in [
                    ("type", kind),
                    ("level", level),
                    ("size", size),
                    ("ways_of_associativity", ways),
                    ("coherency_line_size", "64"),
                    ("shared_cpu_list", "0"),
                    ("shared_cpu_map", "1"),
                ] {
                    fs::write(at.join(file), format!("{text}\n")).unwrap();
                }
            }
            let script = dir.path().join(format!("run{i}.sh"));
            let text = format!(
                "for cpu in /sys/devices/system/cpu/cpu[0-9]*/cache; do mount --bind {} $cpu || exit 9; done\n\
                 exec \"$@\"\n",
                fake.display()
            );
            fs::write(&script, text).unwrap();
            script
        })
        .collect();
    for spec in specs(dir.path(), |_| true) {
        let ours = outcome(&spec, &[], &[]);
        for (script, cache) in scripts.iter().zip(caches) {
            let before = ["unshare", "-m", "sh", script.to_str().unwrap()];
            assert_eq!(
                outcome(&spec, &before, &[]),
                ours,
                "{} with {cache:?}",
                spec.0
            );
        }
    }
}
