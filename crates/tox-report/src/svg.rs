//! A small SVG writer: shapes in named inks, composed into grids.
//!
//! Every shape carries its light colour as an attribute, so that a figure looks right in any
//! viewer, and a class, so that a browser in dark mode can recolour it.

use crate::raster::Png;
use std::fmt::Write;

/// A colour with a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Text and axes.
    Text,
    /// Secondary text, the paper's numbers.
    Muted,
    /// Grid lines.
    Grid,
    /// The page behind a figure.
    Page,
    /// The clean baseline.
    Clean,
    /// Poison dose 0 (weakest) to 3 (strongest), falling in lightness, so that the order survives
    /// colour blindness and a grey print.
    Dose(usize),
    /// Fill of a good op.
    Good,
    /// Outline of a good op.
    GoodLine,
    /// Fill of a bad op.
    Bad,
    /// Outline of a bad op.
    BadLine,
}

/// Class, light and dark colour of each ink.
const INKS: [(&str, &str, &str); 13] = [
    ("text", "#1d2129", "#e8e6e1"),
    ("muted", "#646b76", "#a2a8b2"),
    ("grid", "#e3e5e8", "#353a42"),
    ("page", "#ffffff", "#16191d"),
    ("clean", "#1f78b4", "#5fb0ea"),
    ("dose0", "#d98c1f", "#f7cf73"),
    ("dose1", "#cf4a5b", "#f59a86"),
    ("dose2", "#8c2f7e", "#dd7fc4"),
    ("dose3", "#3a2268", "#a493f2"),
    ("good", "#d8efdf", "#16402a"),
    ("goodline", "#1f7a46", "#63c48d"),
    ("bad", "#fadcd6", "#54201a"),
    ("badline", "#b3321c", "#f08a76"),
];

impl Ink {
    fn entry(self) -> (&'static str, &'static str, &'static str) {
        INKS[match self {
            Self::Text => 0,
            Self::Muted => 1,
            Self::Grid => 2,
            Self::Page => 3,
            Self::Clean => 4,
            Self::Dose(n) => 5 + n.min(3),
            Self::Good => 9,
            Self::GoodLine => 10,
            Self::Bad => 11,
            Self::BadLine => 12,
        }]
    }
}

/// The style sheet that recolours figures in dark mode; on paper they stay light.
pub fn style() -> String {
    let mut rules = String::new();
    for (class, _, dark) in INKS {
        let _ = write!(
            rules,
            ".f-{class}{{fill:{dark}}}.s-{class}{{stroke:{dark}}}"
        );
    }
    format!("@media screen and (prefers-color-scheme:dark){{{rules}}}")
}

/// A drawing. Coordinates are pixels at natural size, y down.
#[derive(Clone, Debug)]
pub struct Svg {
    /// Width.
    pub width: f64,
    /// Height.
    pub height: f64,
    /// What is drawn, where it is numbers.
    pub data: Vec<Datum>,
    body: String,
}

/// A number that is drawn.
#[derive(Clone, Debug)]
pub struct Datum {
    /// Title of the panel.
    pub panel: String,
    /// Label of the line.
    pub series: String,
    pub x: f64,
    pub mean: f64,
    /// Ends of the 95 % interval, if there is one.
    pub ends: Option<(f64, f64)>,
}

/// Where text stands relative to its point.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    /// To the right of it.
    Start,
    /// Around it.
    Middle,
    /// To the left of it.
    End,
}

impl Svg {
    /// An empty drawing.
    pub fn new(width: f64, height: f64) -> Self {
        Self {
            width,
            height,
            data: Vec::new(),
            body: String::new(),
        }
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = self.body.write_fmt(element);
        self.body.push('\n');
    }

    /// A line, `dash` as in `stroke-dasharray` (empty: solid).
    pub fn line(&mut self, from: (f64, f64), to: (f64, f64), ink: Ink, width: f64, dash: &str) {
        self.polyline(&[from, to], ink, width, dash);
    }

