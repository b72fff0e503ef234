/// The inputs of a search that trains what it evaluates; each has a structure of its own.
macro_rules! inputs {
    ($space:expr, $data:expr, $accuracy:expr, $config:expr, $seed:expr) => {
        Inputs {
            space: $space,
            train: &$data.train,
            valid: &$data.valid,
            normalise: &$data.normalise,
            classes: $data.classes,
            accuracy: $accuracy,
            direction: Default::default(),
            config: $config,
            seed: $seed,
            device: Device::flex(),
        }
    };
}
