//! TLS of the client: the trusted certificates and the handshake.
//!
//! It knows nothing of what follows. A handshake succeeds only if the server proves that it holds the key of a trusted
//! certificate.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use async_std::net::TcpStream;
use futures_rustls::pki_types::pem::{self, PemObject};
use futures_rustls::pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use futures_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use futures_rustls::rustls::client::{Resumption, WebPkiServerVerifier, verify_server_name};
use futures_rustls::rustls::crypto::{verify_tls12_signature, verify_tls13_signature};
use futures_rustls::rustls::server::ParsedCertificate;
use futures_rustls::rustls::version::{TLS12, TLS13};
use futures_rustls::rustls::{
    self, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use futures_rustls::{TlsConnector, TlsStream};
use jiff::Timestamp;
use thiserror::Error;

use crate::limits::CERTIFICATE_NAME_CHARS;
use crate::model::SafeText;
use crate::net::resolve::server_name;
use crate::net::tls::{Clock, Fingerprint, is_authority, is_version_1, provider, read_pem, verify_itself};
use crate::net::transport::{Transport, Uninterrupted};
use crate::os::io_error;

const CLOSED_AT_ONCE: &str = "the server closed the connection; perhaps it is full, or too many wrong passwords came from \
                              your address; try again in a minute";

/// Which certificates are accepted.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Those for the server's name that are among these, or are signed by one of these, directly or not.
    Among(Arc<Trusted>),
    /// Only this one, regardless of its names, dates and signer.
    Exactly(Fingerprint),
}

/// Trusted certificates.
#[derive(Debug)]
pub struct Trusted {
    certificates: Vec<CertificateDer<'static>>,
    /// The same, in the form that rustls uses.
    roots: Arc<RootCertStore>,
}

/// Why no trusted certificates could be loaded.
#[derive(Debug, Error)]
pub enum TrustError {
    /// A file cannot be read, or contains no certificate.
    #[error("cannot read certificates in {}: {why}", .path.display())]
    File { path: PathBuf, why: String },
    /// The system has no trusted certificates.
    #[error("this system has no trusted certificates{why}; use --tls-ca or --tls-fingerprint")]
    Nobody {
        /// The first error while loading them, or empty.
        why: String,
    },
}

/// Why the TLS handshake failed.
#[derive(Debug, Error)]
pub enum TlsError {
    /// The certificate is not trusted, and may be that of an attacker.
    #[error(
        "the certificate of {host} is not trusted: {why}; if you know that its SHA-256 fingerprint is {fingerprint}, \
         use --tls-fingerprint {fingerprint}"
    )]
    Untrusted { host: String, why: SafeText, fingerprint: Fingerprint },
    /// The certificate has another fingerprint than the expected one.
    #[error(
        "the certificate of {host} does not match: its SHA-256 fingerprint is {fingerprint}; either the server has a \
         new certificate, or this is another server: ask its operator"
    )]
    AnotherOne { host: String, fingerprint: Fingerprint },
    /// The host is not a name that a certificate can contain.
    #[error("{host} is not a valid DNS name, so no certificate can be valid for it; use --tls-fingerprint")]
    Nameless { host: String },
    /// The server does not speak TLS.
    #[error("the server at {host}, port {port} does not speak TLS; check the port, or connect without --tls")]
    NotSpoken { host: String, port: u16 },
    #[error("cannot negotiate TLS with {host}, port {port}: {why}")]
    Failed { host: String, port: u16, why: SafeText },
}

impl Trust {
    /// The certificates that this system trusts.
    ///
    /// # Errors
    ///
    /// [`TrustError::Nobody`].
    pub fn system() -> Result<Self, TrustError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        // Certificates that cannot be parsed do not make the others useless.
        roots.add_parsable_certificates(found.certs.iter().cloned());
        if roots.is_empty() {
            let why = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
            return Err(TrustError::Nobody { why });
        }
        Ok(Self::among(found.certs, roots))
    }

    /// Only the certificates in a PEM file.
    ///
    /// # Errors
    ///
    /// [`TrustError::File`].
    pub fn from_file(path: &Path) -> Result<Self, TrustError> {
        let failed = |why| TrustError::File { path: path.to_owned(), why };
        let certificates = read_pem(path)
            .and_then(|text| CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>())
            .map_err(|error| failed(describe(error)))?;
        let mut roots = RootCertStore::empty();
        for certificate in &certificates {
            roots.add(certificate.clone()).map_err(|error| failed(error.to_string()))?;
        }
        if roots.is_empty() {
            return Err(failed("there is no certificate in it".to_owned()));
        }
        Ok(Self::among(certificates, roots))
    }

    fn among(certificates: Vec<CertificateDer<'static>>, roots: RootCertStore) -> Self {
        Self::Among(Arc::new(Trusted { certificates, roots: Arc::new(roots) }))
    }
}

