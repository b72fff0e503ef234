//! A figure: drawn in panels, which a page may lay out anew.

use crate::context;
use crate::csv;
use crate::svg::{Datum, Svg};
use minijinja::Value;

/// A figure.
pub struct Figure {
    /// File name without its end.
    pub name: &'static str,
    /// Heading.
    pub title: &'static str,
    /// What is drawn, and how to read it.
    pub caption: String,
    /// The panels; empty when there is nothing to draw.
    pub panels: Vec<Svg>,
}

impl Figure {
    /// For a study of no paper: its caption without where the paper has the figure.
    pub fn of_no_paper(mut self) -> Self {
        const WORDS: &str = "of the paper.";
        if let Some(at) = self.caption.find(WORDS) {
            self.caption = self.caption[at + WORDS.len()..].trim_start().to_owned();
        }
        self
    }

    /// All panels as one drawing.
    pub fn whole(&self) -> Svg {
        Svg::grid(&self.panels, 3)
    }

    /// What a template needs.
    pub fn value(&self) -> Value {
        let panels: Vec<Value> = self
            .panels
            .iter()
            .enumerate()
            .map(|(i, panel)| {
                let id = format!("{}-{i}", self.name);
                Value::from_safe_string(panel.inline(&id, self.title))
            })
            .collect();
        // Drawings wider than a panel need wider columns.
        let large = self.panels.iter().any(|p| p.width > 400.0);
        context! {
            name => self.name,
            title => self.title,
            caption => self.caption,
            wide => large && self.panels.len() == 1,
            large,
            panels,
        }
    }
}

/// Name and content of the files of those figures that have something drawn: the drawing, and the numbers
/// behind its lines.
pub fn files(figures: &[Figure]) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for figure in figures.iter().filter(|f| !f.panels.is_empty()) {
        let whole = figure.whole();
        files.push((format!("{}.svg", figure.name), whole.file(figure.title)));
        if !whole.data.is_empty() {
            files.push((format!("{}.csv", figure.name), data(&whole.data)));
        }
    }
    files
}

/// `panel,series,x,mean,low,high`; no ends without an interval.
fn data(all: &[Datum]) -> String {
    let mut out = String::from("panel,series,x,mean,low,high\n");
    let number = |value: Option<f64>| value.map_or(String::new(), |v| format!("{v:.6}"));
    for datum in all {
        out.push_str(&csv::row([
            datum.panel.clone(),
            datum.series.clone(),
            number(Some(datum.x)),
            number(Some(datum.mean)),
            number(datum.ends.map(|ends| ends.0)),
            number(datum.ends.map(|ends| ends.1)),
        ]));
    }
    out
}

/// A name, cut to what fits beside a line.
pub fn short(name: &str) -> String {
    if name.chars().count() <= 20 {
        name.to_owned()
    } else {
        name.chars().take(19).chain(['…']).collect()
    }
}
