//! One block of rows through a model: forward, backward, and their directional derivatives
//! (Pearlmutter's R operator). Everything here lies unit by unit, [`ROWS`] values a unit, so that
//! inner loops run over the rows.

use crate::kernels::{Coefficients, Products, ROWS, fast};
use crate::model::Layer;

/// Sums over rows are taken in this many lanes, so that they fill a vector.
const LANES: usize = 16;
/// Rows that a sum over units takes at a time.
const RUN: usize = 64;

/// A model with its weights.
#[derive(Clone, Copy)]
pub struct Net<'a, F> {
    pub layers: &'a [Layer],
    pub leak: F,
    pub w: &'a [F],
}

impl<'a, F> Net<'a, F> {
    /// Weights of layer `l`.
    pub fn weights(&self, l: usize) -> &'a [F] {
        &self.w[self.layers[l].weights.clone()]
    }

    /// Biases of layer `l`.
    pub fn bias(&self, l: usize) -> &'a [F] {
        &self.w[self.layers[l].bias.clone()]
    }
}

/// What a block's rows make at each layer.
pub struct Block<F> {
    /// Rows in use, at most [`ROWS`].
    pub rows: usize,
    /// Sums of each layer, before its activation.
    pub z: Vec<Vec<F>>,
    /// What each layer reads: activations of the one before it. That of the first stays empty.
    a: Vec<Vec<F>>,
    /// Probabilities of the classes; for two classes, that of the second.
    pub p: Vec<F>,
    /// Derivative of the loss by `z`.
    pub delta: Vec<Vec<F>>,
    /// Directional derivative of `z`.
    pub rz: Vec<Vec<F>>,
    /// Of `a`.
    ra: Vec<Vec<F>>,
    /// Of `delta`.
    pub rdelta: Vec<Vec<F>>,
    /// What each row counts for in the mean: 1 / n, times its weight if rows have weights.
    share: Vec<F>,
    /// Room for one layer's gradient.
    room: Vec<F>,
}

impl<F: Products> Block<F> {
    /// Room for one block of a model with these layers.
    pub fn new(layers: &[Layer]) -> Self {
        let outputs = || layers.iter().map(|l| vec![F::zero(); l.outputs * ROWS]);
        let inputs = || {
            let hidden = layers.iter().skip(1);
            let hidden = hidden.map(|l| vec![F::zero(); l.inputs * ROWS]);
            std::iter::once(Vec::new()).chain(hidden)
        };
        let last = layers.last().map_or(0, |l| l.outputs);
        Self {
            rows: 0,
            z: outputs().collect(),
            a: inputs().collect(),
            p: vec![F::zero(); last * ROWS],
            delta: outputs().collect(),
            rz: outputs().collect(),
            ra: inputs().collect(),
            rdelta: outputs().collect(),
            share: vec![F::zero(); ROWS],
            room: Vec::new(),
        }
    }

    /// Each row counts for `share` (1 / n), times its weight if rows have weights.
    pub fn weigh(&mut self, share: F, weights: Option<&[F]>) {
        self.share.fill(share);
        for (share, &weight) in self.share.iter_mut().zip(weights.unwrap_or_default()) {
            *share *= weight;
        }
    }

    /// From the first layer's sums to the last one's.
    #[inline(always)]
    pub fn forward(&mut self, net: Net<'_, F>) {
        for l in 1..net.layers.len() {
            for (a, &z) in self.a[l].iter_mut().zip(&self.z[l - 1]) {
                *a = if z > F::zero() { z } else { net.leak * z };
            }
            fill_units(&mut self.z[l], net.bias(l));
            dense(net.weights(l), &self.a[l], &mut self.z[l]);
        }
    }

