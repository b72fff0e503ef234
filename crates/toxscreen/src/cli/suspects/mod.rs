//! `toxscreen suspects`: rows that are likely mislabelled or poisoned, ranked.

mod told;

use super::bilevel::{self, Rows, with_bar};
use super::options::Session;
use super::sarif::Sarif;
use super::{Output, Result, json, usage};
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde_json::{Value, json as object};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tox_audits::commands::rows::Source;
use tox_audits::commands::suspects::{Known, Listed, page, table};
use tox_audits::error::Fails;
use tox_bilevel::own::complete;
use tox_data::features::Features;
use tox_data::patch::Patch;
use tox_poison::cleanse::CleanseError;
use tox_poison::suspects::{self as methods, COMBINED, Case, METHODS, Settings, Suspects as Found};
use tox_study::files;
use tox_study::trial::{Exit, Failure};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  toxscreen suspects --data my.npz
  toxscreen suspects --data my.npz --trusted trusted.npz --out out/suspects
  toxscreen suspects --data table.csv --label kind --method knn,confident --json
  toxscreen suspects --data poisoned.npz --trusted trusted.npz --known poisoned.patch.npz
  toxscreen suspects --data table.csv --sarif suspects.sarif      for the code view of a host

Each method scores every row; rows are in the order of the mean of their ranks. --trusted rows are
such that somebody has looked at; loss and hypergradient learn from them and are left out without
them: rows held out of those that are judged may be poisoned themselves. Where poison may have
been crafted, bring trusted rows and trust hypergradient more than the others
(docs/guide/suspects.md).

Writes, into --out DIR: suspects.csv (all rows), suspects.json, report.html (the first rows, with
images) and probabilities.csv (of all classes, by models that did not see the row).
Exit codes: 0 done, 1 training diverged, 2 wrong usage, 3 data, 130 stopped by Ctrl-C (nothing is
kept).")]
pub struct Suspects {
    #[command(flatten)]
    pub looking: Looking,
    /// Patch that is known to be in the data, .npz, to measure the methods by: precision at the budget and
    /// average precision
    #[arg(long, value_name = "FILE")]
    pub known: Option<PathBuf>,
    /// Folder to write suspects.csv, suspects.json and report.html into
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub sarif: Sarif,
    #[command(flatten)]
    pub session: Session,
}

/// What is looked at, and how.
#[derive(clap::Args)]
pub struct Looking {
    #[command(flatten)]
    pub rows: Rows,
    /// File of rows whose labels are surely right, in the form of --data
    #[arg(long, value_name = "FILE")]
    pub trusted: Option<String>,
    /// Methods, several with commas between them
    #[arg(long, value_name = "METHODS", value_delimiter = ',', default_value = COMBINED, value_parser = method())]
    pub method: Vec<String>,
    #[command(flatten)]
    pub numbers: Numbers,
}

/// Numbers of the methods.
#[derive(clap::Args)]
pub struct Numbers {
    /// knn: neighbours
    #[arg(long, value_name = "N", default_value_t = Settings::default().k)]
    pub k: usize,
    /// Inverse strength of the penalty of every logistic regression, as scikit-learn's C
    #[arg(long, value_name = "C", default_value_t = Settings::default().c, allow_negative_numbers = true)]
    pub c: f64,
    /// confident and hypergradient: folds
    #[arg(long, value_name = "N", default_value_t = Settings::default().folds)]
    pub folds: usize,
    /// hypergradient: steps of gradient descent that are differentiated
    #[arg(long, value_name = "T", default_value_t = Settings::default().steps)]
    pub steps: usize,
    /// hypergradient: most times that the weights of the rows are moved; cross-validation of the trusted rows says
    /// how many are
    #[arg(long, value_name = "N", default_value_t = Settings::default().iterations)]
    pub iterations: usize,
    /// hypergradient: the first move of a row whose derivative is larger than those of 95 % of the rows
    #[arg(long, value_name = "RATE", default_value_t = Settings::default().rate, allow_negative_numbers = true)]
    pub rate: f64,
}

fn method() -> PossibleValuesParser {
    let named = METHODS.iter().map(|method| {
        let trusted = if method.needs_trusted() {
            " (needs --trusted)"
        } else {
            ""
        };
        PossibleValue::new(method.name()).help(format!("{}{trusted}", method.about()))
    });
    let all = PossibleValue::new(COMBINED).help("the mean of the ranks of all that can be asked");
    PossibleValuesParser::new(named.chain([all]))
}

/// Why rows cannot be judged, and what to change.
pub fn failed(error: CleanseError) -> Failure {
    let (exit, hint) = match &error {
        CleanseError::Setting { key, .. } => {
            let option = key.strip_prefix("settings.").unwrap_or(key);
            (Exit::Usage, Some(format!("change --{option}")))
        }
        CleanseError::FewToJudge { .. } => (Exit::Data, Some("lower --k or --folds".to_owned())),
        CleanseError::Trusted { .. } => (
            Exit::Data,
            Some("bring rows that somebody has looked at, with --trusted".to_owned()),
        ),
        CleanseError::Both(..)
        | CleanseError::FewRows { .. }
        | CleanseError::Method { .. }
        | CleanseError::Untrusted { .. }
        | CleanseError::Table(_)
        | CleanseError::Known { .. }
        | CleanseError::FewLeft { .. }
        | CleanseError::ClassGone { .. }
        | CleanseError::Classifier(_) => (Exit::Failed, None),
    };
    Failure {
        hint,
        ..Failure::new(exit, &error)
    }
}

