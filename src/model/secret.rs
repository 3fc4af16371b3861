//! Passwords on their way from a peer or a file to where they are checked.
//!
//! A secret cannot get into a reply or a log: it displays as nothing, and is wiped when it is dropped.

use std::fmt;

use precis_profiles::OpaqueString;
use precis_profiles::precis_core::profile::Profile;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::limits::PASSWORD_CHARS;

/// A password in the form in which it is compared (RFC 8265, section 4.2: OpaqueString), so that it is the same from
/// every keyboard.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

/// Why something cannot be a password, worded for the person who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadSecret {
    #[error("passwords need at least {PASSWORD_CHARS} characters")]
    TooShort,
    /// A control character or an unassigned one.
    #[error("passwords can only contain letters, digits, punctuation and spaces")]
    NotText,
}

impl Secret {
    /// Parses a password. White space around it is part of it.
    ///
    /// # Errors
    /// [`BadSecret::NotText`], or [`BadSecret::TooShort`] if it is empty.
    pub fn parse(text: &str) -> Result<Self, BadSecret> {
        if text.is_empty() {
            return Err(BadSecret::TooShort);
        }
        let secret = OpaqueString::new().enforce(text).map_err(|_| BadSecret::NotText)?;
        Ok(Self(Zeroizing::new(secret.into_owned())))
    }

    /// Checks whether it is long enough for a new password.
    ///
    /// # Errors
    /// [`BadSecret::TooShort`].
    pub fn check_strength(&self) -> Result<(), BadSecret> {
        if self.0.chars().count() < PASSWORD_CHARS { Err(BadSecret::TooShort) } else { Ok(()) }
    }

    /// The text to hash or to send to a server. Nothing else may use it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in constant time.
    pub fn is(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_same_from_every_keyboard_and_its_blanks_count() {
        let secret = |text| Secret::parse(text).unwrap();
        assert!(secret("Zoë\u{a0}s pass").is(&secret("Zoe\u{308} s pass")));
        assert!(!secret("Secret").is(&secret("secret")));
        assert!(!secret(" secret").is(&secret("secret")));
    }

    #[test]
    fn control_characters_and_short_passwords_are_refused() {
        for text in ["a\x1b[A", "\u{0}"] {
            assert_eq!(Secret::parse(text).unwrap_err(), BadSecret::NotText, "{text:?}");
        }
        assert_eq!(Secret::parse("").unwrap_err(), BadSecret::TooShort);
        assert_eq!(Secret::parse("zwölf34").unwrap().check_strength(), Err(BadSecret::TooShort));
        assert_eq!(Secret::parse("zwölf345").unwrap().check_strength(), Ok(()));
    }

    #[test]
    fn a_secret_is_not_shown_in_debug_output() {
        assert_eq!(format!("{:?}", Secret::parse("hunter2").unwrap()), "Secret(..)");
    }
}