    /// A line through points.
    pub fn polyline(&mut self, points: &[(f64, f64)], ink: Ink, width: f64, dash: &str) {
        let (class, light, _) = ink.entry();
        let dash = if dash.is_empty() {
            String::new()
        } else {
            format!(" stroke-dasharray=\"{dash}\"")
        };
        self.push(format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{light}\" class=\"s-{class}\" \
             stroke-width=\"{width}\" stroke-linejoin=\"round\" stroke-linecap=\"round\"{dash}/>",
            coordinates(points)
        ));
    }

    /// A filled outline.
    pub fn area(&mut self, points: &[(f64, f64)], ink: Ink, opacity: f64) {
        let (class, light, _) = ink.entry();
        self.push(format_args!(
            "<polygon points=\"{}\" fill=\"{light}\" class=\"f-{class}\" fill-opacity=\"{opacity}\"/>",
            coordinates(points)
        ));
    }

    /// A quadratic curve from `from` to `to`, pulled towards `pull`.
    pub fn arc(&mut self, from: (f64, f64), pull: (f64, f64), to: (f64, f64), ink: Ink) {
        let (class, light, _) = ink.entry();
        self.push(format_args!(
            "<path d=\"M{:.1} {:.1}Q{:.1} {:.1} {:.1} {:.1}\" fill=\"none\" stroke=\"{light}\" \
             class=\"s-{class}\" stroke-width=\"1.2\" stroke-opacity=\"0.75\"/>",
            from.0, from.1, pull.0, pull.1, to.0, to.1
        ));
    }

    /// A picture, `data` a PNG of pixels that stay squares; `title` says what it shows.
    pub fn image(&mut self, at: (f64, f64), size: (f64, f64), title: &str, data: &Png) {
        self.push(format_args!(
            "<image x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" \
             preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" \
             href=\"data:image/png;base64,{}\"><title>{}</title></image>",
            at.0,
            at.1,
            size.0,
            size.1,
            data.0,
            escape(title)
        ));
    }

    /// A dot, hollow or filled.
    pub fn dot(&mut self, at: (f64, f64), r: f64, ink: Ink, hollow: bool) {
        let (class, light, _) = ink.entry();
        let (fill_class, fill, _) = if hollow { Ink::Page } else { ink }.entry();
        self.push(format_args!(
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{r}\" fill=\"{fill}\" stroke=\"{light}\" \
             stroke-width=\"1.6\" class=\"f-{fill_class} s-{class}\"/>",
            at.0, at.1
        ));
    }

    /// A cross.
    pub fn cross(&mut self, at: (f64, f64), r: f64, ink: Ink) {
        let (x, y) = at;
        self.line((x - r, y - r), (x + r, y + r), ink, 2.0, "");
        self.line((x - r, y + r), (x + r, y - r), ink, 2.0, "");
    }

    /// A rectangle with rounded corners: corner, size, fill, outline, width and dash of the outline.
    pub fn rect(
        &mut self,
        at: (f64, f64),
        size: (f64, f64),
        fill: Ink,
        line: Ink,
        width: f64,
        dash: &str,
    ) {
        let ((fill_class, fill, _), (line_class, line, _)) = (fill.entry(), line.entry());
        self.push(format_args!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" rx=\"5\" fill=\"{fill}\" \
             stroke=\"{line}\" stroke-width=\"{width}\" stroke-dasharray=\"{}\" \
             class=\"f-{fill_class} s-{line_class}\"/>",
            at.0,
            at.1,
            size.0,
            size.1,
            if dash.is_empty() { "none" } else { dash },
        ));
    }

    /// Text, escaped.
    pub fn text(&mut self, at: (f64, f64), size: f64, anchor: Anchor, ink: Ink, text: &str) {
        self.styled(at, size, anchor, ink, "", text);
    }

    /// Bold text, escaped.
    pub fn bold(&mut self, at: (f64, f64), size: f64, anchor: Anchor, ink: Ink, text: &str) {
        self.styled(at, size, anchor, ink, " font-weight=\"600\"", text);
    }

    /// Text that reads upwards, escaped.
    pub fn vertical(&mut self, at: (f64, f64), size: f64, ink: Ink, text: &str) {
        let turn = format!(" transform=\"rotate(-90 {:.1} {:.1})\"", at.0, at.1);
        self.styled(at, size, Anchor::Middle, ink, &turn, text);
    }

    fn styled(
        &mut self,
        at: (f64, f64),
        size: f64,
        anchor: Anchor,
        ink: Ink,
        extra: &str,
        text: &str,
    ) {
        let (class, light, _) = ink.entry();
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.push(format_args!(
            "<text x=\"{:.1}\" y=\"{:.1}\" font-size=\"{size}\" text-anchor=\"{anchor}\" \
             fill=\"{light}\" class=\"f-{class}\"{extra}>{}</text>",
            at.0,
            at.1,
            escape(text)
        ));
    }

    /// A tooltip for what `draw` draws.
    pub fn titled(&mut self, title: &str, draw: impl FnOnce(&mut Self)) {
        self.push(format_args!("<g><title>{}</title>", escape(title)));
        draw(self);
        self.push(format_args!("</g>"));
    }

    /// Drawings side by side, `columns` in a row.
    pub fn grid(parts: &[Self], columns: usize) -> Self {
        let columns = columns.clamp(1, parts.len().max(1));
        let w = parts.iter().map(|p| p.width).fold(0.0, f64::max);
        let h = parts.iter().map(|p| p.height).fold(0.0, f64::max);
        let rows = parts.len().div_ceil(columns);
        let mut grid = Self::new(w * columns as f64, h * rows as f64);
        for (i, part) in parts.iter().enumerate() {
            let (x, y) = ((i % columns) as f64 * w, (i / columns) as f64 * h);
            grid.push(format_args!("<g transform=\"translate({x:.1} {y:.1})\">"));
            grid.body.push_str(&part.body);
            grid.push(format_args!("</g>"));
            grid.data.extend(part.data.iter().cloned());
        }
        grid
    }

    /// The element for use inside a page that has [`style`]; `id` must be unique in the page.
    pub fn inline(&self, id: &str, title: &str) -> String {
        format!(
            "<svg viewBox=\"0 0 {w:.0} {h:.0}\" width=\"{w:.0}\" height=\"{h:.0}\" role=\"img\" \
             aria-labelledby=\"{id}\" font-family=\"system-ui, -apple-system, 'Segoe UI', sans-serif\">\
             <title id=\"{id}\">{}</title>\n{}</svg>",
            escape(title),
            self.body,
            w = self.width,
            h = self.height,
        )
    }

    /// An element that says nothing that its surroundings do not say.
    pub fn decoration(&self) -> String {
        format!(
            "<svg viewBox=\"0 0 {w:.0} {h:.0}\" width=\"{w:.0}\" height=\"{h:.0}\" \
             aria-hidden=\"true\">{}</svg>",
            self.body,
            w = self.width,
            h = self.height,
        )
    }

    /// A file of its own.
    pub fn file(&self, title: &str) -> String {
        let (class, light, _) = Ink::Page.entry();
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w:.0} {h:.0}\" width=\"{w:.0}\" \
             height=\"{h:.0}\" role=\"img\" aria-labelledby=\"title\" \
             font-family=\"Helvetica, Arial, sans-serif\">\n<title id=\"title\">{}</title>\n\
             <style>{}</style>\n<rect width=\"100%\" height=\"100%\" fill=\"{light}\" class=\"f-{class}\"/>\n\
             {}</svg>\n",
            escape(title),
            style(),
            self.body,
            w = self.width,
            h = self.height,
        )
    }
}

fn coordinates(points: &[(f64, f64)]) -> String {
    let mut out = String::new();
    for (x, y) in points {
        let _ = write!(out, "{x:.1},{y:.1} ");
    }
    out.truncate(out.trim_end().len());
    out
}

/// Text made safe for element content and attributes; what XML forbids becomes U+FFFD.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\u{0}'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}' => {
                out.push('\u{fffd}');
            }
            _ => out.push(c),
        }
    }
    out
}
