//! Multipart forms: finds the few fields that the gateway reads, as spans.
//!
//! RFC 7578 over the whole body. A preamble and an epilogue are allowed, and line ends of LF
//! alone where the first one is. What servers could read in two ways is refused.

use crate::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::scan::{MAX_VALUES, Scan, Span};

/// Longest boundary (RFC 2046).
const MAX_BOUNDARY: usize = 70;

/// Scans a form for `endpoint`. Audio needs a model and a file; images have a model of their own
/// where none is named.
///
/// # Errors
/// [`Error::MalformedRequest`] with the field, never its value.
pub(crate) fn scan(endpoint: Endpoint, content_type: &str, body: &[u8]) -> Result<Scan> {
    let boundary = boundary(content_type).ok_or_else(|| cannot_parse("missing boundary"))?;
    let form = parts(body, &boundary)?;
    let mut scan = Scan {
        length: body.len(),
        end: form.end,
        form_lines: Some(form.lines),
        ..Scan::default()
    };
    let is_audio = matches!(endpoint, Endpoint::Transcriptions | Endpoint::Translations);
    let can_stream = matches!(endpoint, Endpoint::Transcriptions | Endpoint::ImageEdits);
    let mut has_file = false;
    let (mut models, mut streams) = (Vec::new(), Vec::new());
    for part in form.parts {
        let value = body.get(part.value.clone()).unwrap_or_default();
        match part.name.as_str() {
            "model" => {
                text("model", value)?.clone_into(&mut scan.model);
                models.push(part.value);
            }
            "file" => has_file = true,
            "temperature" if is_audio && !is_number(text("temperature", value)?) => {
                return Err(malformed("invalid temperature value: a number is expected"));
            }
            "stream" if can_stream => {
                scan.stream = value.eq_ignore_ascii_case(b"true");
                streams.push(part.value);
            }
            _ => {}
        }
    }
    scan.model_span = last_of("model", models, &mut scan)?;
    last_of("stream", streams, &mut scan)?;
    if is_audio && scan.model_span.is_none() {
        return Err(malformed("missing required field 'model'"));
    }
    if is_audio && !has_file {
        return Err(malformed("missing required field 'file'"));
    }
    Ok(scan)
}

fn is_number(text: &str) -> bool {
    text.trim().parse::<f64>().is_ok()
}

/// The last value of a field; the scan learns of the others.
fn last_of(field: &str, mut values: Vec<Span>, scan: &mut Scan) -> Result<Option<Span>> {
    if values.len() > MAX_VALUES {
        return Err(malformed(&format!("field '{field}' is there too often")));
    }
    let last = values.pop();
    if let Some(last) = &last {
        scan.repeats(values, last);
    }
    Ok(last)
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

/// A form that was read.
struct Form {
    parts: Vec<Part>,
    /// Where the closing delimiter begins, and with it any further part.
    end: usize,
    lines: FormLines,
}

/// The lines that a further part is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FormLines {
    dashed: Vec<u8>,
    line_end: &'static [u8],
}

impl FormLines {
    /// A field of its own, to stand before the closing delimiter.
    pub(crate) fn field(&self, name: &str, value: &[u8]) -> Vec<u8> {
        let head = format!("Content-Disposition: form-data; name=\"{name}\"");
        let lines = [self.dashed.as_slice(), head.as_bytes(), b"", value];
        lines
            .iter()
            .flat_map(|line| [line, self.line_end])
            .flatten()
            .copied()
            .collect()
    }
}

/// One field.
struct Part {
    name: String,
    value: Span,
}

fn parts(body: &[u8], boundary: &str) -> Result<Form> {
    let dashed = [b"--", boundary.as_bytes()].concat();
    // The first delimiter has no line before it unless there is a preamble.
    let mut at = if body.starts_with(&dashed) {
        dashed.len()
    } else {
        let delimiter = [b"\n", dashed.as_slice()].concat();
        let found = memchr::memmem::find(body, &delimiter);
        found.ok_or_else(|| cannot_parse("no part begins"))? + delimiter.len()
    };
    let line_end: &'static [u8] = match body.get(at + padding(body, at)) {
        Some(b'\n') => b"\n",
        _ => b"\r\n",
    };
    let delimiter = [line_end, dashed.as_slice()].concat();
    let finder = memchr::memmem::Finder::new(&delimiter);
    let mut parts = Vec::new();
    loop {
        let rest = body.get(at..).unwrap_or_default();
        if rest.starts_with(b"--") {
            return Ok(Form {
                parts,
                end: at - dashed.len(),
                lines: FormLines { dashed, line_end },
            });
        }
        let head = at + padding(body, at) + line_end.len();
        match body.get(head - line_end.len()..head) {
            Some(found) if found == line_end => {}
            None => return Err(cannot_parse("unexpected end of input")),
            Some(_) => return Err(cannot_parse("a part does not begin on a line of its own")),
        }
        let (name, start) = part_head(body, head)?;
        let value = body.get(start..).unwrap_or_default();
        if value.starts_with(&dashed) && is_delimiter(value, dashed.len()) {
            return Err(cannot_parse("a part has no value"));
        }
        let length = delimiter_at(value, &finder);
        let length = length.ok_or_else(|| cannot_parse("unexpected end of input"))?;
        parts.push(Part {
            name,
            value: start..start + length,
        });
        at = start + length + delimiter.len();
    }
}

