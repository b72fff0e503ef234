//! The nearest rows of every row, exactly.
//!
//! Matrix products in f32 give all distances nearly, and a shortlist for each row. The distances on
//! it are then taken in f64. By the rounding error of a product nothing outside of it can be nearer
//! than the k-th of it; a row of which that cannot be said, such as one of many copies, is compared
//! with all others. So the result depends neither on how products are summed nor on threads.

use super::Points;
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;
use tox_nn::Device;
use tox_nn::ops::{self, Engine, read};

/// Rows whose distances to as many others are one product.
const BLOCK: usize = 256;
/// Half of the distance between 1 and the next f32.
const ROUNDING: f64 = f32::EPSILON as f64 / 2.0;

/// The `k` nearest other rows of every row, the nearest first and of equally near ones the first:
/// `k` numbers a row. `go_on` is told the share of the rows done and asked whether to go on; `None`
/// if not.
///
/// # Panics
/// If there are not more than `k` rows.
pub fn neighbours(
    points: &Points,
    k: usize,
    go_on: &mut dyn FnMut(f64) -> bool,
) -> Option<Vec<u32>> {
    let rows = points.len();
    assert!(k < rows, "{k} neighbours among {rows} rows");
    let device = Device::flex();
    let blocks: Vec<Tensor<2>> = points
        .values
        .chunks(BLOCK * points.columns)
        .map(|block| {
            let shape = [block.len() / points.columns, points.columns];
            Tensor::from_data(TensorData::new(block.to_vec(), shape), &device)
        })
        .collect();
    let square = |row| {
        let values = points.row(row).iter();
        values.map(|value| f64::from(*value).powi(2)).sum::<f64>()
    };
    let squares: Vec<f64> = (0..rows).into_par_iter().map(square).collect();
    let largest = squares.iter().copied().fold(0.0, f64::max);
    let found = |block: usize| {
        let begin = block * BLOCK;
        let mut lists = shortlists(&blocks, block, &squares, k);
        let rows = lists.iter_mut().enumerate();
        let nearest = rows.map(|(i, list)| {
            // Rounding of the values and of a sum of `columns` products, in any order; Higham 2002,
            // section 3.1, with room to spare; and products too small for an f32.
            let reach = squares[begin + i].sqrt() + largest.sqrt();
            let terms = (points.columns + 8) as f64;
            let error = terms * (ROUNDING * reach * reach + 4.0 * f64::from(f32::MIN_POSITIVE));
            nearest(points, begin + i, k, list, error)
        });
        nearest.flatten().collect::<Vec<u32>>()
    };
    let mut all = Vec::with_capacity(rows * k);
    let order: Vec<usize> = (0..blocks.len()).collect();
    // So that a question whether to go on comes every few seconds.
    for group in order.chunks(rayon::current_num_threads()) {
        if !go_on(all.len() as f64 / (rows * k) as f64) {
            return None;
        }
        let group: Vec<Vec<u32>> = group.par_iter().map(|&block| found(block)).collect();
        all.extend(group.into_iter().flatten());
    }
    Some(all)
}

/// A shortlist for each row of a block.
fn shortlists(blocks: &[Tensor<2>], block: usize, squares: &[f64], k: usize) -> Vec<Shortlist> {
    let begin = block * BLOCK;
    let mut lists = vec![Shortlist::new(2 * k + 16); blocks[block].dims()[0]];
    for (other, others) in blocks.iter().enumerate() {
        let (block, others_turned) = (blocks[block].clone(), others.clone().transpose());
        let engine = Engine::of(&block);
        let products = read(ops::matmul(engine, block, others_turned));
        let width = others.dims()[0];
        for (i, (products, list)) in products.chunks_exact(width).zip(&mut lists).enumerate() {
            let row = begin + i;
            for (j, &product) in products.iter().enumerate() {
                let j = other * BLOCK + j;
                if j != row {
                    let distance = squares[row] + squares[j] - 2.0 * f64::from(product);
                    list.offer(distance, j as u32);
                }
            }
        }
    }
    lists
}

/// The `k` nearest rows of `row`, if the distances of its shortlist are off by no more than `error`.
fn nearest(points: &Points, row: usize, k: usize, list: &mut Shortlist, error: f64) -> Vec<u32> {
    let sorted = |others: &mut dyn Iterator<Item = usize>| {
        let mut found: Vec<(f64, usize)> = others
            .map(|other| (points.distance(row, other), other))
            .collect();
        found.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        found.truncate(k);
        found
    };
    list.trim();
    let mut found = sorted(&mut list.found.iter().map(|(_, other)| *other as usize));
    // False if the error is no number.
    let proven = found
        .last()
        .is_some_and(|(last, _)| last + error < list.limit);
    if !proven && list.left_out {
        found = sorted(&mut (0..points.len()).filter(|other| *other != row));
    }
    found.into_iter().map(|(_, other)| other as u32).collect()
}

/// The nearest of the rows that it was offered, by distances that are nearly right.
#[derive(Clone)]
struct Shortlist {
    size: usize,
    found: Vec<(f64, u32)>,
    /// No row that was left out is nearer.
    limit: f64,
    /// Whether any was.
    left_out: bool,
}

impl Shortlist {
    fn new(size: usize) -> Self {
        Self {
            size,
            found: Vec::with_capacity(2 * size),
            limit: f64::INFINITY,
            left_out: false,
        }
    }

    fn offer(&mut self, distance: f64, row: u32) {
        if distance >= self.limit {
            self.left_out = true;
            return;
        }
        self.found.push((distance, row));
        if self.found.len() == 2 * self.size {
            self.trim();
        }
    }

    fn trim(&mut self) {
        if self.found.len() > self.size {
            let order = |a: &(f64, u32), b: &(f64, u32)| a.0.total_cmp(&b.0);
            let (_, limit, _) = self.found.select_nth_unstable_by(self.size, order);
            self.limit = limit.0;
            self.left_out = true;
            self.found.truncate(self.size);
        }
    }
}
