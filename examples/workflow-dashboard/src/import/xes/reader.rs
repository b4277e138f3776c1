//! One case after the other out of a log.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;
use quick_xml::{
    Reader, XmlVersion,
    events::{BytesStart, Event},
};
use serde_json::Value;

use super::{
    Attributes,
    attribute::{Kind, unique},
    error::{XesError, XesProblem},
    line::Lines,
};

/// How deep attributes may lie inside attributes.
const NESTING_MAX: usize = 10;
/// What a gzip file begins with (RFC 1952).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
const BUFFER_BYTES: usize = 64 * 1024;

/// One execution of a process.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// Where it begins.
    pub line: u64,
    /// Its `concept:name`.
    pub name: String,
    /// All other attributes.
    pub attributes: Attributes,
    /// What happened, in the order of the log.
    pub events: Vec<LogEvent>,
}

/// One thing that happened in a case.
#[derive(Clone, Debug, PartialEq)]
pub struct LogEvent {
    /// Where it begins.
    pub line: u64,
    /// Its `concept:name`.
    pub name: String,
    /// All other attributes: time, resource, lifecycle transition …
    pub attributes: Attributes,
}

/// Reads the cases of a log as they come; the file is never in memory as a whole.
pub struct LogReader {
    file: PathBuf,
    xml: Reader<Lines<Box<dyn BufRead>>>,
    buffer: Vec<u8>,
    is_compressed: bool,
    name: Option<String>,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Before,
    Inside,
    After,
}

/// What a piece of XML means to the reader; its line is where it begins.
enum Token {
    Start { element: String, key: Option<String>, value: Option<String> },
    End,
    Text,
    Eof,
}

