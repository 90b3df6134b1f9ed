//! Files of a folder: listing them, and counting what is in them.

pub mod count;
pub mod list;
pub mod path;

pub use count::{FileCount, count_file};
pub use list::list_files;
