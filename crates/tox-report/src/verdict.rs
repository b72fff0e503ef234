//! Judging a claim of a paper by a number. Every judgement is of one 95 % t-interval of differences
//! between trials of the same seed (or between levels of one trial): a claim held if the interval
//! lies where the claim says, did not hold if it lies wholly elsewhere, and otherwise nobody can
//! tell.

use crate::stats::Interval;
use serde::Serialize;

/// Two errors, or accuracies, within so many points of each other are alike.
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
    /// Below [`LIKE`].
    Little,
}

/// What the numbers say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// The interval lies where the claim says.
    #[serde(rename = "held")]
    Held,
    /// The interval lies wholly elsewhere.
    #[serde(rename = "not held")]
    NotHeld,
    /// It does neither, or there is none.
    #[serde(rename = "cannot tell")]
    CannotTell,
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
        Expect::Little => (high < LIKE, low > LIKE),
    };
    match (held, not) {
        (true, _) => Verdict::Held,
        (_, true) => Verdict::NotHeld,
        _ => Verdict::CannotTell,
    }
}

/// A claim in one setting.
#[derive(Debug, Serialize)]
pub struct Case {
    /// The setting's title.
    pub setting: String,
    /// What the numbers say.
    pub verdict: Verdict,
    /// The numbers.
    pub evidence: String,
    /// Trials behind them; 0 where no trial has them.
    pub seeds: usize,
}

impl Case {
    /// A case with the difference that decides it.
    pub fn of(setting: &str, found: Option<Interval>, expect: Expect, unit: &str) -> Self {
        let evidence = match found {
            None => "not measured".to_owned(),
            Some(i) => match i.half {
                None => format!("{}{unit} ({})", signed(i.mean, i.mean), i.lone()),
                Some(half) => {
                    // Equal differences leave an interval of rounding errors.
                    let scale = if half > 1e-9 * i.mean.abs() {
                        half
                    } else {
                        0.0
                    };
                    let (mean, half) = (signed(i.mean, scale), plain(half, scale));
                    format!("{mean} ± {half}{unit} ({} seeds)", i.n)
                }
            },
        };
        Self {
            setting: setting.to_owned(),
            verdict: judge(found, expect),
            evidence,
            seeds: found.map_or(0, |i| i.n),
        }
    }
}

/// Decimals that leave two digits of `scale`, and no fewer than two.
fn decimals(scale: f64) -> usize {
    match scale.abs() {
        s if s == 0.0 || s >= 0.1 => 2,
        s => (1 - s.log10().floor() as i32).clamp(2, 8) as usize,
    }
}

fn signed(value: f64, scale: f64) -> String {
    format!("{value:+.0$}", decimals(scale))
}

fn plain(value: f64, scale: f64) -> String {
    format!("{value:.0$}", decimals(scale))
}

/// A claim and its cases.
#[derive(Debug, Serialize)]
pub struct Claim {
    /// Number of the paper's claim and a letter, such as `1a`.
    pub number: &'static str,
    /// What it says, and what was measured.
    pub words: &'static str,
    /// One for each setting that has the cells for it.
    pub cases: Vec<Case>,
}

impl Claim {
    /// The cases that have numbers.
    pub fn measured(&self) -> impl Iterator<Item = &Case> {
        self.cases.iter().filter(|c| c.seeds > 0)
    }

    /// Whether it has numbers, and all of them say so.
    fn all(&self, verdict: Verdict) -> bool {
        self.measured().count() > 0 && self.measured().all(|c| c.verdict == verdict)
    }
}

/// How a claim fared over its cases; `mark` is that of settings that are doubtful. `None` without a
/// number.
pub fn tally(claim: &Claim, mark: &str) -> Option<String> {
    let all = claim.measured().count();
    if all == 0 {
        return None;
    }
    let count = |verdict| claim.measured().filter(|c| c.verdict == verdict).count();
    let word = match [Verdict::Held, Verdict::NotHeld, Verdict::CannotTell].map(count) {
        [n, _, _] if n == all => "held".to_owned(),
        [_, n, _] if n == all => "not held".to_owned(),
        [_, _, n] if n == all => "cannot tell".to_owned(),
        [held, not, open] => format!("held in {held}, not held in {not}, cannot tell in {open}"),
    };
    let cases = if all == 1 { "case" } else { "cases" };
    let doubtful = claim.measured().filter(|c| c.setting.contains(mark));
    let doubtful = match doubtful.count() {
        0 => String::new(),
        n => format!(", {n} of them {mark}"),
    };
    Some(format!(
        "Claim {}, {}: {word} ({all} {cases}{doubtful}).",
        claim.number, claim.words
    ))
}

