//! TLS at the server: its certificate, which can be replaced while the server runs, and the handshake.
//!
//! A handshake takes CPU time for a signature and a key exchange, nearly a millisecond with RSA. So it runs on the pool
//! for blocking work, a few at a time, and the room's thread only waits for it.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::available_parallelism;

use async_lock::Semaphore;
use async_std::net::TcpStream;
use blocking::unblock;
use futures_rustls::pki_types::pem::{self, PemObject};
use futures_rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use futures_rustls::rustls::server::{NoServerSessionStorage, ParsedCertificate};
use futures_rustls::rustls::version::{TLS12, TLS13};
use futures_rustls::rustls::{self, CertificateError, ServerConfig};
use futures_rustls::{TlsAcceptor, TlsStream};
use memchr::memmem;
use thiserror::Error;

use crate::limits::HANDSHAKES_A_CORE;
use crate::net::resolve::server_name;
use crate::net::tls::{Fingerprint, is_version_1, provider, read_opened_pem, read_pem, verify_itself};
use crate::net::transport::{Transport, Uninterrupted};
use crate::os::io_error;
use crate::os::safe_file::{Links, check_owner, open_regular};
use crate::os::system::files;

/// The certificate of a server, and a limit on concurrent handshakes.
#[derive(Debug)]
pub struct Tls {
    current: Mutex<Arc<Certificate>>,
    slots: Arc<Semaphore>,
}

/// A certificate and its key.
#[derive(Debug)]
pub struct Certificate {
    config: Arc<ServerConfig>,
    certificate: CertificateDer<'static>,
}

/// Why TLS cannot be used, and what to do about it.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file cannot be read, or lacks the expected content.
    #[error("cannot read {what} in {}: {why}", .path.display())]
    File { what: &'static str, path: PathBuf, why: String },
    /// Anyone who can read the key can impersonate this server.
    #[error("others can read or write the private key in {}; run {remedy}", .path.display())]
    Exposed { path: PathBuf, remedy: String },
    /// The server cannot ask anyone for the password of the key.
    #[error("the private key in {} is encrypted; decrypt it with openssl pkey -in {} -out FILE", .0.display(), .0.display())]
    Encrypted(PathBuf),
    /// The certificate and key do not match, or no client could use them.
    #[error("cannot use the certificate in {}: {why}", .path.display())]
    Unusable { path: PathBuf, why: String },
    /// No certificate could be made.
    #[error("cannot make a certificate: {0}")]
    NotMade(String),
}

impl Tls {
    /// Reads a certificate chain, the server's own certificate first, and its key from PEM files.
    ///
    /// # Errors
    /// [`TlsError`], worded for the operator.
    pub fn from_files(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        Certificate::read(certificate, key).map(Self::new)
    }

    /// Creates a self-signed certificate for these names and addresses, each as a person writes a host.
    ///
    /// # Errors
    /// [`TlsError::NotMade`].
    pub fn self_signed(names: Vec<String>) -> Result<Self, TlsError> {
        let names: Vec<_> = names
            .into_iter()
            .map(|name| server_name(&name).map(|known| known.to_str().into_owned()).unwrap_or(name))
            .collect();
        let made = rcgen::generate_simple_self_signed(names).map_err(|error| TlsError::NotMade(error.to_string()))?;
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())
            .map_err(|error| TlsError::NotMade(error.to_owned()))?;
        let current = Certificate::new(vec![made.cert.der().clone()], key);
        Ok(Self::new(current.map_err(|error| TlsError::NotMade(error.to_string()))?))
    }

    fn new(current: Certificate) -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self { current: Mutex::new(Arc::new(current)), slots: Arc::new(Semaphore::new(HANDSHAKES_A_CORE * cores)) }
    }

    /// The fingerprint by which clients can recognise the certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.current().certificate)
    }

    /// Why clients reject the certificate now because of its validity period. `None` if they do not.
    pub fn untimely(&self) -> Option<&'static str> {
        untimely(&self.current().certificate)
    }

    /// Replaces the certificate. New handshakes use it; existing connections continue.
    pub fn replace(&self, certificate: Certificate) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(certificate);
    }

    /// Negotiates TLS with a client. The caller limits the time.
    ///
    /// # Errors
    /// If the handshake fails.
    pub(crate) async fn shake_hands(&self, socket: TcpStream) -> io::Result<Transport> {
        let accept = TlsAcceptor::from(Arc::clone(&self.current().config)).accept(Uninterrupted(socket.clone()));
        let stream = poll_on_the_pool(accept, &self.slots).await?;
        Ok(Transport::tls(socket, TlsStream::Server(stream)))
    }

    fn current(&self) -> Arc<Certificate> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Certificate {
    /// Reads the files of a certificate chain and its key. Blocks.
    ///
    /// # Errors
    /// [`TlsError`], worded for the operator.
    pub fn read(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let chain = read_pem(certificate)
            .and_then(|text| CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>())
            .and_then(|chain| if chain.is_empty() { Err(pem::Error::NoItemsFound) } else { Ok(chain) })
            .map_err(|error| TlsError::file("a certificate", certificate, error))?;
        let unreadable = |error| TlsError::file("a private key", key, error);
        let opened = open_regular(key, OpenOptions::new().read(true), Links::Followed);
        let (mut file, metadata) = opened.map_err(|error| unreadable(pem::Error::Io(error)))?;
        check_owner(&metadata).map_err(|error| unreadable(pem::Error::Io(error)))?;
        if let Some(remedy) = files::key_protection(key, &file, &metadata) {
            return Err(TlsError::Exposed { path: key.to_owned(), remedy });
        }
        let text = read_opened_pem(&mut file, &metadata).map_err(unreadable)?;
        let private = PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
            let is_encrypted = memmem::find(&text, b"ENCRYPTED").is_some();
            if is_encrypted { TlsError::Encrypted(key.to_owned()) } else { unreadable(error) }
        })?;
        Self::new(chain, private)
            .map_err(|error| TlsError::Unusable { path: certificate.to_owned(), why: why_unusable(&error) })
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, rustls::Error> {
        let certificate = chain.first().cloned().ok_or(rustls::Error::NoCertificatesPresented)?;
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&TLS13, &TLS12])?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        // Chat connections last for hours. Session resumption would save little, and would require stored keys.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(Self { config: Arc::new(config), certificate })
    }
}

