//! Names: which ones are valid, and when two names are the same.
//!
//! In every line of the server, a name is followed by `:` or a space. So names contain neither, and do not start like a
//! notice or a refusal. This alone prevents forged lines. A second rule prevents impersonation: names that differ only
//! in case or look alike are the same name. Only `identity` decides that.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, LazyLock};

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::Profile;
use thiserror::Error;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;
use unicode_security::confusable_detection::skeleton;
use unicode_security::restriction_level::{RestrictionLevel, RestrictionLevelDetection};
use unicode_width::UnicodeWidthStr;

use crate::limits::{MARKS_IN_A_ROW, NAME_CHARS};
use crate::model::SafeText;
use crate::model::text::is_unsafe;

/// A valid name: 1 to [`NAME_CHARS`] characters, starting with a letter or digit, in Unicode form NFC.
///
/// Two names are equal if their [`identity`](Name::identity) is the same. To compare their spelling, compare
/// [`as_str`](Name::as_str). Clones share their text, because every message has the name of its author.
#[derive(Debug, Clone)]
pub struct Name(Arc<Forms>);

#[derive(Debug)]
struct Forms {
    shown: String,
    folded: String,
    identity: String,
}

/// Why a name was refused, worded for the person who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadName {
    #[error("names need at least one character")]
    Empty,
    /// More than [`NAME_CHARS`] characters or columns.
    #[error("names are limited to {NAME_CHARS} characters")]
    TooLong,
    #[error("names must start with a letter or digit")]
    Start,
    /// White space inside.
    #[error("names cannot contain spaces")]
    Blank,
    /// A character that the protocol needs.
    #[error("names cannot contain {0:?}")]
    Reserved(char),
    /// A control character or an invisible one.
    #[error("names cannot contain the character U+{:04X}", u32::from(*.0))]
    Invisible(char),
    #[error("names can have at most {MARKS_IN_A_ROW} combining marks on a letter")]
    TooManyMarks,
    /// PRECIS forbids it: a symbol, an obsolete character, or one in the wrong place.
    #[error("names can only contain letters and digits of scripts in use today, and signs such as - _ . '")]
    NotIdentifier,
    /// Letters of scripts that are not written together.
    #[error("names cannot mix alphabets that look alike")]
    MixedScripts,
    /// It starts like the banner of an SSH client, in any case.
    #[error("names cannot start with SSH-")]
    Banner,
    /// A word that could be mistaken for the server or its staff.
    #[error("that name is reserved")]
    ReservedWord,
    /// It looks like such a word.
    #[error("that looks like a reserved name")]
    ReservedLook,
}

/// Words that cannot be names, nor can anything that looks like them. Their holder could pose as the server or as
/// everyone, or is a browser.
const RESERVED_WORDS: &[&str] = &[
    "admin",
    "administrator",
    "all",
    "channel",
    "client",
    "connect",
    "delete",
    "everybody",
    "everyone",
    "get",
    "head",
    "here",
    "host",
    "linechat",
    "me",
    "mod",
    "moderator",
    "nobody",
    "null",
    "operator",
    "options",
    "patch",
    "ping",
    "pong",
    "post",
    "put",
    "quit",
    "root",
    "server",
    "staff",
    "system",
    "trace",
    "you",
];

/// What these words look like. ASCII names are compared without regard to case: `ALI` is `ali`, which does not look
/// like `all`, although `I` looks like `l`. Other names are also compared as they are shown.
static RESERVED_LOOKS: LazyLock<HashSet<String>> =
    LazyLock::new(|| RESERVED_WORDS.iter().map(|word| look(word)).collect());

/// The skeletons of these words in lower case, capitalised and in upper case, so that `AlI` is refused too.
static RESERVED_SHAPES: LazyLock<HashSet<String>> = LazyLock::new(|| {
    let written = |word: &&str| [word.to_string(), word[..1].to_uppercase() + &word[1..], word.to_uppercase()];
    RESERVED_WORDS.iter().flat_map(written).map(|word| skeleton(&word).collect()).collect()
});

impl Name {
    /// Checks a name. Ignores white space around it and a byte order mark before it.
    ///
    /// The rules are PRECIS UsernameCaseMapped (RFC 8265, section 3.3), the "highly restrictive" level of UTS 39
    /// (section 5.2), and what the protocol needs.
    ///
    /// # Errors
    /// The rule that is broken.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
        // Checked first, because it is cheap.
        if text.chars().count() > NAME_CHARS {
            return Err(BadName::TooLong);
        }
        let shown: String = text.nfc().collect();
        check(&shown)?;
        let folded = precis_folded(&shown)?;
        // Folding case and width can make the name longer or produce a reserved character.
        check(&folded)?;
        if !folded.is_ascii() && !folded.as_str().check_restriction_level(RestrictionLevel::HighlyRestrictive) {
            return Err(BadName::MixedScripts);
        }
        if folded.starts_with("ssh-") {
            return Err(BadName::Banner);
        }
        if RESERVED_WORDS.contains(&folded.as_str()) {
            return Err(BadName::ReservedWord);
        }
        if RESERVED_SHAPES.contains(&skeleton(&shown).collect::<String>())
            || RESERVED_LOOKS.contains(&look(&folded))
            || !shown.is_ascii() && RESERVED_LOOKS.contains(&look(&shown))
        {
            return Err(BadName::ReservedLook);
        }
        let identity = identity(&shown);
        Ok(Self(Arc::new(Forms { shown, folded, identity })))
    }

    /// The name as its holder spells it.
    pub fn as_str(&self) -> &str {
        &self.0.shown
    }

    /// The name with case and width folded, for sorting and searching. It does not decide whether two names are the
    /// same.
    pub fn folded(&self) -> &str {
        &self.0.folded
    }

    /// Equal for names that are the same.
    pub fn identity(&self) -> &str {
        &self.0.identity
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.0.identity == other.0.identity
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.identity.cmp(&other.0.identity)
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.identity.hash(state);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.shown)
    }
}

