//! Multipart forms: finds the few fields that the gateway reads, as spans.
//!
//! RFC 7578 over the whole body. Line ends are CRLF; a preamble and an epilogue are allowed.

use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::scan::{Scan, Span};

/// Longest boundary (RFC 2046).
const MAX_BOUNDARY: usize = 70;

/// Scans a form for `endpoint`. The model is required, and so is a file.
///
/// # Errors
/// [`Error::MalformedRequest`] with the field, never its value.
pub(crate) fn scan(endpoint: Endpoint, content_type: &str, body: &[u8]) -> Result<Scan> {
    let boundary = boundary(content_type).ok_or_else(|| cannot_parse("missing boundary"))?;
    let mut scan = Scan {
        length: body.len(),
        end: body.len(),
        is_form: true,
        ..Scan::default()
    };
    let mut has_file = false;
    for part in parts(body, &boundary)? {
        let value = body.get(part.value.clone()).unwrap_or_default();
        match part.name.as_str() {
            "model" => {
                // Two values would mean one thing to us and maybe another to the provider.
                if scan.model_span.replace(part.value).is_some() {
                    return Err(malformed("field 'model' is there twice"));
                }
                text("model", value)?.clone_into(&mut scan.model);
            }
            "file" => has_file = true,
            "temperature" if text("temperature", value)?.trim().parse::<f64>().is_err() => {
                return Err(malformed("invalid temperature value: a number is expected"));
            }
            "stream" if endpoint == Endpoint::Transcriptions => {
                scan.stream = value.eq_ignore_ascii_case(b"true");
            }
            _ => {}
        }
    }
    if scan.model_span.is_none() {
        return Err(malformed("missing required field 'model'"));
    }
    if !has_file {
        return Err(malformed("missing required field 'file'"));
    }
    Ok(scan)
}

fn malformed(text: &str) -> Error {
    Error::MalformedRequest(text.to_owned())
}

fn cannot_parse(detail: &str) -> Error {
    Error::MalformedRequest(format!("failed to parse multipart form data: {detail}"))
}

fn text<'a>(field: &str, value: &'a [u8]) -> Result<&'a str> {
    std::str::from_utf8(value)
        .map_err(|_| malformed(&format!("failed to read {field} field: UTF-8 is expected")))
}

/// True for the content type of forms.
pub(crate) fn is_form(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("multipart/form-data")
}

fn boundary(content_type: &str) -> Option<String> {
    let boundary = parameter(content_type, "boundary")?;
    (1..=MAX_BOUNDARY)
        .contains(&boundary.len())
        .then_some(boundary)
}

/// A parameter of a header value: `a; name=value; name="quoted \" value"`.
fn parameter(value: &str, name: &str) -> Option<String> {
    let mut rest = value.split_once(';')?.1;
    loop {
        let (key, after) = rest.split_once('=')?;
        let (value, more) = parameter_value(after.trim_start());
        if key.trim().eq_ignore_ascii_case(name) {
            return Some(value);
        }
        rest = more.split_once(';')?.1;
    }
}

/// The value at the start of `text`, and what follows it.
fn parameter_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(';').unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (value.trim().to_owned(), rest);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

/// One field.
struct Part {
    name: String,
    value: Span,
}

fn parts(body: &[u8], boundary: &str) -> Result<Vec<Part>> {
    let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
    let finder = memchr::memmem::Finder::new(&delimiter);
    // The first delimiter has no line before it unless there is a preamble.
    let first = delimiter.get(2..).unwrap_or_default();
    let mut at = if body.starts_with(first) {
        first.len()
    } else {
        let found = finder.find(body);
        found.ok_or_else(|| cannot_parse("no part begins"))? + delimiter.len()
    };
    let mut parts = Vec::new();
    loop {
        let rest = body.get(at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Ok(parts);
        }
        let padding = rest
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\t'))
            .count();
        let head = at + padding + 2;
        match body.get(head - 2..head) {
            Some(b"\r\n") => {}
            None => return Err(cannot_parse("unexpected end of input")),
            Some(_) => return Err(cannot_parse("a part does not begin on a line of its own")),
        }
        let (name, start) = part_head(body, head)?;
        let end = finder
            .find(body.get(start..).unwrap_or_default())
            .map(|length| start + length)
            .ok_or_else(|| cannot_parse("unexpected end of input"))?;
        parts.push(Part {
            name,
            value: start..end,
        });
        at = end + delimiter.len();
    }
}