fn describe(error: pem::Error) -> String {
    match error {
        pem::Error::Io(error) => io_error::describe(&error),
        error => error.to_string(),
    }
}

/// Negotiates TLS with this host on an open connection. The caller limits the time.
///
/// # Errors
///
/// [`TlsError`], worded for the user.
pub(crate) async fn shake_hands(
    socket: TcpStream,
    host: &str,
    port: u16,
    trust: &Trust,
) -> Result<Transport, TlsError> {
    let failed = |why: String| TlsError::Failed { host: host.to_owned(), port, why: SafeText::new(why) };
    let guard = Guard::new(trust).map(Arc::new).map_err(|error| failed(error.to_string()))?;
    let name = expected_name(host, trust)?;
    let config = config(guard.clone()).map_err(|error| failed(error.to_string()))?;
    match TlsConnector::from(Arc::new(config)).connect(name, Uninterrupted(socket.clone())).await {
        Ok(stream) => Ok(Transport::tls(socket, TlsStream::Client(stream))),
        Err(error) => Err(TlsError::new(&error, host, port, &guard)),
    }
}

/// The name that the certificate must be valid for.
fn expected_name(host: &str, trust: &Trust) -> Result<ServerName<'static>, TlsError> {
    match (server_name(host), trust) {
        (Ok(name), _) => Ok(name),
        // The name is not checked, and an address is not sent to the server (RFC 6066, section 3).
        (Err(_), Trust::Exactly(_)) => Ok(Ipv4Addr::UNSPECIFIED.into()),
        (Err(_), Trust::Among(_)) => Err(TlsError::Nameless { host: host.to_owned() }),
    }
}

fn config(guard: Arc<Guard>) -> Result<ClientConfig, rustls::Error> {
    let mut config = ClientConfig::builder_with_details(provider(), Arc::new(Clock))
        .with_protocol_versions(&[&TLS13, &TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(guard)
        .with_no_client_auth();
    // A resumed session would have no certificate to check.
    config.resumption = Resumption::disabled();
    Ok(config)
}

impl TlsError {
    fn new(error: &io::Error, host: &str, port: u16, guard: &Guard) -> Self {
        let host = host.to_owned();
        let why = match error.get_ref().and_then(|error| error.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(error)) => match guard.seen.get().copied() {
                Some(_) if guard.is_trusted.load(Ordering::Relaxed) => {
                    "it did not prove that it holds the key of its certificate, which has to be RSA of 2048 bits or more, \
                     ECDSA over P-256 or P-384, or Ed25519"
                        .to_owned()
                }
                Some(fingerprint) if *error == CertificateError::ApplicationVerificationFailure => {
                    return Self::AnotherOne { host, fingerprint };
                }
                Some(fingerprint) => {
                    let flaw = guard.flaw.get().and_then(Option::as_ref);
                    return Self::Untrusted { host, why: SafeText::new(distrust(error, flaw)), fingerprint };
                }
                None => error.to_string(),
            },
            Some(rustls::Error::InvalidMessage(_)) if guard.seen.get().is_none() => {
                return Self::NotSpoken { host, port };
            }
            // A server that refuses the connection closes it at once, because the client could not read a message.
            _ if guard.seen.get().is_none()
                && matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) =>
            {
                CLOSED_AT_ONCE.to_owned()
            }
            _ if error.kind() == io::ErrorKind::UnexpectedEof => "the server closed the connection".to_owned(),
            _ => io_error::describe(error),
        };
        Self::Failed { host, port, why: SafeText::new(why) }
    }
}

