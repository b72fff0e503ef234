//! What the data show, in sentences, and the table for a terminal. A sentence says no more than
//! its numbers: means with their intervals, how many seeds, and what is missing.

use crate::cells::{Cell, clean_of, policy_name};
use crate::paper::Paper;
use crate::run::Record;
use crate::run::{Run, State};
use crate::stats::{self, Interval};
use tox_data::spec::DataSpec;
use tox_poison::space::PoisonSet;
use tox_search::enas::config::NanPolicy;
use tox_study::record::{EnasOutcome as Outcome, Provenance, ScreenedOp};

/// Sentences, most important first.
pub fn findings(run: &Run, cells: &[Cell], paper: Option<&Paper>) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(mixed(run));
    out.extend(missing(run, cells));
    let plain: Vec<&Cell> = cells
        .iter()
        .filter(|c| !c.screened() && !c.random() && c.done() > 0)
        .collect();
    for cell in &plain {
        if cell.poison().is_none() && cell.policy() == NanPolicy::Torch {
            out.extend(clean(cell, paper));
        }
    }
    let one_shot = |c: &Cell| c.poison().is_some_and(|p| p.set == PoisonSet::P3Plus);
    let worst = plain
        .iter()
        .filter(|c| c.poison().is_some() && !one_shot(c) && c.policy() == NanPolicy::Torch)
        .filter_map(|c| Some((*c, c.test()?)))
        .max_by(|a, b| a.1.mean.total_cmp(&b.1.mean));
    if let Some((cell, test)) = worst {
        out.push(worst_cell(cells, cell, test));
    }
    out.extend(rise(cells));
    for cell in &plain {
        if one_shot(cell) || cell.collapses() > 0 {
            out.push(collapse(cell));
        }
    }
    let told = plain.iter().copied().filter(|c| {
        c.poison().is_none() || one_shot(c) || worst.is_some_and(|w| std::ptr::eq(w.0, *c))
    });
    out.extend(retraining(told));
    out.extend(cells.iter().filter_map(|c| screen(cells, c)));
    out
}

/// A percentage with its interval and number of seeds.
fn with_seeds(interval: Interval) -> String {
    match interval.half {
        Some(half) => format!("{:.1} ± {half:.1} % ({} seeds)", interval.mean, interval.n),
        None => format!("{:.1} % (one seed, no interval)", interval.mean),
    }
}

/// A warning if the records were not all made with the same data, device and program.
fn mixed(run: &Run) -> Option<String> {
    let records: Vec<&Record> = run.trials.iter().filter_map(|t| t.record()).collect();
    let mut parts = Vec::new();
    let mut count = |what: &str, values: Vec<&str>| {
        let mut kinds: Vec<(&str, usize)> = Vec::new();
        for value in values {
            match kinds.iter_mut().find(|k| k.0 == value) {
                Some(kind) => kind.1 += 1,
                None => kinds.push((value, 1)),
            }
        }
        if kinds.len() > 1 {
            let kinds: Vec<String> = kinds
                .iter()
                .map(|(kind, n)| format!("{kind} ({n})"))
                .collect();
            parts.push(format!("{what} {}", kinds.join(", ")));
        }
    };
    // Different data sets, or parts of one, have different hashes; only one spec may not.
    let mut specs: Vec<&DataSpec> = Vec::new();
    for record in &records {
        if !specs.contains(&&record.spec.data) {
            specs.push(&record.spec.data);
        }
    }
    for spec in specs {
        let same = records.iter().filter(|r| r.spec.data == *spec);
        let hashes = same.map(|r| {
            let hash = r.provenance.data_hash.as_str();
            hash.get(..12).unwrap_or(hash)
        });
        count(&format!("data hash of {}", spec.dataset), hashes.collect());
    }
    let all = |of: fn(&Provenance) -> &str| records.iter().map(|r| of(&r.provenance)).collect();
    count("device", all(|p| &p.device));
    count("version of toxscreen", all(|p| &p.toxscreen));
    count("instruction set", all(|p| &p.simd));
    (!parts.is_empty()).then(|| {
        format!(
            "Warning: the records come from more than one setup, so cells may differ for that \
             reason and not for the poison's; the number of trials is in brackets: {}.",
            parts.join("; ")
        )
    })
}

