//! Poisoned images below the clean ones that they began as.

use super::cells::{Cell, Setting, penalty};
use tox_bilevel::config::Victim;
use tox_bilevel::outcome::Example;
use tox_report::figure::{Figure, short};
use tox_report::raster::{Png, bytes};
use tox_report::svg::{Anchor, Ink, Svg};

/// Most examples of a panel.
const MOST: usize = 6;

/// Cells whose examples began as the same images.
struct Group<'a> {
    title: String,
    rows: Vec<(String, &'a [Example])>,
    /// Cells that are in.
    names: Vec<&'a str>,
}

/// The examples of the first trial of each cell, one panel for those of the same clean images.
pub fn figure(settings: &[Setting]) -> Figure {
    let mut groups: Vec<Group> = Vec::new();
    for s in settings {
        for cell in &s.cells {
            let found = cell.records().find(|r| !r.outcome.examples.is_empty());
            let Some(record) = found else { continue };
            let examples = &record.outcome.examples;
            let examples = &examples[..examples.len().min(MOST)];
            let title = format!("{}, seed {}", s.without_penalty(), record.spec.seed);
            let fits = |g: &&mut Group| g.title == title && alike(g.rows[0].1, examples);
            let row = (row_name(s, cell), examples);
            match groups.iter_mut().find(fits) {
                // A learner without regularisation is in the settings of both penalties.
                Some(group) if group.names.contains(&cell.name.as_str()) => {}
                Some(group) => {
                    group.rows.push(row);
                    group.names.push(&cell.name);
                }
                None => groups.push(Group {
                    title,
                    rows: vec![row],
                    names: vec![&cell.name],
                }),
            }
        }
    }
    Figure {
        name: "poisoned-images",
        title: "Poisoned images below their originals",
        caption: "First row: clean training images and their classes. Below: what each became as poison \
                  against that learner, rounded to 8 bits, and the class that its flipped label says. \
                  Points of the last batch of each cell's first trial."
            .to_owned(),
        panels: groups.iter().map(draw).collect(),
    }
}

fn row_name(setting: &Setting, cell: &Cell) -> String {
    let label = setting.label(cell);
    match cell.config.victim {
        Victim::None => label,
        Victim::Large | Victim::CrossValidated | Victim::Learned => {
            format!("{label}, {}", penalty(setting.penalty()))
        }
    }
}

/// Whether the clean images and both labels are the same.
fn alike(a: &[Example], b: &[Example]) -> bool {
    let same = |(a, b): (&Example, &Example)| {
        (&a.clean, &a.class, &a.label, a.shape) == (&b.clean, &b.class, &b.label, b.shape)
    };
    a.len() == b.len() && a.iter().zip(b).all(same)
}

fn draw(group: &Group) -> Svg {
    let (side, pitch, top) = (56.0, 61.0, 30.0);
    let longest = group.rows.iter().map(|r| r.0.chars().count()).max();
    let left = 14.0 + 6.2 * longest.unwrap_or(0).max(8) as f64;
    let examples = group.rows[0].1;
    let first = top + side + 24.0;
    let size = (
        left + pitch * MOST as f64,
        first + pitch * group.rows.len() as f64 + 16.0,
    );
    let mut svg = Svg::new(size.0.max(420.0), size.1);
    svg.bold((4.0, 18.0), 13.0, Anchor::Start, Ink::Text, &group.title);
    let mut row = |y: f64, name: &str, examples: &[Example], of: fn(&Example) -> &str| {
        let at = (left - 8.0, y + side / 2.0 + 4.0);
        svg.text(at, 11.0, Anchor::End, Ink::Text, name);
        for (i, example) in examples.iter().enumerate() {
            let x = left + pitch * i as f64;
            let picture = bytes(of(example)).and_then(|p| Png::planar(example.shape, &p));
            let words = format!("{name}: image {}", i + 1);
            match picture {
                Some(png) => svg.image((x, y), (side, side), &words, &png),
                None => svg.cross((x + side / 2.0, y + side / 2.0), 6.0, Ink::Muted),
            }
        }
    };
    row(top, "clean", examples, |e| &e.clean);
    for (i, (name, examples)) in group.rows.iter().enumerate() {
        row(first + pitch * i as f64, name, examples, |e| &e.poison);
    }
    let last = first + pitch * group.rows.len() as f64;
    for (y, what, ink) in [
        (top + side + 13.0, "class", Ink::Muted),
        (last + 8.0, "labelled", Ink::BadLine),
    ] {
        svg.text((left - 8.0, y), 10.5, Anchor::End, Ink::Muted, what);
        for (i, example) in examples.iter().enumerate() {
            let name = match what {
                "class" => &example.class,
                _ => &example.label,
            };
            let name: String = match name.chars().count() {
                0..=9 => short(name),
                _ => name.chars().take(8).chain(['…']).collect(),
            };
            let x = left + pitch * i as f64 + side / 2.0;
            svg.text((x, y), 10.5, Anchor::Middle, ink, &name);
        }
    }
    svg
}
