//! Numbers of documents and the rows that they follow from. A marker, which is a comment, says of a number by which
//! expression it follows from which file; `CONTRIBUTING.md` has the marks and the language.

mod language;
mod looks;
mod page;
mod rows;

use language::{Found, Language};
use looks::Strictness;
use page::{Block, Marker, Page};
use std::ops::Range;
use std::path::Path;

/// What a look at one page found.
#[derive(Debug, Default)]
pub struct Looked {
    /// What is wrong, a line each.
    pub faults: Vec<String>,
    /// What would make the numbers right.
    edits: Vec<(Range<usize>, String)>,
}

impl Looked {
    /// The text with the numbers of the rows.
    pub fn right(&self, text: &str) -> String {
        let mut edits: Vec<_> = self.edits.iter().collect();
        edits.sort_by_key(|(span, _)| span.start);
        let mut out = text.to_owned();
        for (span, new) in edits.into_iter().rev() {
            out.replace_range(span.clone(), new);
        }
        out
    }
}

/// Ways for a number not to be of a run: of the study's settings or data, of a paper, of a run that left no rows, of
/// arithmetic or code, of what a row is called.
const OTHERS: [&str; 5] = ["setting", "paper", "unrecorded", "fact", "label"];
/// What readers see beside a number that has no rows, and how a page says what it means.
const DAGGER: char = '†';
const LEGEND: &str = "† marks";

/// Holds a page to its markers. `root` is the repository's.
pub fn look(path: &str, text: &str, root: &Path) -> Looked {
    let strict = match path {
        "README.md" => Some(Strictness::Everything),
        path if path.starts_with("docs/results/") => Some(Strictness::Everything),
        path if path.starts_with("docs/guide/") => Some(Strictness::Measures),
        _ => None,
    };
    let page = Page::of(text);
    let mut reader = Reader {
        path,
        text,
        page: &page,
        language: Language::new(root),
        looked: Looked::default(),
    };
    for block in &page.blocks {
        reader.block(block, strict);
    }
    reader.looked
}

struct Reader<'a> {
    path: &'a str,
    text: &'a str,
    page: &'a Page,
    language: Language,
    looked: Looked,
}

/// The parts of a marker between `;`, with their spans.
fn parts(text: &str, span: Range<usize>) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    let mut from = span.start;
    for part in text[span].split(';') {
        let start = from + part.len() - part.trim_start().len();
        if !part.trim().is_empty() {
            all.push(start..start + part.trim().len());
        }
        from += part.len() + 1;
    }
    all
}

