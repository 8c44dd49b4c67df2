//! Runs the exchanges of `tests/golden`; its README tells the format.

#![cfg(test)]

mod bodies;
mod cell;
mod damage;
mod exchange;
mod frames;
mod fuzz;

use std::collections::BTreeMap;

use aigw_core::record::Outcome;
use aigw_core::registry::{self, Entry, Service};
use aigw_core::usage::Usage;
use cell::Cell;
use exchange::{Client, prepare, reply};
use serde_json::Value;

type Check = Result<(), String>;

/// Runs `check` over every cell and reports all that fail.
fn for_each_cell(check: impl Fn(&Cell) -> Check) {
    let mut faults = Vec::new();
    for cell in cell::all() {
        if let Err(fault) = check(&cell) {
            faults.push(format!("{}: {fault}", cell.name));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n\n"));
}

fn equal<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, want: &T) -> Check {
    if got == want {
        return Ok(());
    }
    Err(format!("{what}\n  got  {got:?}\n  want {want:?}"))
}

fn equal_json(what: &str, got: &[u8], want: &[u8]) -> Check {
    let parse = |bytes: &[u8]| {
        serde_json::from_slice::<Value>(bytes)
            .map_err(|error| format!("{what}: {error}: {}", utf8(bytes)))
    };
    let (got, want) = (parse(got)?, parse(want)?);
    if got == want {
        return Ok(());
    }
    Err(format!("{what}\n  got  {got}\n  want {want}"))
}

fn check_request(cell: &Cell) -> Check {
    let prepared = match prepare(cell) {
        Ok((_, prepared)) => prepared,
        Err(refused) => return check_refusal(cell, &refused.into()),
    };
    let body = utf8(&prepared.body);
    let is_form = cell.content_type != "application/json";
    let file = if is_form {
        "upstream.form"
    } else {
        "upstream.json"
    };
    cell.write(file, &prepared.body);
    let Some(want) = &cell.upstream else {
        return Err(format!("the request must be refused, but gave {body}"));
    };
    if is_form {
        equal("upstream form", &body, &utf8(want))?;
    } else {
        equal_json("upstream body", body.as_bytes(), want)?;
    }
    for text in &cell.expect.upstream.contains {
        if !body.contains(text.as_str()) {
            return Err(format!("upstream body lacks {text}: {body}"));
        }
    }
    if let Some(path) = &cell.expect.upstream.path {
        equal("path", &prepared.headers.get(":path"), &Some(path))?;
    }
    for (name, value) in &cell.expect.upstream.headers {
        equal(name, &prepared.headers.get(name), &Some(value))?;
    }
    Ok(())
}

fn check_refusal(cell: &Cell, refused: &Client) -> Check {
    if cell.upstream.is_some() {
        return Err(format!("refused: {}", refused.text()));
    }
    check_client(cell, refused)
}

fn check_client(cell: &Cell, client: &Client) -> Check {
    let expect = &cell.expect.client;
    if let Some(status) = expect.status {
        equal("client status", &client.status, &status)?;
    }
    for (name, value) in &expect.headers {
        equal(name, &client.headers.get(name), &Some(value))?;
    }
    if client.is_stream() {
        cell.write("client.sse", &client.body);
        let want = cell.client_sse.as_deref().unwrap_or_default();
        return equal("client stream", &client.text(), &utf8(want));
    }
    if let Some(want) = &cell.client_bin {
        return equal("client bytes", &client.text(), &utf8(want));
    }
    cell.write("client.json", &client.body);
    let want = cell
        .client_json
        .as_deref()
        .ok_or("client.json is missing")?;
    equal_json("client body", &client.body, want)
}

fn utf8(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn check_reply(cell: &Cell) -> Check {
    let Some(response) = &cell.response else {
        return Ok(());
    };
    let client = reply(cell, &response.events)?;
    check_client(cell, &client)?;
    let outcome = match cell.expect.client.outcome.as_deref() {
        Some("failed") => Outcome::Failed,
        None if client.status >= 400 => Outcome::Failed,
        _ => Outcome::Completed,
    };
    equal("outcome", &client.record.outcome, &outcome)?;
    check_usage(cell, &client)
}

fn check_usage(cell: &Cell, client: &Client) -> Check {
    let record = &client.record;
    match &cell.expect.usage {
        Some(want) => {
            equal("usage", &record.usage, &want.counters)?;
            equal("estimated", &record.estimated, &want.estimated)
        }
        // Of a reply without usage there are estimates, which are another cell's affair.
        None if record.outcome == Outcome::Completed && !record.estimated => {
            equal("usage", &record.usage, &Usage::default())
        }
        None => Ok(()),
    }
}

/// What the cells of a pair show.
#[derive(Default)]
struct Shown {
    reply: bool,
    stream: bool,
    failure: bool,
}

#[test]
fn every_pair_is_shown_with_a_reply_a_stream_and_an_error() {
    let shown = std::cell::RefCell::new(BTreeMap::<_, Shown>::new());
    for_each_cell(|cell| {
        let mut shown = shown.borrow_mut();
        let schema = cell.backend_schema();
        let pair = shown.entry((cell.endpoint, cell.schema, schema.chat_only));
        let pair = pair.or_default();
        if let Some(response) = &cell.response {
            pair.failure |= response.status >= 400;
            pair.stream |= response.status < 300 && response.streamed;
            pair.reply |= response.status < 300 && !response.streamed;
        } else if cell.service() == Some(Service::Local) {
            pair.reply |= cell.is_answered();
            pair.failure |= !cell.is_answered();
        }
        Ok(())
    });
    let shown = shown.into_inner();
    let streams = |entry: &Entry| {
        shown
            .iter()
            .any(|((endpoint, _, _), pair)| *endpoint == entry.endpoint && pair.stream)
    };
    let mut missing = Vec::new();
    for entry in registry::all() {
        let key = (entry.endpoint, entry.schema, entry.is_chat_only());
        let found = shown.get(&key);
        for (what, there) in [
            ("reply", found.is_some_and(|pair| pair.reply)),
            ("error", found.is_some_and(|pair| pair.failure)),
            (
                "stream",
                !streams(entry) || found.is_some_and(|pair| pair.stream),
            ),
        ] {
            if !there {
                missing.push(format!("{key:?}: no {what}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn providers_get_the_request_as_recorded() {
    for_each_cell(check_request);
}

#[test]
fn clients_get_the_reply_as_recorded() {
    for_each_cell(check_reply);
}

#[test]
fn preparing_twice_gives_the_same_request() {
    for_each_cell(|cell| {
        let Ok((mut attempt, first)) = prepare(cell) else {
            return Ok(());
        };
        let second = exchange::prepare_again(cell, &mut attempt)?;
        equal("second request", &utf8(&second.body), &utf8(&first.body))?;
        equal("second headers", &second.headers, &first.headers)
    });
}

#[test]
fn any_split_of_the_reply_gives_the_same_client_bytes() {
    for_each_cell(|cell| {
        let Some(response) = &cell.response else {
            return Ok(());
        };
        let whole: Vec<u8> = response.events.concat();
        let want = reply(cell, &response.events)?;
        for size in [1, 7, 61] {
            let chunks: Vec<Vec<u8>> = whole.chunks(size).map(<[u8]>::to_vec).collect();
            let got = reply(cell, &chunks)?;
            equal(&format!("chunks of {size}"), &got.text(), &want.text())?;
            equal("usage", &got.record.usage, &want.record.usage)?;
        }
        // In one piece a failure shows before anything is out, and becomes a status.
        let got = reply(cell, &[whole])?;
        if want.record.outcome == Outcome::Completed {
            equal("one chunk", &got.text(), &want.text())?;
        }
        equal("outcome", &got.record.outcome, &want.record.outcome)
    });
}

#[test]
fn a_stream_cut_anywhere_never_ends_in_done() {
    for_each_cell(|cell| {
        let Some(response) = cell.response.as_ref().filter(|r| r.streamed) else {
            return Ok(());
        };
        // The last event may be the usage, which may be missing; all others must be missed.
        for kept in 0..response.events.len().saturating_sub(1) {
            let got = reply(cell, &response.events[..kept])?;
            let failed = got.record.outcome == Outcome::Failed;
            if cell.is_rebuilt() && (!failed || got.text().contains("[DONE]")) {
                return Err(format!("{kept} events pass as a whole: {}", got.text()));
            }
        }
        Ok(())
    });
}

#[test]
fn streams_report_the_usage_of_the_same_unary_reply() {
    for_each_cell(|cell| {
        let Some(other) = &cell.expect.response.usage_as else {
            return Ok(());
        };
        let endpoint = cell.folder.ancestors().nth(2).unwrap();
        let other = Cell::read(&endpoint.join(other).join(cell.schema.name()));
        let usage = |cell: &Cell| -> Result<_, String> {
            let response = cell.response.as_ref().ok_or("no reply")?;
            Ok(reply(cell, &response.events)?.record.usage)
        };
        equal("usage", &usage(cell)?, &usage(&other)?)
    });
}

#[test]
fn nothing_follows_a_message_that_is_whole() {
    let mut cells = cell::all().into_iter();
    let mut cell = cells
        .find(|cell| cell.name.ends_with("messages/stream_text/OpenAI"))
        .unwrap();
    let chunks = [
        r#"{"id":"c","choices":[{"index":0,"delta":{"content":"Noon"},"finish_reason":"stop"}]}"#,
        r#"{"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
        r#"{"error":{"type":"overloaded_error","message":"too many ships"}}"#,
    ];
    let events = chunks.map(|chunk| format!("data: {chunk}\n\n").into_bytes());
    cell.response.as_mut().unwrap().events = events.to_vec();
    let client = reply(&cell, &events).unwrap();
    assert!(client.text().ends_with("\"message_stop\"}\n\n"));
    assert_eq!(client.record.outcome, Outcome::Failed);
}
