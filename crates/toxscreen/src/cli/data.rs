//! `toxscreen data`: what is here, and how to get what is not.

use super::options::Folder;
use super::{Output, Result, json, progress, table, usage};
use clap::Subcommand;
use indicatif::ProgressBar;
use std::io::IsTerminal;
use tox_data::{DataDir, DatasetInfo};
use tox_search::table::{FILE, ROBUST_FILE, TableError};

/// Tables of cells: the name that `fetch` knows, what they are of, and the file.
const TABLES: [(&str, &str, &str); 2] = [
    ("nasbench201", "NAS-Bench-201", FILE),
    ("nas-robbench-201", "NAS-RobBench-201", ROBUST_FILE),
];

#[derive(clap::Args)]
pub struct Data {
    #[command(subcommand)]
    pub command: DataCommand,
}

#[derive(Subcommand)]
pub enum DataCommand {
    /// List the known data sets and which are here
    #[command(after_help = "Example:\n  toxscreen data ls --data-dir ~/data")]
    Ls {
        #[command(flatten)]
        folder: Folder,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Download a data set from its official address and check it
    #[command(
        after_help = "Example:\n  toxscreen data fetch cifar10\n\nExit codes: 0 done, 3 it could not be fetched."
    )]
    Fetch {
        /// A data set of `toxscreen data ls`, such as cifar10
        name: String,
        #[command(flatten)]
        folder: Folder,
    },
}

pub fn data(command: DataCommand) -> Result<Output> {
    match command {
        DataCommand::Ls { folder, json } => ls(&folder.dir()?, json),
        DataCommand::Fetch { name, folder } => fetch(&name, &folder.dir()?),
    }
}

fn ls(dir: &DataDir, as_json: bool) -> Result<Output> {
    let sets = tox_data::list(dir);
    if as_json {
        return json(&sets).map(Output::done);
    }
    let row = |s: &DatasetInfo| {
        let [channels, height, width] = s.shape;
        let count = |n: usize| if s.found { n.to_string() } else { "-".into() };
        vec![
            s.name.clone(),
            if s.found { "here" } else { "not here" }.to_owned(),
            count(s.train),
            count(s.test),
            format!("{channels}x{height}x{width}"),
            s.classes.to_string(),
            s.licence.clone(),
        ]
    };
    let rows: Vec<_> = sets.iter().map(row).collect();
    let head = [
        "name", "state", "train", "test", "shape", "classes", "licence",
    ];
    let mut text = format!(
        "{}\ndata folder: {}\n",
        table(&head, &rows),
        dir.path().display()
    );
    for (_, title, file) in TABLES {
        let here = match dir.path().join(file).is_file() {
            true => "here",
            false => "not here",
        };
        text += &format!("table of {title}: {here}\n");
    }
    Ok(Output::done(text))
}

fn fetch(name: &str, dir: &DataDir) -> Result<Output> {
    // Their publishers offer no such file.
    if let Some((_, title, file)) = TABLES.iter().find(|(known, ..)| *known == name) {
        let path = dir.path().join(file);
        let missing = TableError::Missing { path };
        return Err(usage(
            format!("the table of {title} cannot be fetched"),
            missing.to_string(),
        ));
    }
    let style = "{bytes} of {total_bytes} {bar:30} {bytes_per_sec}, {left}";
    let bar = if std::io::stderr().is_terminal() {
        ProgressBar::no_length().with_style(progress::bytes(style))
    } else {
        ProgressBar::hidden()
    };
    let folder = tox_data::fetch(name, dir, &mut |there, all| {
        if let Some(all) = all {
            bar.set_length(all);
        }
        bar.set_position(there);
    });
    bar.finish_and_clear();
    Ok(Output::done(format!(
        "{name} is in {}\n",
        folder?.display()
    )))
}