/// Describes why a certificate is not trusted, and what to do about it. `flaw` is what is wrong with the server's own
/// certificate.
fn distrust(error: &CertificateError, flaw: Option<&CertificateError>) -> String {
    let whose = if flaw == Some(error) { "it" } else { "its issuer's certificate" };
    match error {
        CertificateError::UnknownIssuer | CertificateError::BadSignature if !is_of_signer(flaw) => {
            "it is self-signed".to_owned()
        }
        CertificateError::UnknownIssuer => {
            "it is not signed by a trusted certificate authority; name its authority with --tls-ca".to_owned()
        }
        CertificateError::BadSignature => "its signature is not from the issuer that it names".to_owned(),
        CertificateError::ExpiredContext { not_after, .. } => {
            let day = date(*not_after);
            format!("{whose} expired on {day}; check the clock of this machine, or tell the server's operator")
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            format!("{whose} is not valid before {}; check the clock of this machine", date(*not_before))
        }
        CertificateError::Expired => "its end date is before its start date".to_owned(),
        CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
            "it names no host".to_owned()
        }
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().map(|name| describe_name(name)).collect();
            // A certificate can contain thousands.
            let names = SafeText::excerpt(&names.join(", "), CERTIFICATE_NAME_CHARS);
            format!("it is only valid for {names}; check the host")
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it is not a server certificate".to_owned()
        }
        CertificateError::BadEncoding => "it is malformed".to_owned(),
        error if is_authority(error) => {
            "it is a CA certificate; if the server really uses it, name it with --tls-ca".to_owned()
        }
        error if is_version_1(error) => "it is an X.509 version 1 certificate, which names no host".to_owned(),
        CertificateError::Other(error) => format!("it cannot be verified ({})", error.0),
        error => format!("it cannot be verified ({error:?})"),
    }
}

/// Describes a name in a certificate. The library writes them as `DnsName("localhost")` and `IpAddress(127.0.0.1)`.
fn describe_name(name: &str) -> String {
    let (kind, value) = name.split_once('(').unwrap_or((name, ""));
    let value = value.strip_suffix(')').unwrap_or(value);
    let text = value.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(value);
    match (kind, value) {
        ("DnsName", _) => match DnsName::try_from(text.strip_prefix("*.").unwrap_or(text)) {
            Ok(_) => text.to_owned(),
            Err(_) => format!("{text:?} (not a valid DNS name)"),
        },
        ("IpAddress", value) if value.starts_with('[') => "an invalid IP address".to_owned(),
        // The library does not always write the usual form, nor always a valid one.
        ("IpAddress", value) => value.parse().map_or(value.to_owned(), |address: IpAddr| address.to_string()),
        ("UniformResourceIdentifier", _) => format!("the URI {text:?}"),
        ("DirectoryName", _) => "a directory name".to_owned(),
        // The tags of RFC 5280, section 4.2.1.6.
        ("Unsupported", "0x01") => "an e-mail address".to_owned(),
        _ => "another kind of name".to_owned(),
    }
}

/// Whether the problem is who signed the certificate, and not the certificate itself.
fn is_of_signer(flaw: Option<&CertificateError>) -> bool {
    matches!(flaw, Some(CertificateError::UnknownIssuer | CertificateError::BadSignature))
}

/// The date in UTC.
fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    Timestamp::from_second(seconds).map_or_else(|_| "a day far away".to_owned(), |day| day.strftime("%F").to_string())
}

/// Checks the certificate of one server.
#[derive(Debug)]
struct Guard {
    lets_in: LetsIn,
    /// The fingerprint of the server's certificate.
    seen: OnceLock<Fingerprint>,
    /// What is wrong with the certificate itself, even if it is trusted.
    flaw: OnceLock<Option<CertificateError>>,
    /// The certificate is trusted. The server must still prove that it holds the key.
    is_trusted: AtomicBool,
}

#[derive(Debug)]
enum LetsIn {
    Among(Arc<Trusted>, Arc<WebPkiServerVerifier>),
    Exactly(Fingerprint),
}

impl Guard {
    fn new(trust: &Trust) -> Result<Self, rustls::client::VerifierBuilderError> {
        let lets_in = match trust {
            Trust::Among(trusted) => {
                let chains = WebPkiServerVerifier::builder_with_provider(trusted.roots.clone(), provider()).build()?;
                LetsIn::Among(trusted.clone(), chains)
            }
            Trust::Exactly(fingerprint) => LetsIn::Exactly(*fingerprint),
        };
        Ok(Self { lets_in, seen: OnceLock::new(), flaw: OnceLock::new(), is_trusted: AtomicBool::new(false) })
    }
}

/// Verifies a certificate that is itself trusted: checks its dates and names, but not its signer.
fn verify_trusted(certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), rustls::Error> {
    let parsed = ParsedCertificate::try_from(certificate)?;
    verify_itself(&parsed, now)?;
    verify_server_name(&parsed, name)
}

