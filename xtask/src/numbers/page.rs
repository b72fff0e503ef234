//! A document as markers see it: blocks of visible text, and the markers that speak of them.

use regex::Regex;
use std::ops::Range;

/// A comment that says what stands behind numbers.
#[derive(Debug, PartialEq)]
pub enum Marker {
    /// `<!-- let NAME = EXPRESSION; ... -->`, for the rest of the page.
    Let,
    /// `<!-- n: TEXT = EXPRESSION; ... -->`: texts of the block in their order.
    Numbers,
    /// `<!-- cells: EXPRESSION; ... -->`: of each row of the table that follows.
    Cells,
    /// `<!-- rest: # KIND: WHY -->`: every other number of the block.
    Rest,
}

/// A marker, and where the text after its name stands.
#[derive(Debug)]
pub struct Marked {
    pub marker: Marker,
    pub span: Range<usize>,
}

/// A paragraph, an item of a list, a table, a heading or a block of code.
#[derive(Debug)]
pub struct Block {
    pub span: Range<usize>,
    pub table: bool,
    pub code: bool,
    /// Those inside it, and those that stand alone before it.
    pub markers: Vec<Marked>,
}

#[derive(Debug)]
pub struct Page {
    /// The text with comments blanked; every byte stands where it stood.
    pub visible: String,
    /// The same with code between backticks, targets of links, addresses, versions and generated parts blanked.
    pub prose: String,
    pub blocks: Vec<Block>,
}

/// A pattern of this module, which is right.
pub fn pattern(text: &str) -> Regex {
    #[allow(clippy::unwrap_used)]
    Regex::new(text).unwrap()
}

fn blank(text: &mut String, span: Range<usize>) {
    let blanks: String = (text[span.clone()].bytes())
        .map(|b| if b == b'\n' { '\n' } else { ' ' })
        .collect();
    text.replace_range(span, &blanks);
}

/// The spans of blocks of code.
fn fences(text: &str) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    let (mut at, mut open) = (0, None);
    for line in text.split_inclusive('\n') {
        if line.trim_start().starts_with("```") {
            match open.take() {
                None => open = Some(at),
                Some(from) => all.push(from..at + line.len()),
            }
        }
        at += line.len();
    }
    all
}

fn marker(comment: &str) -> Option<(Marker, usize)> {
    let all = [
        ("let ", Marker::Let),
        ("n: ", Marker::Numbers),
        ("cells: ", Marker::Cells),
        ("rest: ", Marker::Rest),
    ];
    let body = comment.trim_start();
    let skipped = comment.len() - body.len();
    let found = all.into_iter().find(|(name, _)| body.starts_with(name));
    found.map(|(name, marker)| (marker, skipped + name.len()))
}

impl Page {
    pub fn of(text: &str) -> Self {
        let fences = fences(text);
        let fenced = |at: usize| fences.iter().any(|f| f.contains(&at));
        let ticks = pattern(r"`[^`\n]*`");
        let quoted: Vec<Range<usize>> = ticks.find_iter(text).map(|m| m.range()).collect();
        let mut visible = text.to_owned();
        let mut comments: Vec<(Range<usize>, Option<Marked>)> = Vec::new();
        for found in pattern(r"(?s)<!--(.*?)-->").captures_iter(text) {
            let (Some(whole), Some(inner)) = (found.get(0), found.get(1)) else {
                continue;
            };
            if fenced(whole.start())
                || quoted
                    .iter()
                    .any(|q| q.start < whole.start() && whole.end() < q.end)
            {
                continue;
            }
            let marked = marker(inner.as_str()).map(|(marker, skipped)| {
                let span = inner.start() + skipped..inner.end();
                Marked { marker, span }
            });
            comments.push((whole.range(), marked));
            blank(&mut visible, whole.range());
        }
        let mut prose = visible.clone();
        for hidden in [
            r"`[^`\n]*`",
            r"\]\([^)\s]*\)",
            r"https?://\S*",
            r"version \d[\d.]*\d",
        ] {
            for found in pattern(hidden).find_iter(&visible) {
                if !fenced(found.start()) {
                    blank(&mut prose, found.range());
                }
            }
        }
        for made in pattern(r"(?s)<!-- generated: .*?<!-- end of generated -->").find_iter(text) {
            blank(&mut prose, made.range());
        }
        let blocks = blocks(text, &visible, &fences, comments);
        Self {
            visible,
            prose,
            blocks,
        }
    }
}

fn blocks(
    text: &str,
    visible: &str,
    fences: &[Range<usize>],
    comments: Vec<(Range<usize>, Option<Marked>)>,
) -> Vec<Block> {
    let item = pattern(r"^\s*([-*+]|\d+\.)\s");
    let mut all: Vec<Block> = Vec::new();
    let mut open = false;
    let mut at = 0;
    for line in visible.split_inclusive('\n') {
        let span = at..at + line.len();
        at = span.end;
        let fenced = fences.iter().any(|f| f.contains(&span.start));
        let goes_on = open && all.last().is_some_and(|b| !b.code);
        let code = fenced || line.starts_with("    ") && !goes_on;
        if line.trim().is_empty() && !fenced {
            // A line of nothing, or a comment at its start, which is of the next block; one that is indented is of this.
            let starts = |c: &Range<usize>| c.start == 0 || text.as_bytes()[c.start - 1] == b'\n';
            let inside = |c: &Range<usize>| c.start < span.end && c.end > span.start && !starts(c);
            if !comments.iter().any(|(c, _)| inside(c)) {
                open = false;
            }
            continue;
        }
        let table = !code && line.trim_start().starts_with('|');
        let new = !open
            || !code && (item.is_match(line) || line.starts_with('#'))
            || all
                .last()
                .is_none_or(|b| b.table != table || b.code != code);
        if new {
            let markers = Vec::new();
            let block = Block {
                span: span.clone(),
                table,
                code,
                markers,
            };
            all.push(block);
        } else if let Some(block) = all.last_mut() {
            block.span.end = span.end;
        }
        open = !line.starts_with('#') || code;
    }
    for (comment, marked) in comments {
        let Some(marked) = marked else { continue };
        let indented = comment.start > 0 && text.as_bytes()[comment.start - 1] != b'\n';
        let inside = all.iter().position(|b| b.span.contains(&comment.start));
        let before = all
            .iter()
            .rposition(|b| b.span.start < comment.start)
            .filter(|_| indented);
        let after = all.iter().position(|b| b.span.start >= comment.start);
        let last = all.len().checked_sub(1);
        if let Some(block) = inside
            .or(before)
            .or(after)
            .or(last)
            .and_then(|at| all.get_mut(at))
        {
            block.markers.push(marked);
        }
    }
    all
}

/// Number of the line on which a byte stands.
pub fn line(text: &str, at: usize) -> usize {
    text[..at.min(text.len())].matches('\n').count() + 1
}

/// The spans of a row's cells, without what surrounds them.
pub fn cells(text: &str, row: Range<usize>) -> Vec<Range<usize>> {
    let mut all = Vec::new();
    let mut from = None;
    let bytes = text.as_bytes();
    for at in row {
        if bytes[at] == b'|' && (at == 0 || bytes[at - 1] != b'\\') {
            if let Some(from) = from {
                let cell = &text[from..at];
                let start = from + cell.len() - cell.trim_start().len();
                all.push(start..start + cell.trim().len());
            }
            from = Some(at + 1);
        }
    }
    all
}
