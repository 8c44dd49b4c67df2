//! What is sent where: the options that `load` and `streams` share, as request bytes.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;

/// Where to send what.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// `http://HOST:PORT/PATH`
    #[arg(long)]
    url: String,
    /// Request method
    #[arg(long, default_value = "POST")]
    method: String,
    /// `name: value`, repeatable; content-type is application/json unless given
    #[arg(long = "header")]
    headers: Vec<String>,
    /// File that holds the request body
    #[arg(long)]
    body_file: Option<PathBuf>,
    /// Seconds until an exchange counts as a time-out
    #[arg(long, default_value_t = 30.0)]
    timeout: f64,
}

/// A resolved target.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Address to connect to.
    pub(crate) address: SocketAddr,
    /// The whole request.
    pub(crate) request: Bytes,
    /// Longest wait for one exchange.
    pub(crate) timeout: Duration,
}

impl Options {
    /// Reads the body, resolves the address and builds the request.
    pub(crate) async fn resolve(&self) -> io::Result<Target> {
        let (host, path) = split_url(&self.url)?;
        let address = tokio::net::lookup_host(host)
            .await?
            .next()
            .ok_or_else(|| invalid(format!("{host}: no address")))?;
        if !address.ip().is_loopback() {
            return Err(invalid(format!("{host}: only loopback is ever loaded")));
        }
        let body = match &self.body_file {
            Some(file) => std::fs::read(file)?,
            None => Vec::new(),
        };
        let timeout = Duration::try_from_secs_f64(self.timeout).map_err(io::Error::other)?;
        Ok(Target {
            address,
            request: self.request(host, path, &body),
            timeout,
        })
    }

    fn request(&self, host: &str, path: &str, body: &[u8]) -> Bytes {
        let mut head = format!("{} {path} HTTP/1.1\r\nhost: {host}\r\n", self.method);
        let typed = |header: &String| header.to_ascii_lowercase().starts_with("content-type:");
        if !body.is_empty() && !self.headers.iter().any(typed) {
            head.push_str("content-type: application/json\r\n");
        }
        for header in &self.headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("content-length: ");
        head.push_str(&body.len().to_string());
        head.push_str("\r\n\r\n");
        let mut wire = head.into_bytes();
        wire.extend_from_slice(body);
        wire.into()
    }
}

/// `HOST:PORT` and `/PATH` of a URL.
fn split_url(url: &str) -> io::Result<(&str, &str)> {
    let rest = url
        .strip_prefix("http://")
        .ok_or_else(|| invalid(format!("{url}: not an http:// URL")))?;
    let slash = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(slash);
    Ok((host, if path.is_empty() { "/" } else { path }))
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_splits_into_host_and_path() {
        assert_eq!(split_url("http://h:1/a/b?c").unwrap(), ("h:1", "/a/b?c"));
        assert_eq!(split_url("http://h:1").unwrap(), ("h:1", "/"));
        assert!(split_url("https://h:1/").is_err());
    }
}
