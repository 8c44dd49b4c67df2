//! Envoy's events.

use std::cell::RefCell;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use aigw_core::session::Ended;

use super::callbacks::{Bytes, Handle};
use super::{Side, Stream, log_error};
use crate::config::FilterConfig;
use crate::filter::{Filter, Step};
use crate::panics;

const STOP: u32 = 1;
const STOP_AND_DROP_BODY: u32 = 3;

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
            filter.break_down();
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
        Box::into_raw(Box::new(RefCell::new(filter.unwrap_or(Filter::Broken(None)))))
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

    http_filter_stream_complete(envoy: Handle, module: Module) {
        // SAFETY: made by `http_filter_new`, alive until `http_filter_destroy`.
        let cell = unsafe { &*module };
        // Where a hook of the same filter is at work, its end comes with the filter's.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            if let Ok(mut filter) = cell.try_borrow_mut() {
                filter.end(&mut Stream::of(envoy));
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

#[cfg(test)]
#[path = "hooks_tests.rs"]
mod tests;
