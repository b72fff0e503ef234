//! Where the training rows of a table of text stand in its file.

use std::path::Path;

use super::opened::Opened;
use crate::error::DataError;
use crate::format::csv::text_rows;

pub use crate::format::csv::text_rows::{TextRows, is_text};

impl Opened {
    /// The file that the training rows are from, row by row, if it is a table of text. It is read again.
    ///
    /// # Errors
    /// A file that has changed so that it no longer opens.
    pub fn text_rows(&self) -> Result<Option<TextRows>, DataError> {
        let Some(form) = self.form.as_ref().filter(|form| form.format.is_table()) else {
            return Ok(None);
        };
        let rows = text_rows::TextRows::read(Path::new(&form.data), form.label.as_deref())?;
        Ok(Some(match form.chosen()? {
            Some(kept) => rows.select(&kept),
            None => rows,
        }))
    }
}
