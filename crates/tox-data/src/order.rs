//! Whether rows that are cut from a file in its order are like those of a file in random order.
//!
//! Files sorted by class are common: exports of folders, tables sorted by label. The first or the last rows of
//! such a file lack classes, and a learner that is trained and tested on them learns one thing and is asked
//! another.

use crate::doubt::Doubt;
use crate::error::DataError;
use crate::format::some;

/// A part that lacks a class less likely than this in random order is no accident.
const CHANCE: f64 = 1e-6;

/// Standard deviations by which the share of a class may differ from that of the file.
const FAR: f64 = 6.0;

/// Fewer test rows than this may be of one class that the training rows have none of.
const FEW: usize = 10;

/// Rows that were cut from a file in its order.
pub(crate) struct Cut<'a> {
    /// Such as `the first 20 training images`.
    pub what: String,
    /// Labels of the rows.
    pub labels: &'a [u16],
    /// How many rows of each class the file has that they were cut from.
    pub file: &'a [usize],
}

/// What is to be said of `cuts` of the set `name`.
///
/// # Errors
/// If `own`, the user's, and a cut lacks a class that no cut of a file in random order would lack.
pub(crate) fn check(
    name: &str,
    class_names: &[String],
    cuts: &[Cut],
    own: bool,
) -> Result<Vec<String>, DataError> {
    let mut notes = Vec::new();
    let mut sorted = Vec::new();
    for cut in cuts.iter().filter(|cut| !cut.labels.is_empty()) {
        let found = counts(cut.labels, cut.file.len());
        let (all, part) = (cut.file.iter().sum::<usize>(), cut.labels.len());
        if part >= all {
            continue;
        }
        let lacking = |&class: &usize| cut.file[class] > 0 && found[class] == 0;
        let lacks: Vec<usize> = (0..cut.file.len()).filter(lacking).collect();
        let by_accident = |&class: &usize| chance(all, part, cut.file[class]) >= CHANCE;
        if !lacks.is_empty() {
            let names: Vec<String> = lacks
                .iter()
                .map(|&class| class_names[class].clone())
                .collect();
            let plural = if names.len() == 1 { "" } else { "es" };
            let sentence = format!("{} lack the class{plural} {}", cut.what, some(&names));
            match lacks.iter().all(by_accident) {
                true => notes.push(sentence),
                false => sorted.push(sentence),
            }
            continue;
        }
        let far = |&class: &usize| {
            let share = cut.file[class] as f64 / all as f64;
            let left = (all - part) as f64 / (all - 1).max(1) as f64;
            let variance = part as f64 * share * (1.0 - share) * left;
            (found[class] as f64 - part as f64 * share).abs() > FAR * variance.sqrt().max(1.0)
        };
        if let Some(class) = (0..cut.file.len()).find(far) {
            notes.push(format!(
                "{} have {} of class {} where {:.0} would be its share of the file (over {FAR} standard \
                 deviations away): the rows do not seem to be in random order",
                cut.what,
                found[class],
                class_names[class],
                part as f64 * cut.file[class] as f64 / all as f64
            ));
        }
    }
    match own && !sorted.is_empty() {
        true => Err(DataError::Order {
            name: name.to_owned(),
            found: sorted.join("; "),
        }),
        false => {
            notes.extend(sorted);
            Ok(notes)
        }
    }
}

/// What is to be said of classes of which only the training or only the test rows have any, where these are two
/// files of the user's.
///
/// # Errors
/// Where no class is in both, unless there are but a few test rows.
pub(crate) fn apart(
    name: &str,
    class_names: &[String],
    train: &[u16],
    test: &[u16],
) -> Result<Vec<String>, DataError> {
    if train.is_empty() || test.is_empty() {
        return Ok(Vec::new());
    }
    let [learned, asked] = [train, test].map(|labels| counts(labels, class_names.len()));
    let names = |there: &dyn Fn(usize) -> bool| {
        let classes = (0..class_names.len()).filter(|&class| there(class));
        classes
            .map(|class| class_names[class].clone())
            .collect::<Vec<_>>()
    };
    let unknown = names(&|class| asked[class] > 0 && learned[class] == 0);
    let unasked = names(&|class| asked[class] == 0 && learned[class] > 0);
    let untold = test
        .iter()
        .filter(|label| learned[usize::from(**label)] == 0);
    let untold = untold.count();
    if untold == test.len() && untold >= FEW {
        return Err(Doubt::Apart {
            name: name.to_owned(),
            train: some(&names(&|class| learned[class] > 0)),
            test: some(&unknown),
        }
        .into());
    }
    let mut notes = Vec::new();
    if untold > 0 {
        notes.push(format!(
            "{untold} of the {} test rows are of classes that no training row has, and cannot but be errors: {}",
            test.len(),
            some(&unknown)
        ));
    }
    if !unasked.is_empty() {
        notes.push(format!(
            "no test row is of these classes of the training rows, of which errors say nothing: {}",
            some(&unasked)
        ));
    }
    Ok(notes)
}

