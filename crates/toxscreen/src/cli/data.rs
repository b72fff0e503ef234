//! `toxscreen data`: what is here, and how to get what is not.

use super::args::DataCommand;
use super::{Output, Usage, json, progress, table};
use indicatif::ProgressBar;
use std::io::IsTerminal;
use tox_data::{DataDir, DatasetInfo};
use tox_search::table::{FILE, TableError};

pub fn data(command: DataCommand) -> anyhow::Result<Output> {
    match command {
        DataCommand::Ls { data_dir, json } => {
            let dir = DataDir::resolve(data_dir.as_deref())?;
            ls(&dir, json)
        }
        DataCommand::Fetch { name, data_dir } => {
            let dir = DataDir::resolve(data_dir.as_deref())?;
            fetch(&name, &dir)
        }
    }
}

fn ls(dir: &DataDir, as_json: bool) -> anyhow::Result<Output> {
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
    let found = dir.path().join(FILE).is_file();
    Ok(Output::done(format!(
        "{}\ndata folder: {}\ntable of NAS-Bench-201: {}\n",
        table(&head, &rows),
        dir.path().display(),
        if found { "here" } else { "not here" }
    )))
}

fn fetch(name: &str, dir: &DataDir) -> anyhow::Result<Output> {
    if name == "nasbench201" {
        // Its publishers offer no file of accuracies alone.
        let path = dir.path().join(FILE);
        let missing = TableError::Missing { path };
        return Err(Usage::new(
            "the table of NAS-Bench-201 cannot be fetched",
            missing.to_string(),
        )
        .into());
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
