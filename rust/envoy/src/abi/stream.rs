//! One stream inside one hook.

use std::marker::PhantomData;

use aigw_core::error::Reply;
use aigw_core::headers::{HeaderEdit, HeaderEdits, Headers};
use aigw_core::metadata::{Metadata, NAMESPACE, Value};
use aigw_runtime::Wake;

use super::callbacks as envoy;
use super::callbacks::{Bytes, Handle, Pair};

const LOCAL_RESET: u32 = 0;
/// Attributes `response.code` and `response.code_details`.
const RESPONSE_CODE: u32 = 15;
const RESPONSE_CODE_DETAILS: u32 = 16;
/// Header maps and bodies up to these sizes need no allocation.
const STACK_HEADERS: usize = 48;
const STACK_CHUNKS: usize = 16;

/// The half of the exchange that a header map or body belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// From the client.
    Request,
    /// From the provider.
    Response,
}

impl Side {
    const fn header_map(self) -> u32 {
        match self {
            Self::Request => 0,
            Self::Response => 2,
        }
    }

    const fn received(self) -> u32 {
        match self {
            Self::Request => 0,
            Self::Response => 2,
        }
    }

    const fn buffered(self) -> u32 {
        self.received() + 1
    }
}

/// Which hook runs; decides where body bytes are and what can still be done about them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// At the head: no body yet.
    Head,
    /// At a piece of the body: what was held back, then this piece.
    Body,
    /// At the trailers or on a wake-up call: what was held back.
    Later,
}

/// Whose metadata is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MetadataOf {
    /// The request: dynamic metadata.
    Request = 0,
    /// The route that is matched so far.
    Route = 1,
    /// The cluster.
    Cluster = 2,
    /// The chosen host.
    Host = 3,
}

/// One stream inside one hook.
pub(crate) struct Stream<'h> {
    handle: Handle,
    hook: PhantomData<&'h mut ()>,
}