fn missing(run: &Run, cells: &[Cell]) -> Option<String> {
    let planned = run.trials.len();
    let done = run.trials.iter().filter(|t| t.record().is_some()).count();
    let failed = run
        .trials
        .iter()
        .filter(|t| matches!(t.state, State::Failed(_)));
    let failed = failed.count();
    if done == planned {
        return None;
    }
    let open: Vec<String> = cells
        .iter()
        .filter(|c| !c.complete())
        .map(|c| format!("{} ({}/{})", c.name, c.done(), c.trials.len()))
        .collect();
    Some(format!(
        "Incomplete: {done} of {planned} trials are done, {failed} failed. Means of these cells are \
         over fewer seeds than planned: {}.",
        open.join(", ")
    ))
}

fn clean(cell: &Cell, paper: Option<&Paper>) -> Option<String> {
    let (valid, test) = (cell.valid()?, cell.test()?);
    let printed = paper.and_then(|p| p.cell(&cell.spec().data.dataset, cell.label()).test);
    let printed = printed.map_or(String::new(), |p| format!(" The paper prints {p:.2} %."));
    Some(format!(
        "Without poison ({}) the network found has {} test error with shared weights; validation \
         {:.1} %.{printed}",
        cell.name,
        with_seeds(test),
        valid.mean,
    ))
}

fn worst_cell(cells: &[Cell], cell: &Cell, test: Interval) -> String {
    let head = format!(
        "The worst repeated-op cell is {} ({}): {} test error",
        cell.name,
        cell.threat(),
        with_seeds(test)
    );
    let above = clean_of(cells, cell).and_then(|clean| cell.test_above(clean));
    match above {
        Some(above) => format!("{head}, {}", against_clean(above)),
        None => format!("{head}; there is no clean trial of the same seed to compare it with."),
    }
}

/// What a difference to the clean cell by seed amounts to.
fn against_clean(above: Interval) -> String {
    let side = if above.mean < 0.0 { "below" } else { "above" };
    let points = above.mean.abs();
    let Some(half) = above.half else {
        return format!(
            "{points:.1} points {side} clean. With one seed in common there is no interval to judge \
             that by."
        );
    };
    let verdict = if above.mean.abs() > half {
        "excludes 0"
    } else {
        "holds 0, so the difference may be chance"
    };
    format!(
        "{points:.1} points {side} clean. The 95 % interval of the differences by seed, {:.1} to \
         {:.1} points ({} seeds), {verdict}.",
        above.mean - half,
        above.mean + half,
        above.n
    )
}

/// How the error moves with q, for each set, in differences by seed.
fn rise(cells: &[Cell]) -> Option<String> {
    use PoisonSet::{P1, P2, P3, P4, P5};
    let mut parts = Vec::new();
    for set in [P1, P2, P3, P4, P5] {
        let mut steps: Vec<&Cell> = cells
            .iter()
            .filter(|c| {
                c.poison().is_some_and(|p| p.set == set)
                    && !c.screened()
                    && !c.random()
                    && c.policy() == NanPolicy::Torch
            })
            .collect();
        let q = |c: &Cell| c.poison().map_or(0, |p| p.q);
        steps.sort_by_key(|c| q(c));
        let Some(clean) = steps.first().and_then(|c| clean_of(cells, c)) else {
            continue;
        };
        steps.insert(0, clean);
        // One data set and one learner, or there is no order to speak of.
        if steps.len() < 3 || steps.windows(2).any(|w| q(w[0]) == q(w[1])) {
            continue;
        }
        let moves: Option<Vec<Interval>> =
            steps.windows(2).map(|w| w[1].test_above(w[0])).collect();
        let last = steps[steps.len() - 1];
        let (Some(moves), Some(whole)) = (moves, last.test_above(clean)) else {
            continue;
        };
        let up = moves.iter().filter(|m| m.mean > 0.0);
        let sure = up.clone().filter(|m| m.excludes_zero() == Some(true));
        let half = whole.half.map_or(String::new(), |h| format!(" ± {h:.1}"));
        parts.push(format!(
            "{set} up at {} of {} steps, {} of them by more than chance; {:+.1}{half} points at \
             q = {}",
            up.count(),
            moves.len(),
            sure.count(),
            whole.mean,
            q(last)
        ));
    }
    (!parts.is_empty()).then(|| {
        format!(
            "Test error with rising q, from clean step by step (means of the differences by seed; \
             more than chance: their 95 % interval excludes 0): {}.",
            parts.join(". ")
        )
    })
}

