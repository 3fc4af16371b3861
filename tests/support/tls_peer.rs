//! A peer that uses TLS, made of a socket and rustls. It sends and receives whole lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;

use futures_rustls::pki_types::pem::PemObject;
use futures_rustls::pki_types::{CertificateDer, ServerName};
use futures_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use crate::support::harness::{DEADLINE, make_private};
use crate::support::lines::{assert_like, without_history};

/// A certificate for localhost and its key, in files of this test.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Certificate {
    pub fn make(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("linechat-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let made = Self { certificate: folder.join("cert.pem"), key: folder.join("key.pem") };
        made.renew();
        made
    }

    /// Replaces the files with another certificate and key.
    pub fn renew(&self) {
        self.renew_for(1975, 4096);
    }

    /// Replaces the files with a certificate that is valid from the start of one year to the start of another.
    pub fn renew_for(&self, first: i32, last: i32) {
        let key = KeyPair::generate().unwrap();
        let mut wanted = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        (wanted.not_before, wanted.not_after) = (date_time_ymd(first, 1, 1), date_time_ymd(last, 1, 1));
        std::fs::write(&self.certificate, wanted.self_signed(&key).unwrap().pem()).unwrap();
        std::fs::write(&self.key, key.serialize_pem()).unwrap();
        make_private(&self.key);
    }

    /// The options for a server that uses it.
    pub fn arguments(&self) -> [&str; 6] {
        let [certificate, key] = [&self.certificate, &self.key].map(|path| path.to_str().unwrap());
        ["--tls-port", "0", "--tls-cert", certificate, "--tls-key", key]
    }

    /// The configuration of a client that trusts only this certificate.
    pub fn trust(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(&self.certificate).unwrap()).unwrap();
        Arc::new(ClientConfig::builder().with_root_certificates(roots).with_no_client_auth())
    }
}

pub struct TlsPeer {
    pub stream: BufReader<StreamOwned<ClientConnection, TcpStream>>,
}

impl TlsPeer {
    pub fn connect(address: SocketAddr, trust: &Arc<ClientConfig>) -> Self {
        let socket = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = ClientConnection::new(trust.clone(), name).unwrap();
        Self { stream: BufReader::new(StreamOwned::new(connection, socket)) }
    }

    #[track_caller]
    pub fn join(mut self, name: &str) -> Self {
        self.send(&format!("{name} replay=0\n"));
        let welcome = self.line();
        assert!(welcome.starts_with(&format!("* Welcome, {name}. ")), "{welcome:?}");
        self
    }

    #[track_caller]
    pub fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
        self.stream.get_mut().flush().unwrap();
    }

    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).unwrap();
        line.strip_suffix('\n').unwrap_or_else(|| panic!("the connection ended after {line:?}")).to_owned()
    }

    #[track_caller]
    pub fn expect(&mut self, line: &str) {
        assert_like(&self.line(), line);
    }

    /// All lines up to the server's close_notify. (rustls returns an error if it is missing.)
    #[track_caller]
    pub fn rest(&mut self) -> Vec<String> {
        let mut text = String::new();
        self.stream.read_to_string(&mut text).expect("the stream ends with close_notify");
        without_history(&text).lines().map(str::to_owned).collect()
    }

    /// Sends close_notify, and can still read.
    pub fn close_notify(&mut self) {
        let stream = self.stream.get_mut();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
    }

    /// Closes the TCP connection without close_notify, as if an attacker had cut it.
    pub fn cut(self) {
        self.stream.get_ref().sock.shutdown(Shutdown::Write).unwrap();
    }

    /// The certificate of the server.
    pub fn server_certificate(&self) -> Vec<u8> {
        self.stream.get_ref().conn.peer_certificates().unwrap()[0].to_vec()
    }
}
