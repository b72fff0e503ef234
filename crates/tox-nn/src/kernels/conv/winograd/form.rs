//! The matrices of F(4x4, 3x3) and F(4x4, 5x5): polynomials through the points 0, 1, -1, 2, -2 (and, of
//! kernels of five, 1/2 and -1/2) and infinity.

use pulp::Simd;

/// Pixels out of a tile, in each direction.
pub const OUT: usize = 4;
/// Most pixels in of a tile, in each direction; a smaller one leaves the last places of arrays unused.
pub const MOST: usize = 8;

/// One such algorithm, in one direction; both directions do the same.
pub trait Form: Sync {
    /// Size of the kernel.
    const TAPS: usize;
    /// Pixels in of a tile, which are its points too.
    const SIDE: usize = OUT + Self::TAPS - 1;
    /// Tiles of a map that are multiplied at a time, so that all that is made of them stays in cache.
    const BAND: usize;
    /// `G`, a row a point.
    const KERNEL: [[f64; 5]; MOST];

    /// `B^T d`: pixels in to points.
    fn spread<S: Simd>(simd: S, d: [S::f32s; MOST]) -> [S::f32s; MOST];
    /// `A^T m`: points to pixels out.
    fn gather<S: Simd>(simd: S, m: [S::f32s; MOST]) -> [S::f32s; OUT];
    /// `A y`: pixels out to points, for the gradient by the kernel.
    fn back<S: Simd>(simd: S, y: [S::f32s; OUT]) -> [S::f32s; MOST];
}

/// F(4, 3).
pub struct Three;
/// F(4, 5).
pub struct Five;

/// `a * b + c` with a constant.
#[inline(always)]
fn add<S: Simd>(simd: S, a: f32, b: S::f32s, c: S::f32s) -> S::f32s {
    simd.mul_add_e_f32s(simd.splat_f32s(a), b, c)
}

/// `b + point * a` and `b - point * a`. (No closures in this file: vectors' instructions are not inlined
/// into them.)
#[inline(always)]
fn ends<S: Simd>(simd: S, point: f32, a: S::f32s, b: S::f32s) -> [S::f32s; 2] {
    [add(simd, point, a, b), add(simd, -point, a, b)]
}

/// Sum and difference.
#[inline(always)]
fn both<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> [S::f32s; 2] {
    [simd.add_f32s(a, b), simd.sub_f32s(a, b)]
}

impl Form for Three {
    const TAPS: usize = 3;
    const BAND: usize = 128;
    const KERNEL: [[f64; 5]; MOST] = [
        [1.0 / 4.0, 0.0, 0.0, 0.0, 0.0],
        [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0, 0.0, 0.0],
        [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0, 0.0, 0.0],
        [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0, 0.0, 0.0],
        [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0, 0.0, 0.0],
        [0.0, 0.0, 1.0, 0.0, 0.0],
        [0.0; 5],
        [0.0; 5],
    ];

    #[inline(always)]
    fn spread<S: Simd>(simd: S, d: [S::f32s; MOST]) -> [S::f32s; MOST] {
        let first = add(simd, 4.0, d[0], add(simd, -5.0, d[2], d[4]));
        let last = add(simd, 4.0, d[1], add(simd, -5.0, d[3], d[5]));
        let (even, odd) = (add(simd, -4.0, d[2], d[4]), add(simd, -4.0, d[1], d[3]));
        let ones = both(simd, even, odd);
        let (even, odd) = (simd.sub_f32s(d[4], d[2]), simd.sub_f32s(d[3], d[1]));
        let twos = ends(simd, 2.0, odd, even);
        let none = simd.splat_f32s(0.0);
        [first, ones[0], ones[1], twos[0], twos[1], last, none, none]
    }

    #[inline(always)]
    fn gather<S: Simd>(simd: S, m: [S::f32s; MOST]) -> [S::f32s; OUT] {
        let [even, odd] = both(simd, m[1], m[2]);
        let [even2, odd2] = both(simd, m[3], m[4]);
        [
            simd.add_f32s(m[0], simd.add_f32s(even, even2)),
            add(simd, 2.0, odd2, odd),
            add(simd, 4.0, even2, even),
            simd.add_f32s(m[5], add(simd, 8.0, odd2, odd)),
        ]
    }

