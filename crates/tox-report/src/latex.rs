//! A table as LaTeX has it, with the rules of the package booktabs.

/// What stands in a `tabular`: rows, the first of which is the head; `right` says which columns are numbers.
pub fn tabular(rows: &[Vec<String>], right: &[bool]) -> String {
    let columns: String = right
        .iter()
        .map(|right| if *right { 'r' } else { 'l' })
        .collect();
    let mut out = format!("\\begin{{tabular}}{{{columns}}}\n\\toprule\n");
    for (i, row) in rows.iter().enumerate() {
        let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
        out.push_str(&cells.join(" & "));
        out.push_str(" \\\\\n");
        if i == 0 {
            out.push_str("\\midrule\n");
        }
    }
    out + "\\bottomrule\n\\end{tabular}\n"
}

/// Text that LaTeX sets as it stands; a number with a sign or an interval as mathematics.
pub fn escaped(text: &str) -> String {
    let mut out = String::new();
    for (i, c) in text.trim().char_indices() {
        match c {
            '\\' => out.push_str("\\textbackslash{}"),
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '~' => out.push_str("\\textasciitilde{}"),
            '^' => out.push_str("\\textasciicircum{}"),
            '<' | '>' | '±' | '≤' | '≥' | '×' | '−' => out.push_str(symbol(c)),
            '-' | '+' if i == 0 && text.trim()[1..].starts_with(|c: char| c.is_ascii_digit()) => {
                out.push_str(&format!("${c}$"));
            }
            // What has no width, or begins another line.
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

fn symbol(c: char) -> &'static str {
    match c {
        '<' => "$<$",
        '>' => "$>$",
        '±' => "$\\pm$",
        '≤' => "$\\le$",
        '≥' => "$\\ge$",
        '×' => "$\\times$",
        _ => "$-$",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped_and_numbers_are_mathematics() {
        assert_eq!(escaped("rlf_10 & 5 % of #1"), "rlf\\_10 \\& 5 \\% of \\#1");
        assert_eq!(
            escaped("a\\b{~^}"),
            "a\\textbackslash{}b\\{\\textasciitilde{}\\textasciicircum{}\\}"
        );
        assert_eq!(escaped("+1.25 ± 0.40"), "$+$1.25 $\\pm$ 0.40");
        assert_eq!(
            (escaped("-0.5"), escaped("-"), escaped("k-nn")),
            ("$-$0.5".into(), "-".into(), "k-nn".into())
        );
        assert_eq!(escaped("a\nb"), "a b");
    }

    #[test]
    fn the_head_stands_above_a_rule() {
        let rows =
            [["cell", "error %"], ["clean", "2.00"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(
            tabular(&rows, &[false, true]),
            "\\begin{tabular}{lr}\n\\toprule\ncell & error \\% \\\\\n\\midrule\nclean & 2.00 \\\\\n\\bottomrule\n\\end{tabular}\n"
        );
    }
}
