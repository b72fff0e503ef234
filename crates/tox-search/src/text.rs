//! Types that serde knows by their text.

/// What `#[serde(try_from = "String", into = "String")]` asks of a type with `FromStr` and `Display`.
macro_rules! by_text {
    ($type:ty, $error:ty) => {
        impl TryFrom<String> for $type {
            type Error = $error;

            fn try_from(text: String) -> Result<Self, $error> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(of: $type) -> Self {
                of.to_string()
            }
        }
    };
}
pub(crate) use by_text;
