//! Runs `compat/run`: the real programs with the installed clients, over TCP, TLS and a Unix socket.
//!
//! A client that is not installed is skipped with a message. With `COMPAT_REQUIRE=all` it is a failure.

use std::io::{Write, stderr};
use std::process::Command;

use crate::support::harness::DEADLINE;

#[test]
fn every_installed_line_oriented_client_can_chat() {
    let run = concat!(env!("CARGO_MANIFEST_DIR"), "/compat/run");
    let output = Command::new(run)
        .env("LINECHAT_SERVER", env!("CARGO_BIN_EXE_server"))
        .env("LINECHAT_CLIENT", env!("CARGO_BIN_EXE_client"))
        // The other tests run at the same time, so everything takes longer.
        .env("COMPAT_DEADLINE", DEADLINE.as_secs().to_string())
        .output()
        .expect("compat/run can be started; it needs bash");
    let report = String::from_utf8_lossy(&output.stdout);
    // A skipped client must be visible even if the test passes. The test harness would hide `eprintln!`, but not this.
    // Without standard error, nobody would read it anyway.
    let _ = write!(stderr(), "\n{report}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "compat/run failed:\n{report}");
    let last = report.lines().last().unwrap_or_default();
    assert!(
        last.ends_with(" skipped") && !last.starts_with("0 passed"),
        "no summary at the end of compat/run: {last:?}"
    );
}
