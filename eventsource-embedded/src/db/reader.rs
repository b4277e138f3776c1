//! Threads that read, each with a connection of its own.

use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::mpsc;

/// A read that answers by itself.
pub(super) type Read = Box<dyn FnOnce(&Connection) + Send>;

/// Reads until nobody can ask any more.
pub(super) fn run(connection: &Connection, reads: &Mutex<mpsc::Receiver<Read>>) {
    loop {
        // One thread at a time waits for the next read, the others wait for their turn to wait.
        let read = reads.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        match read {
            Some(read) => read(connection),
            None => return,
        }
    }
}