/// What is wrong with a certificate if only this certificate is trusted. `None` if it is valid and signed by itself.
fn flaw(certificate: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Option<CertificateError> {
    let mut roots = RootCertStore::empty();
    let verified = roots.add(certificate.clone().into_owned()).and_then(|()| {
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
            .build()
            .map_err(|error| rustls::Error::General(error.to_string()))?
            .verify_server_cert(certificate, &[], name, &[], now)
    });
    match verified {
        Err(rustls::Error::InvalidCertificate(error)) => Some(error),
        _ => None,
    }
}

/// The server must always sign the handshake with the certificate's key, because anybody can send a copy of a
/// certificate.
impl ServerCertVerifier for Guard {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        issuers: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let fingerprint = *self.seen.get_or_init(|| Fingerprint::of(certificate));
        let verified = match &self.lets_in {
            LetsIn::Among(trusted, _) if trusted.certificates.contains(certificate) => {
                verify_trusted(certificate, name, now).map(|()| ServerCertVerified::assertion())
            }
            LetsIn::Among(_, chains) => chains.verify_server_cert(certificate, issuers, name, ocsp, now),
            LetsIn::Exactly(wanted) if *wanted == fingerprint => Ok(ServerCertVerified::assertion()),
            LetsIn::Exactly(_) => Err(CertificateError::ApplicationVerificationFailure.into()),
        };
        if verified.is_err() {
            self.flaw.get_or_init(|| flaw(certificate, name, now));
        }
        self.is_trusted.store(verified.is_ok(), Ordering::Relaxed);
        verified
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &provider().signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Made by `openssl x509 -req -signkey`, without an extension file.
    const VERSION_1: &str = "\
-----BEGIN CERTIFICATE-----
MIIBEzCBuwIUAmlweVQMLL4x431nG54aIU8dsjswCgYIKoZIzj0EAwIwDDEKMAgG
A1UEAwwBeDAgFw0yNjExMjYwMTQ3NDRaGA8yMTI2MTEwMjAxNDc0NFowDDEKMAgG
A1UEAwwBeDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABIyMKSfarvHbwbKG9wyt
h78/bwXqL5mnlBxUrSEWXAViukSxwdTmP9Y3n7j1pbA6vm90jwVdiYir+5Fl832B
7rkwCgYIKoZIzj0EAwIDRwAwRAIgAUiBL+kXPvIwbhUjRuVyUNQ8aDy9mtKyM0SN
aOhO6VQCIFE04kjT7XkU2a90h3w3/zyH31uVJA8adT+WlJxlIoDk
-----END CERTIFICATE-----
";

    #[test]
    fn a_host_that_is_not_a_dns_name_needs_a_fingerprint() {
        let fingerprint = Fingerprint::of(&CertificateDer::from_slice(b"any"));
        assert!(expected_name("-odd-", &Trust::Exactly(fingerprint)).is_ok());
        let error = expected_name("-odd-", &Trust::among(Vec::new(), RootCertStore::empty())).unwrap_err();
        let why = "-odd- is not a valid DNS name, so no certificate can be valid for it; use --tls-fingerprint";
        assert_eq!(error.to_string(), why);
    }

    /// Our server cannot send them.
    #[test]
    fn problems_of_unusual_certificates_are_described() {
        let version_1 = CertificateDer::from_pem_slice(VERSION_1.as_bytes()).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(2_000_000_000));
        for (certificate, why) in [
            (version_1, "it is an X.509 version 1 certificate, which names no host"),
            (CertificateDer::from(b"none".as_slice()), "it is malformed"),
        ] {
            let error = flaw(&certificate, &name, now).unwrap();
            assert_eq!(distrust(&error, Some(&error)), why);
        }
        let revoked = CertificateError::Revoked;
        assert_eq!(distrust(&revoked, None), "it cannot be verified (Revoked)");
    }

    #[test]
    fn every_kind_of_name_in_a_certificate_is_described() {
        for (name, words) in [
            (r#"DnsName("localhost")"#, "localhost"),
            (r#"DnsName("a.b")"#, "a.b"),
            (r#"DnsName("*.chat.example")"#, "*.chat.example"),
            (r#"DnsName("*")"#, r#""*" (not a valid DNS name)"#),
            (r#"DnsName("a (b)")"#, r#""a (b)" (not a valid DNS name)"#),
            (r#"DnsName("")"#, r#""" (not a valid DNS name)"#),
            ("IpAddress(10.0.0.1)", "10.0.0.1"),
            ("IpAddress(0::1)", "::1"),
            ("IpAddress(fe80)", "fe80"),
            ("IpAddress([invalid: 7f, 00])", "an invalid IP address"),
            (r#"UniformResourceIdentifier("urn:x")"#, r#"the URI "urn:x""#),
            ("DirectoryName", "a directory name"),
            ("Unsupported(0x01)", "an e-mail address"),
            ("Unsupported(0x08)", "another kind of name"),
        ] {
            assert_eq!(describe_name(name), words);
        }
    }
}
