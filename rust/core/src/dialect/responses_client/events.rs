//! Events of a Responses stream, numbered.

use serde::Serialize;

use crate::endpoint::ClientApi;
use crate::error::{Error, Result};
use crate::translate::Outbox;
use crate::wire::responses::{ErrorDetail, ErrorEvent, Event};

/// Writes an event with the next number.
pub(super) fn numbered(event: &Event<'_>, sequence: &mut u64, out: &mut Outbox<'_>) -> Result<()> {
    let number = *sequence;
    *sequence += 1;
    write(event, number, out)
}

pub(super) fn write(event: &Event<'_>, sequence_number: u64, out: &mut Outbox<'_>) -> Result<()> {
    #[derive(Serialize)]
    struct Numbered<'a> {
        #[serde(flatten)]
        event: &'a Event<'a>,
        sequence_number: u64,
    }
    let numbered = Numbered {
        event,
        sequence_number,
    };
    out.sse_named(event.name(), &numbered)
}

/// Writes the event of an error, which is the last one.
pub(super) fn error(error: &Error, api: ClientApi, sequence_number: u64, out: &mut Vec<u8>) {
    let message = error.message();
    let kind = error.kind(api);
    let event = ErrorEvent {
        r#type: "error",
        code: kind,
        message: &message,
        param: None,
        sequence_number,
        error: ErrorDetail {
            r#type: kind,
            code: error.status().to_string(),
            message: &message,
        },
    };
    out.extend_from_slice(b"event: error\ndata: ");
    out.extend(serde_json::to_vec(&event).unwrap_or_default());
    out.extend_from_slice(b"\n\n");
}
