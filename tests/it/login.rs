//! From the connection to the welcome.

use crate::harness::Server;

#[test]
fn the_first_line_is_the_name() {
    let server = Server::start();
    let mut alice = server.connect();
    alice.send("Alice\n");
    alice.expect("* Welcome, Alice. You are the first here. /help lists the commands.");
    let mut bob = server.connect();
    bob.send("Bob\n");
    bob.expect("* Welcome, Bob. 1 other here: Alice. /help lists the commands.");
    alice.expect("* Bob has joined");
}
