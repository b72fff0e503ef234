//! A found network drawn as a graph: layers left to right, skip connections as arcs, as in the
//! paper's Figures 5 and 7.

use tox_report::svg::{Anchor, Ink, Svg};
use tox_search::genotype::Genotype;

const BOX: (f64, f64) = (66.0, 42.0);
const GAP: f64 = 16.0;

/// Draws a genotype. Bad ops differ by colour, a dashed outline and a cross.
pub fn draw(genotype: &Genotype) -> Svg {
    let n = genotype.layers.len();
    let pitch = BOX.0 + GAP;
    let left = 52.0;
    let longest = genotype
        .layers
        .iter()
        .enumerate()
        .flat_map(|(i, l)| {
            l.skips
                .iter()
                .take(i)
                .enumerate()
                .filter(|s| *s.1)
                .map(move |s| i - s.0)
        })
        .max()
        .unwrap_or(0);
    let rise = |span: usize| 12.0 + 9.0 * span as f64;
    let top = rise(longest) + 14.0;
    let x = |i: usize| left + pitch * i as f64;
    let mid = top + BOX.1 / 2.0;
    let mut svg = Svg::new(x(n) + 36.0, top + BOX.1 + 26.0);

    svg.text(
        (left - GAP - 4.0, mid + 4.0),
        11.0,
        Anchor::End,
        Ink::Muted,
        "in",
    );
    svg.text(
        (x(n) + 2.0, mid + 4.0),
        11.0,
        Anchor::Start,
        Ink::Muted,
        "out",
    );
    for i in 0..=n {
        let (from, to) = (x(i) - GAP, x(i));
        svg.line((from, mid), (to - 2.0, mid), Ink::Muted, 1.4, "");
        svg.area(
            &[
                (to - 1.0, mid),
                (to - 7.0, mid - 3.5),
                (to - 7.0, mid + 3.5),
            ],
            Ink::Muted,
            1.0,
        );
    }
    // Maps are halved after one and two thirds of the layers.
    let third = n / 3;
    for i in [third, 2 * third] {
        if third > 0 {
            let at = (x(i) - GAP / 2.0, mid + BOX.1 / 2.0 + 12.0);
            svg.text(at, 12.0, Anchor::Middle, Ink::Muted, "½");
            let bar = x(i) - GAP / 2.0 - 2.0;
            svg.line((bar, mid - 9.0), (bar, mid + 9.0), Ink::Muted, 2.0, "");
        }
    }
    for (i, layer) in genotype.layers.iter().enumerate() {
        for (j, _) in layer.skips.iter().take(i).enumerate().filter(|s| *s.1) {
            let (a, b) = (x(j) + BOX.0 * 0.7, x(i) + BOX.0 * 0.3);
            let up = top - 2.0 * rise(i - j);
            svg.arc((a, top), ((a + b) / 2.0, up), (b, top), Ink::Muted);
        }
    }
    for (i, layer) in genotype.layers.iter().enumerate() {
        let kind = if layer.poison { "bad op" } else { "good op" };
        svg.titled(&format!("layer {}: {}, {kind}", i + 1, layer.op), |svg| {
            let (fill, line, width, dash) = if layer.poison {
                (Ink::Bad, Ink::BadLine, 2.2, "5 3")
            } else {
                (Ink::Good, Ink::GoodLine, 1.4, "")
            };
            svg.rect((x(i), top), BOX, fill, line, width, dash);
            let centre = x(i) + BOX.0 / 2.0;
            let (name, rest) = split(&layer.op);
            if rest.is_empty() {
                svg.text((centre, mid + 4.0), 11.0, Anchor::Middle, Ink::Text, &name);
            } else {
                svg.text((centre, mid - 2.0), 11.0, Anchor::Middle, Ink::Text, &name);
                svg.text((centre, mid + 12.0), 10.0, Anchor::Middle, Ink::Text, &rest);
            }
            if layer.poison {
                svg.dot((x(i) + BOX.0 - 3.0, top + 2.0), 7.0, line, true);
                svg.cross((x(i) + BOX.0 - 3.0, top + 2.0), 3.2, line);
            }
            let number = format!("{}", i + 1);
            let below = (centre, top + BOX.1 + 14.0);
            svg.text(below, 10.0, Anchor::Middle, Ink::Muted, &number);
        });
    }
    svg
}

/// An op's name in two lines of at most 12 characters: `stretched(3,50,50)` breaks at its bracket.
fn split(op: &str) -> (String, String) {
    let cut = |s: &str| match s.char_indices().nth(12) {
        Some((at, _)) => format!("{}…", &s[..at]),
        None => s.to_owned(),
    };
    match op.find('(') {
        Some(at) => (cut(&op[..at]), cut(&op[at..])),
        None => (cut(op), String::new()),
    }
}

/// What a genotype is, in words, for people who cannot see the drawing.
pub fn describe(genotype: &Genotype) -> String {
    let ops: Vec<&str> = genotype.layers.iter().map(|l| l.op.as_str()).collect();
    format!(
        "{} layers, {} with a bad op: {}",
        ops.len(),
        genotype.bad_ops(),
        ops.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn op_names_break_at_the_bracket_and_are_cut() {
        let two = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(split("stretched(3,50,50)"), two("stretched", "(3,50,50)"));
        assert_eq!(split("conv3"), two("conv3", ""));
        assert_eq!(split("ümlaut-very-long-name"), two("ümlaut-very-…", ""));
    }
}
