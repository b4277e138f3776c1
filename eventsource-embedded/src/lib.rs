//! Event sourcing on one machine: events in an append-only log of our own, and SQLite for what can
//! be rebuilt or must be queried.
