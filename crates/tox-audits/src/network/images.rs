//! What a trial leaves of each image: a table, and the adversarial examples where they are wanted.

use crate::error::TrialError;
use std::path::Path;
use tox_data::Split;
use tox_data::arrays::{Elements, write_npz};
use tox_robust::attacks::Attack;
use tox_robust::evaluation::Examples;
use tox_study::files;

/// The table of images, beside a trial's record.
pub const TABLE: &str = "images.csv";
/// The adversarial examples, beside a trial's record.
pub const EXAMPLES: &str = "adversarial.npz";

/// The images of an evaluation, the first of a split, and what was found of each.
pub struct Each<'a> {
    pub split: &'a Split,
    pub attacks: &'a [Attack],
    pub found: &'a Examples,
}

impl Each<'_> {
    fn images(&self) -> usize {
        self.found.clean.len()
    }

    fn names(&self) -> Vec<String> {
        self.attacks.iter().map(Attack::name).collect()
    }

    /// What became of an image: the first attack that fools, `robust`, or `misclassified` as it is.
    fn outcome(&self, image: usize) -> String {
        let right = self.found.clean[image] == Some(self.split.labels[image]);
        match (right, self.found.by[image]) {
            (false, _) => "misclassified".to_owned(),
            (true, Some(attack)) => self.attacks[attack].name(),
            (true, None) => "robust".to_owned(),
        }
    }

    /// Writes the table: a row an image. An image that is misclassified as it is, is not attacked.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_table(&self, path: &Path) -> Result<(), TrialError> {
        let class = |class: Option<u16>| class.map_or("nan".to_owned(), |class| class.to_string());
        let mut head = "index,label,clean,outcome".to_owned();
        for name in self.names() {
            head += &format!(",{name}_fooled,{name}_prediction,{name}_distance");
        }
        let mut text = head + "\n";
        for image in 0..self.images() {
            let (label, clean) = (self.split.labels[image], class(self.found.clean[image]));
            let outcome = self.outcome(image);
            text += &format!("{image},{label},{clean},{outcome}");
            for found in &self.found.found {
                text += &match found[image] {
                    Some(error) => {
                        format!(",1,{},{}", class(error.prediction), error.distance)
                    }
                    None if outcome == "misclassified" => ",,,".to_owned(),
                    None => ",0,,".to_owned(),
                };
            }
            text += "\n";
        }
        Ok(files::write_derived(path, text.as_bytes())?)
    }

    /// Writes the adversarial examples.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write_examples(&self, path: &Path) -> Result<(), TrialError> {
        let (n, attacks) = (self.images(), self.attacks.len());
        let [_, c, h, w] = self.split.images.shape;
        let class = |class: Option<u16>| class.map_or(-1, i64::from);
        let labels = self.split.labels[..n].iter();
        let labels: Vec<i64> = labels.map(|label| i64::from(*label)).collect();
        let found = |image: usize| self.found.found.iter().map(move |found| found[image]);
        let predicted = |image: usize| {
            let error = self.found.by[image].and_then(|by| self.found.found[by][image]);
            error.map_or(self.found.clean[image], |error| error.prediction)
        };
        let distances = (0..n).flat_map(found);
        let distances = distances.map(|e| e.map_or(f32::NAN, |e| e.distance as f32));
        let distances: Vec<f32> = distances.collect();
        let (rows, table) = ([n], [n, attacks]);
        let all: [(&str, &[usize], Elements<'_>); 9] = [
            (
                "images",
                &[n, c, h, w],
                Elements::Floats(&self.found.pixels),
            ),
            ("labels", &rows, Elements::Integers(labels)),
            (
                "indices",
                &rows,
                Elements::Integers((0..n as i64).collect()),
            ),
            (
                "attack",
                &rows,
                Elements::Texts((0..n).map(|i| self.outcome(i)).collect()),
            ),
            (
                "fooled",
                &table,
                Elements::Bools((0..n).flat_map(found).map(|e| e.is_some()).collect()),
            ),
            ("distance", &table, Elements::Floats(&distances)),
            ("attacks", &[attacks], Elements::Texts(self.names())),
            (
                "clean",
                &rows,
                Elements::Integers(self.found.clean.iter().map(|c| class(*c)).collect()),
            ),
            (
                "prediction",
                &rows,
                Elements::Integers((0..n).map(|i| class(predicted(i))).collect()),
            ),
        ];
        Ok(write_npz(path, &all)?)
    }
}
