//! The moving average of a network's numbers.

use super::config::Ema;
use tox_nn::layers::State;

/// Moves `average` towards `state`, as step `t`, from 1, of the average asks.
pub(super) fn average(average: &mut State, state: &State, ema: Ema, t: u64) {
    let t = t as f64;
    let decay = match ema.warm {
        true => ema.decay.min((1.0 + t) / (10.0 + t)),
        false => ema.decay,
    };
    let (old, new) = (decay as f32, (1.0 - decay) as f32);
    let blend = |to: &mut [f32], from: &[f32]| {
        let pairs = to.iter_mut().zip(from);
        pairs.for_each(|(to, from)| *to = *to * old + new * from);
    };
    blend(&mut average.params.values, &state.params.values);
    blend(&mut average.running.values, &state.running.values);
    average.running.batches.clone_from(&state.running.batches);
}

#[cfg(test)]
mod tests {
    use super::*;
    use tox_nn::layers::{Builder, Init};

    /// One weight and one batch norm of one channel.
    fn state(weight: f32, mean: f32, var: f32, batches: u64) -> State {
        let mut builder = Builder::new(0, "test", Init::Torch);
        builder.norm("bn", 1);
        let mut state = builder.finish();
        state.params.values = vec![weight, -weight];
        state.running.values = vec![mean, var];
        state.running.batches = vec![batches];
        state
    }

    #[test]
    fn averages_by_hand() {
        let mut found = state(1.0, 0.0, 1.0, 0);
        let ema = Ema {
            decay: 0.75,
            warm: false,
        };
        average(&mut found, &state(3.0, 4.0, 9.0, 2), ema, 1);
        assert_eq!(found.params.values, [1.5, -1.5]);
        assert_eq!(found.running.values, [1.0, 3.0]);
        assert_eq!(found.running.batches, [2]);
        average(&mut found, &state(-0.5, 1.0, 3.0, 4), ema, 2);
        assert_eq!(found.params.values, [1.0, -1.0]);
        assert_eq!(found.running.values, [1.0, 3.0]);
        // Step 1 leaves 2/11 of what there was; step 17 would leave 18/27, step 80 81/90.
        let warm = Ema { warm: true, ..ema };
        for (t, left) in [(1, 2.0 / 11.0), (17, 18.0 / 27.0), (80, 0.75)] {
            let mut found = state(1.0, 0.0, 1.0, 0);
            average(&mut found, &state(0.0, 0.0, 1.0, 1), warm, t);
            assert!((found.params.values[0] - left).abs() < 1e-7, "{t}");
        }
    }
}
