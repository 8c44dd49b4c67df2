//! Lays the token vocabularies out as tables that are read where they lie: nothing is loaded,
//! parsed or allocated at run time, and processes share the pages.
//!
//! | file | content, integers little-endian |
//! |---|---|
//! | `<name>.tokens` | the bytes of all tokens, in the order of their ids |
//! | `<name>.starts` | `u32` for each token, and one more: where its bytes start |
//! | `<name>.slots` | `u32` for each slot of a hash table: 14 bits of hash, 18 of id + 1 |
//! | `<name>.split` | automaton that cuts text into the pieces whose bytes are merged |

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use bpe_openai::Tokenizer;
use regex_automata::MatchKind;
use regex_automata::dfa::{StartKind, dense};

#[path = "src/bpe/hash.rs"]
mod hash;

/// Longest token that the tables may hold.
const LONGEST: usize = 128;

/// The patterns of `cl100k_base`, by their place.
const CL100K: &[&str] = &[
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)",
    r"[^\r\n\p{L}\p{N}]?\p{L}+",
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"\s*[\r\n]+",
    r"\s+$",
];

/// The patterns of `o200k_base`, by their place.
const O200K: &[&str] = &[
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}",
    r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
    r"\s*[\r\n]+",
    r"\s+$",
];

/// White space before other text leaves its last character to that text. The published pattern
/// says so by looking ahead; here the second pattern matches one character more.
const SPACES: [&str; 2] = [r"\s+\s", r"\s+"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=src/bpe/hash.rs");
    write("cl100k", bpe_openai::cl100k_base(), CL100K)?;
    write("o200k", bpe_openai::o200k_base(), O200K)
}

fn write(name: &str, vocabulary: &Tokenizer, patterns: &[&str]) -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::var("OUT_DIR")?);
    let file = |kind: &str| folder.join(format!("{name}.{kind}"));
    let count = u32::try_from(vocabulary.bpe.num_tokens())?;
    let (mut tokens, mut starts) = (Vec::new(), Vec::new());
    let mut slots = vec![0_u32; (count as usize * 2).next_power_of_two()];
    for id in 0..count {
        let token = vocabulary.bpe.token_bytes(id);
        if token.len() > LONGEST {
            return Err("a token is too long for the tables".into());
        }
        insert(&mut slots, token, id);
        starts.push(u32::try_from(tokens.len())?);
        tokens.extend_from_slice(token);
    }
    starts.push(u32::try_from(tokens.len())?);
    fs::write(file("tokens"), tokens)?;
    fs::write(file("starts"), little_endian(&starts))?;
    fs::write(file("slots"), little_endian(&slots))?;
    fs::write(file("split"), splitter(patterns)?)?;
    Ok(())
}

fn insert(slots: &mut [u32], token: &[u8], id: u32) {
    let mask = slots.len() - 1;
    let (mut slot, tag) = hash::place(token, mask);
    while slots.get(slot).is_some_and(|found| *found != 0) {
        slot = (slot + 1) & mask;
    }
    if let Some(free) = slots.get_mut(slot) {
        *free = (tag << 18) | (id + 1);
    }
}

fn splitter(patterns: &[&str]) -> Result<Vec<u8>, Box<dyn Error>> {
    let text = patterns.join("|");
    let all = [text.as_str(), SPACES[0], SPACES[1]];
    let config = dense::Config::new()
        .start_kind(StartKind::Anchored)
        .match_kind(MatchKind::LeftmostFirst);
    let automaton = dense::Builder::new().configure(config).build_many(&all)?;
    Ok(automaton.to_sparse()?.to_bytes_little_endian())
}

fn little_endian(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}
