//! Rows of `results.csv`.

/// Fields as a line, quoted where RFC 4180 wants it.
pub fn row(fields: impl IntoIterator<Item = String>) -> String {
    let fields: Vec<String> = fields.into_iter().map(|field| quote(&field)).collect();
    fields.join(",") + "\n"
}

fn quote(field: &str) -> String {
    if field.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn fields_are_quoted_where_needed() {
        let row = super::row(["a\"b,c".to_owned(), "plain".to_owned()]);
        assert_eq!(row, "\"a\"\"b,c\",plain\n");
    }
}
