//! Rows of `results.csv`.

use tox_data::text::cell;

/// Fields as a line, quoted where RFC 4180 wants it, none of them a formula or with a control character.
pub fn row(fields: impl IntoIterator<Item = String>) -> String {
    let fields: Vec<String> = fields.into_iter().map(|field| quote(&field)).collect();
    fields.join(",") + "\n"
}

fn quote(field: &str) -> String {
    let field = cell(field);
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.into_owned()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn fields_are_quoted_where_needed() {
        let row = super::row(["a\"b,c".to_owned(), "plain".to_owned()]);
        assert_eq!(row, "\"a\"\"b,c\",plain\n");
        let row = super::row([
            "=HYPERLINK(\"x\")".to_owned(),
            "-1.5".to_owned(),
            "\u{1b}".to_owned(),
        ]);
        assert_eq!(row, "\"'=HYPERLINK(\"\"x\"\")\",-1.5,\\u{1b}\n");
    }
}