    /// From the last sums to probabilities.
    #[inline(always)]
    pub fn probabilities(&mut self) {
        let Some(z) = self.z.last() else { return };
        if z.len() == ROWS {
            // Of the smaller class's odds, so that nothing overflows.
            for (p, &z) in self.p.iter_mut().zip(z) {
                *p = -z.abs();
            }
            F::exp_all(&mut self.p);
            for (p, &z) in self.p.iter_mut().zip(z) {
                let larger = F::one() / (F::one() + *p);
                *p = if z > F::zero() { larger } else { *p * larger };
            }
            return;
        }
        let mut most = [F::neg_infinity(); ROWS];
        for z in z.chunks_exact(ROWS) {
            for (most, &z) in most.iter_mut().zip(z) {
                *most = if z > *most { z } else { *most };
            }
        }
        for (p, z) in self.p.chunks_exact_mut(ROWS).zip(z.chunks_exact(ROWS)) {
            for ((p, &z), &most) in p.iter_mut().zip(z).zip(&most) {
                *p = z - most;
            }
        }
        F::exp_all(&mut self.p);
        let mut sums = [F::zero(); ROWS];
        for p in self.p.chunks_exact(ROWS) {
            for (sum, &p) in sums.iter_mut().zip(p) {
                *sum += p;
            }
        }
        for p in self.p.chunks_exact_mut(ROWS) {
            for (p, &sum) in p.iter_mut().zip(&sums) {
                *p /= sum;
            }
        }
    }

    /// Sum over the rows of the cross-entropy, times the row's weight if rows have weights, from the last
    /// sums, in f64.
    pub fn loss(&self, labels: &[u16], weights: Option<&[F]>) -> f64 {
        let Some(z) = self.z.last() else { return 0.0 };
        let classes = z.len() / ROWS;
        let loss = |(r, &label): (usize, &u16)| {
            if classes == 1 {
                let z = z[r].wide();
                // ln(1 + e^z) - y z, without overflow
                z.max(0.0) + (-z.abs()).exp().ln_1p() - f64::from(label) * z
            } else {
                let z = |k: usize| z[k * ROWS + r].wide();
                let most = (0..classes).map(z).fold(f64::NEG_INFINITY, f64::max);
                let sum: f64 = (0..classes).map(|k| (z(k) - most).exp()).sum();
                most + sum.ln() - z(usize::from(label))
            }
        };
        let rows = labels.iter().enumerate();
        match weights {
            None => rows.map(loss).sum(),
            Some(weights) => {
                let weighed = rows.map(|(r, label)| weights[r].wide() * loss((r, label)));
                weighed.sum()
            }
        }
    }

    /// Whether each row gets the wrong class; a row whose sums are not numbers does.
    pub fn wrong<'b>(&'b self, labels: &'b [u16]) -> impl Iterator<Item = bool> + 'b {
        let z = self.z.last().map_or(&[][..], Vec::as_slice);
        let classes = z.len() / ROWS;
        labels.iter().enumerate().map(move |(r, &label)| {
            if classes == 1 {
                let z = z[r];
                let right = match label {
                    1 => z > F::zero(),
                    _ => z <= F::zero(),
                };
                !right
            } else {
                let z = |k: usize| z[k * ROWS + r];
                let label = usize::from(label);
                !(0..classes).all(|k| k == label || z(label) > z(k))
            }
        })
    }

    /// `delta` of every layer from the probabilities.
    #[inline(always)]
    pub fn backward(&mut self, net: Net<'_, F>, labels: &[u16]) {
        let last = net.layers.len() - 1;
        let (delta, share) = (&mut self.delta[last], &self.share);
        for (delta, p) in delta.chunks_exact_mut(ROWS).zip(self.p.chunks_exact(ROWS)) {
            for ((delta, &p), &share) in delta.iter_mut().zip(p).zip(share) {
                *delta = p * share;
            }
        }
        if delta.len() == ROWS {
            for ((delta, &label), &share) in delta.iter_mut().zip(labels).zip(share) {
                *delta -= share * F::of(f64::from(label));
            }
        } else {
            for (r, (&label, &share)) in labels.iter().zip(share).enumerate() {
                delta[usize::from(label) * ROWS + r] -= share;
            }
        }
        self.clear_tail(last, false);
        for l in (1..=last).rev() {
            let (before, after) = self.delta.split_at_mut(l);
            let delta = &mut before[l - 1];
            delta.fill(F::zero());
            dense_back(net.weights(l), &after[0], delta);
            slope(&self.z[l - 1], net.leak, delta);
        }
    }

    /// `rz` of the later layers from that of the first, along the direction `v` of the weights.
    #[inline(always)]
    pub fn forward_along(&mut self, net: Net<'_, F>, v: Net<'_, F>) {
        for l in 1..net.layers.len() {
            self.ra[l].copy_from_slice(&self.rz[l - 1]);
            slope(&self.z[l - 1], net.leak, &mut self.ra[l]);
            fill_units(&mut self.rz[l], v.bias(l));
            dense(net.weights(l), &self.ra[l], &mut self.rz[l]);
            dense(v.weights(l), &self.a[l], &mut self.rz[l]);
        }
    }

