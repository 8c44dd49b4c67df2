//! Thinking without a signature, which only Claude's own hosts ask for.
//!
//! Thinking of other models reaches Anthropic's clients with an empty one. When a client goes on
//! with Claude and sends it back, Claude would refuse the whole request.

use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::edit;
use crate::scan::has_empty_signature;
use crate::wire::{Members, Text};

/// What is left out.
pub(crate) const UNSIGNED: &str = "messages[].content[].thinking";

/// A Messages body without thinking blocks whose signature is empty; `None` where it has none.
pub(crate) fn without_unsigned(body: &[u8]) -> Option<Vec<u8>> {
    if !has_empty_signature(body) {
        return None;
    }
    let members: Members<'_> = serde_json::from_slice(body).ok()?;
    let kept = signed_messages(&members)?;
    edit::set(body, &["messages".to_owned()], kept.get().as_bytes())
}

/// The messages of a Messages body without thinking blocks whose signature is empty; `None`
/// where it has none. A message of nothing else goes too.
pub(super) fn signed_messages(members: &Members<'_>) -> Option<Box<RawValue>> {
    let messages = members.get("messages")?;
    if !has_empty_signature(messages.get().as_bytes()) {
        return None;
    }
    let kept = list(messages)?.into_iter().filter_map(|message| {
        if has_empty_signature(message.get().as_bytes()) {
            signed_message(message)
        } else {
            Some(message.to_owned())
        }
    });
    to_raw_value(&kept.collect::<Vec<_>>()).ok()
}

fn list(raw: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str(raw.get()).ok()
}

/// `None` where nothing is left of it.
fn signed_message(message: &RawValue) -> Option<Box<RawValue>> {
    let whole = || message.to_owned();
    let Ok(members) = serde_json::from_str::<Members<'_>>(message.get()) else {
        return Some(whole());
    };
    let Some(mut blocks) = members.get("content").and_then(list) else {
        return Some(whole());
    };
    let before = blocks.len();
    blocks.retain(|block| !is_unsigned(block));
    if blocks.len() == before {
        return Some(whole());
    }
    if blocks.is_empty() {
        return None;
    }
    let content = to_raw_value(&blocks).ok()?;
    let kept = edit::set(
        message.get().as_bytes(),
        &["content".to_owned()],
        content.get().as_bytes(),
    );
    kept.and_then(|kept| serde_json::from_slice(&kept).ok())
}

fn is_unsigned(block: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Block<'a> {
        #[serde(borrow)]
        r#type: Text<'a>,
        #[serde(borrow)]
        signature: Text<'a>,
    }
    serde_json::from_str::<Block<'_>>(block.get())
        .is_ok_and(|block| block.r#type == "thinking" && block.signature.is_empty())
}
