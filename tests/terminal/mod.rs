//! The client at a real terminal, in tmux: keys go in, and every assertion is on what the screen then shows.

mod desk;

mod background;
mod connection;
mod display;
mod hostile;
mod keys;
mod leaving;
mod loss;
mod typing;