impl Stream<'_> {
    pub(super) fn of(handle: Handle) -> Self {
        Self {
            handle,
            hook: PhantomData,
        }
    }

    /// A copy of a header map, taken in one pass.
    pub(crate) fn headers(&self, side: Side) -> Headers {
        let map = side.header_map();
        // SAFETY: the handle is that of the hook that runs.
        let count = unsafe { envoy::http_get_headers_size(self.handle, map) };
        let mut stack = [Pair::NONE; STACK_HEADERS];
        let mut heap = Vec::new();
        let pairs = room(&mut stack, &mut heap, Pair::NONE, count);
        // SAFETY: as above; there is room for `count` headers.
        unsafe { envoy::http_get_headers(self.handle, map, pairs.as_mut_ptr()) };
        let mut headers = Headers::new();
        for pair in pairs {
            // SAFETY: the map is not changed while the views are read.
            unsafe { headers.push(pair.name.get(), pair.value.get()) };
        }
        headers
    }

    /// Changes a header map.
    pub(crate) fn edit(&mut self, side: Side, edits: &HeaderEdits) {
        let map = side.header_map();
        for edit in edits.iter() {
            // SAFETY: Envoy copies names and values before it returns.
            unsafe {
                match edit {
                    HeaderEdit::Set(name, value) => {
                        envoy::http_set_header(self.handle, map, text(name), Bytes::of(value))
                    }
                    HeaderEdit::Append(name, value) => {
                        envoy::http_add_header(self.handle, map, text(name), Bytes::of(value))
                    }
                    HeaderEdit::Remove(name) => {
                        envoy::http_set_header(self.handle, map, text(name), Bytes::NONE)
                    }
                }
            };
        }
    }

    /// Where the body bytes are: held back first, then received.
    fn bodies(&self, side: Side, moment: Moment) -> &'static [u32] {
        const REQUEST: &[u32] = &[Side::Request.buffered(), Side::Request.received()];
        const RESPONSE: &[u32] = &[Side::Response.buffered(), Side::Response.received()];
        let both = match side {
            Side::Request => REQUEST,
            Side::Response => RESPONSE,
        };
        let range = match moment {
            Moment::Head | Moment::Later => 0..1,
            Moment::Body if self.received_is_buffered(side) => 1..2,
            Moment::Body => 0..2,
        };
        both.get(range).unwrap_or_default()
    }

    /// Another filter held the body back already: both names mean the same bytes.
    fn received_is_buffered(&self, side: Side) -> bool {
        // SAFETY: the handle is that of the hook that runs.
        unsafe {
            match side {
                Side::Request => envoy::http_received_buffered_request_body(self.handle),
                Side::Response => envoy::http_received_buffered_response_body(self.handle),
            }
        }
    }

    /// Bytes at hand: those held back and those that just came.
    pub(crate) fn body_size(&self, side: Side, moment: Moment) -> usize {
        let sizes = self.bodies(side, moment).iter().map(|body| {
            // SAFETY: the handle is that of the hook that runs.
            unsafe { envoy::http_get_body_size(self.handle, *body) }
        });
        sizes.sum()
    }

    /// The bytes at hand, copied to `scratch` only where they lie in several pieces.
    pub(crate) fn body<'s>(
        &'s self,
        side: Side,
        moment: Moment,
        scratch: &'s mut Vec<u8>,
    ) -> &'s [u8] {
        self.pieces(self.bodies(side, moment), scratch)
    }

    /// The bytes that just came, as [`Self::body`].
    pub(crate) fn received<'s>(&'s self, side: Side, scratch: &'s mut Vec<u8>) -> &'s [u8] {
        self.pieces(&[side.received()], scratch)
    }

    fn pieces<'s>(&'s self, bodies: &[u32], scratch: &'s mut Vec<u8>) -> &'s [u8] {
        let mut stack = [Bytes::NONE; STACK_CHUNKS];
        let mut heap = Vec::new();
        scratch.clear();
        let mut single: &[u8] = &[];
        for body in bodies {
            // SAFETY: the handle is that of the hook that runs.
            let count = unsafe { envoy::http_get_body_chunks_size(self.handle, *body) };
            let chunks = room(&mut stack, &mut heap, Bytes::NONE, count);
            if count > 0 {
                // SAFETY: as above; there is room for `count` chunks.
                unsafe { envoy::http_get_body_chunks(self.handle, *body, chunks.as_mut_ptr()) };
            }
            for chunk in chunks {
                // SAFETY: the body cannot be changed while `self` is borrowed.
                let chunk: &'s [u8] = unsafe { chunk.get() };
                if single.is_empty() && scratch.is_empty() {
                    single = chunk;
                    continue;
                }
                if scratch.is_empty() {
                    scratch.extend_from_slice(single);
                }
                scratch.extend_from_slice(chunk);
            }
        }
        if scratch.is_empty() { single } else { scratch }
    }

    /// Puts `bytes` in the place of the bytes at hand; at the head and at trailers this adds a
    /// body where there was none.
    pub(crate) fn replace_body(&mut self, side: Side, moment: Moment, bytes: &[u8]) {
        let bodies = self.bodies(side, moment);
        for body in bodies {
            // SAFETY: the handle is that of the hook that runs; no view is alive.
            unsafe {
                let size = envoy::http_get_body_size(self.handle, *body);
                if size > 0 {
                    envoy::http_drain_body(self.handle, *body, size);
                }
            }
        }
        if let (Some(body), false) = (bodies.last(), bytes.is_empty()) {
            // SAFETY: Envoy copies the bytes before it returns.
            unsafe { envoy::http_append_body(self.handle, *body, Bytes::of(bytes)) };
        }
    }

    /// Merges dynamic metadata into the core's namespace.
    pub(crate) fn set_metadata(&mut self, metadata: &Metadata) {
        let namespace = text(NAMESPACE);
        let mut texts = [Pair::NONE; 8];
        let mut free = texts.iter_mut();
        let batch = envoy::set_strings();
        let mut count = 0;
        for (key, value) in metadata {
            match value {
                // SAFETY: Envoy copies key and value before it returns.
                Value::Number(number) => unsafe {
                    envoy::http_set_dynamic_metadata_number(
                        self.handle,
                        namespace,
                        text(key),
                        *number,
                    );
                },
                Value::Text(value) => {
                    if let Some(place) = batch.and_then(|_| free.next()) {
                        *place = Pair::of(key.as_bytes(), value.as_bytes());
                        count += 1;
                    } else {
                        let value = text(value);
                        // SAFETY: as above.
                        unsafe {
                            envoy::http_set_dynamic_metadata_string(
                                self.handle,
                                namespace,
                                text(key),
                                value,
                            );
                        }
                    }
                }
            }
        }
        if let (Some(set), 1..) = (batch, count) {
            // SAFETY: `count` pairs are filled and their texts live in `metadata`.
            unsafe { set(self.handle, namespace, texts.as_ptr(), count) };
        }
    }

    /// A text in the metadata of request, route, cluster or host.
    pub(crate) fn metadata_text(&self, of: MetadataOf, namespace: &str, key: &str) -> Option<&str> {
        let mut out = Bytes::NONE;
        // SAFETY: `out` is valid for writes; the value lives as long as the hook runs.
        let value = unsafe {
            let (namespace, key) = (text(namespace), text(key));
            let found = envoy::http_get_metadata_string(
                self.handle,
                of as u32,
                namespace,
                key,
                &raw mut out,
            );
            found.then(|| out.get())?
        };
        std::str::from_utf8(value).ok()
    }

    /// Leaves bytes for other filters of the same client stream, upstream ones included.
    pub(crate) fn set_filter_state(&mut self, key: &str, value: &[u8]) {
        // SAFETY: Envoy copies key and value before it returns.
        unsafe { envoy::http_set_filter_state_bytes(self.handle, text(key), Bytes::of(value)) };
    }

    /// Bytes that another filter left.
    pub(crate) fn filter_state(&self, key: &str) -> Option<&[u8]> {
        let mut out = Bytes::NONE;
        // SAFETY: `out` is valid for writes; the value lives as long as the hook runs.
        unsafe {
            envoy::http_get_filter_state_bytes(self.handle, text(key), &raw mut out)
                .then(|| out.get())
        }
    }

    /// Lets the next filter see the route that the changed headers lead to.
    pub(crate) fn clear_route_cache(&mut self) {
        // SAFETY: the handle is that of the hook that runs.
        unsafe { envoy::http_clear_route_cache(self.handle) };
    }

    /// A call, for any thread, that runs the filter's `woken` on the stream's own thread.
    pub(crate) fn wake(&self) -> Wake {
        // SAFETY: the handle is that of the hook that runs.
        let scheduler = Scheduler(unsafe { envoy::http_filter_scheduler_new(self.handle) });
        Box::new(move || scheduler.commit())
    }

    /// Status that the client got; 0 when there was none.
    pub(crate) fn status(&self) -> u16 {
        let mut code = 0;
        // SAFETY: `code` is valid for writes.
        unsafe {
            envoy::http_filter_get_attribute_int(self.handle, RESPONSE_CODE, &raw mut code);
        }
        u16::try_from(code).unwrap_or(0)
    }

    /// Envoy's words for how the request ended, empty when it says nothing.
    pub(crate) fn details(&self) -> &str {
        let mut out = Bytes::NONE;
        // SAFETY: `out` is valid for writes; the text lives as long as the hook runs.
        let found = unsafe {
            let attribute = RESPONSE_CODE_DETAILS;
            envoy::http_filter_get_attribute_string(self.handle, attribute, &raw mut out)
                .then(|| out.get())
        };
        std::str::from_utf8(found.unwrap_or_default()).unwrap_or_default()
    }

    /// The size of what just came.
    pub(crate) fn received_size(&self, side: Side) -> u64 {
        // SAFETY: the handle is that of the hook that runs.
        let size = unsafe { envoy::http_get_body_size(self.handle, side.received()) };
        size as u64
    }

    pub(super) fn send(&mut self, reply: &Reply) {
        let headers: Vec<Pair> = reply
            .headers
            .iter()
            .map(|(name, value)| Pair::of(name.as_bytes(), value.as_bytes()))
            .collect();
        let details = format!("aigw_{}", reply.kind);
        // SAFETY: `headers` holds as many pairs as it says; Envoy copies everything.
        unsafe {
            envoy::http_send_response(
                self.handle,
                u32::from(reply.status),
                headers.as_ptr(),
                headers.len(),
                Bytes::of(&reply.body),
                text(&details),
            );
        }
    }

    pub(super) fn reset(&mut self, details: &str) {
        // SAFETY: Envoy copies the details before it returns.
        unsafe { envoy::http_filter_reset_stream(self.handle, LOCAL_RESET, text(details)) };
    }

    pub(super) fn resume_request(&mut self) {
        // SAFETY: the handle is that of the hook that runs.
        unsafe { envoy::http_filter_continue_decoding(self.handle) };
    }
}

const fn text(text: &str) -> Bytes {
    Bytes::of(text.as_bytes())
}

/// `count` places on the stack if they fit.
fn room<'a, T: Copy>(
    stack: &'a mut [T],
    heap: &'a mut Vec<T>,
    empty: T,
    count: usize,
) -> &'a mut [T] {
    if let Some(places) = stack.get_mut(..count) {
        return places;
    }
    heap.clear();
    heap.resize(count, empty);
    heap
}

/// Envoy's way back to a stream; does nothing once the stream is gone.
struct Scheduler(Handle);

// SAFETY: Envoy documents commit and delete as callable from any thread.
unsafe impl Send for Scheduler {}

impl Scheduler {
    fn commit(&self) {
        // SAFETY: the scheduler lives until it is dropped.
        unsafe { envoy::http_filter_scheduler_commit(self.0, 0) };
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // SAFETY: made by `http_filter_scheduler_new`, deleted once.
        unsafe { envoy::http_filter_scheduler_delete(self.0) };
    }
}
