//! Event sourcing for Rust: the contract that every store and bus keeps, and the engines on top.
//!
//! State is the fold of events. An [`Aggregate`] takes a [`Command`] and *decides* on events; an
//! [`EventStore`] appends them at an expected version; a [`Projector`] folds them into views; live
//! queries push each changed view to whoever watches it.
//!
//! The crate is layered, and a module uses only what is below it:
//!
//! | layer | holds |
//! |---|---|
//! | words | [`StreamId`], [`Version`], [`Position`], [`Metadata`], [`Clock`] |
//! | events | [`Event`], [`Codec`], [`Upcasters`] |
//! | decisions | [`Aggregate`], [`Command`] |
//! | ports | [`EventStore`], [`SnapshotStore`], [`OutcomeStore`], [`MessageSender`], [`ViewStore`] |
//! | engines | command execution, subscriptions, projections, live queries |
//! | memory | honest implementations of every port for tests and demos |

mod aggregate;
mod backoff;
mod bus;
mod clock;
mod codec;
mod command;
mod event;
mod execute;
mod id;
mod live;
pub mod memory;
mod metadata;
mod outcome;
mod position;
mod projection;
mod snapshot;
mod store;
mod subscription;
mod upcast;
mod version;
mod view;

pub use aggregate::{Aggregate, Context, Rejection};
pub use backoff::Backoff;
pub use bus::{BusError, Delivery, Message, MessageReceiver, MessageSender, Settle};
pub use clock::{Clock, IdSource, RandomIds, SystemClock};
pub use codec::{Codec, CodecError, Decoded};
pub use command::{Command, CommandEnvelope};
pub use event::{Envelope, Event, EventName, NAME_BYTES_MAX, NewEvent, RecordedEvent};
pub use execute::{
    CACHED_AGGREGATES_DEFAULT, CommandHandler, ExecuteError, ExecuteOptions, Executed, LoadError, Loaded,
    RECENT_COMMANDS_MAX, STALE_CODE,
};
pub use id::{CATEGORY_BYTES_MAX, CommandId, EventId, KEY_BYTES_MAX, StreamId, StreamIdError};
pub use live::{FoundLiveView, LiveChanges, LiveError, LiveOptions, LivePage, LiveQueries, LiveView};
pub use metadata::{Metadata, TraceContext, TraceContextError};
pub use outcome::{Outcome, OutcomeStore};
pub use position::Position;
pub use projection::{
    Doorbell, HandleError, Progress, Projection, ProjectionError, ProjectionHandle, ProjectionOptions, Repaired,
    ViewChange,
};
pub use snapshot::{Snapshot, SnapshotStore};
pub use store::{Appended, Direction, EventStore, Query, StoreError};
pub use subscription::{SubscribeOptions, Subscribed, subscribe};
pub use upcast::{UPCAST_STEPS_MAX, Upcaster, Upcasters, UpcastersError, Versioned};
pub use version::{ExpectedVersion, Version};
pub use view::{
    Checkpoint, FoundView, PAGE_MAX, Parked, ProjectError, ProjectionId, Projector, Scope, Search, StoredView,
    ViewBatch, ViewPage, ViewQuery, ViewStore,
};

/// Any error that can cross threads.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
