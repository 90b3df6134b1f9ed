//! What people read: colours where there are any, text in columns, and lines that disturb no terminal.

mod screen;
mod table;
mod text;

pub(crate) use screen::{Colour, Screen, of_state};
pub(crate) use table::Table;
pub(crate) use text::one_line;
