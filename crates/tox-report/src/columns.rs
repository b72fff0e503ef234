//! Tables whose columns are defined once and written to a terminal and to a page.

use crate::cells::Cell;
use crate::context;
use crate::latex;
use crate::numbers::{self, NONE};
use crate::run::State;
use crate::stats::Interval;
use crate::terminal;
use minijinja::Value;

/// What stands in a field.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    text: String,
    /// How a page sets it: empty for a number, `l` for text.
    class: &'static str,
    /// What stands below it, smaller.
    small: String,
    /// Why it is not to be trusted.
    doubt: String,
    /// What is wrong with it.
    warning: String,
    code: bool,
    /// What is drawn in its place.
    drawing: String,
}

impl Field {
    fn new(text: String, class: &'static str) -> Self {
        Self {
            text,
            class,
            small: String::new(),
            doubt: String::new(),
            warning: String::new(),
            code: false,
            drawing: String::new(),
        }
    }

    pub fn text(text: impl Into<String>) -> Self {
        Self::new(text.into(), "l")
    }

    /// Text that may be long.
    pub fn long(text: impl Into<String>) -> Self {
        Self::new(text.into(), "wrap")
    }

    /// A number as it is to stand there.
    pub fn number(text: impl Into<String>) -> Self {
        Self::new(text.into(), "")
    }

    pub fn mean(value: Option<Interval>) -> Self {
        Self::number(numbers::show(value))
    }

    /// A mean of differences, which has a sign.
    pub fn difference(value: Option<Interval>) -> Self {
        Self::number(numbers::signed(value))
    }

    /// With two decimals, without an interval.
    pub fn value(value: Option<f64>) -> Self {
        Self::number(numbers::number(value))
    }

    /// Anything that is written as it is, or nothing.
    pub fn of(value: Option<impl ToString>) -> Self {
        Self::number(value.map_or(NONE.to_owned(), |v| v.to_string()))
    }

    /// A drawing, whose texts are escaped.
    pub fn drawing(svg: String) -> Self {
        Self {
            drawing: svg,
            ..Self::text("")
        }
    }

    /// Shows nothing where nothing stands.
    pub fn blank(mut self) -> Self {
        if self.is_empty() {
            self.text = " ".to_owned();
        }
        self
    }

    /// Trials done of those planned.
    pub fn seeds<C, O>(cell: &Cell<C, O>) -> Self {
        let field = Self::number(cell.seeds());
        match cell.complete() {
            true => field,
            false => field.warning("incomplete"),
        }
    }

    /// What became of a trial.
    pub fn state(state: &State) -> Self {
        match state {
            State::Done(_) => Self::text("done"),
            State::Failed(why) => Self::long(format!("failed: {why}")),
            State::Missing => Self::text("missing"),
        }
    }

    pub fn small(mut self, text: impl Into<String>) -> Self {
        self.small = text.into();
        self
    }

    /// Marks it if `why` says something.
    pub fn doubt(mut self, why: impl Into<String>) -> Self {
        self.doubt = why.into();
        self
    }

    /// Warns of it if `why` says something.
    pub fn warning(mut self, why: impl Into<String>) -> Self {
        self.warning = why.into();
        self
    }

    pub fn code(mut self) -> Self {
        self.code = true;
        self
    }

    /// As one that is a paper's, or of little weight.
    pub fn faint(mut self) -> Self {
        self.class = match self.class {
            "" => "paper",
            _ => "l paper",
        };
        self
    }

    /// Small text that may be very long, such as a genotype.
    pub fn tiny(mut self) -> Self {
        self.class = "arch";
        self
    }

    /// `good`, `bad`, or whatever class a page knows.
    pub fn class(mut self, class: &'static str) -> Self {
        self.class = class;
        self
    }

    fn is_empty(&self) -> bool {
        (self.text.trim().is_empty() || self.text == NONE)
            && self.small.is_empty()
            && self.drawing.is_empty()
    }

    fn value_of_page(&self) -> Value {
        context! {
            text => self.text,
            class => self.class,
            small => self.small,
            doubt => self.doubt,
            warning => self.warning,
            code => self.code,
            drawing => Value::from_safe_string(self.drawing.clone()),
        }
    }
}

/// A table while its columns are named, one after the other.
pub struct Columns<'r, R> {
    caption: String,
    rows: &'r [R],
    columns: Vec<(Head, Vec<Field>)>,
}

#[derive(Clone, Default)]
struct Head {
    /// Of a page.
    head: String,
    /// What it shares with its neighbours on a page; may be empty.
    group: String,
    /// Of a terminal; empty where the column is of the page alone.
    short: &'static str,
}

