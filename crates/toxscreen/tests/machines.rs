//! Outcomes on other machines: beside another C library, on another CPU whose instruction set has the
//! same name, with other caches, and begun on a machine with another instruction set.
//!
//! The tests of CPUs and caches are long or need rights, and are ignored; docs/guide/long-tests.md has
//! their commands.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::expect_used)] // Clippy knows test functions, not their helpers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tox_audits::HOUSE;
use tox_data::DataDir;
use tox_study::recipe::{Overrides, Study};
use tox_testkit::program::read;
use tox_testkit::recipes;

const PROGRAM: &str = env!("CARGO_BIN_EXE_toxscreen");

/// Tiny trials of every learner.
fn recipes() -> [String; 6] {
    let enas = [
        recipes::head("enas", &[1]),
        recipes::data("digits", [96, 32, 32]),
        "augment = { crop = 1, flip = true, valid = true }\n".to_owned(),
        recipes::enas(
            [4, 4, 16, 2],
            [2, 3, 16],
            "candidates = 3, density_samples = 20",
            1,
        ),
        recipes::cell("enas", "poison = \"P5\"\nq = 1\n"),
    ];
    let bilevel = [
        recipes::head("bilevel", &[1]),
        recipes::data("digits", [128, 64, 64]),
        "classes = [0, 8]\nsplit = \"random\"\n[learner]\nkind = \"bilevel\"\nhyperiterations = 3\n\
         inner = { steps = 10, lr = 0.2 }\nkuncheva = [5]\n"
            .to_owned(),
        recipes::bilevel(8, 2),
        recipes::cell("lr", ""),
        recipes::cell("net", "learner.hidden = [8, 4]\n"),
    ];
    let synthetic = [
        recipes::head("synthetic", &[0]),
        recipes::synthetic(
            [64, 64],
            "grid = 3\nlambdas = 3\nhyperiterations = 3\nsteps = 20",
        ),
        recipes::cell("synthetic", ""),
    ];
    let nas = [recipes::head("nas", &[3]), NAS.to_owned()];
    let rc_nas = [
        recipes::head("rc-nas", &[1]),
        recipes::data("digits", [200, 64, 64]),
        recipes::EVASION.to_owned(),
        include_str!("recipes/rc-nas.toml").to_owned(),
    ];
    let sub_networks = [
        recipes::head("sub-networks", &[1]),
        recipes::data("digits", [64, 32, 32]),
        recipes::EVASION.to_owned(),
        recipes::sub_networks(
            "d1,1,1-w1,1,1-b2",
            "space = { robust = \"as-teacher\" }\n",
            16,
        ),
        recipes::cell("sub-networks", ""),
    ];
    [
        enas.concat(),
        bilevel.concat(),
        synthetic.concat(),
        nas.concat(),
        rc_nas.concat(),
        sub_networks.concat(),
    ]
}

const NAS: &str = concat!(
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
);

/// The specs of [`recipes`] whose names `wanted` accepts: name and file.
fn specs(dir: &Path, wanted: impl Fn(&str) -> bool) -> Vec<(String, PathBuf)> {
    let mut specs = Vec::new();
    let data = DataDir::resolve(Some(dir)).unwrap();
    for recipe in recipes() {
        let study = Study::parse(&HOUSE, "recipe.toml", &recipe, &Overrides::default());
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
    let ended = trial(before, spec, out.path())
        .envs(variables.iter().copied())
        .current_dir(out.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{name} {before:?}: {said}");
    measured(out.path())
}

/// The command of a trial behind `before`.
fn trial(before: &[&str], spec: &Path, out: &Path) -> Command {
    let mut command = words(before);
    command
        .arg("trial")
        .arg(spec)
        .arg("--out")
        .arg(out)
        .args(["--data-dir", "."]);
    command
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
    let record = read(&dir.join("record.json"));
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
    let mut child = trial(&[], spec, out)
        .arg("--stop-with-stdin")
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
        let ended = trial(&[], &spec.1, &out).output().unwrap();
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
                let ended = trial(&[], &spec.1, &out).output().unwrap();
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

/// The files that describe a cache.
const ABOUT: [&str; 7] = [
    "type",
    "level",
    "size",
    "ways_of_associativity",
    "coherency_line_size",
    "shared_cpu_list",
    "shared_cpu_map",
];

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
                for (file, text) in ABOUT.iter().zip([kind, level, size, ways, "64", "0", "1"]) {
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
