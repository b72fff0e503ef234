//! One panel of a figure: axes, ticks, and the way from data to pixels.

use crate::svg::{Anchor, Ink, Svg};

/// How an axis is stretched.
#[derive(Clone, Copy, Debug)]
pub enum Stretch {
    /// As it is.
    Linear,
    /// `ln(1 + x)`: like a logarithm, but 0 has a place.
    Log,
}

/// An axis: range and ticks.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Its ends.
    pub range: (f64, f64),
    /// Stretch.
    pub stretch: Stretch,
    /// Where ticks stand.
    pub ticks: Vec<f64>,
    /// Caption.
    pub caption: String,
}

impl Axis {
    /// A linear axis from 0 to `max` with about `n` round ticks.
    pub fn linear(max: f64, n: usize, caption: &str) -> Self {
        let max = if max > 0.0 { max } else { 1.0 };
        Self {
            range: (0.0, max),
            stretch: Stretch::Linear,
            ticks: round_ticks(max, n),
            caption: caption.to_owned(),
        }
    }

    /// A linear axis from `low` to `high` with about `n` round ticks, widened where they are equal.
    pub fn span(low: f64, high: f64, n: usize, caption: &str) -> Self {
        let (low, high) = if high > low {
            (low, high)
        } else {
            (low - 0.5, low + 0.5)
        };
        let step = round_step(high - low, n);
        let (first, last) = ((low / step - 1e-9).ceil(), (high / step + 1e-9).floor());
        let count = (last - first).max(0.0) as usize;
        Self {
            range: (low, high),
            stretch: Stretch::Linear,
            // Adding 0 makes -0 a 0.
            ticks: (0..=count)
                .map(|i| (first + i as f64) * step + 0.0)
                .collect(),
            caption: caption.to_owned(),
        }
    }

    /// An error axis, 0 to 100 %.
    pub fn percent(caption: &str) -> Self {
        Self {
            ticks: vec![0.0, 25.0, 50.0, 75.0, 100.0],
            ..Self::linear(100.0, 4, caption)
        }
    }

    /// A logarithm-like axis from 0 to `max` with the given ticks.
    pub fn log(max: f64, ticks: Vec<f64>, caption: &str) -> Self {
        Self {
            range: (0.0, max.max(1.0)),
            stretch: Stretch::Log,
            ticks,
            caption: caption.to_owned(),
        }
    }

    /// Where `value` stands, 0 to 1; outside values go to the nearer end.
    fn place(&self, value: f64) -> f64 {
        let f = |v: f64| match self.stretch {
            Stretch::Linear => v,
            Stretch::Log => v.max(-0.9).ln_1p(),
        };
        let (lo, hi) = (f(self.range.0), f(self.range.1));
        ((f(value) - lo) / (hi - lo)).clamp(0.0, 1.0)
    }
}

/// 1, 2 or 5 times a power of ten, about `n` of them in `span`.
fn round_step(span: f64, n: usize) -> f64 {
    let raw = span / n.max(1) as f64;
    let power = 10f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * power)
        .into_iter()
        .find(|s| *s >= raw * 0.999)
        .unwrap_or(raw)
}

/// Multiples of a round step, about `n` of them up to `max`.
fn round_ticks(max: f64, n: usize) -> Vec<f64> {
    let step = round_step(max, n);
    let count = (max / step + 1e-9).floor() as usize;
    (0..=count).map(|i| i as f64 * step).collect()
}

/// A panel with axes drawn.
pub struct Panel {
    /// What it is drawn on.
    pub svg: Svg,
    x: Axis,
    y: Axis,
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    labels: Vec<(f64, Ink, String)>,
}

/// Size of the standard panel.
const SIZE: (f64, f64) = (344.0, 262.0);

/// Room for a panel's title.
const TOP: f64 = 30.0;

/// Room for the ticks and the caption of an x axis.
const BOTTOM: f64 = 46.0;

impl Panel {
    /// A standard panel with `right` pixels for labels at the ends of lines.
    pub fn new(title: &str, x: Axis, y: Axis, right: f64) -> Self {
        let left = Self::left(&y);
        let height = SIZE.1 - TOP - BOTTOM;
        Self::sized(title, x, y, (left, SIZE.0 - left - right), height, SIZE)
    }

    /// A square panel as wide as a standard one, with `right` pixels for a legend.
    pub fn square(title: &str, x: Axis, y: Axis, right: f64) -> Self {
        let left = Self::left(&y);
        let side = SIZE.0 - left - right;
        let size = (SIZE.0, side + TOP + BOTTOM);
        Self::sized(title, x, y, (left, side), side, size)
    }

    /// Room for the caption and the ticks of a y axis.
    fn left(y: &Axis) -> f64 {
        let ticks = y.ticks.iter().map(|t| number(*t).chars().count());
        (29.0 + 6.3 * ticks.max().unwrap_or(0) as f64).max(46.0)
    }

    fn sized(
        title: &str,
        x: Axis,
        y: Axis,
        (left, width): (f64, f64),
        height: f64,
        size: (f64, f64),
    ) -> Self {
        let top = TOP;
        let mut panel = Self {
            svg: Svg::new(size.0, size.1),
            x,
            y,
            left,
            top,
            width,
            height,
            labels: Vec::new(),
        };
        panel
            .svg
            .bold((left, 18.0), 13.0, Anchor::Start, Ink::Text, title);
        panel.axes();
        panel
    }

