//! A server on a free port, and peers that talk to it. Every wait has a deadline; nothing sleeps for "long enough".

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
#[cfg(unix)]
use std::os::unix::fs::fchown;
use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::Duration;

use async_std::task;
use futures::channel::oneshot;
use linechat::history::History;
use linechat::log::Log;
use linechat::server;
use linechat::server::access::auth::Auth;
use linechat::server::access::rate_limit::PacePreset;
use linechat::server::listen::Listener;
use linechat::server::{BrokerPanicked, Config};
use socket2::{Domain, SockRef, Socket, Type};

use super::lines::{assert_all_like, assert_like, without_history};

/// A server without rate limits that announces each join at once, so that tests are quick.
pub fn unpaced() -> Config {
    Config {
        pace: PacePreset::Off,
        announce_after: Duration::ZERO,
        wrong_password_pause: Duration::ZERO,
        ..Config::default()
    }
}

/// How to start a server.
#[derive(Clone)]
pub struct Settings(pub Config, pub Auth);

impl From<Config> for Settings {
    fn from(config: Config) -> Self {
        Self(config, Auth::default())
    }
}

impl From<Auth> for Settings {
    fn from(auth: Auth) -> Self {
        Self(unpaced(), auth)
    }
}

/// How long any single wait may take before the test fails.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A local address that no other test uses. After a server has left a port there, the port stays free for another one.
/// Elsewhere, a server or connection of another test may get that port.
pub fn own_address() -> IpAddr {
    static ADDRESSES: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    IpAddr::from([127, high | 0x80, low, ADDRESSES.fetch_add(1, Ordering::Relaxed)])
}

/// A server of this test in this process. It is stopped when the test ends.
pub struct Server {
    pub address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    running: Option<thread::JoinHandle<Result<(), BrokerPanicked>>>,
}

impl Server {
    pub fn start() -> Self {
        Self::start_with(unpaced())
    }

    pub fn start_with(settings: impl Into<Settings>) -> Self {
        Self::start_at("127.0.0.1", settings)
    }

    pub fn start_at(host: &str, settings: impl Into<Settings>) -> Self {
        Self::serve(vec![Listener::bind(host, 0).unwrap()], settings)
    }

    /// A server that also has this listener.
    pub fn start_beside(other: Listener) -> Self {
        Self::serve(vec![Listener::bind("127.0.0.1", 0).unwrap(), other], unpaced())
    }

    /// A server that records nothing.
    pub fn start_without_history() -> Self {
        Self::serve_with(vec![Listener::bind("127.0.0.1", 0).unwrap()], unpaced(), History::off())
    }

    /// A server with all these listeners. The first one must have an address.
    pub fn serve(listeners: Vec<Listener>, settings: impl Into<Settings>) -> Self {
        Self::serve_with(listeners, settings, History::in_memory())
    }

    fn serve_with(listeners: Vec<Listener>, settings: impl Into<Settings>, history: History) -> Self {
        let Settings(config, auth) = settings.into();
        let address = listeners[0].address().unwrap();
        let (stop, stopped) = oneshot::channel();
        let running = thread::spawn(move || {
            task::block_on(server::run(listeners, None, config, (auth, history), Log::off(), async {
                let _ = stopped.await;
            }))
        });
        Self { address, stop: Some(stop), running: Some(running) }
    }

    /// A connection that has not sent a name.
    pub fn connect(&self) -> Peer {
        Peer::connect(self.address)
    }

    /// A peer in the room. Its welcome has been read, but not the others' notices.
    pub fn join(&self, name: &str) -> Peer {
        self.connect().join(name)
    }

    /// Peers in the room that have read the notices of each other's joins.
    pub fn join_all<const N: usize>(&self, names: [&str; N]) -> [Peer; N] {
        let mut peers = names.map(|name| self.join(name));
        for (at, peer) in peers.iter_mut().enumerate() {
            for later in &names[at + 1..] {
                peer.expect(&format!("* {later} has joined"));
            }
        }
        peers
    }

    /// Waits until the server would have prompted everyone who is silent now.
    ///
    /// A later connection waits until it is prompted, so this uses the server's own clock. What is due at the same time
    /// may be a little late, so it also waits for two replies.
    pub fn wait_for_a_prompt(&self) {
        let mut silent = self.connect();
        silent.expect("* Send your name as the first line.");
        for _ in 0..2 {
            silent.send("*\n");
            silent.expect("! bad-name: …'*'…");
            silent.expect("* Send another name.");
        }
    }

    /// Tells the server to stop. Does not wait for it.
    pub fn begin_stop(&mut self) {
        self.stop.take().expect("it is stopped once").send(()).expect("it runs");
    }

