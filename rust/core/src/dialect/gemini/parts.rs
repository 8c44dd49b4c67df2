//! Content parts: text, images, audio, video and files.

use super::features::Features;
use super::messages::refused;
use crate::dialect::data_uri::{self, DataUriError};
use crate::error::{Error, Result};
use crate::wire::gemini::{Blob, FileData, MediaResolution, Part, Text};
use crate::wire::openai;

/// What is wrong with a part of a user message.
const USER: &str = "invalid user message";

/// Media types by the extension of a URL's path.
const EXTENSIONS: &[(&str, &str)] = &[
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("gif", "image/gif"),
    ("webp", "image/webp"),
    ("avif", "image/avif"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("svg", "image/svg+xml"),
    ("pdf", "application/pdf"),
    ("json", "application/json"),
    ("html", "text/html; charset=utf-8"),
    ("htm", "text/html; charset=utf-8"),
    ("xml", "text/xml; charset=utf-8"),
    ("txt", "text/plain"),
    ("mp4", "video/mp4"),
    ("mov", "video/quicktime"),
    ("webm", "video/webm"),
    ("mpeg", "video/mpeg"),
    ("mp3", "audio/mp3"),
    ("wav", "audio/wav"),
    ("flac", "audio/flac"),
    ("ogg", "audio/ogg"),
];

/// A part of a user message at `(message, part)`; none for empty texts and URLs.
pub(super) fn part<'a>(
    part: &'a openai::Part<'a>,
    place: (usize, usize),
    features: Features,
) -> Result<Option<Part<'a>>> {
    match part.r#type.as_deref().unwrap_or("text") {
        "text" => {
            let text = part.text.as_deref().filter(|text| !text.is_empty());
            Ok(text.map(|text| Part {
                text: Some(text),
                ..Part::default()
            }))
        }
        "image_url" => image_url(required(part.image_url.as_ref(), "image_url")?, features),
        "audio_url" => {
            let audio = required(part.audio_url.as_ref(), "audio_url")?;
            by_url(&audio.url, "audio/mp3", "invalid audio").map(Some)
        }
        "video_url" => {
            let video = required(part.video_url.as_ref(), "video_url")?;
            by_url(&video.url, "video/mp4", "invalid video").map(Some)
        }
        "input_audio" => audio(part).map(Some),
        "file" => file(part).map(Some),
        _ => {
            let (message, at) = place;
            Err(Error::MalformedRequest(format!(
                "messages[{message}].content[{at}].type: unknown content part"
            )))
        }
    }
}

fn required<'a, T>(member: Option<&'a T>, name: &str) -> Result<&'a T> {
    member.ok_or_else(|| refused(USER, &format!("{name}: required")))
}

/// An image. An empty URL is none.
fn image_url<'a>(image: &'a openai::MediaUrl<'a>, features: Features) -> Result<Option<Part<'a>>> {
    if image.url.is_empty() {
        return Ok(None);
    }
    let mut part = by_url(&image.url, "image/jpeg", "invalid image")?;
    let detail = image.detail.as_deref().filter(|word| !word.is_empty());
    if let Some(detail) = detail.filter(|_| features.levels()) {
        let level = match detail {
            "low" => "MEDIA_RESOLUTION_LOW",
            "medium" => "MEDIA_RESOLUTION_MEDIUM",
            "high" => "MEDIA_RESOLUTION_HIGH",
            "auto" => "MEDIA_RESOLUTION_UNSPECIFIED",
            _ => return Err(refused(USER, "invalid detail")),
        };
        part.media_resolution = Some(MediaResolution { level });
    }
    Ok(Some(part))
}

/// Media by URL: inline for `data:`, by reference otherwise.
fn by_url<'a>(url: &'a str, fallback: &'static str, fault: &str) -> Result<Part<'a>> {
    match data_uri::parse(url) {
        Ok(uri) if has_type(uri.media_type) => Ok(inline(uri.data.into(), uri.media_type.into())),
        Err(DataUriError::OtherScheme) if is_url(url) => Ok(Part {
            file_data: Some(FileData {
                file_uri: url,
                mime_type: guess(url).unwrap_or(fallback),
            }),
            ..Part::default()
        }),
        Err(DataUriError::OtherScheme) => Err(refused(USER, &format!("{fault} URL"))),
        Ok(_) | Err(DataUriError::NoPayload | DataUriError::BadBase64) => {
            Err(refused(USER, &format!("{fault} data URI")))
        }
    }
}

/// Gemini wants a media type; parameters alone are none.
fn has_type(media_type: &str) -> bool {
    !media_type.is_empty() && !media_type.starts_with(';')
}

fn inline<'a>(data: Text<'a>, mime_type: Text<'a>) -> Part<'a> {
    Part {
        inline_data: Some(Blob { data, mime_type }),
        ..Part::default()
    }
}

/// A colon ends a scheme or follows a slash; a percent sign begins an escape.
fn is_url(url: &str) -> bool {
    let scheme = |scheme: &str| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
    };
    let first = url.split('/').next().unwrap_or_default();
    let scheme_is_good = match first.split_once(':') {
        Some((before, _)) => scheme(before),
        None => true,
    };
    let escapes_are_good = url.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    !url.is_empty() && scheme_is_good && escapes_are_good && !url.contains(char::is_control)
}

/// The media type that the path of a URL tells.
fn guess(url: &str) -> Option<&'static str> {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let name = path.rsplit('/').next().unwrap_or(path);
    let (_, extension) = name.rsplit_once('.')?;
    let mut known = EXTENSIONS.iter();
    known
        .find(|(known, _)| known.eq_ignore_ascii_case(extension))
        .map(|(_, media_type)| *media_type)
}

fn audio<'a>(part: &'a openai::Part<'a>) -> Result<Part<'a>> {
    let audio = required(part.input_audio.as_ref(), "input_audio")?;
    let media_type = match audio.format.as_ref() {
        "wav" => "audio/wav",
        "mp3" => "audio/mp3",
        _ => return Err(refused(USER, "input_audio.format: wav or mp3 is expected")),
    };
    let data = data_uri::base64_text(&audio.data)
        .ok_or_else(|| refused(USER, "input_audio.data: base64 is expected"))?;
    Ok(inline(data.into(), media_type.into()))
}

fn file<'a>(part: &'a openai::Part<'a>) -> Result<Part<'a>> {
    let data = part
        .file
        .as_ref()
        .and_then(|file| file.file_data.as_deref());
    let Some(data) = data else {
        return Err(refused(
            USER,
            "file content not supported without file_data",
        ));
    };
    let uri = data_uri::parse(data).ok();
    let uri = uri
        .filter(|uri| has_type(uri.media_type))
        .ok_or_else(|| refused(USER, "file.file_data: a data URI with a type is expected"))?;
    Ok(inline(uri.data.into(), uri.media_type.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_come_from_the_path() {
        for (url, want) in [
            (
                "https://x.example/a/cat.WebP?size=1.png",
                Some("image/webp"),
            ),
            ("gs://bucket/talk.mp4", Some("video/mp4")),
            ("https://x.example/a", None),
            ("https://x.example/a.b/c", None),
        ] {
            assert_eq!(guess(url), want, "{url}");
        }
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for (url, good) in [
            ("https://x.example/a", true),
            ("gs://b/c", true),
            ("photo.png", true),
            (":%x%:", false),
            ("://x", false),
            ("", false),
            ("https://x/%zz", false),
        ] {
            assert_eq!(is_url(url), good, "{url}");
        }
    }
}
