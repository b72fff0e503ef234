//! A comparison of methods as text.

use super::compare::{Comparison, Seconds};
use std::fmt::Write;

/// The comparison as text: a title, one line a way and T, and notes. `took` is what each row took, with so many
/// threads.
pub fn table(comparison: &Comparison, took: &[Seconds], threads: usize) -> String {
    let c = comparison;
    let mut text = format!(
        "{} training points ({} poison), {} validation points, {} features, {} parameters, {} \
         lambda(s), f{}, {} thread(s)\n\n",
        c.train, c.poison, c.valid, c.features, c.parameters, c.lambdas, c.bits, threads
    );
    let mut line = |cells: [&str; 9]| {
        let [steps, method, rest @ ..] = cells;
        let _ = write!(text, "{steps:>7}  {method:<18}");
        for cell in rest {
            let _ = write!(text, "{cell:>12}");
        }
        text.push('\n');
    };
    line([
        "", "", "", "x", "", "error,", "error,", "off RMD,", "off RMD,",
    ]);
    line([
        "T", "method", "seconds", "training", "memory", "poison", "lambda", "poison", "lambda",
    ]);
    let mut notes = Vec::new();
    for (row, took) in c.rows.iter().zip(took) {
        let number = |x: Option<f64>| match x {
            None => "-".to_owned(),
            Some(0.0) => "0".to_owned(),
            Some(x) => format!("{x:.1e}"),
        };
        let mark = if row.extrapolated_from.is_some() {
            "~"
        } else {
            ""
        };
        let seconds = |s: f64| format!("{mark}{s:.3}");
        let times = |s: f64| format!("{mark}{:.1}", s / took.training);
        line([
            &row.steps.to_string(),
            row.method.name(),
            &took.whole.map_or("-".into(), seconds),
            &took.whole.map_or("-".into(), times),
            &format!("{:.1} MB", row.peak_bytes as f64 / 1e6),
            &number(row.error_poison),
            &number(row.error_lambda),
            &number(row.off_reverse_poison),
            &number(row.off_reverse_lambda),
        ]);
        if let Some(failure) = &row.failure {
            let note = format!("{} at T = {}: {failure}", row.method.name(), row.steps);
            notes.push(note);
        }
    }
    text.push('\n');
    text.push_str(match &c.no_reference {
        None => {
            "error: relative distance from the exact hypergradient at convergence (Newton's \
             method from the largest T, in f64).\n"
        }
        Some(_) => "error: unknown, as there is no exact hypergradient at convergence: ",
    });
    if let Some(why) = &c.no_reference {
        let _ = writeln!(text, "{why}.");
    }
    text.push_str(
        "off RMD: relative distance from RMD at the same T. memory: counted from the buffers' \
         lengths, without the data.\n",
    );
    if let Some(few) = c.rows.iter().find_map(|row| row.extrapolated_from) {
        let _ = writeln!(
            text,
            "~: measured for {few} of the poison's {} features, those of largest hypergradient, \
             and extrapolated; its distances are over these.",
            c.poison * c.features
        );
    }
    for note in notes {
        let _ = writeln!(text, "{note}.");
    }
    text
}
