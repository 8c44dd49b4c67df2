//! The generated text of a reply, gathered from the bytes that the client gets.
//!
//! Which members hold it depends on the client's endpoint only. They are found by their names,
//! without reading the JSON around them; inside of other strings their quotes are escaped.

use std::sync::LazyLock;

use memchr::memchr2;
use memchr::memmem::Finder;

use super::{EXACT_BYTES, by_bytes};
use crate::bpe::Vocabulary;
use crate::endpoint::Endpoint;

/// How the reply comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// As one JSON value.
    Whole,
    /// As events, each with the next piece of text.
    Events,
}

type Members = LazyLock<Vec<Finder<'static>>>;

/// Names in quotes.
macro_rules! members {
    ($($name:literal),*) => {
        LazyLock::new(|| vec![$(Finder::new(concat!('"', $name, '"'))),*])
    };
}

static NONE: Members = members![];
static CHAT: Members = members![
    "content",
    "reasoning_content",
    "reasoning",
    "refusal",
    "arguments"
];
static COMPLETIONS: Members = members!["text"];
static MESSAGES: Members = members!["text", "thinking", "partial_json", "input"];
static RESPONSES: Members = members!["text", "refusal", "arguments"];
static RESPONSE_EVENTS: Members = members!["delta"];

/// The one name of an object.
const INPUT: &[u8] = b"\"input\"";
const REASONING: &[u8] = b"\"reasoning\"";
const REASONING_CONTENT: &[u8] = b"\"reasoning_content\"";
/// Longest name in quotes.
const LONGEST: usize = REASONING_CONTENT.len();

/// Generated text, as it is written in JSON strings.
#[derive(Default)]
pub(crate) struct OutputText {
    members: Option<&'static Members>,
    state: State,
    /// The name that reasoning has here.
    reasoning: Option<Reasoning>,
    /// End of the bytes before, in which a name may begin.
    edge: Edge,
    kept: Vec<u8>,
    /// Bytes of text that are not kept.
    rest: u64,
}

/// What the next byte belongs to.
#[derive(Clone, Copy, Default)]
enum State {
    /// Anything; names are looked for.
    #[default]
    Seek,
    /// What follows a name.
    Name(Value),
    /// What follows a name and a colon.
    Colon(Value),
    /// Text.
    Text,
    /// The byte after a backslash in text.
    Escape,
    /// An object in the place of text, this deep.
    Object(u32),
    /// A string in such an object.
    ObjectText(u32),
    /// The byte after a backslash in such a string.
    ObjectEscape(u32),
}

/// What a name stands for.
#[derive(Clone, Copy)]
enum Value {
    Text,
    Reasoning(Reasoning),
    /// The input of a tool, which only events write as text.
    Object,
}

/// The names of reasoning. Some servers write it under both; then the first one counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reasoning {
    Short,
    Long,
}

impl OutputText {
    pub(crate) fn new(endpoint: Endpoint, form: Form) -> Self {
        let members = match (endpoint, form) {
            (Endpoint::ChatCompletions, _) => &CHAT,
            (Endpoint::Completions, _) => &COMPLETIONS,
            (Endpoint::Messages, _) => &MESSAGES,
            (Endpoint::Responses, Form::Whole) => &RESPONSES,
            (Endpoint::Responses, Form::Events) => &RESPONSE_EVENTS,
            _ => &NONE,
        };
        Self {
            members: Some(members),
            ..Self::default()
        }
    }

    /// Takes in a whole event: nothing of it goes on in the next one.
    pub(crate) fn event(&mut self, data: &[u8]) {
        self.state = State::Seek;
        self.scan(data, 0);
    }

    /// Takes in the next bytes of a reply.
    pub(crate) fn chunk(&mut self, data: &[u8]) {
        let mut at = 0;
        if self.edge.length > 0 {
            let before = self.edge.length;
            self.edge.extend(data);
            if let Some(end) = self
                .names()
                .and_then(|mut names| names.next(self.edge.get(), 0))
            {
                self.state = name(self.edge.get().get(..end).unwrap_or_default());
                at = end.saturating_sub(before);
            } else if data.len() <= LONGEST {
                self.edge.keep_end();
                return;
            }
        }
        let rest = self.scan(data, at);
        self.edge.length = 0;
        self.edge.extend(rest);
    }

    fn names(&self) -> Option<Names> {
        let members = self.members.filter(|members| !members.is_empty())?;
        Some(Names::new(members))
    }

    /// Size of the text that is cut into tokens.
    pub(crate) fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Tokens of the text: exact for the first [`EXACT_BYTES`], by bytes beyond.
    pub(crate) fn tokens(&self, vocabulary: &'static Vocabulary) -> u64 {
        vocabulary.count(&unescape(&self.kept)) + by_bytes(self.rest)
    }

