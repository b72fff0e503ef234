//! The toxscreen command line.
fn main() {}
