//! Law 7: what goes in comes out.

use eventsource_core::{EventStore, ExpectedVersion, Metadata, NAME_BYTES_MAX, NewEvent, StoreError, StreamId};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    Capability, Fixture, Verdict,
    broken::{LawBroken, ensure, ensure_eq, ensure_matches},
    laws::support::{count, event, events, read_all, read_stream, stream},
};

/// A payload that is refused by no store for its size.
const LARGE_BYTES: usize = 1 << 20;

/// Law 7: payloads come back byte for byte, or at least value for value: numbers beyond 63 bits,
/// floats, Unicode, awkward keys, deep nesting.
///
/// # Errors
/// When the law is broken.
pub async fn law_07_values_come_back(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    let nested_objects = |depth: usize| format!("{}1{}", r#"{"a":"#.repeat(depth), "}".repeat(depth));
    let payloads = [
        "{}".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        r#""text alone""#.to_owned(),
        "[18446744073709551615,9223372036854775808,9223372036854775807,-9223372036854775808,0,-1]".to_owned(),
        "[9007199254740993,-9007199254740993]".to_owned(),
        "[0.1,-0.0,1.0,1e300,5e-324,2.2250738585072014e-308,1.7976931348623157e308,0.30000000000000004]".to_owned(),
        r#"{"zürich":"Straße","日本":"語","emoji":"👩‍👩‍👧‍👦","combining":"e\u0301 é","rtl":"שלום"}"#.to_owned(),
        r#"{"quote":"\"","backslash":"\\","newline":"\n","nul":"\u0000","separators":"\u2028\u2029","del":"\u007f"}"#
            .to_owned(),
        r#"{"a.b":1,"$set":{"$inc":2},"$":3,".":4,"":5,"a.$.b":{"x.y":6},"__proto__":7,"_id":8}"#.to_owned(),
        r#"{"empty":{},"list":[],"nothing":null,"yes":true,"no":false}"#.to_owned(),
        r#"{"date":"2024-02-30T25:61:61Z","oid":"507f1f77bcf86cd799439011","number":"42"}"#.to_owned(),
        nested(64),
        nested_objects(64),
    ];
    let batch: Vec<NewEvent> = payloads.iter().map(event).collect();
    let stored = count(&batch);
    store.append(&stream("values"), ExpectedVersion::NoStream, batch.clone()).await?;
    for there in [read_stream(&*store, &stream("values")).await?, read_all(&*store, stored).await?] {
        ensure_eq!(there.len(), batch.len(), "events that came back");
        for (event, sent) in there.iter().zip(&batch) {
            same_value(&event.payload, &sent.payload)?;
        }
    }
    Ok(())
}

/// Equal byte for byte, or the same JSON with every number spelled the same.
fn same_value(seen: &[u8], right: &[u8]) -> Verdict {
    if seen == right {
        return Ok(());
    }
    let shown = |bytes| String::from_utf8_lossy(bytes).chars().take(200).collect::<String>();
    let json = |bytes| serde_json::from_slice::<Value>(bytes);
    ensure_eq!(json(seen)?, json(right)?, "a payload that came back, sent as {}", shown(right));
    Ok(())
}

/// Law 7: every field of the metadata comes back, present or absent, and so do name, schema and id.
///
/// # Errors
/// When the law is broken.
pub async fn law_07_metadata_comes_back(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let headers =
        [("plain", "value"), ("with.dot", "$dollar"), ("$set", ""), ("Ünïcode", "日本\n\"'"), ("", "no name")];
    let full = Metadata {
        correlation_id: Some(Uuid::from_u128(u128::MAX)),
        causation_id: Some(Uuid::from_u128(1)),
        trace: Some(trace.parse().map_err(|_| LawBroken::new("a valid trace context is refused"))?),
        actor: Some("Ädä <ada@example.org>".into()),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
    };
    let sparse = Metadata { actor: Some("".into()), ..Metadata::default() };
    let batch: Vec<_> = [full, sparse, Metadata::default()]
        .into_iter()
        .zip([u16::MAX, 0, 1])
        .map(|(metadata, schema)| NewEvent { metadata, schema, ..event("{}") })
        .collect();
    store.append(&stream("metadata"), ExpectedVersion::NoStream, batch.clone()).await?;
    for there in [read_stream(&*store, &stream("metadata")).await?, read_all(&*store, 3).await?] {
        ensure_eq!(there.len(), batch.len(), "events that came back");
        for (event, sent) in there.iter().zip(&batch) {
            ensure_eq!(event.metadata, sent.metadata, "metadata that came back");
            ensure_eq!((event.id, event.schema), (sent.id, sent.schema), "id and schema that came back");
            ensure_eq!(event.name, sent.name, "name that came back");
            ensure_eq!(event.stream, stream("metadata"), "stream that came back");
        }
    }
    Ok(())
}

/// Law 7: event names and stream keys of every allowed kind come back, and keys that look alike are
/// different streams.
///
/// # Errors
/// When the law is broken.
pub async fn law_07_names_and_keys_come_back(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    let longest = "k".repeat(eventsource_core::KEY_BYTES_MAX);
    let keys = [
        "a", "A", "a ", " a", "a/b", "/", "a.b", "$a", "%", "_", "'", "\"", "\\", "é", "e\u{301}", "日本", "ａ", "0",
        "00", "-1", "null", &longest,
    ];
    for (at, key) in keys.iter().enumerate() {
        let batch = vec![event(format!("{at}"))];
        store.append(&StreamId::new("law", key)?, ExpectedVersion::NoStream, batch).await?;
    }
    let other_category = StreamId::new("law-2", "a")?;
    store.append(&other_category, ExpectedVersion::NoStream, events(1)).await?;
    for (at, key) in keys.iter().enumerate() {
        let there = read_stream(&*store, &StreamId::new("law", key)?).await?;
        ensure_eq!(there.len(), 1, "events of the stream with key {key:?}");
        ensure_eq!(there[0].payload, at.to_string().as_bytes(), "payload in the stream with key {key:?}");
        ensure_eq!(there[0].stream.key(), *key, "the key that came back");
    }
    for name in ["x".to_owned(), "Ereignis.$ größer/日本".to_owned(), "n".repeat(NAME_BYTES_MAX)] {
        let named = NewEvent { name: name.as_str().into(), ..event("{}") };
        let appended = store.append(&stream("names"), ExpectedVersion::Any, vec![named]).await?;
        let there = read_stream(&*store, &stream("names")).await?;
        ensure_eq!(there.last().map(|event| event.version), Some(appended.version), "the last version");
        ensure_eq!(there.last().map(|event| event.name.as_str()), Some(name.as_str()), "the name that came back");
    }
    for name in [String::new(), "n".repeat(NAME_BYTES_MAX + 1)] {
        let named = NewEvent { name: name.as_str().into(), ..event("{}") };
        let refused = store.append(&stream("names"), ExpectedVersion::Any, vec![event("{}"), named]).await;
        ensure_matches!(refused, Err(StoreError::Invalid { .. }), "a name of {} bytes", name.len());
    }
    ensure_eq!(read_stream(&*store, &stream("names")).await?.len(), 3, "events after names that are refused");
    Ok(())
}

/// Law 7: a payload of 1 MiB comes back.
///
/// # Errors
/// When the law is broken.
pub async fn law_07_large_payload_comes_back(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    let large = text_of(LARGE_BYTES);
    let batch = vec![event("{}"), event(large.as_str()), event("{}")];
    store.append(&stream("large"), ExpectedVersion::NoStream, batch).await?;
    let there = read_all(&*store, 3).await?;
    ensure_eq!(there.iter().map(|event| event.payload.len()).collect::<Vec<_>>(), [2, LARGE_BYTES, 2], "bytes");
    ensure!(there[1].payload == large.as_bytes(), "a payload of {LARGE_BYTES} bytes came back changed");
    Ok(())
}

/// Law 7: a payload over the store's limit is `Invalid`, the limit is named and nothing is written;
/// one at the limit comes back. A store without a limit says why, and takes 8 MiB.
///
/// # Errors
/// When the law is broken.
pub async fn law_07_oversize_payload_is_invalid(fixture: Fixture<dyn EventStore>) -> Verdict {
    let store = fixture.port();
    let (at_limit, limit) = match fixture.payload_limit()? {
        Capability::Has(limit) => (*limit, Some(*limit)),
        Capability::Lacks { reason } => {
            ensure!(!reason.is_empty(), "a store without a limit gives no reason");
            (8 * LARGE_BYTES, None)
        }
    };
    ensure!(at_limit >= LARGE_BYTES, "a limit of {at_limit} bytes is below the {LARGE_BYTES} that every store takes");
    if let Some(limit) = limit {
        let batch = vec![event("{}"), event(text_of(limit + 1))];
        match store.append(&stream("limit"), ExpectedVersion::NoStream, batch).await {
            Err(StoreError::Invalid { reason }) => {
                let digits: String = reason.chars().filter(char::is_ascii_alphanumeric).collect();
                ensure!(digits.contains(&limit.to_string()), "the limit of {limit} bytes is not named in: {reason}");
            }
            other => ensure!(false, "a payload of {} bytes gave {other:?}, not invalid", limit + 1),
        }
        ensure_eq!(store.head().await?, None, "the head after a payload over the limit");
    }
    store.append(&stream("limit"), ExpectedVersion::NoStream, vec![event(text_of(at_limit))]).await?;
    let there = read_stream(&*store, &stream("limit")).await?;
    ensure_eq!(there.iter().map(|event| event.payload.len()).collect::<Vec<_>>(), [at_limit], "bytes at the limit");
    Ok(())
}

/// A JSON text of so many bytes, quotes included.
fn text_of(bytes: usize) -> String {
    let letters: String = ('a'..='z').cycle().take(bytes - 2).collect();
    format!("\"{letters}\"")
}
