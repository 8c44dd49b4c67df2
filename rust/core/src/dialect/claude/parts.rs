//! Content parts: text, images and documents.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::dialect::data_uri::{self, DataUri, DataUriError};
use crate::error::{Error, Result};
use crate::wire::anthropic::{Block, CacheControl, Source, Text};
use crate::wire::openai::{self, Part};

/// Media types of inline images.
const IMAGES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];

/// Where a part stands in the request.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) message: usize,
    pub(super) part: usize,
}

impl Place {
    /// The part cannot be expressed.
    pub(super) fn refuse(self, why: &str) -> Error {
        Error::Untranslatable(format!("{self}: {why}"))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "messages[{}].content[{}]", self.message, self.part)
    }
}

/// A marker that means anything; `ttl` as sent.
pub(super) fn cache<'a>(marker: Option<&'a openai::CacheControl<'a>>) -> Option<CacheControl<'a>> {
    marker
        .filter(|marker| marker.is_enabled())
        .map(|marker| CacheControl {
            r#type: "ephemeral",
            ttl: marker.ttl.as_deref(),
        })
}

/// A text block; none for an empty text.
pub(super) fn text<'a>(
    text: &'a str,
    cache_control: Option<CacheControl<'a>>,
) -> Option<Block<'a>> {
    (!text.is_empty()).then_some(Block::Text {
        text: text.into(),
        cache_control,
    })
}

/// Blocks of user content.
pub(super) fn blocks<'a>(parts: &'a [Part<'a>], message: usize) -> Result<Vec<Block<'a>>> {
    convert(parts, message, parts.len(), block)
}

/// Blocks of a tool's result; the marker of the last part is placed elsewhere.
pub(super) fn result_blocks<'a>(parts: &'a [Part<'a>], message: usize) -> Result<Vec<Block<'a>>> {
    convert(parts, message, parts.len().saturating_sub(1), result_block)
}

type Convert<'a> = fn(&'a Part<'a>, Option<CacheControl<'a>>, Place) -> Result<Option<Block<'a>>>;

/// Only the first `marked` parts keep their cache markers.
fn convert<'a>(
    parts: &'a [Part<'a>],
    message: usize,
    marked: usize,
    block: Convert<'a>,
) -> Result<Vec<Block<'a>>> {
    let mut blocks = Vec::with_capacity(parts.len());
    for (index, part) in parts.iter().enumerate() {
        let place = Place {
            message,
            part: index,
        };
        let marker = cache(part.cache_control.as_ref()).filter(|_| index < marked);
        match block(part, marker, place)? {
            Some(block) => blocks.push(block),
            // What it marked stands before it.
            None => mark(&mut blocks, marker),
        }
    }
    Ok(blocks)
}

/// Puts a cache marker at the end of `blocks`, where there is none yet.
pub(super) fn mark<'a>(blocks: &mut [Block<'a>], marker: Option<CacheControl<'a>>) {
    match blocks.last_mut() {
        Some(
            Block::Text { cache_control, .. }
            | Block::Image { cache_control, .. }
            | Block::Document { cache_control, .. }
            | Block::ToolUse { cache_control, .. }
            | Block::ToolResult { cache_control, .. },
        ) => *cache_control = cache_control.or(marker),
        // Thinking takes no marker.
        None | Some(Block::Thinking { .. } | Block::RedactedThinking { .. }) => {}
    }
}

fn result_block<'a>(
    part: &'a Part<'a>,
    cache_control: Option<CacheControl<'a>>,
    place: Place,
) -> Result<Option<Block<'a>>> {
    if part.is_text() {
        let said = part.text.as_deref().unwrap_or_default();
        return Ok(text(said, cache_control));
    }
    block(part, cache_control, place)
}

