//! Judging a claim of the paper by a number. Every judgement is of one 95 % t-interval of differences
//! between trials of the same seed (or between levels of one trial): a claim held if the interval
//! lies where the claim says, did not hold if it lies wholly elsewhere, and otherwise nobody can
//! tell.

use crate::stats::Interval;

/// Two errors within so many points of each other are alike.
pub const LIKE: f64 = 1.0;

/// Where a claim says that a difference lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Expect {
    /// Above 0.
    Up,
    /// Below 0.
    Down,
    /// Within [`LIKE`] of 0.
    Near,
}

/// What the numbers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The interval lies where the claim says.
    Held,
    /// The interval lies wholly elsewhere.
    NotHeld,
    /// It does neither, or there is none.
    CannotTell,
}

impl Verdict {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::NotHeld => "not held",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// Judges a difference.
pub fn judge(found: Option<Interval>, expect: Expect) -> Verdict {
    let Some((mean, half)) = found.and_then(|i| Some((i.mean, i.half?))) else {
        return Verdict::CannotTell;
    };
    let (low, high) = (mean - half, mean + half);
    let (held, not) = match expect {
        Expect::Up => (low > 0.0, high < 0.0),
        Expect::Down => (high < 0.0, low > 0.0),
        Expect::Near => (low >= -LIKE && high <= LIKE, low > LIKE || high < -LIKE),
    };
    match (held, not) {
        (true, _) => Verdict::Held,
        (_, true) => Verdict::NotHeld,
        _ => Verdict::CannotTell,
    }
}

/// A claim in one setting.
pub struct Case {
    /// The setting's title.
    pub setting: String,
    /// What the numbers say.
    pub verdict: Verdict,
    /// The numbers.
    pub evidence: String,
}

impl Case {
    /// A case with the difference that decides it.
    pub fn of(setting: &str, found: Option<Interval>, expect: Expect, unit: &str) -> Self {
        let evidence = match found {
            None => "no trial has the numbers".to_owned(),
            Some(i) => match i.half {
                None => format!("{}{unit}, one seed and so no interval", plain(i.mean, true)),
                Some(half) => format!(
                    "{} ± {}{unit} ({} seeds)",
                    plain(i.mean, true),
                    plain(half, false),
                    i.n
                ),
            },
        };
        Self {
            setting: setting.to_owned(),
            verdict: judge(found, expect),
            evidence,
        }
    }
}

/// A number with two decimals, or two digits where it is small.
fn plain(value: f64, sign: bool) -> String {
    match ((1e-9..0.05).contains(&value.abs()), sign) {
        (true, true) => format!("{value:+.1e}"),
        (true, false) => format!("{value:.1e}"),
        (false, true) => format!("{value:+.2}"),
        (false, false) => format!("{value:.2}"),
    }
}

/// A claim and its cases.
pub struct Claim {
    /// Number of the paper's claim and a letter, such as `1a`.
    pub number: &'static str,
    /// What it says, and what was measured.
    pub words: &'static str,
    /// One for each setting that has the cells for it.
    pub cases: Vec<Case>,
}

impl Claim {
    /// The claim with its verdicts and numbers, as a sentence.
    pub fn sentence(&self) -> String {
        let verdicts = [Verdict::Held, Verdict::NotHeld, Verdict::CannotTell];
        let head = match self.cases.as_slice() {
            [one] => one.verdict.words().to_owned(),
            all => {
                let counts = verdicts.map(|v| (v, self.count(v)));
                let counts = counts.iter().filter(|(_, n)| *n > 0);
                let parts: Vec<String> = counts
                    .map(|(v, n)| format!("{} in {n} of {} settings", v.words(), all.len()))
                    .collect();
                parts.join(", ")
            }
        };
        let cases: Vec<String> = self
            .cases
            .iter()
            .map(|c| match self.cases.len() {
                1 => format!("{}: {}", c.setting, c.evidence),
                _ => format!("{}: {}, {}", c.setting, c.verdict.words(), c.evidence),
            })
            .collect();
        format!(
            "Claim {}, {}: {head}. {}.",
            self.number,
            self.words,
            cases.join("; ")
        )
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.cases.iter().filter(|c| c.verdict == verdict).count()
    }
}
