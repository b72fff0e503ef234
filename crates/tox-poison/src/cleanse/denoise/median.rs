//! The median filter.

/// See [`super::Median`].
pub(super) fn median(plane: &mut [u8], (h, w): (usize, usize), size: usize) {
    let before = plane.to_vec();
    let mut window = Vec::with_capacity(size * size);
    for y in 0..h {
        for x in 0..w {
            window.clear();
            for dy in 0..size {
                let row = mirrored(y + dy, size / 2, h) * w;
                window.extend((0..size).map(|dx| before[row + mirrored(x + dx, size / 2, w)]));
            }
            let middle = window.len() / 2;
            plane[y * w + x] = *window.select_nth_unstable(middle).1;
        }
    }
}

/// The place `at - back` of a line of `n` pixels that is mirrored at both ends, again and again.
fn mirrored(at: usize, back: usize, n: usize) -> usize {
    let period = 2 * n;
    let place = (at + period * back - back) % period;
    place.min(period - 1 - place)
}

#[cfg(test)]
mod tests {
    use super::mirrored;

    #[test]
    fn the_edge_pixel_comes_twice() {
        let line: Vec<usize> = (0..11).map(|at| mirrored(at, 4, 3)).collect();
        assert_eq!(line, [2, 2, 1, 0, 0, 1, 2, 2, 1, 0, 0]);
        assert_eq!(mirrored(0, 5, 1), 0);
    }
}