/// Spaces at `at`.
fn padding(body: &[u8], at: usize) -> usize {
    let rest = body.get(at..).unwrap_or_default();
    let spaces = rest.iter().take_while(|b| matches!(b, b' ' | b'\t'));
    spaces.count()
}

/// Where the value ends: lines that only begin like a delimiter belong to it.
fn delimiter_at(value: &[u8], finder: &memchr::memmem::Finder<'_>) -> Option<usize> {
    let mut from = 0;
    loop {
        let found = from + finder.find(value.get(from..)?)?;
        from = found + finder.needle().len();
        if is_delimiter(value, from) {
            return Some(found);
        }
    }
}

/// Whether dashes and boundary that end at `end` are a line of their own.
fn is_delimiter(body: &[u8], end: usize) -> bool {
    let rest = body.get(end..).unwrap_or_default();
    let after = rest.get(padding(rest, 0)..).unwrap_or_default();
    rest.starts_with(b"--") || matches!(after.first(), None | Some(b'\r' | b'\n'))
}

/// Name of the part whose head begins at `head`, and where its value begins. A part without a
/// name is none of the gateway's.
fn part_head(body: &[u8], head: usize) -> Result<(String, usize)> {
    let mut disposition = None;
    let mut at = head;
    loop {
        let rest = body.get(at..).unwrap_or_default();
        let end =
            memchr::memchr(b'\n', rest).ok_or_else(|| cannot_parse("unexpected end of input"))?;
        at += end + 1;
        let line = rest.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            return Ok((disposition.unwrap_or_default(), at));
        }
        let line = String::from_utf8_lossy(line);
        let (key, value) = line
            .split_once(':')
            .ok_or_else(|| cannot_parse("a part has a malformed header"))?;
        if key.trim().eq_ignore_ascii_case("content-disposition") {
            let name = parameter(value, "name").unwrap_or_default();
            if disposition.replace(name).is_some() {
                return Err(cannot_parse("a part has two names"));
            }
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
    fn lines_may_end_in_lf_alone() {
        let body = form(&[
            ("name=\"file\"", "--X bc\n--X b c\nx"),
            ("name=\"model\"", "m"),
            ("x=y", ""),
        ]);
        let body = body.replace("\r\n", "\n");
        for body in [body.clone(), format!("preamble\n{body}epilogue")] {
            let scan = read(&body).unwrap();
            assert_eq!(scan.model, "m");
        }
    }

    #[test]
    fn the_last_of_several_values_counts_and_the_others_are_known() {
        let body = form(&[
            ("name=\"model\"", "a"),
            ("name=\"file\"", "x"),
            ("name=\"model\"", "b"),
        ]);
        let scan = read(&body).unwrap();
        assert_eq!(scan.model, "b");
        let [repeated] = scan.repeated.as_slice() else {
            panic!()
        };
        assert_eq!(&body[repeated.earlier.clone()], "a");
        assert_eq!(&body[repeated.last.clone()], "b");
    }

    #[test]
    fn bad_forms_name_the_field_and_never_its_value() {
        let file = ("name=\"file\"; filename=\"a\"", "x");
        let model = ("name=\"model\"", "m");
        for (body, want) in [
            (form(&[file]), "missing required field 'model'"),
            (form(&[model]), "missing required field 'file'"),
            (form(&[model; 20]), "'model' is there too often"),
            (
                form(&[model, file, ("name=\"temperature\"", "secret")]),
                "invalid temperature",
            ),
            (
                form(&[
                    model,
                    file,
                    ("name=a\r\ncontent-disposition: b; name=c", ""),
                ]),
                "two names",
            ),
            (
                form(&[("name=\"x\"", "")]).replace("\r\n\r\n\r\n", "\r\n\r\n"),
                "no value",
            ),
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
