//! Envoy, as far as the hooks call it: one stream in memory. Links the tests of this crate.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Handle = *mut c_void;

/// `envoy_buffer`, written down a second time on purpose.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Buffer {
    start: *const u8,
    len: usize,
}

impl Buffer {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self {
            start: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    fn bytes(self) -> Vec<u8> {
        assert!(!self.start.is_null(), "a null buffer is read");
        // SAFETY: the module's buffers are valid while a callback runs.
        unsafe { std::slice::from_raw_parts(self.start, self.len) }.to_vec()
    }

    fn text(self) -> String {
        String::from_utf8(self.bytes()).unwrap()
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Pair {
    name: Buffer,
    value: Buffer,
}

/// What the module answered with.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) status: u32,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) details: String,
}

/// One stream. Maps and bodies are indexed as in the C interface.
#[derive(Default)]
pub(crate) struct FakeStream {
    pub(crate) maps: [Vec<(String, String)>; 4],
    pub(crate) bodies: [Vec<Vec<u8>>; 4],
    pub(crate) received_is_buffered: bool,
    pub(crate) metadata: HashMap<String, String>,
    pub(crate) request_metadata: HashMap<String, String>,
    pub(crate) host_metadata: HashMap<String, String>,
    pub(crate) route_metadata: HashMap<String, String>,
    pub(crate) state: HashMap<String, Vec<u8>>,
    pub(crate) route_cleared: bool,
    pub(crate) resumed: bool,
    pub(crate) sent: Option<Sent>,
    pub(crate) status: u64,
    pub(crate) details: String,
    pub(crate) wakes: Arc<AtomicUsize>,
}

impl FakeStream {
    pub(crate) fn handle(&mut self) -> Handle {
        std::ptr::from_mut(self).cast()
    }

    pub(crate) fn header(&self, map: usize, name: &str) -> Option<&str> {
        let found = self.maps[map].iter().find(|(known, _)| known == name)?;
        Some(&found.1)
    }

    pub(crate) fn body(&self, body: usize) -> Vec<u8> {
        self.bodies[body].concat()
    }

