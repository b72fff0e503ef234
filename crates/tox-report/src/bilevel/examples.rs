//! Poisoned images beside the clean ones that they began as.

use super::cells::Setting;
use crate::figure::{Figure, short};
use crate::raster::{Png, bytes};
use crate::svg::{Anchor, Ink, Svg};
use tox_bilevel::outcome::Example;

/// Most examples of a cell.
const MOST: usize = 6;

/// The examples of the first trial of each cell.
pub fn figure(settings: &[Setting]) -> Figure {
    let mut panels = Vec::new();
    for s in settings {
        for cell in &s.cells {
            let found = cell.records().find(|r| !r.outcome.examples.is_empty());
            let Some(record) = found else { continue };
            let title = format!("{}: {}, seed {}", s.title, s.label(cell), record.spec.seed);
            let examples = &record.outcome.examples;
            panels.push(draw(&title, &examples[..examples.len().min(MOST)]));
        }
    }
    Figure {
        name: "poisoned-images",
        title: "Poisoned images beside their originals",
        caption:
            "Above: the clean training image and its class. Below: the poison that it became, \
                  rounded to 8 bits, and the class that its flipped label says. The first trial of \
                  each cell, its last batch."
                .to_owned(),
        panels,
    }
}

fn draw(title: &str, examples: &[Example]) -> Svg {
    let (left, side, pitch) = (46.0, 44.0, 49.0);
    let mut svg = Svg::new(344.0, 168.0);
    svg.bold((4.0, 18.0), 13.0, Anchor::Start, Ink::Text, title);
    svg.text((left - 8.0, 56.0), 10.5, Anchor::End, Ink::Muted, "clean");
    svg.text((left - 8.0, 122.0), 10.5, Anchor::End, Ink::Muted, "poison");
    for (i, example) in examples.iter().enumerate() {
        let x = left + pitch * i as f64;
        let rows = [
            (30.0, "clean", &example.clean, &example.class, Ink::Muted),
            (
                96.0,
                "poison",
                &example.poison,
                &example.label,
                Ink::BadLine,
            ),
        ];
        for (y, what, pixels, class, ink) in rows {
            let picture = bytes(pixels).and_then(|p| Png::planar(example.shape, &p));
            let words = format!("{what} image {}, label {class}", i + 1);
            match picture {
                Some(png) => svg.image((x, y), (side, side), &words, &png),
                None => svg.cross((x + side / 2.0, y + side / 2.0), 6.0, Ink::Muted),
            }
            let below = (x + side / 2.0, y + side + 12.0);
            let name: String = match class.chars().count() {
                0..=8 => short(class),
                _ => class.chars().take(7).chain(['…']).collect(),
            };
            svg.text(below, 9.5, Anchor::Middle, ink, &name);
        }
    }
    svg
}
