//! Parts of documents that are generated: what stands between `<!-- generated: WHAT -->` and
//! `<!-- end of generated -->`.

use crate::{compose, keys};
use serde_json::Value;

pub const BEGIN: &str = "<!-- generated: ";
const BEGIN_END: &str = " -->";
const END: &str = "<!-- end of generated -->";

/// The text with every generated part written anew.
///
/// # Errors
/// A part without an end, or one that `content` does not know.
pub fn filled(text: &str, content: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(BEGIN) {
        let (what, after) = after.split_once(BEGIN_END).ok_or("a marker has no end")?;
        let no_end = || format!("`{what}` has no `{END}`");
        let (_, after) = after.split_once(END).ok_or_else(no_end)?;
        let made = content(what);
        let made = made.ok_or_else(|| format!("a marker asks for `{what}`, which is not there"))?;
        out.push_str(&format!(
            "{before}{BEGIN}{what}{BEGIN_END}\n\n{made}\n{END}"
        ));
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// What a marker asks for: `learner NAS`, `threat RLF`, `defence KNN`, `data`, `judge`, `learners`, `threats`,
/// `defences`, `attacks`, `architectures`, `composition`.
pub fn content(what: &str, schema: &Value) -> Option<String> {
    match what {
        "learners" => Some(compose::learners()),
        "threats" => Some(compose::threats()),
        "defences" => Some(compose::defences()),
        "attacks" => Some(compose::attacks()),
        "architectures" => Some(compose::architectures()),
        "composition" => Some(compose::matrix()),
        "data" => keys::of_pointer(schema, "/$defs/DataSpec"),
        "judge" => keys::of_pointer(schema, "/$defs/Judge"),
        what => {
            let (part, kind) = what.split_once(' ')?;
            keys::of_kind(schema, part, kind)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_replaced_and_the_rest_stays() {
        let text = "a\n<!-- generated: x -->\nold\n<!-- end of generated -->\nb";
        let made = filled(text, |what| Some(format!("new {what}\n"))).unwrap();
        let expected = "a\n<!-- generated: x -->\n\nnew x\n\n<!-- end of generated -->\nb";
        assert_eq!(made, expected);
        assert_eq!(
            filled(&made, |what| Some(format!("new {what}\n"))).unwrap(),
            made
        );
        assert!(filled("<!-- generated: x -->", |_| None).is_err());
        assert!(filled(text, |_| None).unwrap_err().contains("`x`"));
    }
}
