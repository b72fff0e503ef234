//! A choice of classes, which become 0, 1, and so on.

use crate::error::DataError;
use crate::format::some;

/// The places of `classes` among the classes called `names`. Classes are asked for by their numbers; where
/// all names are numbers, which need not begin at 0, by these.
pub(crate) fn resolved(classes: &[u16], names: &[String]) -> Vec<u16> {
    let number = |name: &String| name.parse::<i64>().is_ok_and(|n| n.to_string() == *name);
    let numbers = names.iter().all(number);
    let place = |class: &u16| {
        let name = class.to_string();
        match names.iter().position(|known| *known == name) {
            Some(place) if numbers => place as u16,
            // No place has this number.
            None if numbers => u16::MAX,
            _ => *class,
        }
    };
    classes.iter().map(place).collect()
}

/// A checked choice.
#[derive(Debug)]
pub(crate) struct Selection {
    /// Places of the classes kept.
    classes: Vec<u16>,
    /// As they were asked for.
    asked: Vec<u16>,
    /// What each class of the set becomes; none if it is dropped.
    new: Vec<Option<u16>>,
}

impl Selection {
    /// `asked` of the classes called `names` of the set `name`.
    pub fn new(name: &str, asked: &[u16], names: &[String]) -> Result<Self, DataError> {
        let refuse = |expected: String| {
            Err(DataError::Classes {
                name: name.to_owned(),
                found: format!("{asked:?}"),
                expected,
            })
        };
        if asked.len() < 2 {
            return refuse("at least 2 classes".to_owned());
        }
        let classes = resolved(asked, names);
        let mut new = vec![None; names.len()];
        for (label, (&place, class)) in classes.iter().zip(asked).enumerate() {
            match new.get_mut(usize::from(place)) {
                None => {
                    let numbered = names
                        .iter()
                        .enumerate()
                        .all(|(at, name)| *name == at.to_string());
                    let expected = match numbered || place != u16::MAX {
                        true => format!("classes 0..={}", names.len().saturating_sub(1)),
                        false => format!("of the classes {}", some(names)),
                    };
                    return refuse(format!("{expected}, and not {class}"));
                }
                Some(Some(_)) => return refuse(format!("each class once, and not {class} twice")),
                Some(new) => *new = Some(label as u16),
            }
        }
        Ok(Self {
            classes,
            asked: asked.to_vec(),
            new,
        })
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
                found: format!("{:?}", self.asked),
                expected: format!(
                    "classes that it has examples of, and it has none of class {}",
                    self.asked[label]
                ),
            }),
        }
    }

    /// What the class that is now `label` was.
    pub fn place(&self, label: u16) -> usize {
        usize::from(self.classes[usize::from(label)])
    }

    /// Names of the classes kept, in their new order.
    pub fn names(&self, names: &[String]) -> Vec<String> {
        let kept = self.classes.iter();
        kept.map(|&class| names[usize::from(class)].clone())
            .collect()
    }
}
