//! A network link goes down, and neither end is told. This needs Linux, root, `ip` of iproute2 and two minutes.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::scene::{Scene, eventually, is_long};
use crate::support::harness::{Peer, skipped};
use crate::support::lines::bye;
use crate::support::program::{CLIENT, Program, SERVER, ServerProgram, listening_on};

/// From docs/limits.md: 120 s. The kernel's timers are a little late.
const GONE_WITHIN: Duration = Duration::from_secs(125);
/// How often the client checks.
const LOOK: Duration = Duration::from_secs(30);

/// In one room peers talk, so an acknowledgement is missing. In the other nobody talks, so keepalive must find the
/// loss. A healthy but silent peer is there too, and stays.
#[test]
fn a_peer_behind_a_lost_link_is_disconnected_and_a_silent_one_is_not() {
    if !is_long() {
        return skipped("half-open links; LINECHAT_LONG_TESTS=1 tests them, in two minutes");
    }
    let link = match Link::named("peer") {
        Ok(link) => link,
        Err(why) => return skipped(&format!("half-open links; this machine does not allow one: {why}")),
    };
    let talk = Scene::with(server_at(link.here));
    let _talking = link.client(talk.address(), "far");

    let silence = server_at(link.here);
    let mut witness = silence.join("witness");
    let _silent = link.client(silence.address, "far");
    witness.expect("* far has joined");

    let since = Instant::now();
    link.lose();
    let mut lines = PatientLines(&mut witness);
    assert_eq!(lines.next(), "* far has left: connection lost");
    eprintln!("among the silent it was found out after {:?}", since.elapsed());
    // The witness has been silent all this time, and is still there.
    witness.send("hello\n/quit\n");
    witness.expect(&bye("witness", 1, 0));

    std::thread::sleep(GONE_WITHIN.saturating_sub(since.elapsed()));
    assert!(talk.finish().notices().any(|notice| notice == "far has left: connection lost"));
}

/// One client is silent, so keepalive must find the loss. Another one sends after the loss, so an acknowledgement is
/// missing. The server of a third one stops reading, so that client only has to wait.
#[test]
fn a_client_detects_a_lost_link_but_waits_for_a_slow_server() {
    if !is_long() {
        return skipped("clients behind a lost link; LINECHAT_LONG_TESTS=1 tests them, in three minutes");
    }
    let link = match Link::named("client") {
        Ok(link) => link,
        Err(why) => return skipped(&format!("half-open links; this machine does not allow one: {why}")),
    };
    let server = server_at(link.here);
    let [mut silent, mut talking] = ["silent", "talking"].map(|name| link.client(server.address, name));
    let resting = ServerProgram::start(&[]);
    let mut patient = Command::new(CLIENT);
    patient.args(Program::client_arguments(resting.address, "patient")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut patient = patient.spawn().unwrap();
    assert!(patient.stdout.as_mut().unwrap().read(&mut [0; 9]).is_ok_and(|count| count > 0));
    resting.program.signal(Signal::STOP);
    let mut input = patient.stdin.take().unwrap();
    let writing = std::thread::spawn(move || input.write_all(&b"all work and no play\n".repeat(1 << 20)));
    link.lose_the_server();
    talking.write("hello?\n");
    let since = Instant::now();
    for client in [&mut silent, &mut talking] {
        let limit = (GONE_WITHIN + LOOK).saturating_sub(since.elapsed());
        assert_eq!(client.finish_within(limit).code, Some(3));
        eprintln!("a client found out after {:?}", since.elapsed());
    }
    std::thread::sleep((GONE_WITHIN + LOOK).saturating_sub(since.elapsed()));
    let ended = patient.try_wait().unwrap();
    assert!(ended.is_none() && !writing.is_finished(), "a server that rests was taken for a lost one: {ended:?}");
    patient.kill().unwrap();
    patient.wait().unwrap();
}

/// A peer with a deadline long enough to detect the loss.
struct PatientLines<'a>(&'a mut Peer);

impl PatientLines<'_> {
    fn next(&mut self) -> String {
        self.0.stream().set_read_timeout(Some(GONE_WITHIN)).unwrap();
        self.0.line()
    }
}

fn server_at(host: &str) -> ServerProgram {
    let mut program = Program::start(SERVER, ["--host", host, "--port", "0"]);
    let address = listening_on(&program.stdout.line());
    ServerProgram { program, address }
}

/// A network namespace, and a pair of virtual Ethernet devices that connects it to ours. Removed on drop.
struct Link {
    space: String,
    near: String,
    far: String,
    /// The server's end.
    here: &'static str,
}

impl Link {
    /// Different for the test of the server and that of the client, because both run at once.
    fn named(what: &str) -> Result<Self, String> {
        let id = format!("{}{}", &what[..1], std::process::id());
        let (here, there) = if what == "peer" { ("10.83.77.1", "10.83.77.2") } else { ("10.83.78.1", "10.83.78.2") };
        let link = Self { space: format!("linechat-{id}"), near: format!("lcn{id}"), far: format!("lcf{id}"), here };
        let Self { space, near, far, .. } = &link;
        ip(&format!("netns add {space}"))?;
        ip(&format!("link add {near} type veth peer name {far} netns {space}"))?;
        ip(&format!("address add {here}/24 dev {near}"))?;
        ip(&format!("-n {space} address add {there}/24 dev {far}"))?;
        ip(&format!("link set {near} up"))?;
        ip(&format!("-n {space} link set {far} up"))?;
        // The kernel drops what is sent until it has noticed that both ends are up, which may take a while.
        eventually("the link is up", || {
            let near = ip(&format!("-oneline link show {near}")).unwrap();
            let far = ip(&format!("-n {space} -oneline link show {far}")).unwrap();
            [near, far].iter().all(|device| device.contains(" state UP "))
        });
        Ok(link)
    }

    /// A client at the other end that has been welcomed.
    #[track_caller]
    fn client(&self, address: SocketAddr, name: &str) -> Program {
        let inside = ["netns", "exec", &self.space, CLIENT].map(str::to_owned);
        let mut client = Program::start("ip", inside.into_iter().chain(Program::client_arguments(address, name)));
        match client.stdout.next_line() {
            Some(line) => assert!(line.starts_with(&format!("* Welcome, {name}. ")), "{line:?}"),
            None => panic!("no welcome: {:?}", client.finish()),
        }
        client
    }

    /// Takes the server's device down. The client's own device stays up.
    fn lose_the_server(&self) {
        ip(&format!("link set {} down", self.near)).unwrap();
    }

    fn lose(&self) {
        ip(&format!("-n {} link set {} down", self.space, self.far)).unwrap();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let _ = ip(&format!("netns del {}", self.space));
        let _ = ip(&format!("link del {}", self.near));
    }
}

/// Runs `ip`. Returns its output.
fn ip(arguments: &str) -> Result<String, String> {
    let output = Command::new("ip").args(arguments.split(' ')).output().map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(format!("ip {arguments}: {}", String::from_utf8_lossy(&output.stderr).trim_end())),
    }
}
