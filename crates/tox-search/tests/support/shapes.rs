//! Shapes of networks, in a line.

use tox_search::space::darts::Network;

/// Channels, layers and classes of a network of DARTS cells, its input, and whether it has the second head.
pub fn darts(
    [channels, layers, classes]: [usize; 3],
    input: [usize; 3],
    auxiliary: bool,
) -> Network {
    Network {
        channels,
        layers,
        classes,
        input,
        auxiliary,
    }
}