    #[inline(always)]
    fn back<S: Simd>(simd: S, y: [S::f32s; OUT]) -> [S::f32s; MOST] {
        let ones = both(simd, simd.add_f32s(y[0], y[2]), simd.add_f32s(y[1], y[3]));
        let twos = at(simd, y, 2.0);
        let none = simd.splat_f32s(0.0);
        [y[0], ones[0], ones[1], twos[0], twos[1], y[3], none, none]
    }
}

/// The polynomial of four coefficients at a point and at its negative.
#[inline(always)]
fn at<S: Simd>(simd: S, y: [S::f32s; OUT], point: f32) -> [S::f32s; 2] {
    let even = add(simd, point * point, y[2], y[0]);
    let odd = add(simd, point * point, y[3], y[1]);
    ends(simd, point, odd, even)
}

impl Form for Five {
    const TAPS: usize = 5;
    const BAND: usize = 64;
    const KERNEL: [[f64; 5]; MOST] = [
        [1.0, 0.0, 0.0, 0.0, 0.0],
        [-2.0 / 9.0; 5],
        [-2.0 / 9.0, 2.0 / 9.0, -2.0 / 9.0, 2.0 / 9.0, -2.0 / 9.0],
        [1.0 / 90.0, 1.0 / 45.0, 2.0 / 45.0, 4.0 / 45.0, 8.0 / 45.0],
        [1.0 / 90.0, -1.0 / 45.0, 2.0 / 45.0, -4.0 / 45.0, 8.0 / 45.0],
        [32.0 / 45.0, 16.0 / 45.0, 8.0 / 45.0, 4.0 / 45.0, 2.0 / 45.0],
        [
            32.0 / 45.0,
            -16.0 / 45.0,
            8.0 / 45.0,
            -4.0 / 45.0,
            2.0 / 45.0,
        ],
        [0.0, 0.0, 0.0, 0.0, 1.0],
    ];

    #[inline(always)]
    fn spread<S: Simd>(simd: S, d: [S::f32s; MOST]) -> [S::f32s; MOST] {
        let first = add(
            simd,
            5.25,
            simd.sub_f32s(d[4], d[2]),
            simd.sub_f32s(d[0], d[6]),
        );
        let last = add(
            simd,
            5.25,
            simd.sub_f32s(d[3], d[5]),
            simd.sub_f32s(d[7], d[1]),
        );
        let even = add(simd, -4.25, d[4], simd.add_f32s(d[2], d[6]));
        let odd = add(simd, -4.25, d[3], simd.add_f32s(d[1], d[5]));
        let ones = both(simd, even, odd);
        let even = add(simd, 0.25, d[2], add(simd, -1.25, d[4], d[6]));
        let odd = add(simd, 0.25, d[1], add(simd, -1.25, d[3], d[5]));
        let twos = ends(simd, 2.0, odd, even);
        let even = add(simd, 4.0, d[2], add(simd, -5.0, d[4], d[6]));
        let odd = add(simd, 4.0, d[1], add(simd, -5.0, d[3], d[5]));
        let halves = ends(simd, 0.5, odd, even);
        [
            first, ones[0], ones[1], twos[0], twos[1], halves[0], halves[1], last,
        ]
    }

    #[inline(always)]
    fn gather<S: Simd>(simd: S, m: [S::f32s; MOST]) -> [S::f32s; OUT] {
        let [even, odd] = both(simd, m[1], m[2]);
        let [even2, odd2] = both(simd, m[3], m[4]);
        let [even3, odd3] = both(simd, m[5], m[6]);
        [
            simd.add_f32s(simd.add_f32s(m[0], even), simd.add_f32s(even2, even3)),
            add(simd, 0.5, odd3, add(simd, 2.0, odd2, odd)),
            add(simd, 0.25, even3, add(simd, 4.0, even2, even)),
            add(
                simd,
                0.125,
                odd3,
                add(simd, 8.0, odd2, simd.add_f32s(odd, m[7])),
            ),
        ]
    }

    #[inline(always)]
    fn back<S: Simd>(simd: S, y: [S::f32s; OUT]) -> [S::f32s; MOST] {
        let ones = both(simd, simd.add_f32s(y[0], y[2]), simd.add_f32s(y[1], y[3]));
        let (twos, halves) = (at(simd, y, 2.0), at(simd, y, 0.5));
        [
            y[0], ones[0], ones[1], twos[0], twos[1], halves[0], halves[1], y[3],
        ]
    }
}
