//! Robust accuracy against cost.

use super::gather::{Data, Gathered};
use tox_report::figure::Figure;
use tox_report::lines::around;
use tox_report::plot::{Axis, Panel};
use tox_report::svg::{Ink, Svg};

/// Cost and accuracy of the networks that none is both cheaper and more robust than, by cost.
pub fn front(data: &Data, attack: usize) -> Vec<(u64, f64)> {
    let mut all: Vec<(u64, f64)> = data
        .nets
        .iter()
        .map(|n| (n.cost.macs, n.robust[attack]))
        .collect();
    all.sort_by(|a, b| a.0.cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut out: Vec<(u64, f64)> = Vec::new();
    for net in all {
        if out.last().is_none_or(|last| net.1 > last.1) {
            out.push(net);
        }
    }
    out
}

/// A panel a data set and attack.
pub fn cost(all: &Gathered) -> Figure {
    let mut panels = Vec::new();
    for data in &all.data {
        for (i, attack) in all.attacks.iter().enumerate() {
            panels.extend(panel(data, i, &format!("{}, {attack}", data.name)));
        }
    }
    Figure {
        name: "robustness-against-cost",
        title: "Robust accuracy against cost",
        caption: "A dot a network, mean over seeds; the darker, the more of its three stages have a \
                  robust block (none to all). Line: networks that none is both cheaper and more robust \
                  than. The best of many noisy measurements looks better than it is, so the line lies \
                  somewhat high."
            .to_owned(),
        panels,
    }
}

fn panel(data: &Data, attack: usize, title: &str) -> Option<Svg> {
    let values = || data.nets.iter().map(|n| n.robust[attack]);
    let (low, high) = (values().reduce(f64::min)?, values().reduce(f64::max)?);
    let (low, high) = around(low, high);
    let most = data.nets.iter().map(|n| n.cost.macs).max()? as f64;
    let (unit, word) = match most {
        m if m >= 1e9 => (1e9, "GMACs"),
        m if m >= 1e6 => (1e6, "MMACs"),
        _ => (1e3, "kMACs"),
    };
    let x = Axis::linear(1.02 * most / unit, 5, word);
    let y = Axis::span(low, high, 5, "robust accuracy, %");
    let mut panel = Panel::new(title, x, y, 14.0);
    for blocks in 0..=3 {
        for net in &data.nets {
            if net.shape.stages.iter().filter(|s| s.robust).count() == blocks {
                let at = panel.at(net.cost.macs as f64 / unit, net.robust[attack]);
                panel.svg.dot(at, 1.2, Ink::Dose(blocks), false);
            }
        }
    }
    let front = front(data, attack);
    let line: Vec<(f64, f64)> = front.iter().map(|p| (p.0 as f64 / unit, p.1)).collect();
    panel.line(&line, Ink::Text, 1.3, "");
    Some(panel.finish())
}
