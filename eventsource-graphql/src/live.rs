//! Live queries as GraphQL subscriptions.

use async_graphql::Error;
use futures::{Stream, StreamExt, future, stream::BoxStream};

/// A stream of states or changes as a subscription field returns it: each item shown by `show`, and
/// the first error as the last item, as a GraphQL error.
///
/// Neither here nor below is anything kept for a client that does not read: the next item is asked
/// for when the client has taken the one before, and live queries hold at most the newest state of
/// each key until then. A client that missed changes is told by an item (`resync`), never by
/// silence.
///
/// ```
/// use async_graphql::{Error, Result, Subscription};
/// use eventsource_graphql::live;
/// use futures::{Stream, StreamExt, stream};
///
/// struct Subscriptions;
///
/// #[Subscription]
/// impl Subscriptions {
///     async fn ticks(&self) -> impl Stream<Item = Result<u64>> {
///         let states = stream::iter([Ok(1), Err("lost"), Ok(3)]).boxed();
///         live(states, |state| Ok(state * 10), |lost| Error::new(lost))
///     }
/// }
/// ```
pub fn live<T, U, E>(
    states: BoxStream<'static, Result<T, E>>,
    mut show: impl FnMut(T) -> Result<U, Error> + Send + 'static,
    error: impl Fn(E) -> Error + Send + 'static,
) -> impl Stream<Item = Result<U, Error>> + Send + 'static
where
    T: Send + 'static,
    U: Send + 'static,
    E: Send + 'static,
{
    let shown = states.map(move |state| state.map_err(&error).and_then(&mut show));
    // The error goes out, and nothing after it.
    shown.scan(false, |failed, item| {
        let item = (!*failed).then_some(item);
        *failed = item.as_ref().is_some_and(Result::is_err);
        future::ready(item)
    })
}

#[cfg(test)]
mod tests {
    use async_graphql::Error;
    use futures::{FutureExt, StreamExt, stream};

    use super::live;

    #[test]
    fn the_first_error_is_the_last_item() {
        let states = stream::iter([Ok(1), Ok(2), Err("lost"), Ok(3)]).boxed();
        let items = live(states, |state| Ok(state * 10), Error::new).collect::<Vec<_>>().now_or_never().unwrap();
        assert_eq!(items, [Ok(10), Ok(20), Err(Error::new("lost"))]);
    }

    #[test]
    fn a_state_that_cannot_be_shown_is_an_error() {
        let states = stream::iter([Ok::<_, &str>(1), Ok(2)]).boxed();
        let items = live(states, |_| Err::<u8, _>(Error::new("odd")), Error::new).collect::<Vec<_>>();
        assert_eq!(items.now_or_never().unwrap(), [Err(Error::new("odd"))]);
    }

    #[test]
    fn nothing_is_asked_for_before_it_is_wanted() {
        let asked = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
        let count = std::sync::Arc::clone(&asked);
        let states =
            stream::repeat_with(move || Ok::<_, &str>(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed)));
        let mut items = Box::pin(live(states.boxed(), Ok, Error::new));
        for _ in 0..3 {
            items.next().now_or_never().unwrap();
        }
        assert_eq!(asked.load(std::sync::atomic::Ordering::Relaxed), 3);
    }
}
