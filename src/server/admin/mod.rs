//! Moderation, by operators in the room and by `server admin`.

pub mod control;
pub(crate) mod moderation;

pub use control::Control;
