//! The client at a real terminal, in tmux: keys go in, and every assertion is on what the screen then shows.

mod tmux_client;

mod background;
mod connection;
mod display;
mod hostile;
mod keys;
mod leaving;
mod loss;
mod typing;
