//! The size of a document once its fragments are spread, counted without spreading them.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{
    Name, Request, ServerError, ServerResult,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextPrepareRequest},
    parser::types::{ExecutableDocument, Selection, SelectionSet},
};

/// Refuses documents with too many selections before `async-graphql` walks them.
///
/// Its own walks visit a fragment wherever it is spread: twenty fragments that spread the next one
/// twice are a million visits. Here each fragment is counted once.
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
        let mut request = next.run(context, request).await?;
        let selections = selections(request.parsed_query()?)?;
        if selections > self.selections_max {
            let message = format!(
                "the document has {selections} fields and fragments, at most {} are allowed",
                self.selections_max
            );
            return Err(refusal(message));
        }
        Ok(request)
    }
}

fn refusal(message: String) -> ServerError {
    let mut error = ServerError::new(message, None);
    error.extensions.get_or_insert_default().set("code", "DOCUMENT_TOO_LARGE");
    error
}

/// All selections of all operations, a fragment's wherever it is spread; saturating.
fn selections(document: &ExecutableDocument) -> ServerResult<usize> {
    let mut fragments = HashMap::new();
    let operations = document.operations.iter();
    let counted = operations.map(|(_, operation)| count(document, &operation.node.selection_set.node, &mut fragments));
    counted.reduce(|sum, more| Ok(sum?.saturating_add(more?))).unwrap_or(Ok(0))
}

/// `None` in `fragments` marks one that is being counted: meeting it again is a cycle.
fn count<'d>(
    document: &'d ExecutableDocument,
    set: &'d SelectionSet,
    fragments: &mut HashMap<&'d Name, Option<usize>>,
) -> ServerResult<usize> {
    let mut sum: usize = 0;
    for selection in &set.items {
        let inside = match &selection.node {
            Selection::Field(field) => count(document, &field.node.selection_set.node, fragments)?,
            Selection::InlineFragment(inline) => count(document, &inline.node.selection_set.node, fragments)?,
            Selection::FragmentSpread(spread) => {
                let name = &spread.node.fragment_name.node;
                match (fragments.get(name), document.fragments.get_key_value(name)) {
                    (Some(Some(counted)), _) => *counted,
                    (Some(None), _) => return Err(refusal(format!("fragment {name} spreads itself"))),
                    // An unknown fragment is the validation's to report.
                    (None, None) => 0,
                    (None, Some((name, fragment))) => {
                        fragments.insert(name, None);
                        let counted = count(document, &fragment.node.selection_set.node, fragments)?;
                        fragments.insert(name, Some(counted));
                        counted
                    }
                }
            }
        };
        sum = sum.saturating_add(inside).saturating_add(1);
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use async_graphql::parser::parse_query;

    use super::selections;

    fn counted(query: &str) -> Result<usize, String> {
        selections(&parse_query(query).unwrap()).map_err(|error| error.message)
    }

    #[test]
    fn every_field_and_fragment_counts_wherever_it_is_spread() {
        assert_eq!(counted("{ a b: a c { d } }"), Ok(4));
        assert_eq!(counted("{ ...F x { ...F } } fragment F on T { a b }"), Ok(7));
        assert_eq!(counted("{ ... on T { a } }"), Ok(2));
        assert_eq!(counted("query A { a } query B { a b }"), Ok(3));
        assert_eq!(counted("{ ...Nowhere }"), Ok(1));
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
    fn a_cycle_is_refused() {
        let query = "{ ...A } fragment A on T { ...B } fragment B on T { x { ...A } }";
        assert_eq!(counted(query), Err("fragment A spreads itself".to_owned()));
    }
}
