//! What the text of a document costs to parse, found before anything parses it.

/// Most brackets, braces and parentheses open at once. A field in the deepest selection that the
/// schema can allow (32) has as many left for its arguments.
const NESTING_MAX: usize = 64;
/// Most tokens. To a parser each costs far more than it costs to count it.
const TOKENS_MAX: usize = 15_000;

/// A document that is not worth parsing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SourceTooLarge {
    /// Parsers call themselves for each level.
    #[error("the document nests brackets too deep, at most {NESTING_MAX} may be open at once")]
    Nesting,
    #[error("the document has too many tokens, at most {TOKENS_MAX} are allowed; send data as variables")]
    Tokens,
}

/// Whether `query` can be parsed without fear for time and stack; it need not be valid.
///
/// It reads strings as the parser does, or sees more brackets than the parser, never fewer: a
/// bracket that is hidden here must be hidden there.
pub(crate) fn check_source(query: &str) -> Result<(), SourceTooLarge> {
    let mut rest = query.as_bytes();
    let mut depth: usize = 0;
    let mut tokens: usize = 0;
    let mut block_may_end = true;
    while let [first, after @ ..] = rest {
        let is_token = !matches!(first, b' ' | b'\t' | b'\n' | b'\r' | b',' | b'#');
        tokens += usize::from(is_token);
        if tokens > TOKENS_MAX {
            return Err(SourceTooLarge::Tokens);
        }
        rest = match first {
            b'#' => after_comment(after),
            b'"' => match rest.strip_prefix(BLOCK_QUOTE).filter(|_| block_may_end).map(after_block) {
                Some(Some(after)) => after,
                Some(None) => {
                    // To the parser this is an empty string, and then one more quote.
                    block_may_end = false;
                    after_string(after)
                }
                None => after_string(after),
            },
            b'(' | b'[' | b'{' => {
                depth += 1;
                if depth > NESTING_MAX {
                    return Err(SourceTooLarge::Nesting);
                }
                after
            }
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                after
            }
            byte if is_word(*byte) => after_word(after),
            _ => after,
        };
    }
    Ok(())
}

const BLOCK_QUOTE: &[u8] = b"\"\"\"";
const ESCAPED_BLOCK_QUOTE: &[u8] = b"\\\"\"\"";

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn after_word(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| !is_word(*byte));
    end.and_then(|end| text.get(end..)).unwrap_or_default()
}

fn after_comment(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    end.and_then(|end| text.get(end..)).unwrap_or_default()
}

/// What follows a string; one that its line does not end is no string, and ends with the line.
fn after_string(mut text: &[u8]) -> &[u8] {
    loop {
        text = match text {
            [b'"', after @ ..] => return after,
            [] | [b'\n' | b'\r', ..] => return text,
            [b'\\', b'"' | b'\\', after @ ..] | [_, after @ ..] => after,
        }
    }
}

/// What follows a block string; `None` when it never ends.
fn after_block(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        if let Some(after) = text.strip_prefix(BLOCK_QUOTE) {
            return Some(after);
        }
        text = match text.strip_prefix(ESCAPED_BLOCK_QUOTE) {
            Some(after) => after,
            None => text.get(1..)?,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::{NESTING_MAX, SourceTooLarge, TOKENS_MAX, check_source};

    /// One level more than fits.
    fn deep() -> String {
        "[".repeat(NESTING_MAX + 1)
    }

    #[test]
    fn as_many_as_the_limit_may_be_open_at_once() {
        for (open, close) in [("[", "]"), ("{a:", "}"), ("(", ")"), ("{a(b:[", "]) c}")] {
            let levels = NESTING_MAX / open.chars().filter(|sign| "([{".contains(*sign)).count();
            let nested = |levels: usize| format!("{}{}", open.repeat(levels), close.repeat(levels));
            assert_eq!(check_source(&nested(levels).repeat(3)), Ok(()), "{open}");
            assert_eq!(check_source(&nested(levels + 1)), Err(SourceTooLarge::Nesting), "{open}");
            assert_eq!(check_source(&open.repeat(levels + 1)), Err(SourceTooLarge::Nesting), "{open}");
        }
        assert_eq!(check_source(&format!("{}{}", "]".repeat(1_000), deep())), Err(SourceTooLarge::Nesting));
    }

    #[test]
    fn what_is_no_bracket_to_the_parser_is_none_here() {
        let deep = deep();
        for hidden in [
            format!("# {deep}\n{{a}}"),
            format!("# {deep}"),
            format!("{{a(b: \"{deep}\")}}"),
            format!(r#"{{a(b: "\" {deep} \\")}}"#),
            format!("{{a(b: \"\"\"{deep}\n\"{deep}\" \"\" {deep}\"\"\")}}"),
            format!(r#"{{a(b: """{deep} \""" {deep}""")}}"#),
            format!(r##"{{a(b: "# \\", c: "{deep}")}}"##),
        ] {
            assert_eq!(check_source(&hidden), Ok(()), "{hidden}");
        }
    }

    #[test]
    fn what_is_a_bracket_to_the_parser_is_one_here() {
        let deep = deep();
        for shown in [
            format!("# a comment\n{deep}"),
            format!("# a comment\r{deep}"),
            format!("\"a # b\" {deep}"),
            format!(r#""\\" {deep}"#),
            format!(r#""" {deep}"#),
            format!(r#""a""b" {deep}"#),
            format!(r#"""""x""" {deep}"#),
            format!(r#"""" \\""" """ {deep}"#),
            // No block string, since it never ends: an empty string, a string, and brackets.
            format!(r#"""" x" {deep}"#),
            format!(r#"""" \""" x" {deep}"#),
            // No string either; the parser gives up before the brackets.
            format!("\"x\n{deep}"),
        ] {
            assert_eq!(check_source(&shown), Err(SourceTooLarge::Nesting), "{shown}");
        }
    }

    #[test]
    fn tokens_are_counted_and_not_their_bytes() {
        for token in [
            "name ",
            "_a1,",
            "1 ",
            "!",
            "\"a string of words\"",
            "\"\"\"a # b \\\"\"\" c\"\"\"",
            "x # a comment\n",
            "()",
        ] {
            let tokens = if token == "()" { 2 } else { 1 };
            assert_eq!(check_source(&token.repeat(TOKENS_MAX / tokens)), Ok(()), "{token}");
            assert_eq!(check_source(&token.repeat(TOKENS_MAX / tokens + 1)), Err(SourceTooLarge::Tokens), "{token}");
        }
        assert_eq!(check_source(&format!("{{a}}{}", " ,\t\r\n".repeat(TOKENS_MAX))), Ok(()));
        let spreads = format!("{{a{}}}", "...F".repeat(TOKENS_MAX / 4));
        assert_eq!(check_source(&spreads), Err(SourceTooLarge::Tokens));
    }
}
