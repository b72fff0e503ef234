//! Gates: what must hold of a study for a release to go on, such as `damage("rlf-10") <= 2.0`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What a gate is about, of a cell's trials; in percent or points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Quantity {
    /// Error on clean test data.
    Error,
    /// How far the error lies above that of the clean cell, seed by seed.
    Damage,
    /// The error that the learner believes in.
    Claim,
    /// How far the error lies above the claimed one.
    Overclaim,
    /// Accuracy under the worst attack.
    Robust,
}

impl Quantity {
    const ALL: [(Self, &str); 5] = [
        (Self::Error, "error"),
        (Self::Damage, "damage"),
        (Self::Claim, "claim"),
        (Self::Overclaim, "overclaim"),
        (Self::Robust, "robust"),
    ];

    pub fn name(self) -> &'static str {
        let own = Self::ALL.iter().find(|(quantity, _)| *quantity == self);
        own.map_or("", |(_, name)| name)
    }
}

/// On which side of the bound a value must lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    AtMost,
    AtLeast,
}

/// What must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    pub quantity: Quantity,
    /// Name of the cell, such as `rlf-10` or `rlf-10 (knn)`.
    pub cell: String,
    pub side: Side,
    pub bound: f64,
}

/// A rule that is none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "{0}; expected such as damage(\"rlf-10\") <= 2.0 with error, damage, claim, overclaim or robust"
)]
pub struct RuleError(String);

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let wrong = |what: &str| RuleError(format!("`{text}` {what}"));
        let (name, rest) = text.split_once('(').ok_or_else(|| wrong("names no cell"))?;
        let known = Quantity::ALL
            .iter()
            .find(|(_, known)| *known == name.trim());
        let (quantity, _) = known.ok_or_else(|| wrong("is about nothing that is measured"))?;
        let quote = |c: char| c == '"' || c == '\'';
        let rest = rest.trim_start().strip_prefix(quote);
        let quoted = rest.and_then(|rest| rest.split_once(quote));
        let (cell, rest) = quoted.ok_or_else(|| wrong("names no cell in quotes"))?;
        let rest = rest.trim_start().strip_prefix(')');
        let rest = rest
            .ok_or_else(|| wrong("has no `)` after its cell"))?
            .trim();
        let (side, bound) = match (rest.strip_prefix("<="), rest.strip_prefix(">=")) {
            (Some(bound), _) => (Side::AtMost, bound),
            (_, Some(bound)) => (Side::AtLeast, bound),
            (None, None) => return Err(wrong("has neither <= nor >=")),
        };
        let bound = bound
            .trim()
            .parse::<f64>()
            .ok()
            .filter(|bound| bound.is_finite());
        Ok(Self {
            quantity: *quantity,
            cell: cell.to_owned(),
            side,
            bound: bound.ok_or_else(|| wrong("has no number as its bound"))?,
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::AtMost => "<=",
            Side::AtLeast => ">=",
        };
        let (quantity, cell) = (self.quantity.name(), &self.cell);
        write!(f, "{quantity}(\"{cell}\") {side} {}", self.bound)
    }
}

/// What became of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// The whole 95 % interval lies on the right side of the bound.
    Yes,
    /// The whole interval lies on the wrong side.
    No,
    /// The bound lies within the interval, or there is none: one seed, or no trial that is done.
    CannotTell,
}

impl Held {
    pub fn word(self) -> &'static str {
        match self {
            Self::Yes => "held",
            Self::No => "NOT HELD",
            Self::CannotTell => "cannot tell",
        }
    }
}

impl Rule {
    /// Whether it holds of an interval, given by its ends.
    pub fn judge(&self, ends: Option<(f64, f64)>) -> Held {
        let Some((low, high)) = ends else {
            return Held::CannotTell;
        };
        // Away from the bound, on the wrong side of it.
        let (right, wrong) = match self.side {
            Side::AtMost => (high <= self.bound, low > self.bound),
            Side::AtLeast => (low >= self.bound, high < self.bound),
        };
        match (right, wrong) {
            (true, _) => Held::Yes,
            (false, true) => Held::No,
            (false, false) => Held::CannotTell,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_as_they_are_written() {
        let rule: Rule = "damage(\"rlf-10 (knn)\") <= 2".parse().unwrap();
        assert_eq!(
            (rule.quantity, rule.side, rule.bound),
            (Quantity::Damage, Side::AtMost, 2.0)
        );
        assert_eq!(rule.cell, "rlf-10 (knn)");
        assert_eq!(rule.to_string().parse::<Rule>().unwrap(), rule);
        assert_eq!(" robust( 'a' )>=-1.5".parse::<Rule>().unwrap().bound, -1.5);
        for wrong in [
            "",
            "damage <= 2",
            "harm(\"a\") <= 2",
            "damage(a) <= 2",
            "damage(\"a\" <= 2",
            "damage(\"a\") = 2",
            "damage(\"a\") <= nan",
            "damage(\"a\") <= 2 points",
        ] {
            assert!(wrong.parse::<Rule>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_interval_decides() {
        let rule: Rule = "error(\"a\") <= 2".parse().unwrap();
        assert_eq!(rule.judge(Some((0.0, 2.0))), Held::Yes);
        assert_eq!(rule.judge(Some((1.0, 3.0))), Held::CannotTell);
        assert_eq!(rule.judge(Some((2.1, 3.0))), Held::No);
        assert_eq!(rule.judge(None), Held::CannotTell);
        let rule: Rule = "robust(\"a\") >= 50".parse().unwrap();
        assert_eq!(rule.judge(Some((50.0, 60.0))), Held::Yes);
        assert_eq!(rule.judge(Some((40.0, 49.0))), Held::No);
    }
}
