//! Numbers as a page has them.

use crate::stats::Interval;

/// The mark of an absent number.
pub const NONE: &str = "–";

/// A mean with its interval.
pub fn show(interval: Option<Interval>) -> String {
    interval.map_or(NONE.to_owned(), |i| i.to_string())
}

/// A difference with its sign.
pub fn signed(interval: Option<Interval>) -> String {
    interval.map_or(NONE.to_owned(), |i| format!("{i:+}"))
}

/// A number with two decimals.
pub fn number(value: Option<f64>) -> String {
    value.map_or(NONE.to_owned(), |v| format!("{v:.2}"))
}

/// A share in percent, without needless decimals.
pub fn percent(share: f64) -> String {
    let text = format!("{:.2}", 100.0 * share);
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{text} %")
}

/// A count in its unit: `950`, `1.25 M`, `5.24 G`.
pub fn count(n: u64) -> String {
    match n as f64 {
        v if v >= 1e9 => format!("{:.2} G", v / 1e9),
        v if v >= 1e6 => format!("{:.2} M", v / 1e6),
        v if v >= 1e4 => format!("{:.1} k", v / 1e3),
        _ => n.to_string(),
    }
}
