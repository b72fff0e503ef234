//! `toxscreen clean`: a copy of the data without their suspects, or with these relabelled.

use super::bilevel;
use super::files::Files;
use super::options::Session;
use super::suspects::{Looking, class};
use super::{Output, Result, bug, json, system, usage};
use serde_json::{Value, json as object};
use std::path::{Path, PathBuf};
use tox_audits::suspects::TABLES;
use tox_audits::suspects::table::{self, Line};
use tox_data::features::is_text;
use tox_data::patch::Patch;
use tox_data::text;
use tox_study::files;
use tox_study::trial::{Exit, Failure};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen clean --data my.npz --share 0.05 --out cleaned.npz
  toxscreen clean --data my.npz --suspects out/suspects.csv --share 0.05 --relabel --out cleaned.npz
  toxscreen clean --data my.npz --suspects looked-at.csv --out cleaned.npz
  toxscreen clean --data my.csv --label kind --share 0.05 --out cleaned.csv

With --share, the first rows of the order of `toxscreen suspects` go: of the table of --suspects,
or, without one, of an order made now. Without --share, all rows of the table go: take the lines
out that you want to keep.

Writes FILE, the data in the form that their file has them in, and FILE.json, which names the rows.
Of a table of text FILE is a .csv or .tsv, in which the rows that stay are what they were, or an
.npz; of all else an .npz.
Exit codes: 0 done, 1 training diverged, 2 wrong usage, 3 data, 130 stopped by Ctrl-C (nothing is
kept).")]
pub struct Clean {
    #[command(flatten)]
    pub looking: Looking,
    /// Table of suspects, as `toxscreen suspects` writes it
    #[arg(long, value_name = "FILE", required_unless_present = "share")]
    pub suspects: Option<PathBuf>,
    /// Share of the rows that are suspects, above 0 and below 1; rounded down to whole rows
    #[arg(long, value_name = "SHARE", allow_negative_numbers = true)]
    pub share: Option<f64>,
    /// Give suspects the suggested label in place of dropping them; one without another label stays
    #[arg(long)]
    pub relabel: bool,
    /// The file to write, .npz; of a table of text .csv or .tsv too
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    #[command(flatten)]
    pub session: Session,
}

