//! TLS code for both ends of a connection.

use std::fmt;
use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::path::Path;
use std::str::FromStr;
use std::sync::{Arc, LazyLock};
use std::time::SystemTime;

use futures_rustls::pki_types::{CertificateDer, UnixTime, pem};
use futures_rustls::rustls::client::verify_server_cert_signed_by_trust_anchor;
use futures_rustls::rustls::crypto::{CryptoProvider, ring};
use futures_rustls::rustls::server::ParsedCertificate;
use futures_rustls::rustls::time_provider::TimeProvider;
use futures_rustls::rustls::{CertificateError, Error as RustlsError, RootCertStore};
use sha2::{Digest, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use crate::os::safe_file::{Links, open_regular};
use crate::os::text_file::{UTF8_MARK, to_utf8};

/// The provider of the algorithms for TLS 1.2 and 1.3 (RFC 9325), whatever else this process has installed.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| Arc::new(ring::default_provider()));
    PROVIDER.clone()
}

/// Reads a PEM file.
///
/// # Errors
/// If the file is not a regular one or cannot be read.
pub(crate) fn read_pem(path: &Path) -> Result<Zeroizing<Vec<u8>>, pem::Error> {
    let opened = open_regular(path, OpenOptions::new().read(true), Links::Followed);
    let (mut file, metadata) = opened.map_err(pem::Error::Io)?;
    read_opened_pem(&mut file, &metadata)
}

/// Reads a PEM file that is open. It may contain several byte order marks, because people join such files with cat(1).
///
/// # Errors
/// If it cannot be read.
pub(crate) fn read_opened_pem(file: &mut File, metadata: &Metadata) -> Result<Zeroizing<Vec<u8>>, pem::Error> {
    // The capacity is large enough from the start. A buffer that grew would leave copies of a key in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(0) + 1));
    file.read_to_end(&mut bytes).map_err(pem::Error::Io)?;
    let text = to_utf8(&bytes);
    let mut pem = Zeroizing::new(Vec::with_capacity(text.len()));
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        pem.extend_from_slice(line.strip_prefix(UTF8_MARK).unwrap_or(line));
    }
    Ok(pem)
}

/// Verifies everything about a certificate except its signature and names: its dates, and that it is for servers. For
/// an authority's certificate, only the dates are checked.
///
/// # Errors
/// [`RustlsError::InvalidCertificate`] with the reason.
pub(crate) fn verify_itself(certificate: &ParsedCertificate<'_>, now: UnixTime) -> Result<(), RustlsError> {
    let algorithms = provider().signature_verification_algorithms.all;
    match verify_server_cert_signed_by_trust_anchor(certificate, &RootCertStore::empty(), &[], now, algorithms) {
        // The library checks the dates first. It looks for the issuer, which is missing here, last.
        Err(RustlsError::InvalidCertificate(error))
            if error == CertificateError::UnknownIssuer || is_authority(&error) =>
        {
            Ok(())
        }
        verified => verified,
    }
}

/// Whether the error is that the certificate is an authority's. `openssl req -x509` makes such certificates.
pub(crate) fn is_authority(error: &CertificateError) -> bool {
    is_called(error, "CaUsedAsEndEntity")
}

/// Whether the error is that the certificate is X.509 version 1. `openssl x509 -req` makes such certificates.
pub(crate) fn is_version_1(error: &CertificateError) -> bool {
    is_called(error, "UnsupportedCertVersion")
}

/// Whether an error is the one with this name in the library below, for which rustls has no variant.
fn is_called(error: &CertificateError, name: &str) -> bool {
    matches!(error, CertificateError::Other(error) if error.0.to_string() == name)
}

/// The current time, but not before 1970: rustls would panic.
#[derive(Debug)]
pub(crate) struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Some(UnixTime::since_unix_epoch(since.unwrap_or_default()))
    }
}

/// Identifies a certificate: the SHA-256 of its DER form, as `openssl x509 -fingerprint -sha256` prints it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a SHA-256 fingerprint has 64 hexadecimal digits, with or without a colon after every second one")]
pub struct NoFingerprint;

impl Fingerprint {
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate.as_ref()).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            write!(f, "{}{byte:02X}", if at == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

impl FromStr for Fingerprint {
    type Err = NoFingerprint;

    fn from_str(text: &str) -> Result<Self, NoFingerprint> {
        // openssl writes `sha256 Fingerprint=` before it.
        let text = text.split_once('=').map_or(text, |(_, digits)| digits);
        let digits: Vec<u8> = text.bytes().filter(|&byte| byte != b':').collect();
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(NoFingerprint);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            let pair = str::from_utf8(pair).map_err(|_| NoFingerprint)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| NoFingerprint)?;
        }
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown_and_as_others_write_it() {
        // The SHA-256 of "abc", from FIPS 180-4.
        let shown = "BA:78:16:BF:8F:01:CF:EA:41:41:40:DE:5D:AE:22:23:B0:03:61:A3:96:17:7A:9C:B4:10:FF:61:F2:00:15:AD";
        let fingerprint = Fingerprint::of(&CertificateDer::from_slice(b"abc"));
        assert_eq!(fingerprint.to_string(), shown);
        for text in
            [shown.to_owned(), shown.replace(':', ""), shown.to_lowercase(), format!("sha256 Fingerprint={shown}")]
        {
            assert_eq!(text.parse(), Ok(fingerprint));
        }
        for text in ["", "BA:78", &shown[1..], &shown.replace('B', "G"), &format!("{shown}:00"), &"é".repeat(32)] {
            assert_eq!(text.parse::<Fingerprint>(), Err(NoFingerprint), "{text}");
        }
    }
}