/// How a cell fared with NaN.
fn collapse(cell: &Cell) -> String {
    let (k, n) = (cell.collapses(), cell.done());
    let (low, high) = stats::wilson(k, n);
    let mut text = format!(
        "{} under {}: collapsed in {k} of {n} seeds (95 % interval of the share {:.0} to {:.0} %)",
        cell.label(),
        policy_name(cell.policy()),
        100.0 * low,
        100.0 * high
    );
    for (what, of) in [
        (
            "first non-finite gradient",
            (|o| o.first_nonfinite_step) as fn(&Outcome) -> Option<u64>,
        ),
        ("first non-finite weight", |o| o.first_nan_weight_step),
    ] {
        let steps = cell.records().map(|r| of(&r.outcome));
        if let Some(steps) = range(&steps.flatten().collect::<Vec<_>>()) {
            text = format!("{text}; {what} at {steps}");
        }
    }
    let skipped: u64 = cell.records().map(|r| r.outcome.nonfinite_steps).sum();
    let steps: u64 = cell.records().map(|r| r.outcome.steps).sum();
    if cell.policy() == NanPolicy::Guarded && steps > 0 {
        text = format!("{text}; {skipped} of {steps} steps skipped");
    }
    match cell.test() {
        Some(test) => format!("{text}. Test error {}.", with_seeds(test)),
        None => format!("{text}."),
    }
}

/// `step 7` or `steps 7 to 9`.
pub fn range(steps: &[u64]) -> Option<String> {
    let (low, high) = (steps.iter().min()?, steps.iter().max()?);
    Some(if low == high {
        format!("step {low}")
    } else {
        format!("steps {low} to {high}")
    })
}

fn retraining<'c>(cells: impl Iterator<Item = &'c Cell<'c>>) -> Option<String> {
    let parts: Vec<String> = cells
        .filter_map(|c| {
            let (scratch, shared) = (c.retrained()?, c.test()?);
            Some(format!(
                "{} {:.1} % (shared weights {:.1} %)",
                c.name, scratch.mean, shared.mean
            ))
        })
        .collect();
    (!parts.is_empty()).then(|| {
        format!(
            "Trained alone from scratch, the networks found have these mean test errors: {}.",
            parts.join("; ")
        )
    })
}

/// What the screen dropped in a cell: the ops, and in how many trials each.
pub fn dropped<'a>(cell: &Cell<'a>) -> Vec<(&'a ScreenedOp, usize)> {
    let mut ops: Vec<(&ScreenedOp, usize)> = Vec::new();
    for op in cell.records().flat_map(|r| &r.outcome.screened) {
        match ops
            .iter_mut()
            .find(|o| o.0.op == op.op && o.0.verdict == op.verdict)
        {
            Some(found) => found.1 += 1,
            None => ops.push((op, 1)),
        }
    }
    ops
}

/// Poison ops that the screen left in some trial.
pub fn missed(cell: &Cell) -> Vec<String> {
    let planted = cell.poison().map_or(Vec::new(), |p| p.set.members());
    let dropped = dropped(cell);
    planted
        .iter()
        .map(|(op, _)| op.to_string())
        .filter(|op| {
            let n: usize = dropped.iter().filter(|d| d.0.op == *op).map(|d| d.1).sum();
            n < cell.done()
        })
        .collect()
}

/// The cell that differs from a screened one in the defence alone.
pub fn unscreened<'c, 'a>(cells: &'c [Cell<'a>], cell: &Cell<'a>) -> Option<&'c Cell<'a>> {
    cells.iter().find(|c| {
        let (a, b) = (c.spec(), cell.spec());
        !c.screened() && a.data == b.data && a.threat == b.threat && a.learner == b.learner
    })
}