impl<R> Columns<'_, R> {
    /// Adds a column of a page; a line break in `head` is one there.
    pub fn column(mut self, head: impl Into<String>, of: impl Fn(&R) -> Field) -> Self {
        let head = Head {
            head: head.into(),
            ..Head::default()
        };
        self.columns
            .push((head, self.rows.iter().map(of).collect()));
        self
    }

    /// The last column is also of a terminal.
    pub fn short(mut self, short: &'static str) -> Self {
        if let Some(last) = self.columns.last_mut() {
            last.0.short = short;
        }
        self
    }

    /// The last column stands under this heading.
    pub fn group(mut self, group: impl Into<String>) -> Self {
        if let Some(last) = self.columns.last_mut() {
            last.0.group = group.into();
        }
        self
    }

    /// The table without those columns in which nothing stands.
    pub fn table(self) -> Table {
        let mut rows: Vec<Vec<Field>> = self.rows.iter().map(|_| Vec::new()).collect();
        let mut columns = Vec::new();
        for (head, fields) in self.columns {
            if fields.iter().all(Field::is_empty) {
                continue;
            }
            columns.push(head);
            for (row, field) in rows.iter_mut().zip(fields) {
                row.push(field);
            }
        }
        Table {
            caption: self.caption,
            columns,
            rows,
        }
    }
}

/// A table.
pub struct Table {
    caption: String,
    columns: Vec<Head>,
    rows: Vec<Vec<Field>>,
}

impl Table {
    /// Of rows whose columns are still to be named.
    pub fn of<R>(caption: impl Into<String>, rows: &[R]) -> Columns<'_, R> {
        Columns {
            caption: caption.into(),
            rows,
            columns: Vec::new(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty() || self.columns.is_empty()
    }

    /// Columns in which something stands.
    pub fn columns(&self) -> usize {
        self.columns.len()
    }

    /// What the macro `grid` of `parts.html` draws; false without a row.
    pub fn value(&self) -> Value {
        if self.is_empty() {
            return Value::from(false);
        }
        let first = self.rows.first();
        let left = |at: usize| first.is_some_and(|row| !matches!(row[at].class, "" | "paper"));
        let grouped = self.columns.iter().any(|c| !c.group.is_empty());
        let mut above: Vec<Value> = Vec::new();
        let mut heads: Vec<Value> = Vec::new();
        let mut at = 0;
        while let Some(column) = self.columns.get(at) {
            let same = |c: &&Head| c.group == column.group;
            let span = match column.group.is_empty() {
                true => 1,
                false => self.columns[at..].iter().take_while(same).count(),
            };
            for (i, head) in self.columns[at..at + span].iter().enumerate() {
                let head = context! { head => head.head, left => left(at + i) };
                match grouped && column.group.is_empty() {
                    true => above.push(context! { span => 0, ..head }),
                    false => heads.push(head),
                }
            }
            if !column.group.is_empty() {
                above.push(context! { span, head => column.group });
            }
            at += span;
        }
        let row =
            |row: &Vec<Field>| -> Vec<Value> { row.iter().map(Field::value_of_page).collect() };
        context! {
            caption => self.caption,
            above,
            heads,
            rows => self.rows.iter().map(row).collect::<Vec<_>>(),
        }
    }

    /// The terminal's columns in Markdown.
    pub fn markdown(&self) -> String {
        let text = |text: &str| {
            text.replace('|', "\\|")
                .replace(['\n', '\r'], " ")
                .replace('<', "&lt;")
        };
        let mut out = String::new();
        for (i, row) in self.short().into_iter().enumerate() {
            let cells: Vec<String> = row.iter().map(|cell| text(cell)).collect();
            out.push_str(&format!("| {} |\n", cells.join(" | ")));
            if i == 0 {
                out.push_str(&format!("|{}\n", "---|".repeat(cells.len())));
            }
        }
        out
    }

    /// The terminal's columns in LaTeX.
    pub fn latex(&self) -> String {
        let shown = self.shown();
        let first = self.rows.first();
        let number = |at: &usize| first.is_some_and(|row| row[*at].class.is_empty());
        let right: Vec<bool> = shown.iter().map(number).collect();
        latex::tabular(&self.short(), &right)
    }

    /// As a terminal has it.
    pub fn terminal(&self) -> String {
        terminal::grid(self.short())
    }

    /// The columns of a terminal.
    fn shown(&self) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        let shown = columns.filter(|(_, column)| !column.short.is_empty());
        shown.map(|(at, _)| at).collect()
    }

    /// Head and rows of the columns of a terminal.
    fn short(&self) -> Vec<Vec<String>> {
        let shown = self.shown();
        let plain = |field: &Field| match field.is_empty() {
            true => "-".to_owned(),
            false => field.text.clone(),
        };
        let head = shown.iter().map(|at| self.columns[*at].short.to_owned());
        let mut rows: Vec<Vec<String>> = vec![head.collect()];
        for row in &self.rows {
            rows.push(shown.iter().map(|at| plain(&row[*at])).collect());
        }
        rows
    }
}

/// Tables as a page draws them, those without a row left out.
pub fn values(tables: impl IntoIterator<Item = Table>) -> Vec<Value> {
    let tables = tables.into_iter().filter(|t| !t.is_empty());
    tables.map(|t| t.value()).collect()
}
