//! What is wrong with a log, and where.

use std::{fmt, io, path::PathBuf};

/// A log that cannot be read, with the file and the line (of the uncompressed text).
#[derive(Debug)]
pub struct XesError {
    /// Which file.
    pub file: PathBuf,
    /// Which line, from 1.
    pub line: u64,
    /// What is wrong there.
    pub problem: XesProblem,
}

impl fmt::Display for XesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line {}: {}", self.file.display(), self.line, self.problem)
    }
}

impl std::error::Error for XesError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.problem)
    }
}

/// What can be wrong with a log.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum XesProblem {
    /// The file cannot be read.
    #[error("cannot be read")]
    Io(#[source] io::Error),
    /// The compressed data is damaged or ends early.
    #[error("the gzip data is cut or damaged")]
    Gzip(#[source] io::Error),
    /// The text is not well-formed XML.
    #[error("not well-formed XML")]
    Xml(#[source] quick_xml::Error),
    /// The text ends before the log does.
    #[error("the file ends inside <{element}>")]
    Cut {
        /// The element that is not closed.
        element: String,
    },
    /// An element that has no place there.
    #[error("<{element}> has no place inside <{parent}>")]
    Misplaced {
        /// What was found.
        element: String,
        /// Where it was found.
        parent: &'static str,
    },
    /// The document is something else.
    #[error("the document is <{element}>, a log is <log>")]
    NotALog {
        /// Its outermost element.
        element: String,
    },
    /// A case that cannot be told from others.
    #[error("case without concept:name, every trace needs one to become a workflow")]
    NoCaseName,
    /// An event that belongs to no case.
    #[error("event outside of a trace, it belongs to no case")]
    NoCase,
    /// An event that does not say what happened.
    #[error("event without concept:name, every event needs one to become a step")]
    NoEventName,
    /// Two cases of one name would become one workflow.
    #[error("case {name:?} is there twice, first on line {first_line}")]
    CaseTwice {
        /// The name.
        name: String,
        /// Where it was first.
        first_line: u64,
    },
    /// An attribute lacks what it needs.
    #[error("<{element}> without {missing}=\"…\"")]
    NoXmlAttribute {
        /// Which element.
        element: String,
        /// What it lacks.
        missing: &'static str,
    },
    /// An attribute is there twice where one is allowed.
    #[error("attribute {key:?} is there twice")]
    AttributeTwice {
        /// Its key.
        key: String,
    },
    /// A value is not of its type.
    #[error("attribute {key:?} is no {expected}: {value:?}")]
    BadValue {
        /// Its key.
        key: String,
        /// Its value, cut to a length that fits a line.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// Attributes inside attributes beyond what is allowed.
    #[error("attributes are nested deeper than {limit} levels")]
    TooDeep {
        /// How deep they may be.
        limit: usize,
    },
    /// A case has more events than a workflow may have steps.
    #[error("case {name:?} has more than {limit} events")]
    TooManyEvents {
        /// The case.
        name: String,
        /// How many it may have.
        limit: u32,
    },
    /// A command made from this place breaks a limit of the domain.
    #[error("cannot become a workflow")]
    Limit(#[source] crate::domain::InvalidCommand),
    /// Nested values beyond what a workflow may hold.
    #[error("cannot become a workflow")]
    Json(#[source] crate::domain::JsonError),
}
