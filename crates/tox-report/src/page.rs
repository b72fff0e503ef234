//! `report.html`: the frame that all kinds of study share. Everything that comes from a recipe or a
//! record goes through the template's escaping; only drawings, whose texts [`crate::svg`] escapes,
//! pass as they are.

use crate::ReportError;
use crate::common::{Common, foreign_sentences, measures};
use crate::context;
use crate::gates::gates;
use crate::provenance::Fact;
use crate::run::Run;
use crate::svg;
use minijinja::{Environment, Value};
use tox_data::text::shell_word;

/// Text as it is printed: true minus signs, and no line break between a number and its unit or its
/// interval.
fn typeset(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let digit = |c: Option<&char>| c.is_some_and(char::is_ascii_digit);
        let unit = |c: Option<&char>| matches!(c, Some('%' | '±'));
        out.push(match c {
            '-' if matches!(before, ' ' | '(') && digit(rest.peek()) => '\u{2212}',
            ' ' if unit(rest.peek()) || before == '±' => '\u{a0}',
            other => other,
        });
        before = c;
    }
    out
}

/// The page. It does not name the study's folder: that may be moved, and its report stays the same. The
/// template extends `frame.html`; `own` is what it needs beside the frame.
pub fn render(
    (name, source): (&str, &str),
    run: &Run,
    findings: &[String],
    facts: &[Fact],
    own: Value,
) -> Result<String, ReportError> {
    let env = environment((name, source))?;
    let head = &run.head;
    let measures = measures(run);
    let foreign = foreign_sentences(run, &measures);
    let warns = |line: &&String| line.starts_with("Warning") || line.starts_with("Incomplete");
    let (first, rest) = findings.split_at(findings.iter().take_while(warns).count());
    let gates = gates(run).into_iter();
    let gates: Vec<String> = gates.map(|g| format!("Gate {}.", g.sentence())).collect();
    let common = Common::new(run, &measures);
    let cautions = common.cautions();
    let findings: Vec<&String> = first
        .iter()
        .chain(&gates)
        .chain(&cautions)
        .chain(&foreign)
        .chain(rest)
        .collect();
    Ok(env.get_template(name)?.render(context! {
        title => if head.title.is_empty() { &head.name } else { &head.title },
        name => head.name,
        description => head.description,
        figure_style => Value::from_safe_string(svg::style()),
        planned => run.trials.len(),
        done => run.trials.iter().filter(|t| t.record().is_some()).count(),
        findings,
        facts,
        common => common.value(),
        again => shell_word(&format!("../{}-again", head.name)),
        ..own
    })?)
}

/// The frame and its parts beside the template `name`.
fn environment<'s>((name, source): (&'s str, &'s str)) -> Result<Environment<'s>, ReportError> {
    let mut env = Environment::new();
    env.add_filter("typeset", |text: &str| typeset(text));
    env.add_template("frame.html", include_str!("templates/frame.html"))?;
    env.add_template("parts.html", include_str!("templates/parts.html"))?;
    env.add_template("claims.html", include_str!("templates/claims.html"))?;
    env.add_template(name, source)?;
    env.add_template("common.html", include_str!("templates/common.html"))?;
    Ok(env)
}

#[cfg(test)]
mod tests {
    use super::typeset;

    #[test]
    fn numbers_keep_their_units_and_get_true_minus_signs() {
        assert_eq!(
            typeset("-1.5 ± 0.2 % (-0.1), net 32-8, l2-0.5 a - b"),
            "\u{2212}1.5\u{a0}±\u{a0}0.2\u{a0}% (\u{2212}0.1), net 32-8, l2-0.5 a - b"
        );
    }
}