fn untimely(certificate: &CertificateDer<'_>) -> Option<&'static str> {
    let parsed = ParsedCertificate::try_from(certificate).ok()?;
    match verify_itself(&parsed, UnixTime::now()) {
        Err(rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. })) => {
            Some("the certificate has expired, so clients reject it")
        }
        // Perhaps the clock of this machine is slow.
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext { .. })) => {
            Some("the certificate is not valid yet, so clients reject it")
        }
        _ => None,
    }
}

fn why_unusable(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            "the key does not match the first certificate in the file, which must be the server's own".to_owned()
        }
        // rustls reports this for a key that it cannot use.
        rustls::Error::General(_) => {
            "the key must be RSA with 2048 to 4096 bits, ECDSA with P-256 or P-384, or Ed25519".to_owned()
        }
        rustls::Error::InvalidCertificate(CertificateError::BadEncoding) => "it is corrupt".to_owned(),
        rustls::Error::InvalidCertificate(error) if is_version_1(error) => {
            "it is an X.509 version 1 certificate, which names no host; openssl req -x509 makes a version 3 one"
                .to_owned()
        }
        error => error.to_string(),
    }
}

impl TlsError {
    fn file(what: &'static str, path: &Path, error: pem::Error) -> Self {
        let why = match error {
            pem::Error::Io(error) => io_error::describe(&error),
            pem::Error::NoItemsFound => "it contains no such PEM block".to_owned(),
            error => error.to_string(),
        };
        Self::File { what, path: path.to_owned(), why }
    }
}

/// Polls a future on the pool for blocking work, whenever it is woken and there is a slot.
///
/// A slot is taken only while polling, not while waiting for the peer. Otherwise a few silent peers could block all
/// others.
async fn poll_on_the_pool<F>(mut future: F, slots: &Arc<Semaphore>) -> F::Output
where
    F: Future<Output: Send> + Unpin + Send + 'static,
{
    let (call, woken) = async_channel::bounded(1);
    let waker = Waker::from(Arc::new(Call(call)));
    loop {
        let (slot, waker) = (slots.acquire_arc().await, waker.clone());
        let polled;
        (future, polled) = unblock(move || {
            let polled = Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
            drop(slot);
            (future, polled)
        })
        .await;
        match polled {
            Poll::Ready(done) => return done,
            // The waker holds a sender, so this does not fail.
            Poll::Pending => drop(woken.recv().await),
        }
    }
}

/// Wakes a future. One call is remembered.
struct Call(async_channel::Sender<()>);

impl Wake for Call {
    fn wake(self: Arc<Self>) {
        // If the channel is full, the future will be polled anyway.
        let _ = self.0.try_send(());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread::sleep;
    use std::time::Duration;

    use async_std::task::block_on;
    use futures::future::join_all;

    use super::*;

    /// Work in three portions, each of which wakes the next. It counts how many run at once.
    struct Work {
        portions: usize,
        at_it: Arc<AtomicUsize>,
        most: Arc<AtomicUsize>,
    }

    impl Future for Work {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            let at_it = self.at_it.fetch_add(1, Ordering::SeqCst) + 1;
            self.most.fetch_max(at_it, Ordering::SeqCst);
            sleep(Duration::from_millis(2));
            self.at_it.fetch_sub(1, Ordering::SeqCst);
            self.portions -= 1;
            context.waker().wake_by_ref();
            if self.portions == 0 { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    #[test]
    fn handshakes_run_only_in_the_available_slots_and_all_complete() {
        let (slots, at_it, most) = (Arc::new(Semaphore::new(3)), Arc::default(), Arc::default());
        let work = || Work { portions: 3, at_it: Arc::clone(&at_it), most: Arc::clone(&most) };
        block_on(join_all((0..40).map(|_| poll_on_the_pool(work(), &slots))));
        assert_eq!(most.load(Ordering::SeqCst), 3);
    }
}