impl Reader<'_> {
    fn fault(&mut self, at: usize, message: impl AsRef<str>) {
        let (path, line) = (self.path, page::line(self.text, at));
        let message = message.as_ref();
        self.looked.faults.push(format!("{path}:{line}: {message}"));
    }

    fn block(&mut self, block: &Block, strict: Option<Strictness>) {
        let mut covered = Vec::new();
        let of = |wanted: Marker| block.markers.iter().filter(move |m| m.marker == wanted);
        for marked in of(Marker::Let) {
            for part in parts(self.text, marked.span.clone()) {
                if let Err(message) = self.language.define(&self.text[part.clone()]) {
                    self.fault(part.start, message);
                }
            }
        }
        for marked in of(Marker::Numbers) {
            let parts = parts(self.text, marked.span.clone());
            self.numbers(block, &parts, &mut covered);
        }
        for marked in of(Marker::Cells) {
            let parts = parts(self.text, marked.span.clone());
            self.cells(block, &parts, &mut covered);
        }
        let mut left = strict;
        for marked in of(Marker::Rest) {
            for part in parts(self.text, marked.span.clone()) {
                let reason = &self.text[part.clone()];
                self.other(block, part.start, reason);
                // What has an interval is no setting.
                let none = ["# unrecorded", "# paper"]
                    .iter()
                    .any(|kind| reason.starts_with(kind));
                left = left.filter(|_| !none).map(|_| Strictness::Intervals);
            }
        }
        if let Some(strict) = left {
            self.bare(block, strict, &covered);
        }
    }

    /// What looks like a result and has nothing behind it.
    fn bare(&mut self, block: &Block, strict: Strictness, covered: &[Range<usize>]) {
        let spans = match block.table {
            true => self.answers(block),
            false => vec![block.span.clone()],
        };
        let prose = &self.page.prose;
        let within =
            |s: &Range<usize>| covered.iter().any(|c| c.start <= s.start && s.end <= c.end);
        let mut told: Vec<Range<usize>> = Vec::new();
        let results = spans
            .into_iter()
            .flat_map(|span| looks::results(prose, span, block.table, block.code, strict));
        for result in results {
            let numbers = looks::numbers(prose, result.clone());
            let stands = match numbers.is_empty() {
                true => covered
                    .iter()
                    .any(|c| c.start < result.end && result.start < c.end),
                false => numbers.iter().all(|n| {
                    within(&n.span) && n.half.as_ref().is_none_or(|(half, _)| within(half))
                }),
            };
            if !stands
                && !told
                    .iter()
                    .any(|t| t.start < result.end && result.start < t.end)
            {
                told.push(result);
            }
        }
        for result in told {
            let what = &self.page.visible[result.clone()];
            self.fault(
                result.start,
                format!(
                    "nothing stands behind `{what}`: mark it, `<!-- n: {what} = EXPRESSION -->`"
                ),
            );
        }
    }

    /// The cells of a table but for its head and its first column, which say what the others answer.
    fn answers(&self, block: &Block) -> Vec<Range<usize>> {
        let rows = self.rows(block).into_iter().skip(2);
        let cells = |row| page::cells(&self.page.visible, row).into_iter().skip(1);
        rows.flat_map(cells).collect()
    }

    fn rows(&self, block: &Block) -> Vec<Range<usize>> {
        let mut at = block.span.start;
        let lines = self.page.visible[block.span.clone()].split_inclusive('\n');
        lines
            .map(|line| {
                at += line.len();
                at - line.len()..at
            })
            .collect()
    }

    /// A reason for a number that is of no run.
    fn other(&mut self, block: &Block, at: usize, reason: &str) {
        let (kind, why) = reason
            .trim_start_matches('#')
            .trim()
            .split_once(':')
            .unwrap_or((reason, ""));
        let kind = kind.trim_start_matches('#').trim();
        if !reason.starts_with('#') || !OTHERS.contains(&kind) {
            let all = OTHERS.join(", ");
            self.fault(
                at,
                format!("`{reason}`: expected `# KIND` or `# KIND: WHY`, with a kind of {all}"),
            );
        } else if kind != "label" && kind != "setting" && why.trim().is_empty() {
            self.fault(
                at,
                format!("`{reason}` does not say what stands behind it: `# {kind}: WHY`"),
            );
        } else if kind == "unrecorded" {
            let seen = block.code || self.page.visible[block.span.clone()].contains(DAGGER);
            if !seen || !self.page.visible.contains(LEGEND) {
                let message = "what is unrecorded bears a † in its paragraph or table, and a sentence of the page says what the `† marks`";
                self.fault(at, message);
            }
        }
    }

    /// The texts of an `n` marker, in their order.
    fn numbers(&mut self, block: &Block, parts: &[Range<usize>], covered: &mut Vec<Range<usize>>) {
        let mut cursor = block.span.start;
        for part in parts {
            let entry = &self.text[part.clone()];
            let Some((literal, expression)) = entry.split_once(" = ") else {
                self.fault(
                    part.start,
                    format!("`{entry}`: expected `TEXT = EXPRESSION`"),
                );
                continue;
            };
            let literal_span = part.start..part.start + literal.trim_end().len();
            let literal = literal.trim_end();
            let words: Vec<String> = literal.split_whitespace().map(regex::escape).collect();
            let wanted = page::pattern(&words.join(r"\s+"));
            let visible = &self.page.visible;
            let found = wanted
                .find_iter(&visible[cursor..block.span.end])
                .map(|m| cursor + m.start()..cursor + m.end());
            let found = found.into_iter().find(|f| whole(visible, f));
            let Some(found) = found else {
                let message = format!(
                    "the text has no `{literal}` behind the one before it, as the marker says; it follows from `{expression}`"
                );
                self.fault(part.start, message);
                continue;
            };
            cursor = found.end;
            covered.push(found.clone());
            if expression.trim().starts_with('#') {
                self.other(block, part.start, expression.trim());
                continue;
            }
            match self.language.found(expression.trim(), &[]) {
                Err(message) => self.fault(part.start, format!("`{expression}`: {message}")),
                Ok(value) => self.compare(&[found, literal_span], &value, expression.trim()),
            }
        }
    }

    /// The templates of a `cells` marker on every row of the table.
    fn cells(
        &mut self,
        block: &Block,
        templates: &[Range<usize>],
        covered: &mut Vec<Range<usize>>,
    ) {
        let rows = self.rows(block);
        let marker = templates.first().map_or(block.span.start, |t| t.start);
        if !block.table || rows.len() < 3 {
            return self.fault(marker, "`cells` stands before no table");
        }
        let plain = |span: &Range<usize>| {
            let text = self.page.visible[span.clone()].replace(['*', '`', DAGGER], "");
            text.replace("\\|", "|").trim().to_owned()
        };
        let heads: Vec<String> = page::cells(&self.page.visible, rows[0].clone())
            .iter()
            .map(plain)
            .collect();
        for row in &rows[2..] {
            let cells = page::cells(&self.page.visible, row.clone());
            let words: Vec<String> = cells.iter().map(plain).collect();
            let mut context: Vec<(String, String)> = (words.iter().enumerate())
                .map(|(i, word)| (format!("c{}", i + 1), word.clone()))
                .collect();
            context.push(("row".to_owned(), words.first().cloned().unwrap_or_default()));
            for (i, cell) in cells.iter().enumerate() {
                let Some(template) = template(self.text, templates, i) else {
                    self.fault(
                        marker,
                        format!(
                            "the table has more than the {} columns of `cells`",
                            templates.len()
                        ),
                    );
                    return;
                };
                let expression = &self.text[template.clone()];
                if expression.starts_with('#') {
                    self.other(block, template.start, expression);
                    covered.push(cell.clone());
                    continue;
                }
                if expression == "-" || ["", "–"].contains(&words[i].as_str()) {
                    continue;
                }
                covered.push(cell.clone());
                let head = heads.get(i).cloned().unwrap_or_default();
                let context = [context.as_slice(), &[("head".to_owned(), head)]].concat();
                match self.language.found(expression, &context) {
                    Err(message) => self.fault(cell.start, format!("`{expression}`: {message}")),
                    Ok(value) => self.compare(std::slice::from_ref(cell), &value, expression),
                }
            }
        }
    }

    /// Holds the text at the first span to a value; the others are copies of it.
    fn compare(&mut self, spans: &[Range<usize>], value: &Found, expression: &str) {
        let Some(span) = spans.first() else { return };
        let says = self.page.visible[span.clone()].to_owned();
        match value {
            Found::Word(word) => {
                let plain = says.replace('*', "").to_lowercase();
                let rest = plain.trim().strip_prefix(word.to_lowercase().as_str());
                if rest.is_none_or(|rest| rest.starts_with(char::is_alphabetic)) {
                    self.fault(
                        span.start,
                        format!("says `{says}`, but `{expression}` comes to `{word}`"),
                    );
                }
            }
            Found::Numbers(values) => {
                let written = looks::numbers(&self.page.visible, span.clone());
                let shown: Vec<String> = values.iter().map(shown).collect();
                let shown = shown.join(", ");
                if written.len() != values.len() {
                    let (n, of) = (written.len(), values.len());
                    return self.fault(
                        span.start,
                        format!(
                            "`{says}` has {n} numbers, but `{expression}` comes to {of}: {shown}"
                        ),
                    );
                }
                let right = written.iter().zip(values).all(|(w, v)| {
                    looks::agrees(&self.text[w.span.clone()], v.0)
                        && w.half.as_ref().is_none_or(|(at, _)| {
                            v.1.is_some_and(|half| looks::agrees(&self.text[at.clone()], half))
                        })
                });
                if right {
                    return;
                }
                self.fault(
                    span.start,
                    format!("says `{says}`, but `{expression}` comes to {shown}"),
                );
                for span in spans {
                    let written = looks::numbers(self.text, span.clone());
                    for (w, (value, half)) in written.into_iter().zip(values) {
                        let mut write = |at: Range<usize>, value: f64| {
                            if let Some(new) = looks::rewritten(&self.text[at.clone()], value) {
                                self.looked.edits.push((at, new));
                            }
                        };
                        write(w.span, *value);
                        if let (Some((at, _)), Some(half)) = (w.half, half) {
                            write(at, *half);
                        }
                    }
                }
            }
        }
    }
}

