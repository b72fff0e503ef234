//! A learner's answer, believed in nothing but its form, and scored on labels that it never saw.

use super::error::{ExternalError, Words};
use super::outcome::{Candidate, Scored};
use super::protocol::Answer;
use super::work::failed;
use serde_json::Value;
use std::borrow::Cow;
use std::fs;
use std::io::Read;
use std::path::{Component, Path, PathBuf};
use tox_data::arrays::{self, Numbers};
use tox_data::text;

/// Most bytes of `result.json`, and of a choice in it.
const MOST_RESULT: u64 = 16 << 20;
const MOST_CHOICE: usize = 64 << 10;
const MOST_WORDS: usize = 64 << 10;
const MOST_CANDIDATES: usize = 10_000;

/// Least probability that a log loss counts, so that one certain mistake is not all.
const LEAST: f64 = 1e-15;

/// The clean test rows' labels.
pub struct Truth<'a> {
    pub labels: &'a [u16],
    pub classes: usize,
}

/// Reads the answer in the folder `out`; `words` are the learner's last.
pub fn read(out: &Path, words: Words) -> Result<Answer, ExternalError> {
    let path = out.join("result.json");
    let found = match fs::symlink_metadata(&path) {
        Ok(found) => found,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(ExternalError::NoAnswer { words });
        }
        Err(e) => return Err(failed("look at", &path)(e)),
    };
    let wrong = |what: String| ExternalError::Answer { what };
    if !found.is_file() {
        return Err(wrong("it is no file".into()));
    }
    if found.len() > MOST_RESULT {
        return Err(wrong(format!(
            "it has {} bytes, at most {MOST_RESULT}",
            found.len()
        )));
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(&path).map_err(failed("open", &path))?;
    let read = file.take(MOST_RESULT).read_to_end(&mut bytes);
    read.map_err(failed("read", &path))?;
    let answer: Answer = serde_json::from_slice(&bytes).map_err(|e| {
        let said = e.to_string();
        match text::of_type(&said) {
            Cow::Borrowed(said) => wrong(said.to_owned()),
            Cow::Owned(told) => wrong(format!("a value of it {told}")),
        }
    })?;
    check(&answer).map_err(wrong)?;
    Ok(answer)
}

fn check(answer: &Answer) -> Result<(), String> {
    let claims = answer.candidates.iter().map(|c| c.claim);
    for claim in claims.chain([answer.claim]).flatten() {
        if !(0.0..=1.0).contains(&claim) {
            return Err(format!("`claim` = {claim} is no accuracy: expected 0 to 1"));
        }
    }
    let choices = answer.candidates.iter().map(|c| &c.choice);
    for choice in choices.chain(&answer.choice) {
        let bytes = choice.to_string().len();
        if bytes > MOST_CHOICE {
            return Err(format!(
                "a `choice` has {bytes} bytes: at most {MOST_CHOICE}"
            ));
        }
    }
    if answer
        .found
        .as_ref()
        .is_some_and(|found| found.len() > MOST_WORDS)
    {
        return Err(format!("`found` has more than {MOST_WORDS} bytes"));
    }
    match answer.candidates.len() {
        0..=MOST_CANDIDATES => Ok(()),
        many => Err(format!("{many} candidates: at most {MOST_CANDIDATES}")),
    }
}

/// A file in `out` that the learner names.
pub fn inside(out: &Path, name: &str) -> Result<PathBuf, ExternalError> {
    let wrong = || ExternalError::Path {
        name: name.chars().take(200).collect(),
    };
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    if name.is_empty() || !Path::new(name).components().all(plain) {
        return Err(wrong());
    }
    // No link on the way either.
    let mut path = out.to_owned();
    for part in Path::new(name).components() {
        path.push(part);
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            return Err(wrong());
        }
    }
    Ok(path)
}

/// Scores an answer.
pub fn score(out: &Path, answer: Answer, truth: &Truth<'_>) -> Result<Scored, ExternalError> {
    let predicted = Predicted::read(out, &answer.predictions, truth)?;
    let mut candidates = Vec::new();
    for candidate in answer.candidates {
        let predicted = Predicted::read(out, &candidate.predictions, truth)?;
        candidates.push(Candidate {
            choice: candidate.choice,
            error: predicted.error(truth),
            claimed_error: candidate.claim.map(error_of),
        });
    }
    let log_loss = match answer.probabilities {
        true => Some(predicted.log_loss(&answer.predictions, truth)?),
        false => None,
    };
    Ok(Scored {
        error: predicted.error(truth),
        claimed_error: answer.claim.map(error_of),
        log_loss,
        class_errors: predicted.class_errors(truth),
        choice: answer.choice.filter(|choice| *choice != Value::Null),
        found: answer.found,
        evaluations: answer.evaluations,
        candidates,
    })
}

