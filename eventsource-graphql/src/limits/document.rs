//! The size of a document once its fragments are spread, counted without spreading them.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{
    Name, Request, ServerError, ServerResult,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextPrepareRequest},
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};

use super::source::check_source;

/// The code of a refusal.
pub(crate) const DOCUMENT_TOO_LARGE: &str = "DOCUMENT_TOO_LARGE";

/// Refuses documents with too many selections before `async-graphql` walks them.
///
/// Its own walks visit a fragment wherever it is spread: twenty fragments that spread the next one
/// twice are a million visits. Here each fragment is counted once. And some of them call themselves
/// for each level of nesting or each fragment of a chain, which a client could make longer than any
/// stack; so text that nests too deep is not even parsed.
#[derive(Clone, Copy, Debug)]
pub(super) struct DocumentLimits {
    selections_max: usize,
}

impl DocumentLimits {
    pub(super) const fn new(selections_max: usize) -> Self {
        Self { selections_max }
    }
}

impl ExtensionFactory for DocumentLimits {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(*self)
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for DocumentLimits {
    async fn prepare_request(
        &self,
        context: &ExtensionContext<'_>,
        request: Request,
        next: NextPrepareRequest<'_>,
    ) -> ServerResult<Request> {
        check_source(&request.query).map_err(|too_large| refusal(too_large.to_string()))?;
        let mut request = next.run(context, request).await?;
        check_selections(request.parsed_query()?, self.selections_max)?;
        Ok(request)
    }
}

fn refusal(message: String) -> ServerError {
    let mut error = ServerError::new(message, None);
    error.extensions.get_or_insert_default().set("code", DOCUMENT_TOO_LARGE);
    error
}

/// Refuses more than `max` fragments or selections: those of all operations, a fragment's wherever
/// it is spread.
///
/// Nothing here calls itself: a client chooses how long a chain of fragments is.
fn check_selections(document: &ExecutableDocument, max: usize) -> ServerResult<()> {
    let operations: Vec<_> =
        document.operations.iter().map(|(_, operation)| Part::of(&operation.node.selection_set.node)).collect();
    let fragments = document.fragments.iter();
    let fragments: Fragments<'_> =
        fragments.map(|(name, fragment)| (name, Part::of(&fragment.node.selection_set.node))).collect();
    // What nobody spreads is work for the validation all the same.
    let written = operations.iter().chain(fragments.values()).map(|part| part.selections);
    check_count(written.fold(0, usize::saturating_add).max(fragments.len()), max)?;
    let sizes = sizes(&fragments)?;
    check_count(operations.iter().map(|part| part.size(&sizes)).fold(0, usize::saturating_add), max)
}

fn check_count(count: usize, max: usize) -> ServerResult<()> {
    if count > max {
        return Err(refusal(format!("the document has {count} fields and fragments, at most {max} are allowed")));
    }
    Ok(())
}

type Fragments<'d> = HashMap<&'d Name, Part<'d>>;

/// An operation or a fragment as it is written.
struct Part<'d> {
    selections: usize,
    /// The fragments it spreads, as often as it does.
    spreads: Vec<&'d Name>,
}

impl<'d> Part<'d> {
    fn of(set: &'d SelectionSet) -> Self {
        let mut part = Self { selections: 0, spreads: Vec::new() };
        let mut sets = vec![set];
        while let Some(set) = sets.pop() {
            part.selections = part.selections.saturating_add(set.items.len());
            for selection in &set.items {
                match &selection.node {
                    Selection::Field(field) => sets.push(&field.node.selection_set.node),
                    Selection::InlineFragment(inline) => sets.push(&inline.node.selection_set.node),
                    Selection::FragmentSpread(spread) => part.spreads.push(&spread.node.fragment_name.node),
                }
            }
        }
        part
    }

    /// All selections, where the size of each spread fragment is known; saturating. One that is not
    /// known does not exist, which is the validation's to report.
    fn size(&self, sizes: &HashMap<&Name, usize>) -> usize {
        let spread = self.spreads.iter().filter_map(|name| sizes.get(name).copied());
        spread.fold(self.selections, usize::saturating_add)
    }
}

