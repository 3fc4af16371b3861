//! The client at a real terminal, in tmux: keys go in, and every assertion is on what the screen then shows.

#[allow(dead_code, reason = "tests/it uses the rest of it")]
#[path = "../it/harness.rs"]
mod harness;
#[allow(dead_code, reason = "tests/it uses the rest of it")]
#[path = "../it/program.rs"]
mod program;

mod desk;

mod background;
mod connection;
mod display;
mod hostile;
mod keys;
mod leaving;
mod loss;
mod typing;