fn error_of(accuracy: f64) -> f64 {
    100.0 * (1.0 - accuracy)
}

/// Predictions whose form holds.
struct Predicted {
    classes: Vec<usize>,
    /// A row of scores each, where there are any.
    scores: Option<Vec<f64>>,
}

impl Predicted {
    fn read(out: &Path, name: &str, truth: &Truth<'_>) -> Result<Self, ExternalError> {
        let path = inside(out, name)?;
        let (rows, classes) = (truth.labels.len(), truth.classes);
        let expected = || {
            format!(
                "a .npy file of {rows} classes from 0 to {}, or of {rows} x {classes} finite scores",
                classes - 1
            )
        };
        let wrong = |what: String| ExternalError::Predictions {
            name: name.to_owned(),
            what,
            expected: expected(),
        };
        let length = match fs::metadata(&path) {
            Ok(found) if found.is_file() => found.len(),
            Ok(_) | Err(_) => return Err(wrong("there is no such file".into())),
        };
        let most = (rows * classes * 8 + 16_384) as u64;
        if length > most {
            return Err(wrong(format!("it has {length} bytes, at most {most}")));
        }
        let numbers = arrays::read(&path).map_err(|source| ExternalError::Read {
            name: name.to_owned(),
            source,
        })?;
        let Numbers { shape, values, .. } = numbers;
        if let Some(row) = values.iter().position(|value| !value.is_finite()) {
            let value = values[row];
            return Err(wrong(format!("its value {row} is {value}")));
        }
        if shape == [rows] || shape == [rows, 1] {
            let class = |value: &f64| {
                let class = *value as usize;
                (class as f64 == *value && class < classes).then_some(class)
            };
            let found: Option<Vec<usize>> = values.iter().map(class).collect();
            let found = found.ok_or_else(|| {
                let value = values.iter().find(|value| class(value).is_none());
                wrong(format!(
                    "it has {}, which is no class",
                    value.unwrap_or(&0.0)
                ))
            })?;
            return Ok(Self {
                classes: found,
                scores: None,
            });
        }
        if shape != [rows, classes] {
            let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
            return Err(wrong(format!("its shape is ({})", shape.join(", "))));
        }
        let best = |row: &[f64]| {
            let better = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
            (1..row.len()).fold(0, better)
        };
        Ok(Self {
            classes: values.chunks_exact(classes).map(best).collect(),
            scores: Some(values),
        })
    }

    fn wrong(&self, truth: &Truth<'_>) -> impl Iterator<Item = (usize, bool)> {
        let pairs = truth.labels.iter().zip(&self.classes);
        pairs.map(|(&label, &class)| (usize::from(label), usize::from(label) != class))
    }

    fn error(&self, truth: &Truth<'_>) -> f64 {
        let wrong = self.wrong(truth).filter(|(_, wrong)| *wrong).count();
        100.0 * wrong as f64 / truth.labels.len() as f64
    }

    fn class_errors(&self, truth: &Truth<'_>) -> Vec<Option<f64>> {
        let mut counts = vec![(0usize, 0usize); truth.classes];
        for (label, wrong) in self.wrong(truth) {
            counts[label].0 += usize::from(wrong);
            counts[label].1 += 1;
        }
        let share =
            |(wrong, all): &(usize, usize)| (*all > 0).then(|| 100.0 * *wrong as f64 / *all as f64);
        counts.iter().map(share).collect()
    }

    fn log_loss(&self, name: &str, truth: &Truth<'_>) -> Result<f64, ExternalError> {
        let wrong = |what: String| ExternalError::Predictions {
            name: name.to_owned(),
            what,
            expected: "probabilities, each row of sum 1, since the answer says `probabilities`"
                .into(),
        };
        let Some(scores) = &self.scores else {
            return Err(wrong("it has classes and no probabilities".into()));
        };
        let mut sum = 0.0;
        for (row, &label) in scores.chunks_exact(truth.classes).zip(truth.labels) {
            let whole: f64 = row.iter().sum();
            if (whole - 1.0).abs() > 1e-3 || row.iter().any(|p| !(-1e-6..=1.001).contains(p)) {
                return Err(wrong(format!("it has a row of sum {whole}")));
            }
            sum -= row[usize::from(label)].max(LEAST).ln();
        }
        Ok(sum / truth.labels.len() as f64)
    }
}
