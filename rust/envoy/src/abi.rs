//! Envoy's C interface for HTTP filters, and nothing of ours: types, callbacks, exported hooks.
//!
//! Every callback that is linked here exists in Envoy 1.38 (`callbacks-1.38.txt`); newer ones are
//! looked up when the module runs. Memory that Envoy lends is valid until the hook returns or the
//! same map or body is changed: [`Stream`] lends it under `&self` and changes under `&mut self`,
//! so the compiler keeps that rule. What ends or resumes a stream may call back into the same
//! filter, so filters only name it ([`Step`]) and it is done here, after their borrow is over.

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, OnceLock};

use aigw_core::error::Reply;
use aigw_core::headers::{HeaderEdit, HeaderEdits, Headers};
use aigw_core::metadata::{Metadata, NAMESPACE, Value};
use aigw_core::session::Ended;
use aigw_runtime::Wake;

use crate::config::FilterConfig;
use crate::filter::{Filter, Step};
use crate::panics;

// --- types ---

type Handle = *mut c_void;

/// `envoy_buffer` and `module_buffer`: bytes of either side, passed by value.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Bytes {
    start: *const u8,
    len: usize,
}

impl Bytes {
    const NONE: Self = Self {
        start: std::ptr::null(),
        len: 0,
    };

    const fn of(bytes: &[u8]) -> Self {
        Self {
            start: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// # Safety
    /// The memory must stay valid and unchanged for `'a`.
    unsafe fn get<'a>(self) -> &'a [u8] {
        if self.start.is_null() || self.len == 0 {
            return &[];
        }
        // SAFETY: Envoy's pointers cover `len` bytes; the caller vouches for the lifetime.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }
    }
}

/// `envoy_http_header`, `module_http_header` and `module_key_value_pair`.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    name: Bytes,
    value: Bytes,
}

impl Pair {
    const NONE: Self = Self {
        name: Bytes::NONE,
        value: Bytes::NONE,
    };

    const fn of(name: &[u8], value: &[u8]) -> Self {
        Self {
            name: Bytes::of(name),
            value: Bytes::of(value),
        }
    }
}

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
    /// The cluster.
    Cluster = 2,
    /// The chosen host.
    Host = 3,
}

const STOP: u32 = 1;
const STOP_AND_DROP_BODY: u32 = 3;
const LOG_ERROR: u32 = 4;
const LOCAL_RESET: u32 = 0;
/// Header maps and bodies up to these sizes need no allocation.
const STACK_HEADERS: usize = 48;
const STACK_CHUNKS: usize = 16;

// --- callbacks ---

