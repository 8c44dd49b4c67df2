//! The encodings against the crate that their vocabularies come from.

#![cfg(test)]

use aigw_core::bpe::{CL100K, O200K, Vocabulary};
use proptest::prelude::*;

/// Text of the kinds that vocabularies treat differently, mixed.
fn texts() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        "[ -~\n\r\t]{0,40}",
        "[a-zA-Z' ]{0,40}",
        "[ \n\r\t\u{a0}\u{2003}]{0,12}",
        "[0-9]{0,12}",
        "\\PC{0,12}",
        "[\u{4e00}-\u{4fff}\u{3040}-\u{30ff}]{0,20}",
        "[a-z]{1,3}".prop_map(|word| word.repeat(40)),
        proptest::collection::vec(any::<char>(), 0..8).prop_map(String::from_iter),
    ];
    proptest::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

fn same(mine: &'static Vocabulary, theirs: &bpe_openai::Tokenizer, text: &str) {
    let ids = mine.encode(text);
    assert_eq!(ids, theirs.encode(text), "{text:?}");
    assert_eq!(mine.count(text), ids.len() as u64);
    let bytes: Vec<u8> = ids.iter().flat_map(|id| mine.token(*id)).copied().collect();
    assert_eq!(bytes, text.as_bytes());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn tokens_are_those_of_the_crate(text in texts()) {
        same(&O200K, bpe_openai::o200k_base(), &text);
        same(&CL100K, bpe_openai::cl100k_base(), &text);
    }
}

#[test]
fn long_pieces_are_those_of_the_crate() {
    for text in [
        "a".repeat(3_000),
        " ".repeat(3_000),
        "漢字仮名交文".repeat(200),
        "!?".repeat(999),
    ] {
        same(&O200K, bpe_openai::o200k_base(), &text);
        same(&CL100K, bpe_openai::cl100k_base(), &text);
    }
}

#[test]
fn published_examples() {
    assert_eq!(
        CL100K.encode("tiktoken is great!"),
        [83, 1609, 5963, 374, 2294, 0]
    );
    assert_eq!(O200K.encode("hello world"), [24912, 2375]);
    assert!(O200K.encode("").is_empty());
    assert!(O200K.token(u32::MAX).is_empty());
}