    /// `rdelta` of every layer from `rz` of the last and `delta`.
    #[inline(always)]
    pub fn backward_along(&mut self, net: Net<'_, F>, v: Net<'_, F>) {
        let last = net.layers.len() - 1;
        let (rz, p, share) = (&self.rz[last], &self.p, &self.share);
        let rdelta = &mut self.rdelta[last];
        let classes = rdelta.len() / ROWS;
        if classes == 1 {
            for (((rdelta, &p), &rz), &share) in rdelta.iter_mut().zip(p).zip(rz).zip(share) {
                *rdelta = p * (F::one() - p) * rz * share;
            }
        } else {
            let mut means = [F::zero(); ROWS];
            for (p, rz) in p.chunks_exact(ROWS).zip(rz.chunks_exact(ROWS)) {
                for ((mean, &p), &rz) in means.iter_mut().zip(p).zip(rz) {
                    *mean += p * rz;
                }
            }
            for (k, rdelta) in rdelta.chunks_exact_mut(ROWS).enumerate() {
                let (p, rz) = (&p[k * ROWS..], &rz[k * ROWS..]);
                for (r, rdelta) in rdelta.iter_mut().enumerate() {
                    *rdelta = p[r] * (rz[r] - means[r]) * share[r];
                }
            }
        }
        self.clear_tail(last, true);
        for l in (1..=last).rev() {
            let (before, after) = self.rdelta.split_at_mut(l);
            let rdelta = &mut before[l - 1];
            rdelta.fill(F::zero());
            dense_back(net.weights(l), &after[0], rdelta);
            dense_back(v.weights(l), &self.delta[l], rdelta);
            slope(&self.z[l - 1], net.leak, rdelta);
        }
    }

    /// Derivative of each row's own loss along the direction that made `rz`, times `share`, whatever the
    /// row's weight is.
    pub fn slopes(&self, labels: &[u16], share: F, out: &mut [F]) {
        let Some(rz) = self.rz.last() else { return };
        for (r, (out, &label)) in out.iter_mut().zip(labels).enumerate() {
            let units = self.p.iter().zip(rz).skip(r).step_by(ROWS);
            let sum: F = units.map(|(&p, &rz)| p * rz).sum();
            let own = match rz.len() == ROWS {
                true => F::of(f64::from(label)) * rz[r],
                false => rz[usize::from(label) * ROWS + r],
            };
            *out = share * (sum - own);
        }
    }

    /// Adds `times` the derivative of `v . gradient` by the features of the block's rows to `out`.
    pub fn add_mixed(
        &self,
        net: Net<'_, F>,
        v: Net<'_, F>,
        times: F,
        room: &mut Vec<F>,
        out: &mut [F],
    ) {
        let (d, w, v) = (net.layers[0].inputs, net.weights(0), v.weights(0));
        let (delta, rdelta) = (&self.delta[0], &self.rdelta[0]);
        if net.layers[0].outputs == 1 {
            fast(
                #[inline(always)]
                || {
                    let rows = out.chunks_exact_mut(d).zip(delta).zip(rdelta);
                    for ((out, &delta), &rdelta) in rows {
                        for ((out, &w), &v) in out.iter_mut().zip(w).zip(v) {
                            *out += times * (rdelta * w + delta * v);
                        }
                    }
                },
            );
            return;
        }
        room.clear();
        room.resize(out.len(), F::zero());
        F::combine(Coefficients::by_row(rdelta, ROWS), w, d, room);
        F::combine(Coefficients::by_row(delta, ROWS), v, d, room);
        for (out, &mixed) in out.iter_mut().zip(room.iter()) {
            *out += times * mixed;
        }
    }

    /// Adds the gradient of the layers after the first, and of all biases, to `g`.
    #[inline(always)]
    pub fn add_gradient(&mut self, layers: &[Layer], g: &mut [F]) {
        for (l, layer) in layers.iter().enumerate() {
            if l > 0 {
                let g = &mut g[layer.weights.clone()];
                outer(&self.delta[l], &self.a[l], &mut self.room, g);
            }
            sum_units(&self.delta[l], &mut g[layer.bias.clone()]);
        }
    }

