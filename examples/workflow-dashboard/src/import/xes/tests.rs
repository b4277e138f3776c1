//! Logs that can be read, and logs that are refused by file and line.

use std::{error::Error, io::Write, path::PathBuf};

use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use super::{Case, LogReader, XesError};

/// A file of this content in a folder that is removed when the value is dropped.
struct Log {
    _folder: tempfile::TempDir,
    path: PathBuf,
}

fn log(content: &[u8]) -> Log {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.xes");
    std::fs::write(&path, content).unwrap();
    Log { _folder: folder, path }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn read(content: &[u8]) -> Result<(Option<String>, Vec<Case>), XesError> {
    let log = log(content);
    let mut reader = LogReader::open(&log.path)?;
    let mut cases = Vec::new();
    while let Some(case) = reader.next_case()? {
        cases.push(case);
    }
    Ok((reader.log_name().map(str::to_owned), cases))
}

/// The error as a person would see it, causes included.
fn refused(content: &[u8]) -> String {
    let error = read(content).expect_err("the log must be refused");
    let mut sentence = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        sentence = format!("{sentence}: {inner}");
        cause = inner.source();
    }
    sentence
}

const SMALL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1.0" xmlns="http://www.xes-standard.org/">
  <global scope="event"><string key="concept:name" value="UNKNOWN"/></global>
  <string key="concept:name" value="Receipt &amp; more"><string key="inner" value="x"/></string>
  <trace>
    <string key="concept:name" value="case-1"/>
    <int key="cost" value="9223372036854775807"/>
    <event>
      <string key="concept:name" value="Bestätigen"/>
      <date key="time:timestamp" value="2011-10-11T13:45:40.276+02:00"/>
      <float key="part" value="0.1"/>
      <boolean key="ok" value="true"/>
      <string key="org:resource" value="R1"><int key="age" value="-7"/></string>
      <list key="docs"><values><string key="doc" value="a"/><string key="doc" value="b"/></values></list>
      <container key="where"><string key="city" value="Ede"/></container>
    </event>
  </trace>
  <trace><string key="concept:name" value="case-2"/></trace>
</log>
"#;

#[test]
fn types_are_kept() {
    let (name, cases) = read(SMALL.as_bytes()).unwrap();
    assert_eq!(name.as_deref(), Some("Receipt & more"));
    assert_eq!(
        cases.iter().map(|case| (case.name.as_str(), case.line)).collect::<Vec<_>>(),
        [("case-1", 5), ("case-2", 18)]
    );
    assert_eq!(serde_json::Value::from(cases[0].attributes.clone()), json!({ "cost": i64::MAX }));
    let event = &cases[0].events[0];
    assert_eq!((event.name.as_str(), event.line), ("Bestätigen", 8));
    assert_eq!(
        serde_json::Value::from(event.attributes.clone()),
        json!({
            "time:timestamp": "2011-10-11T13:45:40.276+02:00",
            "part": 0.1,
            "ok": true,
            "org:resource": { "value": "R1", "attributes": { "age": -7 } },
            "docs": [{ "doc": "a" }, { "doc": "b" }],
            "where": { "city": "Ede" },
        })
    );
}

#[test]
fn gzip_is_known_by_its_first_bytes() {
    assert_eq!(read(&gzip(SMALL.as_bytes())).unwrap(), read(SMALL.as_bytes()).unwrap());
}

#[test]
fn a_cut_or_damaged_file_is_refused_by_line() {
    let whole = gzip(SMALL.as_bytes());
    for cut in [whole.len() / 2, whole.len() - 1] {
        let sentence = refused(&whole[..cut]);
        assert!(sentence.contains("log.xes line ") && sentence.contains("gzip data is cut or damaged"), "{sentence}");
    }
    let mut flipped = whole.clone();
    let checksum = flipped.len() - 6;
    flipped[checksum] ^= 1;
    assert!(refused(&flipped).contains("gzip data is cut or damaged"));

    let inside_event = SMALL.find("<boolean").unwrap();
    assert!(refused(&SMALL.as_bytes()[..inside_event]).contains("line 12: the file ends inside <event>"));
    let inside_tag = inside_event + 5;
    assert!(refused(&SMALL.as_bytes()[..inside_tag]).contains("not well-formed XML"));
    assert!(refused(b"").contains("line 1: the document is <>, a log is <log>"));
}

#[test]
fn what_is_no_log_is_refused_by_line() {
    for (from, to, sentence) in [
        ("2011-10-11", "2011-13-11", "line 10: attribute \"time:timestamp\" is no date with time and offset"),
        ("40.276+02:00", "40.276", "line 10: attribute \"time:timestamp\" is no date with time and offset"),
        ("\"0.1\"", "\"0,1\"", "line 11: attribute \"part\" is no number: \"0,1\""),
        ("9223372036854775807", "9223372036854775808", "line 7: attribute \"cost\" is no whole number"),
        ("\"true\"", "\"yes\"", "line 12: attribute \"ok\" is no boolean"),
        ("<string key=\"concept:name\" value=\"case-1\"/>", "", "line 5: case without concept:name"),
        ("<string key=\"concept:name\" value=\"Bestätigen\"/>", "", "line 8: event without concept:name"),
        ("value=\"case-1\"", "value=\" \"", "line 5: case without concept:name"),
        (
            "<int key=\"cost\" value=\"",
            "<string key=\"concept:name\" value=\"",
            "line 5: attribute \"concept:name\" is there twice",
        ),
        ("key=\"part\" ", "", "line 11: <float> without key"),
        ("value=\"0.1\"", "", "line 11: <float> without value"),
        ("<float key=\"part\" value=\"0.1\"/>", "<trace/>", "line 11: <trace> has no place inside <event>"),
        (
            "<trace><string key=\"concept:name\" value=\"case-2\"/></trace>",
            "<event/>",
            "line 18: event outside of a trace",
        ),
        ("    </event>", "    </trace>", "line 16: not well-formed XML"),
        ("&amp;", "&unknown;", "line 4: not well-formed XML"),
        ("<log ", "<html ", "line 2: the document is <html>"),
    ] {
        assert!(SMALL.contains(from), "{from}");
        let found = refused(SMALL.replacen(from, to, 1).as_bytes());
        assert!(found.contains(sentence), "{from} → {to}: {found}");
    }
    assert!(refused(&[SMALL.as_bytes(), b"<log/>"].concat()).contains("<log> has no place"));
}

#[test]
fn nesting_is_bounded() {
    let deep =
        format!("<log><trace>{}{}</trace></log>", "<container key=\"a\">".repeat(5_000), "</container>".repeat(5_000));
    assert!(refused(deep.as_bytes()).contains("nested deeper than 10 levels"));
}
