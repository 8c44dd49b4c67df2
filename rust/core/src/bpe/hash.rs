//! The hash of the vocabulary tables; the build script makes them with it.

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hash of a token.
pub(crate) fn hash(token: &[u8]) -> u64 {
    let mut state = mix(token.len() as u64);
    for part in token.chunks(8) {
        let mut word = [0; 8];
        for (place, byte) in word.iter_mut().zip(part) {
            *place = *byte;
        }
        state = mix(state ^ u64::from_le_bytes(word));
    }
    state
}

fn mix(word: u64) -> u64 {
    let product = word.wrapping_mul(SEED);
    (product ^ (product >> 32)).wrapping_mul(SEED)
}

/// First slot to look into and tag of a token, in a table of `mask + 1` slots.
pub(crate) fn place(token: &[u8], mask: usize) -> (usize, u32) {
    let hash = hash(token);
    let slot = usize::try_from(hash >> 40).unwrap_or_default() & mask;
    let tag = u32::try_from(hash & 0x3fff).unwrap_or_default();
    (slot, tag)
}