/// Whether every trial of a screened cell has the outcome of the clean trial of its seed: then it
/// is the clean search run again and no result of its own.
pub fn is_clean_again(cells: &[Cell], cell: &Cell) -> bool {
    let Some(clean) = clean_of(cells, cell).filter(|_| cell.screened() && cell.done() > 0) else {
        return false;
    };
    cell.records().all(|r| {
        let bare = Outcome {
            screened: Vec::new(),
            ..r.outcome.clone()
        };
        clean
            .records()
            .any(|c| c.spec.seed == r.spec.seed && c.outcome == bare)
    })
}

fn screen(cells: &[Cell], cell: &Cell) -> Option<String> {
    if !cell.screened() {
        return None;
    }
    let test = cell.test()?;
    let missed = missed(cell);
    let good = dropped(cell).iter().filter(|d| !d.0.poison).count();
    let verdict = match (missed.is_empty(), cell.poison().is_some()) {
        (_, false) => "the space held no poison".to_owned(),
        (true, true) => "every poison op was dropped".to_owned(),
        (false, true) => format!("it let pass {}", missed.join(", ")),
    };
    let clean_ops = match good {
        0 => "no clean op was".to_owned(),
        n => format!(
            "{n} clean op{} dropped too",
            if n == 1 { " was" } else { "s were" }
        ),
    };
    let mean = |c: Option<&Cell>| c.and_then(Cell::test).map(|i| format!("{:.1} %", i.mean));
    let mut beside = Vec::new();
    beside.extend(mean(unscreened(cells, cell)).map(|m| format!("{m} without the screen")));
    let again = is_clean_again(cells, cell);
    if !again {
        beside.extend(mean(clean_of(cells, cell)).map(|m| format!("{m} on the clean space")));
    }
    let beside = if beside.is_empty() {
        String::new()
    } else {
        format!(", beside {}", beside.join(" and "))
    };
    let same = if again {
        "identical to clean, seed by seed: the screen gave the clean space back; "
    } else {
        ""
    };
    Some(format!(
        "Screening the space of {} before the search: {verdict}, {clean_ops}; {same}test error \
         {}{beside}.",
        cell.label(),
        with_seeds(test),
    ))
}

/// The table for a terminal. Control characters in names are dropped.
pub fn text_table(run: &Run, cells: &[Cell], paper: Option<&Paper>) -> String {
    let title = if run.head.title.is_empty() {
        &run.head.name
    } else {
        &run.head.title
    };
    let mut rows = vec![[
        "cell".to_owned(),
        "threat".to_owned(),
        "NaN policy".to_owned(),
        "seeds".to_owned(),
        "valid error %".to_owned(),
        "test error %".to_owned(),
        "collapsed".to_owned(),
        "paper v/t".to_owned(),
    ]];
    let show = |i: Option<Interval>| i.map_or("-".to_owned(), |i| i.to_string());
    for cell in cells {
        // The paper screened nothing and has no random search.
        let printed = paper
            .filter(|_| !cell.screened() && !cell.random())
            .map(|p| p.cell(&cell.spec().data.dataset, cell.label()))
            .unwrap_or_default();
        let pair = |v: Option<f64>| v.map_or("-".to_owned(), |v| format!("{v:.2}"));
        let printed = match (printed.valid, printed.test) {
            (None, None) => "-".to_owned(),
            (valid, test) => format!("{} / {}", pair(valid), pair(test)),
        };
        rows.push([
            cell.name.clone(),
            cell.threat(),
            policy_name(cell.policy()).to_owned(),
            format!("{}/{}", cell.done(), cell.trials.len()),
            show(cell.valid()),
            show(cell.test()),
            format!("{}/{}", cell.collapses(), cell.done()),
            printed,
        ]);
    }
    for row in &mut rows {
        for field in row.iter_mut() {
            field.retain(|c| !c.is_control());
        }
    }
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max();
    let widths: Vec<usize> = (0..8).map(|c| width(c).unwrap_or(0)).collect();
    let mut out: String = title.chars().filter(|c| !c.is_control()).collect();
    out.push('\n');
    for row in &rows {
        let line: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(field, width)| format!("{field:<width$}"))
            .collect();
        out.push_str(line.join("  ").trim_end());
        out.push('\n');
    }
    out.push_str("mean ± half of the 95 % t-interval over seeds, shared weights\n");
    if cells.iter().any(|c| !c.complete()) {
        out.push_str("incomplete: cells with fewer seeds done than planned are means of those\n");
    }
    out
}