    /// Waits until the server has stopped.
    pub fn wait(&mut self) -> Result<(), BrokerPanicked> {
        let running = self.running.take().expect("it is waited for once");
        within(move || running.join().expect("the server does not panic"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
    }
}

/// A client that is only a socket.
pub struct Peer {
    reader: BufReader<TcpStream>,
}

impl Peer {
    pub fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect_timeout(&address, DEADLINE).unwrap())
    }

    /// A connection from this local address.
    pub fn connect_from(from: IpAddr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect_timeout(&address.into(), DEADLINE).unwrap();
        Self::new(socket.into())
    }

    /// A connection whose kernel buffers as few unread bytes as possible.
    pub fn connect_with_a_small_buffer(address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        // It must be set before the connection is made, or the window is already large.
        socket.set_recv_buffer_size(1).unwrap();
        socket.connect_timeout(&address.into(), DEADLINE).unwrap();
        Self::new(socket.into())
    }

    /// Starts reading after a long pause, with a normal buffer. With a small one, the kernel may offer less than a
    /// segment each time, and the server's kernel then waits 200 ms.
    pub fn begin_to_read(&self) {
        SockRef::from(self.stream()).set_recv_buffer_size(1 << 20).unwrap();
    }

    /// One end of an existing connection.
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        Self { reader: BufReader::new(stream) }
    }

    /// Makes this end of the connection belong to another user of this machine. Returns whether that was possible: it
    /// needs root.
    pub fn belongs_to(&self, user: u32) -> bool {
        #[cfg(unix)]
        return fchown(self.stream(), Some(user), None).is_ok();
        #[cfg(windows)]
        return {
            let _ = user;
            false
        };
    }

    /// Sends this name and reads the welcome. What was said before is not shown.
    #[track_caller]
    pub fn join(mut self, name: &str) -> Self {
        self.send(&format!("{name} replay=0\n"));
        let welcome = self.line();
        assert!(welcome.starts_with(&format!("* Welcome, {name}. ")), "{welcome:?}");
        self
    }

    /// Another handle to the same connection, for another thread.
    pub fn try_clone(&self) -> Self {
        Self { reader: BufReader::new(self.stream().try_clone().unwrap()) }
    }

    pub fn stream(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub fn send(&mut self, text: &str) {
        self.send_bytes(text.as_bytes());
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream().write_all(bytes).unwrap();
    }

    /// The next line with its line ending. Empty at the end of the stream.
    pub fn raw_line(&mut self) -> Vec<u8> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            Ok(_) => line,
            Err(error) => panic!("no whole line: {error}; got {:?}", String::from_utf8_lossy(&line)),
        }
    }

    /// The next bytes, which need not form a line.
    #[track_caller]
    pub fn expect_start(&mut self, bytes: &[u8]) {
        let mut got = vec![0; bytes.len()];
        self.reader.read_exact(&mut got).unwrap();
        assert_eq!(got, bytes);
    }

    /// The next line without its LF. Panics at the end of the stream.
    pub fn line(&mut self) -> String {
        let line = String::from_utf8(self.raw_line()).expect("the server sends UTF-8");
        line.strip_suffix('\n').unwrap_or_else(|| panic!("the connection ended after {line:?}")).to_owned()
    }

    #[track_caller]
    pub fn expect(&mut self, line: &str) {
        assert_like(&self.line(), line);
    }

    /// Expects a ping from the client itself. Returns the reply to it.
    #[track_caller]
    pub fn expect_ping(&mut self) -> String {
        pong(&self.line()).expect("a ping")
    }

    /// The next line that is not a ping from the client itself. Such pings are answered.
    #[track_caller]
    pub fn expect_said(&mut self, line: &str) {
        let mut said = self.line();
        while let Some(pong) = pong(&said) {
            self.send(&pong);
            said = self.line();
        }
        assert_like(&said, line);
    }

    /// The next line that is not a notice. The real server announces only peers that stay for half a second.
    #[track_caller]
    pub fn expect_message(&mut self, expected: &str) {
        let mut line = self.line();
        while line.starts_with("* ") {
            line = self.line();
        }
        assert_like(&line, expected);
    }

    /// Expects a line with this line ending.
    #[track_caller]
    pub fn expect_with_end(&mut self, line: &str, end: &str) {
        let got = self.raw_line();
        let got = String::from_utf8_lossy(&got);
        let (text, got_end) = got.split_at(got.trim_end_matches(['\r', '\n']).len());
        assert_eq!(got_end, end, "after {text:?}");
        assert_like(text, line);
    }

    /// Expects exactly these bytes as the next line, with its line ending.
    #[track_caller]
    pub fn expect_bytes(&mut self, line: &[u8]) {
        assert_eq!(without_history(&String::from_utf8_lossy(&self.raw_line())), String::from_utf8_lossy(line));
    }

    /// Half-closes the connection, and can still read.
    pub fn half_close(&mut self) {
        self.stream().shutdown(Shutdown::Write).unwrap();
    }

    /// Expects a graceful close by the server: the end of the stream, not a reset.
    #[track_caller]
    pub fn expect_end(&mut self) {
        assert_eq!(String::from_utf8_lossy(&self.raw_line()), "", "expected the end of the stream");
    }

    /// All lines to the end of the stream, apart from [what a history adds](without_history).
    pub fn rest(&mut self) -> Vec<String> {
        let mut text = String::new();
        self.reader.read_to_string(&mut text).expect("the stream ends gently");
        without_history(&text).lines().map(str::to_owned).collect()
    }

    /// Breaks the connection with a reset, as after a crash.
    pub fn reset(self) {
        let socket = socket2::SockRef::from(self.stream());
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// Checks that the server has sent nothing to this peer.
    ///
    /// The reply to a ping comes after everything that was sent before, because there is one order for all.
    #[track_caller]
    pub fn expect_nothing_new(&mut self) {
        self.send("/nick\n");
        self.expect("! bad-arguments: …/nick NEWNAME");
    }

    /// Expects exactly these lines and a graceful close.
    #[track_caller]
    pub fn expect_rest(&mut self, lines: &[&str]) {
        assert_all_like(&self.rest(), lines);
    }
}

