//! How a projection tells readers that views changed.

use std::fmt;

use async_trait::async_trait;

use crate::{position::Position, version::Version, view::ProjectionId};

/// Told after every commit which views changed. A ring that is lost costs readers time, nothing else.
///
/// It says that there is something to read, never what: whoever hears it reads the view store.
///
/// ```
/// use async_trait::async_trait;
/// use eventsource_core::{Doorbell, ProjectionId, ViewChange};
///
/// #[derive(Debug)]
/// struct Log;
///
/// #[async_trait]
/// impl Doorbell for Log {
///     async fn ring(&self, projection: &ProjectionId, changes: &[ViewChange]) {
///         println!("{projection}: {} views changed", changes.len());
///     }
///
///     async fn ring_all(&self, projection: &ProjectionId) {
///         println!("{projection}: everything changed");
///     }
/// }
/// ```
#[async_trait]
pub trait Doorbell: fmt::Debug + Send + Sync + 'static {
    /// These views of `projection` changed; the change is committed already.
    async fn ring(&self, projection: &ProjectionId, changes: &[ViewChange]);

    /// Queries read `projection` from now on, so every view of that name may have changed.
    async fn ring_all(&self, projection: &ProjectionId);
}

/// Which view changed, and how far it has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ViewChange {
    /// Which view.
    pub key: String,
    /// Version of the last event folded in.
    pub version: Option<Version>,
    /// Position at which it changed.
    pub position: Option<Position>,
}
