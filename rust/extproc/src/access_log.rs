//! The part of `envoy.service.accesslog.v3` that tells how a request ended.
//!
//! Field numbers are Envoy's; everything else in a message is skipped.

use aigw_core::metadata::{NAMESPACE, REQUEST_ID};
use aigw_runtime::{Details, End};
use bytes::Bytes;
use prost::Message;

use crate::messages::{Kind, MetadataContext};
use crate::session::SessionError;

/// The end of one request.
pub(crate) struct Entry {
    pub(crate) id: u128,
    pub(crate) end: End,
}

/// The entries of a `StreamAccessLogsMessage` that belong to requests of ours.
pub(crate) fn entries(message: Bytes) -> Result<impl Iterator<Item = Entry>, SessionError> {
    let message = Logs::decode(message).map_err(|_| SessionError::Malformed)?;
    let entries = message.http.unwrap_or_default().entries.into_iter();
    Ok(entries.filter_map(HttpEntry::read))
}

#[derive(Clone, PartialEq, Message)]
struct Logs {
    #[prost(message, optional, tag = "2")]
    http: Option<HttpLogs>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpLogs {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<HttpEntry>,
}

#[derive(Clone, PartialEq, Message)]
struct HttpEntry {
    #[prost(message, optional, tag = "1")]
    common: Option<Common>,
    #[prost(message, optional, tag = "4")]
    response: Option<ResponsePart>,
}

#[derive(Clone, PartialEq, Message)]
struct Common {
    #[prost(message, optional, tag = "5")]
    start_time: Option<Time>,
    #[prost(message, optional, tag = "11")]
    time_to_first_byte: Option<Time>,
    #[prost(message, optional, tag = "16")]
    flags: Option<Flags>,
    #[prost(message, optional, tag = "17")]
    metadata: Option<MetadataContext>,
    #[prost(message, optional, tag = "23")]
    duration: Option<Time>,
}

/// `google.protobuf.Timestamp` and `Duration`.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct Time {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct Flags {
    #[prost(bool, tag = "15")]
    client_termination: bool,
    #[prost(bool, tag = "28")]
    client_reset: bool,
}

#[derive(Clone, PartialEq, Message)]
struct ResponsePart {
    #[prost(message, optional, tag = "1")]
    code: Option<Number>,
    #[prost(uint64, tag = "3")]
    body_bytes: u64,
    #[prost(string, tag = "6")]
    details: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct Number {
    #[prost(uint32, tag = "1")]
    value: u32,
}

impl Time {
    fn nanoseconds(self) -> u64 {
        let seconds = u64::try_from(self.seconds).unwrap_or(0);
        let nanos = u64::try_from(self.nanos).unwrap_or(0);
        seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
    }
}

impl HttpEntry {
    fn read(self) -> Option<Entry> {
        let common = self.common?;
        let id = common.id()?;
        let response = self.response.unwrap_or_default();
        let start = common.start_time.map(Time::nanoseconds);
        let at = |time: Option<Time>| Some(start?.saturating_add(time?.nanoseconds()));
        let end = End {
            status: response
                .code
                .and_then(|code| u16::try_from(code.value).ok())
                .unwrap_or(0),
            details: common.details(&response.details),
            response_bytes: response.body_bytes,
            first_byte_at: at(common.time_to_first_byte),
            ended_at: at(common.duration),
        };
        Some(Entry { id, end })
    }
}

impl Common {
    /// The id that the request stream left as metadata.
    fn id(&self) -> Option<u128> {
        let namespace = self.metadata.as_ref()?.filter_metadata.get(NAMESPACE)?;
        match namespace.fields.get(REQUEST_ID)?.kind.as_ref()? {
            Kind::Text(id) => u128::from_str_radix(id, 16).ok(),
            Kind::Number(_) | Kind::Struct(_) => None,
        }
    }

    fn details(&self, text: &str) -> Details {
        match self.flags {
            Some(flags) if flags.client_termination || flags.client_reset => Details::ClientGone,
            _ => Details::of(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::messages::{Struct, Value};

    fn entry(metadata: &[(&str, &str)]) -> HttpEntry {
        let fields = metadata.iter().map(|(key, value)| {
            let kind = Some(Kind::Text((*value).to_owned()));
            ((*key).to_owned(), Value { kind })
        });
        let fields = fields.collect();
        let time = |seconds, nanos| Some(Time { seconds, nanos });
        HttpEntry {
            common: Some(Common {
                start_time: time(10, 5),
                time_to_first_byte: time(0, 7),
                flags: None,
                metadata: Some(MetadataContext {
                    filter_metadata: HashMap::from([(NAMESPACE.to_owned(), Struct { fields })]),
                }),
                duration: time(1, 0),
            }),
            response: Some(ResponsePart {
                code: Some(Number { value: 504 }),
                body_bytes: 4,
                details: "upstream_response_timeout".into(),
            }),
        }
    }

    fn read(found: Vec<HttpEntry>) -> Vec<Entry> {
        let http = Some(HttpLogs { entries: found });
        let message = Logs { http }.encode_to_vec();
        entries(message.into()).unwrap().collect()
    }

    #[test]
    fn an_entry_tells_how_its_request_ended() {
        let id = format!("{:032x}", 7);
        let found = read(vec![entry(&[(REQUEST_ID, &id)])]);
        let [Entry { id, end }] = found.as_slice() else {
            panic!("one entry");
        };
        assert_eq!(*id, 7);
        assert_eq!((end.status, end.response_bytes), (504, 4));
        assert_eq!(end.details, Details::of("upstream_response_timeout"));
        assert_eq!(end.first_byte_at, Some(10_000_000_012));
        assert_eq!(end.ended_at, Some(11_000_000_005));
    }

    #[test]
    fn a_client_that_left_is_told_by_flags() {
        let mut gone = entry(&[(REQUEST_ID, "1")]);
        let flags = Flags {
            client_termination: true,
            client_reset: false,
        };
        gone.common.as_mut().unwrap().flags = Some(flags);
        assert_eq!(read(vec![gone])[0].end.details, Details::ClientGone);
    }

    #[test]
    fn entries_of_others_and_bytes_of_others_are_nothing() {
        assert!(
            read(vec![
                entry(&[]),
                entry(&[(REQUEST_ID, "no id")]),
                HttpEntry::default()
            ])
            .is_empty()
        );
        let broken = entries(Bytes::from_static(&[0x12, 0xff]));
        assert_eq!(broken.err(), Some(SessionError::Malformed));
    }
}
