//! Numbers out of their range, in whichever crate they were found.

use tox_poison::cleanse::CleanseError;
use tox_poison::data::PoisonError;
use tox_study::recipe::OutOfRange;

/// An error that names a key, what it is, and what it should be.
pub trait Ranged {
    fn out_of_range(self) -> OutOfRange;
}

impl Ranged for tox_search::enas::config::ConfigError {
    fn out_of_range(self) -> OutOfRange {
        let e = self;
        let (key, found, expected) = (e.key, e.found, e.expected);
        OutOfRange {
            key,
            found,
            expected,
        }
    }
}

impl Ranged for tox_bilevel::config::ConfigError {
    fn out_of_range(self) -> OutOfRange {
        let e = self;
        let (key, found, expected) = (e.key.to_owned(), e.found, e.expected.to_owned());
        OutOfRange {
            key,
            found,
            expected,
        }
    }
}

impl Ranged for CleanseError {
    fn out_of_range(self) -> OutOfRange {
        let e = self;
        let (key, found, expected) = match e {
            CleanseError::Setting {
                key,
                found,
                expected,
            } => (key, found.to_string(), expected.to_owned()),
            CleanseError::Both(key, other) => (
                key,
                "set".to_owned(),
                format!("it alone, without `{other}`"),
            ),
            CleanseError::Method { found, expected } => ("method", found, expected),
            CleanseError::Untrusted { method } => (
                "trusted",
                "none".to_owned(),
                format!("a number of rows, which the method `{method}` learns from"),
            ),
            // A check of a defence's numbers finds nothing else.
            other => ("", String::new(), other.to_string()),
        };
        OutOfRange {
            key: key.to_owned(),
            found,
            expected,
        }
    }
}

impl Ranged for PoisonError {
    fn out_of_range(self) -> OutOfRange {
        let e = self;
        let (key, found, expected) = match &e {
            PoisonError::Budget { budget } => (
                "budget".to_owned(),
                *budget,
                "a share of the rows above 0 and at most 1, such as 0.1".to_owned(),
            ),
            PoisonError::Setting {
                key,
                found,
                expected,
            } => ((*key).to_owned(), *found, (*expected).to_owned()),
            PoisonError::Fit(e) => (
                format!("fit.{}", e.key),
                e.found,
                format!("{} to {}", e.low, e.high),
            ),
            // A check of a threat's numbers finds nothing else.
            other => (String::new(), f64::NAN, other.to_string()),
        };
        OutOfRange {
            key,
            found: found.to_string(),
            expected,
        }
    }
}
