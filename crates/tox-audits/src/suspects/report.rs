//! The standard report, with the first suspects of each cell's first trial, and their images.

use super::outcome::{Image, Suspect, SuspectsOutcome};
use super::{KIND, SuspectsConfig};
use tox_report::columns::{Field, Table};
use tox_report::numbers::percent;
use tox_report::raster::{Png, bytes};
use tox_report::run::{Run, Types};
use tox_report::standard::{self, Own, Section};
use tox_report::svg::Svg;
use tox_report::{Made, ReportError, Reporter};
use tox_study::house::House;

/// Side of a picture, in pixels of a screen.
const SIDE: f64 = 56.0;

/// Made by this module.
pub struct SuspectsReport;

impl Reporter for SuspectsReport {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn types(&self) -> Types {
        Types::of::<SuspectsConfig, SuspectsOutcome>()
    }

    fn make(&self, _house: &House, run: &Run) -> Result<Made, ReportError> {
        let cells = all(run);
        let first = cells.iter().filter_map(|cell| {
            let record = cell.records().next()?;
            Some((cell.name.as_str(), record.spec.seed, record.outcome))
        });
        let first: Vec<_> = first.collect();
        let add = Own {
            findings: first
                .iter()
                .flat_map(|(name, _, o)| findings(name, o))
                .collect(),
            sections: first
                .iter()
                .map(|(name, seed, o)| section(name, *seed, o))
                .collect(),
            pictures: true,
            ..Own::default()
        };
        standard::with(run, add)
    }

    fn headline(&self, _house: &House, run: &Run) -> String {
        standard::headline(run)
    }
}

tox_report::cells_of!(SuspectsConfig, SuspectsOutcome);

fn section(name: &str, seed: u64, outcome: &SuspectsOutcome) -> Section {
    let shown = &outcome.suspects;
    let caption = format!(
        "{name}, seed {seed}: the most suspicious of {} rows, in order",
        outcome.rows
    );
    let mut table =
        Table::of(caption, shown).column("Row", |s: &Suspect| Field::number(s.row.to_string()));
    if shown.iter().any(|s| s.image.is_some()) {
        table = table.column("Image", |s| {
            let drawn = s.image.as_ref().and_then(|image| picture(s.row, image));
            drawn.unwrap_or_else(|| Field::text(""))
        });
    }
    table = table
        .column("Label", |s| Field::text(&s.label))
        .column("Suggested", |s| Field::text(s.other().unwrap_or_default()));
    for score in &outcome.main {
        table = table.column(score.as_str(), |s| Field::value(s.score(score)));
    }
    Section {
        title: "Suspects",
        table: table.column("Why", |s| Field::long(&s.reason)).table(),
        note: "A rank is no proof: look at a row before you drop it. All rows, with every score, are in suspects.csv \
               beside the record; toxscreen clean writes the data without the first of them.",
    }
}

/// What is to be said first.
fn findings(name: &str, outcome: &SuspectsOutcome) -> Vec<String> {
    let mut said = vec![format!(
        "{name}: {} rows in {} classes were judged by {}. Rows are in the order of the mean of their ranks.",
        outcome.rows,
        outcome.classes.len(),
        outcome.methods.join(", ")
    )];
    if let Some(first) = outcome.suspects.first() {
        said.push(format!("{name}: the most suspicious is {}.", first.words()));
    }
    if !outcome.left_out.is_empty() {
        said.push(format!(
            "{name}: {} learn from trusted rows, of which there are none: they were left out.",
            outcome.left_out.join(" and ")
        ));
    }
    if let Some(known) = &outcome.known {
        let main = known
            .scores
            .iter()
            .filter(|q| outcome.main.contains(&q.score));
        // Of equal ones the first.
        let best = main
            .rev()
            .max_by(|a, b| a.average_precision.total_cmp(&b.average_precision));
        said.extend(best.map(|best| {
            format!(
                "{name}: of {} rows that are known to be poisoned, {} finds {} among its first {} (average \
                 precision {:.3}).",
                known.budget,
                best.score,
                percent(best.precision),
                known.budget,
                best.average_precision
            )
        }));
    }
    said
}

fn picture(row: usize, image: &Image) -> Option<Field> {
    let png = Png::planar(image.shape, &bytes(&image.pixels)?)?;
    let title = format!("row {row}");
    let mut svg = Svg::new(SIDE, SIDE);
    svg.image((0.0, 0.0), (SIDE, SIDE), &title, &png);
    Some(Field::drawing(svg.inline(&format!("row-{row}"), &title)))
}
