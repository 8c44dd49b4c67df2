//! Content parts: text, images and documents.

use std::fmt::{self, Write as _};
use std::mem::discriminant;

use super::request::refuse;
use crate::dialect::data_uri::{self, DataUri};
use crate::error::{Error, Result};
use crate::wire::bedrock::{Block, CachePoint, Document, Image, Source, Text};
use crate::wire::openai::Part;

/// Formats of images by media type.
const IMAGES: [(&str, &str); 4] = [
    ("image/png", "png"),
    ("image/jpeg", "jpeg"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
];

/// Formats of documents by media type.
const DOCUMENTS: [(&str, &str); 9] = [
    ("application/pdf", "pdf"),
    ("text/csv", "csv"),
    ("text/plain", "txt"),
    ("text/html", "html"),
    ("text/markdown", "md"),
    ("application/msword", "doc"),
    (
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "docx",
    ),
    ("application/vnd.ms-excel", "xls"),
    (
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "xlsx",
    ),
];

/// Longest document name that Bedrock takes is 200; the rest is for a number.
const NAME_LENGTH: usize = 190;

/// Where a part stands in the request.
#[derive(Clone, Copy)]
pub(super) struct Place {
    message: usize,
    part: usize,
}

impl Place {
    pub(super) fn new(message: usize, part: usize) -> Self {
        Self { message, part }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "messages[{}].content[{}]", self.message, self.part)
    }
}

/// Puts a cache marker behind `blocks`. It covers all that stands before it, so it stays when
/// its own block is left out, and one that follows another adds nothing.
pub(super) fn mark<'a, B>(
    blocks: &mut Vec<B>,
    point: Option<CachePoint<'a>>,
    wrap: fn(CachePoint<'a>) -> B,
) {
    let Some(point) = point.map(wrap) else {
        return;
    };
    let last = blocks.last().map(discriminant);
    if last.is_some_and(|last| last != discriminant(&point)) {
        blocks.push(point);
    }
}

/// The block of a user part; none for an empty text.
pub(super) fn block<'a>(
    part: &'a Part<'a>,
    place: Place,
    names: &mut Names,
) -> Result<Option<Block<'a>>> {
    match part.r#type.as_deref() {
        None | Some("text") => {
            let text = part.text.as_deref().unwrap_or_default();
            Ok((!text.is_empty()).then_some(Block::Text(text)))
        }
        Some("image_url") => image_url(part, place).map(Some),
        Some("file") => file(part, place, names).map(Some),
        Some(media @ ("input_audio" | "audio_url" | "video_url")) => {
            Err(refuse(place, &format!("{media} is not supported")))
        }
        Some(_) => Err(Error::MalformedRequest(format!(
            "{place}.type: unknown content part"
        ))),
    }
}

/// The format of images of `media_type`.
pub(super) fn image_format(media_type: &str) -> Option<&'static str> {
    format_of(&IMAGES, media_type)
}

/// The format of documents of `media_type`, parameters left out.
pub(super) fn document_format(media_type: &str) -> Option<&'static str> {
    let kind = media_type.split(';').next().unwrap_or_default().trim();
    format_of(&DOCUMENTS, kind)
}

fn format_of(table: &[(&str, &'static str)], media_type: &str) -> Option<&'static str> {
    let mut rows = table.iter();
    rows.find(|(known, _)| known.eq_ignore_ascii_case(media_type))
        .map(|(_, format)| *format)
}

// --- images ---

fn image_url<'a>(part: &'a Part<'a>, place: Place) -> Result<Block<'a>> {
    let Some(image) = &part.image_url else {
        return Err(refuse(place, "image_url is missing"));
    };
    let uri = data_uri::parse(&image.url)
        .map_err(|_| Error::Untranslatable("invalid image data URI".into()))?;
    let format = format_of(&IMAGES, uri.media_type).ok_or_else(|| {
        let kind: String = uri.media_type.chars().take(64).collect();
        Error::Untranslatable(format!("unsupported image format {kind}"))
    })?;
    Ok(image_block(format, uri.data.into()))
}

fn image_block<'a>(format: &'static str, bytes: Text<'a>) -> Block<'a> {
    let source = Source { bytes };
    Block::Image(Image { format, source })
}

// --- files ---

fn file<'a>(part: &'a Part<'a>, place: Place, names: &mut Names) -> Result<Block<'a>> {
    let place = format!("{place}.file.file_data");
    let Some((file, data)) = part
        .file
        .as_ref()
        .and_then(|file| Some((file, file.file_data.as_deref()?)))
    else {
        return Err(refuse(place, "required: only inline files are supported"));
    };
    let Ok(DataUri { media_type, data }) = data_uri::parse(data) else {
        return Err(refuse(place, "a data URI is expected"));
    };
    let bytes = Text::from(data);
    if let Some(format) = format_of(&IMAGES, media_type) {
        return Ok(image_block(format, bytes));
    }
    let Some(format) = document_format(media_type) else {
        return Err(refuse(place, "unsupported document type"));
    };
    Ok(Block::Document(Document {
        format,
        name: names.claim(file.filename.as_deref().unwrap_or_default()),
        source: Source { bytes },
    }))
}

// --- document names ---

/// Names of the documents so far: Bedrock wants each to have its own.
#[derive(Default)]
pub(super) struct Names(Vec<String>);

impl Names {
    /// A name of the allowed characters like the file name or title, an extension left out.
    pub(super) fn claim(&mut self, title: &str) -> String {
        let mut name = String::new();
        for c in without_extension(title).trim().chars().take(NAME_LENGTH) {
            match c {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '(' | ')' | '[' | ']' => name.push(c),
                ' ' if name.ends_with(' ') => {}
                ' ' => name.push(' '),
                _ => name.push('-'),
            }
        }
        name.truncate(name.trim_end().len());
        if name.is_empty() {
            name.push_str("document");
        }
        let base = name.len();
        let mut number = 2;
        while self.0.contains(&name) {
            name.truncate(base);
            // Writing to a string cannot fail.
            let _ = write!(name, " {number}");
            number += 1;
        }
        self.0.push(name.clone());
        name
    }
}

/// Titles have dots too: an extension is short and begins with a letter.
fn without_extension(title: &str) -> &str {
    let is_extension = |end: &str| {
        end.len() <= 5
            && end.starts_with(|c: char| c.is_ascii_alphabetic())
            && end.chars().all(|c| c.is_ascii_alphanumeric())
    };
    match title.rsplit_once('.') {
        Some((stem, end)) if is_extension(end) => stem,
        _ => title,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn document_names_are_clean_and_unique() {
        let mut names = Names::default();
        assert_eq!(names.claim("Tide  tables (2025).pdf"), "Tide tables (2025)");
        assert_eq!(
            names.claim("Tide tables (2025).csv"),
            "Tide tables (2025) 2"
        );
        assert_eq!(names.claim("häfen/a.b.txt"), "h-fen-a-b");
        assert_eq!(names.claim("Dr. Smith's notes"), "Dr- Smith-s notes");
        assert_eq!(names.claim("Tides v1.2"), "Tides v1-2");
        assert_eq!(names.claim(""), "document");
        assert_eq!(names.claim(".pdf"), "document 2");
    }
}