impl LogReader {
    /// Opens a log; gzip is known by its first bytes, whatever the file is called.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub fn open(file: &Path) -> Result<Self, XesError> {
        let (text, is_compressed) = open_text(file).map_err(|source| XesError {
            file: file.to_owned(),
            line: 1,
            problem: XesProblem::Io(source),
        })?;
        let mut xml = Reader::from_reader(Lines::new(text));
        xml.config_mut().expand_empty_elements = true;
        Ok(Self { file: file.to_owned(), xml, buffer: Vec::new(), is_compressed, name: None, stage: Stage::Before })
    }

    /// The log's `concept:name`, once the reader has come past it.
    #[must_use]
    pub fn log_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The next case; `None` after the last one, when the file was read to its very end.
    ///
    /// # Errors
    /// With the file and the line, when what follows is no log.
    pub fn next_case(&mut self) -> Result<Option<Case>, XesError> {
        loop {
            let (line, token) = self.token()?;
            match (self.stage, token) {
                (_, Token::Text) => {}
                (Stage::Before, Token::Start { element, .. }) if element == "log" => self.stage = Stage::Inside,
                (Stage::Before, Token::Start { element, .. }) => {
                    return Err(self.error(line, XesProblem::NotALog { element }));
                }
                (Stage::Inside, Token::Start { element, .. }) if element == "trace" => {
                    return self.case(line).map(Some);
                }
                (Stage::Inside, Token::Start { element, .. }) if element == "event" => {
                    return Err(self.error(line, XesProblem::NoCase));
                }
                (Stage::Inside, Token::Start { element, key, value }) => {
                    if element == "string" && key.as_deref() == Some("concept:name") {
                        self.name = value;
                    }
                    self.skip(&element)?;
                }
                (Stage::Inside, Token::End) => self.stage = Stage::After,
                (Stage::After, Token::Start { element, .. }) => {
                    return Err(self.error(line, XesProblem::Misplaced { element, parent: "the end of the log" }));
                }
                (Stage::After, Token::Eof) => return Ok(None),
                (Stage::Before, Token::Eof | Token::End) => {
                    return Err(self.error(line, XesProblem::NotALog { element: String::new() }));
                }
                (Stage::Inside, Token::Eof) => return Err(self.cut(line, "log")),
                (Stage::After, Token::End) => {}
            }
        }
    }

    fn case(&mut self, start: u64) -> Result<Case, XesError> {
        let mut attributes = Vec::new();
        let mut events = Vec::new();
        loop {
            let (line, token) = self.token()?;
            match token {
                Token::Text => {}
                Token::Start { element, .. } if element == "event" => events.push(self.event(line)?),
                Token::Start { element, key, value } => {
                    attributes.push(self.attribute(line, "trace", &element, key, value, 1)?);
                }
                Token::End => break,
                Token::Eof => return Err(self.cut(line, "trace")),
            }
        }
        let (name, attributes) = self.named(start, attributes, XesProblem::NoCaseName)?;
        Ok(Case { line: start, name, attributes, events })
    }

    fn event(&mut self, start: u64) -> Result<LogEvent, XesError> {
        let mut attributes = Vec::new();
        loop {
            let (line, token) = self.token()?;
            match token {
                Token::Text => {}
                Token::Start { element, key, value } => {
                    attributes.push(self.attribute(line, "event", &element, key, value, 1)?);
                }
                Token::End => break,
                Token::Eof => return Err(self.cut(line, "event")),
            }
        }
        let (name, attributes) = self.named(start, attributes, XesProblem::NoEventName)?;
        Ok(LogEvent { line: start, name, attributes })
    }

    /// Takes the name out of the attributes.
    fn named(
        &self,
        line: u64,
        attributes: Vec<(String, Value)>,
        problem: XesProblem,
    ) -> Result<(String, Attributes), XesError> {
        let mut attributes = unique(attributes).map_err(|problem| self.error(line, problem))?;
        match attributes.remove("concept:name") {
            Some(Value::String(name)) if !name.trim().is_empty() => Ok((name, attributes)),
            _ => Err(self.error(line, problem)),
        }
    }

    /// The attribute whose start tag was just read, up to its end tag.
    fn attribute(
        &mut self,
        line: u64,
        parent: &'static str,
        element: &str,
        key: Option<String>,
        value: Option<String>,
        depth: usize,
    ) -> Result<(String, Value), XesError> {
        let Some(kind) = Kind::of(element) else {
            return Err(self.error(line, XesProblem::Misplaced { element: element.to_owned(), parent }));
        };
        if depth > NESTING_MAX {
            return Err(self.error(line, XesProblem::TooDeep { limit: NESTING_MAX }));
        }
        let lacks = |missing| XesProblem::NoXmlAttribute { element: element.to_owned(), missing };
        let key = key.ok_or_else(|| self.error(line, lacks("key")))?;
        let own = match value {
            Some(text) if kind.has_value() => kind.parse(&key, &text).map_err(|problem| self.error(line, problem))?,
            None if kind.has_value() => return Err(self.error(line, lacks("value"))),
            _ => Value::Null,
        };
        let inner = self.inner(kind, element, depth)?;
        let value = kind.with_inner(own, inner).map_err(|problem| self.error(line, problem))?;
        Ok((key, value))
    }

    /// The attributes inside the one that is open. Only a list wraps them in `<values>`.
    fn inner(&mut self, kind: Kind, parent: &str, depth: usize) -> Result<Vec<(String, Value)>, XesError> {
        let mut inner = Vec::new();
        let mut wrappers = 0_usize;
        loop {
            let (line, token) = self.token()?;
            match token {
                Token::Text => {}
                Token::Start { element, .. } if element == "values" && kind == Kind::List && wrappers == 0 => {
                    wrappers += 1;
                }
                Token::Start { element, key, value } => {
                    inner.push(self.attribute(line, "an attribute", &element, key, value, depth + 1)?);
                }
                Token::End if wrappers > 0 => wrappers -= 1,
                Token::End => return Ok(inner),
                Token::Eof => return Err(self.cut(line, parent)),
            }
        }
    }

    /// Passes over everything up to the end of the element that is open.
    fn skip(&mut self, element: &str) -> Result<(), XesError> {
        let mut depth = 1_u64;
        while depth > 0 {
            match self.token()? {
                (_, Token::Start { .. }) => depth += 1,
                (_, Token::End) => depth -= 1,
                (_, Token::Text) => {}
                (line, Token::Eof) => return Err(self.cut(line, element)),
            }
        }
        Ok(())
    }

    fn token(&mut self) -> Result<(u64, Token), XesError> {
        self.buffer.clear();
        self.xml.get_mut().mark();
        let line = self.xml.get_ref().line();
        let token = self.xml.read_event_into(&mut self.buffer).and_then(|event| match event {
            Event::Start(start) => start_token(&start),
            Event::End(_) => Ok(Token::End),
            Event::Eof => Ok(Token::Eof),
            _ => Ok(Token::Text),
        });
        token.map(|token| (line, token)).map_err(|error| self.xml_error(error))
    }

    fn xml_error(&self, error: quick_xml::Error) -> XesError {
        let problem = match error {
            quick_xml::Error::Io(source) => {
                let copy = io::Error::new(source.kind(), source);
                if self.is_compressed { XesProblem::Gzip(copy) } else { XesProblem::Io(copy) }
            }
            other => XesProblem::Xml(other),
        };
        self.error(self.xml.get_ref().line(), problem)
    }

    fn cut(&self, line: u64, element: &str) -> XesError {
        self.error(line, XesProblem::Cut { element: element.to_owned() })
    }

    pub(in crate::import) fn error(&self, line: u64, problem: XesProblem) -> XesError {
        XesError { file: self.file.clone(), line, problem }
    }
}

fn start_token(start: &BytesStart<'_>) -> Result<Token, quick_xml::Error> {
    let (mut key, mut value) = (None, None);
    for attribute in start.attributes() {
        let attribute = attribute?;
        let slot = match attribute.key.as_ref() {
            "key" => &mut key,
            "value" => &mut value,
            _ => continue,
        };
        *slot = Some(attribute.normalized_value(XmlVersion::Implicit1_0)?.into_owned());
    }
    Ok(Token::Start { element: start.local_name().as_ref().to_owned(), key, value })
}

fn open_text(file: &Path) -> io::Result<(Box<dyn BufRead>, bool)> {
    let mut bytes = BufReader::with_capacity(BUFFER_BYTES, File::open(file)?);
    if bytes.fill_buf()?.starts_with(&GZIP_MAGIC) {
        let text = BufReader::with_capacity(BUFFER_BYTES, MultiGzDecoder::new(bytes));
        return Ok((Box::new(text), true));
    }
    Ok((Box::new(bytes), false))
}

impl std::fmt::Debug for LogReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogReader").field("file", &self.file).field("line", &self.xml.get_ref().line()).finish()
    }
}
