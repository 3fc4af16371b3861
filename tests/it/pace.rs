//! Who talks too fast is slowed down and loses nothing.

use linechat::server::Config;
use linechat::server::pace::Profile;

use crate::support::harness::Server;

const TOO_FAST: &str = "* You are too fast: your lines are passed on more slowly. None is lost.";

#[test]
fn a_flood_is_passed_on_in_order_and_its_sender_is_told_once() {
    let server = Server::start_with(Config::default());
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send(&(0..300).map(|number| format!("{number}\n")).collect::<String>());
    alice.send("/who\n");
    for number in 0..300 {
        bob.expect(&format!("Alice: {number}"));
    }
    alice.expect(TOO_FAST);
    alice.expect("* 2 here: Alice, Bob");
}

#[test]
fn what_a_flood_said_before_a_half_close_is_all_delivered() {
    let server = Server::start_with(Config { pace: Profile::Public, ..Config::default() });
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send(&(0..14).map(|number| format!("{number}\n")).collect::<String>());
    alice.half_close();
    (0..14).for_each(|number| bob.expect(&format!("Alice: {number}")));
    bob.expect("* Alice has left");
    alice.expect_rest(&[TOO_FAST, "* Bye, Alice: 14 lines accepted, 0 refused."]);
}

#[test]
fn a_stop_does_not_wait_for_those_who_are_slowed_down() {
    let mut server = Server::start_with(Config { pace: Profile::Public, ..Config::default() });
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send(&(0..100).map(|number| format!("{number}\n")).collect::<String>());
    alice.expect(TOO_FAST);
    server.begin_stop();
    alice.expect("* The server is shutting down");
    alice.expect_rest(&["* Bye, Alice: 100 lines accepted, 0 refused."]);
    let heard = bob.rest();
    assert_eq!(heard.iter().filter(|line| line.starts_with("Alice: ")).count(), 100);
    server.wait().unwrap();
}