/// The size of each fragment, from those that spread nothing up to those that spread them.
fn sizes<'d>(fragments: &Fragments<'d>) -> ServerResult<HashMap<&'d Name, usize>> {
    let mut waiting: HashMap<&Name, usize> = HashMap::new();
    let mut spread_by: HashMap<&Name, Vec<&'d Name>> = HashMap::new();
    for (name, part) in fragments {
        let known = part.spreads.iter().filter(|spread| fragments.contains_key(*spread));
        waiting.insert(name, known.clone().count());
        known.for_each(|spread| spread_by.entry(spread).or_default().push(name));
    }
    let mut ready: Vec<&'d Name> =
        fragments.keys().copied().filter(|name| waiting.get(name).is_none_or(|count| *count == 0)).collect();
    let mut sizes = HashMap::with_capacity(fragments.len());
    while let Some(name) = ready.pop() {
        let size = fragments.get(name).map_or(0, |part| part.size(&sizes));
        sizes.insert(name, size);
        for by in spread_by.remove(name).unwrap_or_default() {
            if let Some(count) = waiting.get_mut(by) {
                *count -= 1;
                if *count == 0 {
                    ready.push(by);
                }
            }
        }
    }
    match fragments.keys().filter(|name| !sizes.contains_key(*name)).min() {
        None => Ok(sizes),
        Some(name) => Err(refusal(format!("fragment {name} spreads itself, or one that does"))),
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use async_graphql::parser::parse_query;

    use super::check_selections;

    /// The size of a document: the lowest limit that lets it pass.
    fn counted(query: &str) -> Result<usize, String> {
        let document = parse_query(query).unwrap();
        let refusal = |max| check_selections(&document, max).err().map(|error| error.message);
        let spread = |message: &str| message.strip_prefix("the document has ")?.split(' ').next()?.parse().ok();
        let mut max = 0;
        while let Some(message) = refusal(max) {
            match spread(&message) {
                Some(usize::MAX) => return Ok(usize::MAX),
                Some(count) => max = count,
                None => return Err(message),
            }
        }
        Ok(max)
    }

    #[test]
    fn every_field_and_fragment_counts_wherever_it_is_spread() {
        assert_eq!(counted("{ a b: a c { d } }"), Ok(4));
        assert_eq!(counted("{ ...F x { ...F } } fragment F on T { a b }"), Ok(7));
        assert_eq!(counted("{ ... on T { a } }"), Ok(2));
        assert_eq!(counted("query A { a } query B { a b }"), Ok(3));
        assert_eq!(counted("{ ...Nowhere }"), Ok(1));
        assert_eq!(counted("{ ...A ...B } fragment A on T { ...B } fragment B on T { a { b } }"), Ok(7));
    }

    #[test]
    fn doubling_fragments_are_counted_without_being_spread() {
        let mut query = "{ ...F0 }".to_owned();
        for level in 0..200 {
            write!(query, " fragment F{level} on T {{ ...F{0} ...F{0} }}", level + 1).unwrap();
        }
        query.push_str(" fragment F200 on T { a }");
        assert_eq!(counted(&query), Ok(usize::MAX));
    }

    #[test]
    fn fragments_that_nobody_spreads_count_as_written() {
        assert_eq!(counted("{ a } fragment F on T { b { c } }"), Ok(3));
        assert_eq!(counted("{ a } fragment F on T { ...G } fragment G on T { b c d }"), Ok(5));
        assert_eq!(counted("{ ...A ...A } fragment A on T { b c d e }"), Ok(10));
    }

    #[test]
    fn a_cycle_is_refused() {
        for query in [
            "{ ...A } fragment A on T { ...B } fragment B on T { x { ...A } }",
            "{ x } fragment A on T { ...B } fragment B on T { x { ...A } }",
            "{ ...A } fragment A on T { a ...A }",
            "{ ...A } fragment A on T { ...C ...B } fragment B on T { ...B } fragment C on T { c }",
        ] {
            assert_eq!(counted(query), Err("fragment A spreads itself, or one that does".to_owned()), "{query}");
        }
    }

    #[test]
    fn a_chain_as_long_as_any_limit_is_counted() {
        let mut query = "{ ...F0 }".to_owned();
        for level in 0..20_000 {
            write!(query, " fragment F{level} on T {{ ...F{} }}", level + 1).unwrap();
        }
        query.push_str(" fragment F20000 on T { a }");
        assert_eq!(counted(&query), Ok(20_002));
    }
}
