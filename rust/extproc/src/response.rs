//! The reply side of an attempt stream.
//!
//! How Envoy shows the body is chosen as late as possible. A stream request needs full duplex
//! before the head arrives, because only there the head can be held; otherwise the reply to the
//! response head chooses:
//!
//! | the core says | mode | why |
//! |---|---|---|
//! | skip | none | no message at all |
//! | watch | streamed | bytes flow, `content-length` stays |
//! | replace, head held | buffered | the body's answer may still rewrite the status |
//! | replace, head not held | full duplex | Envoy decides about a retry at once |

use aigw_core::headers::HeaderEdits;
use aigw_core::session::{BodyOut, BodyPlan, BodyStep, Ended, ResponseHead};
use aigw_runtime::Flow;
use bytes::Bytes;

use crate::messages::{
    Action, BodyMode, HttpBody, HttpHeaders, ProcessingMode, ProcessingResponse, Send, Status,
};
use crate::reply::{self, Replies};
use crate::session::Next;

/// How Envoy shows the body of the reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wire {
    /// The response head chooses.
    Open,
    /// Not at all.
    Hidden,
    /// Piece by piece, one answer each.
    Streamed,
    /// Whole.
    Buffered,
    /// Piece by piece, answers at will.
    Duplex,
}

/// A head that waits for the core's release, and what waits behind it.
struct Held {
    edits: HeaderEdits,
    pieces: Vec<Bytes>,
}

/// What ends a piece of the reply.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Tail {
    /// More follows.
    More,
    /// Nothing follows.
    End,
    /// Trailers follow.
    Trailers,
}

pub(crate) struct ResponseStream {
    flow: Flow,
    wire: Wire,
    held: Option<Held>,
}

impl ResponseStream {
    pub(crate) fn new(flow: Flow) -> Self {
        Self {
            flow,
            wire: Wire::Open,
            held: None,
        }
    }

    pub(crate) fn flow(&mut self) -> &mut Flow {
        &mut self.flow
    }

    /// The mode to ask for along with the request.
    pub(crate) fn expect(&mut self) -> Option<ProcessingMode> {
        if self.flow.stream() {
            self.wire = Wire::Duplex;
        }
        mode(self.wire)
    }

    pub(crate) fn on_head(&mut self, message: &HttpHeaders, out: &mut Replies) -> Next {
        let headers = reply::headers(message.headers.as_ref());
        let status = headers
            .get_str(":status")
            .and_then(|status| status.parse().ok())
            .unwrap_or_default();
        let ended = Ended::from(message.end_of_stream);
        let head = self.flow.response_head(status, &headers, ended);
        if (200..=299).contains(&status) && !head.hold {
            self.flow.exchange().drop_body();
        }
        let next = self.choose(&head, ended);
        if self.wire == Wire::Duplex && head.hold {
            self.held = Some(Held {
                edits: head.edits,
                pieces: Vec::new(),
            });
            return Next::Read;
        }
        let mut common = reply::edited(&head.edits);
        if let Some(body) = head.added_body {
            common.status = Status::ContinueAndReplace.into();
            common.body_mutation = Some(reply::replaced(body.into()));
        }
        let mut response = reply::response(Action::ResponseHeaders(reply::common(common)));
        response.mode_override = next.mode;
        self.send(response, out);
        next.step
    }

    fn choose(&mut self, head: &ResponseHead, ended: Ended) -> Chosen {
        if ended == Ended::Yes {
            return Chosen::done();
        }
        if self.wire == Wire::Duplex {
            return Chosen {
                mode: None,
                step: Next::Read,
            };
        }
        self.wire = match (head.body, head.hold) {
            (BodyPlan::Skip, _) => Wire::Hidden,
            (BodyPlan::Watch, false) => Wire::Streamed,
            (BodyPlan::Watch | BodyPlan::Replace, true) => Wire::Buffered,
            (BodyPlan::Replace, false) => Wire::Duplex,
        };
        if self.wire == Wire::Hidden {
            return Chosen::done();
        }
        Chosen {
            mode: mode(self.wire),
            step: Next::Read,
        }
    }

    pub(crate) fn on_body(&mut self, message: HttpBody, out: &mut Replies) -> Next {
        match self.wire {
            Wire::Duplex => {
                let tail = if message.end_of_stream {
                    Tail::End
                } else {
                    Tail::More
                };
                self.duplex(message.body, tail, out)
            }
            Wire::Buffered => self.exchanged(&message.body, Ended::Yes, out),
            Wire::Open | Wire::Hidden | Wire::Streamed => {
                self.exchanged(&message.body, Ended::from(message.end_of_stream), out)
            }
        }
    }