/// How often each of `classes` occurs.
pub(crate) fn counts(labels: &[u16], classes: usize) -> Vec<usize> {
    let mut counts = vec![0; classes];
    for &label in labels {
        counts[usize::from(label)] += 1;
    }
    counts
}

/// How likely `part` of `all` rows at random have none of the `of_class` rows of a class.
fn chance(all: usize, part: usize, of_class: usize) -> f64 {
    let mut chance = 1.0;
    for row in 0..of_class {
        chance *= (all - part).saturating_sub(row) as f64 / (all - row) as f64;
        if chance < CHANCE {
            break;
        }
    }
    chance
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(
        labels: &[u16],
        from: usize,
        to: usize,
        own: bool,
    ) -> Result<Vec<String>, DataError> {
        let classes = usize::from(*labels.iter().max().unwrap()) + 1;
        let names = crate::format::numbered(classes);
        let cut = Cut {
            what: "the first rows".to_owned(),
            labels: &labels[from..to],
            file: &counts(labels, classes),
        };
        check("set", &names, &[cut], own)
    }

    #[test]
    fn sorted_rows_are_refused_and_accidents_are_told() {
        let sorted: Vec<u16> = (0..1000).map(|row| row / 100).collect();
        let error = checked(&sorted, 0, 700, true).unwrap_err().to_string();
        assert!(
            error.contains("the first rows lack the classes 7, 8, 9"),
            "{error}"
        );
        assert!(
            error.contains("permutation") && error.contains("split = \"random\""),
            "{error}"
        );
        let told = checked(&sorted, 0, 700, false).unwrap();
        assert!(told[0].contains("7, 8, 9"), "{told:?}");
        let mixed: Vec<u16> = (0..1000).map(|row| row % 10).collect();
        assert!(checked(&mixed, 0, 100, true).unwrap().is_empty());
        // Five rows cannot have ten classes.
        let few = checked(&mixed, 0, 5, true).unwrap();
        assert!(few[0].contains("5, 6, 7, 8, 9"), "{few:?}");
        // A class of one row is somewhere.
        let mut rare = vec![0; 99];
        rare.push(1);
        let told = checked(&rare, 0, 80, true).unwrap();
        assert!(told[0].contains("lack the class 1"), "{told:?}");
    }

    #[test]
    fn classes_of_one_file_alone_are_told() {
        let names = crate::format::numbered(5);
        let apart = |train: &[u16], test: &[u16]| apart("set", &names, train, test);
        assert!(apart(&[0, 1, 2], &[2, 1, 0]).unwrap().is_empty());
        // Numbered from 1 in one of them.
        let told = apart(&[0, 1, 2, 3], &[1, 2, 3, 4, 4]).unwrap();
        assert!(told[0].starts_with("2 of the 5 test rows"), "{told:?}");
        assert!(told[1].ends_with("say nothing: 0"), "{told:?}");
        let error = apart(&[0, 1], &[2_u16, 3].repeat(5))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("training rows are of 0, 1, test rows of 2, 3"),
            "{error}"
        );
    }

    #[test]
    fn shares_that_are_far_off_are_told() {
        // Sorted but for one row of each class in front.
        let mut labels = vec![0, 1];
        labels.extend(vec![0; 499]);
        labels.extend(vec![1; 499]);
        let told = checked(&labels, 0, 500, true).unwrap();
        assert!(told[0].contains("499 of class 0 where 250"), "{told:?}");
    }
}