/// The reply to a ping from the client itself.
fn pong(line: &str) -> Option<String> {
    line.strip_prefix("/ping ").map(|token| format!("* Pong {token}\n"))
}

/// The number of accepted lines in a farewell.
#[track_caller]
pub fn accepted(bye: &str) -> u64 {
    let count = bye.strip_prefix("* Bye, ").and_then(|bye| bye.split_whitespace().nth(1));
    count.and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{bye:?} is no farewell"))
}

/// Whether this machine has IPv6. If not, this prints a message.
pub fn has_ipv6() -> bool {
    let has = std::net::TcpListener::bind("[::1]:0").is_ok();
    if !has {
        skipped("this machine has no IPv6");
    }
    has
}

/// A link-local IPv6 address of this machine, and its zone, which is the name of its interface. If there is none, this
/// prints a message.
pub fn link_local() -> Option<(Ipv6Addr, String)> {
    const SCOPE_LINK: &str = "20";
    let interfaces = std::fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    let found = interfaces.lines().find_map(|line| match line.split_whitespace().collect::<Vec<_>>()[..] {
        [address, _index, _prefix, SCOPE_LINK, _flags, name] => {
            Some((Ipv6Addr::from_bits(u128::from_str_radix(address, 16).ok()?), name.to_owned()))
        }
        _ => None,
    });
    if found.is_none() {
        skipped("this machine has no link-local IPv6 address");
    }
    found
}

/// Lets nobody else read a file. On Windows it already is like that.
pub fn make_private(path: &Path) {
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    #[cfg(windows)]
    let _ = path;
}

/// Prints that something was not tested. (The output of `eprintln!` is hidden when a test passes.)
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// A server made by the test, which can be hostile.
pub struct FakeServer {
    listener: TcpListener,
    pub address: SocketAddr,
}

impl FakeServer {
    pub fn start() -> Self {
        Self::start_at(IpAddr::from([127, 0, 0, 1]))
    }

    pub fn start_at(ip: IpAddr) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    /// Accepts the next connection, which must send this name. Options about the history do not matter.
    #[track_caller]
    pub fn accept(&self, name: &str) -> Peer {
        self.login(name).0
    }

    /// Accepts the next connection and welcomes it. Nothing was missed.
    #[track_caller]
    pub fn welcome(&self, name: &str) -> Peer {
        let (mut peer, options) = self.login(name);
        peer.send(&format!("* Welcome, {name}. You are the first here.\n"));
        if options.iter().any(|option| option.starts_with("since=")) {
            peer.send("* Nothing was said after 0.\n");
        }
        peer
    }

    /// The next connection, and its options about the history.
    #[track_caller]
    fn login(&self, name: &str) -> (Peer, Vec<String>) {
        let listener = self.listener.try_clone().unwrap();
        let mut peer = within(move || Peer::new(listener.accept().unwrap().0));
        let (options, words): (Vec<_>, Vec<_>) =
            peer.line().split(' ').map(str::to_owned).partition(|word| word.contains('='));
        assert_eq!(words.join(" "), name);
        (peer, options)
    }
}

/// Runs something on another thread, and fails the test if it takes too long.
pub fn within<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = std::sync::mpsc::channel();
    let worker = thread::spawn(move || {
        let _ = done.send(work());
    });
    match result.recv_timeout(DEADLINE) {
        Ok(value) => value,
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("not done within {DEADLINE:?}"),
        Err(_) => match worker.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("the result is sent before the thread ends"),
        },
    }
}
