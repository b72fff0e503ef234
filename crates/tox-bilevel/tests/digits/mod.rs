//! The digits 3 and 8.

use tox_bilevel::sets::Sets;

/// 3 against 8, 8 x 8 pixels.
pub fn sets() -> Sets {
    let data = tox_testkit::data::digits(None, 300, None);
    let mut sets = Sets::of(&data, Default::default()).unwrap();
    for points in [&mut sets.train, &mut sets.valid, &mut sets.test] {
        let kept: Vec<usize> = (0..points.len())
            .filter(|&i| [3, 8].contains(&points.labels[i]))
            .collect();
        *points = points.select(&kept);
        points
            .labels
            .iter_mut()
            .for_each(|l| *l = u16::from(*l == 8));
    }
    sets.class_names = vec!["3".into(), "8".into()];
    sets
}