fn block<'a>(
    part: &'a Part<'a>,
    cache_control: Option<CacheControl<'a>>,
    place: Place,
) -> Result<Option<Block<'a>>> {
    match part.r#type.as_deref().unwrap_or("text") {
        "text" => Ok(text(
            part.text.as_deref().unwrap_or_default(),
            cache_control,
        )),
        "image_url" => image_url(part, cache_control, place).map(Some),
        "file" => file(part, cache_control, place).map(Some),
        "input_audio" => Err(place.refuse("input audio content not supported yet")),
        "audio_url" => Err(place.refuse("audio content not supported")),
        "video_url" => Err(place.refuse("video content not supported")),
        _ => Err(Error::MalformedRequest(format!(
            "{place}.type: unknown content part"
        ))),
    }
}

// --- images ---

fn image_url<'a>(
    part: &'a Part<'a>,
    cache_control: Option<CacheControl<'a>>,
    place: Place,
) -> Result<Block<'a>> {
    let Some(image) = &part.image_url else {
        return Err(place.refuse("image_url is missing"));
    };
    let source = match data_uri::parse(&image.url) {
        Ok(uri) => return inline_image(uri, cache_control, place),
        Err(DataUriError::OtherScheme) => Source::Url { url: &image.url },
        Err(fault) => {
            let why = describe(fault);
            return Err(place.refuse(&format!("failed to parse image URL: {why}")));
        }
    };
    Ok(if names_pdf(&image.url) {
        document(source, None, cache_control)
    } else {
        Block::Image {
            source,
            cache_control,
        }
    })
}

fn inline_image<'a>(
    uri: DataUri<'a>,
    cache_control: Option<CacheControl<'a>>,
    place: Place,
) -> Result<Block<'a>> {
    let source = Source::Base64 {
        media_type: uri.media_type.into(),
        data: uri.data.into(),
    };
    match uri.media_type {
        "application/pdf" => Ok(document(source, None, cache_control)),
        kind if IMAGES.contains(&kind) => Ok(Block::Image {
            source,
            cache_control,
        }),
        kind => Err(place.refuse(&format!("invalid media_type for image '{kind}'"))),
    }
}

/// The path of the URL ends in `.pdf`; a query or fragment does not count.
fn names_pdf(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let end = path.len().saturating_sub(4);
    path.get(end..)
        .is_some_and(|tail| tail.eq_ignore_ascii_case(".pdf"))
}

fn document<'a>(
    source: Source<'a>,
    title: Option<Text<'a>>,
    cache_control: Option<CacheControl<'a>>,
) -> Block<'a> {
    Block::Document {
        source,
        title,
        cache_control,
    }
}

fn describe(fault: DataUriError) -> &'static str {
    match fault {
        DataUriError::OtherScheme | DataUriError::NoPayload => {
            "data uri does not have a valid format"
        }
        DataUriError::BadBase64 => "the payload is not base64",
    }
}

// --- files ---

fn file<'a>(
    part: &'a Part<'a>,
    cache_control: Option<CacheControl<'a>>,
    place: Place,
) -> Result<Block<'a>> {
    let Some((file, data)) = part
        .file
        .as_ref()
        .and_then(|file| Some((file, file.file_data.as_ref()?)))
    else {
        return Err(place.refuse("file content not supported yet without file_data"));
    };
    let uri = data_uri::parse(data)
        .map_err(|fault| place.refuse(&format!("file.file_data: {}", describe(fault))))?;
    let source = match uri.media_type {
        "application/pdf" => Source::Base64 {
            media_type: "application/pdf".into(),
            data: uri.data.into(),
        },
        kind if kind == "text/plain" || kind.starts_with("text/plain;") => Source::Text {
            media_type: "text/plain",
            data: plain_text(&uri.data)
                .ok_or_else(|| place.refuse("file.file_data: the text is not UTF-8"))?,
        },
        kind => {
            return Err(place.refuse(&format!(
                "file content not supported yet for media type '{kind}'"
            )));
        }
    };
    let title = file.filename.as_deref().filter(|name| !name.is_empty());
    Ok(document(source, title.map(Text::from), cache_control))
}

fn plain_text(base64: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(base64).ok()?).ok()
}