    /// Trailers end the body.
    pub(crate) fn on_trailers(&mut self, out: &mut Replies) -> Next {
        if self.wire == Wire::Duplex {
            return self.duplex(Bytes::new(), Tail::Trailers, out);
        }
        // Bytes can no longer be added here; a watched reply has none to add.
        self.flow.response_body(&[], Ended::Yes, &mut Vec::new());
        self.send(reply::trailers(), out);
        Next::Close
    }

    /// One answer for one message.
    fn exchanged(&mut self, body: &[u8], ended: Ended, out: &mut Replies) -> Next {
        let mut output = Vec::new();
        let step = self.flow.response_body(body, ended, &mut output);
        let mut common = reply::edited(&step.release.unwrap_or_default());
        if step.body == BodyOut::Replace {
            common.body_mutation = Some(reply::replaced(output.into()));
        }
        let response = reply::response(Action::ResponseBody(reply::common(common)));
        self.send(response, out);
        match ended {
            Ended::Yes => Next::Close,
            Ended::No => Next::Read,
        }
    }

    /// Any number of answers for one message.
    fn duplex(&mut self, chunk: Bytes, tail: Tail, out: &mut Replies) -> Next {
        let ended = Ended::from(tail != Tail::More);
        let mut output = Vec::new();
        let step = self.flow.response_body(&chunk, ended, &mut output);
        let Some(mut answers) = self.advance(&step, chunk, output.into(), ended) else {
            return Next::Read;
        };
        match tail {
            Tail::More => {}
            Tail::Trailers => answers.push(reply::trailers()),
            Tail::End => {
                let only_head = !matches!(
                    answers.last().and_then(|answer| answer.action.as_ref()),
                    Some(Action::ResponseBody(_))
                );
                if only_head {
                    answers.push(reply::piece(Bytes::new()));
                }
                if let Some(last) = answers.last_mut() {
                    reply::mark_end(last);
                }
            }
        }
        if let Some(last) = answers.last_mut() {
            last.dynamic_metadata = reply::dynamic_metadata(self.flow.take_metadata());
        }
        for answer in &answers {
            reply::send(answer, out);
        }
        match ended {
            Ended::Yes => Next::Close,
            Ended::No => Next::Read,
        }
    }

    /// The head if it is released now, and the bytes that may go; `None` while the head is held.
    fn advance(
        &mut self,
        step: &BodyStep,
        chunk: Bytes,
        output: Bytes,
        ended: Ended,
    ) -> Option<Vec<ProcessingResponse>> {
        let mut held = self.held.take();
        let mut pieces = held
            .as_mut()
            .map(|held| std::mem::take(&mut held.pieces))
            .unwrap_or_default();
        match step.body {
            BodyOut::Pass => pieces.push(chunk),
            BodyOut::Replace => pieces = vec![output],
        }
        pieces.retain(|piece| !piece.is_empty());
        let mut answers = Vec::with_capacity(pieces.len() + 2);
        if let Some(mut waiting) = held {
            if step.release.is_none() && ended == Ended::No {
                waiting.pieces = pieces;
                self.held = Some(waiting);
                return None;
            }
            answers.push(self.release(waiting.edits, step.release.as_ref()));
        }
        answers.extend(pieces.into_iter().map(reply::piece));
        Some(answers)
    }

    fn release(
        &mut self,
        mut edits: HeaderEdits,
        late: Option<&HeaderEdits>,
    ) -> ProcessingResponse {
        if let Some(late) = late {
            reply::merge(&mut edits, late);
        }
        if edits.value(":status").is_none() {
            self.flow.exchange().drop_body();
        }
        let common = reply::edited(&edits);
        reply::response(Action::ResponseHeaders(reply::common(common)))
    }

    fn send(&mut self, mut response: ProcessingResponse, out: &mut Replies) {
        response.dynamic_metadata = reply::dynamic_metadata(self.flow.take_metadata());
        reply::send(&response, out);
    }
}

/// What follows a response head.
struct Chosen {
    mode: Option<ProcessingMode>,
    step: Next,
}

impl Chosen {
    fn done() -> Self {
        Self {
            mode: None,
            step: Next::Close,
        }
    }
}

/// The override that leads to a wire.
fn mode(wire: Wire) -> Option<ProcessingMode> {
    let (body, trailers) = match wire {
        Wire::Open | Wire::Hidden => return None,
        Wire::Streamed => (BodyMode::Streamed, Send::Send),
        Wire::Buffered => (BodyMode::Buffered, Send::Skip),
        Wire::Duplex => (BodyMode::FullDuplexStreamed, Send::Send),
    };
    Some(ProcessingMode {
        request_headers: Send::Send.into(),
        response_headers: Send::Send.into(),
        request_body: BodyMode::None.into(),
        response_body: body.into(),
        request_trailers: Send::Skip.into(),
        response_trailers: trailers.into(),
    })
}

impl Drop for ResponseStream {
    fn drop(&mut self) {
        self.flow.end();
    }
}
