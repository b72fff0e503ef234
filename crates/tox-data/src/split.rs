//! Training, validation and test rows drawn at random, balanced over the classes (bilevel paper,
//! Section V: "balanced and drawn at random from the joint pool of train + test").

use rand::seq::SliceRandom;

use crate::error::DataError;
use crate::rng::stream;

/// How many rows to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// For training, at least one of each class.
    pub train: usize,
    /// For validation; may be 0.
    pub valid: usize,
    /// For test, at least 1; `None` = all that the others leave, balanced or not.
    pub test: Option<usize>,
}

/// Draws training, validation and test rows without replacement from a set with these `labels`,
/// each below `classes`; returns their indices, in random order.
///
/// Each split gets as many rows of each class; where the count is no multiple of the number of
/// classes, the first classes give one more. Within a class, training takes the first rows of a
/// random order, test (if counted) the last ones, and validation those after training: another
/// number of validation rows moves neither the training nor the test rows. Streams are
/// `(seed, "split", [0, class])` for that order and `(seed, "split", [1, split])` for the order
/// within a split. `name` is what messages call the set.
///
/// # Errors
/// A set of one class; counts of 0 where none may be; a class with fewer rows than asked.
pub fn balanced(
    name: &str,
    labels: &[u16],
    classes: usize,
    counts: &Counts,
    seed: u64,
) -> Result<[Vec<usize>; 3], DataError> {
    let refuse = |key, found, expected: String| {
        Err(DataError::Spec {
            name: name.to_owned(),
            key,
            found,
            expected,
        })
    };
    let mut rows = vec![Vec::new(); classes];
    for (row, &label) in labels.iter().enumerate() {
        rows[usize::from(label)].push(row);
    }
    if rows.iter().filter(|rows| !rows.is_empty()).count() < 2 {
        return Err(DataError::OneClass {
            name: name.to_owned(),
        });
    }
    if counts.train < classes {
        let expected = format!("at least {classes}, one for each class");
        return refuse("train", counts.train, expected);
    }
    if counts.test == Some(0) {
        return refuse("test", 0, "at least 1".to_owned());
    }
    let mut drawn: [Vec<usize>; 3] = Default::default();
    for (class, rows) in rows.iter_mut().enumerate() {
        let share = |count: usize| count / classes + usize::from(class < count % classes);
        let (train, valid) = (share(counts.train), share(counts.valid));
        let test = counts.test.map_or(0, share);
        let needed = train.saturating_add(valid).saturating_add(test);
        if needed > rows.len() {
            return Err(DataError::FewOfClass {
                name: name.to_owned(),
                class,
                found: rows.len(),
                needed,
                train,
                valid,
                test,
            });
        }
        rows.shuffle(&mut stream(seed, "split", &[0, class as u64]));
        drawn[0].extend(&rows[..train]);
        drawn[1].extend(&rows[train..train + valid]);
        let first = match counts.test {
            Some(_) => rows.len() - test,
            None => train + valid,
        };
        drawn[2].extend(&rows[first..]);
    }
    if drawn[2].is_empty() {
        let expected = format!(
            "fewer than all {} examples, so that some are left for test",
            labels.len()
        );
        return refuse("train", counts.train, expected);
    }
    for (split, rows) in drawn.iter_mut().enumerate() {
        rows.shuffle(&mut stream(seed, "split", &[1, split as u64]));
    }
    Ok(drawn)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 classes of 40, 30 and 20 rows.
    fn labels() -> Vec<u16> {
        [vec![0; 40], vec![2; 20], vec![1; 30]].concat()
    }

    fn draw(train: usize, valid: usize, test: Option<usize>, seed: u64) -> [Vec<usize>; 3] {
        let counts = Counts { train, valid, test };
        balanced("set", &labels(), 3, &counts, seed).unwrap()
    }

    fn per_class(rows: &[usize]) -> [usize; 3] {
        let labels = labels();
        let count = |class| rows.iter().filter(|&&row| labels[row] == class).count();
        [0, 1, 2].map(count)
    }

    #[test]
    fn splits_are_balanced_and_disjoint_and_what_is_left_is_the_test_set() {
        let [train, valid, test] = draw(31, 8, Some(6), 3);
        assert_eq!(per_class(&train), [11, 10, 10]);
        assert_eq!(per_class(&valid), [3, 3, 2]);
        assert_eq!(per_class(&test), [2, 2, 2]);
        let [train, valid, test] = draw(31, 8, None, 3);
        assert_eq!(per_class(&test), [40 - 14, 30 - 13, 20 - 12]);
        let mut all = [train, valid, test].concat();
        assert!(!all.is_sorted());
        all.sort_unstable();
        assert_eq!(all, (0..90).collect::<Vec<_>>());
    }

    #[test]
    fn seeds_differ_and_repeat_and_validation_moves_nothing_else() {
        let base = draw(30, 9, Some(6), 3);
        assert_eq!(base, draw(30, 9, Some(6), 3));
        let other = draw(30, 9, Some(6), 4);
        assert!(base.iter().zip(&other).all(|(a, b)| a != b));
        let more = draw(30, 12, Some(6), 3);
        assert_eq!((&base[0], &base[2]), (&more[0], &more[2]));
        assert!(base[1].iter().all(|row| more[1].contains(row)));
        // Random order: not one class after the other.
        let labels = labels();
        let classes: Vec<u16> = base[0].iter().map(|&row| labels[row]).collect();
        assert!(classes.windows(2).filter(|pair| pair[0] != pair[1]).count() > 9);
    }

    #[test]
    fn what_a_class_cannot_give_is_refused() {
        let refused = |labels: &[u16], classes, train, valid, test| {
            let counts = Counts { train, valid, test };
            let error = balanced("set", labels, classes, &counts, 0).unwrap_err();
            error.to_string()
        };
        let few = refused(&labels(), 3, 45, 15, Some(3));
        for part in [
            "class 2",
            "20 examples",
            "expected at least 21",
            "15 for training",
        ] {
            assert!(few.contains(part), "{few}");
        }
        assert!(refused(&labels(), 3, usize::MAX, usize::MAX, None).contains("class 0"));
        assert!(refused(&labels(), 3, 2, 0, None).contains("at least 3, one for each class"));
        assert!(refused(&labels(), 3, 6, 0, Some(0)).contains("`test` = 0"));
        assert!(refused(&[1; 9], 2, 4, 0, None).contains("one class"));
        assert!(refused(&[0, 1, 0, 1], 2, 4, 0, None).contains("left for test"));
        assert!(refused(&labels(), 4, 8, 0, None).contains("class 3 of set has 0"));
    }
}
