//! The admission: what somebody has to prove before a name is theirs.
//!
//! It knows no socket and no room: the login asks it, and it says whether a password is wanted, and whether it is right.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::protocol::Secret;
use crate::secret_file::{self, SecretFileError};

/// Who may come in.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    /// What everybody has to know.
    pub room_password: Option<Arc<RoomPassword>>,
    /// Passwords are taken over connections that others can read.
    pub allow_plain_password: bool,
}

/// A password that everybody in the room knows.
#[derive(Debug)]
pub struct RoomPassword {
    file: PathBuf,
    current: Mutex<Secret>,
}

impl RoomPassword {
    /// The password in a file. It blocks.
    ///
    /// # Errors
    /// [`SecretFileError`], worded for the operator.
    pub fn from_file(file: &Path) -> Result<Self, SecretFileError> {
        Ok(Self { file: file.to_owned(), current: Mutex::new(secret_file::read(file)?) })
    }

    /// Reads the file again. Whoever is in the room stays. It blocks.
    ///
    /// # Errors
    /// [`SecretFileError`]; then the password stays what it was.
    pub fn reload(&self) -> Result<(), SecretFileError> {
        let read = secret_file::read(&self.file)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    pub(super) fn is(&self, secret: &Secret) -> bool {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).is(secret)
    }
}
