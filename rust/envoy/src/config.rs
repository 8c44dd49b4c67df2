//! Filter configuration, as Envoy hands it over.

use std::path::PathBuf;
use std::sync::Arc;

use aigw_runtime::Runtime;
use serde::Deserialize;

use crate::abi;

/// One filter entry of Envoy's configuration.
pub(crate) struct FilterConfig {
    /// `None` where Envoy only checks its configuration.
    pub(crate) runtime: Option<Arc<Runtime>>,
    pub(crate) role: Role,
}

/// Which filter it is.
#[derive(Debug)]
pub(crate) enum Role {
    Request {
        /// `<ns>/<name>`.
        gateway: String,
    },
    Attempt {
        /// Backend id; `None` takes it from host or cluster metadata.
        backend: Option<String>,
    },
}

#[derive(Deserialize)]
struct RequestDocument {
    runtime: PathBuf,
    gateway: String,
}

#[derive(Deserialize)]
struct AttemptDocument {
    runtime: PathBuf,
    #[serde(default)]
    backend: Option<String>,
}

impl FilterConfig {
    /// Reads `config` (JSON) for the filter called `name` and opens its runtime.
    ///
    /// # Errors
    /// A text for Envoy's log: what is wrong and where.
    pub(crate) fn open(name: &[u8], config: &[u8]) -> Result<Self, String> {
        let (dir, role) = parse(name, config)?;
        if abi::only_validates() {
            return Ok(Self {
                runtime: None,
                role,
            });
        }
        if abi::logs_debug() {
            aigw_runtime::debug::enable(abi::log_debug);
        }
        let runtime = Runtime::shared(&dir).map_err(|error| error.to_string())?;
        Ok(Self {
            runtime: Some(runtime),
            role,
        })
    }
}

fn parse(name: &[u8], config: &[u8]) -> Result<(PathBuf, Role), String> {
    let name = String::from_utf8_lossy(name);
    let wrong = |error: serde_json::Error| format!("config of filter {name}: {error}");
    match name.as_ref() {
        "request" => {
            let document: RequestDocument = serde_json::from_slice(config).map_err(wrong)?;
            let gateway = document.gateway;
            Ok((document.runtime, Role::Request { gateway }))
        }
        "attempt" => {
            let document: AttemptDocument = serde_json::from_slice(config).map_err(wrong)?;
            let backend = document.backend;
            Ok((document.runtime, Role::Attempt { backend }))
        }
        _ => Err(format!(
            "no filter {name}: filter_name is request or attempt"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_name_that_we_do_not_have_is_refused() {
        let error = parse(b"both", b"{}").unwrap_err();
        assert_eq!(error, "no filter both: filter_name is request or attempt");
    }

    #[test]
    fn a_config_without_its_gateway_is_refused() {
        let error = parse(b"request", br#"{"runtime": "/r"}"#).unwrap_err();
        assert!(error.starts_with("config of filter request: missing field `gateway`"));
    }

    #[test]
    fn an_attempt_may_leave_its_backend_to_metadata() {
        let (dir, role) = parse(b"attempt", br#"{"runtime": "/r"}"#).unwrap();
        assert_eq!(dir, PathBuf::from("/r"));
        assert!(matches!(role, Role::Attempt { backend: None }));
    }
}
