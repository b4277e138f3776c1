//! Scalars that lose nothing on their way through JSON and JavaScript.

mod json;
mod position;
mod timestamp;

pub use json::Json;
pub use position::PositionScalar;
pub use timestamp::Timestamp;
