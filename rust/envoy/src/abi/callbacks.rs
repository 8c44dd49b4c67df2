//! Envoy's functions and the types that they take.

use std::ffi::{CStr, c_char, c_void};
use std::sync::OnceLock;

/// Any pointer of the interface.
pub(super) type Handle = *mut c_void;

/// `envoy_buffer` and `module_buffer`: bytes of either side, passed by value.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) struct Bytes {
    start: *const u8,
    len: usize,
}

impl Bytes {
    pub(super) const NONE: Self = Self {
        start: std::ptr::null(),
        len: 0,
    };

    pub(super) const fn of(bytes: &[u8]) -> Self {
        Self {
            start: bytes.as_ptr(),
            len: bytes.len(),
        }
    }

    /// # Safety
    /// The memory must stay valid and unchanged for `'a`.
    pub(super) unsafe fn get<'a>(self) -> &'a [u8] {
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
pub(super) struct Pair {
    pub(super) name: Bytes,
    pub(super) value: Bytes,
}

impl Pair {
    pub(super) const NONE: Self = Self {
        name: Bytes::NONE,
        value: Bytes::NONE,
    };

    pub(super) const fn of(name: &[u8], value: &[u8]) -> Self {
        Self {
            name: Bytes::of(name),
            value: Bytes::of(value),
        }
    }
}

const LOG_DEBUG: u32 = 1;
const LOG_ERROR: u32 = 4;

macro_rules! callbacks {
    ($($name:ident($($arg:ident: $type:ty),*) $(-> $result:ty)?;)*) => {
        unsafe extern "C" { $(
            #[link_name = concat!("envoy_dynamic_module_callback_", stringify!($name))]
            pub(super) fn $name($($arg: $type),*) $(-> $result)?;
        )* }
    };
}

callbacks! {
    log(level: u32, text: Bytes);
    log_enabled(level: u32) -> bool;
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
    http_filter_get_attribute_int(stream: Handle, attribute: u32, out: *mut u64) -> bool;
    http_filter_get_attribute_string(stream: Handle, attribute: u32, out: *mut Bytes) -> bool;
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

/// Namespace, pairs and their number.
pub(super) type SetStrings = unsafe extern "C" fn(Handle, Bytes, *const Pair, usize);

/// Since 1.39: several texts in one merge.
pub(super) fn set_strings() -> Option<SetStrings> {
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

/// Writes a debug line to Envoy's log; any thread may. The text must not hold prompt text or
/// secrets.
pub(crate) fn log_debug(text: &str) {
    // SAFETY: the text outlives the call.
    unsafe { log(LOG_DEBUG, Bytes::of(text.as_bytes())) }
}

/// Whether Envoy's log takes debug lines of modules.
pub(crate) fn logs_debug() -> bool {
    // SAFETY: no argument is a pointer.
    unsafe { log_enabled(LOG_DEBUG) }
}
