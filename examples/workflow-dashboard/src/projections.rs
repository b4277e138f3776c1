//! What is shown: views folded from events.

mod fold;
mod projector;
#[cfg(test)]
mod tests;
mod view;

pub(crate) use fold::Fold;
pub use fold::{FoldError, FoldedView, view_at};
pub use projector::Workflows;
pub use view::{StepView, WorkflowView};
