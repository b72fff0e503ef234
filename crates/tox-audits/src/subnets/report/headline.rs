//! The table for a terminal.

use super::findings::best;
use super::gather::Gathered;
use tox_report::numbers::count;
use tox_report::run::Run;
use tox_report::terminal::table;

/// Data set, attack, networks measured, trainings that diverged, and the range of robust accuracies,
/// percent.
pub fn headline(run: &Run) -> String {
    let all = Gathered::new(run);
    let head = [
        "data", "attack", "networks", "diverged", "worst %", "mean %", "best %", "best at", "best",
    ];
    let mut rows = vec![head.map(str::to_owned)];
    for data in &all.data {
        for (i, attack) in all.attacks.iter().enumerate() {
            let best = best(data, i);
            let percent = |of: Option<f64>| of.map_or("-".to_owned(), |v| format!("{v:.1}"));
            let best = best.as_ref();
            rows.push([
                data.name.clone(),
                attack.clone(),
                data.nets.len().to_string(),
                data.diverged.to_string(),
                percent(best.map(|b| b.least)),
                percent(best.map(|b| b.mean)),
                percent(best.map(|b| b.robust)),
                best.map_or("-".to_owned(), |b| count(b.macs)),
                best.map_or("-".to_owned(), |b| b.shape.to_string()),
            ]);
        }
    }
    let mut out = table(run, rows);
    out.push_str(
        "robust accuracy of the networks, mean over seeds; best at: its multiply-accumulates\n",
    );
    let done = run.trials.iter().filter(|t| t.record().is_some()).count();
    if done < run.trials.len() {
        out.push_str(&format!(
            "incomplete: {done} of {} trials are done\n",
            run.trials.len()
        ));
    }
    out
}
