//! The client at a real terminal, in tmux: tests press keys, and check what the screen shows.

mod tmux_client;

mod background;
mod connection;
mod display;
mod hostile;
mod keys;
mod leaving;
mod loss;
mod rooms;
mod typing;
