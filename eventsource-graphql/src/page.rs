//! Page sizes that a client cannot turn against the server.

/// Most items in one page: more are cut to this many, and `hasNextPage` tells.
pub const PAGE_SIZE_MAX: u32 = 200;
/// Highest cost of one field, so that sums and products of costs cannot run over.
const COST_MAX: usize = 1_000_000_000;

/// The number of items that `first` asks for: 0 to [`PAGE_SIZE_MAX`].
///
/// A negative number is 0, which is a page with its `totalCount` and without items.
///
/// ```
/// use eventsource_graphql::page_size;
///
/// assert_eq!([-5, 0, 50, i32::MAX].map(page_size), [0, 0, 50, 200]);
/// ```
#[must_use]
pub fn page_size(first: i32) -> u32 {
    u32::try_from(first).unwrap_or(0).min(PAGE_SIZE_MAX)
}

/// The complexity of a page of `first` items that cost `child_complexity` each. It never panics and
/// never runs over, whatever a client sends.
///
/// ```
/// use async_graphql::Object;
/// use eventsource_graphql::page_cost;
///
/// struct Query;
///
/// #[Object]
/// impl Query {
///     #[graphql(complexity = "page_cost(first, child_complexity)")]
///     async fn names(&self, #[graphql(default = 50)] first: i32) -> Vec<String> {
///         vec!["ada".into(); first as usize]
///     }
/// }
/// assert_eq!(page_cost(50, 4), 201);
/// assert_eq!(page_cost(-1, usize::MAX), 1);
/// ```
#[must_use]
pub fn page_cost(first: i32, child_complexity: usize) -> usize {
    let items = usize::try_from(page_size(first)).unwrap_or(usize::MAX);
    items.saturating_mul(child_complexity).saturating_add(1).min(COST_MAX)
}