/// Name of the part whose head begins at `head`, and where its value begins.
fn part_head(body: &[u8], head: usize) -> Result<(String, usize)> {
    let mut name = None;
    let mut at = head;
    loop {
        let rest = body.get(at..).unwrap_or_default();
        let end = memchr::memmem::find(rest, b"\r\n")
            .ok_or_else(|| cannot_parse("unexpected end of input"))?;
        at += end + 2;
        let line = rest.get(..end).unwrap_or_default();
        if line.is_empty() {
            let name = name.ok_or_else(|| cannot_parse("a part has no name"))?;
            return Ok((name, at));
        }
        let line = String::from_utf8_lossy(line);
        let (key, value) = line
            .split_once(':')
            .ok_or_else(|| cannot_parse("a part has a malformed header"))?;
        if key.trim().eq_ignore_ascii_case("content-disposition") {
            name = parameter(value, "name");
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &str = "multipart/form-data; charset=utf-8; boundary=\"X b\"";

    fn form(parts: &[(&str, &str)]) -> String {
        let mut body = String::new();
        for (head, value) in parts {
            for piece in [
                "--X b\r\nContent-Disposition: form-data; ",
                head,
                "\r\n\r\n",
                value,
            ] {
                body.push_str(piece);
            }
            body.push_str("\r\n");
        }
        body + "--X b--\r\n"
    }

    fn read(body: &str) -> Result<Scan> {
        scan(Endpoint::Transcriptions, TYPE, body.as_bytes())
    }

    #[test]
    fn fields_are_found_wherever_they_stand() {
        let body = form(&[
            (
                "name=\"file\"; filename=\"name=model\"",
                "--X b is no end\r\n--X",
            ),
            ("filename=\"a\\\";b\"; name=model", "whisper"),
            ("name=\"stream\"", "TRUE"),
            ("name=\"temperature\"", "0.5"),
        ]);
        for body in [body.clone(), format!("preamble\r\n{body}epilogue")] {
            let scan = read(&body).unwrap();
            assert_eq!((scan.model.as_str(), scan.stream), ("whisper", true));
            assert_eq!(&body[scan.model_span.unwrap()], "whisper");
        }
    }

    #[test]
    fn bad_forms_name_the_field_and_never_its_value() {
        let file = ("name=\"file\"; filename=\"a\"", "x");
        let model = ("name=\"model\"", "m");
        for (body, want) in [
            (form(&[file]), "missing required field 'model'"),
            (form(&[model]), "missing required field 'file'"),
            (form(&[model, file, model]), "'model' is there twice"),
            (
                form(&[model, file, ("name=\"temperature\"", "secret")]),
                "invalid temperature",
            ),
            (form(&[model, file, ("x=y", "")]), "a part has no name"),
            (form(&[model, file]).replace("--\r\n", ""), "unexpected end"),
            ("secret".into(), "no part begins"),
        ] {
            let error = read(&body).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
            assert!(!error.contains("secret"));
        }
        let error = scan(Endpoint::Translations, "multipart/form-data", b"").unwrap_err();
        assert!(error.to_string().ends_with("missing boundary"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, value in "\\PC*") {
            let _ = scan(Endpoint::Transcriptions, TYPE, &bytes);
            let _ = parameter(&value, "boundary");
            let mut body = form(&[("name=\"model\"", "m")]).into_bytes();
            body.truncate(bytes.len());
            body.extend_from_slice(&bytes);
            let _ = scan(Endpoint::Transcriptions, TYPE, &body);
        }
    }
}
