//! The client over TLS and over Unix sockets: which servers it trusts, and its error messages.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use futures_rustls::pki_types::PrivateKeyDer;
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use futures_rustls::rustls::sign::CertifiedKey;
use futures_rustls::rustls::version::{TLS12, TLS13};
use futures_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use linechat::net::tls::Fingerprint;
use linechat::server::listen::Listener;
use linechat::server::listen::Tls;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, SanType,
    date_time_ymd,
};

use super::plain::{CONNECTED, Person};
use crate::support::harness::{DEADLINE, Server, link_local, own_address, skipped, unpaced, within};
use crate::support::program::{CLIENT, Finished, Program};

/// A directory for one test, which is deleted with this.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let id = format!("linechat-tls-{}-{}", std::process::id(), FOLDERS.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(id);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, text: &str) -> String {
        fs::write(self.path(name), text).unwrap();
        // A key that others can read is refused.
        std::fs::set_permissions(self.path(name), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        self.path(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A certificate authority.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: Folder,
}

impl Authority {
    fn new() -> Self {
        Self::called("an authority")
    }

    fn called(name: &str) -> Self {
        Self::of(CertifiedIssuer::self_signed(Self::params(name), KeyPair::generate().unwrap()).unwrap())
    }

    fn of(issuer: CertifiedIssuer<'static, KeyPair>) -> Self {
        let folder = Folder::new();
        folder.write("ca.pem", &issuer.pem());
        Self { issuer, folder }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // By default all names are equal.
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
    }

    /// An intermediate authority that this one has signed. Its certificate is sent with those that it signs.
    fn delegate(&self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let mut params = Self::params("a delegate");
        change(&mut params);
        Self::of(CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &self.issuer).unwrap())
    }

    /// The file with its own certificate.
    fn file(&self) -> String {
        self.folder.path("ca.pem")
    }

    /// Signs a server certificate for these names.
    fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Arc<Tls> {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem() + &self.issuer.pem();
        let files = [self.folder.write("server.pem", &chain), self.folder.write("key.pem", &key.serialize_pem())];
        Arc::new(Tls::from_files(Path::new(&files[0]), Path::new(&files[1])).unwrap())
    }
}

fn self_signed() -> Arc<Tls> {
    Arc::new(Tls::self_signed(vec!["localhost".to_owned()]).unwrap())
}

/// A server with TLS at the port, and plain text at its address.
fn serve(tls: &Arc<Tls>) -> (Server, u16) {
    let listener = Listener::bind("127.0.0.1", 0).unwrap().with_tls(tls.clone());
    let port = listener.address().unwrap().port();
    (Server::start_beside(listener), port)
}

/// The result of a client that says `hi` as Bob. The only trusted system certificate is an unused one.
#[track_caller]
fn say_hi(port: u16, options: &[&str]) -> Finished {
    let stranger = Authority::new();
    let mut command = Command::new(CLIENT);
    command.args(["--name", "Bob", "--port", &port.to_string()]).args(options);
    command.env("SSL_CERT_FILE", stranger.file()).env_remove("SSL_CERT_DIR");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Program::spawn(command).finish_with("hi\n")
}

/// Asserts this error, and that the client has not joined.
#[track_caller]
fn assert_not_connected(done: &Finished, why: &str) {
    let expected = Finished { code: Some(3), stdout: String::new(), stderr: format!("client: {why}\n") };
    assert_eq!(*done, expected);
}

/// Asserts this error about the certificate, with its fingerprint in the form that the option takes.
#[track_caller]
fn assert_not_trusted(done: &Finished, tls: &Tls, host: &str, why: &str) {
    let fingerprint = tls.fingerprint();
    let advice =
        format!("if you know that its SHA-256 fingerprint is {fingerprint}, use --tls-fingerprint {fingerprint}");
    assert_not_connected(done, &format!("the certificate of {host} is not trusted: {why}; {advice}"));
}

#[track_caller]
fn assert_has_said_hi(done: &Finished) {
    let said = "* Welcome, Bob. 1 other here: Alice. /help lists the commands.\n\
                * Bye, Bob: 1 line accepted, 0 refused.\n";
    assert_eq!(*done, Finished { code: Some(0), stdout: said.to_owned(), stderr: String::new() });
}