macro_rules! callbacks {
    ($($name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        unsafe extern "C" { $(
            #[link_name = concat!("envoy_dynamic_module_callback_", stringify!($name))]
            fn $name($($arg: $type),*) $(-> $result)?;
        )* }
    };
}

callbacks! {
    log(level: u32, text: Bytes);
    http_get_headers_size(stream: Handle, map: u32) -> usize;
    http_get_headers(stream: Handle, map: u32, out: *mut Pair) -> bool;
    http_set_header(stream: Handle, map: u32, name: Bytes, value: Bytes) -> bool;
    http_add_header(stream: Handle, map: u32, name: Bytes, value: Bytes) -> bool;
    http_get_body_size(stream: Handle, body: u32) -> usize;
    http_get_body_chunks_size(stream: Handle, body: u32) -> usize;
    http_get_body_chunks(stream: Handle, body: u32, out: *mut Bytes) -> bool;
    http_append_body(stream: Handle, body: u32, bytes: Bytes) -> bool;
    http_drain_body(stream: Handle, body: u32, count: usize) -> bool;
    http_received_buffered_request_body(stream: Handle) -> bool;
    http_received_buffered_response_body(stream: Handle) -> bool;
    http_set_dynamic_metadata_number(stream: Handle, namespace: Bytes, key: Bytes, value: f64);
    http_set_dynamic_metadata_string(stream: Handle, namespace: Bytes, key: Bytes, value: Bytes);
    http_get_metadata_string(
        stream: Handle, of: u32, namespace: Bytes, key: Bytes, out: *mut Bytes
    ) -> bool;
    http_set_filter_state_bytes(stream: Handle, key: Bytes, value: Bytes) -> bool;
    http_get_filter_state_bytes(stream: Handle, key: Bytes, out: *mut Bytes) -> bool;
    http_clear_route_cache(stream: Handle);
    http_send_response(
        stream: Handle, status: u32, headers: *const Pair, count: usize, body: Bytes,
        details: Bytes
    );
    http_filter_continue_decoding(stream: Handle);
    http_filter_reset_stream(stream: Handle, reason: u32, details: Bytes);
    http_filter_scheduler_new(stream: Handle) -> Handle;
    http_filter_scheduler_commit(scheduler: Handle, event: u64);
    http_filter_scheduler_delete(scheduler: Handle);
}

unsafe extern "C" {
    fn dlsym(library: Handle, name: *const c_char) -> Handle;
}

/// Address of a callback that Envoy 1.38 does not have.
fn newer_callback(name: &CStr) -> Option<Handle> {
    // SAFETY: a null library means every object that is loaded; the name ends with a null byte.
    let address = unsafe { dlsym(std::ptr::null_mut(), name.as_ptr()) };
    (!address.is_null()).then_some(address)
}

type SetStrings = unsafe extern "C" fn(Handle, Bytes, *const Pair, usize);

/// Since 1.39: several texts in one merge.
fn set_strings() -> Option<SetStrings> {
    static FOUND: OnceLock<Option<SetStrings>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        newer_callback(c"envoy_dynamic_module_callback_http_set_dynamic_metadata_string_batch")
            // SAFETY: the signature of this callback is frozen by Envoy's interface policy.
            .map(|address| unsafe { std::mem::transmute::<Handle, SetStrings>(address) })
    })
}

/// True where Envoy only checks its configuration (known since 1.39).
pub(crate) fn only_validates() -> bool {
    type IsValidation = unsafe extern "C" fn() -> bool;
    newer_callback(c"envoy_dynamic_module_callback_is_validation_mode").is_some_and(|address| {
        // SAFETY: the signature of this callback is frozen by Envoy's interface policy.
        unsafe { std::mem::transmute::<Handle, IsValidation>(address)() }
    })
}

/// Writes an error to Envoy's log. The text must not hold prompt text or secrets.
pub(crate) fn log_error(text: &str) {
    // SAFETY: the text outlives the call.
    unsafe { log(LOG_ERROR, Bytes::of(text.as_bytes())) }
}

// --- stream ---

/// One stream inside one hook.
pub(crate) struct Stream<'h> {
    handle: Handle,
    hook: PhantomData<&'h mut ()>,
}