/// How many of the claims held, and which; `None` for no claim.
pub fn summary(claims: &[Claim]) -> Option<String> {
    let all = |verdict| -> Vec<&Claim> { claims.iter().filter(|c| c.all(verdict)).collect() };
    let (held, not) = (all(Verdict::Held), all(Verdict::NotHeld));
    let open = all(Verdict::CannotTell);
    let absent: Vec<&Claim> = claims
        .iter()
        .filter(|c| c.measured().count() == 0)
        .collect();
    let decided = |c: &&Claim| {
        let lists = [&held, &not, &open, &absent];
        lists.iter().any(|l| l.iter().any(|d| d.number == c.number))
    };
    let mixed: Vec<&Claim> = claims.iter().filter(|c| !decided(c)).collect();
    let number = |c: &&Claim| c.number.to_owned();
    let named = |c: &&Claim| format!("{}, {}", c.number, c.words);
    let shares = |c: &&Claim| {
        let held = c.measured().filter(|k| k.verdict == Verdict::Held);
        format!(
            "{} held in {} of {}",
            c.number,
            held.count(),
            c.measured().count()
        )
    };
    let list = |what: &str, claims: &[&Claim], each: &dyn Fn(&&Claim) -> String, between| {
        let names: Vec<String> = claims.iter().map(each).collect();
        (!claims.is_empty()).then(|| format!("{} {what} ({})", claims.len(), names.join(between)))
    };
    let parts: Vec<String> = [
        list("held", &held, &number, ", "),
        list("did not hold", &not, &named, "; "),
        list("differ between settings", &mixed, &shares, ", "),
        list("cannot be told from these trials", &open, &number, ", "),
        list("not measured", &absent, &number, ", "),
    ]
    .into_iter()
    .flatten()
    .collect();
    let most = claims.iter().flat_map(Claim::measured).map(|c| c.seeds);
    let single = match most.max() {
        Some(1) => " With one seed there is no interval, and so no verdict.",
        _ => "",
    };
    (!claims.is_empty()).then(|| {
        format!(
            "Of {} claims put to the numbers, {}.{single}",
            claims.len(),
            parts.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats;

    #[test]
    fn a_verdict_needs_the_whole_interval() {
        use Expect::{Down, Little, Near, Up};
        use Verdict::{CannotTell, Held, NotHeld};
        // Mean 2, half 4.3027 / sqrt(3) = 2.484: holds 0.
        let wide = stats::mean(&[1.0, 2.0, 3.0]);
        // Mean 2, half 0.497.
        let narrow = stats::mean(&[1.8, 2.0, 2.2]);
        // Mean 0.6, half 0.248: within 1 of 0, above 0.
        let like = stats::mean(&[0.5, 0.6, 0.7]);
        let single = stats::mean(&[9.0]);
        // Mean -2, half 0.497: a difference to the other side.
        let gain = stats::mean(&[-1.8, -2.0, -2.2]);
        for (found, up, down, near, little) in [
            (wide, CannotTell, CannotTell, CannotTell, CannotTell),
            (narrow, Held, NotHeld, NotHeld, NotHeld),
            (like, Held, NotHeld, Held, Held),
            (gain, NotHeld, Held, NotHeld, Held),
            (single, CannotTell, CannotTell, CannotTell, CannotTell),
            (None, CannotTell, CannotTell, CannotTell, CannotTell),
        ] {
            let verdicts = [Up, Down, Near, Little].map(|e| judge(found, e));
            assert_eq!(verdicts, [up, down, near, little], "{found:?}");
        }
    }

    #[test]
    fn evidence_has_two_digits_of_its_interval() {
        let of = |values: &[f64]| {
            let found = stats::mean(values);
            Case::of("s", found, Expect::Up, " points").evidence
        };
        assert_eq!(
            of(&[0.0023, 0.0025, 0.0024]),
            "+0.00240 ± 0.00025 points (3 seeds)"
        );
        assert_eq!(
            of(&[6.8, 6.8 + 1e-15, 6.8]),
            "+6.80 ± 0.00 points (3 seeds)"
        );
        assert_eq!(of(&[9.416]), "+9.42 points (one seed)");
        assert_eq!(of(&[]), "not measured");
    }
}