/// The end of the input is a TLS half-close, and the goodbye follows it.
#[test]
fn a_self_signed_certificate_is_trusted_by_its_fingerprint() {
    let tls = self_signed();
    let (server, port) = serve(&tls);
    let mut alice = server.join("Alice");
    let fingerprint = tls.fingerprint().to_string();
    for form in [fingerprint.clone(), fingerprint.replace(':', "").to_lowercase()] {
        // The certificate does not have this name.
        assert_has_said_hi(&say_hi(port, &["--tls-fingerprint", &form]));
        ["* Bob has joined", "Bob: hi", "* Bob has left"].iter().for_each(|line| alice.expect(line));
    }
}

#[test]
fn a_certificate_from_a_given_authority_is_trusted() {
    let authority = Authority::new();
    let (server, port) = serve(&authority.sign(&["localhost", "127.0.0.1"], |_| ()));
    let _alice = server.join("Alice");
    for host in ["localhost", "127.0.0.1"] {
        assert_has_said_hi(&say_hi(port, &["--tls-ca", &authority.file(), "--host", host]));
    }
}

#[test]
fn a_certificate_in_the_file_itself_is_trusted() {
    let folder = Folder::new();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let files =
        [folder.write("server.pem", &made.cert.pem()), folder.write("key.pem", &made.signing_key.serialize_pem())];
    let (server, port) = serve(&Arc::new(Tls::from_files(Path::new(&files[0]), Path::new(&files[1])).unwrap()));
    let _alice = server.join("Alice");
    assert_has_said_hi(&say_hi(port, &["--tls-ca", &files[0], "--host", "localhost"]));
}

#[test]
fn a_host_in_any_form_matches_the_usual_form_in_the_certificate() {
    let authority = Authority::new();
    let tls = authority.sign(&["localhost", "127.0.0.1"], |_| ());
    let (server, port) = serve(&tls);
    let _alice = server.join("Alice");
    let fingerprint = tls.fingerprint().to_string();
    // The last one has full-width letters, which IDNA maps to the usual ones.
    for host in ["127.1", "0x7f.1", "0x7f000001", "2130706433", "ｌｏｃａｌｈｏｓｔ"] {
        assert_has_said_hi(&say_hi(port, &["--tls-ca", &authority.file(), "--host", host]));
        assert_has_said_hi(&say_hi(port, &["--tls-fingerprint", &fingerprint, "--host", host]));
    }
    let other = authority.sign(&["chat.example"], |_| ());
    let (_server, port) = serve(&other);
    let done = say_hi(port, &["--tls-ca", &authority.file(), "--host", "127.1"]);
    assert_not_trusted(&done, &other, "127.1", "it is only valid for chat.example; check the host");
}

#[test]
fn the_zone_of_a_link_local_address_is_not_in_the_certificate() {
    let Some((address, interface)) = link_local() else { return };
    let authority = Authority::new();
    let tls = authority.sign(&[&address.to_string()], |_| ());
    let host = format!("{address}%{interface}");
    let listener = Listener::bind(&host, 0).unwrap().with_tls(tls.clone());
    let SocketAddr::V6(listening) = listener.address().unwrap() else { panic!("{listener} is not IPv6") };
    let (port, number) = (listening.port(), listening.scope_id());
    let server = Server::start_beside(listener);
    let _alice = server.join("Alice");
    let fingerprint = tls.fingerprint().to_string();
    for host in [host.clone(), format!("{address}%{number}"), format!("[{host}]")] {
        assert_has_said_hi(&say_hi(port, &["--tls-ca", &authority.file(), "--host", &host]));
        assert_has_said_hi(&say_hi(port, &["--tls-fingerprint", &fingerprint, "--host", &host]));
    }
    let done = say_hi(port, &["--tls-fingerprint", &fingerprint, "--host", &address.to_string()]);
    let why = "a link-local address needs its zone, as in fe80::1%eth0";
    assert_not_connected(&done, &format!("cannot connect to {address}, port {port}: {why}"));
    let why = format!("cannot listen on [{address}]:0: {why}");
    assert_eq!(Listener::bind(&address.to_string(), 0).unwrap_err().to_string(), why);
}