impl Stream<'_> {
    fn of(handle: Handle) -> Self {
        Self {
            handle,
            hook: PhantomData,
        }
    }

    /// A copy of a header map, taken in one pass.
    pub(crate) fn headers(&self, side: Side) -> Headers {
        let map = side.header_map();
        // SAFETY: the handle is that of the hook that runs.
        let count = unsafe { http_get_headers_size(self.handle, map) };
        let mut stack = [Pair::NONE; STACK_HEADERS];
        let mut heap = Vec::new();
        let pairs = room(&mut stack, &mut heap, Pair::NONE, count);
        // SAFETY: as above; there is room for `count` headers.
        unsafe { http_get_headers(self.handle, map, pairs.as_mut_ptr()) };
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
                        http_set_header(self.handle, map, text(name), Bytes::of(value))
                    }
                    HeaderEdit::Append(name, value) => {
                        http_add_header(self.handle, map, text(name), Bytes::of(value))
                    }
                    HeaderEdit::Remove(name) => {
                        http_set_header(self.handle, map, text(name), Bytes::NONE)
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
                Side::Request => http_received_buffered_request_body(self.handle),
                Side::Response => http_received_buffered_response_body(self.handle),
            }
        }
    }

    /// Bytes at hand: those held back and those that just came.
    pub(crate) fn body_size(&self, side: Side, moment: Moment) -> usize {
        let sizes = self.bodies(side, moment).iter().map(|body| {
            // SAFETY: the handle is that of the hook that runs.
            unsafe { http_get_body_size(self.handle, *body) }
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
            let count = unsafe { http_get_body_chunks_size(self.handle, *body) };
            let chunks = room(&mut stack, &mut heap, Bytes::NONE, count);
            if count > 0 {
                // SAFETY: as above; there is room for `count` chunks.
                unsafe { http_get_body_chunks(self.handle, *body, chunks.as_mut_ptr()) };
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
                let size = http_get_body_size(self.handle, *body);
                if size > 0 {
                    http_drain_body(self.handle, *body, size);
                }
            }
        }
        if let (Some(body), false) = (bodies.last(), bytes.is_empty()) {
            // SAFETY: Envoy copies the bytes before it returns.
            unsafe { http_append_body(self.handle, *body, Bytes::of(bytes)) };
        }
    }

    /// Merges dynamic metadata into the core's namespace.
    pub(crate) fn set_metadata(&mut self, metadata: &Metadata) {
        let namespace = text(NAMESPACE);
        let mut texts = [Pair::NONE; 8];
        let mut free = texts.iter_mut();
        let batch = set_strings();
        let mut count = 0;
        for (key, value) in metadata {
            match value {
                // SAFETY: Envoy copies key and value before it returns.
                Value::Number(number) => unsafe {
                    http_set_dynamic_metadata_number(self.handle, namespace, text(key), *number);
                },
                Value::Text(value) => {
                    if let Some(place) = batch.and_then(|_| free.next()) {
                        *place = Pair::of(key.as_bytes(), value.as_bytes());
                        count += 1;
                    } else {
                        let value = text(value);
                        // SAFETY: as above.
                        unsafe {
                            http_set_dynamic_metadata_string(
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

    /// A text in the metadata of cluster or host.
    pub(crate) fn metadata_text(&self, of: MetadataOf, namespace: &str, key: &str) -> Option<&str> {
        let mut out = Bytes::NONE;
        // SAFETY: `out` is valid for writes; the value lives as long as the hook runs.
        let value = unsafe {
            let (namespace, key) = (text(namespace), text(key));
            let found =
                http_get_metadata_string(self.handle, of as u32, namespace, key, &raw mut out);
            found.then(|| out.get())?
        };
        std::str::from_utf8(value).ok()
    }

    /// Leaves bytes for other filters of the same client stream, upstream ones included.
    pub(crate) fn set_filter_state(&mut self, key: &str, value: &[u8]) {
        // SAFETY: Envoy copies key and value before it returns.
        unsafe { http_set_filter_state_bytes(self.handle, text(key), Bytes::of(value)) };
    }

    /// Bytes that another filter left.
    pub(crate) fn filter_state(&self, key: &str) -> Option<&[u8]> {
        let mut out = Bytes::NONE;
        // SAFETY: `out` is valid for writes; the value lives as long as the hook runs.
        unsafe {
            http_get_filter_state_bytes(self.handle, text(key), &raw mut out).then(|| out.get())
        }
    }

    /// Lets the next filter see the route that the changed headers lead to.
    pub(crate) fn clear_route_cache(&mut self) {
        // SAFETY: the handle is that of the hook that runs.
        unsafe { http_clear_route_cache(self.handle) };
    }

    /// A call, for any thread, that runs the filter's `woken` on the stream's own thread.
    pub(crate) fn wake(&self) -> Wake {
        // SAFETY: the handle is that of the hook that runs.
        let scheduler = Scheduler(unsafe { http_filter_scheduler_new(self.handle) });
        Box::new(move || scheduler.commit())
    }

    fn send(&mut self, reply: &Reply) {
        let headers: Vec<Pair> = reply
            .headers
            .iter()
            .map(|(name, value)| Pair::of(name.as_bytes(), value.as_bytes()))
            .collect();
        let details = format!("aigw_{}", reply.kind);
        // SAFETY: `headers` holds as many pairs as it says; Envoy copies everything.
        unsafe {
            http_send_response(
                self.handle,
                u32::from(reply.status),
                headers.as_ptr(),
                headers.len(),
                Bytes::of(&reply.body),
                text(&details),
            );
        }
    }

    fn reset(&mut self, details: &str) {
        // SAFETY: Envoy copies the details before it returns.
        unsafe { http_filter_reset_stream(self.handle, LOCAL_RESET, text(details)) };
    }

    fn resume_request(&mut self) {
        // SAFETY: the handle is that of the hook that runs.
        unsafe { http_filter_continue_decoding(self.handle) };
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
        unsafe { http_filter_scheduler_commit(self.0, 0) };
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // SAFETY: made by `http_filter_scheduler_new`, deleted once.
        unsafe { http_filter_scheduler_delete(self.0) };
    }
}

// --- hooks ---

/// What Envoy keeps for us: one per stream and filter.
type Cell = RefCell<Filter>;

/// Runs a filter on an event and does what it asks for. A panic ends this stream only: before
/// the reply with a 500, afterwards with a reset.
fn drive(
    envoy: Handle,
    module: *const Cell,
    side: Side,
    event: impl FnOnce(&mut Filter, &mut Stream<'_>) -> Step,
) -> Done {
    // SAFETY: made by `http_filter_new`, alive until `http_filter_destroy`.
    let cell = unsafe { &*module };
    let run = || match cell.try_borrow_mut() {
        Ok(mut filter) => event(&mut filter, &mut Stream::of(envoy)),
        // Envoy came back while the filter was at work: nothing to add.
        Err(_) => Step::Continue,
    };
    let step = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| {
        discard(cell);
        panics::step(side)
    });
    let mut stream = Stream::of(envoy);
    match step {
        Step::Continue => Done::Continue,
        Step::Hold => Done::Hold,
        Step::Reply(reply) => {
            stream.send(&reply);
            Done::Ended
        }
        Step::Reset(details) => {
            stream.reset(details);
            Done::Ended
        }
    }
}

/// Takes a filter out of service whose state cannot be trusted.
fn discard(cell: &Cell) {
    let _ = catch_unwind(AssertUnwindSafe(|| {
        if let Ok(mut filter) = cell.try_borrow_mut() {
            *filter = Filter::Broken;
        }
    }));
}

#[derive(Clone, Copy)]
enum Done {
    Continue,
    Hold,
    Ended,
}

impl Done {
    /// Status of a head or trailers hook.
    fn status(self) -> u32 {
        match self {
            Self::Continue => 0,
            Self::Hold | Self::Ended => STOP,
        }
    }

    /// Status of a body hook; `STOP` keeps the bytes.
    fn body_status(self) -> u32 {
        match self {
            Self::Continue => 0,
            Self::Hold => STOP,
            Self::Ended => STOP_AND_DROP_BODY,
        }
    }
}

macro_rules! hooks {
    ($($name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => { $(
        #[unsafe(export_name = concat!("envoy_dynamic_module_on_", stringify!($name)))]
        extern "C" fn $name($($arg: $type),*) $(-> $result)? $body
    )* };
}

type Module = *const Cell;
type Config = *const Arc<FilterConfig>;

hooks! {
    program_init() -> *const c_char {
        panics::install_hook();
        c"v0.2.0".as_ptr()
    }

    http_filter_config_new(_envoy: Handle, name: Bytes, config: Bytes) -> Config {
        let open = || {
            // SAFETY: both live until the hook returns.
            let (name, config) = unsafe { (name.get(), config.get()) };
            FilterConfig::open(name, config)
        };
        match catch_unwind(open) {
            Ok(Ok(config)) => Box::into_raw(Box::new(Arc::new(config))),
            Ok(Err(error)) => {
                log_error(&format!("aigw: {error}"));
                std::ptr::null()
            }
            Err(_) => std::ptr::null(),
        }
    }

    http_filter_config_destroy(config: Config) {
        // SAFETY: made by `http_filter_config_new`, destroyed once.
        let config = unsafe { Box::from_raw(config.cast_mut()) };
        let _ = catch_unwind(AssertUnwindSafe(move || drop(config)));
    }

    http_filter_new(config: Config, _envoy: Handle) -> Module {
        // SAFETY: Envoy keeps the config alive while it makes filters of it.
        let config = unsafe { &*config };
        let filter = catch_unwind(AssertUnwindSafe(|| Filter::new(config)));
        Box::into_raw(Box::new(RefCell::new(filter.unwrap_or(Filter::Broken))))
    }

    http_filter_destroy(module: Module) {
        // SAFETY: made by `http_filter_new`, destroyed once.
        let filter = unsafe { Box::from_raw(module.cast_mut()) };
        let _ = catch_unwind(AssertUnwindSafe(move || drop(filter)));
    }

    http_filter_request_headers(envoy: Handle, module: Module, end: bool) -> u32 {
        drive(envoy, module, Side::Request, |f, s| f.request_head(s, Ended::from(end))).status()
    }

    http_filter_request_body(envoy: Handle, module: Module, end: bool) -> u32 {
        drive(envoy, module, Side::Request, |f, s| f.request_body(s, Ended::from(end)))
            .body_status()
    }

    http_filter_request_trailers(envoy: Handle, module: Module) -> u32 {
        drive(envoy, module, Side::Request, Filter::request_trailers).status()
    }

    http_filter_response_headers(envoy: Handle, module: Module, end: bool) -> u32 {
        drive(envoy, module, Side::Response, |f, s| f.response_head(s, Ended::from(end))).status()
    }

    http_filter_response_body(envoy: Handle, module: Module, end: bool) -> u32 {
        drive(envoy, module, Side::Response, |f, s| f.response_body(s, Ended::from(end)))
            .body_status()
    }

    http_filter_response_trailers(envoy: Handle, module: Module) -> u32 {
        drive(envoy, module, Side::Response, Filter::response_trailers).status()
    }

    http_filter_stream_complete(_envoy: Handle, module: Module) {
        // SAFETY: made by `http_filter_new`, alive until `http_filter_destroy`.
        let cell = unsafe { &*module };
        // Where a hook of the same filter is at work, its end comes with the filter's.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            if let Ok(mut filter) = cell.try_borrow_mut() {
                filter.end();
            }
        }));
    }

    http_filter_scheduled(envoy: Handle, module: Module, _event: u64) {
        if let Done::Continue = drive(envoy, module, Side::Request, Filter::woken) {
            Stream::of(envoy).resume_request();
        }
    }

    http_filter_http_callout_done(
        _e: Handle, _m: Module, _id: u64, _r: u32, _h: Handle, _n: usize, _c: Handle, _k: usize
    ) {}
    http_filter_http_stream_headers(
        _e: Handle, _m: Module, _id: u64, _h: Handle, _n: usize, _end: bool
    ) {}
    http_filter_http_stream_data(
        _e: Handle, _m: Module, _id: u64, _c: Handle, _n: usize, _end: bool
    ) {}
    http_filter_http_stream_trailers(_e: Handle, _m: Module, _id: u64, _h: Handle, _n: usize) {}
    http_filter_http_stream_complete(_e: Handle, _m: Module, _id: u64) {}
    http_filter_http_stream_reset(_e: Handle, _m: Module, _id: u64, _reason: u32) {}
    http_filter_downstream_above_write_buffer_high_watermark(_e: Handle, _m: Module) {}
    http_filter_downstream_below_write_buffer_low_watermark(_e: Handle, _m: Module) {}
}
