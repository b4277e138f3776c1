//! Reads event logs in XES (IEEE 1849-2016), plain or gzip-compressed, one case at a time.

mod attribute;
mod error;
mod line;
mod reader;
#[cfg(test)]
mod tests;

pub use error::{XesError, XesProblem};
pub use reader::{Case, LogEvent, LogReader};

/// The attributes of a case or an event by their keys, types kept.
pub type Attributes = serde_json::Map<String, serde_json::Value>;
