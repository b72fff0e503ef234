//! `report.html` of suspects: the first of them, with their images where rows are images.

use super::Listed;
use tox_data::features::{Features, Values};
use tox_report::columns::{Field, Table};
use tox_report::numbers::{number, percent};
use tox_report::page;
use tox_report::provenance::Fact;
use tox_report::raster::Png;
use tox_report::svg::Svg;
use tox_report::{ReportError, context};

const PAGE: (&str, &str) = ("suspects.html", include_str!("templates/suspects.html"));

/// Rows on the page; all are in `suspects.csv`.
const SHOWN: usize = 100;
/// Side of a picture, in pixels of a screen.
const SIDE: f64 = 56.0;

/// The page.
///
/// # Errors
/// When it cannot be rendered.
pub fn html(listed: &Listed<'_>) -> Result<String, ReportError> {
    let (rows, suspects) = (listed.rows, listed.suspects);
    let shown = &suspects.order[..suspects.order.len().min(SHOWN)];
    let mut table = Table::of("The most suspicious rows, in order", shown)
        .column("Row", |row| Field::number(row.to_string()));
    if rows.shape.is_some() {
        let (low, high) = range(rows);
        table = table.column("Image", move |row| picture(rows, *row, (low, high)));
    }
    table = table
        .column("Label", |row| Field::text(listed.class(rows.labels[*row])))
        .column("Suggested", |row| {
            Field::text(listed.suggested(*row).unwrap_or_default())
        });
    for score in listed.main_scores() {
        table = table.column(score.name, move |row| {
            Field::value(Some(score.values[*row]))
        });
    }
    let table = table.column("Why", |row| Field::long(suspects.reason(*row)));
    let own = context! {
        suspects => table.table().value(),
        quality => quality(listed).map(|table| table.value()),
    };
    let title = format!("Suspects in {}", listed.name);
    page::alone(PAGE, &title, &findings(listed), &facts(listed), own)
}

/// How well each score finds the known poison.
fn quality(listed: &Listed<'_>) -> Option<Table> {
    let known = listed.known?;
    let table = Table::of("Against the known poison", &known.scores)
        .column("Score", |q| Field::text(q.score).code())
        .column("Precision at the budget", |q| {
            Field::number(percent(q.precision))
        })
        .column("Average precision", |q| {
            Field::number(format!("{:.3}", q.average_precision))
        });
    Some(table.table())
}

/// What is to be said first.
fn findings(listed: &Listed<'_>) -> Vec<String> {
    let (rows, suspects) = (listed.rows, listed.suspects);
    let names: Vec<&str> = suspects.found.iter().map(|(name, _)| *name).collect();
    let mut all = vec![format!(
        "{} rows in {} classes were judged by {}. Rows are in the order of the mean of their ranks.",
        rows.rows,
        rows.class_names.len(),
        names.join(", ")
    )];
    if let Some(first) = suspects.order.first() {
        let suggested = listed.suggested(*first).map_or_else(
            || "no other label is suggested for it".to_owned(),
            |label| format!("suggested: {label}"),
        );
        all.push(format!(
            "The most suspicious is row {first}, labelled {} ({suggested}): {}.",
            listed.class(rows.labels[*first]),
            suspects.reason(*first)
        ));
    }
    if !suspects.left_out.is_empty() {
        all.push(format!(
            "{} learn from trusted rows, of which there are none: they were left out.",
            suspects.left_out.join(" and ")
        ));
    }
    if let Some(known) = listed.known {
        let by = |a: &&super::Quality, b: &&super::Quality| {
            a.average_precision.total_cmp(&b.average_precision)
        };
        let main: Vec<&str> = (listed.main_scores().iter())
            .map(|score| score.name)
            .collect();
        let scores = known.scores.iter().filter(|q| main.contains(&q.score));
        // Of equal ones the first.
        if let Some(best) = scores.rev().max_by(by) {
            all.push(format!(
                "Of {} rows that are known to be poisoned, {} finds {} among its first {} (average precision {}).",
                known.budget,
                best.score,
                percent(best.precision),
                known.budget,
                number(Some(best.average_precision))
            ));
        }
    }
    all
}

fn facts(listed: &Listed<'_>) -> Vec<Fact> {
    let fact = |key, value: String| Fact { key, value };
    vec![
        fact("Data", listed.name.to_owned()),
        fact("BLAKE3 of the rows", listed.hash.to_owned()),
        fact("Trusted rows", listed.trusted.unwrap_or(0).to_string()),
        fact("Seed", listed.seed.to_string()),
        fact("toxscreen", env!("CARGO_PKG_VERSION").to_owned()),
    ]
}

/// The row as a picture, if it can be drawn.
fn picture(rows: &Features, row: usize, (low, high): (f32, f32)) -> Field {
    let stride = rows.columns;
    let at = row * stride..(row + 1) * stride;
    let pixels: Vec<u8> = match &rows.values {
        Values::Bytes(values) => values[at].to_vec(),
        Values::Floats(values) => {
            let span = if high > low { high - low } else { 1.0 };
            let byte = |x: &f32| (255.0 * (x - low) / span).round() as u8;
            values[at].iter().map(byte).collect()
        }
    };
    let Some(png) = rows.shape.and_then(|shape| Png::planar(shape, &pixels)) else {
        return Field::text("");
    };
    let title = format!("row {row}");
    let mut svg = Svg::new(SIDE, SIDE);
    svg.image((0.0, 0.0), (SIDE, SIDE), &title, &png);
    Field::drawing(svg.inline(&format!("row-{row}"), &title))
}

/// Least and largest value of float images.
fn range(rows: &Features) -> (f32, f32) {
    match &rows.values {
        Values::Bytes(_) => (0.0, 255.0),
        Values::Floats(values) => {
            let least = values.iter().copied().fold(f32::INFINITY, f32::min);
            let most = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            (least, most)
        }
    }
}