/// Runs `openssl` with these arguments in the directory. False if it is not installed, which is reported.
fn openssl(folder: &Folder, arguments: &[&str]) -> bool {
    match Command::new("openssl").args(arguments).current_dir(&folder.0).output() {
        Ok(done) => {
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            true
        }
        Err(_) => {
            skipped("openssl is not installed");
            false
        }
    }
}

fn files(folder: &Folder, certificate: &str, key: &str) -> Arc<Tls> {
    Arc::new(Tls::from_files(Path::new(&folder.path(certificate)), Path::new(&folder.path(key))).unwrap())
}

/// It is marked as a CA certificate.
#[test]
fn the_usual_self_signed_certificate_of_openssl_is_trusted_if_given() {
    let folder = Folder::new();
    let made = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 365 -subj /CN=localhost \
                -addext subjectAltName=DNS:localhost,IP:127.0.0.1";
    if !openssl(&folder, &made.split_whitespace().collect::<Vec<_>>()) {
        return;
    }
    let (ca, tls) = (folder.path("cert.pem"), files(&folder, "cert.pem", "key.pem"));
    let (server, port) = serve(&tls);
    let _alice = server.join("Alice");
    for host in ["localhost", "127.0.0.1"] {
        assert_has_said_hi(&say_hi(port, &["--tls-ca", &ca, "--host", host]));
    }
}

