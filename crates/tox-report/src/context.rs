//! What a template reads.

/// The values of a template by their names, each of anything that serializes; `..` takes in another's.
#[macro_export]
macro_rules! context {
    (@ $name:ident) => {
        minijinja::Value::from(minijinja::value::Serde(&$name))
    };
    (@ $name:ident => $value:expr) => {
        minijinja::Value::from(minijinja::value::Serde(&$value))
    };
    ($($name:ident $(=> $value:expr)?),* $(, ..$rest:expr)? $(,)?) => {
        minijinja::context! {
            $($name => $crate::context!(@ $name $(=> $value)?)),* $(, ..$rest)?
        }
    };
}
