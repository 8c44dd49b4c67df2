//! Server-sent events (WHATWG HTML, section 9.2): LF, CRLF and CR line ends, any chunk split.

use memchr::memchr2;

use super::{Event, EventKind};
use crate::error::{Error, Result};

/// Longest event that is kept while it is incomplete.
const MAX_EVENT: usize = 16 << 20;

/// Incremental decoder. Keeps only an incomplete line and the data of the open event.
#[derive(Default)]
pub struct SseDecoder {
    line: Vec<u8>,
    name: String,
    data: Vec<u8>,
    has_data: bool,
    /// The last byte was CR: a following LF belongs to it.
    after_cr: bool,
    started: bool,
    bare_json: BareJson,
}

/// Whether JSON may stand without `data:`.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum BareJson {
    #[default]
    Refused,
    Taken,
    /// The open event began with such JSON.
    Open,
}

impl SseDecoder {
    /// A decoder that takes JSON without `data:` as data too.
    pub(super) fn of_bare_json() -> Self {
        Self {
            bare_json: BareJson::Taken,
            ..Self::default()
        }
    }

    pub(super) fn feed(
        &mut self,
        mut bytes: &[u8],
        sink: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<()> {
        if self.after_cr && !bytes.is_empty() {
            self.after_cr = false;
            bytes = bytes.strip_prefix(b"\n").unwrap_or(bytes);
        }
        while let Some(at) = memchr2(b'\n', b'\r', bytes) {
            let (line, rest) = bytes.split_at(at);
            if self.line.is_empty() {
                self.take_line(line, sink)?;
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.take_line(&whole, sink)?;
                whole.clear();
                self.line = whole;
            }
            bytes = self.skip_line_end(rest);
        }
        self.line.extend_from_slice(bytes);
        if self.line.len() + self.data.len() > MAX_EVENT {
            return Err(Error::UpstreamProtocol(
                "an event is larger than 16 MiB".into(),
            ));
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, sink: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
        if !self.line.is_empty() {
            let line = std::mem::take(&mut self.line);
            self.take_line(&line, sink)?;
        }
        self.dispatch(sink)
    }

    fn skip_line_end<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        match rest {
            [b'\r'] => {
                self.after_cr = true;
                &[]
            }
            [b'\r', b'\n', rest @ ..] | [_, rest @ ..] => rest,
            [] => &[],
        }
    }

    fn take_line(
        &mut self,
        line: &[u8],
        sink: &mut dyn FnMut(Event<'_>) -> Result<()>,
    ) -> Result<()> {
        let line = if std::mem::replace(&mut self.started, true) {
            line
        } else {
            line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line)
        };
        if line.is_empty() {
            return self.dispatch(sink);
        }
        let (field, value) = match memchr::memchr(b':', line) {
            Some(at) => {
                let (field, value) = line.split_at(at);
                let value = value.strip_prefix(b":").unwrap_or(value);
                (field, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &[][..]),
        };
        match field {
            b"data" => {
                if self.has_data && is_next_value(&self.data, value) {
                    self.dispatch(sink)?;
                }
                self.add_data(value);
            }
            b"event" => {
                self.name.clear();
                self.name.push_str(&String::from_utf8_lossy(value));
            }
            _ if self.is_json(line) => {
                self.bare_json = BareJson::Open;
                self.add_data(line);
            }
            // Comments, ids and retry hints mean nothing to translators.
            _ => {}
        }
        Ok(())
    }

    fn add_data(&mut self, value: &[u8]) {
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value);
    }

    /// Whether a line begins JSON without `data:`, or goes on with it.
    fn is_json(&self, line: &[u8]) -> bool {
        match self.bare_json {
            BareJson::Refused => false,
            BareJson::Taken => !self.has_data && line.trim_ascii_start().starts_with(b"{"),
            BareJson::Open => true,
        }
    }

    fn dispatch(&mut self, sink: &mut dyn FnMut(Event<'_>) -> Result<()>) -> Result<()> {
        let result = if self.has_data {
            sink(Event {
                name: &self.name,
                data: &self.data,
                kind: EventKind::Data,
            })
        } else {
            Ok(())
        };
        self.has_data = false;
        if self.bare_json == BareJson::Open {
            self.bare_json = BareJson::Taken;
        }
        self.data.clear();
        self.name.clear();
        result
    }
}

/// Whether `line` cannot continue the JSON value in `data`: some servers leave out the blank
/// line between events.
fn is_next_value(data: &[u8], line: &[u8]) -> bool {
    data.ends_with(b"}") && matches!(line.first(), Some(b'{' | b'['))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let mut events = Vec::new();
        let mut decoder = SseDecoder::default();
        let mut sink = |event: Event<'_>| {
            events.push((
                event.name.to_owned(),
                String::from_utf8_lossy(event.data).into_owned(),
            ));
            Ok(())
        };
        for chunk in chunks {
            decoder.feed(chunk, &mut sink).unwrap();
        }
        decoder.finish(&mut sink).unwrap();
        events
    }

    #[test]
    fn every_line_end_gives_the_same_events() {
        let text =
            ": hi\nevent: a\ndata:{\"x\":1}\ndata:  y\n\nid: 7\n\ndata: [DONE]\n\ndata: tail";
        let want = vec![
            ("a".to_owned(), "{\"x\":1}\n y".to_owned()),
            (String::new(), "[DONE]".to_owned()),
            (String::new(), "tail".to_owned()),
        ];
        for end in ["\n", "\r\n", "\r"] {
            assert_eq!(
                decode(&[text.replace('\n', end).as_bytes()]),
                want,
                "{end:?}"
            );
        }
    }

    #[test]
    fn json_may_stand_alone_where_that_is_known() {
        let text = "{\"a\": {\n \"id\": 1\n}}\n\ndata: {}\nnoise: {\n\n: hi\nnoise\n\n{\"b\":2}";
        let events = |mut decoder: SseDecoder| {
            let mut events = Vec::new();
            let mut sink = |event: Event<'_>| {
                events.push(String::from_utf8_lossy(event.data).into_owned());
                Ok(())
            };
            decoder.feed(text.as_bytes(), &mut sink).unwrap();
            decoder.finish(&mut sink).unwrap();
            events
        };
        let bare = ["{\"a\": {\n \"id\": 1\n}}", "{}", "{\"b\":2}"];
        assert_eq!(events(SseDecoder::of_bare_json()), bare);
        assert_eq!(events(SseDecoder::default()), ["{}"]);
    }

    #[test]
    fn events_may_lack_the_blank_line_between_them() {
        let text = "data: {\"a\":\ndata: {}}\ndata: {\"b\":2}\n\ndata: {}\ndata: [DONE]\n";
        let events = decode(&[text.as_bytes()]);
        let data: Vec<_> = events.iter().map(|(_, data)| data.as_str()).collect();
        assert_eq!(data, ["{\"a\":\n{}}", "{\"b\":2}", "{}", "[DONE]"]);
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_events(
            text in "(data: ?[a-z]{0,5}|event:[a-z]{0,3}|:c|\r\n|\n|\r|\r\n\r\n|\n\n){0,20}",
            cuts in proptest::collection::vec(0usize..200, 0..8),
        ) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            cuts.push(0);
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(decode(&chunks), decode(&[bytes]));
        }
    }
}
