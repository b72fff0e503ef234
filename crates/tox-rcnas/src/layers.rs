//! Dense layers and an LSTM in f64 on the host, with their derivatives.
//!
//! The agent is small and sees one task at a time: a graph of tensors would cost more than the
//! arithmetic, and in f64 its gradient can be proved by finite differences. The weights themselves are
//! [`Params`], so that the optimiser is the one of all networks.

use std::ops::Range;
use tox_data::rng::stream;
use tox_nn::init::uniform;
use tox_nn::params::Params;

/// Adds a weight, uniform in ±`bound`; its place in the flat buffer.
fn add(
    params: &mut Params,
    name: String,
    shape: [usize; 2],
    bound: f64,
    seed: u64,
) -> Range<usize> {
    let mut rng = stream(seed, &format!("init/rcnas/{name}"), &[]);
    let values = uniform(shape[0] * shape[1], bound as f32, &mut rng);
    let id = params.add(name, shape, values);
    params.entry(id).range()
}

/// `y += W x`, `W` row-major `[y, x]`.
fn product(w: &[f64], x: &[f64], y: &mut [f64]) {
    for (row, y) in w.chunks_exact(x.len()).zip(y) {
        *y += row.iter().zip(x).map(|(w, x)| w * x).sum::<f64>();
    }
}

/// `dW += dy x'` and `dx += W' dy`.
fn product_back(w: &[f64], x: &[f64], dy: &[f64], dw: &mut [f64], dx: &mut [f64]) {
    let rows = w.chunks_exact(x.len()).zip(dw.chunks_exact_mut(x.len()));
    for ((w, dw), dy) in rows.zip(dy) {
        for (i, x) in x.iter().enumerate() {
            dw[i] += dy * x;
            dx[i] += dy * w[i];
        }
    }
}

/// A dense layer with bias.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dense {
    weight: Range<usize>,
    bias: Range<usize>,
    inputs: usize,
    outputs: usize,
}

impl Dense {
    /// Uniform in ±`gain / sqrt(inputs)`, as PyTorch for `gain` 1.
    pub fn new(
        params: &mut Params,
        name: &str,
        [inputs, outputs]: [usize; 2],
        gain: f64,
        seed: u64,
    ) -> Self {
        let bound = gain / (inputs.max(1) as f64).sqrt();
        Self {
            weight: add(
                params,
                format!("{name}.weight"),
                [outputs, inputs],
                bound,
                seed,
            ),
            bias: add(params, format!("{name}.bias"), [outputs, 1], bound, seed),
            inputs,
            outputs,
        }
    }

    pub fn outputs(&self) -> usize {
        self.outputs
    }

    pub fn forward(&self, w: &[f64], x: &[f64]) -> Vec<f64> {
        debug_assert_eq!(x.len(), self.inputs);
        let mut y = w[self.bias.clone()].to_vec();
        product(&w[self.weight.clone()], x, &mut y);
        y
    }

    /// Adds to the gradient of the weights; gives that of `x`.
    pub fn backward(&self, w: &[f64], x: &[f64], dy: &[f64], grad: &mut [f64]) -> Vec<f64> {
        let mut dx = vec![0.0; x.len()];
        let weight = self.weight.clone();
        product_back(&w[weight.clone()], x, dy, &mut grad[weight], &mut dx);
        for (g, dy) in grad[self.bias.clone()].iter_mut().zip(dy) {
            *g += dy;
        }
        dx
    }

    /// `tanh` of the layer.
    pub fn tanh(&self, w: &[f64], x: &[f64]) -> Vec<f64> {
        self.forward(w, x).into_iter().map(f64::tanh).collect()
    }

    /// As [`Dense::backward`], through the `tanh` that gave `y`.
    pub fn tanh_back(
        &self,
        w: &[f64],
        x: &[f64],
        y: &[f64],
        dy: &[f64],
        grad: &mut [f64],
    ) -> Vec<f64> {
        let dz: Vec<f64> = y.iter().zip(dy).map(|(y, dy)| dy * (1.0 - y * y)).collect();
        self.backward(w, x, &dz, grad)
    }

    /// Where its weights lie.
    #[cfg(test)]
    pub fn ranges(&self) -> Vec<Range<usize>> {
        vec![self.weight.clone(), self.bias.clone()]
    }
}

/// An LSTM (gates in the order of PyTorch: input, forget, cell, output; one bias).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lstm {
    weight_ih: Range<usize>,
    weight_hh: Range<usize>,
    bias: Range<usize>,
    inputs: usize,
    hidden: usize,
}

/// A step as it was, for the way back.
#[derive(Clone, Debug)]
struct Cell {
    x: Vec<f64>,
    h_before: Vec<f64>,
    c_before: Vec<f64>,
    gates: Vec<f64>,
    c: Vec<f64>,
}

/// A pass over a sequence.
#[derive(Clone, Debug)]
pub(super) struct Pass {
    cells: Vec<Cell>,
    pub h: Vec<Vec<f64>>,
}

fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

impl Lstm {
    /// Uniform in ±1 / sqrt(hidden), as PyTorch.
    pub fn new(params: &mut Params, name: &str, [inputs, hidden]: [usize; 2], seed: u64) -> Self {
        let bound = 1.0 / (hidden as f64).sqrt();
        let mut part = |part: &str, columns| {
            let shape = [4 * hidden, columns];
            add(params, format!("{name}.{part}"), shape, bound, seed)
        };
        Self {
            weight_ih: part("weight_ih", inputs),
            weight_hh: part("weight_hh", hidden),
            bias: part("bias", 1),
            inputs,
            hidden,
        }
    }

    pub fn forward<'a>(&self, w: &[f64], xs: impl Iterator<Item = &'a Vec<f64>>) -> Pass {
        let n = self.hidden;
        let (mut h, mut c) = (vec![0.0; n], vec![0.0; n]);
        let mut pass = Pass {
            cells: Vec::new(),
            h: Vec::new(),
        };
        for x in xs {
            debug_assert_eq!(x.len(), self.inputs);
            let mut gates = w[self.bias.clone()].to_vec();
            product(&w[self.weight_ih.clone()], x, &mut gates);
            product(&w[self.weight_hh.clone()], &h, &mut gates);
            for (i, gate) in gates.iter_mut().enumerate() {
                *gate = if i / n == 2 {
                    gate.tanh()
                } else {
                    sigmoid(*gate)
                };
            }
            let (h_before, c_before) = (h.clone(), c.clone());
            for (j, (c, h)) in c.iter_mut().zip(&mut h).enumerate() {
                *c = gates[n + j] * *c + gates[j] * gates[2 * n + j];
                *h = gates[3 * n + j] * c.tanh();
            }
            pass.h.push(h.clone());
            pass.cells.push(Cell {
                x: x.clone(),
                h_before,
                c_before,
                gates,
                c: c.clone(),
            });
        }
        pass
    }

    /// Adds to the gradient of the weights; gives those of the inputs, from those of the states.
    pub fn backward(
        &self,
        w: &[f64],
        pass: &Pass,
        dh: &[Vec<f64>],
        grad: &mut [f64],
    ) -> Vec<Vec<f64>> {
        let n = self.hidden;
        let (mut h_later, mut c_later) = (vec![0.0; n], vec![0.0; n]);
        let mut dxs = Vec::new();
        for (cell, dh) in pass.cells.iter().zip(dh).rev() {
            let g = &cell.gates;
            let mut dz = vec![0.0; 4 * n];
            for (j, (c_later, h_later)) in c_later.iter_mut().zip(&h_later).enumerate() {
                let (i, f, a, o) = (g[j], g[n + j], g[2 * n + j], g[3 * n + j]);
                let t = cell.c[j].tanh();
                let dh = dh[j] + h_later;
                let dc = *c_later + dh * o * (1.0 - t * t);
                dz[j] = dc * a * i * (1.0 - i);
                dz[n + j] = dc * cell.c_before[j] * f * (1.0 - f);
                dz[2 * n + j] = dc * i * (1.0 - a * a);
                dz[3 * n + j] = dh * t * o * (1.0 - o);
                *c_later = dc * f;
            }
            let mut dx = vec![0.0; cell.x.len()];
            let (ih, hh) = (self.weight_ih.clone(), self.weight_hh.clone());
            product_back(&w[ih.clone()], &cell.x, &dz, &mut grad[ih], &mut dx);
            h_later = vec![0.0; n];
            let before = &cell.h_before;
            product_back(&w[hh.clone()], before, &dz, &mut grad[hh], &mut h_later);
            for (g, dz) in grad[self.bias.clone()].iter_mut().zip(&dz) {
                *g += dz;
            }
            dxs.push(dx);
        }
        dxs.reverse();
        dxs
    }

    /// Where its weights lie.
    #[cfg(test)]
    pub fn ranges(&self) -> Vec<Range<usize>> {
        vec![
            self.weight_ih.clone(),
            self.weight_hh.clone(),
            self.bias.clone(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One unit, two steps, weights chosen so that every gate is known.
    #[test]
    fn an_lstm_by_hand() {
        let mut params = Params::default();
        let lstm = Lstm::new(&mut params, "lstm", [1, 1], 0);
        // i = sigmoid(x), f = sigmoid(1), a = tanh(x + h), o = sigmoid(0.5)
        let w = [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.5];
        let pass = lstm.forward(&w, [vec![0.3], vec![-0.2]].iter());
        let c1 = sigmoid(0.3) * 0.3f64.tanh();
        let h1 = sigmoid(0.5) * c1.tanh();
        let c2 = sigmoid(1.0) * c1 + sigmoid(-0.2) * (-0.2 + h1).tanh();
        let h2 = sigmoid(0.5) * c2.tanh();
        assert!((pass.h[0][0] - h1).abs() < 1e-15);
        assert!((pass.h[1][0] - h2).abs() < 1e-15);
    }
}