    /// Returns the bytes in which a name may begin.
    fn scan<'d>(&mut self, data: &'d [u8], mut at: usize) -> &'d [u8] {
        let Some(mut names) = self.names() else {
            return &[];
        };
        while let Some(rest) = data.get(at..).filter(|rest| !rest.is_empty()) {
            match self.state {
                State::Seek => {
                    let Some(end) = names.next(data, at) else {
                        let end = rest.len().saturating_sub(LONGEST - 1);
                        return rest.get(end..).unwrap_or_default();
                    };
                    self.state = name(data.get(..end).unwrap_or_default());
                    at = end;
                }
                State::Name(_) | State::Colon(_) => at += self.after_name(rest),
                State::Text | State::Escape => at += self.text(rest),
                State::Object(_) | State::ObjectText(_) | State::ObjectEscape(_) => {
                    at += self.object(rest);
                }
            }
        }
        &[]
    }

    /// Goes on behind a name; returns how far.
    fn after_name(&mut self, rest: &[u8]) -> usize {
        let blank = rest
            .iter()
            .take_while(|byte| byte.is_ascii_whitespace())
            .count();
        let Some(byte) = rest.get(blank) else {
            return rest.len();
        };
        self.state = match (self.state, byte) {
            (State::Name(value), b':') => State::Colon(value),
            (State::Colon(Value::Text), b'"') => State::Text,
            (State::Colon(Value::Reasoning(name)), b'"')
                if *self.reasoning.get_or_insert(name) == name =>
            {
                State::Text
            }
            (State::Colon(Value::Object), b'{') => State::Object(1),
            // Nothing generated or nothing new: a value in the place of a name, null, an array.
            _ => {
                self.state = State::Seek;
                return blank;
            }
        };
        blank + 1
    }

    /// Goes on in text; returns how far.
    fn text(&mut self, rest: &[u8]) -> usize {
        if matches!(self.state, State::Escape) {
            self.state = State::Text;
            self.keep(rest.get(..1).unwrap_or_default());
            return 1;
        }
        let Some(end) = memchr2(b'"', b'\\', rest) else {
            self.keep(rest);
            return rest.len();
        };
        if rest.get(end) == Some(&b'"') {
            self.state = State::Seek;
            self.keep(rest.get(..end).unwrap_or_default());
        } else {
            self.state = State::Escape;
            self.keep(rest.get(..=end).unwrap_or_default());
        }
        end + 1
    }

    /// Goes on in an object, such as the input of a tool; returns how far.
    fn object(&mut self, rest: &[u8]) -> usize {
        for (passed, byte) in (1..).zip(rest) {
            self.state = match (self.state, byte) {
                (State::ObjectEscape(depth), _) | (State::Object(depth), b'"') => {
                    State::ObjectText(depth)
                }
                (State::ObjectText(depth), b'\\') => State::ObjectEscape(depth),
                (State::ObjectText(depth), b'"') => State::Object(depth),
                (State::Object(depth), b'{') => State::Object(depth.saturating_add(1)),
                (State::Object(1), b'}') => State::Seek,
                (State::Object(depth), b'}') => State::Object(depth - 1),
                (other, _) => other,
            };
            if matches!(self.state, State::Seek) {
                self.rest += passed as u64;
                return passed;
            }
        }
        self.rest += rest.len() as u64;
        rest.len()
    }

    fn keep(&mut self, text: &[u8]) {
        let room = EXACT_BYTES.saturating_sub(self.kept.len());
        let (fits, more) = text.split_at(room.min(text.len()));
        self.kept.extend_from_slice(fits);
        self.rest += more.len() as u64;
    }
}

/// The state behind a name.
fn name(until: &[u8]) -> State {
    State::Name(if until.ends_with(INPUT) {
        Value::Object
    } else if until.ends_with(REASONING) {
        Value::Reasoning(Reasoning::Short)
    } else if until.ends_with(REASONING_CONTENT) {
        Value::Reasoning(Reasoning::Long)
    } else {
        Value::Text
    })
}

/// The bytes around the place where two chunks meet.
struct Edge {
    bytes: [u8; 2 * LONGEST],
    length: usize,
}

impl Default for Edge {
    fn default() -> Self {
        Self {
            bytes: [0; 2 * LONGEST],
            length: 0,
        }
    }
}

impl Edge {
    fn get(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    /// Adds the first bytes of `data`, as many as a name has.
    fn extend(&mut self, data: &[u8]) {
        let places = self.bytes.iter_mut().skip(self.length);
        for (place, byte) in places.zip(data.iter().take(LONGEST)) {
            *place = *byte;
            self.length += 1;
        }
    }

    /// Leaves the bytes in which a name may begin.
    fn keep_end(&mut self) {
        let from = self.length.saturating_sub(LONGEST - 1);
        self.bytes.copy_within(from..self.length, 0);
        self.length -= from;
    }
}

/// The next place of each name, looked up once.
struct Names {
    finders: &'static [Finder<'static>],
    /// Where the names end; 0: to be looked for.
    ends: [usize; 5],
}

impl Names {
    fn new(finders: &'static [Finder<'static>]) -> Self {
        let ends = [0; 5];
        Self { finders, ends }
    }

    /// Where the next name from `at` on ends.
    fn next(&mut self, data: &[u8], at: usize) -> Option<usize> {
        let from = data.get(at..)?;
        let mut nearest = usize::MAX;
        for (finder, end) in self.finders.iter().zip(&mut self.ends) {
            let length = finder.needle().len();
            if *end < at + length {
                let found = finder.find(from);
                *end = found.map_or(usize::MAX, |start| at + start + length);
            }
            nearest = nearest.min(*end);
        }
        (nearest < usize::MAX).then_some(nearest)
    }
}

/// Text as it stands in JSON, perhaps cut within its last character.
fn unescape(raw: &[u8]) -> String {
    if memchr::memchr(b'\\', raw).is_none() {
        return String::from_utf8_lossy(raw).into_owned();
    }
    let mut quoted = Vec::with_capacity(raw.len() + 2);
    // The longest character is two escapes of six bytes each.
    for missing in 0..=12 {
        quoted.clear();
        quoted.push(b'"');
        quoted.extend_from_slice(
            raw.get(..raw.len().saturating_sub(missing))
                .unwrap_or_default(),
        );
        quoted.push(b'"');
        if let Ok(text) = serde_json::from_slice(&quoted) {
            return text;
        }
    }
    String::from_utf8_lossy(raw).into_owned()
}

#[cfg(test)]
#[path = "output_tests.rs"]
mod tests;
