//! The screen's findings as text.

use super::{OpReport, number};

/// One line a finding under a head, then a summary. An op that a space lists more than once stands there once, with all its branches.
pub fn table(reports: &[OpReport]) -> String {
    let first = |i: usize| reports[..i].iter().all(|r| r.op != reports[i].op);
    let distinct = reports.iter().enumerate().filter(|(i, _)| first(*i));
    let reports: Vec<&OpReport> = distinct.map(|(_, r)| r).collect();
    let mut rows = vec![["op", "count", "odds", "verdict", "reason"].map(str::to_owned)];
    for r in &reports {
        let odds = format!("{:.1} %", 100.0 * r.share);
        let head = [r.op.to_string(), r.count.to_string(), odds];
        if !r.flagged() {
            let [op, count, odds] = head;
            let m = &r.measures;
            let reason = format!(
                "information {}, gradient {}, nonlinearity {}",
                number(m.information),
                number(m.gradient_input),
                number(m.nonlinearity)
            );
            rows.push([op, count, odds, "ok".into(), reason]);
            continue;
        }
        for (i, finding) in r.findings.iter().enumerate() {
            let [op, count, odds] = if i == 0 {
                head.clone()
            } else {
                Default::default()
            };
            rows.push([
                op,
                count,
                odds,
                finding.verdict.to_string(),
                finding.reason.clone(),
            ]);
        }
    }
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max();
    let widths: Vec<usize> = (0..4).filter_map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(&row[4]);
        text.push('\n');
    }
    text.push('\n');
    text.push_str(&summary(&reports));
    text
}

fn summary(reports: &[&OpReport]) -> String {
    let poisonous = reports.iter().filter(|r| r.poisonous()).count();
    let copied = reports
        .iter()
        .filter(|r| r.flagged() && !r.poisonous())
        .count();
    let bad = reports.iter().filter(|r| r.poisonous());
    let branches: f64 = bad.map(|r| r.share).sum();
    match (poisonous, copied) {
        (0, 0) => format!("nothing poisonous in {} ops\n", reports.len()),
        (0, n) => format!(
            "no op of {} is poisonous, but copies of {n} shift the sampling odds\n",
            reports.len()
        ),
        (n, _) => format!(
            "{n} of {} ops are poisonous; a uniform sampler takes one of them {:.1} % of the time\n",
            reports.len(),
            100.0 * branches
        ),
    }
}
