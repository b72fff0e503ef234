//! Nothing from outside changes a training.

use crate::{best, bits, config, digits, interrupted, trained, v2};
use tox_search::final_training::FinalConfig;

#[test]
fn a_training_ends_the_same_whatever_stops_it_and_on_any_threads() {
    let data = digits(65, None);
    for (genotype, drop_path) in [(v2(), Some(0.3)), (best(), None)] {
        let config = FinalConfig {
            drop_path,
            epochs: Some(3),
            test_every: 2,
            ..config()
        };
        let (undisturbed, stops) = interrupted(&genotype, &data, &config, usize::MAX);
        let undisturbed = undisturbed.unwrap();
        assert_eq!(stops, 0);
        // 65 training and 32 validation images are 3 batches of 32 and a lone image, left out.
        let batches = &undisturbed.state.running.batches;
        assert!(batches.iter().all(|b| *b == 9), "{batches:?}");
        for steps in [2, 3, 4] {
            let (again, stops) = interrupted(&genotype, &data, &config, steps);
            let again = again.unwrap();
            assert!(stops > 2, "{stops}");
            assert_eq!(again.evaluation, undisturbed.evaluation, "every {steps}");
            assert_eq!(bits(&again.state), bits(&undisturbed.state));
        }
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
        let again = pool.unwrap().install(|| trained(&genotype, &data, &config));
        assert_eq!(again.evaluation, undisturbed.evaluation);
        assert_eq!(bits(&again.state), bits(&undisturbed.state));
    }
}