    fn body_at(&self, body: u32) -> &Vec<Vec<u8>> {
        let same = self.received_is_buffered && body.is_multiple_of(2);
        &self.bodies[body as usize + usize::from(same)]
    }
}

fn fake<'a>(stream: Handle) -> &'a mut FakeStream {
    // SAFETY: tests pass the handle of a stream that they own and do not use meanwhile.
    unsafe { &mut *stream.cast() }
}

fn put<T>(out: *mut T, index: usize, value: T) {
    // SAFETY: the module makes room for as many values as it was told of.
    unsafe { out.add(index).write(value) };
}

fn find(map: &HashMap<String, impl AsRef<[u8]>>, key: &str, out: *mut Buffer) -> bool {
    let found = map.get(key).map(|value| Buffer::of(value.as_ref()));
    found.inspect(|value| put(out, 0, *value)).is_some()
}

macro_rules! callbacks {
    ($($name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)? $body:block)*) => { $(
        #[unsafe(export_name = concat!("envoy_dynamic_module_callback_", stringify!($name)))]
        extern "C" fn $name($($arg: $type),*) $(-> $result)? $body
    )* };
}

callbacks! {
    log(_level: u32, _text: Buffer) {}
    log_enabled(_level: u32) -> bool { false }

    http_get_headers_size(stream: Handle, map: u32) -> usize {
        fake(stream).maps[map as usize].len()
    }

    http_get_headers(stream: Handle, map: u32, out: *mut Pair) -> bool {
        for (index, (name, value)) in fake(stream).maps[map as usize].iter().enumerate() {
            let (name, value) = (Buffer::of(name.as_bytes()), Buffer::of(value.as_bytes()));
            put(out, index, Pair { name, value });
        }
        true
    }

    http_set_header(stream: Handle, map: u32, name: Buffer, value: Buffer) -> bool {
        let map = &mut fake(stream).maps[map as usize];
        let name = name.text();
        map.retain(|(known, _)| *known != name);
        if !value.start.is_null() {
            map.push((name, value.text()));
        }
        true
    }

    http_add_header(stream: Handle, map: u32, name: Buffer, value: Buffer) -> bool {
        fake(stream).maps[map as usize].push((name.text(), value.text()));
        true
    }

    http_get_body_size(stream: Handle, body: u32) -> usize {
        fake(stream).body_at(body).iter().map(Vec::len).sum()
    }

    http_get_body_chunks_size(stream: Handle, body: u32) -> usize {
        fake(stream).body_at(body).len()
    }

    http_get_body_chunks(stream: Handle, body: u32, out: *mut Buffer) -> bool {
        for (index, chunk) in fake(stream).body_at(body).iter().enumerate() {
            put(out, index, Buffer::of(chunk));
        }
        true
    }

    http_append_body(stream: Handle, body: u32, bytes: Buffer) -> bool {
        fake(stream).bodies[body as usize].push(bytes.bytes());
        true
    }

    http_drain_body(stream: Handle, body: u32, count: usize) -> bool {
        let chunks = &mut fake(stream).bodies[body as usize];
        assert_eq!(count, chunks.concat().len(), "bodies are drained whole");
        chunks.clear();
        true
    }

    http_received_buffered_request_body(stream: Handle) -> bool {
        fake(stream).received_is_buffered
    }

    http_received_buffered_response_body(stream: Handle) -> bool {
        fake(stream).received_is_buffered
    }

    http_set_dynamic_metadata_number(stream: Handle, _n: Buffer, key: Buffer, value: f64) {
        fake(stream).metadata.insert(key.text(), value.to_string());
    }

    http_set_dynamic_metadata_string(stream: Handle, _n: Buffer, key: Buffer, value: Buffer) {
        fake(stream).metadata.insert(key.text(), value.text());
    }

    http_get_metadata_string(
        stream: Handle, of: u32, _n: Buffer, key: Buffer, out: *mut Buffer
    ) -> bool {
        let stream = fake(stream);
        match of {
            0 => find(&stream.request_metadata, &key.text(), out),
            1 => find(&stream.route_metadata, &key.text(), out),
            3 => find(&stream.host_metadata, &key.text(), out),
            _ => false,
        }
    }

    http_set_filter_state_bytes(stream: Handle, key: Buffer, value: Buffer) -> bool {
        fake(stream).state.insert(key.text(), value.bytes());
        true
    }

    http_get_filter_state_bytes(stream: Handle, key: Buffer, out: *mut Buffer) -> bool {
        find(&fake(stream).state, &key.text(), out)
    }

    http_filter_get_attribute_int(stream: Handle, attribute: u32, out: *mut u64) -> bool {
        assert_eq!(attribute, 15, "Envoy logs an error for attributes that it does not have");
        put(out, 0, fake(stream).status);
        fake(stream).status > 0
    }

    http_filter_get_attribute_string(stream: Handle, attribute: u32, out: *mut Buffer) -> bool {
        assert_eq!(attribute, 16, "Envoy logs an error for attributes that it does not have");
        put(out, 0, Buffer::of(fake(stream).details.as_bytes()));
        true
    }

    http_clear_route_cache(stream: Handle) {
        fake(stream).route_cleared = true;
    }

    http_send_response(
        stream: Handle, status: u32, headers: *const Pair, count: usize, body: Buffer,
        details: Buffer
    ) {
        let headers = (0..count).map(|index| {
            // SAFETY: the module says how many headers there are.
            let pair = unsafe { *headers.add(index) };
            (pair.name.text(), pair.value.text())
        });
        fake(stream).sent = Some(Sent {
            status,
            headers: headers.collect(),
            body: body.bytes(),
            details: details.text(),
        });
    }

    http_filter_continue_decoding(stream: Handle) {
        fake(stream).resumed = true;
    }

    http_filter_reset_stream(_stream: Handle, _reason: u32, _details: Buffer) {}

    http_filter_scheduler_new(stream: Handle) -> Handle {
        Arc::into_raw(Arc::clone(&fake(stream).wakes)).cast_mut().cast()
    }

    http_filter_scheduler_commit(scheduler: Handle, _event: u64) {
        // SAFETY: made by `http_filter_scheduler_new`.
        let wakes = unsafe { &*scheduler.cast::<AtomicUsize>() };
        wakes.fetch_add(1, Ordering::SeqCst);
    }

    http_filter_scheduler_delete(scheduler: Handle) {
        // SAFETY: made by `http_filter_scheduler_new`, deleted once.
        drop(unsafe { Arc::from_raw(scheduler.cast::<AtomicUsize>()) });
    }
}
