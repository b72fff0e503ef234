//! Coefficients of a product.

/// A matrix of coefficients `(a, b)` in memory of any order.
#[derive(Clone, Copy)]
pub struct Coefficients<'a, F> {
    values: &'a [F],
    /// From one `a` to the next, and from one `b` to the next.
    strides: (usize, usize),
}

impl<'a, F: Copy> Coefficients<'a, F> {
    /// `(k, r)` of values that lie unit by unit, `pitch` values a unit.
    pub fn by_unit(values: &'a [F], pitch: usize) -> Self {
        Self {
            values,
            strides: (pitch, 1),
        }
    }

    /// `(r, k)` of the same.
    pub fn by_row(values: &'a [F], pitch: usize) -> Self {
        Self {
            values,
            strides: (1, pitch),
        }
    }

    /// One of them.
    #[inline(always)]
    pub fn at(&self, a: usize, b: usize) -> F {
        self.values[a * self.strides.0 + b * self.strides.1]
    }
}