/// Names contain only safe characters, so nothing is escaped.
impl From<&Name> for SafeText {
    fn from(name: &Name) -> Self {
        Self::new(name.0.shown.clone())
    }
}

/// Applies the profile until nothing changes, as RFC 8265 allows (section 3.3.2, last paragraph), so that folding is
/// idempotent.
fn precis_folded(shown: &str) -> Result<String, BadName> {
    let profile = UsernameCaseMapped::new();
    let mut folded = Cow::Borrowed(shown);
    for _ in 0..4 {
        let next = profile.enforce(folded.clone()).map_err(|_| BadName::NotIdentifier)?;
        if next == folded {
            return Ok(folded.into_owned());
        }
        folded = Cow::Owned(next.into_owned());
    }
    Err(BadName::NotIdentifier)
}

/// Computes what makes two names the same. It does not depend on case, normal form or width, nor on which of several
/// look-alike letters is used (UTS 39, section 4). It is idempotent.
///
/// Case and looks are combined as follows. If the capital of a letter looks like an ASCII letter or digit, the letter
/// counts as that; otherwise it counts as what it looks like itself. It cannot count as both: a Greek nu looks like N
/// as a capital and like v in lower case, and N and v must stay different.
///
/// A capital I looks like a lower-case l, so i, l and 1 are the same letter: `aIice` is `alice`, and so is `aiice`. UTS
/// 39 treats m as rn. This function also treats d as cl, and w as vv.
fn identity(shown: &str) -> String {
    let mut identity = shown.to_owned();
    loop {
        let next = unify(&identity);
        if next == identity {
            return identity;
        }
        identity = next;
    }
}

/// One pass of [`identity`]. Another pass may change the result again.
fn unify(text: &str) -> String {
    let text: String = text.nfkc().collect();
    // The final sigma is the only letter whose lower case depends on its position.
    let text = text.to_uppercase().to_lowercase().replace('ς', "σ");
    let mut unified = String::with_capacity(text.len());
    let mut has_dot = false;
    for char in text.nfd() {
        // A dot above an i or a j is part of the letter.
        if char == '\u{307}' && has_dot {
            continue;
        }
        if canonical_combining_class(char) == 0 {
            has_dot = false;
        }
        for letter in look_of_letter(char).chars() {
            has_dot |= matches!(letter, 'i' | 'l' | '1' | '|' | 'j');
            match letter {
                'i' | '1' | '|' => unified.push('l'),
                'm' | 'ʍ' => unified.push_str("rn"),
                'd' => unified.push_str("cl"),
                'w' => unified.push_str("vv"),
                // Small capitals, which UTS 39 uses for Cyrillic and Greek small letters.
                'ʙ' => unified.push('b'),
                'ꞓ' => unified.push('e'),
                'ʜ' => unified.push('h'),
                'ĸ' => unified.push('k'),
                'ᴛ' => unified.push('t'),
                // The Greek and the Cyrillic letter have the same capital.
                'γ' => unified.push('r'),
                'л' | 'λ' => unified.push('ʌ'),
                letter => unified.push(letter),
            }
        }
    }
    unified
}

fn look_of_letter(char: char) -> String {
    let capital: String = skeleton(&char.to_uppercase().to_string()).collect();
    if capital.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return capital.to_ascii_lowercase();
    }
    skeleton(char.encode_utf8(&mut [0; 4])).collect()
}

/// The skeleton of the name as shown, then without regard to case. Used only for reserved words.
fn look(shown: &str) -> String {
    let upright: String = skeleton(shown).collect();
    skeleton(&upright.to_lowercase()).collect()
}

/// Checks a form of a name against all rules about its characters.
fn check(form: &str) -> Result<(), BadName> {
    let first = form.chars().next().ok_or(BadName::Empty)?;
    if let Some(fault) = form.chars().find_map(fault) {
        return Err(fault);
    }
    if !first.is_alphanumeric() {
        return Err(BadName::Start);
    }
    if form.chars().count() > NAME_CHARS || form.width() > NAME_CHARS {
        return Err(BadName::TooLong);
    }
    // Every other unsafe character was refused above.
    if SafeText::new(form.to_owned()).as_str() != form {
        return Err(BadName::TooManyMarks);
    }
    Ok(())
}

/// The rule that a character breaks, wherever it is in a name.
fn fault(char: char) -> Option<BadName> {
    match char {
        _ if char.is_whitespace() => Some(BadName::Blank),
        ':' | '*' | '!' | '<' | '>' | '(' | ')' | '/' | ',' => Some(BadName::Reserved(char)),
        // Joiners and variation selectors are allowed in text. In a name they would only make two names look the same.
        '\u{200c}'
        | '\u{200d}'
        | '\u{180b}'..='\u{180d}'
        | '\u{180f}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{e0100}'..='\u{e01ef}' => Some(BadName::Invisible(char)),
        _ if is_unsafe(char) => Some(BadName::Invisible(char)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
