//! Correlation functions and their derivatives by the length.

/// Correlation of two points at distance `d`, as a function of `r = d / length`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kernel {
    /// `exp(-r^2 / 2)`, also called RBF or squared exponential.
    Gauss,
    /// Matern with nu = 5/2: `(1 + s + s^2 / 3) exp(-s)`, `s = sqrt(5) r`.
    Matern52,
}

impl Kernel {
    /// Correlation at a squared distance.
    pub(super) fn at(self, square: f64, length: f64) -> f64 {
        let square = square / (length * length);
        match self {
            Kernel::Gauss => (-0.5 * square).exp(),
            Kernel::Matern52 => {
                let s = (5.0 * square).sqrt();
                (1.0 + s + s * s / 3.0) * (-s).exp()
            }
        }
    }

    pub(super) fn slope(self, square: f64, length: f64) -> f64 {
        let square = square / (length * length);
        match self {
            Kernel::Gauss => square * (-0.5 * square).exp(),
            Kernel::Matern52 => {
                let s = (5.0 * square).sqrt();
                s * s / 3.0 * (1.0 + s) * (-s).exp()
            }
        }
    }
}
