//! `toxscreen suspects`: rows that are likely mislabelled or poisoned, ranked.

mod told;

use super::bilevel::{self, Rows};
use super::options::Session;
use super::sarif::Sarif;
use super::single::{self, Kept, Ran, Single};
use super::{Output, Result, json};
use crate::cli::files::Files;
use clap::builder::{PossibleValue, PossibleValuesParser};
use serde_json::{Value, json as object};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use tox_audits::error::Fails;
use tox_audits::rows::Source;
use tox_audits::suspects::outcome::SuspectsOutcome;
use tox_audits::suspects::{KIND, SuspectsConfig, TABLES};
use tox_bilevel::own::complete;
use tox_data::features::Features;
use tox_data::hashed::HashedFile;
use tox_poison::cleanse::CleanseError;
use tox_poison::suspects::{COMBINED, Case, METHODS, Settings, askable, named};
use tox_study::files;
use tox_study::part::Part;
use tox_study::store::unoccupied;

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
images) and probabilities.csv (of all classes, by models that did not see the row). DIR is a study of
one trial, which `toxscreen verify` runs again.
Exit codes: 0 done, 1 training diverged, 2 wrong usage, 3 data, 130 stopped by Ctrl-C (it begins
anew).")]
pub struct Suspects {
    #[command(flatten)]
    pub looking: Looking,
    /// Patch that is known to be in the data, .npz, to measure the methods by: precision at the budget and
    /// average precision
    #[arg(long, value_name = "FILE")]
    pub known: Option<PathBuf>,
    /// Folder of a study of this one trial, into which suspects.csv, suspects.json and report.html are
    /// written too [default: nothing is kept]
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

impl Looking {
    fn config(&self, known: Option<&Path>) -> SuspectsConfig {
        let Numbers {
            k,
            c,
            folds,
            steps,
            iterations,
            rate,
        } = self.numbers;
        SuspectsConfig {
            trusted: self.trusted.as_deref().map(|file| self.rows.trusted(file)),
            method: self.method.clone(),
            settings: Settings {
                k,
                c,
                folds,
                steps,
                iterations,
                rate,
            },
            known: known.map(HashedFile::unread),
        }
    }

    /// Reads the data and the trusted rows, and refuses what cannot be judged.
    pub fn read(&self) -> Result<Source> {
        let config = self.config(None);
        config.settings.check().map_err(Fails::fails)?;
        let source = self.rows.read(self.trusted.as_deref())?;
        let (rows, trusted) = (&source.data.sets.train, source.trusted.as_ref());
        complete(rows).map_err(Fails::fails)?;
        let methods = named(&config.method).map_err(|e| CleanseError::from(e).fails())?;
        askable(&methods, trusted.is_some()).map_err(Fails::fails)?;
        Case::check(rows, trusted, &config.settings).map_err(Fails::fails)?;
        Ok(source)
    }

    /// Judges the rows, in a study of one trial in the folder `out`. `None` if it was stopped.
    pub fn judge(
        &self,
        known: Option<&Path>,
        out: Option<&Path>,
        session: &Session,
        stop: &AtomicBool,
    ) -> Result<Option<Ran>> {
        session.pool();
        let learner = Part::new(KIND, &self.config(known));
        let recipe = single::recipe("suspects", &learner, &self.rows.spec(0), session.seed);
        let folder = &self.rows.set.folder;
        let single = Single {
            study: &single::study(&recipe, session.seed, &folder.dir()?, &[])?,
            kept: &Kept::folder(out),
            session,
            data_dir: folder.data_dir.as_deref(),
        };
        single.run("suspects", stop)
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
            "settings": self.config(None).settings,
        })
    }
}

/// Name of the file of what was found, in the folder of the study.
const REPORT: &str = "suspects.json";

pub fn suspects(args: &Suspects) -> Result<Output> {
    args.session.cpu_alone("suspects")?;
    let (known, out) = (args.known.as_deref(), args.out.as_deref());
    let rows = [
        Some(args.looking.rows.set.data.as_str()),
        args.looking.trusted.as_deref(),
    ];
    Files::default()
        .data(rows.into_iter().flatten())
        .read(known)
        .written("--sarif", args.sarif.sarif.as_deref())
        .check()?;
    let stop = bilevel::interrupted()?;
    let looking = &args.looking;
    if let Some(out) = out.filter(|out| !out.join("study.toml").exists()) {
        unoccupied(out, TABLES.into_iter().chain([REPORT]))?;
    }
    let source = looking.read()?;
    let Some(ran) = looking.judge(known, out, &args.session, &stop)? else {
        return Ok(Output::stopped());
    };
    let found: SuspectsOutcome = ran.outcome()?;
    if args.sarif.sarif.is_some() {
        let lines = source.data.text_rows()?.map(|text| text.lines());
        let file = Path::new(&looking.rows.set.data);
        args.sarif.write(&told::found(&found, file, lines))?;
    }
    let mut report = looking.asked(&source, &args.session);
    told::report(&mut report, &found);
    let report = json(&report)?;
    let mut written = Vec::new();
    if let Some(out) = out {
        let mut write = |name: &str, text: &str| -> Result<()> {
            let path = out.join(name);
            files::write_atomic(&path, text.as_bytes())?;
            written.push(path);
            Ok(())
        };
        for name in TABLES {
            let table = ran.folder.join(name);
            if table.is_file() {
                write(name, &files::read(&table)?)?;
            }
        }
        write(REPORT, &report)?;
        written.push(out.join("report.html"));
    }
    Ok(Output::done(match args.session.json {
        true => report,
        false => told::tell(&found, &written),
    }))
}

/// Labels of `rows` for which the name of the class is told.
pub fn class(rows: &Features, label: u16) -> &str {
    &rows.class_names[usize::from(label)]
}