pub fn clean(args: &Clean) -> Result<Output> {
    args.session.cpu_alone("clean")?;
    checked(args)?;
    let stop = bilevel::interrupted()?;
    let source = args.looking.read()?;
    let rows = &source.data.sets.train;
    let text = match is_text(&args.out) {
        true => Some(source.data.text_rows()?.ok_or_else(|| not_text(args))?),
        false => None,
    };
    let lines: Vec<Line> = match &args.suspects {
        Some(path) => {
            let of = |what: String| {
                let message = format!("{}: {what}", path.display());
                Failure::new(Exit::Data, &message)
            };
            let text = text::read(path).map_err(|e| of(e.to_string()))?;
            if let Some(other) = of_other_rows(path, &source.hashes()["train"]) {
                return Err(
                    of(other).hinted("rank the rows of these data with `toxscreen suspects`")
                );
            }
            table::read(&text, &rows.labels, &rows.class_names).map_err(|e| of(e.to_string()))?
        }
        None => {
            let Some(ran) = args.looking.judge(None, None, &args.session, &stop)? else {
                return Ok(Output::stopped());
            };
            let text = files::read(&ran.folder.join(TABLES[0]))?;
            table::read(&text, &rows.labels, &rows.class_names).map_err(|e| bug(&e.to_string()))?
        }
    };
    let count = match args.share {
        Some(share) => tox_data::share::of(share, rows.rows).min(lines.len()),
        None => lines.len(),
    };
    let suspects = &lines[..count];
    if count == 0 || count == rows.rows {
        return Err(usage(
            format!(
                "{count} of {} rows are suspects: expected some, and not all",
                rows.rows
            ),
            "give --share the part of the rows that goes, or take lines out of the table",
        ));
    }
    let mut keep = vec![true; rows.rows];
    let mut labels = Vec::new();
    for line in suspects {
        match args.relabel {
            true if line.suggested != rows.labels[line.row] => {
                labels.push((line.row, line.suggested));
            }
            true => {}
            false => keep[line.row] = false,
        }
    }
    let kept: Vec<usize> = (0..rows.rows).filter(|row| keep[*row]).collect();
    let mut left = vec![0usize; rows.class_names.len()];
    kept.iter()
        .for_each(|row| left[usize::from(rows.labels[*row])] += 1);
    for (row, label) in &labels {
        left[usize::from(rows.labels[*row])] -= 1;
        left[usize::from(*label)] += 1;
    }
    if let Some(gone) = left.iter().position(|count| *count == 0) {
        return Err(usage(
            format!("no row of class {} would be left", class(rows, gone as u16)),
            "lower --share, or take its rows out of the table",
        ));
    }
    match text {
        Some(text) => {
            // A label is written as the first row that has it writes it.
            let has = |label: u16| rows.labels.iter().position(|found| *found == label);
            let like = labels.iter();
            let like: Vec<(usize, usize)> = like
                .filter_map(|(row, label)| Some((*row, has(*label)?)))
                .collect();
            text.write(&kept, &like, &args.out)
                .map_err(|e| system(&format!("write {}", args.out.display()), &e))?;
        }
        None => (source.data.save_rows(&kept, &labels, &args.out))
            .map_err(|e| Failure::new(Exit::Failed, &e))?,
    }
    let mut manifest = args.looking.asked(&source, &args.session);
    manifest["format"] = "toxscreen cleaning v1".into();
    manifest["suspects"] = object!(args.suspects);
    manifest["share"] = object!(args.share);
    manifest["rows"] = rows.rows.into();
    let named = suspects.iter().map(|line| {
        let other = (args.relabel && line.suggested != rows.labels[line.row])
            .then(|| class(rows, line.suggested));
        object!({
            "row": line.row,
            "label": class(rows, rows.labels[line.row]),
            "becomes": other,
        })
    });
    let named: Vec<Value> = named.collect();
    let (dropped, relabelled) = (rows.rows - kept.len(), labels.len());
    manifest["dropped"] = dropped.into();
    manifest["relabelled"] = relabelled.into();
    manifest["cleaned"] = named.into();
    let manifest = json(&manifest)?;
    let beside = Patch::manifest_path(&args.out);
    files::write_named(&beside, manifest.as_bytes()).map_err(|e| Failure::new(Exit::Failed, &e))?;
    Ok(Output::done(match args.session.json {
        true => manifest,
        false => format!(
            "{count} of {} rows are suspects: {dropped} dropped, {relabelled} relabelled, {} left as they are\n\
             wrote {}\nwrote {}\n",
            rows.rows,
            count - dropped - relabelled,
            args.out.display(),
            beside.display()
        ),
    }))
}

/// What is wrong if `suspects.json` lies beside the table and was made of other rows than those of this hash. A
/// table that lies alone may be anybody's.
fn of_other_rows(table: &Path, hash: &Value) -> Option<String> {
    let beside = table.with_extension("json");
    let report: Value = serde_json::from_str(&text::read(&beside).ok()?).ok()?;
    let found = report["hashes"]["train"].as_str()?;
    (Some(found) != hash.as_str()).then(|| {
        let name = beside.display();
        format!("it is of other rows: {name} says BLAKE3 {found}, and these are {hash}")
    })
}

/// That only a table of text is written as one.
fn not_text(args: &Clean) -> Failure {
    let (out, data) = (args.out.display(), &args.looking.rows.set.data);
    usage(
        format!("--out {out}: {data} is no table of text, so none can be written of it"),
        "name the file FILE.npz",
    )
}

/// Refuses what makes no sense before anything is read.
fn checked(args: &Clean) -> Result<()> {
    let out = &args.out;
    if out.extension().is_none_or(|e| e != "npz") && !is_text(out) {
        let expected = "expected a name that ends in .npz, or, of a table of text, in .csv or .tsv";
        let message = format!("--out {}: {expected}", out.display());
        return Err(usage(message, "name the file FILE.npz"));
    }
    let rows = [
        Some(args.looking.rows.set.data.as_str()),
        args.looking.trusted.as_deref(),
    ];
    Files::default()
        .data(rows.into_iter().flatten())
        .read(args.suspects.as_deref())
        .written("--out", [out.as_path(), &Patch::manifest_path(out)])
        .check()?;
    match args.share {
        // Not a number is no share.
        Some(share) if !(share > 0.0 && share < 1.0) => Err(usage(
            format!("--share {share}: expected a share of the rows above 0 and below 1"),
            "give --share the part of the rows that you believe to be poisoned, such as 0.05",
        )),
        _ => Ok(()),
    }
}