    fn axes(&mut self) {
        let (l, t, w, h) = (self.left, self.top, self.width, self.height);
        for tick in self.y.ticks.clone() {
            let y = self.at(0.0, tick).1;
            self.svg.line((l, y), (l + w, y), Ink::Grid, 1.0, "");
            let text = label(tick);
            self.svg
                .text((l - 6.0, y + 3.5), 10.5, Anchor::End, Ink::Muted, &text);
        }
        self.svg
            .line((l, t + h), (l + w, t + h), Ink::Muted, 1.0, "");
        for tick in self.x.ticks.clone() {
            let x = l + w * self.x.place(tick);
            self.svg
                .line((x, t + h), (x, t + h + 4.0), Ink::Muted, 1.0, "");
            let text = label(tick);
            self.svg
                .text((x, t + h + 16.0), 10.5, Anchor::Middle, Ink::Muted, &text);
        }
        let (xc, yc) = (self.x.caption.clone(), self.y.caption.clone());
        self.svg.text(
            (l + w / 2.0, t + h + 33.0),
            11.0,
            Anchor::Middle,
            Ink::Muted,
            &xc,
        );
        self.svg
            .vertical((13.0, t + h / 2.0), 11.0, Ink::Muted, &yc);
    }

    /// Where the x axis begins and ends, in data.
    pub fn sides(&self) -> (f64, f64) {
        self.x.range
    }

    /// Pixels of a data point.
    pub fn at(&self, x: f64, y: f64) -> (f64, f64) {
        (
            self.left + self.width * self.x.place(x),
            self.top + self.height * (1.0 - self.y.place(y)),
        )
    }

    /// A line through data points.
    pub fn line(&mut self, points: &[(f64, f64)], ink: Ink, width: f64, dash: &str) {
        let points: Vec<_> = points.iter().map(|p| self.at(p.0, p.1)).collect();
        self.svg.polyline(&points, ink, width, dash);
    }

    /// A faint band: `(x, low, high)`. Bands belong under all lines.
    pub fn band(&mut self, points: &[(f64, f64, f64)], ink: Ink) {
        let high = points.iter().map(|p| self.at(p.0, p.2));
        let low = points.iter().rev().map(|p| self.at(p.0, p.1));
        let outline: Vec<_> = high.chain(low).collect();
        self.svg.area(&outline, ink, 0.13);
    }

    /// A vertical error bar.
    pub fn bar(&mut self, x: f64, low: f64, high: f64, ink: Ink) {
        self.line(&[(x, low), (x, high)], ink, 1.6, "");
    }

    /// A label to the right of the panel, at the height of `y`; labels make room for each other.
    pub fn label(&mut self, y: f64, ink: Ink, text: &str) {
        let y = self.at(0.0, y).1;
        self.labels.push((y, ink, text.to_owned()));
    }

    /// The finished drawing.
    pub fn finish(mut self) -> Svg {
        let mut labels = std::mem::take(&mut self.labels);
        labels.sort_by(|a, b| a.0.total_cmp(&b.0));
        let mut ys: Vec<f64> = labels.iter().map(|l| l.0).collect();
        spread(&mut ys, 11.5, self.top + self.height);
        let x = self.left + self.width + 6.0;
        for (y, (_, ink, text)) in ys.iter().zip(&labels) {
            self.svg.bold((x, y + 3.5), 10.5, Anchor::Start, *ink, text);
        }
        self.svg
    }
}

/// Moves sorted heights apart to at least `gap`, the last not below `floor`.
fn spread(ys: &mut [f64], gap: f64, floor: f64) {
    for i in 1..ys.len() {
        ys[i] = ys[i].max(ys[i - 1] + gap);
    }
    if let Some(last) = ys.last_mut() {
        *last = last.min(floor);
    }
    for i in (1..ys.len()).rev() {
        ys[i - 1] = ys[i - 1].min(ys[i] - gap);
    }
}

/// A tick's number with a true minus.
pub fn label(v: f64) -> String {
    number(v).replace('-', "\u{2212}")
}

/// A tick's number.
pub fn number(v: f64) -> String {
    if v >= 10_000.0 {
        format!("{}k", trimmed(v / 1000.0))
    } else if v != 0.0 && v.abs() < 0.0001 {
        format!("{v:.1e}").replace(".0e", "e")
    } else {
        trimmed(v)
    }
}

fn trimmed(v: f64) -> String {
    let text = format!("{v:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        assert_eq!(round_ticks(300.0, 4), vec![0.0, 100.0, 200.0, 300.0]);
        assert_eq!(round_ticks(1.0, 4), vec![0.0, 0.5, 1.0]);
        assert_eq!(number(12_500.0), "12.5k");
        assert_eq!(number(0.5), "0.5");
        assert_eq!(number(3.0 * 1e-4), "0.0003");
        assert_eq!(number(3e-5), "3e-5");
        let axis = Axis::span(-9.7, 3.0, 5, "");
        assert_eq!(axis.ticks, vec![-5.0, 0.0]);
        assert_eq!(Axis::span(2.0, 2.0, 2, "").range, (1.5, 2.5));
    }

    #[test]
    fn labels_make_room() {
        let mut ys = [10.0, 11.0, 99.0, 100.0];
        spread(&mut ys, 10.0, 100.0);
        assert_eq!(ys, [10.0, 20.0, 90.0, 100.0]);
    }

    #[test]
    fn a_log_axis_has_zero_at_its_start() {
        let axis = Axis::log(300.0, vec![], "");
        assert_eq!(axis.place(0.0), 0.0);
        assert_eq!(axis.place(300.0), 1.0);
        assert_eq!(axis.place(1e9), 1.0);
    }
}
