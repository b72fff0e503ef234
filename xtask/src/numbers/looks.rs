//! Numbers in a text: how they are written, and which look like results of a run.

use super::page::pattern;
use regex::Regex;
use std::ops::Range;
use std::sync::LazyLock;

const NUMBER: &str = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?:e[+-]?\d+)?";

/// A number as it is written, perhaps with half of its interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Written {
    pub span: Range<usize>,
    pub value: f64,
    pub half: Option<(Range<usize>, f64)>,
}

impl Written {
    fn whole(&self) -> Range<usize> {
        let end = self
            .half
            .as_ref()
            .map_or(self.span.end, |(half, _)| half.end);
        self.span.start..end
    }
}

static WRITTEN: LazyLock<Regex> =
    LazyLock::new(|| pattern(&format!(r"([+−-]?{NUMBER})(?:\s*±\s*({NUMBER}))?")));

/// Every number of `text[span]`.
pub fn numbers(text: &str, span: Range<usize>) -> Vec<Written> {
    let found = WRITTEN.captures_iter(&text[span.clone()]);
    let read = |found: regex::Captures<'_>| {
        let number = found.get(1)?;
        let mut at = span.start + number.start()..span.start + number.end();
        let before = text[..at.start].chars().next_back();
        let signed = text[at.clone()].starts_with(['+', '-', '−']);
        match before {
            Some(c) if c.is_alphabetic() => return None, // P3, CW-40
            Some(c) if c.is_ascii_digit() && signed => {
                // 8-1 is no -1
                at.start += text[at.clone()].chars().next().map_or(0, char::len_utf8);
            }
            _ => {}
        }
        let half = found.get(2);
        let half = half.and_then(|h| {
            let at = span.start + h.start()..span.start + h.end();
            Some((at.clone(), value(&text[at])?))
        });
        let value = value(&text[at.clone()])?;
        Some(Written {
            span: at,
            value,
            half,
        })
    };
    found.filter_map(read).collect()
}

pub fn value(written: &str) -> Option<f64> {
    let plain = written.replace(',', "").replace('−', "-");
    plain.parse().ok()
}

/// The weight of the last digit.
fn last_digit(written: &str) -> f64 {
    let (digits, exponent) = written.split_once('e').unwrap_or((written, "0"));
    let decimals = digits.split_once('.').map_or(0, |(_, d)| d.len());
    let exponent: i32 = exponent.parse().unwrap_or(0);
    10f64.powi(exponent - decimals as i32)
}

/// Rows are rounded too, so a value on the border between two digits may be on either side, in units of the last digit.
const SLACK: f64 = 0.01;

/// Whether what is written is the value, rounded to its last digit.
pub fn agrees(written: &str, value: f64) -> bool {
    let shown = self::value(written);
    shown.is_some_and(|s| (s - value).abs() <= last_digit(written) * (0.5 + SLACK))
}

/// The value in the way in which another was written; `None` where that is beyond us.
pub fn rewritten(written: &str, value: f64) -> Option<String> {
    if written.contains(['e', '−']) {
        return None;
    }
    let decimals = written.split_once('.').map_or(0, |(_, d)| d.len());
    let plus = if written.starts_with('+') && value >= 0.0 {
        "+"
    } else {
        ""
    };
    let plain = format!("{value:.decimals$}");
    if !written.contains(',') && value.abs() < 1e5 {
        return Some(format!("{plus}{plain}"));
    }
    let (whole, rest) = plain.split_at(plain.find('.').unwrap_or(plain.len()));
    let mut grouped = String::new();
    for (i, c) in whole.chars().enumerate() {
        let left = whole.len() - i;
        if i > 0 && left % 3 == 0 && c.is_ascii_digit() && whole.as_bytes()[i - 1] != b'-' {
            grouped.push(',');
        }
        grouped.push(c);
    }
    Some(format!("{plus}{grouped}{rest}"))
}

/// What follows a number that a clock or a machine gave.
const TAKEN: &str = r"times\b|s\b|ms\b|min\b|h\b|seconds?\b|minutes?\b|hours?\b|days?\b|images/s|GB/s|GFLOP/s|MB\b|MiB\b|GB\b|GiB\b";

fn with_unit(units: &str) -> String {
    format!(r"{NUMBER}(?:\s+(?:to|and|or|against|in)\s+[+-]?{NUMBER})*[\s-]*(?:{units})")
}

fn interval() -> String {
    format!(r"{NUMBER}\s*±\s*{NUMBER}")
}

static RESULTS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    let all = [
        interval(),
        with_unit(TAKEN),
        with_unit(r"%|points?\b|degrees\b"),
        r"\d+\.\d+".to_owned(),
        format!(r"\b{NUMBER}\s+of\s+(?:the\s+)?{NUMBER}"),
    ];
    all.iter().map(|text| pattern(text)).collect()
});

static MEASURES: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [interval(), with_unit(TAKEN)]
        .iter()
        .map(|text| pattern(text))
        .collect()
});

static INTERVALS: LazyLock<Regex> = LazyLock::new(|| pattern(&interval()));

/// Verdicts, where they are set as such: a cell that begins with one, or in bold.
static VERDICTS: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)\*\*(?:not\s+)?held\*\*|\bcannot\s+tell\b|\bnot\s+held\b|\A\s*held\b")
});

/// How much of a page must have something behind it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strictness {
    /// Everything that looks like a result, all of a table's cells, and verdicts.
    Everything,
    /// What has an interval or was taken by a clock or of a machine.
    Measures,
    /// What has an interval.
    Intervals,
}

/// Spans of what looks like a result.
pub fn results(
    prose: &str,
    span: Range<usize>,
    table: bool,
    code: bool,
    strict: Strictness,
) -> Vec<Range<usize>> {
    let of = |pattern: &Regex| -> Vec<Range<usize>> {
        let found = pattern.find_iter(&prose[span.clone()]);
        found
            .map(|m| span.start + m.start()..span.start + m.end())
            .collect()
    };
    let mut all: Vec<Range<usize>> = match strict {
        _ if code => of(&INTERVALS),
        Strictness::Intervals => of(&INTERVALS),
        Strictness::Measures => MEASURES.iter().flat_map(of).collect(),
        Strictness::Everything if table => {
            let all = numbers(prose, span.clone());
            all.iter()
                .map(Written::whole)
                .chain(of(&VERDICTS))
                .collect()
        }
        Strictness::Everything => RESULTS.iter().chain([&*VERDICTS]).flat_map(of).collect(),
    };
    all.sort_by_key(|span| (span.start, span.end));
    all
}