impl Looking {
    pub fn settings(&self) -> Settings {
        let Numbers {
            k,
            c,
            folds,
            steps,
            iterations,
            rate,
        } = self.numbers;
        Settings {
            k,
            c,
            folds,
            steps,
            iterations,
            rate,
        }
    }

    /// Reads the data and the trusted rows.
    pub fn read(&self) -> Result<Source> {
        self.settings().check().map_err(failed)?;
        let source = self.rows.read(self.trusted.as_deref())?;
        complete(&source.data.sets.train).map_err(Fails::fails)?;
        Ok(source)
    }

    /// Judges the rows, with a bar. `None` if it was stopped.
    pub fn look(
        &self,
        source: &Source,
        session: &Session,
        stop: &AtomicBool,
    ) -> Result<Option<Found>> {
        session.pool();
        let settings = self.settings();
        let (rows, trusted) = (&source.data.sets.train, source.trusted.as_ref());
        let asked = methods::named(&self.method).map_err(failed)?;
        let found = with_bar("suspects", stop, |stop, progress| {
            let case = Case::new(rows, trusted, &settings, session.seed)?;
            methods::find(&case, &asked, &mut |done, what| {
                progress(done, what);
                !stop()
            })
        });
        found.map_err(failed)
    }

    /// What a result depends on.
    pub fn asked(&self, source: &Source, session: &Session) -> Value {
        object!({
            "version": env!("CARGO_PKG_VERSION"),
            "data": self.rows.set.data,
            "trusted": self.trusted,
            "hashes": source.hashes(),
            "notes": source.data.notes,
            "seed": session.seed,
            "methods": self.method,
            "settings": self.settings(),
        })
    }
}

pub fn suspects(args: &Suspects) -> Result<Output> {
    args.session.cpu_alone("suspects")?;
    let stop = bilevel::interrupted()?;
    let source = args.looking.read()?;
    let patch = match &args.known {
        Some(path) => Some(Patch::load(path).map_err(|e| Failure::new(Exit::Data, &e))?),
        None => None,
    };
    let Some(found) = args.looking.look(&source, &args.session, &stop)? else {
        return Ok(super::stopped(format_args!("nothing was kept")));
    };
    let rows = &source.data.sets.train;
    let known = match &patch {
        Some(patch) => {
            let known = Known::of(patch, rows, &found);
            Some(known.map_err(|e| Failure::new(Exit::Data, &e))?)
        }
        None => None,
    };
    let hashes = source.hashes();
    let listed = Listed {
        name: &args.looking.rows.set.data,
        rows,
        trusted: source.trusted.as_ref().map(|trusted| trusted.rows),
        suspects: &found,
        known: known.as_ref(),
        seed: args.session.seed,
        hash: hashes["train"].as_str().unwrap_or_default(),
    };
    if args.sarif.sarif.is_some() {
        let lines = source.data.text_rows()?.map(|text| text.lines());
        let file = Path::new(&args.looking.rows.set.data);
        args.sarif.write(&told::found(&listed, file, lines))?;
    }
    let mut report = args.looking.asked(&source, &args.session);
    told::report(&mut report, &listed);
    let report = json(&report)?;
    let mut written = Vec::new();
    if let Some(dir) = &args.out {
        let page = page::html(&listed).map_err(|e| Failure::new(Exit::Failed, &e))?;
        let mut all = vec![
            ("suspects.csv", table::csv(&listed)),
            ("suspects.json", report.clone()),
            ("report.html", page),
        ];
        let probabilities = table::probabilities(&listed);
        all.extend(probabilities.map(|text| ("probabilities.csv", text)));
        written = write(dir, &all)?;
    }
    Ok(Output::done(match args.session.json {
        true => report,
        false => told::tell(&listed, &written),
    }))
}

/// Writes files into a folder, and returns their paths.
fn write(dir: &Path, all: &[(&str, String)]) -> Result<Vec<PathBuf>> {
    let failed = |e: files::FileError| {
        let path = dir.display();
        usage(
            e.to_string(),
            format!("give --out a folder that can be written, instead of {path}"),
        )
    };
    files::create_dir(dir).map_err(failed)?;
    let mut written = Vec::new();
    for (name, content) in all {
        let path = dir.join(name);
        files::write_atomic(&path, content.as_bytes()).map_err(failed)?;
        written.push(path);
    }
    Ok(written)
}

/// Labels of `rows` for which the name of the class is told.
pub fn class(rows: &Features, label: u16) -> &str {
    &rows.class_names[usize::from(label)]
}