/// The template of a column; `...` is the one before it.
fn template(text: &str, templates: &[Range<usize>], column: usize) -> Option<Range<usize>> {
    let last = templates.len().checked_sub(1)?;
    let repeats = text[templates[last].clone()].trim() == "...";
    let at = match repeats && column >= last {
        true => last.checked_sub(1)?,
        false => column,
    };
    templates.get(at).cloned()
}

fn shown((value, half): &(f64, Option<f64>)) -> String {
    let digits = |v: f64| match v.abs() {
        a if a == 0.0 || (0.1..1e7).contains(&a) => format!("{v:.4}"),
        _ => format!("{v:.4e}"),
    };
    match half {
        None => digits(*value),
        Some(half) => format!("{} ± {}", digits(*value), digits(*half)),
    }
}

/// Whether a text found is no part of a longer number or word.
fn whole(text: &str, found: &Range<usize>) -> bool {
    let first = text[found.clone()].chars().next();
    let mut after = text[found.end..].chars();
    let (next, second) = (after.next(), after.next());
    let mut before = text[..found.start].chars().rev();
    let (last, but_one) = (before.next(), before.next());
    let joins = |c: Option<char>| c.is_some_and(|c| ['.', ','].contains(&c));
    let digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
    let goes_on = next.is_some_and(char::is_alphanumeric) || joins(next) && digit(second);
    let began = first.is_some_and(char::is_alphanumeric)
        && (last.is_some_and(char::is_alphanumeric) || joins(last) && digit(but_one));
    !goes_on && !began
}

#[cfg(test)]
mod tests;
