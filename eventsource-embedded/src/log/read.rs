//! A read as a stream of events.
//!
//! The first chunk is read where the stream is polled: from the page cache that takes microseconds,
//! and most reads, one aggregate or the newest few events, need no more. The following chunks are
//! larger and come from the runtime's blocking threads, one ahead of the decoder, so that a long read
//! neither holds up the runtime nor waits for the disk. Outside of a Tokio runtime every chunk is
//! read where the stream is polled.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::BytesMut;
use eventsource_core::{RecordedEvent, StoreError};
use futures::{FutureExt, Stream};
use tokio::{runtime::Handle, task::JoinHandle};

use super::{
    decode::Decoder,
    error::LogError,
    fetch::{Chunk, Fetch},
};

/// Bytes that are read where the stream is polled.
const FIRST_CHUNK_BYTES: usize = 64 * 1024;
/// Bytes that are read at once by a blocking thread.
const CHUNK_BYTES: usize = 256 * 1024;

/// The stream.
#[derive(Debug)]
pub(crate) struct Read {
    decoder: Decoder,
    step: Step,
}

type Fetched = (Fetch, Result<Option<Chunk>, LogError>);

#[derive(Debug)]
enum Step {
    /// Nothing was read yet.
    First(Fetch),
    /// The next chunk is read when it is needed.
    Idle(Fetch),
    /// The next chunk is on its way.
    Fetching(JoinHandle<Fetched>),
    /// There are no more chunks, or a read failed.
    Ended,
}

impl Read {
    pub(crate) const fn new(fetch: Fetch, decoder: Decoder) -> Self {
        Self { decoder, step: Step::First(fetch) }
    }

    /// Gives the decoder its next chunk; `false` when there is none.
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, StoreError>> {
        let (fetch, fetched, is_first) = match std::mem::replace(&mut self.step, Step::Ended) {
            Step::First(mut fetch) => {
                let fetched = fetch.next(FIRST_CHUNK_BYTES, None);
                (fetch, fetched, true)
            }
            Step::Idle(fetch) => match Handle::try_current() {
                Ok(runtime) => {
                    self.step = Step::Fetching(spawn(&runtime, fetch, self.decoder.take_buffer()));
                    return self.poll_chunk(context);
                }
                Err(_) => {
                    let mut fetch = fetch;
                    let fetched = fetch.next(CHUNK_BYTES, self.decoder.take_buffer());
                    (fetch, fetched, true)
                }
            },
            Step::Fetching(mut task) => match task.poll_unpin(context) {
                Poll::Ready(Ok((fetch, fetched))) => (fetch, fetched, false),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(StoreError::unavailable(error))),
                Poll::Pending => {
                    self.step = Step::Fetching(task);
                    return Poll::Pending;
                }
            },
            Step::Ended => return Poll::Ready(Ok(false)),
        };
        let Some(chunk) = fetched? else {
            return Poll::Ready(self.decoder.missing().map_or(Ok(false), |error| Err(error.into())));
        };
        self.decoder.feed(chunk);
        self.step = match Handle::try_current() {
            Ok(runtime) if !is_first => Step::Fetching(spawn(&runtime, fetch, self.decoder.take_buffer())),
            Ok(_) | Err(_) => Step::Idle(fetch),
        };
        Poll::Ready(Ok(true))
    }
}

fn spawn(runtime: &Handle, mut fetch: Fetch, buffer: Option<BytesMut>) -> JoinHandle<Fetched> {
    runtime.spawn_blocking(move || {
        let fetched = fetch.next(CHUNK_BYTES, buffer);
        (fetch, fetched)
    })
}

impl Stream for Read {
    type Item = Result<RecordedEvent, StoreError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            let mut event = None;
            if let Err(error) = this.decoder.next(&mut event) {
                this.step = Step::Ended;
                this.decoder.stop();
                return Poll::Ready(Some(Err(error.into())));
            }
            if let Some(event) = event {
                return Poll::Ready(Some(Ok(event)));
            }
            if this.decoder.is_done() {
                this.step = Step::Ended;
                return Poll::Ready(None);
            }
            match this.poll_chunk(context) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return Poll::Ready(None),
                Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(error))),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
