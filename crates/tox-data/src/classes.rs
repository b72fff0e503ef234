//! A choice of classes, which become 0, 1, and so on.

use crate::error::DataError;

/// A checked choice.
#[derive(Debug)]
pub(crate) struct Selection<'a> {
    classes: &'a [u16],
    /// What each class of the set becomes; none if it is dropped.
    new: Vec<Option<u16>>,
}

impl<'a> Selection<'a> {
    /// `classes` of the `known` ones (numbered from 0) of the set `name`.
    pub fn new(name: &str, classes: &'a [u16], known: usize) -> Result<Self, DataError> {
        let refuse = |expected: String| {
            Err(DataError::Classes {
                name: name.to_owned(),
                found: format!("{classes:?}"),
                expected,
            })
        };
        if classes.len() < 2 {
            return refuse("at least 2 classes".to_owned());
        }
        let mut new = vec![None; known];
        for (label, &class) in classes.iter().enumerate() {
            match new.get_mut(usize::from(class)) {
                None => {
                    let last = known.saturating_sub(1);
                    return refuse(format!("classes 0..={last}, and not {class}"));
                }
                Some(Some(_)) => return refuse(format!("each class once, and not {class} twice")),
                Some(new) => *new = Some(label as u16),
            }
        }
        Ok(Self { classes, new })
    }

    fn label(&self, old: u16) -> Option<u16> {
        self.new.get(usize::from(old)).copied().flatten()
    }

    /// Indices of the labels that are kept.
    pub fn rows(&self, labels: &[u16]) -> Vec<usize> {
        let kept = |&row: &usize| self.label(labels[row]).is_some();
        (0..labels.len()).filter(kept).collect()
    }

    /// Gives labels, all of them kept ones, their new numbers.
    pub fn relabel(&self, labels: &mut [u16]) {
        for label in labels {
            *label = self.label(*label).unwrap_or(*label);
        }
    }

    /// Whether each class kept has an example among the new labels of all parts.
    pub fn check(&self, name: &str, parts: [&[u16]; 2]) -> Result<(), DataError> {
        let there = |label: &usize| parts.iter().any(|part| part.contains(&(*label as u16)));
        match (0..self.classes.len()).find(|label| !there(label)) {
            None => Ok(()),
            Some(label) => Err(DataError::Classes {
                name: name.to_owned(),
                found: format!("{:?}", self.classes),
                expected: format!(
                    "classes that it has examples of, and it has none of class {}",
                    self.classes[label]
                ),
            }),
        }
    }

    /// Names of the classes kept, in their new order.
    pub fn names(&self, names: &[String]) -> Vec<String> {
        let kept = self.classes.iter();
        kept.map(|&class| names[usize::from(class)].clone())
            .collect()
    }
}
