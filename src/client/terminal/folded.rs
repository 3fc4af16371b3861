//! Text for comparisons that ignore case, width and normal form.

use unicode_normalization::UnicodeNormalization;

/// The same for texts that differ only in case, width and normal form (NFC, NFD, NFKC or NFKD of UAX 15).
pub(crate) fn folded(text: &str) -> String {
    // Upper case first, so that both forms of the small sigma are the same.
    text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect()
}