/// A CA certificate that a server uses itself.
fn both(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (Authority, Arc<Tls>) {
    let mut params = Authority::params("both");
    params.subject_alt_names = names.iter().map(|name| SanType::DnsName((*name).try_into().unwrap())).collect();
    change(&mut params);
    let authority = Authority::of(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap());
    authority.folder.write("key.pem", &authority.issuer.key().serialize_pem());
    let tls = files(&authority.folder, "ca.pem", "key.pem");
    (authority, tls)
}

#[test]
fn a_certificate_in_the_file_itself_is_valid_only_for_its_names_and_dates() {
    let (authority, tls) = both(&["chat.example"], |_| ());
    let (_server, port) = serve(&tls);
    let done = say_hi(port, &["--tls-ca", &authority.file(), "--host", "localhost"]);
    assert_not_trusted(&done, &tls, "localhost", "it is only valid for chat.example; check the host");
    let (authority, tls) = both(&["localhost"], |params| params.not_after = date_time_ymd(2020, 2, 29));
    let (_server, port) = serve(&tls);
    let done = say_hi(port, &["--tls-ca", &authority.file(), "--host", "localhost"]);
    let expired = "it expired on 2020-02-29; check the clock of this machine, or tell the server's operator";
    assert_not_trusted(&done, &tls, "localhost", expired);
    let (authority, tls) = both(&["localhost"], |params| params.not_before = date_time_ymd(2999, 1, 1));
    let (_server, port) = serve(&tls);
    let done = say_hi(port, &["--tls-ca", &authority.file(), "--host", "localhost"]);
    let early = "it is not valid before 2999-01-01; check the clock of this machine";
    assert_not_trusted(&done, &tls, "localhost", early);
}

#[test]
fn a_ca_certificate_is_trusted_for_a_server_only_if_given() {
    let (authority, tls) = both(&["localhost"], |_| ());
    let (server, port) = serve(&tls);
    let _alice = server.join("Alice");
    assert_has_said_hi(&say_hi(port, &["--tls-ca", &authority.file(), "--host", "localhost"]));
    let why = "it is a CA certificate; if the server really uses it, name it with --tls-ca";
    assert_not_trusted(&say_hi(port, &["--tls", "--host", "localhost"]), &tls, "localhost", why);
    // Another certificate with the same content.
    let (impostor, _) = both(&["localhost"], |_| ());
    let done = say_hi(port, &["--tls-ca", &impostor.file(), "--host", "localhost"]);
    assert_not_trusted(&done, &tls, "localhost", why);
}

#[test]
fn a_certificate_in_the_file_itself_needs_no_issuer() {
    let authority = Authority::new();
    let (server, port) = serve(&authority.sign(&["localhost"], |_| ()));
    let _alice = server.join("Alice");
    let chain = fs::read_to_string(authority.folder.path("server.pem")).unwrap();
    let own = chain.split_inclusive("-----END CERTIFICATE-----").next().unwrap();
    let file = authority.folder.write("own.pem", own);
    assert_has_said_hi(&say_hi(port, &["--tls-ca", &file, "--host", "localhost"]));
}

#[test]
fn a_certificate_file_may_have_utf_8_but_not_utf_16_byte_order_marks() {
    let (signer, folder) = (Authority::new(), Folder::new());
    let tls = signer.sign(&["localhost"], |_| ());
    let key = format!("\u{feff}{}", fs::read_to_string(signer.folder.path("key.pem")).unwrap());
    let chain = fs::read_to_string(signer.folder.path("server.pem")).unwrap();
    let chain =
        format!("\u{feff}{}", chain.replacen("-----END CERTIFICATE-----\n", "-----END CERTIFICATE-----\n\u{feff}", 1));
    folder.write("server.pem", &chain);
    folder.write("key.pem", &key);
    assert_eq!(files(&folder, "server.pem", "key.pem").fingerprint(), tls.fingerprint());
    let (server, port) = serve(&tls);
    let _alice = server.join("Alice");
    let other = Authority::new();
    let ca = format!("\u{feff}{}\u{feff}{}", other.issuer.pem(), signer.issuer.pem());
    assert_has_said_hi(&say_hi(port, &["--tls-ca", &folder.write("ca.pem", &ca), "--host", "localhost"]));
    let utf_16: Vec<u8> = format!("\u{feff}{ca}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(folder.path("utf-16.pem"), utf_16).unwrap();
    assert_has_said_hi(&say_hi(port, &["--tls-ca", &folder.path("utf-16.pem"), "--host", "localhost"]));
}

#[test]
fn a_version_1_certificate_is_refused_with_advice() {
    let folder = Folder::new();
    let request =
        ["req", "-newkey", "rsa:2048", "-nodes", "-keyout", "key.pem", "-out", "request", "-subj", "/CN=localhost"];
    let sign = ["x509", "-req", "-in", "request", "-signkey", "key.pem", "-out", "cert.pem"];
    if !openssl(&folder, &request) || !openssl(&folder, &sign) {
        return;
    }
    let [certificate, key] = ["cert.pem", "key.pem"].map(|name| folder.path(name));
    let error = Tls::from_files(Path::new(&certificate), Path::new(&key)).unwrap_err().to_string();
    let why = "it is an X.509 version 1 certificate, which names no host; openssl req -x509 makes a version 3 one";
    assert_eq!(error, format!("cannot use the certificate in {certificate}: {why}"));
}

#[test]
fn a_certificate_from_an_authority_of_the_system_is_trusted() {
    let authority = Authority::new();
    let (server, port) = serve(&authority.sign(&["localhost"], |_| ()));
    let _alice = server.join("Alice");
    let mut command = Command::new(CLIENT);
    command.args(["--name", "Bob", "--host", "localhost", "--tls", "--port", &port.to_string()]);
    command.env("SSL_CERT_FILE", authority.file()).env_remove("SSL_CERT_DIR");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    assert_has_said_hi(&Program::spawn(command).finish_with("hi\n"));
}

#[test]
fn an_unknown_certificate_is_refused_and_its_fingerprint_is_shown() {
    let tls = self_signed();
    let (server, port) = serve(&tls);
    let mut alice = server.join("Alice");
    let why = "it is self-signed";
    assert_not_trusted(&say_hi(port, &["--tls", "--host", "localhost"]), &tls, "localhost", why);
    let signed = Authority::called("nobody you know").sign(&["localhost"], |_| ());
    let (_server, port) = serve(&signed);
    let why = "it is not signed by a trusted certificate authority; name its authority with --tls-ca";
    assert_not_trusted(&say_hi(port, &["--tls", "--host", "localhost"]), &signed, "localhost", why);
    // Another authority with the same name.
    let (another, signed) = (Authority::new(), Authority::new().sign(&["localhost"], |_| ()));
    let (_server, port) = serve(&signed);
    let done = say_hi(port, &["--tls-ca", &another.file(), "--host", "localhost"]);
    assert_not_trusted(&done, &signed, "localhost", "its signature is not from the issuer that it names");
    alice.expect_nothing_new();
}

#[test]
fn a_certificate_with_another_fingerprint_is_refused() {
    let tls = self_signed();
    let (server, port) = serve(&tls);
    let mut alice = server.join("Alice");
    let done = say_hi(port, &["--tls-fingerprint", &self_signed().fingerprint().to_string(), "--host", "localhost"]);
    let why = "either the server has a new certificate, or this is another server: ask its operator";
    let which = format!("does not match: its SHA-256 fingerprint is {}", tls.fingerprint());
    assert_not_connected(&done, &format!("the certificate of localhost {which}; {why}"));
    alice.expect_nothing_new();
}

#[test]
fn a_certificate_for_other_names_is_refused_and_they_are_listed() {
    let authority = Authority::new();
    let ca = authority.file();
    let tls = authority.sign(&["chat.example", "192.0.2.1"], |_| ());
    let (_server, port) = serve(&tls);
    for host in ["localhost", "127.0.0.1"] {
        let done = say_hi(port, &["--tls-ca", &ca, "--host", host]);
        assert_not_trusted(&done, &tls, host, "it is only valid for chat.example, 192.0.2.1; check the host");
    }
    let tls = authority.sign(&[], |_| ());
    let (_server, port) = serve(&tls);
    let done = say_hi(port, &["--tls-ca", &ca, "--host", "localhost"]);
    assert_not_trusted(&done, &tls, "localhost", "it names no host");
}

#[test]
fn short_and_invalid_names_are_described() {
    let authority = Authority::new();
    let ca = authority.file();
    let many: Vec<_> = (0..100).map(|number| format!("host-{number}.example")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for (names, told) in [
        (&["*"][..], r#""*" (not a valid DNS name)"#),
        (&["a.b", "10.0.0.1", "::1"], "a.b, 10.0.0.1, ::1"),
        (&many, &format!("{:.200}…", many.join(", "))),
    ] {
        let tls = authority.sign(names, |_| ());
        let (_server, port) = serve(&tls);
        let done = say_hi(port, &["--tls-ca", &ca, "--host", "localhost"]);
        assert_not_trusted(&done, &tls, "localhost", &format!("it is only valid for {told}; check the host"));
    }
}

#[test]
fn a_certificate_outside_its_validity_period_is_refused_with_the_date() {
    let authority = Authority::new();
    let past = |params: &mut CertificateParams| params.not_after = date_time_ymd(2020, 2, 29);
    let future = |params: &mut CertificateParams| params.not_before = date_time_ymd(2999, 1, 1);
    let reversed = |params: &mut CertificateParams| {
        (params.not_before, params.not_after) = (date_time_ymd(2999, 1, 1), date_time_ymd(2020, 2, 29));
    };
    let expired = "expired on 2020-02-29; check the clock of this machine, or tell the server's operator";
    let early = "is not valid before 2999-01-01; check the clock of this machine";
    for (tls, why) in [
        (authority.sign(&["localhost"], past), format!("it {expired}")),
        (authority.sign(&["localhost"], future), format!("it {early}")),
        (authority.sign(&["localhost"], reversed), "its end date is before its start date".to_owned()),
        (authority.delegate(past).sign(&["localhost"], |_| ()), format!("its issuer's certificate {expired}")),
        (authority.delegate(future).sign(&["localhost"], |_| ()), format!("its issuer's certificate {early}")),
    ] {
        let (_server, port) = serve(&tls);
        let done = say_hi(port, &["--tls-ca", &authority.file(), "--host", "localhost"]);
        assert_not_trusted(&done, &tls, "localhost", &why);
    }
    let (server, port) = serve(&authority.delegate(|_| ()).sign(&["localhost"], |_| ()));
    let _alice = server.join("Alice");
    assert_has_said_hi(&say_hi(port, &["--tls-ca", &authority.file(), "--host", "localhost"]));
}

#[test]
fn a_certificate_that_is_not_for_servers_is_refused() {
    let authority = Authority::new();
    let tls = authority.sign(&["localhost"], |params| {
        params.insert_extended_key_usage(ExtendedKeyUsagePurpose::ClientAuth);
    });
    let (_server, port) = serve(&tls);
    let done = say_hi(port, &["--tls-ca", &authority.file(), "--host", "localhost"]);
    assert_not_trusted(&done, &tls, "localhost", "it is not a server certificate");
}

#[test]
fn a_system_without_trusted_certificates_is_reported() {
    let mut command = Command::new(CLIENT);
    command.args(["--name", "Bob", "--tls"]).env("SSL_CERT_FILE", "/dev/null").env_remove("SSL_CERT_DIR");
    let done = Program::spawn({
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    })
    .finish();
    let advice = "use --tls-ca or --tls-fingerprint";
    assert_not_connected(&done, &format!("this system has no trusted certificates; {advice}"));
}

#[test]
fn using_tls_or_not_against_the_wrong_port_is_reported() {
    let tls = self_signed();
    let (server, port) = serve(&tls);
    let fingerprint = tls.fingerprint().to_string();
    let plain = server.address.port();
    let why =
        format!("the server at 127.0.0.1, port {plain} does not speak TLS; check the port, or connect without --tls");
    assert_not_connected(&say_hi(plain, &["--tls-fingerprint", &fingerprint]), &why);
    let refusal = "wrong-protocol: this port requires TLS; try linechat --tls, openssl s_client or ncat --ssl";
    let done = say_hi(port, &[]);
    let expected = Finished {
        code: Some(1),
        stdout: format!("! {refusal}\n"),
        stderr: format!("client: the server refused Bob: {refusal}\n"),
    };
    assert_eq!(done, expected);
}

/// The certificate and key of a server under the test's control.
struct Impostor {
    chain: rcgen::Certificate,
    key: KeyPair,
}

impl Impostor {
    fn honest() -> Self {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        Self { chain: made.cert, key: made.signing_key }
    }

    /// The fingerprint for `--tls-fingerprint`.
    fn fingerprint(&self, folder: &Folder) -> Fingerprint {
        let files = [folder.write("c.pem", &self.chain.pem()), folder.write("k.pem", &self.key.serialize_pem())];
        Tls::from_files(Path::new(&files[0]), Path::new(&files[1])).unwrap().fingerprint()
    }

    /// Does the handshake with the next connection. `None` if the client refuses.
    fn accept(self, listener: &TcpListener, version: &'static SupportedProtocolVersion) -> Option<TlsPeer> {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let key = ring::sign::any_supported_type(&key).unwrap();
        let shown = Arc::new(Shown(Arc::new(CertifiedKey::new(vec![self.chain.der().clone()], key))));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(shown);
        let socket = listener.accept().unwrap().0;
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        let session = ServerConnection::new(Arc::new(config)).unwrap();
        let mut peer = TlsPeer(BufReader::new(StreamOwned::new(session, socket)));
        peer.line().map(|_name| peer)
    }
}

/// rustls itself would not send a certificate without having its key.
#[derive(Debug)]
struct Shown(Arc<CertifiedKey>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

/// The server's end of a connection.
struct TlsPeer(BufReader<StreamOwned<ServerConnection, TcpStream>>);

impl TlsPeer {
    /// The next line; `None` at the end.
    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        self.0.read_line(&mut line).ok().map(|_| line)
    }

    /// Closes the TCP stream without close_notify, and waits for the other end.
    fn cut(self) {
        let mut socket = self.0.get_ref().get_ref();
        socket.shutdown(Shutdown::Write).unwrap();
        io::copy(&mut socket, &mut io::sink()).unwrap();
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }
}

fn bind() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// A refusal before the handshake has no words.
#[test]
fn a_server_that_closes_at_once_may_refuse_the_address() {
    for is_reset in [false, true] {
        let (listener, address) = bind();
        let closing = thread::spawn(move || {
            let mut socket = listener.accept().unwrap().0;
            let mut hello = [0; 4096];
            // Closing a socket with unread input resets the connection.
            let _ = if is_reset { socket.peek(&mut hello) } else { socket.read(&mut hello) };
        });
        let done = say_hi(address.port(), &["--tls-fingerprint", &"ab".repeat(32), "--host", "localhost"]);
        let why = "the server closed the connection; perhaps it is full, or too many wrong passwords came from your \
                   address; try again in a minute";
        assert_not_connected(&done, &format!("cannot negotiate TLS with localhost, port {}: {why}", address.port()));
        within(move || closing.join().unwrap());
    }
}

/// Anybody can send a copy of another server's certificate.
#[test]
fn a_stolen_certificate_without_its_key_is_refused() {
    for version in [&TLS12, &TLS13] {
        let folder = Folder::new();
        let honest = Impostor::honest();
        let fingerprint = honest.fingerprint(&folder).to_string();
        let (authority, _) = both(&["localhost"], |_| ());
        let shown: &rcgen::Certificate = authority.issuer.as_ref();
        for (chain, trust) in
            [(honest.chain, ["--tls-fingerprint", &fingerprint]), (shown.clone(), ["--tls-ca", &authority.file()])]
        {
            let thief = Impostor { chain, key: KeyPair::generate().unwrap() };
            let (listener, address) = bind();
            let accepting = thread::spawn(move || thief.accept(&listener, version).is_some());
            let done = say_hi(address.port(), &[&trust[..], &["--host", "localhost"]].concat());
            let why = "it did not prove that it holds the key of its certificate, which has to be RSA of 2048 bits or more, \
                       ECDSA over P-256 or P-384, or Ed25519";
            assert_not_connected(
                &done,
                &format!("cannot negotiate TLS with localhost, port {}: {why}", address.port()),
            );
            assert!(!within(move || accepting.join().unwrap()), "the name was sent");
        }
    }
}

/// An attacker in the middle can end a TCP connection, and drop its last lines.
#[test]
fn a_truncated_stream_is_a_lost_connection() {
    for (version, farewell) in [(&TLS12, ""), (&TLS13, ""), (&TLS13, "* Bye, Bob: 1 line accepted, 0 refused.\n")] {
        let folder = Folder::new();
        let server = Impostor::honest();
        let fingerprint = server.fingerprint(&folder).to_string();
        let (listener, address) = bind();
        let serving = thread::spawn(move || {
            let mut peer = server.accept(&listener, version).expect("it is trusted");
            peer.send(&format!("* Welcome, Bob.\n{farewell}"));
            assert_eq!(peer.line().as_deref(), Some("hi\n"));
            peer.cut();
        });
        let done = say_hi(address.port(), &["--tls-fingerprint", &fingerprint]);
        within(move || serving.join().unwrap());
        let said = format!("* Welcome, Bob.\n{farewell}");
        let why = "client: the connection was lost: it was cut off without a TLS close_notify\n";
        assert_eq!(done, Finished { code: Some(3), stdout: said, stderr: why.to_owned() });
    }
}

fn serve_at(address: SocketAddr, tls: &Arc<Tls>) -> Server {
    let listener = Listener::bind(&address.ip().to_string(), address.port()).unwrap();
    Server::serve(vec![listener.with_tls(tls.clone())], unpaced())
}

/// Bob, who trusts only this certificate, and the address of his server, which has stopped.
fn lose_the_server(tls: &Arc<Tls>) -> (Person, SocketAddr) {
    let mut server = serve_at((own_address(), 0).into(), tls);
    let address = server.address;
    let mut bob = Person::start_with(address, "Bob", &["--tls-fingerprint", &tls.fingerprint().to_string()]);
    bob.screen.expect(CONNECTED);
    bob.sees("* Welcome, Bob. You are the first here. /help lists the commands.");
    server.begin_stop();
    bob.sees("* The server is shutting down");
    bob.sees("* Bye, Bob: 0 lines accepted, 0 refused.");
    bob.screen.expect("-- The server has shut down. Trying to reconnect; what you type will be sent later.");
    server.wait().unwrap();
    (bob, address)
}

#[test]
fn the_client_reconnects_over_tls() {
    let tls = self_signed();
    let (mut bob, address) = lose_the_server(&tls);
    let again = serve_at(address, &tls);
    assert!(bob.screen.line().starts_with("-- Reconnected. You were away since "));
    bob.sees("* Welcome, Bob. You are the first here. /help lists the commands.");
    bob.type_in("/quit\n");
    bob.sees("* Bye, Bob: 0 lines accepted, 0 refused.");
    assert_eq!(bob.program.finish().code, Some(0));
    drop(again);
}

#[test]
fn another_server_after_a_loss_is_reported_once() {
    let tls = self_signed();
    let (mut bob, address) = lose_the_server(&tls);
    let mut other = serve_at(address, &self_signed());
    let told = bob.screen.line();
    let beginning = format!("-- Cannot reconnect yet: the certificate of {} does not match: its", address.ip());
    assert!(told.starts_with(&beginning), "{told}");
    other.begin_stop();
    other.wait().unwrap();
    let _again = serve_at(address, &tls);
    assert!(bob.screen.line().starts_with("-- Reconnected. You were away since "));
}

#[test]
fn a_long_input_is_sent_completely_over_tls_and_over_a_unix_socket() {
    const LINES: usize = 20_000;
    let (folder, tls) = (Folder::new(), self_signed());
    let secure = Listener::bind("127.0.0.1", 0).unwrap().with_tls(tls.clone());
    let port = secure.address().unwrap().port().to_string();
    let path = folder.path("socket");
    let local = Listener::bind_path(Path::new(&path), 0o600).unwrap();
    let server = Server::serve(vec![Listener::bind("127.0.0.1", 0).unwrap(), secure, local], unpaced());
    let fingerprint = tls.fingerprint().to_string();
    let mut alice = server.join("Alice");
    for options in [&["--port", &port, "--tls-fingerprint", &fingerprint][..], &["--unix", &path]] {
        let client = Program::start(CLIENT, ["--name", "Bob"].iter().chain(options));
        alice.expect("* Bob has joined");
        let input = (0..LINES).map(|line| format!("{line}\n")).collect::<String>();
        let sending = thread::spawn(move || client.finish_with(&input));
        (0..LINES).for_each(|line| alice.expect(&format!("Bob: {line}")));
        alice.expect("* Bob has left");
        let done = within(move || sending.join().unwrap());
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
        assert!(done.stdout.ends_with(&format!("* Bye, Bob: {LINES} lines accepted, 0 refused.\n")), "{}", done.stdout);
    }
}

#[track_caller]
fn knock(path: &str) -> Finished {
    Program::start(CLIENT, ["--name", "Bob", "--unix", path]).finish_with("")
}

#[test]
fn a_missing_socket_or_server_is_reported() {
    let folder = Folder::new();
    let path = folder.path("socket");
    let why = "no such socket; check the path and whether the server is running";
    assert_not_connected(&knock(&path), &format!("cannot connect to {path}: {why}"));
    drop(UnixListener::bind(&path).unwrap());
    let why = "connection refused; is the server running there?";
    assert_not_connected(&knock(&path), &format!("cannot connect to {path}: {why}"));
    let long = folder.path(&"x".repeat(200));
    let done = knock(&long);
    assert_eq!(done.code, Some(3));
    assert!(done.stderr.starts_with(&format!("client: cannot connect to {long}: ")), "{}", done.stderr);
}

#[test]
fn a_socket_without_permission_is_reported() {
    if rustix::process::geteuid().is_root() {
        return skipped("a socket that may not be used; root may use all");
    }
    let folder = Folder::new();
    let path = folder.path("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o000)).unwrap();
    let why = "check the permissions of the socket and its directories";
    assert_not_connected(&knock(&path), &format!("cannot connect to {path}: permission denied; {why}"));
}

#[test]
fn invalid_tls_options_are_a_usage_error() {
    let folder = Folder::new();
    let (missing, empty) = (folder.path("missing"), folder.write("empty", "no PEM\n"));
    let fingerprint = self_signed().fingerprint().to_string();
    let authority = Authority::new();
    for (options, words) in [
        (&["--tls-ca", &missing][..], format!("cannot read certificates in {missing}: No such file or directory")),
        (&["--tls-ca", &empty], format!("cannot read certificates in {empty}: there is no certificate in it")),
        (&["--tls-fingerprint", "AB:CD"], "a SHA-256 fingerprint has 64 hexadecimal digits".to_owned()),
        (&["--tls-ca", &authority.file(), "--tls-fingerprint", &fingerprint], "cannot be used with".to_owned()),
        (&["--unix", "x", "--host", "localhost"], "--host and --unix each name a server; use only one".to_owned()),
        (&["--unix", "x", "--port", "5000"], "cannot be used with".to_owned()),
        (&["--unix", "x", "--tls"], "cannot be used with".to_owned()),
        (&["--unix", "x", "--tls-fingerprint", &fingerprint], "cannot be used with".to_owned()),
    ] {
        let done = Program::start(CLIENT, ["--name", "Bob"].iter().chain(options)).finish();
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{options:?}");
        assert!(done.stderr.contains(&words), "{}", done.stderr);
    }
}
