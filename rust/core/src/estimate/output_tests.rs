use proptest::prelude::*;

use super::*;
use crate::bpe::O200K;

fn whole(endpoint: Endpoint, body: &str) -> String {
    let mut text = OutputText::new(endpoint, Form::Whole);
    text.chunk(body.as_bytes());
    unescape(&text.kept)
}

#[test]
fn the_members_of_each_endpoint_are_text() {
    for (endpoint, body, want) in [
        (
            Endpoint::ChatCompletions,
            r#"{"choices":[{"message":{"role":"assistant", "reasoning_content" : "why ",
            "content":"a\"\n", "refusal": null,"tool_calls":[{"function":{"name":"content",
            "arguments":"{\"content\":\"x\"}"}}]},"logprobs":{"content":[{"token":"no"}]}}]}"#,
            "why a\"\n{\"content\":\"x\"}",
        ),
        (
            Endpoint::ChatCompletions,
            r#"{"choices":[{"message":{"refusal":"No.","reasoning":"why ","reasoning_content":
            "why ","content":null}}],"x":{"reasoning":{"effort":"low"}}}"#,
            "No.why ",
        ),
        (
            Endpoint::Completions,
            r#"{"object":"text","choices":[{"text":"one"},{"text":" two"}]}"#,
            "one two",
        ),
        (
            Endpoint::Messages,
            r#"{"content":[{"type":"thinking","thinking":"hm","signature":"no"},
            {"type":"text","text":"\ud83d\ude00"}]}"#,
            "hm\u{1f600}",
        ),
        (
            Endpoint::Responses,
            r#"{"text":{"format":{"type":"text"}},"output":[{"content":[{"text":"a","type":
            "output_text"},{"refusal":"no","type":"refusal"}]},{"arguments":"{}"}]}"#,
            "ano{}",
        ),
        (Endpoint::Embeddings, r#"{"text":"a"}"#, ""),
    ] {
        assert_eq!(whole(endpoint, body), want, "{endpoint:?}");
    }
}

#[test]
fn events_give_their_deltas_only() {
    let mut text = OutputText::new(Endpoint::Responses, Form::Events);
    for event in [
        r#"{"type":"response.output_text.delta","delta":"Hel"}"#,
        r#"{"type":"response.output_text.delta","delta":"lo"}"#,
        r#"{"type":"response.output_text.done","text":"Hello"}"#,
        r#"{"delta":"cut"#,
        r#"not text","delta":"!"}"#,
    ] {
        text.event(event.as_bytes());
    }
    assert_eq!(unescape(&text.kept), "Hellocut!");
}

#[test]
fn objects_count_by_bytes() {
    let mut text = OutputText::new(Endpoint::Messages, Form::Whole);
    text.chunk(br#"{"input":{"a":{"b":"}\"}"}},"text":"x"}"#);
    assert_eq!(unescape(&text.kept), "x");
    assert_eq!(text.rest, r#""a":{"b":"}\"}"}}"#.len() as u64);
}

#[test]
fn text_is_kept_up_to_a_limit() {
    let mut text = OutputText::new(Endpoint::Completions, Form::Events);
    let event = format!(r#"{{"text":"{}"}}"#, "word ".repeat(1000));
    for _ in 0..10 {
        text.event(event.as_bytes());
    }
    assert_eq!(text.kept(), EXACT_BYTES);
    assert_eq!(text.rest, 50_000 - EXACT_BYTES as u64);
    let tokens = text.tokens(&O200K);
    assert!((9_000..13_000).contains(&tokens), "{tokens}");
}

#[test]
fn a_character_that_is_cut_is_left_out() {
    for raw in [r"a\ud83d\ude0", r"a\ud83d\", r"a\ud83d", r"a\u00e", r"a\"] {
        assert_eq!(unescape(raw.as_bytes()), "a", "{raw}");
    }
    assert_eq!(unescape(b"a\xf0\x9f"), "a\u{fffd}");
}

/// JSON in which the names stand as keys, values, parts of text, and everything is cut anywhere.
fn replies() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        Just(r#""content":"#.to_owned()),
        Just(r#""reasoning_content" : "#.to_owned()),
        Just(r#""arguments":"#.to_owned()),
        Just(r#""input":{"#.to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("}".to_owned()),
        "[a-z\"\\\\{}:, ]{0,20}",
        "\\PC{0,8}",
    ];
    proptest::collection::vec(part, 0..40).prop_map(|parts| parts.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_split_gives_the_same_text(
        body in replies(),
        sizes in proptest::collection::vec(1..40_usize, 1..8),
        endpoint in prop_oneof![
            Just(Endpoint::ChatCompletions),
            Just(Endpoint::Messages),
            Just(Endpoint::Responses),
        ],
    ) {
        let mut at_once = OutputText::new(endpoint, Form::Whole);
        at_once.chunk(&body);
        let mut split = OutputText::new(endpoint, Form::Whole);
        let (mut rest, mut sizes) = (body.as_slice(), sizes.into_iter().cycle());
        while !rest.is_empty() {
            let size = sizes.next().unwrap_or(1).min(rest.len());
            let (chunk, more) = rest.split_at(size);
            split.chunk(chunk);
            rest = more;
        }
        prop_assert_eq!(&split.kept, &at_once.kept);
        prop_assert_eq!(split.rest, at_once.rest);
        prop_assert_eq!(split.tokens(&O200K), at_once.tokens(&O200K));
    }

    #[test]
    fn damaged_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut text = OutputText::new(Endpoint::ChatCompletions, Form::Events);
        text.event(&[br#"{"content":""#, body.as_slice()].concat());
        text.event(&body);
        text.tokens(&O200K);
    }
}
