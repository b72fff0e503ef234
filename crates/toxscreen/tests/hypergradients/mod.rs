//! `toxscreen hypergradients`: what each way to a hypergradient costs.

use crate::table::{json, toxscreen};
use std::fs;

#[test]
fn ways_to_a_hypergradient_are_compared() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let found = json(at, "hypergradients --steps 20,400 --repeats 1", 0);
    let rows = found["rows"].as_array().unwrap();
    let of = |method: &str, steps: usize| {
        let mut rows = rows.iter();
        let row = rows.find(|r| r["method"] == method && r["steps"] == steps);
        row.unwrap().clone()
    };
    for method in [
        "reverse",
        "reverse-states",
        "reverse-checkpoints",
        "forward",
        "conjugate-gradient",
        "exact",
    ] {
        for steps in [20, 400] {
            let row = of(method, steps);
            assert!(row["seconds"].as_f64().unwrap() > 0.0, "{row}");
            assert!(row["peak_bytes"].as_u64().unwrap() > 0, "{row}");
        }
        let error = |steps| of(method, steps)["error_poison"].as_f64().unwrap();
        assert!(
            error(400) < error(20),
            "{method}: {} then {}",
            error(20),
            error(400)
        );
    }
    // Exact differentiation of the same training, in two directions.
    let off = of("forward", 20)["off_reverse_poison"].as_f64().unwrap();
    assert!(off < 1e-4, "{off}");

    let words = "hypergradients --hidden 4 --steps 30 --repeats 1";
    let (code, text, stderr) = toxscreen(at, words);
    assert_eq!(code, 0, "{stderr}");
    for part in [
        "RMD, checkpoints",
        "FMD",
        "CG",
        "exact",
        "poison), 28 validation",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // A study of one trial: it stands, is verified, and the same command reads what is there.
    let words = "hypergradients --steps 20,40 --repeats 1 --out runs/h";
    let first = json(at, words, 0);
    assert_eq!(json(at, words, 0), first, "times and all");
    let (code, text, stderr) = toxscreen(at, "verify runs/h");
    assert_eq!(code, 0, "{text}{stderr}");
    let csv = fs::read_to_string(at.join("runs/h/results.csv")).unwrap();
    assert!(
        csv.contains("error_poison") && csv.contains("FMD, T = 40"),
        "{csv}"
    );
    for (wrong, code, message) in [
        ("--steps 0", 2, "--steps"),
        ("--repeats 0", 2, "--repeats"),
        ("--budget 1", 2, "--budget 1"),
        ("--lambda 99", 2, "--lambda"),
        ("--classes 3,80", 3, "not 80"),
    ] {
        let (found, _, stderr) = toxscreen(at, &format!("hypergradients {wrong}"));
        assert!(
            found == code && stderr.contains(message),
            "{wrong}: {stderr}"
        );
    }
}
