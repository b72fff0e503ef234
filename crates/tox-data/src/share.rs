//! The one rule by which a share of rows becomes a number of rows.

/// Shares come from decimal text: `0.29 * 100` is a little less than 29 in binary.
const DECIMAL: f64 = 1e-9;

/// The largest whole number of rows that is not more than `share` (0 to 1) of `rows`: a budget is a
/// bound, so it is rounded down.
pub fn of(share: f64, rows: usize) -> usize {
    ((share * rows as f64 + DECIMAL).floor() as usize).min(rows)
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn a_share_is_rounded_down_and_decimals_are_what_they_look_like() {
        assert_eq!(of(0.1, 1437), 143);
        assert_eq!(of(0.29, 100), 29);
        assert_eq!(of(0.01, 240), 2);
        assert_eq!(of(0.001, 100), 0);
        assert_eq!((of(0.0, 7), of(1.0, 7)), (0, 7));
        for rows in 1..2000 {
            for percent in 0..=100 {
                let exact = rows * percent / 100;
                assert_eq!(
                    of(percent as f64 / 100.0, rows),
                    exact,
                    "{percent} % of {rows}"
                );
            }
        }
    }
}