    /// Adds the Hessian's product of the layers after the first, and of all biases, to `g`.
    #[inline(always)]
    pub fn add_gradient_along(&mut self, layers: &[Layer], g: &mut [F]) {
        for (l, layer) in layers.iter().enumerate() {
            if l > 0 {
                let g = &mut g[layer.weights.clone()];
                outer(&self.rdelta[l], &self.a[l], &mut self.room, g);
                outer(&self.delta[l], &self.ra[l], &mut self.room, g);
            }
            sum_units(&self.rdelta[l], &mut g[layer.bias.clone()]);
        }
    }

    /// Rows that a short block does not have count for nothing.
    #[inline(always)]
    fn clear_tail(&mut self, l: usize, along: bool) {
        let values = if along {
            &mut self.rdelta[l]
        } else {
            &mut self.delta[l]
        };
        for unit in values.chunks_exact_mut(ROWS) {
            unit[self.rows..].fill(F::zero());
        }
    }
}

/// Each unit's rows get its bias.
#[inline(always)]
fn fill_units<F: Products>(out: &mut [F], bias: &[F]) {
    for (unit, &bias) in out.chunks_exact_mut(ROWS).zip(bias) {
        unit.fill(bias);
    }
}

/// The first `rows` rows of each unit are moved by its bias.
pub fn add_units<F: Products>(out: &mut [F], rows: usize, bias: &[F]) {
    for (unit, &bias) in out.chunks_exact_mut(ROWS).zip(bias) {
        for z in &mut unit[..rows] {
            *z += bias;
        }
    }
}

/// `sums[k] += sum of unit k`.
#[inline(always)]
fn sum_units<F: Products>(units: &[F], sums: &mut [F]) {
    for (unit, sum) in units.chunks_exact(ROWS).zip(sums) {
        let mut lanes = [F::zero(); LANES];
        for values in unit.as_chunks::<LANES>().0 {
            for (lane, &value) in lanes.iter_mut().zip(values) {
                *lane += value;
            }
        }
        *sum += total(lanes);
    }
}

/// Sum of lanes, by halves: one by one each addition would wait for the one before.
#[inline(always)]
fn total<F: Products>(mut lanes: [F; LANES]) -> F {
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            let other = lanes[i + half];
            lanes[i] += other;
        }
    }
    lanes[0]
}

/// `out += w x`.
#[inline(always)]
fn dense<F: Products>(w: &[F], x: &[F], out: &mut [F]) {
    let inputs = x.len() / ROWS;
    for (w, out) in w.chunks_exact(inputs).zip(out.chunks_exact_mut(ROWS)) {
        combine(w.iter().copied(), x, out);
    }
}

/// `out += transposed w delta`.
#[inline(always)]
fn dense_back<F: Products>(w: &[F], delta: &[F], out: &mut [F]) {
    let inputs = out.len() / ROWS;
    for (i, out) in out.chunks_exact_mut(ROWS).enumerate() {
        combine(w[i..].iter().copied().step_by(inputs), delta, out);
    }
}

/// `out += sum of w * unit`, a run of rows at a time in registers.
#[inline(always)]
fn combine<F: Products>(w: impl Iterator<Item = F> + Clone, units: &[F], out: &mut [F]) {
    for (at, out) in out.as_chunks_mut::<RUN>().0.iter_mut().enumerate() {
        let mut sums = *out;
        for (w, unit) in w.clone().zip(units.chunks_exact(ROWS)) {
            let unit = &unit.as_chunks::<RUN>().0[at];
            for r in 0..RUN {
                sums[r] += w * unit[r];
            }
        }
        *out = sums;
    }
}

/// `g[k][i] += delta[k] . x[i]`.
#[inline(always)]
fn outer<F: Products>(delta: &[F], x: &[F], room: &mut Vec<F>, g: &mut [F]) {
    room.resize(g.len(), F::zero());
    F::project(x, ROWS, delta, room, x.len() / ROWS);
    for (g, &sum) in g.iter_mut().zip(room.iter()) {
        *g += sum;
    }
}

/// Multiplies by Leaky ReLU's derivative at `z`.
#[inline(always)]
fn slope<F: Products>(z: &[F], leak: F, values: &mut [F]) {
    for (value, &z) in values.iter_mut().zip(z) {
        *value = if z > F::zero() { *value } else { leak * *value };
    }
}
