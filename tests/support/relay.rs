//! Passes connections on to a server, and cuts them when a test says so.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// Clients connect to its address instead of the server's.
pub struct Relay {
    pub address: SocketAddr,
    open: Arc<Mutex<Vec<[TcpStream; 2]>>>,
}

impl Relay {
    pub fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let relay = Self { address: listener.local_addr().unwrap(), open: Arc::default() };
        let open = Arc::clone(&relay.open);
        thread::spawn(move || {
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                let Ok(server) = TcpStream::connect(server) else { continue };
                pass_on(&client, &server);
                pass_on(&server, &client);
                open.lock().unwrap().push([client, server]);
            }
        });
        relay
    }

    /// Cuts all connections, whatever is still in transit.
    pub fn cut(&self) {
        for stream in self.open.lock().unwrap().drain(..).flatten() {
            // It fails if the other end is gone already.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// Copies one direction until it ends.
fn pass_on(from: &TcpStream, to: &TcpStream) {
    let (mut from, mut to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
}
