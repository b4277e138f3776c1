//! What is shown: views folded from events.

mod projector;
#[cfg(test)]
mod tests;
mod view;

pub use projector::Workflows;
pub use view::{StepView, WorkflowView};
