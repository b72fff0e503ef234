//! Two outcomes of one trial: the same to the bit, different, or made in places that are not promised to
//! agree to the bit, and then compared within a tolerance.

use super::Verdict;
use crate::record::Record;
use serde_json::Value;

/// How far errors, accuracies and other shares in percent may lie apart, in points: a few test images.
const POINTS: f64 = 1.0;

/// How far other reals, such as losses, norms and regularisations, may lie apart, relative to the larger.
const RELATIVE: f64 = 1e-3;

/// Reals as small as this are one.
const SMALL: f64 = 1e-6;

/// What running a trial again says about its record; `tolerance` is that of a learner that does not
/// repeat itself.
pub fn compare(old: &Record, new: &Record, tolerance: Option<f64>) -> (Verdict, String) {
    let (a, b) = (&old.provenance, &new.provenance);
    if a.data_hash != b.data_hash {
        let note = format!("data hash: {}, now {}", a.data_hash, b.data_hash);
        return (Verdict::Damaged, note);
    }
    let places = [
        ("toxscreen", &a.toxscreen, &b.toxscreen),
        ("platform", &a.platform, &b.platform),
        ("instruction set", &a.simd, &b.simd),
    ];
    let mut why: Vec<String> = places
        .iter()
        .filter(|(_, a, b)| a != b)
        .map(|(what, a, b)| format!("{what} {a}, now {b}"))
        .collect();
    if a.adapter != b.adapter {
        why.push(format!("made on {}, here {}", a.place(), b.place()));
    }
    if old.outcome.to_json() == new.outcome.to_json() {
        return (Verdict::Same, why.join("; "));
    }
    if a.device != "cpu" {
        why.push(format!("{} need not repeat itself", a.device));
    }
    let mut found = Comparison::default();
    let outcome = |record: &Record| serde_json::to_value(&record.outcome).unwrap_or_default();
    if let Some(points) = tolerance {
        return within(points, &outcome(old), &outcome(new));
    }
    found.walk("outcome", "", &outcome(old), &outcome(new));
    let Some(first) = found.apart.first() else {
        return match why.is_empty() {
            true => (Verdict::Differs, found.differing),
            false => {
                let within = format!("all of {} numbers within the tolerance", found.numbers);
                (Verdict::Close, format!("{}: {within}", why.join("; ")))
            }
        };
    };
    if why.is_empty() {
        return (Verdict::Differs, found.differing);
    }
    let more = format!(
        "{} of {} values lie further apart, {first} first; the same place would tell",
        found.apart.len(),
        found.numbers + found.apart.len()
    );
    (Verdict::CannotTell, format!("{}: {more}", why.join("; ")))
}

/// Outcomes of a learner that does not repeat itself: its errors are compared, and nothing else.
fn within(points: f64, old: &Value, new: &Value) -> (Verdict, String) {
    let (mut apart, mut count) = (0.0_f64, 0);
    let mut numbers = Vec::new();
    errors("", old, &mut numbers);
    let mut again = Vec::new();
    errors("", new, &mut again);
    for (path, value) in &numbers {
        let Some((_, new)) = again.iter().find(|(at, _)| at == path) else {
            let note = format!("{path} is there no more when the trial is run again");
            return (Verdict::Differs, note);
        };
        apart = apart.max((value - new).abs());
        count += 1;
    }
    let said = format!(
        "the learner does not repeat itself: of {count} errors none may lie further apart than its \
         tolerance of {points} points, and the furthest lie {apart:.2} apart; nothing else is compared"
    );
    match apart <= points {
        true => (Verdict::Within, said),
        false => (Verdict::Differs, said),
    }
}

/// The errors of an outcome that are one number each, with their paths.
fn errors(path: &str, value: &Value, found: &mut Vec<(String, f64)>) {
    let Value::Object(map) = value else { return };
    for (key, value) in map {
        let path = format!("{path}.{key}");
        match value.as_f64() {
            Some(number) if key.ends_with("error") => found.push((path, number)),
            Some(_) | None => errors(&path, value, found),
        }
    }
}

/// What was found so far.
#[derive(Default)]
struct Comparison {
    /// Numbers that agree, within the tolerance.
    numbers: usize,
    /// Values that do not.
    apart: Vec<String>,
    /// The first value that is not the same to the bit.
    differing: String,
}

impl Comparison {
    /// `key` is the name that the value goes by.
    fn walk(&mut self, path: &str, key: &str, old: &Value, new: &Value) {
        match (old, new) {
            (Value::Object(a), Value::Object(b)) if a.keys().eq(b.keys()) => {
                for (key, value) in a {
                    self.walk(&format!("{path}.{key}"), key, value, &b[key]);
                }
            }
            (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
                for (i, (a, b)) in a.iter().zip(b).enumerate() {
                    self.walk(&format!("{path}[{i}]"), key, a, b);
                }
            }
            (a, b) if a == b => self.numbers += usize::from(a.is_number()),
            (a, b) => {
                let said = format!("{path}: {}, now {}", short(a), short(b));
                if self.differing.is_empty() {
                    self.differing.clone_from(&said);
                }
                match close(key, a, b) {
                    true => self.numbers += 1,
                    false => self.apart.push(said),
                }
            }
        }
    }
}

fn close(key: &str, old: &Value, new: &Value) -> bool {
    // Counts, words and what is there at all agree or do not.
    if !old.is_f64() || !new.is_f64() {
        return false;
    }
    let (Some(a), Some(b)) = (old.as_f64(), new.as_f64()) else {
        return false;
    };
    let percent = ["error", "accuracy", "clean", "robust", "worst_case"];
    let apart = (a - b).abs();
    if percent.iter().any(|word| key.contains(word)) {
        return apart <= POINTS;
    }
    apart <= RELATIVE * a.abs().max(b.abs()) + SMALL
}

/// A value in a line.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn apart(old: Value, new: Value) -> Vec<String> {
        let mut found = Comparison::default();
        found.walk("o", "", &old, &new);
        found.apart
    }

    #[test]
    fn each_kind_of_number_has_its_tolerance() {
        let none: Vec<String> = Vec::new();
        assert_eq!(
            apart(json!({"test_error": 10.0}), json!({"test_error": 10.9})),
            none
        );
        assert_eq!(
            apart(json!({"test_error": 10.0}), json!({"test_error": 11.1})),
            ["o.test_error: 10.0, now 11.1"]
        );
        assert_eq!(apart(json!([2.3001]), json!([2.3002])), none);
        assert_eq!(apart(json!([2.3001]), json!([2.31])).len(), 1);
        assert_eq!(apart(json!({"steps": 5}), json!({"steps": 6})).len(), 1);
        assert_eq!(apart(json!({"op": "a"}), json!({"op": "b"})).len(), 1);
        assert_eq!(apart(json!([1.0]), json!([1.0, 2.0])).len(), 1);
        assert_eq!(apart(json!([null]), json!([2.0])).len(), 1);
    }
}
