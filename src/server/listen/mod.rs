//! The sockets that accept connections.

mod bind_error;
pub mod listener;
pub mod tls;

pub use bind_error::BindError;
pub use listener::Listener;
pub use tls::{Certificate, Tls};
